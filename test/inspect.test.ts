// Inspection: descriptions of columns and matrices, and the columns proposed as keys.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Note } from "../dist/contract/options.js";
import { ScPoliError } from "../dist/contract/errors.js";
import { inspect } from "../dist/api/inspect.js";
import { annData, booleans, categorical, frame, matrix, names, numbers, strings } from "./memory.js";

const cells = 60;
const X = matrix(Array.from({ length: cells }, () => [1, 2, 0]));
const groups = (n: number, prefix: string): string[] =>
  Array.from({ length: cells }, (_, cell) => `${prefix}${cell % n}`);
const numbered = (n: number): number[] => Array.from({ length: cells }, (_, cell) => cell % n);

test("size, columns, counts and proposals, ready for JSON", async () => {
  const obs = frame(names("c", cells), {
    "percent.mito": numbers(numbered(60)),
    stim: categorical(numbered(2), ["ctrl", "stim"]),
    sampleID: strings(groups(6, "s")),
    donor: strings(groups(4, "d")),
    barcode_sample: strings(groups(60, "each")),
    batch: numbers(numbered(3)),
    is_doublet_sample: booleans(numbered(2).map(Boolean)),
    assay: strings(groups(1, "10x")),
    cell_type_pred: strings(groups(3, "p")),
    leiden: numbers(numbered(5)),
    "author cell type": strings(groups(5, "t")),
    sample_cluster: strings(groups(5, "t")),
    partly: strings([...groups(2, "x").slice(1), null]),
  });
  const inspection = await inspect(annData({ X, obs }));
  assert.deepEqual(JSON.parse(JSON.stringify(inspection)), inspection);
  assert.deepEqual(
    [inspection.cells, inspection.genes, inspection.obs_columns, inspection.counts],
    [60, 3, 13, "X"],
  );
  assert.deepEqual(inspection.columns.slice(0, 3), [
    { name: "percent.mito", kind: "number", distinct: 60 },
    { name: "stim", kind: "categorical", distinct: 2 },
    { name: "sampleID", kind: "string", distinct: 6 },
  ]);
  assert.equal(inspection.columns.at(-1)!.distinct, 2);
  assert.deepEqual(inspection.places, [
    { place: "X", holds: "raw counts" },
    { place: "raw.X", holds: "not there" },
  ]);
  assert.deepEqual(
    inspection.condition_candidates.map(({ name }) => name),
    ["sampleID", "sample_cluster", "donor", "batch", "stim"],
  );
  assert.deepEqual(
    inspection.cell_type_candidates.map(({ name }) => name),
    ["author cell type", "leiden"],
  );
  assert.match(inspection.condition_candidates[0]!.why, /named like 'sample', 6 values, 10 cells each/);
});

test("no counts, no columns", async () => {
  const inspection = await inspect(annData({ X: matrix([[0.5]]) }));
  assert.deepEqual(
    [inspection.counts, inspection.columns, inspection.condition_candidates, inspection.cell_type_candidates],
    [null, [], [], []],
  );
  assert.match(inspection.places[0]!.holds, /fractional/);
});

test("a column or matrix that cannot be read does not stop the rest", async () => {
  const obs = {
    ...frame(names("c", cells), { donor: strings(groups(4, "d")) }),
    columnNames: ["odd", "donor"],
  };
  const broken = { ...X, read: () => Promise.reject(new ScPoliError("format", "it is compressed with lzf")) };
  const notes: Note[] = [];
  const inspection = await inspect(annData({ X: broken, layers: { counts: X }, obs }), (note) =>
    notes.push(note),
  );
  assert.deepEqual(
    notes.map(({ level }) => level),
    ["warning"],
  );
  assert.match(notes[0]!.message, /odd/);
  assert.deepEqual(inspection.columns, [
    { name: "odd", kind: "unreadable", distinct: 0 },
    { name: "donor", kind: "string", distinct: 4 },
  ]);
  assert.equal(inspection.counts, "layers/counts");
  assert.match(inspection.places[0]!.holds, /cannot be read: .*lzf/);
  assert.deepEqual(inspection.unreadable, ["obs/odd", "X"]);
});

test("a file of the CELLxGENE schema: its entries take precedence", async () => {
  const obs = frame(names("c", cells), {
    sample: strings(groups(6, "s")),
    donor_id: categorical(numbered(4), ["d0", "d1", "d2", "d3"]),
    suspension: strings(groups(2, "u")),
    author_cell_type: strings(groups(7, "t")),
    cell_type: categorical(numbered(5), ["a", "b", "c", "d", "e"]),
    cell_type_ontology_term_id: strings(groups(5, "CL:")),
  });
  const genes = frame(["ENSG00000141510", "ENSG00000012048", "ENSG00000139618"], {
    feature_name: strings(["TP53", "BRCA1", "BRCA2"]),
  });
  const log = matrix(Array.from({ length: cells }, () => [0.5, 1.5, 0]));
  const uns = { schema_version: "5.2.0", title: "Blood", batch_condition: ["suspension", "gone"] };
  const inspection = await inspect(annData({ X: log, raw: { X, var: genes }, obs, var: genes, uns }));
  assert.equal(inspection.counts, "raw.X");
  assert.deepEqual(inspection.cellxgene, {
    schema_version: "5.2.0",
    title: "Blood",
    gene_symbols: "feature_name",
  });
  assert.deepEqual(
    inspection.condition_candidates.map(({ name }) => name),
    ["suspension", "donor_id", "sample"],
  );
  assert.deepEqual(
    inspection.cell_type_candidates.map(({ name }) => name),
    ["cell_type", "author_cell_type"],
  );
  assert.equal((await inspect(annData({ X }))).cellxgene, null);
});
