// Files of CellRanger, versions 2 and 3, as HDF5 and as folders: read as AnnData. Damaged ones give one error
// each.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import type * as hdf5 from "h5wasm/node";
import { AnnData } from "../dist/anndata/anndata.js";
import { writeCopy } from "../dist/anndata/write.js";
import { convert } from "../dist/api/convert.js";
import type { Note } from "../dist/contract/options.js";
import { findCounts } from "../dist/data/count-places.js";
import { temporaryFolder } from "./command.ts";
import { assertMatrix, fails, plainColumn } from "./compare.ts";
import { barcodes, ids, value, writeTenxFolder, writeTenxH5 } from "./tenx.ts";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const dense = (
  wanted: readonly number[],
): { rows: number; columns: number; values: number[]; dtype: string } => ({
  rows: barcodes.length,
  columns: wanted.length,
  values: barcodes.flatMap((_, cell) => wanted.map((gene) => value(cell, gene))),
  dtype: "int32",
});
const expression = [0, 1, 2, 3, 5];

const writeH5 = (name: string, group: string, edit?: (file: hdf5.File) => void): Promise<string> =>
  writeTenxH5(at(name), group, edit);
const writeFolder = (name: string, gzip: boolean, mtx?: (lines: string[]) => string[]): string =>
  writeTenxFolder(at(name), gzip, mtx);

async function assertTenx(path: string, wanted: readonly number[], hasTypes: boolean): Promise<void> {
  const data = await AnnData.open(path);
  try {
    assert.deepEqual(await data.obs.index(), barcodes);
    assert.deepEqual(await data.var.index(), ["A", "B", "A-1", "C", "CD3", "A-2"]);
    assert.deepEqual(data.var.columnNames, hasTypes ? ["gene_ids", "feature_types"] : ["gene_ids"]);
    assert.deepEqual(plainColumn(await data.var.column("gene_ids")), {
      kind: "string",
      values: ids,
    });
    await assertMatrix(data.X!, dense([...ids.keys()]));
    const notes: Note[] = [];
    const { matrix } = await findCounts(data, undefined, { note: (note) => notes.push(note) });
    await assertMatrix(matrix, dense(wanted));
    assert.deepEqual(
      notes.map(({ message }) => /1 Antibody Capture/.test(message)),
      hasTypes ? [true] : [],
    );
  } finally {
    data.close();
  }
}

describe("CellRanger", () => {
  test("matrix.h5, version 3 and 2", async () => {
    await writeH5("v3.h5", "matrix");
    await assertTenx(at("v3.h5"), expression, true);
    await writeH5("v2.h5", "GRCh38");
    await assertTenx(at("v2.h5"), [0, 1, 2, 3, 4, 5], false);
  });

  test("folders, entries in any order", async () => {
    await assertTenx(writeFolder("new", true), expression, true);
    await assertTenx(writeFolder("old", false), [0, 1, 2, 3, 4, 5], false);
  });

  test("results go into a new .h5ad, conversions into any", async () => {
    const data = await AnnData.open(at("v3.h5"));
    await writeCopy(data, at("results.h5ad"), {
      obs: { score: { kind: "number", values: Float32Array.from(barcodes, (_, i) => i) } },
    });
    await convert(data, at("v3.zarr"));
    data.close();
    for (const name of ["results.h5ad", "v3.zarr"]) {
      const written = await AnnData.open(at(name));
      assert.deepEqual(await written.obs.index(), barcodes);
      assert.deepEqual(written.obs.columnNames, name === "v3.zarr" ? [] : ["score"]);
      assert.deepEqual(written.var.columnNames, ["gene_ids", "feature_types"]);
      await assertMatrix(written.X!, dense(name === "v3.zarr" ? expression : [...ids.keys()]));
      written.close();
    }
  });

  test("damaged ones", async () => {
    await writeH5(
      "two.h5",
      "GRCh38",
      (file) => (file.create_group("mm10"), file.create_dataset({ name: "mm10/barcodes", data: ["a"] })),
    );
    await fails(() => AnnData.open(at("two.h5")), "format", /2 genomes: GRCh38, mm10/);
    const bad = async (name: string, edit: (lines: string[]) => string[], ...says: RegExp[]) =>
      fails(() => AnnData.open(writeFolder(name, false, edit)), "format", ...says);
    await bad("b1", (lines) => lines.slice(0, -2), /declares \d+ values, but has \d+/);
    await bad("b2", (lines) => [...lines, "1 1 1"], /more than the \d+ values/);
    await bad(
      "b3",
      (lines) => lines.map((line, i) => (i === 5 ? "0 1 1" : line)),
      /line 6 has a value at \(0, 1\)/,
    );
    await bad(
      "b4",
      (lines) => lines.map((line, i) => (i === 5 ? "x y" : line)),
      /line 6 is "x y"; three numbers were expected/,
    );
    await bad("b5", (lines) => lines.map((line, i) => (i === 0 ? "hello" : line)), /first line is "hello"/);
    await bad(
      "b6",
      (lines) => lines.map((line, i) => (i === 2 ? "9 9 9" : line)),
      /it is 9 x 9, but there are 6 features and 40 barcodes/,
    );
    await bad(
      "b7",
      (lines) => lines.map((line, i) => (i === 5 ? lines[4]! : line)),
      /has two values in cell/,
    );
    writeFileSync(
      join(writeFolder("b8", true), "matrix.mtx.gz"),
      gzipSync("%%MatrixMarket matrix coordinate integer general\n".repeat(9)).subarray(0, 30),
    );
    await fails(() => AnnData.open(at("b8")), "file", /matrix\.mtx\.gz cannot be read/);
    mkdirSync(at("b9"));
    writeFileSync(at("b9/matrix.mtx"), "");
    await fails(() => AnnData.open(at("b9")), "file", /no features\.tsv or genes\.tsv/);
  });
});
