// Data stored in other files: never read as zeros, never copied with broken links; unsupported links are
// reported before any work. Also files that a writer did not close.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, cpSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { AnnData } from "../dist/anndata/anndata.js";
import { writeCopy } from "../dist/anndata/write.js";
import { convert } from "../dist/api/convert.js";
import { scpoli, temporaryFolder } from "./command.js";
import { fails, plainColumn } from "./compare.ts";
import { runPython } from "./python/environment.ts";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const keys = ["--condition-key", "donor", "--cell-type-key", "cell_type"];

before(async () => {
  runPython("linked_files.py", folder);
  const { code, stderr } = await scpoli([
    ...["train", at("plain.h5ad"), "-o", at("model"), ...keys],
    ...["--epochs", "2", "--threads", "1"],
  ]);
  assert.equal(code, 0, stderr);
});

async function withFile<T>(name: string, use: (data: AnnData) => Promise<T>): Promise<T> {
  const data = await AnnData.open(at(name));
  try {
    return await use(data);
  } finally {
    data.close();
  }
}

const sum = async (data: AnnData, name: string): Promise<number> =>
  Array.from((await data.matrix(name)!.read(0, data.nObs)).values).reduce((total, value) => total + value, 0);

/** Files, their external parts, and the expected message. */
const elsewhere: readonly (readonly [name: string, path: string, says: RegExp])[] = [
  ["virtual", "X", /virtual dataset of parts of other\/part0\.h5, other\/part1\.h5/],
  ["virtual column", "obs/donor/codes", /virtual dataset of parts of other\/codes\.h5/],
  ["virtual itself", "X", /virtual dataset of parts of this file/],
  ["external X", "X", /link to another file, other\/X\.h5 \(\/it\)/],
  ["external column", "obs/donor", /link to another file, other\/obs-donor\.h5/],
  ["external codes", "obs/cell_type/codes", /link to another file, other\/obs-cell_type-codes\.h5/],
  ["soft across", "layers/counts", /link to another file, other\/layers-counts\.h5/],
  ["external storage", "X", /values are in other files \(external storage\)/],
  ["external storage latest", "X", /values are in other files \(external storage\)/],
  ["moved/virtual", "X", /virtual dataset/],
  ["moved/external X", "X", /link to another file/],
  ["moved/external storage", "X", /external storage/],
];

describe("data in other files", () => {
  for (const [name, path, says] of elsewhere)
    test(`${name}: named where it is read, and before a copy is made`, async () => {
      await withFile(`${name}.h5ad`, async (data) => {
        const [group, column] = path.split("/");
        if (group === "obs") await fails(() => data.obs.column(column!), "format", says);
        else
          await fails(
            async () => void (await data.matrix(path.replace("layers/", ""))!.read(0, 1)),
            "format",
            says,
            /is not read/,
          );
        await fails(() => writeCopy(data, at("copy.h5ad"), {}), "format", says);
      });
      const { code, stderr } = await scpoli([
        ...["map", at(`${name}.h5ad`), "--reference", at("model"), "-o", at("mapped.h5ad")],
        ...["--layer", path === "X" ? "counts" : "X", "--threads", "1"],
      ]);
      assert.equal(code, 3, stderr);
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /epoch/, "before any work");
      assert.deepEqual(
        readdirSync(folder).filter((file) => /^(mapped|copy)|tmp$/.test(file)),
        [],
      );
      const inspected = await scpoli(["inspect", at(`${name}.h5ad`)]);
      assert.equal(inspected.code, 3);
      assert.match(inspected.stdout + inspected.stderr, says);
      assert.doesNotMatch(inspected.stdout, /only zeros/);
    });

  test("obs as a whole: no file to work with", () =>
    fails(async () => void (await AnnData.open(at("external obs.h5ad"))), "format", /other\/obs\.h5/));

  test("unused links are harmless", async () => {
    await withFile("external X.h5ad", async (data) =>
      assert.equal(await sum(data, "counts"), await withFile("plain.h5ad", (plain) => sum(plain, "X"))),
    );
    const { code, stderr } = await scpoli([
      ...["train", at("virtual.h5ad"), "--layer", "counts", "-o", at("other-model"), ...keys],
      ...["--epochs", "2", "--threads", "1"],
    ]);
    assert.equal(code, 0, stderr);
    await withFile("virtual.h5ad", (data) => convert(data, at("converted.h5ad"), { layer: "counts" }));
  });

  test("links inside the file are read, and kept in a copy", async () => {
    await withFile("soft.h5ad", async (data) => {
      assert.equal(await sum(data, "X"), await sum(data, "counts"));
      assert.deepEqual(
        plainColumn(await data.obs.column("sample")),
        plainColumn(await data.obs.column("donor")),
      );
      await writeCopy(data, at("soft copy.h5ad"), {
        obs: { added: { kind: "number", values: new Float32Array(data.nObs) } },
      });
    });
    await withFile("soft copy.h5ad", async (data) =>
      assert.equal(await sum(data, "X"), await withFile("plain.h5ad", (plain) => sum(plain, "X"))),
    );
    rmSync(at("soft copy.h5ad"));
  });

  test("a link to nothing: anndata would not open a copy", () =>
    withFile("dangling.h5ad", (data) =>
      fails(() => writeCopy(data, at("copy.h5ad"), {}), "format", /uns\/lost.*broken link.*Remove/),
    ));

  test("linked chunks of a Zarr store are read, but not needlessly", async () => {
    await withFile("plain.h5ad", (data) => convert(data, at("store.zarr"), { layer: "counts" }));
    cpSync(at("store.zarr/X/data/c/0"), at("other/chunk"));
    rmSync(at("store.zarr/X/data/c/0"));
    symlinkSync(at("other/chunk"), at("store.zarr/X/data/c/0"));
    await withFile("store.zarr", async (data) => assert.ok((await sum(data, "X")) > 0));
    rmSync(at("other/chunk"));
    await withFile("store.zarr", (data) =>
      fails(async () => void (await sum(data, "X")), "file", /c\/0 is a broken link/),
    );
  });
});

describe("a writer that has not closed the file", () => {
  for (const name of ["swmr", "open"])
    test(name, async () => {
      const { code, stderr } = await scpoli(["inspect", at(`${name}.h5ad`)]);
      assert.equal(code, 3, stderr);
      assert.match(stderr, /another program is writing it.*h5clear -s .*\.h5ad/);
      assert.doesNotMatch(stderr, /damaged|truncated/);
      assert.ok(existsSync(at(`${name}.h5ad`)));
    });

  test("after h5clear, it is read", async (context) => {
    copyFileSync(at("swmr.h5ad"), at("cleared.h5ad"));
    mkdirSync(at("tools"));
    try {
      execFileSync("h5clear", ["-s", at("cleared.h5ad")], { stdio: "pipe" });
    } catch {
      return context.skip("h5clear is not installed");
    }
    await withFile("cleared.h5ad", async (data) => assert.equal(data.nObs, 60));
  });
});
