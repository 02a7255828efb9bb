// The discriminative head: its training, its predictions for a query, and its part of the stored model.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { AnnData, ScPoli, type Mapping, type MapOptions } from "../dist/index.js";
import { classifyByHead } from "../dist/labels/head.js";
import { modelCard } from "../dist/storage/model-card.js";
import { folder, makeAtlas, texts } from "./atlas.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

// hardly trained: the labels below are the head's own
const training = {
  conditionKeys: ["donor"],
  cellTypeKeys: ["cell_type"],
  epochs: 2,
  hiddenLayerSizes: [16],
  threads: 1,
};
const quick: MapOptions = { training: false, threads: 1 };
const reference = await makeAtlas("head-reference", { cells: 500, conditions: ["d1", "d2", "d3"] });
const query = await makeAtlas("head-query", { cells: 200, conditions: ["q1"], seed: 2, label: () => null });
const model = await ScPoli.train(reference, training);

function namesOf({ predictions, model: { stored } }: Mapping<ScPoli>): string[] {
  return Array.from(predictions[0]!.predicted, (type) => stored.json.cell_types[type]!);
}

async function accuracy(mapping: Mapping<ScPoli>, data: AnnData): Promise<number> {
  const truth = await texts(data, "truth");
  return namesOf(mapping).filter((name, cell) => name === truth[cell]).length / truth.length;
}

test("labels come from the head by default; those of prototypes are available, too", async () => {
  const byHead = await model.map(query, quick);
  const byPrototype = await model.map(query, { ...quick, classifier: "prototype" });
  assert.equal(byHead.predictions[0]!.classifier, "head");
  assert.equal(byPrototype.predictions[0]!.classifier, "prototype");
  assert.deepEqual(byHead.predictions[0]!.nearest, byPrototype.predictions[0]!.predicted);
  assert.ok((await accuracy(byHead, query)) > 0.95, `the head: ${await accuracy(byHead, query)}`);
  assert.ok(
    (await accuracy(byHead, query)) > (await accuracy(byPrototype, query)),
    `the prototypes of an untrained network: ${await accuracy(byPrototype, query)}`,
  );
  const [level] = byHead.summary().levels;
  const { predicted, nearest } = byHead.predictions[0]!;
  assert.equal(level!.disagreeing, predicted.filter((type, cell) => type !== nearest[cell]).length);
  assert.ok(level!.disagreeing > 0, "some cells lie nearer to another prototype");
});

test("the same head and the same scores on one and on two threads, saved and loaded", async () => {
  const other = await ScPoli.train(reference, { ...training, threads: 2 });
  for (const name of ["head.weight", "head.bias"])
    assert.deepEqual(other.stored.tensors.get(name), model.stored.tensors.get(name), name);
  assert.deepEqual(other.stored.json.head, model.stored.json.head);
  await other.save(join(folder, "head-model"));
  const loaded = await ScPoli.load(join(folder, "head-model"));
  assert.deepEqual(
    (await loaded.map(query, quick)).predictions,
    (await model.map(query, { ...quick, threads: 2 })).predictions,
  );
});

test("probabilities are calibrated on left-out conditions: right about as often as they say", async () => {
  const { predictions } = await model.map(query, quick);
  const { probability } = predictions[0]!;
  const mean = probability.reduce((sum, p) => sum + p, 0) / probability.length;
  const right = await accuracy(await model.map(query, quick), query);
  assert.ok(Math.abs(mean - right) < 0.1, `mean probability ${mean}, right ${right}`);
});

test("embed gives the labels that map gave", async () => {
  const mapped = await model.map(query, quick);
  const embedded = await mapped.model.embed(query, { threads: 1 });
  assert.deepEqual(embedded.predictions[0]!.predicted, mapped.predictions[0]!.predicted);
});

test("types added after training are predicted by the nearest prototype, even against the head", async () => {
  const cells = await makeAtlas("head-new", {
    cells: 150,
    conditions: ["d1"],
    types: ["B", "Platelet"],
    seed: 5,
  });
  const grown = await model.label({ cells, select: { truth: ["Platelet"] }, name: "Platelet", threads: 1 });
  const mapping = await grown.embed(cells, { threads: 1 });
  const { predicted, nearest } = mapping.predictions[0]!;
  const added = grown.stored.json.cell_types.indexOf("Platelet");
  assert.ok(nearest.includes(added), "some cells are nearest to the new prototype");
  nearest.forEach((type, cell) => type === added && assert.equal(predicted[cell], added, `cell ${cell}`));
});

test("a model without a head is classified by prototypes", async () => {
  const { json, tensors } = model.stored;
  const bare = {
    json: { ...json, head: null },
    tensors: new Map([...tensors].filter(([name]) => !/^(head|novelty)\./.test(name))),
  };
  const { saveModel } = await import("../dist/storage/model-folder.js");
  await saveModel(join(folder, "bare"), bare);
  const mapping = await (await ScPoli.load(join(folder, "bare"))).map(query, quick);
  assert.equal(mapping.predictions[0]!.classifier, "prototype");
});

test("an unknown classifier is refused", async () => {
  await assert.rejects(
    model.map(query, { ...quick, classifier: "svm" as "head" }),
    /classifier is "svm"; expected "head" or "prototype"/,
  );
});

test("the label is the largest score's and the probability its softmax: each cell by itself", () => {
  const columns = { stride: 3, first: 1, K: 2 };
  const level = { types: [5, 7], temperature: 2 };
  const scores = Float32Array.of(9, 1, 3, 9, 4, 2, 9, 0, 0);
  const { predicted, probability, position } = classifyByHead(level, columns, scores);
  assert.deepEqual([...predicted], [7, 5, 5]);
  assert.deepEqual([...position], [1, 0, 0]);
  const assertClose = (actual: number, expected: number): void =>
    assert.ok(Math.abs(actual - expected) < 1e-6);
  assertClose(probability[0]!, 1 / (1 + Math.exp(-1)));
  assertClose(probability[2]!, 0.5);
  const alone = classifyByHead(level, columns, scores.subarray(3, 6));
  assert.equal(alone.probability[0], probability[1]);
});

test("penalty and weights are chosen, and the temperature is within its bounds", () => {
  const { training: chosen, levels } = model.stored.json.head!;
  assert.ok(chosen!.inverse_penalty > 0 && [0, 0.5, 1].includes(chosen!.type_exponent));
  assert.ok(levels.every(({ temperature }) => temperature >= 0.5 && temperature <= 3));
});

test("recall for left-out donors is stored in the model and shown in its card", async () => {
  const { left_out: quality } = model.stored.json.head!.levels[0]!;
  const chance = 1 / model.stored.json.head!.levels[0]!.types.length;
  assert.ok(quality!.units >= 2 && quality!.cells > 0);
  assert.ok(quality!.mean_recall > 2 * chance && quality!.mean_recall <= 1, String(quality!.mean_recall));
  await model.save(join(folder, "judged"));
  const again = await ScPoli.load(join(folder, "judged"));
  assert.deepEqual(again.stored.json.head!.levels[0]!.left_out, quality);
  const share = `${(100 * quality!.mean_recall).toFixed(1)} % of the cells right`;
  assert.ok(modelCard(again.stored.json).includes(share));
});
