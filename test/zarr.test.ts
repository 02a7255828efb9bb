// AnnData-Zarr against the real anndata and zarr-python: what they wrote is read value by value, what ours wrote they open and compare. And damaged stores, one error each.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { AnnData } from "../dist/anndata/anndata.js";
import { findCounts } from "../dist/count-places.js";
import { CountsInMemory, type CountRows } from "../dist/count-source.js";
import { loadCounts } from "../dist/counts.js";
import type { Minibatch } from "../dist/engine/engine.js";
import { openStreamedCounts } from "../dist/streamed-counts.js";
import { assertContents, assertMatrix, fails, plainColumn, type ExpectedContents, type ExpectedMatrix } from "./compare.ts";
import { runPython } from "./python/environment.ts";

const folder = mkdtempSync(join(tmpdir(), "scpoli-zarr-"));
const at = (name: string): string => join(folder, name);
let expected: { readonly full: ExpectedContents; readonly matrices: Readonly<Record<string, ExpectedMatrix>> };

before(() => {
  runPython("zarr_files.py", "make", folder);
  expected = JSON.parse(readFileSync(at("expected.json"), "utf8").replaceAll("NaN", "null")) as typeof expected;
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function withStore<T>(name: string, use: (data: AnnData) => Promise<T> | T): Promise<T> {
  const data = await AnnData.open(at(name));
  try {
    return await use(data);
  } finally {
    data.close();
  }
}

describe("reading what anndata wrote", () => {
  for (const name of ["v2.zarr", "v3.zarr", "not consolidated.zarr", "sharded.zarr", "v3.zarr.zip", "v2.zarr.zip"]) {
    test(`a whole one: ${name}`, () => withStore(name, async (data) => {
      await assertContents(data, expected.full);
      assert.deepEqual(await data.uns("nested"), { deep: { x: 1 }, flags: [true, false] });
      assert.deepEqual(await Promise.all(["text", "number", "whole", "flag", "colors", "sparse"].map((key) => data.uns(key))), ["ü", 2.5, 7, true, ["#fff", "#000"], undefined]);
    }));
  }

  test("every compression", async () => {
    for (const [name, wanted] of Object.entries(expected.matrices)) {
      await withStore(`${name}.zarr`, async ({ X }) => {
        if (name === "v2 blosclz") await fails(() => X!.read(0, 3), "file", /blosclz/);
        else await assertMatrix(X!, wanted).catch((error: Error) => assert.fail(`${name}: ${error.message}`));
      });
    }
  });

  for (const version of [2, 3]) {
    test(`nullable texts, as names and as categories: version ${version}`, () => withStore(`nullable v${version}.zarr`, async (data) => {
      assert.deepEqual((await data.obs.index()).slice(0, 2), ["cell0", "cell1"]);
      const texts = plainColumn(await data.obs.column("text")) as { kind: string; values?: unknown[] };
      assert.ok(texts.kind === "categorical" || texts.values![0] === null, JSON.stringify(texts));
      assert.deepEqual(plainColumn(await data.obs.column("few")), { kind: "categorical", codes: Array.from({ length: 40 }, (_, i) => i % 2), categories: ["a", "b"], ordered: false });
    }));
  }
});

test("counts are streamed from a sharded store, by a thread too, as they are in memory", () =>
  withStore("sharded.zarr", async (data) => {
    const place = await findCounts(data, "counts");
    const { rows, columns } = place.matrix;
    const genes = Int32Array.from({ length: columns }, (_, gene) => gene);
    const cells = Int32Array.from({ length: rows }, (_, cell) => cell);
    const memory = new CountsInMemory(await loadCounts(place, genes, columns));
    for (const leastForThread of [Infinity, 0]) {
      const streamed = await openStreamedCounts(place, genes, columns, {}, { rows: 4, together: 3 }, leastForThread);
      const order = streamed.shuffled(cells, 0, 0);
      const pass = streamed.pass(order);
      for (let start = 0; start < rows; start += 5) {
        await pass.reach(order.subarray(start, start + 5));
        for (const cell of order.subarray(start, start + 5)) assert.deepEqual(rowOf(pass, cell, columns), rowOf(memory, cell, columns), `cell ${cell}`);
      }
      await pass.end();
    }
  }));

/** Genes and counts of a cell. */
function rowOf(counts: CountRows, cell: number, genes: number): unknown {
  const row = { indices: new Int32Array(genes), counts: new Float32Array(genes) };
  const end = counts.put(cell, row as unknown as Minibatch, 0, 0);
  return [row.indices.subarray(0, end), row.counts.subarray(0, end)];
}

describe("stores that cannot be read", () => {
  const damage = (name: string, source: string, file: string, change: (bytes: Buffer) => Uint8Array | string): string => {
    cpSync(at(source), at(name), { recursive: true });
    writeFileSync(at(`${name}/${file}`), change(readFileSync(at(`${name}/${file}`))));
    return name;
  };
  const meta = (change: (json: Record<string, unknown>) => object) => (bytes: Buffer): string => JSON.stringify(change(JSON.parse(bytes.toString()) as Record<string, unknown>));
  const readX = (name: string) => withStore(name, (data) => data.X!.read(0, data.nObs));

  test("metadata", async () => {
    const zarrJson = "X/data/zarr.json";
    await fails(() => withStore(damage("m2", "v3.zarr", zarrJson, () => "{"), () => 0), "format", /m2: X\/data\/zarr\.json is damaged: it is no JSON/);
    await fails(() => withStore(damage("m3", "v3.zarr", zarrJson, () => "[1]"), () => 0), "format", /an object was expected/);
    await fails(() => withStore(damage("m4", "v3.zarr", zarrJson, meta((json) => ({ ...json, shape: [-3] }))), () => 0), "format", /X\/data is damaged: its shape is \[-3\]/);
    await fails(() => readX(damage("m5", "v3.zarr", zarrJson, meta((json) => ({ ...json, shape: [1e15] })))), "format", /"data" has 1000000000000000 entries and "indices"/);
    await fails(() => readX(damage("m6", "v3.zarr", zarrJson, meta((json) => ({ ...json, codecs: [{ name: "bytes" }, { name: "pcodec" }] })))), "format", /X\/data cannot be read: .*pcodec/);
    await fails(() => withStore(damage("m7", "v3.zarr", zarrJson, meta((json) => ({ ...json, chunk_grid: { name: "regular", configuration: { chunk_shape: [0] } } }))), () => 0), "format", /X\/data is damaged: its chunks are \[0\]/);
    await fails(() => withStore(damage("m8", "v2.zarr", "X/data/.zarray", meta((json) => ({ ...json, chunks: [3, 3] }))), () => 0), "format", /X\/data is damaged: its chunks/);
    await fails(() => readX(damage("m9", "v2.zarr", "X/data/.zarray", meta((json) => ({ ...json, dtype: "<c16" })))), "format", /numbers were expected/);
    await fails(() => withStore(damage("m10", "v3.zarr", "obs/zarr.json", meta((json) => ({ ...json, attributes: { _index: "none" } }))), () => 0), "format", /no row names/);
  });

  test("chunks that are truncated, damaged or of another length", async () => {
    const sources = ["v2.zarr", "v3.zarr", "sharded.zarr", "blosc zstd.zarr", "blosc lz4.zarr", "gzip.zarr", "v2 lz4.zarr"] as const;
    const fileOf: Readonly<Record<string, string>> = { "v2.zarr": "X/data/0", "v2 lz4.zarr": "X/0.0" };
    let number = 0;
    for (const source of sources) {
      const file = fileOf[source] ?? "X/data/c/0";
      for (const cut of [0, 1, 5, 17, 40]) await fails(() => readX(damage(`c${number++}`, source, file, (bytes) => bytes.subarray(0, cut))), "file", /X(\/data)? cannot be read: chunk .* is damaged/);
      await fails(() => readX(damage(`c${number++}`, source, file, (bytes) => bytes.subarray(0, bytes.length - 9))), "file", /is damaged/);
    }
    await fails(() => readX(damage(`c${number++}`, "v3.zarr", "X/data/zarr.json", meta((json) => ({ ...json, chunk_grid: { name: "regular", configuration: { chunk_shape: [100] } } })))), "file", /bytes/);
  });

  test("a folder, a zip file and a store of something else", async () => {
    writeFileSync(at("bad.zip"), Buffer.concat([readFileSync(at("v3.zarr.zip")).subarray(0, 5000)]));
    await fails(() => AnnData.open(at("bad.zip")), "file", /bad\.zip cannot be opened: .*zip/);
    await fails(() => AnnData.open(at("v3.zarr/obs")), "format", /is a Zarr store, but no AnnData/);
    await fails(() => AnnData.open(folder), "file", /is a folder, but no Zarr store/);
  });
});
