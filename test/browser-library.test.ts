// The library in Chromium, bundled as another project would: the same bytes as the command line's, files of
// any kind read in place, and no request to another origin.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Browser } from "playwright-core";
import { pageHeaders } from "../dist/cli/app-headers.js";
import { AnnData, convert, type Inspection } from "../dist/index.js";
import { serveFolder, type ServedFolder } from "../dist/platform/server-node.js";
import { buildTestPage, launchBrowser, TestPage } from "./browser.ts";
import { scpoli, temporaryFolder } from "./command.ts";
import { runPython } from "./python/environment.ts";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const repository = fileURLToPath(new URL("..", import.meta.url));
const shared = join(repository, "..", "shared");
const [reference, query] = ["reference", "query"].map((name) =>
  join(repository, "data", `kang_${name}.h5ad`),
) as [string, string];
const models = fileURLToPath(new URL("fixtures/model-pt/", import.meta.url));
const {
  "Cross-Origin-Opener-Policy": _,
  "Cross-Origin-Embedder-Policy": __,
  ...headersWithoutIsolation
} = pageHeaders;

let browser: Browser;
let isolated: ServedFolder;
let notIsolated: ServedFolder;
const pages: TestPage[] = [];

before(async () => {
  const [built] = await Promise.all([
    buildTestPage(at("page")),
    command(
      "train",
      reference,
      "-o",
      at("model"),
      "--condition-key",
      "sample",
      "--cell-type-key",
      "cell_type",
      "--pretraining-epochs",
      "4",
      "--epochs",
      "6",
      "--no-landmarks",
    ),
  ]);
  [browser, isolated, notIsolated] = await Promise.all([
    launchBrowser(),
    serveFolder(built, 0, pageHeaders),
    serveFolder(built, 0, headersWithoutIsolation),
  ]);
});
after(async () => {
  await browser?.close();
  await Promise.all([isolated?.close(), notIsolated?.close()]);
});

/** The command line on the plain kernels; its answer does not depend on the threads. */
async function command(...args: string[]): Promise<void> {
  const { code, stderr } = await scpoli([...args, "--simd", "plain", "--threads", "1", "--force", "--quiet"]);
  assert.equal(code, 0, stderr);
}

async function openPage(served = isolated): Promise<TestPage> {
  const page = await TestPage.open(browser, served.url);
  pages.push(page);
  return page;
}

const bytesOf = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
function assertSameBytes(actual: string, expected: string): void {
  assert.equal(bytesOf(actual), bytesOf(expected), `${actual} has other bytes than ${expected}`);
}

/** Files of a folder, with their paths from above it. */
function filesOf(path: string, name: string): { paths: string[]; files: string[] } {
  const inside = (
    readdirSync(path, { recursive: true, withFileTypes: true }) as {
      isFile(): boolean;
      parentPath: string;
      name: string;
    }[]
  )
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return { files: inside, paths: inside.map((file) => name + file.slice(path.length)) };
}

describe("the same bytes as the command line's, with the same seed", () => {
  before(() => command("map", query, "--reference", at("model"), "-o", at("cli.h5ad")));

  test("training: the model's parameters", async () => {
    const page = await openPage();
    assert.equal(await page.job("isolated"), true);
    await page.register([reference]);
    await page.job("train", {
      path: "kang_reference.h5ad",
      model: "model",
      conditionKeys: ["sample"],
      cellTypeKeys: ["cell_type"],
      pretrainingEpochs: 4,
      epochs: 6,
      landmarks: false,
      simd: "plain",
      threads: 2,
    });
    for (const name of ["model.safetensors", "model.json"])
      assertSameBytes(
        await page.save("file", { path: `model/${name}` }, at(`browser-${name}`)),
        at(`model/${name}`),
      );
  });

  test("mapping: the whole file, latents and labels; with two threads", async () => {
    const page = await openPage();
    const { files, paths } = filesOf(at("model"), "model");
    await page.register([query, ...files], ["kang_query.h5ad", ...paths]);
    const { summary } = await page.job<{ summary: { cells: number } }>("map", {
      path: "kang_query.h5ad",
      model: "model",
      output: "mapped.h5ad",
      simd: "plain",
      threads: 2,
    });
    assert.equal(summary.cells, 720);
    assertSameBytes(await page.save("file", { path: "mapped.h5ad" }, at("isolated.h5ad")), at("cli.h5ad"));
  });

  test("mapping without cross-origin isolation: one thread, the same file", async () => {
    const page = await openPage(notIsolated);
    assert.equal(await page.job("isolated"), false);
    const { files, paths } = filesOf(at("model"), "model");
    await page.register([query, ...files], ["kang_query.h5ad", ...paths]);
    await page.job("map", { path: "kang_query.h5ad", model: "model", output: "mapped.h5ad", simd: "plain" });
    assertSameBytes(
      await page.save("file", { path: "mapped.h5ad" }, at("not-isolated.h5ad")),
      at("cli.h5ad"),
    );
    await assert.rejects(
      page.job("map", { path: "kang_query.h5ad", model: "model", threads: 2 }),
      /usage: 2 threads are not available: this page is not cross-origin isolated/,
    );
  });

  test("anndata opens the saved file: cells in, cells out, counts as they were", () => {
    const [before, mapped] = JSON.parse(runPython("open_mapped.py", query, at("isolated.h5ad"))) as Record<
      string,
      unknown
    >[];
    assert.deepEqual(
      [mapped!["cells"], mapped!["names"], mapped!["X"]],
      [before!["cells"], before!["names"], before!["X"]],
    );
    assert.deepEqual((mapped!["obsm"] as Record<string, unknown>)["X_scpoli"], [720, 20]);
    for (const column of ["cell_type_pred", "cell_type_uncert", "cell_type_unknown"])
      assert.ok((mapped!["obs"] as string[]).includes(column), column);
  });

  for (const name of ["panc8", "pbmc3"])
    test(`${name}, mapped`, async (t) => {
      const data = join(shared, "data", `${name}.h5ad`);
      if (!existsSync(data)) return t.skip("../shared/data is not there");
      let model = join(shared, "interop/pbmc/reference");
      if (name === "panc8")
        await command(
          "train",
          data,
          "-o",
          (model = at("panc8-model")),
          "--condition-key",
          "technology",
          "--cell-type-key",
          "cell_type",
          "--pretraining-epochs",
          "2",
          "--epochs",
          "3",
        );
      const page = await openPage();
      const { files, paths } = filesOf(model, "model");
      await page.register([data, ...files], [`${name}.h5ad`, ...paths]);
      await page.job("map", {
        path: `${name}.h5ad`,
        model: "model",
        output: "mapped.h5ad",
        knownConditions: "new",
        epochs: 3,
        simd: "plain",
        threads: 1,
      });
      await command(
        "map",
        data,
        "--reference",
        model,
        "-o",
        at(`${name}.h5ad`),
        "--known-conditions",
        "new",
        "--epochs",
        "3",
      );
      assertSameBytes(
        await page.save("file", { path: "mapped.h5ad" }, at(`${name}-browser.h5ad`)),
        at(`${name}.h5ad`),
      );
    });
});

describe("files", () => {
  test("reads, writes and truncates in any order, compared with an array", async () => {
    const page = await openPage();
    const { wrong, bytes, expected } = await page.job<{ wrong: number; bytes: number; expected: number }>(
      "exercise",
      { steps: 400, bytes: 700_000 },
    );
    assert.equal(wrong, 0);
    assert.equal(bytes, expected);
  });

  test("every compression filter, fetched when it is needed", async () => {
    const page = await openPage();
    const path = join(repository, "test/fixtures/filters.h5ad");
    await page.register([path]);
    const layers = await page.job<[string, number | string][]>("layers", { path: "filters.h5ad" });
    const data = await AnnData.open(path);
    const expected = await Promise.all(
      data.layers.map(async (name) => {
        const matrix = data.layer(name);
        return [
          name,
          await matrix.read(0, matrix.rows).then(
            ({ values }) => Array.from(values).reduce((sum, value) => sum + value, 0),
            (error: { kind: string; message: string }) => `${error.kind}: ${error.message}`,
          ),
        ];
      }),
    );
    data.close();
    const plain = (results: readonly unknown[]): string =>
      JSON.stringify(results).replaceAll(path, "filters.h5ad");
    assert.ok(layers.filter(([, sum]) => typeof sum === "number").length >= 8);
    assert.equal(plain(layers), plain(expected));
  });

  test("models as a zip file and as a folder of scArches; a folder without one is refused", async (t) => {
    const page = await openPage();
    const { files, paths } = filesOf(at("model"), "model");
    await page.register([query, ...files], ["kang_query.h5ad", ...paths]);
    await page.save("zip", { path: "model" }, at("model.zip"));
    await page.choose([at("model.zip")]);
    assert.equal(await page.job("registerModel"), "model.zip");
    const { summary } = await page.job<{ summary: { cells: number } }>("map", {
      path: "kang_query.h5ad",
      model: "model.zip",
      epochs: 1,
    });
    assert.equal(summary.cells, 720);
    await page.choose([query]);
    await assert.rejects(page.job("registerModel"), /model: kang_query.h5ad holds no model/);
    writeFileSync(at("damaged.zip"), readFileSync(at("model.zip")).subarray(0, 5000));
    await page.choose([at("damaged.zip")]);
    await assert.rejects(
      page.job("registerModel"),
      /file: damaged.zip cannot be opened: it is not a zip file, or damaged/,
    );
    for (const name of ["archmap.pt", "legacy.pt"]) {
      await page.choose([join(models, name)]);
      assert.equal(await page.job("registerModel"), name);
      assert.equal((await page.job<{ genes: number }>("summary", { model: name })).genes, 20);
    }
    if (!existsSync(shared)) return t.skip("../shared/interop is not there: scArches' folder is not tried");
    const python = filesOf(join(shared, "interop/pbmc/query"), "python");
    await page.register(python.files, python.paths);
    assert.equal((await page.job<{ genes: number }>("summary", { model: "python" })).genes, 1767);
  });

  test("AnnData-Zarr as a folder and as a zip file, CellRanger's folder; converted to .h5ad", async () => {
    const store = at("query.zarr");
    const data = await AnnData.open(query);
    await convert(data, store, { seed: 0 });
    data.close();
    const page = await openPage();
    const { files, paths } = filesOf(store, "query.zarr");
    await page.register(files, paths);
    const expected = await page.job<{ cells: number; genes: number; sum: number }>("open", {
      path: "query.zarr",
    });
    assert.deepEqual([expected.cells, expected.genes], [720, 1500]);
    await page.save("zip", { path: "query.zarr" }, at("query.zarr.zip"));
    await page.register([at("query.zarr.zip")]);
    assert.deepEqual(await page.job("open", { path: "query.zarr.zip" }), expected);

    mkdirSync(at("tenx"));
    writeFileSync(
      at("tenx/matrix.mtx.gz"),
      gzipSync("%%MatrixMarket matrix coordinate integer general\n3 2 4\n1 1 5\n3 1 1\n2 2 7\n3 2 2\n"),
    );
    writeFileSync(
      at("tenx/features.tsv.gz"),
      gzipSync("E1\tA\tGene Expression\nE2\tB\tGene Expression\nE3\tC\tGene Expression\n"),
    );
    writeFileSync(at("tenx/barcodes.tsv.gz"), gzipSync("c1-1\nc2-1\n"));
    const tenx = filesOf(at("tenx"), "tenx");
    await page.register(tenx.files, tenx.paths);
    assert.deepEqual(await page.job("open", { path: "tenx" }), { cells: 2, genes: 3, sum: 15 });
    await page.job("convert", { path: "tenx", output: "tenx.h5ad" });
    assert.deepEqual(await page.job("open", { path: "tenx.h5ad" }), { cells: 2, genes: 3, sum: 15 });
    assert.equal(
      (
        JSON.parse(
          runPython("open_mapped.py", await page.save("file", { path: "tenx.h5ad" }, at("tenx.h5ad"))),
        ) as { cells: number }[]
      )[0]!.cells,
      2,
    );
  });

  test("reads files as under Node; a matrix is read by a worker, and streamed", async () => {
    const page = await openPage();
    await page.register([reference]);
    const inspection = await page.job<Inspection>("inspect", { path: "kang_reference.h5ad" });
    assert.equal(inspection.cells, 1156);
    await page.job("train", {
      path: "kang_reference.h5ad",
      model: "streamed",
      conditionKeys: ["sample"],
      cellTypeKeys: ["cell_type"],
      pretrainingEpochs: 1,
      epochs: 2,
      landmarks: false,
      stream: "always",
      simd: "plain",
      threads: 1,
    });
    await command(
      "train",
      reference,
      "-o",
      at("streamed"),
      "--condition-key",
      "sample",
      "--cell-type-key",
      "cell_type",
      "--pretraining-epochs",
      "1",
      "--epochs",
      "2",
      "--no-landmarks",
      "--stream",
      "always",
    );
    assertSameBytes(
      await page.save("file", { path: "streamed/model.safetensors" }, at("streamed.safetensors")),
      at("streamed/model.safetensors"),
    );
  });

  test("a file of 4.4 GB with counts beyond 32-bit addresses is mapped without a copy", async () => {
    runPython("large_file.py", query, at("large.h5ad"), "4.4e9");
    const page = await openPage();
    const { files, paths } = filesOf(at("model"), "model");
    await page.register([at("large.h5ad"), ...files], ["large.h5ad", ...paths]);
    const { summary } = await page.job<{ summary: { cells: number } }>("map", {
      path: "large.h5ad",
      model: "model",
      output: "mapped.h5ad",
      epochs: 1,
      threads: 1,
    });
    const saved = await page.job<{ cells: number; bytes: number }>("size", { path: "mapped.h5ad" });
    assert.deepEqual([summary.cells, saved.cells, saved.bytes > 4.4e9], [720, 720, true]);
  });

  test("a damaged file gives its message, and the next one opens", async () => {
    const page = await openPage();
    const whole = readFileSync(query);
    writeFileSync(at("short.h5ad"), whole.subarray(0, whole.length / 2));
    writeFileSync(at("text.h5ad"), "no HDF5");
    writeFileSync(at("empty.h5ad"), "");
    await page.register([at("short.h5ad"), at("text.h5ad"), at("empty.h5ad"), query]);
    await assert.rejects(
      page.job("open", { path: "short.h5ad" }),
      /file: short\.h5ad cannot be opened: the file is truncated/,
    );
    await assert.rejects(
      page.job("open", { path: "text.h5ad" }),
      /file: text\.h5ad cannot be opened: it is not an HDF5 file/,
    );
    await assert.rejects(
      page.job("open", { path: "empty.h5ad" }),
      /file: empty\.h5ad cannot be opened: it is empty/,
    );
    await assert.rejects(
      page.job("open", { path: "none.h5ad" }),
      /file: none\.h5ad cannot be read: there is no such file/,
    );
    assert.equal((await page.job<{ cells: number }>("open", { path: "kang_query.h5ad" })).cells, 720);
  });

  test("URLs of the same origin are fetched, others refused", async () => {
    const page = await openPage();
    await page.job("registerUrl", { address: "/index.html", path: "page.html" });
    assert.deepEqual(await page.job("files", { path: "page.html" }), ["page.html"]);
    await assert.rejects(
      page.job("registerUrl", { address: "https://example.org/model.zip", path: "model.zip" }),
      /usage: https:\/\/example\.org\/model\.zip has another origin/,
    );
    await assert.rejects(
      page.job("registerUrl", { address: "missing.h5ad", path: "x" }),
      /file: .*missing\.h5ad cannot be downloaded: the server answered 404/,
    );
  });
});

test("no page has made an error or asked another origin for anything", () => {
  assert.ok(pages.length > 5);
  for (const page of pages) {
    assert.deepEqual(
      page.errors.filter((text) => !text.includes("404")),
      [],
    );
    assert.deepEqual(page.foreign, []);
  }
});
