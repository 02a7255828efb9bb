// `scpoli samples`: a model whose embedding is made so that the answers are known, in the library and on the
// command line.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  AnnData,
  samplePlots,
  ScPoli,
  writeH5ad,
  writePlots,
  writeSamples,
  writeTables,
  type SampleAnalysis,
  type SamplesOptions,
} from "../dist/index.js";
import { saveModel } from "../dist/storage/model-folder.js";
import { type StoredModel } from "../dist/model/stored-model.js";
import { Random } from "../dist/numerics/random.js";
import { analyseSamples } from "../dist/samples/analysis.js";
import { euclidean } from "../dist/samples/distances.js";
import { sampleExpression } from "../dist/samples/expression.js";
import { overRepresentation } from "../dist/samples/genes.js";
import { precisionWeights } from "../dist/samples/sample-uncertainty.js";
import { loadDistributions } from "../dist/statistics/distributions.js";
import { linearModel } from "../dist/statistics/linear-model.js";
import { findCounts } from "../dist/data/count-places.js";
import { folder } from "./atlas.ts";
import { scpoli } from "./command.ts";
import { fails } from "./compare.ts";

const at = (name: string): string => join(folder, name);
const random = new Random(3, "samples");
const S = 16;
const perSample = 12;
const G = 40;
const samples = Array.from({ length: S }, (_, s) => `s${String(s).padStart(2, "0")}`);
const isTreated = samples.map((_, s) => s % 2 === 1);
const genes = Array.from({ length: G }, (_, g) =>
  g < 6 ? `IFN${g}` : g < 10 ? `RPL${g}` : g < 12 ? `MT-${g}` : `gene${g}`,
);

/** Genes of the response are higher in treated samples, those of the ribosome lower. */
function counts(): Float32Array {
  const values = new Float32Array(S * perSample * G);
  for (let row = 0; row < S * perSample; row++) {
    const treated = isTreated[Math.floor(row / perSample)]!;
    for (let g = 0; g < G; g++)
      values[row * G + g] = random.below(g < 6 ? (treated ? 9 : 3) : g < 10 ? (treated ? 4 : 8) : 5);
  }
  return values;
}

const cells = Array.from({ length: S * perSample }, (_, cell) => Math.floor(cell / perSample));
const dense = counts();
await writeH5ad(at("cells.h5ad"), {
  X: { rows: S * perSample, columns: G, values: dense },
  obs: {
    index: cells.map((_, cell) => `cell${cell}`),
    columns: {
      sample: { kind: "string", values: cells.map((s) => samples[s]!) },
      treatment: { kind: "string", values: cells.map((s) => (isTreated[s] ? "drug" : "none")) },
      age: { kind: "number", values: Float64Array.from(cells, (s) => 30 + ((s * 7) % 40)) },
      severity: {
        kind: "categorical",
        codes: Int8Array.from(cells, (s) => s % 3),
        categories: ["mild", "moderate", "severe"],
        ordered: true,
      },
      cell_type: { kind: "string", values: cells.map((_, cell) => (cell % 2 === 0 ? "T" : "B")) },
    },
  },
  var: { index: genes },
});
const data = await AnnData.open(at("cells.h5ad"));
const trained = await ScPoli.train(data, {
  conditionKeys: ["sample"],
  hiddenLayerSizes: [8],
  embeddingDims: 4,
  epochs: 1,
  threads: 1,
});

/**
 * The model with an embedding of ours: the first direction is the treatment, the second the age, the others
 * are noise.
 */
function designed({
  reference = S,
  names = samples,
}: { reference?: number; names?: readonly string[] } = {}): StoredModel {
  const noise = new Random(5, "embedding");
  const embedding = Float32Array.from({ length: names.length * 4 }, (_, i) => {
    const s = Math.floor(i / 4);
    return [isTreated[s] ? 0.4 : -0.4, (((s * 7) % 40) - 20) / 100, 0, 0][i % 4]! + 0.04 * noise.normal();
  });
  const { json, tensors } = trained.stored;
  return {
    json: { ...json, conditions: [names], reference_conditions: [reference] },
    tensors: new Map([...tensors, ["embeddings.0.weight", { shape: [names.length, 4], data: embedding }]]),
  };
}
const stored = designed();
const analyse = async (options: SamplesOptions = {}, model = stored): Promise<SampleAnalysis> =>
  (await analyseSamples(model, options))[0]!;
const whole = await analyse({ data, classify: ["treatment"], permutations: 99, repeats: 5 });

test("a model stores obs columns constant within samples, unless turned off", async () => {
  const [table] = trained.stored.json.sample_metadata!;
  assert.deepEqual(table!.columns, ["treatment", "age", "severity"]);
  assert.deepEqual(table!.samples["s01"], ["drug", 37, "moderate"]);
  assert.deepEqual(table!.levels, { severity: ["mild", "moderate", "severe"] });
  await trained.save(at("own"), { force: true });
  assert.deepEqual(
    (await ScPoli.load(at("own"))).stored.json.sample_metadata,
    trained.stored.json.sample_metadata,
  );
  const without = await ScPoli.train(data, {
    conditionKeys: ["sample"],
    hiddenLayerSizes: [8],
    epochs: 1,
    threads: 1,
    sampleMetadata: false,
  });
  assert.equal(without.stored.json.sample_metadata, undefined);
});

test("map stores metadata of the query's new samples, unless turned off", async () => {
  const rows = 24;
  const name = (cell: number): string => (cell % 2 === 0 ? "drug" : "none");
  const column = { kind: "string", values: Array.from({ length: rows }, (_, cell) => name(cell)) } as const;
  await writeH5ad(at("query.h5ad"), {
    X: { rows, columns: G, values: dense.slice(0, rows * G) },
    obs: {
      index: Array.from({ length: rows }, (_, cell) => `q${cell}`),
      columns: { sample: column, treatment: column },
    },
    var: { index: genes },
  });
  const query = await AnnData.open(at("query.h5ad"));
  const { model } = await trained.map(query, { epochs: 1, threads: 1 });
  const [table] = model.stored.json.sample_metadata!;
  assert.deepEqual(
    [table!.columns, table!.samples["drug"], table!.samples["s01"]],
    [
      ["treatment", "age", "severity"],
      ["drug", null, null],
      ["drug", 37, "moderate"],
    ],
  );
  const [analysis] = await model.samples({ predict: ["treatment"] });
  assert.deepEqual(
    analysis!.predictions[0]!.samples.map(({ sample, known }) => [sample, known]),
    [
      ["drug", "drug"],
      ["none", "none"],
      ["drug", "drug"],
      ["none", "none"],
    ],
  );
  const without = await trained.map(query, { epochs: 1, threads: 1, sampleMetadata: false });
  assert.equal(without.model.stored.json.sample_metadata![0]!.samples["drug"], undefined);
});

test("components, associations and guidance recover the simulated effects", async () => {
  const { components, associations, guidance, covariates } = await analyse();
  assert.deepEqual(
    covariates.map(({ name, kind }) => [name, kind]),
    [
      ["treatment", "categorical"],
      ["age", "number"],
      ["severity", "ordinal"],
    ],
  );
  assert.ok(Math.abs(components.varianceRatio.reduce((sum, share) => sum + share, 0) - 1) < 1e-12);
  assert.equal(associations.length, 3 * components.variance.length);
  const of = (covariate: string, component: number) =>
    associations.find((row) => row.covariate === covariate && row.component === component)!;
  assert.ok(
    of("treatment", 1).adjusted_r2 > 0.95 && of("treatment", 1).p_adjusted < 1e-6,
    JSON.stringify(of("treatment", 1)),
  );
  assert.ok(of("age", 2).adjusted_r2 > 0.7, JSON.stringify(of("age", 2)));
  assert.ok(of("severity", 1).p_adjusted > 0.05, JSON.stringify(of("severity", 1)));
  assert.deepEqual(
    [guidance.condition, guidance.covariates[0]!.covariate, guidance.covariates[0]!.p],
    ["treatment", "treatment", 0.001],
  );
  assert.match(
    guidance.reason,
    /^treatment \(adjusted R2 0\.\d+, corrected P 0\.0030\) explains most of the embedding of sample: 2 conditions in place of 16/,
  );
  // the weighted adjusted R2 is the mean over components, weighted by their variance
  const weighted = Array.from(
    components.varianceRatio,
    (share, k) => share * of("treatment", k + 1).adjusted_r2,
  ).reduce((sum, value) => sum + value, 0);
  assert.ok(Math.abs(guidance.covariates[0]!.adjusted_r2 - weighted) < 1e-10);
});

test("guidance keeps samples if nothing explains them, and lists covariates with equal groups", async () => {
  const noise = Object.fromEntries(
    samples.map((name, s) => [
      name,
      [["x", "y"][(s >> 2) % 2]!, ["p", "q"][(s >> 2) % 2]!, isTreated[s] ? 1 : 0],
    ]),
  );
  const metadata = { sample: { columns: ["noise", "alias", "arm"], samples: noise } };
  const kept = await analyse({ metadata, covariates: ["noise", "alias"] });
  assert.equal(kept.guidance.condition, null);
  assert.match(
    kept.guidance.reason,
    /^Keep sample as condition: of the covariates that divide the samples into groups of several, noise .* explains most, and no more than chance/,
  );
  assert.deepEqual(
    kept.guidance.covariates.map(({ same_as }) => same_as),
    [null, "noise"],
  );
  const named = await analyse({
    metadata,
    covariates: ["treatment", "arm"],
    kinds: { categorical: ["arm"] },
  });
  assert.match(named.guidance.reason, /the same groups as arm/);
});

test("neighbours share their treatment, and the order puts like samples together", () => {
  const { neighbors, order, distances } = whole.distances;
  neighbors.forEach((rows, s) =>
    assert.ok(rows.length === 5 && rows.every((other) => other !== s && isTreated[other] === isTreated[s])),
  );
  const sides = Array.from(order, (s) => isTreated[s]);
  assert.equal(sides.filter((half, i) => i > 0 && half !== sides[i - 1]).length, 1, String(order));
  assert.deepEqual(
    Array.from(distances.values),
    Array.from(euclidean(whole.samples.embedding, whole.samples.embedding).values),
  );
});

test("treatment is predicted from embedding and pseudobulk; a random split is not", async () => {
  const [{ scores, classes, folds }] = whole.classifications as [(typeof whole.classifications)[number]];
  assert.deepEqual([classes, folds], [{ drug: 8, none: 8 }, 5]);
  assert.deepEqual(
    scores.map(({ features, classifier }) => `${features} ${classifier}`),
    ["embedding knn", "embedding linear", "pseudobulk knn", "pseudobulk linear", "none majority"],
  );
  for (const row of scores.slice(0, 3))
    assert.ok(row.weighted_f1 > 0.95 && row.p === 0.01, JSON.stringify(row));
  const majority = scores.at(-1)!;
  assert.ok(majority.p === null && majority.accuracy <= 0.5, JSON.stringify(majority));
  const metadata = {
    sample: {
      columns: ["noise"],
      samples: Object.fromEntries(samples.map((name, s) => [name, [["x", "y"][(s >> 1) % 2]!]])),
    },
  };
  const {
    classifications: [noise],
  } = await analyse({ metadata, classify: ["noise"], permutations: 99, repeats: 5 });
  for (const row of noise!.scores.slice(0, 2)) assert.ok(row.p! > 0.05, JSON.stringify(row));
  const again = await analyse({ data, classify: ["treatment"], permutations: 99, repeats: 5 });
  assert.deepEqual(again.classifications, whole.classifications);
});

test("values of new samples are predicted from the reference and shown next to known ones", async () => {
  const mapped = designed({ reference: 12 });
  const {
    predictions: [predicted],
  } = await analyse({ predict: ["treatment"] }, mapped);
  assert.equal(predicted!.samples.length, 2 * 4);
  for (const row of predicted!.samples)
    assert.ok(row.predicted === row.known && row.share > 0.9, JSON.stringify(row));
  await fails(() => analyse({ predict: ["treatment"] }), "usage", /Every sample belongs to the reference/);
});

test("samples without cells in the file are named", async () => {
  const notesWith = async (names: readonly string[]): Promise<string[]> => {
    const messages: string[] = [];
    await analyse({ data, onNote: ({ message }) => messages.push(message) }, designed({ names }));
    return messages.filter((message) => message.startsWith("Analyses of expression"));
  };
  assert.deepEqual(await notesWith(samples), []);
  const [note, ...others] = await notesWith([...samples, "lost"]);
  assert.match(note!, new RegExp(`the ${S} of ${S + 1} samples \\(sample\\) .* none of 'lost'\\.$`));
  assert.deepEqual(others, []);
});

describe("uncertainty of the embeddings", () => {
  // embeddings that the cells have decided
  const fitted = ScPoli.train(data, {
    conditionKeys: ["sample"],
    hiddenLayerSizes: [8],
    embeddingDims: 4,
    epochs: 200,
    threads: 1,
  });
  const uncertaintyOf = async (options: SamplesOptions): Promise<SampleAnalysis> =>
    (await (await fitted).samples(options))[0]!;

  test("each sample has a reproducible covariance; none without data, or if turned off", async () => {
    const { uncertainty } = await uncertaintyOf({ data, threads: 1 } as SamplesOptions);
    for (const sample of uncertainty!) {
      assert.equal(sample!.cells, perSample);
      const { values, columns } = sample!.covariance;
      const trace = Array.from({ length: columns }, (_, e) => values[e * columns + e]!);
      assert.ok(trace.every((variance) => variance > 0));
      assert.ok(
        Math.abs(Math.sqrt(trace.reduce((sum, variance) => sum + variance, 0)) - sample!.deviation) < 1e-12,
      );
    }
    const again = await uncertaintyOf({ data });
    assert.deepEqual(again.uncertainty, uncertainty);
    assert.equal((await uncertaintyOf({})).uncertainty, null);
    assert.equal((await uncertaintyOf({ data, uncertainty: false })).uncertainty, null);
  });

  test("repeated cells are more certain; a sample without cells has no uncertainty", async () => {
    const rows = cells.flatMap((sample, cell) =>
      sample === 0 ? [] : sample === 1 ? new Array<number>(8).fill(cell) : [cell],
    );
    const values = new Float32Array(rows.length * G);
    rows.forEach((cell, i) => values.set(dense.subarray(cell * G, (cell + 1) * G), i * G));
    await writeH5ad(at("repeated.h5ad"), {
      X: { rows: rows.length, columns: G, values },
      obs: {
        index: rows.map((cell, i) => `cell${cell}-${i}`),
        columns: { sample: { kind: "string", values: rows.map((cell) => samples[cells[cell]!]!) } },
      },
      var: { index: genes },
    });
    const repeated = await AnnData.open(at("repeated.h5ad"));
    const { uncertainty } = await uncertaintyOf({ data: repeated });
    repeated.close();
    const once = (await uncertaintyOf({ data })).uncertainty!;
    assert.equal(uncertainty![0], null);
    assert.equal(uncertainty![1]!.cells, 8 * perSample);
    assert.ok(
      uncertainty![1]!.deviation < 0.75 * once[1]!.deviation,
      `${uncertainty![1]!.deviation} of ${once[1]!.deviation}`,
    );
  });

  test("one cell of a sample is less certain than all; embeddings may have one dimension", async () => {
    const rows = cells.flatMap((sample, cell) => (sample > 1 || cell % perSample === 0 ? [cell] : []));
    const values = new Float32Array(rows.length * G);
    rows.forEach((cell, i) => values.set(dense.subarray(cell * G, (cell + 1) * G), i * G));
    await writeH5ad(at("single-cells.h5ad"), {
      X: { rows: rows.length, columns: G, values },
      obs: {
        index: rows.map((cell) => `cell${cell}`),
        columns: { sample: { kind: "string", values: rows.map((cell) => samples[cells[cell]!]!) } },
      },
      var: { index: genes },
    });
    const single = await AnnData.open(at("single-cells.h5ad"));
    const { uncertainty } = await uncertaintyOf({ data: single });
    const whole = (await uncertaintyOf({ data })).uncertainty!;
    for (const sample of [0, 1])
      assert.ok(
        uncertainty![sample]!.deviation > whole[sample]!.deviation,
        `${uncertainty![sample]!.deviation} with one cell, ${whole[sample]!.deviation} with ${perSample}`,
      );
    const narrow = await ScPoli.train(data, {
      conditionKeys: ["sample"],
      hiddenLayerSizes: [8],
      embeddingDims: 1,
      epochs: 20,
      threads: 1,
    });
    const [analysis] = await narrow.samples({ data: single });
    for (const sample of analysis!.uncertainty!)
      assert.ok(sample!.deviation >= 0 && sample!.deviation <= 0.6);
    single.close();
  });

  test("an embedding at the surface of the unit ball does not leave it", async () => {
    const stored = designed();
    const { shape, data: embedding } = stored.tensors.get("embeddings.0.weight")!;
    const moved = Float32Array.from(embedding);
    moved.set([0, 0, 1, 0], 0);
    await saveModel(at("surface-model"), {
      ...stored,
      tensors: new Map([...stored.tensors, ["embeddings.0.weight", { shape, data: moved }]]),
    });
    const [analysis] = await (await ScPoli.load(at("surface-model"))).samples({ data });
    const { values } = analysis!.uncertainty![0]!.covariance;
    for (let e = 0; e < 4; e++) assert.ok(Math.abs(values[2 * 4 + e]!) < 1e-12, `${e}: ${values[2 * 4 + e]}`);
    assert.ok(values[0]! > 0);
  });

  test("it is written, drawn and printed; predictions of uncertain samples are less certain", async () => {
    const analysis = await uncertaintyOf({ data });
    const [path] = await writeSamples(at("uncertain.h5ad"), [analysis]);
    const file = await AnnData.open(path!);
    const deviations = await file.obs.column("embedding_sd");
    assert.ok(deviations.kind === "number");
    assert.deepEqual(
      Array.from(deviations.values),
      analysis.uncertainty!.map((sample) => sample!.deviation),
    );
    assert.equal((await file.obsm("embedding_covariance")).columns, 16);
    const onComponents = await file.obsm("X_pca_sd");
    // the components are a rotation of the embedding, but for directions without variance
    assert.ok(Math.hypot(...onComponents.values.subarray(0, 4)) <= deviations.values[0]! * (1 + 1e-9));
    file.close();
    const plot = samplePlots(analysis)["pca_by_treatment"]!;
    assert.equal(plot.svg.match(/<ellipse /g)!.length, S + 1, "one for each sample, one in the legend");
    assert.match(plot.svg, /95 % of positions with other cells/);
    await (await fitted).save(at("uncertain-model"));
    const text = (await scpoli(["samples", at("uncertain-model"), "--data", at("cells.h5ad")])).stdout;
    assert.match(
      text,
      /standard deviation of the embeddings: median 0\.\d\d, largest s\d\d 0\.\d\d \(12 cells\)/,
    );
    const mapped = designed({ reference: 12 });
    await saveModel(at("predicting-model"), mapped);
    const predicting = await ScPoli.load(at("predicting-model"));
    const shares = async (options: SamplesOptions): Promise<number[]> =>
      (await predicting.samples({ ...options, predict: ["treatment"] }))[0]!.predictions[0]!.samples.map(
        ({ share }) => share,
      );
    const [sure, unsure] = [await shares({}), await shares({ data })];
    assert.ok(sure.every((share, i) => unsure[i]! <= share + 1e-9));
    assert.ok(unsure.some((share, i) => share < sure[i]!));
  });

  test("cells with too few of the model's genes: the rest is computed, with a warning", async () => {
    await writeH5ad(at("few-genes.h5ad"), {
      X: { rows: S, columns: 3, values: new Float32Array(S * 3).map((_, i) => 1 + (i % 5)) },
      obs: {
        index: samples.map((name) => `cell of ${name}`),
        columns: { sample: { kind: "string", values: [...samples] } },
      },
      var: { index: genes.slice(0, 3) },
    });
    const few = await AnnData.open(at("few-genes.h5ad"));
    const notes: string[] = [];
    const { uncertainty, genes: expression } = await uncertaintyOf({
      data: few,
      onNote: ({ message }) => notes.push(message),
    });
    few.close();
    assert.equal(uncertainty, null);
    assert.ok(expression !== null);
    assert.ok(
      notes.some((note) => /uncertainty of the embeddings \(sample\) is not known/.test(note)),
      notes.join("\n"),
    );
  });
});

test("samples are weighted by the precision of their positions", async () => {
  const distributions = await loadDistributions();
  const x = Float64Array.of(1, 2, 3, 4, 5, 6);
  const y = Float64Array.of(1.1, 1.9, 3.4, 3.8, 5.3, 2);
  const weighted = linearModel(y, [x], distributions, Float64Array.of(1, 1, 1, 1, 1, 2));
  const twice = linearModel(Float64Array.of(...y, 2), [Float64Array.of(...x, 6)], distributions);
  assert.ok(Math.abs(weighted.r2 - twice.r2) < 1e-12, "a weight of two is an observation made twice");
  assert.equal(weighted.residualDf, 4);
  // variance 4 / 3 of the positions, of which the mean of 0.01, 0.04, 0.04 and 0.25 is that of the embeddings
  const between = 4 / 3 - 0.085;
  const expected = [0.01, 0.04, 0.04, 0.25].map((variance) => 1 / (between + variance));
  const average = expected.reduce((sum, weight) => sum + weight, 0) / 4;
  const weights = precisionWeights(Float64Array.of(-1, 1, -1, 1), [0.1, 0.2, 0.2, 0.5]);
  expected.forEach((weight, i) => assert.ok(Math.abs(weights[i]! - weight / average) < 1e-12, `${i}`));
  const unknown = precisionWeights(Float64Array.of(-1, 1, -1), [0.1, 0.3, null]);
  assert.ok(unknown[2]! < unknown[0]! && unknown[2]! > unknown[1]!, "the mean of the others");
  assert.deepEqual(Array.from(precisionWeights(Float64Array.of(1, 1), [0, 0])), [1, 1]);
});

test("mean expression equals a plain loop for any block size; fractions are of cells", async () => {
  const { expression } = whole.genes!;
  const expected = new Float64Array(S * G);
  const ribosomal = new Float64Array(S);
  cells.forEach((s, cell) => {
    const cellValues = dense.subarray(cell * G, (cell + 1) * G);
    const total = cellValues.reduce((sum, count) => sum + count, 0);
    cellValues.forEach((count, g) => (expected[s * G + g]! += Math.log1p((1e4 * count) / total) / perSample));
    ribosomal[s]! += cellValues.subarray(6, 10).reduce((sum, count) => sum + count, 0) / total / perSample;
  });
  expected.forEach((value, i) => assert.ok(Math.abs(value - expression.means.values[i]!) < 1e-6, `${i}`));
  ribosomal.forEach((value, s) =>
    assert.ok(Math.abs(value - expression.qualities.ribosomal_fraction[s]!) < 1e-6),
  );
  assert.ok(expression.qualities.mitochondrial_fraction.every((share) => share > 0.02 && share < 0.1));
  const place = await findCounts(data);
  const [half] = await sampleExpression(place, [
    { samples: 1, codes: Int32Array.from(cells, (s) => (s === 3 ? 0 : -1)) },
  ]);
  assert.deepEqual(
    Array.from(half!.means.values),
    Array.from(expression.means.values.subarray(3 * G, 4 * G)),
  );
});

test("genes of the response go with the first component, gene sets and fractions with them", async () => {
  const {
    correlations,
    counts: [first],
    qualities,
    sets,
  } = (
    await analyse({
      data,
      geneSets: [
        { name: "response", description: "", genes: ["ifn0", "IFN1", "IFN2", "IFN3", "elsewhere"] },
        { name: "other", description: "", genes: ["gene20", "gene21", "gene22"] },
        { name: "too small", description: "", genes: ["IFN1", "gene30"] },
      ],
    })
  ).genes!;
  const top = correlations
    .filter(({ component }) => component === 1)
    .slice(0, 14)
    .map(({ gene }) => gene);
  for (const gene of genes.slice(0, 10)) assert.ok(top.includes(gene), `${gene} is not among ${top}`);
  assert.ok(
    first!.positive >= 6 && first!.negative >= 4 && first!.after_correction >= 6,
    JSON.stringify(first),
  );
  const ribosomal = qualities.find(
    ({ quality, component }) => quality === "ribosomal_fraction" && component === 1,
  )!;
  assert.ok(ribosomal.r < -0.9 && ribosomal.p < 1e-6, JSON.stringify(ribosomal));
  const response = sets.find(
    ({ set, component, direction }) => set === "response" && component === 1 && direction === "positive",
  )!;
  assert.ok(
    response.size === 4 && response.overlap === 4 && response.p_adjusted < 0.05,
    JSON.stringify(response),
  );
  assert.ok(!sets.some(({ set }) => set === "too small"));
  assert.deepEqual(await overRepresentation([], [], []), []);
});

test("the analysis is written as .h5ad and CSV, the same bytes each time", async () => {
  const [path] = await writeSamples(at("samples.h5ad"), [whole]);
  const file = await AnnData.open(path!);
  assert.deepEqual(await file.obs.index(), samples);
  const treatment = await file.obs.column("treatment");
  assert.ok(treatment.kind === "categorical" && treatment.categories[treatment.codes[1]!] === "drug");
  const stage = await file.obs.column("severity");
  assert.ok(stage.kind === "categorical" && stage.ordered);
  assert.deepEqual(Array.from((await file.obsm("X_pca")).values), Array.from(whole.components.scores.values));
  const pca = (await file.uns("pca")) as { variance_ratio: Float64Array };
  assert.deepEqual(Array.from(pca.variance_ratio), Array.from(whole.components.varianceRatio));
  file.close();
  await writeSamples(at("again.h5ad"), [whole]);
  assert.deepEqual(readFileSync(at("again.h5ad")), readFileSync(at("samples.h5ad")));
  const paths = await writeTables(at("tables"), [whole]);
  const names = paths.map((name) => name.slice(at("tables").length + 1));
  assert.deepEqual(
    names,
    [
      "samples",
      "components",
      "associations",
      "explained",
      "distances",
      "classification",
      "gene_correlations",
      "gene_counts",
      "quality_correlations",
    ].map((name) => `${name}.csv`),
  );
  const lines = readFileSync(at("tables/associations.csv"), "utf8").trim().split("\n");
  assert.equal(lines.length, 1 + whole.associations.length);
  assert.match(lines[0]!, /^covariate,kind,component,samples,predictors,r2,adjusted_r2,f,p,p_adjusted$/);
});

test("plots: components by covariate and gene, associations, distances, numbers of genes", async () => {
  const plots = samplePlots(whole, ["IFN1", "no such gene"]);
  assert.deepEqual(Object.keys(plots), [
    ...[
      "treatment",
      "age",
      "severity",
      "cells",
      "total_counts",
      "detected_genes",
      "ribosomal_fraction",
      "mitochondrial_fraction",
    ]
      .filter((name) => whole.guidance.covariates.some(({ covariate }) => covariate === name))
      .map((name) => `pca_by_${name}`),
    "associations",
    "components",
    "explained",
    "gene_IFN1",
    "distances",
    "gene_counts",
    "classification_of_treatment",
  ]);
  const treated = plots["pca_by_treatment"]!.table.rows.filter(([, , , value]) => value === "drug").map(
    ([name]) => name,
  );
  assert.deepEqual(
    treated,
    samples.filter((_, s) => isTreated[s]),
  );
  const expression = plots["gene_IFN1"]!.table.rows.map(([, , , value]) => value as number);
  expression.forEach((value, s) =>
    assert.ok(
      Math.abs(value - whole.genes!.expression.means.values[s * G + 1]!) < 1e-4,
      "the picture shows the mean expression",
    ),
  );
  const paths = await writePlots(at("plots"), [whole], ["IFN1"]);
  for (const path of paths)
    assert.match(
      readFileSync(path, "utf8"),
      /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" [^>]*role="img"[^>]*><style>[^]*<\/svg>\n$/,
    );
});

test("a model with two keys gives two analyses with separate metadata", async () => {
  const two = await ScPoli.train(data, {
    conditionKeys: ["severity", "treatment"],
    hiddenLayerSizes: [8],
    epochs: 1,
    threads: 1,
  });
  const analyses = await two.samples();
  assert.deepEqual(
    analyses.map(({ samples: { key, names } }) => [key, names]),
    [
      ["severity", ["mild", "moderate", "severe"]],
      ["treatment", ["drug", "none"]],
    ],
  );
  assert.equal(analyses[1]!.components.variance.length, 0, "two samples have no components");
  const paths = await writeSamples(at("two.h5ad"), analyses);
  assert.deepEqual(paths, [at("two.severity.h5ad"), at("two.treatment.h5ad")]);
});

describe("on the command line", async () => {
  await saveModel(at("model"), stored);
  const lines = samples.map(
    (name, s) => `${name},${isTreated[s] ? "north" : "south"},${s % 4 === 0 ? "NA" : s}`,
  );
  writeFileSync(at("table.csv"), `sample,site,dose\n${lines.join("\n")}\n`);

  test("everything at once, with files, as JSON", async () => {
    writeFileSync(at("sets.gmt"), "response\tof interferon\tIFN0\tIFN1\tIFN2\n");
    const { code, stdout, stderr } = await scpoli([
      "samples",
      at("model"),
      "--data",
      at("cells.h5ad"),
      "--metadata",
      at("table.csv"),
      "--gene-sets",
      at("sets.gmt"),
      "--classify",
      "site",
      "--permutations",
      "19",
      "--repeats",
      "3",
      "-o",
      at("out.h5ad"),
      "--tables",
      at("out"),
      "--json",
      "--quiet",
    ]);
    assert.equal(code, 0, stderr);
    const { keys, written } = JSON.parse(stdout);
    assert.equal(keys.sample.guidance.condition, "treatment");
    assert.deepEqual(keys.sample.samples[1].site, "north");
    assert.equal(keys.sample.samples[0].dose, null);
    assert.equal(keys.sample.classification.length, 5);
    assert.equal(keys.sample.top_gene_sets[0].set, "response");
    assert.ok((written as string[]).every((path) => existsSync(path)) && written.length > 9);
  });

  test("text for people", async () => {
    const { code, stdout } = await scpoli([
      "samples",
      at("model"),
      "--classify",
      "treatment",
      "--permutations",
      "0",
      "--quiet",
    ]);
    assert.equal(code, 0);
    for (const says of [
      /^sample: 16 samples, 4 components/,
      /treatment +2 levels +0\.\d+ +0\.0030/,
      /embedding +knn +1\.00 \+- 0\.00/,
      /\(majority\)/,
    ])
      assert.match(stdout, says);
  });

  const refused: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    [
      "a covariate that is not there",
      ["--classify", "treatmant"],
      3,
      /no covariate 'treatmant'; there are 'treatment', 'age', 'severity'/,
    ],
    ["a number to be classified", ["--classify", "age"], 2, /'age' is a number/],
    ["a key that is not there", ["--key", "donor"], 3, /no condition key 'donor'; it has 'sample'/],
    ["a table that is not there", ["--metadata", at("nowhere.csv")], 3, /There is no file .*nowhere\.csv/],
    ["gene sets without cells", ["--gene-sets", at("sets.gmt")], 2, /--data/],
    [
      "levels that are not all",
      ["--ordinal", "severity=mild,severe"],
      2,
      /'moderate', which is not one of its levels/,
    ],
    ["columns of a file that is not given", ["--condition-key", "sample=patient"], 2, /give it with --data/],
  ];
  for (const [what, flags, exitCode, says] of refused)
    test(`refused: ${what}`, async () => {
      writeFileSync(at("sets.gmt"), "response\tof interferon\tIFN0\tIFN1\tIFN2\n");
      const { code, stderr } = await scpoli(["samples", at("model"), ...flags, "--quiet"]);
      assert.equal(code, exitCode, stderr);
      assert.match(stderr, says);
    });
});

test("tables of metadata: rows of other samples, repeated rows, broken lines", async () => {
  const write = (text: string): string => (writeFileSync(at("t.csv"), text), at("t.csv"));
  const {
    samples: { metadata },
  } = await analyse({ metadata: write("id;group;size\ns00;a;1\ns00;a;2\ns01;b;3\nother;c;4\n") });
  assert.deepEqual(
    [metadata.columns.slice(-1), metadata.samples["s00"]!.at(-1), metadata.samples["s01"]!.at(-1)],
    [["group"], "a", "b"],
  );
  await fails(
    () => analyse({ metadata: write("id,group\nx,1\n") }),
    "file",
    /has none of the samples: its column 'id' has 'x'/,
  );
  await fails(() => analyse({ metadata: write("id,group\ns00\n") }), "file", /line 2/);
  await fails(() => analyse({ metadata: write("id,group\n") }), "file", /has no rows/);
});

test("models without embeddings, and very few samples, are reported", async () => {
  const oneHot = await ScPoli.train(data, {
    conditionKeys: ["sample"],
    conditionEncoding: "one-hot",
    hiddenLayerSizes: [8],
    epochs: 1,
    threads: 1,
  });
  await fails(() => oneHot.samples(), "model", /one-hot encoded conditions and hence no embedding/);
  const notes: string[] = [];
  const { components, associations, guidance, distances } = await analyse(
    { onNote: ({ message }) => notes.push(message) },
    designed({ names: samples.slice(0, 2), reference: 2 }),
  );
  assert.deepEqual(
    [components.variance.length, associations, guidance.condition, distances.distances.rows],
    [0, [], null, 2],
  );
  assert.match(notes.join(), /sample has 2 samples: too few/);
});
