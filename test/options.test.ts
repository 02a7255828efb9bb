// Options that the library does not have, or cannot use, are refused by name.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { convert, evaluate, makeReport, readExpression, ScPoli, type TrainOptions } from "../dist/index.js";
import { Random } from "../dist/numerics/random.js";
import { classifySamples, predictSamples } from "../dist/samples/classification.js";
import { correlateGenes } from "../dist/samples/genes.js";
import { planOptimization } from "../dist/training/optimization.js";
import { folder, makeAtlas } from "./atlas.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

const data = await makeAtlas("options", { cells: 60, genes: 30, conditions: ["d1", "d2"] });
const train: TrainOptions = { conditionKeys: ["donor"], cellTypeKeys: ["cell_type"], epochs: 1 };
const model = await ScPoli.train(data, train);

/** Each with an option that is not there, and the one that is meant. */
const misspelled: readonly (readonly [verb: string, call: () => Promise<unknown>, meant: string])[] = [
  ["train", () => ScPoli.train(data, { ...train, cellTypeKey: "cell_type" } as TrainOptions), "cellTypeKeys"],
  ["train", () => ScPoli.train(data, { ...train, embeddingDim: 5 } as TrainOptions), "embeddingDims"],
  ["train", () => ScPoli.train(data, { ...train, n_epochs: 5 } as TrainOptions), "epochs"],
  [
    "earlyStopping",
    () => ScPoli.train(data, { ...train, earlyStopping: { patiance: 3 } } as TrainOptions),
    "patience",
  ],
  ["map", () => model.map(data, { conditionKey: { donor: "donor" } } as object), "conditionKeys"],
  ["embed", () => model.embed(data, { treshold: 0.5 } as object), "threshold"],
  ["label", () => model.label({ name: "x", cluster: [0] } as never), "clusters"],
  ["samples", () => model.samples({ fold: 3 } as object), "folds"],
  ["save", () => model.save(join(folder, "model"), { forse: true } as object), "force"],
  ["export", () => model.export(join(folder, "python"), { Force: true } as object), "force"],
  ["load", () => ScPoli.load(join(folder, "model"), { onnote: () => undefined } as object), "onNote"],
  ["import", () => ScPoli.import(join(folder, "python"), { gene: [] } as object), "genes"],
  ["evaluate", () => evaluate(data, { cellTypeKey: "cell_type", embedding: ["X"] } as never), "embeddings"],
  ["makeReport", () => makeReport({ model, titel: "x" } as object), "title"],
  ["convert", () => convert(data, join(folder, "x.zarr"), { shufle: true } as object), "shuffle"],
  ["readExpression", () => readExpression(data, ["gene1"], { signl: null } as object), "signal"],
];

describe("an option that is not there is refused with the nearest one:", () => {
  for (const [verb, call, meant] of misspelled)
    test(`${verb}, ${meant}`, async () => {
      await assert.rejects(call, {
        kind: "usage",
        message: new RegExp(`^${verb} has no option \\w+\\. Did you mean ${meant}\\?$`),
      });
    });

  test("one that is undefined is not given", async () => {
    await model.embed(data, { treshold: undefined } as object);
  });
});

test("epochs of pretraining and annealing follow those of the run, and cannot exceed them", () => {
  const run = { stage: "training", cells: 1000, hasLabels: true, dropout: 0.05, seed: 0 } as const;
  const given = planOptimization({ epochs: 10 }, run);
  const chosen = planOptimization({}, run);
  assert.ok(chosen.pretrainingEpochs > given.pretrainingEpochs && given.pretrainingEpochs < 10);
  assert.equal(planOptimization({ epochs: 10 }, { ...run, hasLabels: false }).pretrainingEpochs, 10);
  assert.equal(planOptimization({ epochs: 10, alphaEpochAnneal: 3 }, run).alphaEpochAnneal, 3);
  assert.ok(chosen.alphaEpochAnneal > 0 && chosen.alphaEpochAnneal <= chosen.epochs);
  assert.throws(() => planOptimization({ epochs: 10, pretrainingEpochs: 11 }, run), {
    kind: "usage",
    message: /pretrainingEpochs is 11; expected at most the 10 epochs/,
  });
  assert.throws(() => planOptimization({ alphaEpochAnneal: -1 }, run), { kind: "usage" });
});

describe("numbers of the sample analyses are checked:", () => {
  const samples = Int32Array.from({ length: 12 }, (_, sample) => sample);
  const names = Array.from(samples, (sample) => `s${sample}`);
  const values = Array.from(samples, (sample) => (sample % 2 === 0 ? "case" : "control"));
  const covariate = { name: "status", kind: "category", values, levels: ["case", "control"] } as never;
  const random = new Random(1, "options");
  const embedding = {
    rows: 12,
    columns: 2,
    values: Float64Array.from({ length: 24 }, () => random.normal()),
  };
  for (const [name, value] of Object.entries({
    folds: [0, 1, 2.5],
    repeats: [0, -1],
    permutations: [-1, NaN],
    neighbors: [0, 1.5],
    seed: [-1],
  }))
    for (const wrong of value)
      test(`${name} ${wrong}`, () => {
        const expected = { kind: "usage", message: new RegExp(`^${name} is ${wrong}; expected`) };
        assert.throws(() => classifySamples(covariate, { embedding }, { [name]: wrong }), expected);
        const isReference = names.map((_, sample) => sample < 8);
        assert.throws(
          () => predictSamples({ names, isReference, embedding } as never, covariate, { [name]: wrong }),
          expected,
        );
      });

  test("maxP 2, minR -1", async () => {
    for (const limits of [{ maxP: 2 }, { minR: -1 }])
      await assert.rejects(correlateGenes({} as never, {} as never, limits), { kind: "usage" });
  });
});
