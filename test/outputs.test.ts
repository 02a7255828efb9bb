// Outputs destroy nothing: existing files are replaced only with --force and only by the same kind of file;
// links are followed; special files are refused. Everything is checked before any work.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { AnnData } from "../dist/anndata/anndata.js";
import { writeCopy, writeH5ad, type NewAnnData } from "../dist/anndata/write.js";
import { convert } from "../dist/api/convert.js";
import { ScPoli } from "../dist/api/scpoli.js";
import { writeTables } from "../dist/samples/sample-file.js";
import { scpoli, temporaryFolder } from "./command.js";
import { fails } from "./compare.ts";
import { simulate } from "./simulate.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const good = simulate({ cells: 60, genes: 20 });
const few = ["--epochs", "2", "--threads", "1", "--quiet"];
const keys = ["--condition-key", "donor", "--cell-type-key", "cell_type"];

before(async () => {
  await writeH5ad(at("good.h5ad"), good.data);
  const { code, stderr } = await scpoli(["train", at("good.h5ad"), "-o", at("model"), ...keys, ...few]);
  assert.equal(code, 0, stderr);
  await run(0, [
    "map",
    at("good.h5ad"),
    "--reference",
    at("model"),
    "-o",
    at("mapped.h5ad"),
    "--no-training",
  ]);
  await run(0, ["convert", at("good.h5ad"), at("store.zarr")]);
});

async function run(code: number, args: readonly string[], ...says: RegExp[]): Promise<string> {
  const outcome = await scpoli(args);
  assert.equal(outcome.code, code, `${args.join(" ")}\n${outcome.stderr}`);
  for (const pattern of says) assert.match(outcome.stderr, pattern);
  return outcome.stderr;
}

/** Every verb that writes a file, by its kind, and the arguments before the output. */
const verbs: readonly { readonly name: string; readonly ending: string; readonly args: () => string[] }[] = [
  {
    name: "map",
    ending: "h5ad",
    args: () => ["map", at("good.h5ad"), "--reference", at("model"), "--no-training", ...few.slice(2), "-o"],
  },
  { name: "embed", ending: "h5ad", args: () => ["embed", at("good.h5ad"), "--model", at("model"), "-o"] },
  { name: "convert", ending: "h5ad", args: () => ["convert", at("good.h5ad")] },
  { name: "samples", ending: "h5ad", args: () => ["samples", at("model"), "-o"] },
  {
    name: "train --embed",
    ending: "h5ad",
    args: () => ["train", at("good.h5ad"), ...keys, ...few, "-o", at("model"), "--force", "--embed"],
  },
  { name: "report", ending: "html", args: () => ["report", at("model"), "-o"] },
  {
    name: "evaluate",
    ending: "csv",
    args: () => [
      ...["evaluate", at("mapped.h5ad"), "--embedding", "X_scpoli"],
      ...["--cell-type-key", "cell_type", "--condition-key", "donor", "-o"],
    ],
  },
];

describe("files", () => {
  for (const { name, ending, args } of verbs) {
    test(`${name}: replaces with --force only, and only its kind`, async () => {
      const out = at(`${name}.${ending}`);
      const isForced = args().includes("--force");
      if (!isForced) {
        await run(0, [...args(), out]);
        const content = readFileSync(out);
        await run(4, [...args(), out], /already exists.*--force/);
        assert.deepEqual(readFileSync(out), content);
      }
      await run(0, [...args(), out, "--force"]);
      const precious = [at(`precious.${ending}`), at("copy/model.json"), at("precious.h5mu")] as const;
      writeFileSync(precious[0], "gene expression of a lifetime\n");
      cpSync(at("model"), at("copy"), { recursive: true });
      copyFileSync(at("model/model.safetensors"), precious[2]);
      for (const path of name === "convert" ? precious.slice(0, 1) : precious) {
        const content = readFileSync(path);
        const outcome = await run(3, [...args(), path, "--force"], /already exists and is not/);
        assert.doesNotMatch(outcome, /epoch/, "before any work");
        assert.deepEqual(readFileSync(path), content);
      }
    });
  }

  test("another AnnData store or file is of the kind, other HDF5 and Zarr are not", async () => {
    const map = ["map", at("good.h5ad"), "--reference", at("model"), "--no-training", "--force", "-o"];
    await writeH5ad(at("other.h5ad"), good.data);
    await run(0, [...map, at("other.h5ad")]);
    execFileSync(process.execPath, [
      ...["--input-type=module", "-e"],
      `import * as hdf5 from "h5wasm/node"; await hdf5.ready;
       const file = new hdf5.File(${JSON.stringify(at("counts.loom"))}, "w");
       file.create_group("row_attrs"); file.close();`,
    ]);
    await run(3, [...map, at("counts.loom")], /counts\.loom already exists and is not an \.h5ad file/);
    mkdirSync(at("image.zarr"));
    writeFileSync(at("image.zarr/.zgroup"), '{"zarr_format": 2}');
    await run(3, ["convert", at("good.h5ad"), at("image.zarr"), "--force"], /not an AnnData-Zarr store/);
    await run(4, ["convert", at("good.h5ad"), at("store.zarr")], /--force/);
    await run(0, ["convert", at("good.h5ad"), at("store.zarr"), "--force"]);
  });

  test("an empty file is filled: it holds nothing", async () => {
    writeFileSync(at("empty.h5ad"), "");
    await run(0, ["convert", at("good.h5ad"), at("empty.h5ad")]);
  });

  test("the library has the same checks, and `force`", async () => {
    const data = await AnnData.open(at("good.h5ad"));
    try {
      await writeH5ad(at("library.h5ad"), good.data);
      await fails(() => writeH5ad(at("library.h5ad"), good.data), "refused", /library\.h5ad.*force: true/);
      await writeH5ad(at("library.h5ad"), good.data, { force: true });
      await fails(() => writeCopy(data, at("library.h5ad"), {}), "refused", /library\.h5ad/);
      await writeCopy(data, at("library.h5ad"), {}, { force: true });
      await fails(() => convert(data, at("library.h5ad")), "refused", /library\.h5ad/);
      const model = await ScPoli.load(at("model"));
      await fails(() => model.embed(data, { output: at("library.h5ad") }), "refused", /library\.h5ad/);
      await fails(
        () => model.embed(data, { output: at("model/model.json"), force: true }),
        "output",
        /model\.json already exists and is not an \.h5ad file/,
      );
      const analyses = await model.samples();
      await writeTables(at("library-tables"), analyses);
      await fails(
        () => writeTables(at("library-tables"), analyses),
        "refused",
        /already contains \.csv files/,
      );
      await writeTables(at("library-tables"), analyses, { force: true });
    } finally {
      data.close();
    }
  });
});

describe("links", () => {
  test("of a symbolic link the target is written, and the link stays", async () => {
    await writeH5ad(at("target.h5ad"), good.data);
    mkdirSync(at("links"));
    symlinkSync("../target.h5ad", at("links/first.h5ad"));
    symlinkSync(at("links/first.h5ad"), at("second.h5ad"));
    symlinkSync("links/new.h5ad", at("dangling.h5ad"));
    symlinkSync("nowhere/new.h5ad", at("lost.h5ad"));
    const map = ["map", at("good.h5ad"), "--reference", at("model"), "--no-training", "-o"];
    const before = readFileSync(at("target.h5ad"));
    await run(4, [...map, at("second.h5ad")], /second\.h5ad already exists/);
    assert.deepEqual(readFileSync(at("target.h5ad")), before);
    await run(0, [...map, at("second.h5ad"), "--force"]);
    assert.notDeepEqual(readFileSync(at("target.h5ad")), before);
    assert.equal(readlinkSync(at("second.h5ad")), at("links/first.h5ad"));
    assert.equal(readlinkSync(at("links/first.h5ad")), "../target.h5ad");
    await run(0, [...map, at("dangling.h5ad")]);
    assert.equal(readlinkSync(at("dangling.h5ad")), "links/new.h5ad");
    assert.ok(lstatSync(at("links/new.h5ad")).isFile());
    await run(3, [...map, at("lost.h5ad")], /lost\.h5ad cannot be written: there is no folder .*nowhere/);
    symlinkSync("round.h5ad", at("round.h5ad"));
    await run(3, [...map, at("round.h5ad")], /round\.h5ad.*links form a cycle/);
    assert.deepEqual(readdirSync(at("links")).sort(), ["first.h5ad", "new.h5ad"]);
  });

  test("folders of models and stores, too", async () => {
    cpSync(at("model"), at("old-model"), { recursive: true });
    symlinkSync("old-model", at("model-link"));
    await run(4, ["train", at("good.h5ad"), "-o", at("model-link"), ...keys, ...few], /--force/);
    await run(0, ["train", at("good.h5ad"), "-o", at("model-link"), ...keys, ...few, "--force"]);
    assert.equal(readlinkSync(at("model-link")), "old-model");
    assert.ok(statSync(at("old-model/model.json")).mtimeMs > statSync(at("model/model.json")).mtimeMs);
    cpSync(at("store.zarr"), at("old.zarr"), { recursive: true });
    symlinkSync("old.zarr", at("link.zarr"));
    await run(0, ["convert", at("good.h5ad"), at("link.zarr"), "--force", "--shuffle"]);
    assert.equal(readlinkSync(at("link.zarr")), "old.zarr");
    assert.ok(lstatSync(at("old.zarr")).isDirectory());
  });
});

describe("paths that are not files", () => {
  const map = (): string[] => ["map", at("good.h5ad"), "--reference", at("model"), "-o"];

  test("a pipe, a socket, a device and a folder are refused before any work, and stay", async (context) => {
    execFileSync("mkfifo", [at("pipe.h5ad")]);
    mkdirSync(at("folder.h5ad"));
    const server = createServer().listen(at("s.h5ad"));
    await new Promise((resolve) => server.once("listening", resolve));
    context.after(() => server.close());
    const kinds = [
      ["pipe.h5ad", "a pipe"],
      ["folder.h5ad", "a folder"],
      ["new-folder/", "a folder"],
      ["s.h5ad", "a socket"],
    ] as const;
    for (const [name, what] of kinds)
      for (const more of [[], ["--force"]])
        await run(3, [...map(), at(name), ...more], new RegExp(`cannot be written: it is ${what}`));
    assert.ok(lstatSync(at("pipe.h5ad")).isFIFO());
    for (const { name, args } of verbs)
      await run(3, [...args(), at("pipe.h5ad")], /pipe\.h5ad cannot be written: it is a pipe/).catch(
        (error: Error) => assert.fail(`${name}: ${error.message}`),
      );
    await run(3, ["train", at("good.h5ad"), "-o", at("pipe.h5ad"), ...keys, ...few], /is a pipe; a model is/);
    assert.ok(lstatSync(at("pipe.h5ad")).isFIFO());
    try {
      execFileSync("mknod", [at("null.h5ad"), "c", "1", "3"], { stdio: "pipe" });
    } catch {
      return context.diagnostic("no device can be made here");
    }
    await run(3, [...map(), at("null.h5ad"), "--force"], /null\.h5ad cannot be written: it is a device/);
    assert.ok(lstatSync(at("null.h5ad")).isCharacterDevice());
  });

  test("a folder that is not writable is reported before any work", async (context) => {
    if (process.getuid?.() === 0) return context.skip("root writes everywhere");
    mkdirSync(at("locked"));
    cpSync(at("model"), at("locked/model"), { recursive: true });
    chmodSync(at("locked"), 0o555);
    context.after(() => chmodSync(at("locked"), 0o755));
    for (const args of [
      [...map(), at("locked/out.h5ad")],
      ["train", at("good.h5ad"), "-o", at("locked/model"), "--force", ...keys, ...few],
      ["samples", at("model"), "--tables", at("locked/tables")],
    ])
      assert.doesNotMatch(await run(3, args, /no permission to write/), /epoch/);
  });
});

describe("folders", () => {
  test("tables and plots: those of another run need --force, files of another kind stay", async () => {
    const samples = ["samples", at("model"), "--data", at("good.h5ad"), "--tables", at("tables")];
    await run(0, [...samples, "--plots", at("plots")]);
    const tables = readdirSync(at("tables"));
    await run(4, samples, /tables already contains \.csv files/);
    await run(4, ["samples", at("model"), "--plots", at("plots")], /plots already contains \.svg files/);
    await run(0, [...samples, "--force"]);
    writeFileSync(at("tables/samples.csv"), Uint8Array.of(1, 0, 2));
    await run(3, [...samples, "--force"], /samples\.csv already exists and is not a table/);
    assert.deepEqual(readdirSync(at("tables")), tables);
    mkdirSync(at("mine"));
    writeFileSync(at("mine/notes.txt"), "mine");
    await run(0, ["samples", at("model"), "--tables", at("mine")]);
    assert.equal(readFileSync(at("mine/notes.txt"), "utf8"), "mine");
    await run(
      3,
      ["samples", at("model"), "--tables", at("good.h5ad")],
      /good\.h5ad already exists and is not/,
    );
  });

  test("checkpoints next to an output are replaced only if left by a run", async () => {
    mkdirSync(at("new.zarr.partial"));
    writeFileSync(at("new.zarr.partial/thesis.txt"), "mine");
    await run(3, ["convert", at("good.h5ad"), at("new.zarr")], /new\.zarr\.partial.* it is not replaced/);
    assert.equal(readFileSync(at("new.zarr.partial/thesis.txt"), "utf8"), "mine");
    writeFileSync(at("fresh.checkpoint"), "mine");
    const train = ["train", at("good.h5ad"), "-o", at("fresh"), ...keys, ...few];
    await run(3, train, /fresh\.checkpoint.* it is not replaced/);
    assert.equal(readFileSync(at("fresh.checkpoint"), "utf8"), "mine");
  });
});

describe("names", () => {
  test('a key with "/" is refused before any work', async () => {
    const columns = good.data.obs.columns!;
    const obs: NewAnnData["obs"] = {
      ...good.data.obs,
      columns: { ...columns, "cell_type/1": columns["cell_type"]! },
    };
    await fails(() => writeH5ad(at("slash.h5ad"), { ...good.data, obs }), "key", /no "\/"/);
    for (const flags of [
      ["--condition-key", "donor", "--cell-type-key", "cell/type"],
      ["--condition-key", "donor/id"],
    ])
      await run(
        3,
        ["train", at("good.h5ad"), "-o", at("slash"), ...flags, ...few],
        /key .(cell\/type|donor\/id). has a "\/".*obs\.rename/,
      );
    // a model that has one all the same, from before or from elsewhere
    cpSync(at("model"), at("slash-model"), { recursive: true });
    const path = at("slash-model/model.json");
    writeFileSync(path, readFileSync(path, "utf8").replaceAll('"cell_type"', '"cell/type"'));
    const outcome = await run(
      3,
      ["map", at("good.h5ad"), "--reference", at("slash-model"), "-o", at("slash-mapped.h5ad")],
      /"cell\/type_pred" cannot be a name/,
    );
    assert.doesNotMatch(outcome, /epoch/);
  });
});
