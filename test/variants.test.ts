// The model's variants end to end on a small simulated atlas: each likelihood, one-hot conditions, several keys, no labels; mapped onto, saved and loaded.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { ScPoli, type TrainOptions } from "../dist/index.js";
import { conditionKeyOf } from "../dist/parameters.js";
import { folder, makeAtlas, texts } from "./atlas.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

const keys = { conditionKeys: ["donor"], cellTypeKeys: ["cell_type"] };
const settings = { hiddenLayerSizes: [16], epochs: 60, alphaEpochAnneal: 20, minibatch: 64, eta: 5 };
const reference = await makeAtlas("variants-reference", { cells: 500, conditions: ["d1", "d2", "d3"] });
const query = await makeAtlas("variants-query", { cells: 150, conditions: ["q1", "q2"], seed: 2, label: () => null });

/** Share of the query's cells with the true cell type. */
async function accuracy(predicted: ArrayLike<number>, model: ScPoli): Promise<number> {
  const truth = await texts(query, "truth");
  return truth.filter((type, cell) => model.stored.json.cell_types[predicted[cell]!] === type).length / truth.length;
}

const variants: Readonly<Record<string, Partial<TrainOptions>>> = {
  zinb: { reconLoss: "zinb" },
  poisson: { reconLoss: "poisson" },
  "one-hot conditions": { conditionEncoding: "one-hot" },
};
for (const [name, options] of Object.entries(variants))
  test(`${name}: a query is labelled, the reference's parameters keep their bits, and the saved model embeds to the same bytes`, async () => {
    const model = await ScPoli.train(reference, { ...keys, ...settings, ...options });
    const mapping = await model.map(query, { epochs: 15 });
    const found = await accuracy(mapping.predictions[0]!.predicted, model);
    assert.ok(found > 0.9, `accuracy ${found}`);
    for (const [tensor, { shape, data }] of model.stored.tensors) {
      const grown = mapping.model.stored.tensors.get(tensor)!;
      const kept = tensor === "theta" ? grown.data.filter((_, i) => i % grown.shape[1]! < shape[1]!) : grown.data.subarray(0, data.length);
      assert.deepEqual(kept, data, tensor);
      if (tensor !== "theta" && conditionKeyOf(tensor) === null) continue;
      const added = tensor === "theta" ? grown.data.filter((_, i) => i % grown.shape[1]! >= shape[1]!) : grown.data.subarray(data.length);
      assert.ok(added.length > 0 && new Set(added).size > added.length / 4, `${tensor} has grown`);
    }
    const path = join(folder, `${name}.model`);
    await mapping.model.save(path);
    assert.deepEqual((await (await ScPoli.load(path)).embed(query)).latent, mapping.latent);
    const untrained = await model.map(query, { training: false });
    assert.equal(untrained.report.epochs, 0);
  });

test("zinb on counts without zeros of a second kind: their probability falls below a half", async () => {
  const dropped = await ScPoli.train(reference, { ...keys, ...settings, reconLoss: "zinb" });
  const { data } = dropped.stored.tensors.get("decoder.dropout_decoder.bias")!;
  // logits start around 0
  assert.ok(data.reduce((sum, v) => sum + v, 0) / data.length < 0, "mean dropout logit");
});

test("several condition keys at once, one-hot: a weight per key and layer", async () => {
  const model = await ScPoli.train(reference, { ...settings, epochs: 3, conditionKeys: ["donor", "lineage"], conditionEncoding: "one-hot" });
  assert.deepEqual(model.stored.tensors.get("encoder.FC.L0.cond_L.0.weight")!.shape, [3, 16]);
  assert.deepEqual(model.stored.tensors.get("decoder.FirstL.L0.cond_L.1.weight")!.shape, [2, 16]);
  assert.equal((await model.map(query, { epochs: 2 })).model.stored.json.combinations.length, 10);
});

test("no labels at all: a plain conditional VAE", async () => {
  const model = await ScPoli.train(reference, { ...settings, epochs: 5, conditionKeys: ["donor"] });
  assert.deepEqual(model.stored.json.cell_types, []);
  assert.equal((await model.map(query, { epochs: 2 })).latent.length, 1500);
});
