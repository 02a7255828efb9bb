// The meaning of matrix values: which columns are genes, and which whole numbers are counts. In the library
// and the command line.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { AnnData, convert, inspect, readExpression, ScPoli, ScPoliError, writeH5ad } from "../dist/index.js";
import type { Column } from "../dist/anndata/dataframe.js";
import type { NewAnnData, NewUns } from "../dist/anndata/write.js";
import { findCounts } from "../dist/data/count-places.js";
import { featureTypes } from "../dist/data/feature-types.js";
import type { Note } from "../dist/contract/options.js";
import { Random } from "../dist/numerics/random.js";
import { scpoli, temporaryFolder, type Outcome } from "./command.ts";
import { annData, frame, matrix, names, strings, type Parts } from "./memory.ts";
import { simulate } from "./simulate.ts";
import { writeCounts10x } from "./tenx.ts";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const [cells, genes] = [120, 30];
const good = simulate({ cells, genes });
const geneNames = good.data.var.index;

async function rejects(promise: Promise<unknown>, kind: string, ...says: RegExp[]): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof ScPoliError, String(error));
    assert.equal(error.kind, kind);
    for (const pattern of says) assert.match(error.message, pattern);
    return true;
  });
}
async function works(args: readonly string[], ...says: RegExp[]): Promise<Outcome> {
  const outcome = await scpoli(args);
  assert.equal(outcome.code, 0, outcome.stderr);
  for (const pattern of says) assert.match(outcome.stderr, pattern);
  return outcome;
}
async function fails(args: readonly string[], ...says: RegExp[]): Promise<void> {
  const outcome = await scpoli(args);
  assert.equal(outcome.code, 3, outcome.stderr);
  for (const pattern of says) assert.match(outcome.stderr, pattern);
}
const train = (file: string, model: string, ...more: string[]): string[] => [
  ...["train", at(file), "-o", at(model), "--condition-key", "donor", "--epochs", "2", "--threads", "1"],
  ...["--force", ...more],
];
const genesOf = (model: string): string[] =>
  (JSON.parse(readFileSync(at(`${model}/model.json`), "utf8")) as { genes: string[] }).genes;
const weights = (model: string): string => readFileSync(at(`${model}/model.safetensors`), "hex");

describe("only gene expression is modelled", () => {
  const random = new Random(3, "proteins");
  const fileNames = [...geneNames, "CD3", "CD4_TotalSeqB", "gene0_ADT", "CD19", "CD56"];
  const types = fileNames.map((_, i) => (i < genes ? "Gene Expression" : "Antibody Capture"));
  const counts = Float32Array.from({ length: cells * fileNames.length }, (_, i) => {
    const [cell, column] = [Math.floor(i / fileNames.length), i % fileNames.length];
    return column < genes ? good.counts[cell * genes + column]! : 300 + random.below(900);
  });
  const cite = (columns: Record<string, Column>): NewAnnData => ({
    ...good.data,
    X: { rows: cells, columns: fileNames.length, values: counts },
    var: { index: fileNames, columns },
  });
  before(async () => {
    await writeH5ad(at("good.h5ad"), good.data);
    await writeH5ad(at("cite.h5ad"), cite({ feature_types: strings(types) }));
    await writeCounts10x(at("cite.h5"), at("cite-mtx"), { cells, counts, names: fileNames, types });
    const data = await AnnData.open(at("cite.h5ad"));
    await convert(data, at("cite.zarr"), { featureTypes: ["all"] });
    data.close();
    await works(train("good.h5ad", "plain"));
  });

  test(".h5ad and Zarr: the model uses genes only, other features are reported", async () => {
    for (const file of ["cite.h5ad", "cite.zarr"]) {
      await works(train(file, "model"), /not "Gene Expression" are left out: 5 Antibody Capture/);
      assert.deepEqual(genesOf("model"), geneNames);
      assert.equal(weights("model"), weights("plain"));
    }
  });

  test("of 10x files", async () => {
    for (const file of ["cite.h5", "cite-mtx"]) {
      const args = [
        "train",
        at(file),
        "-o",
        at("tenx"),
        "--condition-key",
        "donor",
        "--condition-value",
        "a",
      ];
      await works([...args, "--epochs", "1", "--threads", "1", "--force"], /5 Antibody Capture/);
      assert.deepEqual(genesOf("tenx"), geneNames);
    }
  });

  test("others can be asked for, and a query of the model is read likewise", async () => {
    await works(train("cite.h5ad", "adt", "--feature-types", "antibodies"), /30 Gene Expression/);
    assert.deepEqual(genesOf("adt"), fileNames.slice(genes));
    const query = ["map", at("cite.h5ad"), "--reference", at("adt"), "-o", at("adt.h5ad"), "--no-training"];
    await works(query, /30 Gene Expression/);
    await works(train("cite.h5ad", "both", "--feature-types", "all"));
    assert.equal(genesOf("both").length, fileNames.length);
    await fails(train("cite.h5ad", "none", "--feature-types", "Peaks"), /"Peaks".*5 Antibody Capture/);
    await fails(
      train("good.h5ad", "none", "--feature-types", "Peaks"),
      /no column of var gives feature types/,
    );
  });

  test("a gene of a model never matches a feature of another type", async () => {
    const twins = fileNames.map((name) => (name === "CD19" ? "gene0" : name));
    const swapped = twins.map((name, i) => (i === 0 ? "CD19" : name));
    await writeH5ad(at("twin.h5ad"), {
      ...cite({ feature_types: strings(types) }),
      var: { index: swapped, columns: { feature_types: strings(types) } },
    });
    const data = await AnnData.open(at("twin.h5ad"));
    const model = await ScPoli.load(at("plain"));
    assert.deepEqual((await model.coverage(data)).missing, ["gene0"]);
    const mapping = await model.embed(data, { threads: 1 });
    assert.equal(mapping.report.genes.found, genes - 1);
    data.close();
  });

  test("columns of feature types under other names; biotypes are not among them", async () => {
    const typesOf = (columns: Record<string, Column>) => featureTypes(frame(names("f", 3), columns));
    const [gene, protein] = ["Gene Expression", "Antibody Capture"];
    assert.deepEqual(await typesOf({ modality: strings(["rna", "RNA", "prot"]) }), [gene, gene, protein]);
    assert.deepEqual(await typesOf({ type: strings(["gene", "ADT", null]) }), [gene, protein, gene]);
    assert.deepEqual(await typesOf({ feature_types: strings(["gene_expression", "Custom", "x"]) }), [
      gene,
      "Custom",
      "x",
    ]);
    assert.equal(await typesOf({ feature_type: strings(["protein_coding", "lncRNA", "gene"]) }), null);
    assert.equal(await typesOf({ type: strings(["a", "b", "c"]) }), null);
  });

  test("a file without genes lists its feature types; a Poisson model uses peaks", async () => {
    const peaks = fileNames.map(() => "Peaks");
    await writeH5ad(at("atac.h5ad"), cite({ feature_types: strings(peaks) }));
    await fails(
      train("atac.h5ad", "none"),
      /no features of the type "Gene Expression"; it has 35 Peaks.*--feature-types "Peaks"/,
    );
    await works(["convert", at("atac.h5ad"), at("atac.zarr")]);
    await works(train("atac.h5ad", "atac", "--recon-loss", "poisson", "--atac-counts", "fragments"));
    const json = JSON.parse(readFileSync(at("atac/model.json"), "utf8")) as { feature_types: string[] };
    assert.deepEqual(json.feature_types, ["Peaks"]);
  });

  test("inspect counts types; any feature can be looked at", async () => {
    const data = await AnnData.open(at("cite.h5"));
    assert.deepEqual((await inspect(data)).feature_types, { "Gene Expression": 30, "Antibody Capture": 5 });
    const [gene, protein] = await readExpression(data, ["gene1", "CD3"]);
    assert.ok(gene!.some((value) => value > 0) && protein!.every((value) => value > 0));
    data.close();
    const { stdout } = await works(["inspect", at("cite.h5")]);
    assert.match(stdout, /Antibody Capture +5/);
    assert.match(stdout, /--condition-key sample --condition-value NAME/);
  });
});

describe("what looks like counts", () => {
  const random = new Random(11, "whole numbers");
  const [rows, columns] = [200, 80];
  /** A few large counts, many small ones; cells of different depth. */
  const counts = Array.from({ length: rows }, () => {
    const depth = 0.5 + 2 * random.uniform();
    return Array.from({ length: columns }, (_, gene) =>
      Math.floor(-Math.log(1 - random.uniform()) * depth * (gene % 10 === 0 ? 40 : 2)),
    );
  });
  const each = (change: (count: number, row: readonly number[]) => number): number[][] =>
    counts.map((row) => row.map((count) => change(count, row)));
  const sum = (row: readonly number[]): number => row.reduce((a, b) => a + b, 0);
  const binary = each((count) => (count > 0 ? 1 : 0));
  const logs = each(Math.log1p);
  const ranks = counts.map((row) => {
    const order = [...row.keys()].filter((i) => row[i]! > 0).sort((a, b) => row[a]! - row[b]!);
    return row.map((_, i) => order.indexOf(i) + 1);
  });
  const raw = (values: readonly (readonly number[])[]) => ({
    X: matrix(values),
    var: frame(names("g", columns)),
  });
  async function nameAndNotes(parts: Parts, layer?: string): Promise<{ name: string; notes: string }> {
    const notes: Note[] = [];
    const { name } = await findCounts(annData(parts), layer, { note: (note) => notes.push(note) });
    return { name, notes: notes.map(({ message }) => message).join("\n") };
  }

  test("equal counts twice: X is used, without a note", async () => {
    const layers = { counts: matrix(counts), spliced: matrix(each((count) => count >> 1)) };
    assert.deepEqual(await nameAndNotes({ X: matrix(counts), raw: raw(counts), layers }), {
      name: "X",
      notes: "",
    });
  });

  for (const [what, values] of Object.entries({
    binary,
    ranks,
    "rounded logarithms": each((count) => Math.round(Math.log1p(count))),
    "rounded normalised values": each((count, row) => Math.round((1e4 * count) / sum(row))),
    "values of bins": each((count, row) => Math.ceil((50 * count) / Math.max(...row))),
  }))
    test(`${what} in X, counts elsewhere: those are used, with a warning`, async () => {
      for (const [place, parts] of Object.entries({
        "layers/counts": { layers: { counts: matrix(counts) } },
        "raw.X": { raw: raw(counts) },
      })) {
        const { name, notes } = await nameAndNotes({ X: matrix(values), ...parts });
        assert.equal(name, place);
        assert.match(notes, new RegExp(`counts are taken from ${place}\\. --layer X uses X`));
      }
    });

  test("corrected counts in X are used, with a note", async () => {
    const corrected = each((count) => Math.max(0, count - (count > 3 ? 1 : 0)));
    const { name, notes } = await nameAndNotes({ X: matrix(corrected), layers: { counts: matrix(counts) } });
    assert.equal(name, "X");
    assert.match(notes, /both hold counts; those of X are used.*--layer counts uses layers\/counts/);
  });

  test("ambiguous cases are errors that ask for a choice", async () => {
    const other = { layers: { spliced: matrix(counts) } };
    await rejects(nameAndNotes({ X: matrix(binary), ...other }), "counts", /only 0 and 1.*--layer spliced/s);
    assert.equal((await nameAndNotes({ X: matrix(binary), ...other }, "spliced")).name, "layers/spliced");
    await rejects(nameAndNotes({ X: matrix(ranks) }), "counts", /like ranks.*--layer X uses X/s);
    assert.match((await nameAndNotes({ X: matrix(ranks) }, "X")).notes, /like ranks; used as counts/);
    assert.match((await nameAndNotes({ X: matrix(binary) })).notes, /only 0 and 1; used as counts/);
    const two = { raw: raw(each((count) => 2 * count)), layers: { counts: matrix(counts) } };
    await rejects(
      nameAndNotes({ X: matrix(logs), ...two }),
      "counts",
      /Which are the raw counts\?.*--layer raw.*--layer counts/,
    );
  });

  test("whole but for rounding: they are counts", async () => {
    const almostWhole = matrix(
      each((count) => count * (1 + 1e-9)),
      Float64Array,
    );
    const { matrix: rounded, name } = await findCounts(annData({ X: almostWhole }));
    assert.equal(name, "X");
    const block = await rounded.read(0, rows);
    assert.deepEqual(
      [...block.values],
      counts.flat().filter((count) => count > 0),
    );
    const far = annData({
      X: matrix(
        each((count) => count * (1 + 1e-4)),
        Float64Array,
      ),
    });
    await rejects(findCounts(far), "counts", /fractional/);
  });

  test("fractional counts are rounded on request; normalised values are not", async () => {
    const soup = annData({ X: matrix(each((count) => count * 0.97)) });
    await rejects(findCounts(soup), "counts", /SoupX.*round them with --round-counts/);
    const { matrix: rounded } = await findCounts(soup, undefined, { roundCounts: true });
    const block = await rounded.read(0, rows);
    assert.deepEqual(
      [...block.values],
      counts
        .flat()
        .map((count) => Math.round(Math.fround(count * 0.97)))
        .filter((count) => count > 0),
    );
    for (const values of [
      each((count, row) => (777 * count) / sum(row)),
      logs,
      each((count) => count - 1.5),
    ]) {
      const data = annData({ X: matrix(values) });
      await assert.rejects(findCounts(data, undefined, { roundCounts: true }), ScPoliError);
    }
  });
});

describe("counts recovered from other totals", () => {
  const total = 777;
  const normalised = (target: number, log: boolean, cell = -1): Float32Array =>
    Float32Array.from({ length: cells * genes }, (_, i) => {
      const countsOfCell = good.counts.subarray(
        Math.floor(i / genes) * genes,
        (Math.floor(i / genes) + 1) * genes,
      );
      const sum = countsOfCell.reduce((a, b) => a + b, 0);
      const share = (target * (good.counts[i]! + (Math.floor(i / genes) === cell ? 0.3 : 0))) / sum;
      return log ? Math.log1p(share) : share;
    });
  const write = async (
    name: string,
    values: Float32Array,
    uns: Record<string, NewUns> = {},
  ): Promise<AnnData> => {
    await writeH5ad(at(name), { ...good.data, X: { rows: cells, columns: genes, values }, uns });
    return AnnData.open(at(name));
  };

  test('if every cell has the total, and uns["log1p"] records the logarithm', async () => {
    for (const [name, values, uns] of [
      ["median.h5ad", normalised(total, true), { log1p: { base: "none" } }],
      ["linear.h5ad", normalised(total, false), {}],
      ["base2.h5ad", normalised(total, true).map((value) => value / Math.LN2), { log1p: { base: 2 } }],
    ] as const) {
      const data = await write(name, values, uns);
      await rejects(findCounts(data), "counts", /total of 777.*--recover-counts/);
      const place = await findCounts(data, undefined, { recoverCounts: true });
      const { values: recovered } = await place.matrix.read(0, cells);
      assert.deepEqual(
        [...recovered],
        [...good.counts].filter((count) => count > 0),
        name,
      );
      data.close();
    }
  });

  test("otherwise refused: no record of a logarithm, no total, or one cell that is not exact", async () => {
    const silent = await write("silent.h5ad", normalised(total, true));
    await rejects(findCounts(silent, undefined, { recoverCounts: true }), "counts", /no raw counts/);
    silent.close();
    const one = await write("one.h5ad", normalised(total, true, 40), { log1p: { base: "none" } });
    await assert.rejects(
      findCounts(one, undefined, { recoverCounts: true }).then(({ matrix: recovered }) =>
        recovered.read(0, cells),
      ),
      ScPoliError,
    );
    one.close();
  });

  test("convert recovers and rounds, too", async () => {
    const data = await write("total.h5ad", normalised(total, true), { log1p: { base: "none" } });
    data.close();
    await fails(["convert", at("total.h5ad"), at("no.zarr")], /--recover-counts/);
    for (const output of ["recovered.zarr", "recovered.h5ad"]) {
      await works(
        ["convert", at("total.h5ad"), at(output), "--recover-counts"],
        /Counts recovered from log1p/,
      );
      const written = await AnnData.open(at(output));
      const { values } = await written.X!.read(0, cells);
      assert.deepEqual(
        [...values],
        [...good.counts].filter((count) => count > 0),
      );
      written.close();
    }
    const soup = await write(
      "soup.h5ad",
      good.counts.map((count) => count * 7.97),
    );
    soup.close();
    await fails(["convert", at("soup.h5ad"), at("no.zarr")], /--round-counts/);
    await works(["convert", at("soup.h5ad"), at("rounded.zarr"), "--round-counts"], /warning: .*rounded/);
    await works(train("soup.h5ad", "soup-model", "--round-counts"));
  });
});
