// Unknown cells: what is learnt of them from the reference alone, what a query with a type that the reference
// has not gets, and that the paper's distance stays.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { ScPoli, type LevelPrediction, type MapOptions } from "../dist/index.js";
import { saveModel } from "../dist/model/checkpoint.js";
import { noveltyScore, typeOffsets, type NoveltyParts } from "../dist/model/novelty.js";
import { chooseThresholds, findAxes, coordinatesOf } from "../dist/training/novelty-training.js";
import { Random } from "../dist/random.js";
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
  cells: 600,
  conditions: ["d1", "d2", "d3"],
  types: ["B", "T", "Mono"],
});
// more cells than are compared with each other, so that some take what a near one has
const query = await makeAtlas("novelty-query", {
  cells: 1300,
  conditions: ["q1", "q2"],
  types: ["B", "T", "Mono", "NK"],
  seed: 2,
  label: () => null,
});
const truth = await texts(query, "truth");
const model = await ScPoli.train(reference, training);
const mapping = await model.map(query, quick);
const level = mapping.predictions[0]!;

/** Share of pairs of an unknown and a known cell in which the unknown one is less sure. */
function ranking({ uncertainty }: LevelPrediction): number {
  const [unknown, known] = [true, false].map((isUnknown) =>
    Array.from(uncertainty).filter((_, cell) => (truth[cell] === "NK") === isUnknown),
  ) as [number[], number[]];
  return (
    unknown.reduce((sum, u) => sum + known.filter((k) => k < u).length, 0) / (unknown.length * known.length)
  );
}

test("cells of a type that the reference has not are less sure than others, and flagged; few of the known ones are", () => {
  assert.equal(level.uncertaintyBy, "novelty");
  assert.equal(level.threshold, "by type");
  assert.ok(level.uncertainty.every((u) => u >= 0 && u <= 1));
  assert.ok(ranking(level) > 0.95, `ranking ${ranking(level)}`);
  const share = (isCounted: (type: string) => boolean): number => {
    const own = truth.map((type, cell) => [type, cell] as const).filter(([type]) => isCounted(type));
    return own.filter(([, cell]) => level.unknown[cell] === 1).length / own.length;
  };
  assert.ok(share((type) => type === "NK") > 0.7, `found ${share((type) => type === "NK")}`);
  // with three donors to learn from, new donors are not told apart from new types as well as at the 5 % that
  // the thresholds aim at
  assert.ok(share((type) => type !== "NK") < 0.15, `flagged ${share((type) => type !== "NK")}`);
});

test("thresholds on the uncertainty are taken as they are given, and none flags nothing", async () => {
  const half = (await model.map(query, { ...quick, threshold: 0.3 })).predictions[0]!;
  assert.deepEqual(
    half.unknown,
    Uint8Array.from(level.uncertainty, (u) => (u > 0.3 ? 1 : 0)),
  );
  assert.equal(half.threshold, 0.3);
  assert.ok(
    (await model.map(query, { ...quick, threshold: "none" })).predictions[0]!.unknown.every(
      (flag) => flag === 0,
    ),
  );
});

test("the paper's distance stays: asked for, with the prototypes' labels, and in models that know nothing else", async () => {
  const byDistance = (await model.map(query, { ...quick, uncertainty: "distance" })).predictions[0]!;
  const { distance_scale: scale } = model.stored.json.calibration[0]!;
  byDistance.uncertainty.forEach((u, cell) =>
    assert.ok(Math.abs(u - byDistance.distance[cell]! / (byDistance.distance[cell]! + scale)) < 1e-6),
  );
  assert.equal(byDistance.threshold, 0.5);
  assert.deepEqual(byDistance.distance, level.distance);
  assert.deepEqual(
    (await model.map(query, { ...quick, classifier: "prototype" })).predictions[0]!.uncertainty,
    byDistance.uncertainty,
  );
  const { json, tensors } = model.stored;
  const { axes: _, levels } = json.head!;
  const older = {
    json: { ...json, head: { levels: levels.map(({ novelty: __, ...own }) => own) } },
    tensors: new Map([...tensors].filter(([name]) => !/^(novelty\.|head\.axes)/.test(name))),
  };
  await saveModel(join(folder, "older"), older);
  const before = (await (await ScPoli.load(join(folder, "older"))).map(query, quick)).predictions[0]!;
  assert.deepEqual(before.uncertainty, byDistance.uncertainty);
  assert.deepEqual(before.predicted, level.predicted);
  await assert.rejects(
    model.map(query, { ...quick, uncertainty: "entropy" as "distance" }),
    /uncertainty is "entropy"; expected "novelty" or "distance"/,
  );
});

test("the same on one and on two threads, saved and loaded, mapped and embedded", async () => {
  const other = await ScPoli.train(reference, { ...training, threads: 2 });
  assert.deepEqual(other.stored.json.head, model.stored.json.head);
  for (const name of [
    "head.axes",
    "novelty.0.means",
    "novelty.0.landmarks",
    "novelty.0.whitening",
    "novelty.0.profiles",
    "novelty.0.variances",
  ])
    assert.deepEqual(other.stored.tensors.get(name), model.stored.tensors.get(name), name);
  await other.save(join(folder, "novelty-model"));
  const loaded = await (await ScPoli.load(join(folder, "novelty-model"))).map(query, quick);
  assert.deepEqual(loaded.predictions, mapping.predictions);
  assert.deepEqual(
    (await mapping.model.embed(query, { threads: 1 })).predictions[0]!.uncertainty,
    level.uncertainty,
  );
});

test("a query of one cell, and of two, gets an answer", async () => {
  for (const cells of [1, 2]) {
    const few = await makeAtlas(`novelty-few-${cells}`, { cells, conditions: ["q"], types: ["B"], seed: 7 });
    assert.ok((await model.map(few, quick)).predictions[0]!.uncertainty.every((u) => u > 0 && u < 1));
  }
});

test("axes: cells vary by 1 along each within their types, and conditions are no part of them", () => {
  const random = new Random(3, "axes test");
  const [n, genes] = [400, 30];
  const [labels, conditions] = [
    Int32Array.from({ length: n }, () => random.below(3)),
    Int32Array.from({ length: n }, () => random.below(2)),
  ];
  const values = new Float32Array(n * genes);
  for (let i = 0; i < n; i++)
    for (let g = 0; g < genes; g++)
      values[i * genes + g] =
        random.normal() + (g % 3 === labels[i] ? 4 : 0) + (g < 5 && conditions[i] === 1 ? 30 : 0);
  const rows = {
    indptr: Int32Array.from({ length: n + 1 }, (_, i) => i * genes),
    indices: Int32Array.from({ length: n * genes }, (_, at) => at % genes),
    values,
  };
  const axes = findAxes(rows, labels, conditions, genes, 0);
  const P = axes.length / genes;
  const points = coordinatesOf(rows, axes, genes);
  const groups = Array.from(labels, (label, i) => label * 2 + conditions[i]!);
  const mean = (keys: ArrayLike<number>, key: number, p: number): number => {
    const own = Array.from(labels.keys()).filter((i) => keys[i] === key);
    return own.reduce((sum, i) => sum + points[i * P + p]!, 0) / own.length;
  };
  for (let p = 0; p < 3; p++) {
    const variance =
      Array.from(labels.keys()).reduce(
        (sum, i) => sum + (points[i * P + p]! - mean(groups, groups[i]!, p)) ** 2,
        0,
      ) / n;
    assert.ok(Math.abs(variance - 1) < 0.05, `axis ${p}: ${variance}`);
  }
  // along the axes types lie apart; the conditions' 30 in a sixth of the genes would outweigh everything,
  // were it not taken off
  const apart = Math.max(
    ...Array.from({ length: P }, (_, p) => Math.abs(mean(labels, 0, p) - mean(labels, 1, p))),
  );
  assert.ok(apart > 3, `types apart by ${apart}`);
});

test("offsets: a share of what a type's known cells score more, less for types of few cells, and taken off the score", () => {
  const position = Int32Array.from({ length: 1004 }, (_, i) => (i < 500 ? 0 : i < 1000 ? 1 : 2));
  const part = (values: readonly number[]): Float32Array =>
    Float32Array.from(position, (type) => values[type]!);
  const parts: NoveltyParts = [
    part([1, -1, 1]),
    part([0, 0, 0]),
    part([5, 9, 7]),
    part([0, 0, 0]),
    part([0, 0, 0]),
  ];
  const weights = [1, 1, 0.3, 1.25, 0.5] as const;
  const offsets = typeOffsets(parts, position, weights, 4);
  assert.ok(offsets[0]! > 0 && Math.abs(offsets[0]! + offsets[1]!) < 0.01 && offsets[3] === 0);
  assert.ok(offsets[2]! > 0 && offsets[2]! < 0.25 * offsets[0]!, "four cells are hardly evidence");
  const [bare, less] = [[0, 0, 0, 0], offsets].map((own) =>
    noveltyScore(parts, position, { weights, offsets: own }),
  ) as [Float32Array, Float32Array];
  // the head's score is left as it is
  const between = (scores: Float32Array): number => scores[0]! - scores[500]!;
  assert.ok(Math.abs(between(bare) - between(less) - (offsets[0]! - offsets[1]!)) < 1e-5);
  const withoutHead: NoveltyParts = [parts[0], parts[1], part([0, 0, 0]), parts[3], parts[4]];
  assert.deepEqual(typeOffsets(withoutHead, position, weights, 4), offsets);
});

test("thresholds: of every predicted type, every true type and every part, no more than 5 % are above", () => {
  const random = new Random(5, "thresholds");
  const n = 3000;
  const [truth, part] = [
    Int32Array.from({ length: n }, () => random.below(4)),
    Int32Array.from({ length: n }, () => random.below(3)),
  ];
  const position = truth.map((type) => (random.uniform() < 0.9 ? type : random.below(4)));
  const scores = Float32Array.from(
    { length: n },
    (_, i) => random.normal() + (position[i] === truth[i] ? 0 : 2) + part[i]! * 0.5,
  );
  const thresholds = chooseThresholds(scores, position, truth, part, 5);
  const above = (isIn: (i: number) => boolean): readonly [number, number] => {
    const own = Array.from(truth.keys()).filter(isIn);
    return [own.filter((i) => scores[i]! > thresholds[position[i]!]!).length, own.length];
  };
  for (let type = 0; type < 4; type++)
    for (const [most, total] of [above((i) => truth[i] === type), above((i) => position[i] === type)])
      assert.ok(most <= 0.05 * (total + 1) - 1, `type ${type}: ${most} of ${total}`);
  for (let own = 0; own < 3; own++)
    for (const [most, total] of [
      above((i) => part[i] === own),
      ...[0, 1, 2, 3].map((type) => above((i) => part[i] === own && truth[i] === type)),
    ])
      assert.ok(most <= 0.05 * total, `part ${own}: ${most} of ${total}`);
  assert.ok(above(() => true)[0] > 0.005 * n, "not out of caution alone");
});
