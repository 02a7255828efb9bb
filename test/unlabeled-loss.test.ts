// Unlabelled prototypes in the prototype loss: both engines compared with the published formula, the effect
// on training, and an interrupted run.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { Activation, Engine, Program } from "../dist/engine/engine.js";
import { ReferenceEngine } from "../dist/engine/reference.js";
import { createWasmEngine } from "../dist/engine/wasm.js";
import { ScPoli, type TrainOptions } from "../dist/index.js";
import { minkowski, unlabeledPrototypeLoss } from "../dist/prototypes/prototypes.js";
import { Random } from "../dist/numerics/random.js";
import { folder, makeAtlas } from "./atlas.ts";
import { compare } from "./twin.ts";

const data = await makeAtlas("half", {
  cells: 360,
  conditions: ["d1", "d2"],
  label: (type, cell) => (cell % 2 ? type : null),
});

const [B, D, labelled, rows] = [40, 4, 3, 9];
const [weight, eta] = [0.6, 2.5];
const random = new Random(4, "unlabelled loss");
const z = Float32Array.from({ length: B * D }, () => random.normal());
const prototypes = Float32Array.from({ length: rows * D }, () => random.normal());

/** Loss of the prototypes and its gradient in z, for one label per cell. */
function lossOf(engine: Engine, labels: Int32Array, p: number): { loss: number; gradient: Float64Array } {
  let [place, gradient]: Activation[] = [];
  const program: Program = engine.record((operations) => {
    [place, gradient] = [engine.createActivation(D), engine.createActivation(D)];
    operations.prototypeLoss(place, p);
    operations.prototypeLossBackward(place, p, gradient);
  });
  engine.minibatch.rows = B;
  engine.minibatch.labels.set(labels);
  engine.writePrototypes(prototypes);
  engine.writeActivation(place!, z);
  engine.writeActivation(gradient!, new Float32Array(B * D));
  const { prototype } = program.run({ prototypeWeight: eta });
  return { loss: prototype, gradient: Float64Array.from(engine.readActivation(gradient!)) };
}

for (const p of [2, 1.5])
  test(`unlabelled prototypes: published loss and gradient times the weight (norm ${p})`, async () => {
    const options = {
      minibatchSize: B,
      minibatchCapacity: B,
      genes: 1,
      conditionKeys: 0,
      levels: 1,
      prototypes: [rows, D] as const,
      unlabeled: { from: labelled, weight },
    };
    const nearest = Int32Array.from({ length: B }, (_, b) => {
      const distances = Array.from({ length: rows - labelled }, (__, u) =>
        minkowski(z, b, prototypes, labelled + u, D, p),
      );
      return labelled + distances.indexOf(Math.min(...distances));
    });
    const expected = unlabeledPrototypeLoss(z, prototypes.subarray(labelled * D), D, p);
    const wasm = await createWasmEngine(options, { threads: 2 });
    for (const [engine, bound] of [
      [new ReferenceEngine(options), 1e-12],
      [wasm, 1e-5],
    ] as const) {
      const { loss, gradient } = lossOf(engine, nearest, p);
      assert.ok(
        Math.abs(loss - weight * expected.loss) <= bound * loss,
        `${engine.name}: ${loss}, expected ${weight * expected.loss}`,
      );
      compare(
        gradient,
        expected.dlatent.map((value) => eta * weight * value),
        `${engine.name}: gradient`,
        Math.max(bound, 1e-6),
      );
      // with labelled cells their loss is added; the other is unchanged
      const half = nearest.map((label, b) => (b % 2 ? b % labelled : label));
      const onlyLabelled = lossOf(
        engine,
        half.map((label) => (label < labelled ? label : -1)),
        p,
      ).loss;
      const onlyUnlabelled = lossOf(
        engine,
        half.map((label) => (label < labelled ? -1 : label)),
        p,
      ).loss;
      const both = lossOf(engine, half, p).loss;
      assert.ok(
        onlyLabelled > 0 &&
          onlyUnlabelled > 0 &&
          Math.abs(both - onlyLabelled - onlyUnlabelled) < 1e-5 * both,
        `${engine.name}: ${both} is ${onlyLabelled} + ${onlyUnlabelled}`,
      );
    }
    await wasm.close();
  });

const options: TrainOptions = {
  conditionKeys: ["donor"],
  cellTypeKeys: ["cell_type"],
  hiddenLayerSizes: [24],
  epochs: 40,
  pretrainingEpochs: 20,
  alphaEpochAnneal: 10,
  minibatch: 32,
  prototypeLoss: "distance",
  eta: 5,
  unlabeledPrototypes: "leiden",
  earlyStopping: false,
};

/** Mean spread of the unlabelled prototypes over that of the labelled ones. */
function tightness(model: ScPoli): number {
  const spreads = (isUnlabelled: boolean): number[] =>
    model
      .summary()
      .prototypes.filter(({ cluster }) => (cluster !== undefined) === isUnlabelled)
      .map(({ spread }) => spread);
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  return mean(spreads(true)) / mean(spreads(false));
}

test("with a weight, unlabelled cells move to their clusters' prototypes", async () => {
  const [plain, without, drawn] = [
    await ScPoli.train(data, { ...options, unlabeledPrototypes: false }),
    await ScPoli.train(data, options),
    await ScPoli.train(data, { ...options, unlabeledWeight: 8 }),
  ];
  for (const [name, tensor] of plain.stored.tensors)
    assert.deepEqual(without.stored.tensors.get(name), tensor, name);
  assert.ok(tightness(drawn) < 0.9 * tightness(without), `${tightness(drawn)} against ${tightness(without)}`);
  assert.deepEqual(drawn.stored.json.cell_types, plain.stored.json.cell_types);
  assert.equal(drawn.stored.tensors.get("prototypes")!.shape[0], 3);
  assert.equal(
    drawn.stored.json.unlabeled_prototypes.reduce((sum, { cells }) => sum + cells, 0),
    180,
  );
});

test("without labels it is the only prototype loss, also in mapping", async () => {
  const model = await ScPoli.train(data, {
    ...options,
    cellTypeKeys: [],
    unlabeledPrototypes: { kmeans: 4 },
    unlabeledWeight: 1,
  });
  const { history } = model.stored.json.provenance as { history: { train: { prototype: number } }[] };
  assert.ok(
    history[19]!.train.prototype === 0 && history[20]!.train.prototype > 0,
    "from the fine-tuning on",
  );
  const query = await makeAtlas("query", { cells: 90, conditions: ["q1"], seed: 2, label: () => null });
  const [without, inside] = [0, 20].map((unlabeledWeight) =>
    model.map(query, {
      epochs: 8,
      pretrainingEpochs: 2,
      unlabeledPrototypes: { kmeans: 3 },
      unlabeledWeight,
    }),
  );
  assert.notDeepEqual((await inside!).latent, (await without!).latent);
  assert.equal((await inside!).model.stored.json.unlabeled_prototypes.length, 4 + 3);
});

test("stopped in the fine-tuning and resumed: the same bytes; another weight is another run", async () => {
  const run: TrainOptions = {
    ...options,
    epochs: 14,
    pretrainingEpochs: 5,
    unlabeledWeight: 1,
    checkpoint: join(folder, "unlabelled.checkpoint"),
  };
  const whole = await ScPoli.train(data, { ...run, checkpoint: undefined });
  const abort = new AbortController();
  await assert.rejects(
    ScPoli.train(data, {
      ...run,
      signal: abort.signal,
      onProgress: ({ epoch = 0 }) => epoch >= 9 && abort.abort(),
    }),
    { kind: "interrupted" },
  );
  await assert.rejects(ScPoli.train(data, { ...run, unlabeledWeight: 2, resume: true }), { kind: "refused" });
  const resumed = await ScPoli.train(data, { ...run, resume: true });
  assert.deepEqual([...resumed.stored.tensors], [...whole.stored.tensors]);
});

test("a weight without unlabelled prototypes is refused", () =>
  assert.rejects(ScPoli.train(data, { ...options, unlabeledPrototypes: false, unlabeledWeight: 1 }), {
    kind: "usage",
    message: /unlabeledPrototypes/,
  }));
