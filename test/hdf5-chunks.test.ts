// Values read without HDF5 equal those of HDF5 and h5py, for every layout that h5py writes; unusual or
// damaged data are left to HDF5, or give clear errors.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Hdf5File, type Hdf5Dataset } from "../dist/anndata/hdf5.js";
import type { NumericArray } from "../dist/anndata/matrix.js";
import { fails } from "./compare.ts";
import { runPython } from "./python/environment.ts";

const folder = mkdtempSync(join(tmpdir(), "scpoli-chunks-"));
const at = (name: string): string => join(folder, name);
let expected: Readonly<Record<string, { readonly values: readonly number[]; readonly rows: number }>>;
before(() => {
  runPython("hdf5_layouts.py", folder);
  expected = JSON.parse(readFileSync(at("layouts.json"), "utf8")) as typeof expected;
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function withFile<T>(path: string, use: (file: Hdf5File) => Promise<T>): Promise<T> {
  const file = await Hdf5File.open(path, "r");
  try {
    return await use(file);
  } finally {
    file.close();
  }
}

const isLeftToHdf5 = async (dataset: Hdf5Dataset): Promise<boolean> => (await dataset.describe()) === null;
const odd = [
  "never written",
  "partly written",
  "made longer",
  "checksums",
  "lzf",
  "big-endian",
  "three dimensions",
  "filter left out",
  "28 bits of 32",
  "in the header",
];

test("every layout and type: the values of h5py; pieces of them, in arrays of other types too", async () => {
  assert.ok(Object.keys(expected).length > 60);
  await withFile(at("layouts.h5"), async (file) => {
    for (const [name, { values, rows }] of Object.entries(expected)) {
      if (name === "integers too large" || name === "another file") continue;
      const dataset = file.dataset(name);
      assert.deepEqual(Array.from(await dataset.numbers()), values, name);
      assert.equal(await isLeftToHdf5(dataset), odd.includes(name), name);
      const { width } = dataset;
      for (const [start, end] of [
        [0, 1],
        [3, 5],
        [6, 29],
        [rows - 9, rows],
        [36, 75],
        [20, 999],
      ] as const) {
        if (start < 0 || end > rows) continue;
        const wanted = values.slice(start * width, end * width);
        const small = wanted.every((value) => value === (value | 0));
        for (const target of [
          dataset.array(wanted.length + 5),
          new Float64Array(wanted.length + 5),
          ...(small ? [new Int32Array(wanted.length + 5)] : []),
        ] as NumericArray[]) {
          target.fill(99);
          await dataset.readInto(target, 2, start, end);
          assert.deepEqual(
            Array.from(target),
            [99, 99, ...wanted, 99, 99, 99],
            `${name}, rows ${start} to ${end}`,
          );
        }
      }
    }
  });
});

test("a link into another file is named, not followed", () =>
  withFile(at("layouts.h5"), (file) =>
    fails(async () => void file.dataset("another file"), "format", /link to another file, other\.h5/),
  ));

test("integers beyond 2^53 are refused, also with HDF5's help", () =>
  withFile(at("layouts.h5"), async (file) => {
    await fails(
      () => file.dataset("integers too large").numbers(),
      "format",
      /integers too large/,
      /beyond 2\^53/,
    );
    assert.deepEqual([...(await file.dataset("large integers").numbers())], [2 ** 53 - 1, 1 - 2 ** 53, 5]);
  }));

for (const [name, left] of [
  ["user block.h5", false],
  ["latest.h5", true],
] as const)
  test(`${name}: the same values`, () =>
    withFile(at(name), async (file) => {
      for (const key of file.keys("/")) {
        if (key === "integers too large") continue;
        const dataset = file.dataset(key);
        assert.deepEqual(Array.from(await dataset.numbers()), expected[key]!.values, key);
        assert.equal(await isLeftToHdf5(dataset), left, key);
      }
    }));

test("a changed file is read through HDF5, which knows unwritten data", async () => {
  const file = await Hdf5File.open(at("layouts.h5"), "a");
  const dataset = file.dataset("gzip f4");
  assert.deepEqual(Array.from(await dataset.numbers()), expected["gzip f4"]!.values);
  assert.ok(await isLeftToHdf5(dataset));
  file.close();
});

test("a stream that is damaged, or holds more or less than its chunk", () =>
  withFile(at("streams.h5"), async (file) => {
    assert.equal((await file.dataset("right").numbers()).length, 64);
    for (const name of ["too short", "too long", "cut off", "no stream"])
      await fails(() => file.dataset(name).numbers(), "file", new RegExp(`streams.h5: ${name}.*damaged`));
    assert.equal((await file.dataset("right").numbers()).length, 64);
  }));

test("a chunk index with a cycle, or with a chunk beyond the end of the file", async () => {
  const bytes = readFileSync(at("layouts.h5"));
  // of level 2: the tree of the thousands of chunks
  const root = bytes.indexOf(Buffer.from([0x54, 0x52, 0x45, 0x45, 1, 2]));
  assert.ok(root > 0);
  const child = root + 24 + 24;
  for (const address of [BigInt(root), BigInt(bytes.length - 100), 2n ** 63n, 2n ** 64n - 1n]) {
    const damaged = Buffer.from(bytes);
    damaged.writeBigUInt64LE(address, child);
    writeFileSync(at("tree.h5"), damaged);
    await withFile(at("tree.h5"), async (file) => {
      await fails(
        () => file.dataset("thousands of chunks").numbers(),
        "file",
        /thousands of chunks.*damaged/,
      );
    });
  }
});

test("a file that is cut off or closed while it is read", async () => {
  writeFileSync(at("cut.h5"), readFileSync(at("layouts.h5")));
  const file = await Hdf5File.open(at("cut.h5"), "r");
  const dataset = file.dataset("thousands of chunks");
  await dataset.readInto(new Int32Array(5), 0, 0, 5);
  truncateSync(at("cut.h5"), 5000);
  await fails(() => dataset.numbers(), "file", /cut\.h5: thousands of chunks.*damaged/);
  file.close();
  await fails(() => dataset.numbers(), "file", /cut\.h5: thousands of chunks/);
});

test("texts, many at once: what h5py wrote, each decoded by itself", () =>
  withFile(at("texts.h5"), async (file) => {
    const texts = (JSON.parse(readFileSync(at("texts.json"), "utf8")) as string[]).map((text) =>
      text.replace(/^\ufeff/, ""),
    );
    assert.equal(texts[9], "mark");
    assert.ok((await file.dataset("texts").strings()).every((text, i) => text === texts[i]));
    assert.equal((await file.dataset("texts").strings()).length, texts.length);
    assert.deepEqual(await file.dataset("broken").strings(), ["a", "\ufffd", "\ufffdb", ""]);
  }));

test("non-ASCII names are listed; one cut within a character, which h5wasm misreads, is left out", () =>
  withFile(at("names.h5"), async (file) => {
    for (let again = 0; again < 20; again++)
      assert.deepEqual(file.keys("all").sort(), ["plain", "α", "🧬 gene"]);
  }));
