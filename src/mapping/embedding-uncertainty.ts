// Sampling uncertainty of condition embeddings: how far the embedding of a sample would move if other cells
// of the same sample had been measured.
//
// Given the network, the embedding of a condition minimises the summed loss of its cells (negative log
// likelihood and KL divergence at the mean of the posterior), so it is an M-estimator, whose covariance
// follows from derivatives of the loss (samples/sandwich.ts). To first order, a bootstrap over cells gives
// the same covariance, and would have to map each replicate. Here are the derivatives: finite differences
// over a sample of cells.
import type { AnnData } from "../anndata/anndata.js";
import { ScPoliError } from "../contract/errors.js";
import type { EmbedOptions, RunSettings } from "../contract/options.js";
import { Combinations } from "../data/combinations.js";
import { openCounts } from "../data/memory.js";
import { fillMinibatch, minibatchCapacity, type Dataset } from "../data/minibatches.js";
import type { StoredModel } from "../model/stored-model.js";
import type { Network } from "../model/network.js";
import { mean } from "../numerics/descriptive.js";
import { Random } from "../numerics/random.js";
import type { SampleAnalysis, SamplesOptions } from "../samples/analysis.js";
import { sandwichCovariances, type LossDerivatives } from "../samples/sandwich.js";
import { sampleUncertainty, type SampleUncertainty } from "../samples/sample-uncertainty.js";
import { withQuery, type Query } from "./query.js";
import { storedNetwork } from "./stored-network.js";

/** Maximum number of cells per condition for the gradients, and for the curvature. */
const [gradientCells, curvatureCells] = [128, 64];
/** Step of the finite differences, in units of the embedding (its rows have length 1 at most). */
const step = 0.1;
/** Maximum length of an embedding at which derivatives are taken: the network scales rows longer than 1. */
const mostLength = 1 - 1.5 * step;

/** Loss of the first `count` cells of a condition at an embedding. */
type CellLosses = (embedding: Float64Array, count: number) => Float64Array;

interface ConditionDerivatives extends LossDerivatives {
  /** row of the condition in the model */
  readonly row: number;
}

/**
 * Uncertainty of the sample embeddings that `ScPoli.samples` analyses, per key. Null without cells; with a
 * warning also where the cells have too few of the model's genes, or no counts.
 */
export async function sampleUncertainties(
  stored: StoredModel,
  { data, keys = stored.json.condition_keys, uncertainty = true, ...options }: SamplesOptions & RunSettings,
): Promise<SampleAnalysis["uncertainty"][]> {
  const result: SampleAnalysis["uncertainty"][] = [];
  for (const name of keys) {
    const key = stored.json.condition_keys.indexOf(name);
    if (!data || !uncertainty || key < 0 || stored.json.model.condition_encoding === "one-hot") {
      result.push(null);
      continue;
    }
    try {
      result.push(await embeddingUncertainty(stored, key, data, { ...options, onNote: undefined }));
    } catch (error) {
      if (!(error instanceof ScPoliError) || error.kind === "interrupted") throw error;
      options.onNote?.({
        level: "warning",
        message: `The uncertainty of the embeddings (${name}) is not known: ${error.message}`,
      });
      result.push(null);
    }
  }
  return result;
}

/**
 * Uncertainty of the embeddings of one condition key.
 * @param data - cells of some of the conditions, with counts; cells of unknown conditions are left out
 * @returns per condition of the model; null without cells in `data`
 * @throws ScPoliError as `embed`
 */
async function embeddingUncertainty(
  stored: StoredModel,
  key: number,
  data: AnnData,
  options: EmbedOptions,
): Promise<(SampleUncertainty | null)[]> {
  const derivatives = await withQuery(stored, data, options, (query) =>
    derivativesOf(stored, key, query, options),
  );
  const result = stored.json.conditions[key]!.map((): SampleUncertainty | null => null);
  sandwichCovariances(derivatives).forEach((covariance, at) => {
    const { row, cells } = derivatives[at]!;
    result[row] = sampleUncertainty(cells, covariance);
  });
  return result;
}

async function derivativesOf(
  stored: StoredModel,
  key: number,
  query: Query,
  options: EmbedOptions,
): Promise<ConditionDerivatives[]> {
  const dataset = await openDataset(stored, query, options);
  const { engine, network } = await storedNetwork(
    stored,
    { rows: gradientCells, stored: () => minibatchCapacity(dataset.counts, gradientCells) },
    options,
  );
  try {
    const lossesOf = cellLosses(network, dataset, key);
    const { data: trained, shape } = stored.tensors.get(`embeddings.${key}.weight`)!;
    const E = shape[1]!;
    const random = new Random(options.seed ?? 0, "embedding uncertainty");
    const cellsOf = cellsByCondition(stored, dataset, key);
    const result: ConditionDerivatives[] = [];
    for (const [row, all] of cellsOf) {
      if (options.signal?.aborted) throw new ScPoliError("interrupted", "Stopped while reading counts.");
      const cells = random.shuffle(Int32Array.from(all)).subarray(0, gradientCells);
      const embedding = Float64Array.from(trained.subarray(row * E, (row + 1) * E));
      const losses = await lossesOf(row, cells);
      result.push({
        row,
        cells: all.length,
        gradientCells: cells.length,
        curvatureCells: Math.min(cells.length, curvatureCells),
        embedding,
        ...differences(embedding, losses, cells.length),
      });
      options.onProgress?.({ stage: "uncertainty", done: result.length, total: cellsOf.size });
    }
    return result;
  } finally {
    await engine.close();
  }
}

async function openDataset(
  stored: StoredModel,
  { place, reader, alignment, conditions }: Query,
  options: EmbedOptions,
): Promise<Dataset> {
  const rows = conditions.map(({ codes, names }, k) => {
    const rowOf = names.map((name) => stored.json.conditions[k]!.indexOf(name));
    return codes.map((code) => rowOf[code]!);
  });
  const counts = await openCounts(
    place,
    {
      reader,
      map: alignment.map,
      genes: stored.json.genes.length,
      parameters: [...stored.tensors.values()].reduce((sum, { data: values }) => sum + values.length, 0),
      minibatch: gradientCells,
    },
    options,
  );
  return {
    counts,
    conditions: rows,
    combinations: new Combinations(stored.json.combinations).columns(rows),
    labels: new Int32Array(0),
    levels: 0,
  };
}

/** By row of the model, the cells of each condition whose other conditions the model knows too. */
function cellsByCondition(
  { json }: StoredModel,
  { conditions, combinations }: Dataset,
  key: number,
): ReadonlyMap<number, number[]> {
  const result = new Map<number, number[]>();
  combinations.forEach((combination, cell) => {
    if (combination >= json.combinations.length || conditions.some((rows) => rows[cell]! < 0)) return;
    const row = conditions[key]![cell]!;
    const cells = result.get(row);
    if (cells) cells.push(cell);
    else result.set(row, [cell]);
  });
  return new Map([...result].sort(([a], [b]) => a - b));
}

/** Loads the counts of cells of one condition; what it returns computes their losses. */
function cellLosses(
  network: Network,
  dataset: Dataset,
  key: number,
): (row: number, cells: Int32Array) => Promise<CellLosses> {
  const { engine } = network;
  const program = network.likelihood();
  const parameter = network.parameters.get(`embeddings.${key}.weight`)!;
  const trained = Float32Array.from(engine.read(parameter));
  return async (row, cells) => {
    const held = await dataset.counts.hold(Int32Array.from(cells).sort());
    return (embedding, count) => {
      const values = Float32Array.from(trained);
      values.set(embedding, row * embedding.length);
      engine.write(parameter, values);
      fillMinibatch(engine.minibatch, dataset, cells.subarray(0, count), held);
      program.run();
      const divergence = divergences(
        engine.readActivation(network.mean),
        engine.readActivation(network.logVar),
        count,
      );
      const reconstruction = engine.readReconstruction();
      return divergence.map((value, b) => value + reconstruction[b]!);
    };
  };
}

/** (B) KL divergence of N(mean, exp(logVar) + 1e-4) to N(0, 1), summed over D. */
function divergences(mean: ArrayLike<number>, logVar: ArrayLike<number>, B: number): Float64Array {
  const D = mean.length / B;
  const result = new Float64Array(B);
  for (let at = 0; at < B * D; at++) {
    const variance = Math.exp(logVar[at]!) + 1e-4;
    result[Math.floor(at / D)]! += 0.5 * (mean[at]! ** 2 + variance - 1 - Math.log(variance));
  }
  return result;
}

/**
 * Central differences.
 * @param embedding - (E) of the condition @param cells - those that `losses` knows
 */
function differences(
  embedding: Float64Array,
  losses: CellLosses,
  cells: number,
): Pick<LossDerivatives, "curvature" | "gradients"> {
  const E = embedding.length;
  const few = Math.min(cells, curvatureCells);
  const shrink = Math.min(1, mostLength / Math.hypot(...embedding));
  const lossesAt = (count: number, ...moves: readonly (readonly [number, number])[]): Float64Array => {
    const moved = embedding.map((value) => value * shrink);
    for (const [e, length] of moves) moved[e]! += length;
    return losses(moved, count);
  };
  const lossAt = (...moves: readonly (readonly [number, number])[]): number => mean(lossesAt(few, ...moves));
  const forward = Array.from(embedding, (_, e) => lossesAt(cells, [e, step]));
  const backward = Array.from(embedding, (_, e) => lossesAt(cells, [e, -step]));
  const gradients = forward.map((values, e) =>
    values.map((value, cell) => (value - backward[e]![cell]!) / (2 * step)),
  );
  const both = forward.map(
    (values, e) => mean(values.subarray(0, few)) + mean(backward[e]!.subarray(0, few)),
  );
  const center = 2 * lossAt();
  const curvature = new Float64Array(E * E);
  for (let j = 0; j < E; j++) {
    curvature[j * E + j] = (both[j]! - center) / step ** 2;
    for (let k = 0; k < j; k++) {
      const diagonal = lossAt([j, step], [k, step]) + lossAt([j, -step], [k, -step]);
      const second = (diagonal + center - both[j]! - both[k]!) / (2 * step ** 2);
      curvature[j * E + k] = curvature[k * E + j] = second;
    }
  }
  return { curvature, gradients: covarianceOf(gradients) };
}

/** (E, E) covariance. @param columns - (E) of (cells) values */
function covarianceOf(columns: readonly Float64Array[]): Float64Array {
  const centered = columns.map((values) => {
    const average = mean(values);
    return values.map((value) => value - average);
  });
  const cells = Math.max(1, columns[0]!.length - 1);
  return Float64Array.from({ length: columns.length ** 2 }, (_, at) => {
    const [one, other] = [centered[Math.floor(at / columns.length)]!, centered[at % columns.length]!];
    return one.reduce((sum, value, cell) => sum + value * other[cell]!, 0) / cells;
  });
}
