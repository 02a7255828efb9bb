// Label, probability and distance of a query cell do not depend on other cells; novelty and flags with and
// without similar cells, their training on the reference, and the paper's distance.
import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { AnnData, ScPoli, type LevelPrediction, type MapOptions } from "../dist/index.js";
import { saveModel } from "../dist/storage/model-folder.js";
import { unitsOf } from "../dist/training/donors.js";
import { writeRows } from "../bench/rows.ts";
import { folder, makeAtlas, texts } from "./atlas.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

const training = {
  conditionKeys: ["donor"],
  cellTypeKeys: ["cell_type"],
  epochs: 2,
  hiddenLayerSizes: [16],
  threads: 1,
};
const quick: MapOptions = { training: false, threads: 1 };
const reference = await makeAtlas("novelty-reference", {
  cells: 900,
  conditions: ["d1", "d2", "d3", "d4"],
  types: ["B", "T", "Mono"],
});
// more cells than are compared with each other, so that some take what a near one has
const query = await makeAtlas("novelty-query", {
  cells: 2200,
  conditions: ["q1", "q2"],
  types: ["B", "T", "Mono", "NK"],
  seed: 2,
  label: () => null,
});
const truth = await texts(query, "truth");
const model = await ScPoli.train(reference, training);
const mapping = await model.map(query, quick);
const level = mapping.predictions[0]!;

/** Share of pairs of a cell of the unknown type and a known one in which the first has the larger value. */
function ranking(values: ArrayLike<number>): number {
  const [unknown, known] = [true, false].map((isUnknown) =>
    Array.from(values).filter((_, cell) => (truth[cell] === "NK") === isUnknown),
  ) as [number[], number[]];
  return (
    unknown.reduce((sum, u) => sum + known.filter((k) => k < u).length, 0) / (unknown.length * known.length)
  );
}

/** Writes some cells of a file to a new file. */
async function part(data: AnnData, name: string, rows: readonly number[]): Promise<AnnData> {
  const path = join(folder, `${name}.h5ad`);
  await writeRows(data, Int32Array.from(rows), path, (name, i) => `${name} ${i}`);
  return AnnData.open(path);
}

test("cells of a type that the reference has not are novel and flagged; few of the known ones are", () => {
  assert.equal(level.uncertaintyBy, "probability");
  assert.equal(level.threshold, 0.95);
  assert.equal(level.notFlagged, null);
  assert.ok(level.novelty!.every((value) => value >= 0 && value < 1));
  assert.deepEqual(
    level.uncertainty,
    level.probability.map((p) => 1 - p),
  );
  assert.ok(ranking(level.novelty!) > 0.95, `ranking ${ranking(level.novelty!)}`);
  const share = (isCounted: (type: string) => boolean): number => {
    const countedCells = truth.map((type, cell) => [type, cell] as const).filter(([type]) => isCounted(type));
    return countedCells.filter(([, cell]) => level.unknown[cell] === 1).length / countedCells.length;
  };
  assert.ok(share((type) => type === "NK") > 0.7, `found ${share((type) => type === "NK")}`);
  // with four donors of 225 cells to learn from, 5 % is not met to the digit
  assert.ok(share((type) => type !== "NK") < 0.12, `flagged ${share((type) => type !== "NK")}`);
});

test("novel cells mapped alone are flagged, too; known cells without similar cells are not", async () => {
  const share = async (type: string): Promise<number> => {
    const rows = Array.from(truth.keys()).filter((row) => truth[row] === type);
    const alone = await part(query, `alone-${type}`, rows);
    const { unknown } = (await model.map(alone, quick)).predictions[0]!;
    alone.close();
    return unknown.reduce((sum, flag) => sum + flag, 0) / rows.length;
  };
  assert.ok((await share("NK")) > 0.7);
  const shares = [await share("B"), await share("T"), await share("Mono")];
  const mean = shares.reduce((sum, share) => sum + share, 0) / 3;
  // alone a cell has nothing to tell its donor from its type by, and four donors tell little of how donors
  // differ
  assert.ok(mean < 0.2, `flagged ${shares.join(", ")}`);
});

/** Values of a prediction that are a cell's alone. */
function itsOwn({ predicted, nearest, probability, uncertainty, distance }: LevelPrediction, cell: number) {
  return [predicted[cell], nearest[cell], probability[cell], uncertainty[cell], distance[cell]];
}

/** Embeds parts of a file and compares each cell's values, bit by bit, with those in the whole file. */
async function checkParts(trained: ScPoli, data: AnnData, name: string): Promise<void> {
  const n = data.nObs;
  const all = Array.from({ length: n }, (_, row) => row);
  const parts = {
    "every third": all.filter((row) => row % 3 === 0),
    reversed: [...all].reverse(),
    doubled: all.slice(0, 40).flatMap((row) => [row, row]),
    one: [n >> 1],
    "but the first": all.slice(1),
  };
  for (const threads of [1, 2]) {
    const whole = (await trained.embed(data, { threads })).predictions;
    for (const [what, rows] of Object.entries(parts)) {
      const some = await part(data, `${name}-part`, rows);
      const { predictions } = await trained.embed(some, { threads });
      some.close();
      predictions.forEach((level, l) =>
        rows.forEach((row, cell) =>
          assert.deepEqual(itsOwn(level, cell), itsOwn(whole[l]!, row), `${what}, cell ${row}`),
        ),
      );
    }
  }
}

test("label, probability and distance from embed do not depend on other cells", async () => {
  await checkParts(model, reference, "atlas");
});

const real = new URL("../../shared/data/pbmc3.h5ad", import.meta.url).pathname;
test("and on real data", { skip: !existsSync(real) && "../shared/data is not there" }, async () => {
  const data = await AnnData.open(real);
  const trained = await ScPoli.train(data, {
    ...training,
    epochs: 1,
    cellTypeKeys: ["cell_type", "cell_type_broad"],
  });
  await checkParts(trained, data, "pbmc3");
  data.close();
});

test("given thresholds on the novelty are used; none flags no cell", async () => {
  const half = (await model.map(query, { ...quick, threshold: 0.5 })).predictions[0]!;
  assert.deepEqual(
    half.unknown,
    Uint8Array.from(level.novelty!, (value) => (value > 0.5 ? 1 : 0)),
  );
  assert.equal(half.threshold, 0.5);
  const none = (await model.map(query, { ...quick, threshold: "none" })).predictions[0]!;
  assert.ok(none.unknown.every((flag) => flag === 0));
  assert.equal(none.threshold, null);
});

test("the paper's distance is an option for uncertainty and flags", async () => {
  const byDistance = (await model.map(query, { ...quick, uncertainty: "distance" })).predictions[0]!;
  const { distance_scale: scale } = model.stored.json.calibration[0]!;
  byDistance.uncertainty.forEach((u, cell) => {
    assert.ok(Math.abs(u - byDistance.distance[cell]! / (byDistance.distance[cell]! + scale)) < 1e-6);
    assert.equal(byDistance.unknown[cell], u > 0.5 ? 1 : 0);
  });
  assert.equal(byDistance.threshold, 0.5);
  assert.deepEqual(byDistance.distance, level.distance);
  assert.deepEqual(byDistance.novelty, level.novelty);
  await assert.rejects(
    model.map(query, { ...quick, uncertainty: "entropy" as "distance" }),
    /uncertainty is "entropy"; expected "probability" or "distance"/,
  );
});

test("a model of an earlier version loads without its old data on unknown cells, with a note", async () => {
  const { json, tensors } = model.stored;
  const older = {
    json: {
      ...json,
      head: { levels: json.head!.levels.map(({ novelty: _, ...rest }) => rest) },
    },
    tensors: new Map([...tensors].filter(([name]) => !name.startsWith("novelty."))),
  };
  const path = join(folder, "older");
  await saveModel(path, older);
  const { readFileSync, writeFileSync } = await import("node:fs");
  const text = readFileSync(join(path, "model.json"), "utf8");
  writeFileSync(join(path, "model.json"), text.replace(/"format_version": *\d+/, '"format_version": 6'));
  const notes: string[] = [];
  const loaded = await ScPoli.load(path, { onNote: ({ message }) => notes.push(message) });
  assert.match(notes.join(), /earlier version: its novelty model is ignored/);
  const before = await loaded.map(query, quick);
  const [relabelled] = before.predictions;
  assert.deepEqual(relabelled!.predicted, level.predicted);
  assert.equal(relabelled!.novelty, null);
  assert.match(relabelled!.notFlagged!, /not calibrated/);
  assert.ok(relabelled!.unknown.every((flag) => flag === 0));
  assert.ok(!("cell_type_novelty" in before.additions().obs!));
  await assert.rejects(loaded.map(query, { ...quick, threshold: 0.5 }), /--uncertainty distance/);
});

test("a reference of one condition is not calibrated: a note, and no flags", async () => {
  const single = await makeAtlas("novelty-single", { cells: 300, conditions: ["d1"] });
  const notes: string[] = [];
  const trained = await ScPoli.train(single, { ...training, onNote: ({ message }) => notes.push(message) });
  assert.match(
    notes.join(),
    /Novelty of 'cell_type' is not calibrated: the reference has a single condition/,
  );
  const [uncalibrated] = (await trained.map(query, quick)).predictions;
  assert.equal(uncalibrated!.novelty, null);
  assert.ok(uncalibrated!.unknown.every((flag) => flag === 0));
});

test("the same on one and on two threads, saved and loaded, mapped and embedded", async () => {
  const other = await ScPoli.train(reference, { ...training, threads: 2 });
  assert.deepEqual(other.stored.json.head, model.stored.json.head);
  for (const [name, tensor] of model.stored.tensors)
    if (/^(head|novelty)\./.test(name)) assert.deepEqual(other.stored.tensors.get(name), tensor, name);
  await other.save(join(folder, "novelty-model"));
  const loaded = await (await ScPoli.load(join(folder, "novelty-model"))).map(query, quick);
  assert.deepEqual(loaded.predictions, mapping.predictions);
  assert.deepEqual((await mapping.model.embed(query, { threads: 1 })).predictions[0]!.novelty, level.novelty);
});

test("a query of one cell, and of two, gets an answer, and too few cells to judge", async () => {
  for (const cells of [1, 2]) {
    const few = await makeAtlas(`novelty-few-${cells}`, { cells, conditions: ["q"], types: ["B"], seed: 7 });
    const { predictions, verdict } = await model.map(few, quick);
    assert.ok(predictions[0]!.novelty!.every((value) => value >= 0 && value < 1));
    assert.equal(verdict.light, "amber");
    assert.match(verdict.reasons.map(({ text }) => text).join("\n"), /Too few cells to judge/);
  }
});

test("a cluster of a new type is novel and names its genes; the verdict is not green", async () => {
  const clustered = await model.map(query, { ...quick, unlabeledPrototypes: { kmeans: 4 } });
  const { clusters, verdict } = clustered.summary();
  assert.equal(clusters!.length, 4);
  const nk = clusters!.map(({ cluster }, row) => ({
    cluster,
    share:
      Array.from(clustered.clusters!.keys()).filter(
        (cell) => clustered.clusters![cell] === row && truth[cell] === "NK",
      ).length / Math.max(1, clusters![row]!.cells),
  }));
  for (const [row, { share }] of nk.entries()) {
    const { is_novel: isNovel, genes_up: up, genes_down: down, novelty } = clusters![row]!;
    if (share < 0.05) assert.equal(isNovel, false, JSON.stringify(clusters![row]));
    if (share < 0.8) continue;
    assert.equal(isNovel, true);
    assert.ok(novelty! > 0.9 && up.length === 10 && down.length === 5);
    assert.notEqual(verdict.light, "green");
    assert.equal(verdict.reasons.find(({ criterion }) => criterion === "clusters")!.value >= 1, true);
  }
  const { clusters: written } = clustered.additions().uns!["scpoli"] as { clusters: string };
  assert.deepEqual(JSON.parse(written), clusters);
});

test("folds are donors, by key or column", () => {
  const keyed = (key: string, names: string[], codes: number[]) => ({
    key,
    names,
    codes: Int32Array.from(codes),
  });
  const sample = keyed("sample", ["a1", "a2", "b1"], [0, 1, 2, 0]);
  const table = (columns: string[], values: (string | null)[][]) => ({
    columns,
    samples: Object.fromEntries(sample.names.map((name, i) => [name, values[i]!])),
  });
  assert.deepEqual([...unitsOf([sample], null).codes], [0, 1, 2, 0]);
  const byDonor = unitsOf(
    [sample],
    [
      table(
        ["sex", "donor_id"],
        [
          ["f", "A"],
          ["f", "A"],
          ["m", "B"],
        ],
      ),
    ],
  );
  assert.deepEqual([byDonor.key, ...byDonor.codes], ["donor_id", 0, 0, 1, 0]);
  const incomplete = unitsOf([sample], [table(["donor_id"], [["A"], [null], ["B"]])]);
  assert.equal(incomplete.key, "sample");
  const donor = keyed("patient", ["x", "y"], [0, 0, 1, 1]);
  assert.equal(unitsOf([sample, donor], null).key, "patient");
  const site = keyed("site", ["x", "y"], [0, 0, 1, 1]);
  assert.equal(unitsOf([site, sample], null).key, "sample");
});
