// The model's variants end to end on a small simulated atlas: each likelihood, one-hot conditions, several
// keys, no labels; mapped onto, saved and loaded.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { AnnData, ScPoli, type ScPoliError, type Note, type TrainOptions, writeH5ad } from "../dist/index.js";
import { conditionKeyOf } from "../dist/model/parameters.js";
import { folder, makeAtlas, texts } from "./atlas.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

const keys = { conditionKeys: ["donor"], cellTypeKeys: ["cell_type"] };
const settings = { hiddenLayerSizes: [16], epochs: 60, alphaEpochAnneal: 20, minibatch: 64, eta: 5 };
const reference = await makeAtlas("variants-reference", { cells: 500, conditions: ["d1", "d2", "d3"] });
const query = await makeAtlas("variants-query", {
  cells: 150,
  conditions: ["q1", "q2"],
  seed: 2,
  label: () => null,
});

/** Share of the query's cells with the true cell type. */
async function accuracy(predicted: ArrayLike<number>, model: ScPoli): Promise<number> {
  const truth = await texts(query, "truth");
  return (
    truth.filter((type, cell) => model.stored.json.cell_types[predicted[cell]!] === type).length /
    truth.length
  );
}

const variants: Readonly<Record<string, Partial<TrainOptions>>> = {
  zinb: { reconLoss: "zinb" },
  poisson: { reconLoss: "poisson" },
  "one-hot conditions": { conditionEncoding: "one-hot" },
};
for (const [name, options] of Object.entries(variants))
  test(`${name}: labels a query, keeps reference parameters, reloads to the same embedding`, async () => {
    const model = await ScPoli.train(reference, { ...keys, ...settings, ...options });
    const mapping = await model.map(query, { epochs: 15 });
    const reached = await accuracy(mapping.predictions[0]!.predicted, model);
    assert.ok(reached > 0.9, `accuracy ${reached}`);
    for (const [tensor, { shape, data }] of model.stored.tensors) {
      const grown = mapping.model.stored.tensors.get(tensor)!;
      const kept =
        tensor === "theta"
          ? grown.data.filter((_, i) => i % grown.shape[1]! < shape[1]!)
          : grown.data.subarray(0, data.length);
      assert.deepEqual(kept, data, tensor);
      if (tensor !== "theta" && conditionKeyOf(tensor) === null) continue;
      const added =
        tensor === "theta"
          ? grown.data.filter((_, i) => i % grown.shape[1]! >= shape[1]!)
          : grown.data.subarray(data.length);
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
  const model = await ScPoli.train(reference, {
    ...settings,
    epochs: 3,
    conditionKeys: ["donor", "lineage"],
    conditionEncoding: "one-hot",
  });
  assert.deepEqual(model.stored.tensors.get("encoder.FC.L0.cond_L.0.weight")!.shape, [3, 16]);
  assert.deepEqual(model.stored.tensors.get("decoder.FirstL.L0.cond_L.1.weight")!.shape, [2, 16]);
  assert.equal((await model.map(query, { epochs: 2 })).model.stored.json.combinations.length, 10);
});

/** The same file with other values. @param change - of a count and its cell's total */
async function changed(
  data: AnnData,
  name: string,
  change: (count: number, total: number) => number,
): Promise<AnnData> {
  const X = await data.X!.read(0, data.nObs);
  const values = Float32Array.from(X.values);
  for (let cell = 0; cell < data.nObs; cell++) {
    const [start, end] = [X.indptr[cell]!, X.indptr[cell + 1]!];
    const total = values.subarray(start, end).reduce((sum, v) => sum + v, 0);
    for (let k = start; k < end; k++) values[k] = change(values[k]!, total);
  }
  const columns = Object.fromEntries(
    await Promise.all(
      data.obs.columnNames.map(async (column) => [column, await data.obs.column(column)] as const),
    ),
  );
  const path = join(folder, `${name}.h5ad`);
  await writeH5ad(path, {
    X: { ...X, values },
    obs: { index: await data.obs.index(), columns },
    var: { index: await data.var.index() },
  });
  return AnnData.open(path);
}

test("poisson: read counts are detected and converted to fragment counts", async () => {
  const options = { ...keys, ...settings, epochs: 4, reconLoss: "poisson" as const };
  // 2f - 1 and 2f reads are f fragments
  const reads = await changed(reference, "variants-reads", (count) => 2 * count - (count % 3 === 0 ? 1 : 0));
  const queryReads = await changed(query, "variants-query-reads", (count) => 2 * count);
  const notes: Note[] = [];
  const onNote = (note: Note): void => void notes.push(note);
  const model = await ScPoli.train(reads, { ...options, onNote });
  assert.ok(
    notes.some(({ message }) => message.includes("looks like scATAC read counts")),
    notes.map(({ message }) => message).join("; "),
  );
  const same = await ScPoli.train(reference, { ...options, atacCounts: "fragments" });
  assert.deepEqual([...model.stored.tensors], [...same.stored.tensors]);
  assert.deepEqual([model.stored.json.atac_counts, same.stored.json.atac_counts], ["reads", "fragments"]);
  const latent = (await model.map(queryReads, { epochs: 2, onNote })).latent;
  assert.deepEqual(latent, (await same.map(query, { epochs: 2 })).latent);
  assert.ok(
    notes.every(({ level }) => level === "info"),
    "no warning for data like the model's",
  );
  await model.map(query, { epochs: 1, onNote });
  assert.ok(
    notes.some(({ level, message }) => level === "warning" && message.includes("--atac-counts fragments")),
    "a query that looks otherwise is told",
  );
  assert.deepEqual((await model.map(query, { epochs: 2, atacCounts: "fragments" })).latent, latent);
  const streamed = await ScPoli.train(reads, { ...options, epochs: 1, stream: "always" });
  assert.equal(streamed.stored.json.atac_counts, "reads");
});

test("mse: normalised values are used unchanged, in memory and streamed; a query is labelled", async () => {
  const normalise = (count: number, total: number): number => Math.log1p((1e4 * count) / total);
  const normalised = await changed(reference, "variants-normalised", normalise);
  const options = { ...keys, ...settings, reconLoss: "mse" as const };
  const notes: Note[] = [];
  const model = await ScPoli.train(normalised, { ...options, onNote: (note) => notes.push(note) });
  assert.ok(
    notes.some(({ message }) => message.startsWith("mse uses the values of X unchanged")),
    notes.map(({ message }) => message).join("; "),
  );
  const mapping = await model.map(await changed(query, "variants-query-normalised", normalise), {
    epochs: 15,
  });
  const reached = await accuracy(mapping.predictions[0]!.predicted, model);
  assert.ok(reached > 0.9, `accuracy ${reached}`);
  assert.ok(!model.stored.tensors.has("theta"), "mse has no theta");
  const { history } = (await ScPoli.train(normalised, { ...options, epochs: 2, stream: "always" })).stored
    .json.provenance as { history: { train: { reconstruction: number } }[] };
  assert.ok(history[1]!.train.reconstruction < history[0]!.train.reconstruction, "a streamed run learns");
  await assert.rejects(ScPoli.train(normalised, { ...options, genes: 50 }), { kind: "usage" });
  await assert.rejects(ScPoli.train(normalised, { ...options, atacCounts: "auto" }), { kind: "usage" });
  const warned: string[] = [];
  await model.embed(await changed(reference, "variants-counts", (count) => count), {
    onNote: ({ level, message }) => void (level === "warning" && warned.push(message)),
  });
  assert.ok(
    warned.some((message) => message.includes("raw counts")),
    "raw counts are told",
  );
  const broken = await changed(reference, "variants-broken", (count) => (count > 5 ? Infinity : count));
  await assert.rejects(
    ScPoli.train(broken, options),
    (error: ScPoliError) => error.kind === "counts" && /infinite.*cell.*gene/.test(error.message),
  );
});

test("without prototype loss there is no fine-tuning, but prototypes and labels", async () => {
  const model = await ScPoli.train(reference, {
    ...keys,
    ...settings,
    eta: undefined,
    prototypeLoss: "off",
  });
  const { history, optimization } = model.stored.json.provenance as {
    history: { train: { prototype: number } }[];
    optimization: { pretrainingEpochs: number };
  };
  assert.ok(
    history.every(({ train }) => train.prototype === 0),
    "no prototype loss",
  );
  assert.equal(optimization.pretrainingEpochs, settings.epochs);
  const reached = await accuracy((await model.map(query, { epochs: 15 })).predictions[0]!.predicted, model);
  assert.ok(reached > 0.8, `accuracy ${reached}`);
});

test("reports the parameters of both encodings, and the paper's bound", async () => {
  for (const [conditionEncoding, storedName] of [
    ["embedding", "embedding"],
    ["one-hot", "one_hot"],
  ] as const) {
    const { stored, summary } = ((model: ScPoli) => ({ stored: model.stored, summary: model.summary() }))(
      await ScPoli.train(reference, { ...settings, epochs: 1, conditionKeys: ["donor"], conditionEncoding }),
    );
    const ofConditions = [...stored.tensors]
      .filter(([name]) => name.startsWith("embeddings") || name.includes("cond_L"))
      .reduce((sum, [, { data }]) => sum + data.length, 0);
    assert.equal(summary.condition_parameters[storedName], ofConditions);
    const {
      embedding,
      one_hot: oneHot,
      embedding_width: E,
      widest_embedding: widest,
    } = summary.condition_parameters;
    assert.equal(widest, (3 * 32) / 35);
    assert.equal(embedding < oneHot, E < widest);
  }
});

test("no labels at all: a plain conditional VAE", async () => {
  const model = await ScPoli.train(reference, { ...settings, epochs: 5, conditionKeys: ["donor"] });
  assert.deepEqual(model.stored.json.cell_types, []);
  const { latent } = await model.map(query, { epochs: 2 });
  assert.equal(latent.length, query.nObs * model.stored.json.model.latent_dim);
});
