// The classifier on genes (the head): its training, its predictions for a query, its part of the stored
// model, and the choice between its labels and those of the nearest prototype.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { AnnData, ScPoli, type Mapping, type MapOptions } from "../dist/index.js";
import { mappingText } from "../dist/cli/report.js";
import { classifyByHead } from "../dist/labels/head.js";
import { modelCard } from "../dist/storage/model-card.js";
import { folder, makeAtlas, texts } from "./atlas.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

// hardly trained: nearest prototypes label badly, the classifier on genes does not depend on the network
const training = {
  conditionKeys: ["donor"],
  cellTypeKeys: ["cell_type"],
  epochs: 2,
  hiddenLayerSizes: [16],
  threads: 1,
};
const quick: MapOptions = { training: false, threads: 1 };
const byHead: MapOptions = { ...quick, classifier: "head" };
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

describe("labels by either rule", async () => {
  const mappings = {
    prototype: await model.map(query, quick),
    head: await model.map(query, byHead),
  };
  const [prototype, head] = [mappings.prototype.predictions[0]!, mappings.head.predictions[0]!];

  test("come from the nearest prototype by default", async () => {
    assert.equal(prototype.classifier, "prototype");
    assert.deepEqual(prototype.predicted, prototype.nearest);
    const { predictions } = await model.map(query, { ...quick, classifier: "prototype" });
    assert.deepEqual(predictions[0], prototype);
  });

  test("come from the classifier on genes on request", async () => {
    assert.equal(head.classifier, "head");
    assert.deepEqual(head.predicted, head.headLabels);
    const [genes, space] = [await accuracy(mappings.head, query), await accuracy(mappings.prototype, query)];
    assert.ok(genes > 0.95, `the classifier on genes: ${genes}`);
    assert.ok(genes > space, `the prototypes of an untrained network: ${space}`);
  });

  test("are both there, whichever is chosen; probability and uncertainty are the chosen rule's", () => {
    assert.deepEqual(prototype.nearest, head.nearest);
    assert.deepEqual(prototype.headLabels, head.headLabels);
    assert.notDeepEqual(prototype.probability, head.probability);
    for (const { probability, uncertainty } of [prototype, head])
      probability.forEach((p, cell) => assert.equal(uncertainty[cell], Math.fround(1 - p)));
  });

  test("do not change novelty scores and unknown flags", () => {
    assert.ok(head.novelty && head.unknown.includes(0));
    for (const name of ["novelty", "unknown", "threshold", "notFlagged", "distance"] as const)
      assert.deepEqual(prototype[name], head[name], name);
  });

  test("disagree on the same cells: summary, verdict, columns and text", async () => {
    const { nearest, headLabels } = prototype;
    const disputed = Array.from(nearest.keys()).filter((cell) => nearest[cell] !== headLabels![cell]);
    assert.ok(disputed.length > 0, "some cells lie nearer to another prototype");
    for (const [rule, other, said] of [
      ["prototype", "head", "of another type by the classifier on genes"],
      ["head", "prototype", "closer to the prototype of another type"],
    ] as const) {
      const mapping = mappings[rule];
      const summary = mapping.summary();
      assert.equal(summary.levels[0]!.disagreeing, disputed.length);
      const agreement = mapping.verdict.reasons.find(({ criterion }) => criterion === "agreement")!;
      assert.equal(agreement.value, disputed.length / query.nObs);
      assert.match(agreement.text, /^Nearest prototype and classifier on genes disagree: /);
      assert.ok(
        mappingText("query.h5ad", summary).includes(`${disputed.length} cells ${said} (cell_type_${other})`),
      );
      const output = join(folder, `by-${rule}.h5ad`);
      await mapping.write(output);
      const written = await AnnData.open(output);
      assert.ok(!written.obs.columnNames.includes(`cell_type_${rule}`));
      const [labels, others] = [
        await texts(written, "cell_type_pred"),
        await texts(written, `cell_type_${other}`),
      ];
      written.close();
      const names = mapping.model.stored.json.cell_types;
      const { [rule === "head" ? "nearest" : "headLabels"]: rows } = mapping.predictions[0]!;
      assert.deepEqual(
        others,
        Array.from(rows!, (type) => names[type]),
      );
      assert.deepEqual(
        labels.flatMap((label, cell) => (label === others[cell] ? [] : [cell])),
        disputed,
      );
    }
  });
});

test("the same head and the same scores on one and on two threads, saved and loaded", async () => {
  const other = await ScPoli.train(reference, { ...training, threads: 2 });
  for (const name of ["head.weight", "head.bias"])
    assert.deepEqual(other.stored.tensors.get(name), model.stored.tensors.get(name), name);
  assert.deepEqual(other.stored.json.head, model.stored.json.head);
  await other.save(join(folder, "head-model"));
  const loaded = await ScPoli.load(join(folder, "head-model"));
  assert.deepEqual(
    (await loaded.map(query, byHead)).predictions,
    (await model.map(query, { ...byHead, threads: 2 })).predictions,
  );
});

test("probabilities are calibrated on left-out conditions: right about as often as they say", async () => {
  const mapping = await model.map(query, byHead);
  const { probability } = mapping.predictions[0]!;
  const mean = probability.reduce((sum, p) => sum + p, 0) / probability.length;
  const right = await accuracy(mapping, query);
  assert.ok(Math.abs(mean - right) < 0.1, `mean probability ${mean}, right ${right}`);
});

test("embed gives the labels that map gave", async () => {
  for (const options of [quick, byHead]) {
    const mapped = await model.map(query, options);
    const embedded = await mapped.model.embed(query, { threads: 1, classifier: options.classifier });
    assert.deepEqual(embedded.predictions[0]!.predicted, mapped.predictions[0]!.predicted);
  }
});

test("types added after training are predicted by the nearest prototype, by either rule", async () => {
  const cells = await makeAtlas("head-new", {
    cells: 150,
    conditions: ["d1"],
    types: ["B", "Platelet"],
    seed: 5,
  });
  const grown = await model.label({ cells, select: { truth: ["Platelet"] }, name: "Platelet", threads: 1 });
  const added = grown.stored.json.cell_types.indexOf("Platelet");
  for (const classifier of ["prototype", "head"] as const) {
    const mapping = await grown.embed(cells, { threads: 1, classifier });
    const { predicted, nearest, headLabels } = mapping.predictions[0]!;
    assert.ok(nearest.includes(added), "some cells are nearest to the new prototype");
    nearest.forEach((type, cell) => {
      if (type !== added) return;
      assert.equal(predicted[cell], added, `cell ${cell}`);
      assert.equal(headLabels![cell], added, `cell ${cell}`);
    });
  }
});

test("a model without a head is classified by prototypes", async () => {
  const { json, tensors } = model.stored;
  const bare = {
    json: { ...json, head: null },
    tensors: new Map([...tensors].filter(([name]) => !/^(head|novelty)\./.test(name))),
  };
  const { saveModel } = await import("../dist/storage/model-folder.js");
  await saveModel(join(folder, "bare"), bare);
  const loaded = await ScPoli.load(join(folder, "bare"));
  for (const options of [quick, byHead]) {
    const mapping = await loaded.map(query, options);
    const [level] = mapping.predictions;
    assert.equal(level!.classifier, "prototype");
    assert.equal(level!.headLabels, null);
    assert.equal(mapping.summary().levels[0]!.disagreeing, 0);
    assert.ok(mapping.verdict.reasons.every(({ criterion }) => criterion !== "agreement"));
    const added = Object.keys(mapping.additions().obs!);
    assert.ok(added.includes("cell_type_pred"));
    assert.ok(!added.some((name) => /_(head|prototype)$/.test(name)), added.join());
  }
});

test("each of several levels has the labels of both rules", async () => {
  const data = await makeAtlas("head-levels", { cells: 240, conditions: ["d1", "d2"] });
  const levels = await ScPoli.train(data, { ...training, cellTypeKeys: ["cell_type", "truth"] });
  for (const [classifier, other] of [
    ["prototype", "head"],
    ["head", "prototype"],
  ] as const) {
    const mapping = await levels.embed(data, { threads: 1, classifier });
    const added = Object.keys(mapping.additions().obs!);
    for (const key of ["cell_type", "truth"])
      assert.ok(added.includes(`${key}_${other}`) && !added.includes(`${key}_${classifier}`), added.join());
  }
});

test("an unknown classifier is refused", async () => {
  await assert.rejects(
    model.map(query, { ...quick, classifier: "svm" as "head" }),
    /classifier is "svm"; expected "prototype" or "head"/,
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
