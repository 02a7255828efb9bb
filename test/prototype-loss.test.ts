// The prototype loss as an option: training with each kind, invalid options, storage in the model, and
// mapping of a labelled query; weights of labels; a measure of types that is invariant to the scale of the
// latent space. Golden numbers and gradients are in golden.test.ts, gradients.test.ts, kernels.test.ts.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { EpochLosses } from "../dist/contract/options.js";
import { crossEntropyShares, levelWeights } from "../dist/engine/label-shares.js";
import { ScPoli, type TrainOptions } from "../dist/index.js";
import { saveModel } from "../dist/storage/model-folder.js";
import { prototypeLossOf } from "../dist/model/stored-model.js";
import { PrototypeSums } from "../dist/prototypes/prototypes.js";
import { levelPrototypes, TypeCrossEntropy } from "../dist/prototypes/type-cross-entropy.js";
import { Random } from "../dist/numerics/random.js";
import { planOptimization } from "../dist/training/optimization.js";
import { folder, makeAtlas } from "./atlas.ts";

const reference = await makeAtlas("loss-reference", {
  cells: 300,
  conditions: ["d1", "d2"],
  // a third is unlabelled at the fine level; all have a lineage
  label: (type, cell) => (cell % 3 === 0 ? null : type),
});
const query = await makeAtlas("loss-query", {
  cells: 90,
  conditions: ["d3"],
  types: ["B", "T", "Mono"],
  label: (type, cell) => (cell % 2 === 0 ? null : type),
});
const options: TrainOptions = {
  conditionKeys: ["donor"],
  cellTypeKeys: ["cell_type", "lineage"],
  hiddenLayerSizes: [24],
  epochs: 16,
  pretrainingEpochs: 8,
  alphaEpochAnneal: 8,
  minibatch: 64,
};
interface Provenance {
  readonly history: readonly EpochLosses[];
  readonly optimization: Readonly<Record<string, unknown>>;
  readonly queries: readonly { readonly optimization: Readonly<Record<string, unknown>> }[];
}
const provenanceOf = ({ stored }: ScPoli): Provenance => stored.json.provenance as unknown as Provenance;

for (const [prototypeLoss, terms] of [
  ["distance", { prototype: true, crossEntropy: false }],
  ["cross-entropy", { prototype: false, crossEntropy: true }],
  ["both", { prototype: true, crossEntropy: true }],
  ["off", { prototype: false, crossEntropy: false }],
] as const)
  test(`${prototypeLoss}: its terms enter the loss, are stored, and map a labelled query`, async () => {
    const model = await ScPoli.train(reference, { ...options, prototypeLoss });
    const { history } = provenanceOf(model);
    history.forEach(({ train, validation }, epoch) => {
      const isFineTuning = epoch >= 8 && prototypeLoss !== "off";
      for (const losses of [train, validation!]) {
        assert.equal(losses.prototype > 0, isFineTuning && terms.prototype, `epoch ${epoch}`);
        assert.equal((losses.crossEntropy ?? 0) > 0, isFineTuning && terms.crossEntropy, `epoch ${epoch}`);
      }
      assert.equal(validation!.classification !== undefined, isFineTuning);
    });
    const { loss, eta, eta_cross_entropy } = model.stored.json.prototype_loss!;
    assert.deepEqual(
      [loss, eta > 0, eta_cross_entropy > 0],
      [prototypeLoss, terms.prototype, terms.crossEntropy],
    );
    const path = join(folder, `loss-${prototypeLoss}`);
    await model.save(path);
    const loaded = await ScPoli.load(path);
    assert.deepEqual(loaded.stored.json.prototype_loss, model.stored.json.prototype_loss);
    const mapping = await loaded.map(query, {
      epochs: 4,
      pretrainingEpochs: 2,
      cellTypeKeys: { cell_type: "cell_type" },
    });
    const mapped = provenanceOf(mapping.model).queries[0]!.optimization;
    assert.deepEqual(
      [mapped["prototypeLoss"], mapped["eta"], mapped["etaCrossEntropy"]],
      [prototypeLoss, eta, eta_cross_entropy],
    );
    assert.ok(mapping.model.stored.json.cell_types.includes("Mono"), "the new type has a prototype");
  });

test("a model of before there was a choice is mapped with the distance, weight 1", async () => {
  const { stored } = await ScPoli.train(reference, { ...options, epochs: 2, pretrainingEpochs: 1 });
  const { prototype_loss: _, ...json } = stored.json;
  const loss = prototypeLossOf(json);
  assert.deepEqual([loss.prototypeLoss, loss.eta, loss.distanceReduction], ["distance", 1, "type-sum"]);
  const path = join(folder, "loss-old");
  await saveModel(path, { ...stored, json });
  const mapping = await (
    await ScPoli.load(path)
  ).map(query, { epochs: 2, pretrainingEpochs: 1, cellTypeKeys: { cell_type: "cell_type" } });
  const { prototypeLoss, eta } = provenanceOf(mapping.model).queries[0]!.optimization;
  assert.deepEqual([prototypeLoss, eta], ["distance", 1]);
});

test("unused weights, unknown kinds, and unlabelled cells without a distance are refused", async () => {
  const wrong: readonly (readonly [Partial<TrainOptions>, RegExp])[] = [
    [{ prototypeLoss: "off", eta: 2 }, /eta is given.*"off" has no distance/],
    [{ prototypeLoss: "cross-entropy", eta: 2 }, /eta is given.*has no distance/],
    [{ prototypeLoss: "cross-entropy", prototypeNorm: 1 }, /prototypeNorm is given/],
    [{ prototypeLoss: "distance", etaCrossEntropy: 2 }, /etaCrossEntropy is given.*has no cross-entropy/],
    [{ prototypeLoss: "distance", distanceReduction: "type-sum", typeBalance: 0.5 }, /typeBalance is given/],
    [{ prototypeLoss: "cross-entropy", distanceReduction: "cell-mean" }, /distanceReduction is given/],
    [{ distanceReduction: "mean" as never }, /distanceReduction is "mean"; expected "cell-mean"/],
    [{ prototypeLoss: "both", typeBalance: 2 }, /typeBalance is 2/],
    [{ prototypeLoss: "pull" as never }, /prototypeLoss is "pull"; expected "distance"/],
    [{ preset: "paper" as never }, /preset is "paper"; expected "published"/],
    [
      {
        prototypeLoss: "cross-entropy",
        cellTypeKeys: ["cell_type"],
        unlabeledPrototypes: "leiden",
        unlabeledWeight: 1,
      },
      /unlabeledWeight weights the distance/,
    ],
  ];
  for (const [given, message] of wrong)
    await assert.rejects(ScPoli.train(reference, { ...options, ...given }), { kind: "usage", message });
});

test("the preset has the published values; explicit options take precedence", async () => {
  const settings = { stage: "training", cells: 5000, hasLabels: true, dropout: 0, seed: 0 } as const;
  const plan = planOptimization({ preset: "published" }, settings);
  assert.deepEqual(
    {
      loss: plan.prototypeLoss,
      eta: plan.eta,
      crossEntropy: plan.etaCrossEntropy,
      reduction: plan.distanceReduction,
      epochs: plan.epochs,
      pretraining: plan.pretrainingEpochs,
      anneal: plan.alphaEpochAnneal,
      metric: plan.earlyStopping?.metric,
    },
    {
      loss: "distance",
      eta: 1,
      crossEntropy: 0,
      reduction: "type-sum",
      epochs: 100,
      pretraining: 90,
      anneal: 100,
      metric: "unweighted",
    },
  );
  const trained = {
    prototypeLoss: "both",
    eta: 7,
    etaCrossEntropy: 9,
    distanceReduction: "type-sum",
    typeBalance: 0,
  } as const;
  const mapping = { ...settings, stage: "mapping", trained } as const;
  assert.equal(planOptimization({}, mapping).etaCrossEntropy, 9);
  assert.equal(planOptimization({ preset: "published" }, mapping).etaCrossEntropy, 0);
  assert.equal(planOptimization({ preset: "published", eta: 3, epochs: 20 }, settings).eta, 3);
  const model = await ScPoli.train(reference, {
    conditionKeys: ["donor"],
    cellTypeKeys: ["cell_type"],
    preset: "published",
    epochs: 2,
  });
  assert.deepEqual(model.stored.json.model.hidden_layer_sizes, [Math.ceil(Math.sqrt(120))]);
  const mapped = await model.map(query, { preset: "published", epochs: 2 });
  const byPrototype = await model.map(query, {
    epochs: 2,
    uncertainty: "distance",
    prototypeLoss: "distance",
    eta: 1,
    alphaEpochAnneal: 100,
  });
  assert.deepEqual(mapped.predictions[0]!.predicted, byPrototype.predictions[0]!.predicted);
});

test("a checkpoint of one loss cannot be resumed with another", async () => {
  const checkpoint = join(folder, "loss.checkpoint");
  const abort = new AbortController();
  const started = ScPoli.train(reference, {
    ...options,
    checkpoint,
    prototypeLoss: "both",
    signal: abort.signal,
    onProgress: ({ epoch = 0 }) => epoch >= 10 && abort.abort(),
  });
  await assert.rejects(started, { kind: "interrupted" });
  for (const other of [
    { prototypeLoss: "distance" },
    { prototypeLoss: "both", etaCrossEntropy: 20 },
    { prototypeLoss: "both", typeBalance: 0.2 },
    { prototypeLoss: "both", distanceReduction: "type-sum" },
  ] as const)
    await assert.rejects(ScPoli.train(reference, { ...options, ...other, checkpoint, resume: true }), {
      kind: "refused",
    });
  const resumed = await ScPoli.train(reference, {
    ...options,
    prototypeLoss: "both",
    checkpoint,
    resume: true,
  });
  const whole = await ScPoli.train(reference, { ...options, prototypeLoss: "both" });
  assert.deepEqual(resumed.stored.tensors.get("prototypes"), whole.stored.tensors.get("prototypes"));
});

test("shares of a level add up to 1; balance moves them from frequent to rare types", () => {
  // two levels; the second type of the first level is rare, a fifth of the labels is missing
  const [N, L] = [1000, 2];
  const labels = Int32Array.from({ length: N * L }, (_, i) => {
    const cell = Math.floor(i / L);
    return i % L === 1 ? 2 + (cell % 2) : cell % 5 === 0 ? -1 : Number(cell % 50 === 1);
  });
  const rareShare = (balance: number): number => {
    const levels = levelPrototypes(
      [
        [0, 1],
        [2, 3],
      ],
      labels,
      L,
      balance,
    );
    const engine = {
      minibatchSize: N,
      minibatchCapacity: 0,
      genes: 1,
      conditionKeys: 0,
      levels: L,
      prototypes: [4, 2] as const,
      levelPrototypes: levels,
    };
    const shares = new Float64Array(N * L);
    crossEntropyShares(labels, engine, levelWeights(engine), shares);
    const sums = [0, 0];
    let rare = 0;
    shares.forEach((share, i) => {
      sums[i % L]! += share;
      if (labels[i]! === 1) rare += share;
      if (labels[i]! < 0) assert.equal(share, 0);
    });
    for (const sum of sums) assert.ok(Math.abs(sum - 1) < 1e-9);
    return rare;
  };
  assert.ok(Math.abs(rareShare(0) - 20 / 800) < 1e-9);
  assert.ok(Math.abs(rareShare(1) - 0.5) < 1e-9);
  assert.ok(rareShare(0.5) > rareShare(0) && rareShare(0.5) < rareShare(1));
});

test("the classification metric stays where the space shrinks, and falls where types come apart", () => {
  const [B, D] = [300, 4];
  const measure = (size: number, distance: number): { classification: number; pull: number } => {
    const random = new Random(2, "spread");
    const labels = Int32Array.from({ length: B }, (_, cell) => cell % 3);
    const latent = Float32Array.from(
      { length: B * D },
      (_, i) => size * (random.normal() + (i % D === labels[Math.floor(i / D)]! ? distance : 0)),
    );
    const sums = new PrototypeSums(3, D, 1);
    sums.add(latent, labels, B);
    const prototypes = sums.finish();
    const types = new TypeCrossEntropy(prototypes, [[0, 1, 2]]);
    types.add(latent, labels, B, 1);
    let pull = 0;
    labels.forEach((label, cell) => {
      pull += Math.hypot(
        ...Array.from({ length: D }, (_, d) => latent[cell * D + d]! - prototypes.means[label * D + d]!),
      );
    });
    return { classification: types.value()!, pull: pull / B };
  };
  const [usual, shrunk, apart] = [measure(1, 2), measure(0.1, 2), measure(1, 4)];
  assert.ok(shrunk.pull < 0.2 * usual.pull, "the distance falls with the scale");
  assert.ok(Math.abs(shrunk.classification - usual.classification) < 1e-3 * usual.classification);
  assert.ok(apart.classification < 0.5 * usual.classification);
});
