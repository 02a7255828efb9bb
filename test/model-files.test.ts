// Models as single files: zip files written by scpoli, zip and tar files of model folders, PyTorch files.
// They equal the folder to the bit; invalid, damaged or hostile files give a named error.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { unzipSync, zipSync } from "fflate";
import { ScPoliError, type ErrorKind } from "../dist/contract/errors.js";
import { loadModel } from "../dist/storage/model-folder.js";
import { isModel } from "../dist/storage/model-files.js";
import { importScArches } from "../dist/scarches/import.js";
import { ScPoli } from "../dist/api/scpoli.js";
import { scpoli, temporaryFolder } from "./command.js";
import { fuzzArchives } from "./fuzz-models.js";

const fixtures = fileURLToPath(new URL("fixtures/", import.meta.url));
const scarches = join(fixtures, "scarches");
const single = (name: string): string => join(fixtures, "model-pt", `${name}.pt`);
const folder = temporaryFolder();
const at = (...names: string[]): string => join(folder, ...names);
const files = ["model.json", "model.safetensors"];
const bytesOf = (name: string): Record<string, Uint8Array> =>
  Object.fromEntries(files.map((file) => [file, new Uint8Array(readFileSync(at(name, file)))]));
const write = (name: string, content: Uint8Array | string): string => {
  writeFileSync(at(name), content);
  return at(name);
};

function fails(says: RegExp, kind: ErrorKind) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof ScPoliError, String(error));
    assert.match(error.message, says);
    assert.equal(error.kind, kind);
    return true;
  };
}

/** `model` is a model folder, `model.zip` the same in one file. */
before(async () => {
  const model = await ScPoli.import(join(scarches, "reference"));
  await model.save(at("model"));
  await model.save(at("model.zip"));
});

describe("a model as a zip file", () => {
  test("holds the bytes of the folder, and is the same bytes each time", async () => {
    assert.deepEqual(unzipSync(readFileSync(at("model.zip"))), bytesOf("model"));
    await (await ScPoli.load(at("model.zip"))).save(at("again.zip"));
    assert.deepEqual(readFileSync(at("again.zip")), readFileSync(at("model.zip")));
    assert.ok(await isModel(at("model.zip")));
    assert.ok(await isModel(at("model")));
  });

  test("is opened by Python's zipfile, which finds no damage", () => {
    const code =
      "import zipfile,sys; z=zipfile.ZipFile(sys.argv[1]); print(z.testzip(), sorted(z.namelist()))";
    assert.equal(
      execFileSync("python3", ["-c", code, at("model.zip")], { encoding: "utf8" }).trim(),
      "None ['model.json', 'model.safetensors']",
    );
  });

  test("is replaced only with force, and only if it is a model", async () => {
    const model = await ScPoli.load(at("model"));
    write("other.zip", zipSync({ "notes.txt": new TextEncoder().encode("mine") }));
    write("text.zip", "mine");
    write("model.txt", "mine");
    await assert.rejects(model.save(at("model.zip")), fails(/already holds a model.*--force/, "refused"));
    await model.save(at("model.zip"), { force: true });
    for (const name of ["other.zip", "text.zip"])
      await assert.rejects(
        model.save(at(name), { force: true }),
        fails(/holds no model of scpoli/, "output"),
      );
    await assert.rejects(model.save(at("model.txt"), { force: true }), fails(/is a file/, "output"));
    assert.equal(readFileSync(at("text.zip"), "utf8"), "mine");
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith(".tmp")),
      [],
    );
  });

  test("is read and written by the command line like a model folder", async () => {
    const run = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await scpoli([...args, "--json"]);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    const summary = JSON.parse(await run("inspect", at("model.zip"))) as { genes: number };
    assert.equal(summary.genes, 20);
    await run("samples", at("model.zip"), "-o", at("samples.h5ad"));
    await run("report", at("model.zip"), "-o", at("report.html"));
    await run("import", single("archmap"), "-o", at("imported.zip"));
    assert.deepEqual(readFileSync(at("imported.zip")), readFileSync(at("model.zip")));
    await run("export", at("model.zip"), "-o", at("exported"));
    assert.ok(existsSync(at("exported", "attr.pkl")));
    assert.equal((await scpoli(["import", single("archmap"), "-o", at("imported.zip")])).code, 4);
  });
});

describe("an archive of a model folder", () => {
  const packed = (name: string, options: string[]): string => {
    execFileSync("tar", [...options, "-cf", at(name), "-C", folder, "model"]);
    return at(name);
  };

  test("is read as the folder: tar of every kind, zip with a folder inside, of macOS", async () => {
    const expected = (await loadModel(at("model"))).tensors;
    const inFolder = Object.fromEntries(
      Object.entries(bytesOf("model")).map(([name, content]) => [`atlas/v1/${name}`, content]),
    );
    const paths = [
      packed("plain.tar", []),
      packed("posix.tar", ["--format=posix"]),
      packed("v7.tar", ["--format=ustar"]),
      packed("model.tar.gz", ["-z"]),
      packed("model.tgz", ["-z", "--format=gnu"]),
      write("nested.zip", zipSync({ ...inFolder, "atlas/README.md": new Uint8Array(3) })),
      write(
        "mac.zip",
        zipSync({
          ...inFolder,
          "__MACOSX/model.json": new Uint8Array(9),
          "atlas/._model.json": new Uint8Array(9),
        }),
      ),
    ];
    for (const path of paths) assert.deepEqual((await ScPoli.load(path)).stored.tensors, expected, path);
  });

  test("with long names is read", async () => {
    const long = "a-folder-with-a-long-name-".repeat(6);
    cpSync(at("model"), at("long", long, long), { recursive: true });
    for (const format of ["gnu", "posix"]) {
      execFileSync("tar", [`--format=${format}`, "-czf", at(`${format}.tgz`), "-C", at("long"), long]);
      assert.deepEqual(
        (await loadModel(at(`${format}.tgz`))).json,
        (await loadModel(at("model"))).json,
        format,
      );
    }
  });

  test("of scArches is imported", async () => {
    execFileSync("tar", ["-czf", at("python.tar.gz"), "-C", scarches, "reference"]);
    await (await ScPoli.import(at("python.tar.gz"))).save(at("from tar"));
    assert.deepEqual(bytesOf("from tar"), bytesOf("model"));
  });

  test("without a model, with several, or of another kind is refused", async () => {
    const json = bytesOf("model")["model.json"]!;
    for (const [path, says] of [
      [write("empty.zip", zipSync({ "a.txt": new Uint8Array(2) })), /holds no model/],
      [write("two.zip", zipSync({ "a/model.json": json, "b/model.json": json })), /several models: 'a', 'b'/],
      [write("half.zip", zipSync({ "model.json": json })), /incomplete: model\.safetensors is missing/],
      [write("model.tar.bz2", "BZh91AY&SY"), /compressed with bzip2.*Unpack it first/],
      [write("model.tar.xz", "\u00fd7zXZ"), /is a file; a model is a folder/],
      [write("cells.h5ad", "\u0089HDF\r\n"), /is a file; a model is a folder/],
    ] as const)
      await assert.rejects(ScPoli.load(path), fails(says, "model"));
    assert.equal(await isModel(at("empty.zip")), false);
    assert.equal(await isModel(at("cells.h5ad")), false);
  });

  test("with false sizes allocates no memory", async () => {
    const bomb = zipSync({ "model.json": new Uint8Array(1 << 20), "model.safetensors": new Uint8Array(8) });
    const view = new DataView(bomb.buffer);
    const central = bomb.length - 22 - (46 + "model.safetensors".length) - (46 + "model.json".length);
    assert.equal(view.getUint32(central, true), 0x02014b50);
    view.setUint32(central + 24, 0xfffffff0, true);
    await assert.rejects(
      loadModel(write("bomb.zip", bomb)),
      fails(/size of 'model\.json' is not plausible/, "model"),
    );
    view.setUint32(central + 24, 1000, true);
    await assert.rejects(loadModel(write("short.zip", bomb)), fails(/cannot be unpacked/, "model"));
    const header = new Uint8Array(1024);
    header.set(new TextEncoder().encode("model.json"), 0);
    header.set(new TextEncoder().encode("77777777777\0"), 124);
    header.fill(32, 148, 156);
    header.set(new TextEncoder().encode("0"), 156);
    header.set(new TextEncoder().encode("ustar"), 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.set(new TextEncoder().encode(sum.toString(8).padStart(6, "0")), 148);
    await assert.rejects(
      loadModel(write("bomb.tar.gz", gzipSync(header))),
      fails(/size of 'model\.json' is not plausible/, "model"),
    );
  });

  test("with changed bytes is detected by its checksum", async () => {
    const bytes = new Uint8Array(readFileSync(at("model.zip")));
    bytes[5000]! ^= 1;
    await assert.rejects(
      loadModel(write("changed.zip", bytes)),
      fails(/damaged: its checksum does not match/, "model"),
    );
  });
});

describe("a single file model.pt", () => {
  test("of ArchMap and of scvi-hub equals the folder to the bit", async () => {
    for (const name of ["archmap", "hub"]) {
      await (await ScPoli.import(single(name))).save(at(name));
      assert.deepEqual(bytesOf(name), bytesOf("model"), name);
      mkdirSync(at(`${name} folder`));
      cpSync(single(name), at(`${name} folder`, "model.pt"));
      await (await ScPoli.load(at(`${name} folder`))).save(at(`${name} 2`));
      assert.deepEqual(bytesOf(`${name} 2`), bytesOf("model"), name);
    }
  });

  test("of before the release equals the folder to the bit", async () => {
    const genes = Array.from({ length: 20 }, (_, g) => `gene${g}`);
    await (await ScPoli.import(join(scarches, "before"), { genes })).save(at("before"));
    await (await ScPoli.import(single("legacy"))).save(at("legacy"));
    assert.deepEqual(bytesOf("legacy"), bytesOf("before"));
  });

  test("of another model is refused by its name, with what to do", async () => {
    for (const [name, says] of [
      ["scvi", /scVI model of scvi-tools.*--condition-key sample --cell-type-key LABELS/],
      ["scanvi", /scANVI model of scvi-tools.*--condition-key donor --cell-type-key cell_type/],
      ["scvi-scpoli", /scPoli model of scvi-tools, not of scArches.*--condition-key donor/],
    ] as const)
      await assert.rejects(ScPoli.import(single(name)), fails(says, "model"));
    await assert.rejects(
      ScPoli.import(join(scarches, "reference", "model_params.pt")),
      fails(/only the parameters of a scPoli model.*attr\.pkl/, "model"),
    );
  });
});

test("damage of an archive or a model.pt ends in a named error or a whole model", async () => {
  execFileSync("tar", ["-czf", at("fuzz.tgz"), "-C", scarches, "reference"]);
  execFileSync("tar", ["-cf", at("fuzz.tar"), "-C", folder, "model"]);
  const { imported, refused } = await fuzzArchives({
    paths: [
      at("model.zip"),
      at("fuzz.tgz"),
      at("fuzz.tar"),
      single("archmap"),
      single("hub"),
      single("legacy"),
    ],
    count: 240,
    seed: 1,
    folder: at("fuzz"),
  });
  assert.equal(imported + refused, 240);
  assert.ok(refused > 100, `${imported} imported, ${refused} refused`);
});

test("a missing file is reported", async () => {
  await assert.rejects(importScArches(at("nowhere")), fails(/There is no model/, "file"));
});
