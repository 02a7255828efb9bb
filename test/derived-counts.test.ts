// Derived counts: recovered from log1p of counts per 10,000, summed over columns of a gene; genes matched by
// symbol, id and column.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { AnnData } from "../dist/anndata/anndata.js";
import type { Column, DataFrame } from "../dist/anndata/dataframe.js";
import { sparseMatrix, type SparseRows } from "../dist/anndata/matrix.js";
import { writeH5ad } from "../dist/anndata/write.js";
import type { Note } from "../dist/contract/options.js";
import { findCounts } from "../dist/data/count-places.js";
import { sumDuplicates } from "../dist/data/derived-counts.js";
import { recoverRow } from "../dist/data/recovered-counts.js";
import { ScPoliError } from "../dist/contract/errors.js";
import { matchGeneNames } from "../dist/data/gene-names.js";
import { Random } from "../dist/numerics/random.js";
import { scpoli, temporaryFolder } from "./command.js";
import { simulate } from "./simulate.js";

const folder = temporaryFolder();
const random = new Random(5, "derived counts");

/** log1p of counts per 10,000 in float32, as scanpy has them. */
function normalised(
  counts: Float32Array,
  total = counts.reduce((sum, count) => sum + count, 0),
): Float32Array {
  const scale = Math.fround(1e4 / total);
  return counts.map((count) => Math.log1p(Math.fround(count * scale)));
}
const someCounts = (length: number, most: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => (i === 0 ? 1 : 1 + random.below(most)));

describe("counts recovered from log1p of counts per 10,000", () => {
  test("exactly, for cells of every depth", () => {
    for (const [genes, most] of [
      [1, 1],
      [3, 2],
      [40, 5],
      [500, 30],
      [3000, 4],
      [2000, 900],
    ] as const)
      for (let cell = 0; cell < 20; cell++) {
        const counts = someCounts(genes, most);
        assert.deepEqual(recoverRow(normalised(counts)), counts, `${genes} genes, counts up to ${most}`);
      }
  });
  test("if genes were removed after normalisation, the total exceeds the sum", () => {
    const counts = someCounts(300, 9);
    assert.deepEqual(recoverRow(normalised(counts, 7919)), counts);
  });
  test("where no gene has a count of 1", () => {
    assert.deepEqual(recoverRow(normalised(Float32Array.of(2, 3, 5, 2))), Float32Array.of(2, 3, 5, 2));
  });
  test("refused: another base or total, scaled values, fractional counts", () => {
    const counts = someCounts(200, 20);
    const total = counts.reduce((sum, count) => sum + count, 0);
    assert.equal(recoverRow(normalised(counts).map((value) => value / Math.LN2)), null);
    assert.equal(
      recoverRow(
        normalised(
          counts.map((count) => count + 0.37),
          total,
        ),
      ),
      null,
    );
    assert.equal(recoverRow(Float32Array.of(-0.3, 1.2)), null);
    assert.equal(recoverRow(Float32Array.from({ length: 50 }, () => random.uniform() * 5)), null);
  });

  const block = (
    cells: number,
    genes: number,
    values: (counts: Float32Array, cell: number) => Float32Array,
  ): SparseRows => ({
    rows: cells,
    columns: genes,
    indptr: Int32Array.from({ length: cells + 1 }, (_, cell) => cell * genes),
    indices: Int32Array.from({ length: cells * genes }, (_, i) => i % genes),
    values: Float32Array.from(
      Array.from({ length: cells }, (_, cell) => [
        ...values(
          Float32Array.from({ length: genes }, (_, gene) => 1 + ((cell * 7 + gene * 3) % 5)),
          cell,
        ),
      ]).flat(),
    ),
  });
  const names = (prefix: string, count: number): string[] =>
    Array.from({ length: count }, (_, i) => `${prefix}${i}`);
  async function file(name: string, X: SparseRows): Promise<AnnData> {
    const path = join(folder, name);
    await writeH5ad(path, { X, obs: { index: names("c", X.rows) }, var: { index: names("g", X.columns) } });
    return AnnData.open(path);
  }

  test("of a file: refused with the way out, given on request, a bad cell is named", async () => {
    const data = await file(
      "log.h5ad",
      block(60, 12, (counts) => normalised(counts)),
    );
    await assert.rejects(
      findCounts(data),
      (error: ScPoliError) =>
        error.kind === "counts" && /X holds log1p of counts per 10,000.*--recover-counts/.test(error.message),
    );
    const place = await findCounts(data, undefined, { recoverCounts: true });
    assert.equal(place.recoveredFrom, "log1p of counts per 10,000");
    assert.deepEqual(
      (await place.matrix.read(8, 9)).values,
      Float32Array.from({ length: 12 }, (_, gene) => 1 + ((8 * 7 + gene * 3) % 5)),
    );
    data.close();
    const bad = await file(
      "bad.h5ad",
      block(60, 12, (counts, cell) => (cell === 20 ? counts.map((count) => count / 7) : normalised(counts))),
    );
    const badPlace = await findCounts(bad, undefined, { recoverCounts: true });
    await assert.rejects(
      badPlace.matrix.read(0, 60),
      (error: ScPoliError) => error.kind === "counts" && /cell 'c20' \(row 20\)/.test(error.message),
    );
    bad.close();
  });

  test("existing counts are not changed", async () => {
    const data = await file(
      "counts.h5ad",
      block(60, 12, (counts) => counts),
    );
    const place = await findCounts(data, undefined, { recoverCounts: true });
    assert.equal(place.recoveredFrom, undefined);
    data.close();
  });
});

const frame = (
  index: readonly string[],
  columns: Readonly<Record<string, readonly string[]>> = {},
): DataFrame => ({
  length: index.length,
  columnNames: Object.keys(columns),
  index: async () => index,
  column: async (name): Promise<Column> => ({ kind: "string", length: index.length, values: columns[name]! }),
});

test("columns of a gene are summed, invalid values are left for validation", async () => {
  const matrix = sparseMatrix(
    {
      rows: 3,
      columns: 5,
      indptr: Int32Array.of(0, 3, 3, 6),
      indices: Int32Array.of(0, 2, 4, 1, 2, 3),
      values: Float32Array.of(1, 2, 4, 5, -6, 7),
    },
    "memory",
  );
  const { place, summed, names } = await sumDuplicates({ matrix, var: frame(["a", "b", "a", "c", "a"]) }, [
    "a",
    "b",
    "a",
    "c",
    "a",
  ]);
  assert.equal(summed, 2);
  assert.deepEqual(names, ["a", "b", "c"]);
  assert.deepEqual(await place.var.index(), ["a", "b", "c"]);
  const { indptr, indices, values } = await place.matrix.read(0, 3);
  assert.deepEqual([...indptr], [0, 1, 1, 4]);
  assert.deepEqual([...indices], [0, 0, 1, 2]);
  assert.deepEqual([...values], [7, -6, 5, 7]);
});

test("the command line: a model of recovered or summed counts is that of the counts themselves", async () => {
  const [cells, genes] = [60, 20];
  const { data, counts } = simulate({ cells, genes });
  const logs = Float32Array.from(
    Array.from({ length: cells }, (_, cell) => [
      ...normalised(counts.subarray(cell * genes, (cell + 1) * genes)),
    ]).flat(),
  );
  // the counts of even genes are split over two adjacent columns
  const twins = data.var.index.flatMap((name, gene) => (gene % 2 === 0 ? [name, name] : [name]));
  const split = Float32Array.from({ length: cells * twins.length }, (_, i) => {
    const [cell, column] = [Math.floor(i / twins.length), i % twins.length];
    const gene = 2 * Math.floor(column / 3) + Math.floor((column % 3) / 2);
    const count = counts[cell * genes + gene]!;
    return gene % 2 === 1 ? count : column % 3 === 0 ? Math.floor(count / 2) : Math.ceil(count / 2);
  });
  await writeH5ad(join(folder, "plain.h5ad"), data);
  await writeH5ad(join(folder, "logs.h5ad"), { ...data, X: { rows: cells, columns: genes, values: logs } });
  await writeH5ad(join(folder, "twins.h5ad"), {
    ...data,
    X: { rows: cells, columns: twins.length, values: split },
    var: { index: twins },
  });
  const train = async (
    name: string,
    ...more: string[]
  ): Promise<{ code: number | null; stderr: string; weights: () => string }> => {
    const model = join(folder, `model of ${name}`);
    const args = [
      "train",
      join(folder, `${name}.h5ad`),
      "-o",
      model,
      "--condition-key",
      "donor",
      "--cell-type-key",
      "cell_type",
      "--epochs",
      "2",
      "--threads",
      "1",
      ...more,
    ];
    return { ...(await scpoli(args)), weights: () => readFileSync(join(model, "model.safetensors"), "hex") };
  };
  const plain = await train("plain");
  assert.equal(plain.code, 0, plain.stderr);
  for (const [name, flags, refusal] of [
    ["logs", ["--recover-counts"], /--recover-counts/],
    ["twins", ["--duplicate-genes", "sum"], /--duplicate-genes sum/],
  ] as const) {
    const refused = await train(name);
    assert.equal(refused.code, 3, refused.stderr);
    assert.match(refused.stderr, refusal);
    const trained = await train(name, ...flags);
    assert.equal(trained.code, 0, trained.stderr);
    assert.ok(trained.weights() === plain.weights(), `${name}: other weights than those of the counts`);
  }
  assert.equal((await train("twins", "--duplicate-genes", "drop")).code, 2);
});

describe("names of genes", () => {
  const match = async (
    model: readonly string[],
    genes: DataFrame,
  ): Promise<{ names: readonly (string | null)[]; matched: object; notes: string[] }> => {
    const notes: Note[] = [];
    const { names, matched } = await matchGeneNames(model, genes, (note) => notes.push(note));
    return { names, matched, notes: notes.map(({ message }) => message) };
  };
  const ids = ["ENSG00000141510", "ENSG00000012048", "ENSG00000139618"];

  test("the index is used unchanged, without a note", async () => {
    assert.deepEqual(await match(["a", "b"], frame(["b", "x", "a"])), {
      names: ["b", null, "a"],
      matched: { name: 2 },
      notes: [],
    });
  });
  test("Ensembl ids with a version on either side", async () => {
    const versioned = ids.map((id, i) => `${id}.${i + 3}`);
    const { names, matched, notes } = await match(ids, frame(versioned));
    assert.deepEqual([names, matched], [ids, { "name without version": 3 }]);
    assert.match(notes[0]!, /name without version: 3/);
    assert.deepEqual((await match(versioned, frame(ids))).names, versioned);
  });
  test("symbols in feature_name, ids in gene_ids, the rest by the index", async () => {
    const symbols = ["TP53", "BRCA1", "BRCA2"];
    assert.deepEqual((await match(symbols, frame(ids, { feature_name: symbols }))).names, symbols);
    assert.deepEqual((await match(ids, frame(symbols, { gene_ids: ids }))).matched, { 'var["gene_ids"]': 3 });
    const mixed = await match(["TP53", "BRCA1", "ENSG00000139618"], frame(ids, { feature_name: symbols }));
    assert.deepEqual(
      [mixed.names, mixed.matched],
      [["TP53", "BRCA1", "ENSG00000139618"], { 'var["feature_name"]': 2, name: 1 }],
    );
  });
  test("a gene in two columns stays in two, to be refused or added up; case counts", async () => {
    assert.deepEqual((await match(["a"], frame(["a", "A", "a"]))).names, ["a", null, "a"]);
  });
  test("each column is used once: a gene matched by symbol matches no other column", async () => {
    assert.deepEqual(
      (await match(["x", "y", "z"], frame(["z", "k", "m"], { feature_name: ["x", "y", "z"] }))).names,
      ["x", "y", "z"],
    );
  });
});
