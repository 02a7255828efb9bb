// Label transfer: the nearest prototype in the mean latent space, or the classifier on genes (head.ts), with
// a calibrated probability. Unknown cells are flagged by their novelty (novelty.ts) or, as in the paper, by
// the distance to the prototype. Source: De Donno et al. 2023, Methods ("Label transfer", "Uncertainty").
// Differs: always uses the mean latent representation, never a sample; uncertainty is within 0..1, and the
// probability is a separate output (docs/explanation/differences.md).
import { type Classifier, type Threshold, type UncertaintyRule, checkNumber } from "../contract/options.js";
import type { HeadPrediction } from "../novelty/novelty.js";
import { minkowski, type Prototypes } from "../prototypes/prototypes.js";
import type { LevelCalibration } from "../model/stored-model.js";
import { quantile } from "../numerics/descriptive.js";

/** Labels of all cells at one annotation level. */
export interface LevelPrediction {
  /** Annotation level: its cell type key */
  readonly key: string;
  /** source of `predicted` and `probability` */
  readonly classifier: Classifier;
  /** (N) predicted type, as a row of the model's cell types */
  readonly predicted: Int32Array;
  /** (N) type of the nearest prototype, as a row; equals `predicted` with the classifier "prototype" */
  readonly nearest: Int32Array;
  /**
   * (N) type by the classifier on genes, as a row; equals `predicted` with the classifier "head". Where the
   * nearest prototype belongs to a type that was added after training, that type. null: the model has no head
   */
  readonly headLabels: Int32Array | null;
  /** (N) distance to the nearest prototype, in units of the latent space */
  readonly distance: Float32Array;
  /** source of `uncertainty` */
  readonly uncertaintyBy: UncertaintyRule;
  /**
   * (N) 0 (certain) to 1: either 1 - probability, the chance that the label is wrong; or distance /
   * (distance + distance_scale)
   */
  readonly uncertainty: Float32Array;
  /** (N) probability of the predicted type among the known types of the level */
  readonly probability: Float32Array;
  /**
   * (N) novelty score, 0..1: 1 - a p-value (novelty.ts); NaN for cells of a type that was added to the model
   * after training; null if novelty is not calibrated
   */
  readonly novelty: Float32Array | null;
  /** (N) 1 if the novelty (with uncertainty by distance: the uncertainty) is above the threshold */
  readonly unknown: Uint8Array;
  /** null: no cell is flagged */
  readonly threshold: number | null;
  /** why no cell is flagged by default; null otherwise */
  readonly notFlagged: string | null;
}

/** An annotation level: its key and the rows of its types in the prototype table. */
export interface Level {
  readonly key: string;
  readonly types: readonly number[];
}

const heldOutShare = 0.95;

/**
 * Estimates the scales of a level from labelled cells that were not used for the prototypes.
 * @param latent - (n, D)
 * @param labels - (n) row of the prototype table, -1: unlabelled
 */
export function calibrate(
  latent: Float32Array,
  labels: Int32Array,
  level: Level,
  { means, shape }: Prototypes,
): LevelCalibration {
  const D = shape[1];
  const positions: number[] = [];
  const distances: Float64Array[] = [];
  const nearest: number[] = [];
  labels.forEach((label, cell) => {
    const position = level.types.indexOf(label);
    if (position < 0) return;
    const row = Float64Array.from(level.types, (type) => minkowski(latent, cell, means, type, D, 2));
    positions.push(position);
    distances.push(row);
    nearest.push(row.reduce((least, d) => Math.min(least, d), Infinity));
  });
  const scale = Math.max(1e-6, quantile(nearest, heldOutShare));
  return {
    distance_scale: scale,
    probability_scale: likeliestScale(distances, positions, scale),
    threshold: 0.5,
    cells: positions.length,
  };
}

/** The maximum-likelihood sigma, by golden-section search on its logarithm. */
function likeliestScale(
  distances: readonly Float64Array[],
  positions: readonly number[],
  guess: number,
): number {
  const logLoss = (logScale: number): number => {
    const scale = Math.exp(logScale);
    return distances.reduce(
      (sum, row, cell) => sum - Math.log(Math.max(1e-12, probabilityOf(positions[cell]!, row, scale))),
      0,
    );
  };
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [Math.log(guess) - 4, Math.log(guess) + 3];
  for (let i = 0; i < 40; i++) {
    const width = ratio * (high - low);
    if (logLoss(high - width) < logLoss(low + width)) high = low + width;
    else low = high - width;
  }
  // rounded: the optimum is flat, and the last digits of exp and log differ between runtimes
  return Number(Math.exp((low + high) / 2).toPrecision(4));
}

/** Softmax of -distance^2 / (2 sigma^2), for one of the types. */
function probabilityOf(type: number, distances: Float64Array, scale: number): number {
  const squared = distances[type]! ** 2;
  let sum = 0;
  for (let k = 0; k < distances.length; k++)
    sum += Math.exp((squared - distances[k]! ** 2) / (2 * scale * scale));
  return 1 / sum;
}

/**
 * Labels cells at one level by the nearest prototype.
 * @param latent - (N, D) mean latent representation
 */
export function classify(
  latent: Float32Array,
  level: Level,
  means: Float32Array,
  D: number,
  calibration: LevelCalibration,
  threshold: Threshold,
): LevelPrediction {
  const N = latent.length / D;
  const predicted = new Int32Array(N);
  const distance = new Float32Array(N);
  const uncertainty = new Float32Array(N);
  const probability = new Float32Array(N);
  const row = new Float64Array(level.types.length);
  for (let cell = 0; cell < N; cell++) {
    let nearest = 0;
    for (let k = 0; k < row.length; k++) {
      let sum = 0;
      const offset = level.types[k]! * D;
      for (let d = 0; d < D; d++) sum += (latent[cell * D + d]! - means[offset + d]!) ** 2;
      row[k] = Math.sqrt(sum);
      if (row[k]! < row[nearest]!) nearest = k;
    }
    predicted[cell] = level.types[nearest]!;
    distance[cell] = row[nearest]!;
    uncertainty[cell] = row[nearest]! / (row[nearest]! + calibration.distance_scale);
    probability[cell] = probabilityOf(nearest, row, calibration.probability_scale);
  }
  return {
    key: level.key,
    classifier: "prototype",
    predicted,
    nearest: predicted,
    headLabels: null,
    distance,
    uncertaintyBy: "distance",
    uncertainty,
    probability,
    novelty: null,
    notFlagged: null,
    ...flagged(uncertainty, threshold, calibration.threshold),
  };
}

/**
 * Adds the labels of the head to those of the nearest prototype; with the classifier "head" they become the
 * labels. Cells whose nearest prototype belongs to a type unknown to the head (added to the model after
 * training) get that type by either rule.
 * @param types - rows of the cell types known to the head
 */
export function withHead(
  byPrototype: LevelPrediction,
  head: HeadPrediction,
  types: readonly number[],
  classifier: Classifier,
): LevelPrediction {
  const { nearest } = byPrototype;
  const known = new Set(types);
  const choose = <T extends Int32Array | Float32Array>(ofHead: T, ofPrototype: T): T =>
    ofPrototype.map((value, cell) => (known.has(nearest[cell]!) ? ofHead[cell]! : value)) as T;
  const headLabels = choose(head.predicted, nearest);
  if (classifier === "prototype") return { ...byPrototype, headLabels };
  return {
    ...byPrototype,
    classifier,
    predicted: headLabels,
    headLabels,
    probability: choose(head.probability, byPrototype.probability),
  };
}

/** Whether nearest prototype and head give a cell different types; false without a head. */
export function isDisputed(
  { nearest, headLabels }: Pick<LevelPrediction, "nearest" | "headLabels">,
  cell: number,
): boolean {
  return headLabels !== null && headLabels[cell] !== nearest[cell];
}

/** Novelty above which a cell is unknown with the threshold "auto": p < 0.05. */
const noveltyThreshold = 0.95;

/** Why no cell of a query is flagged by default although novelty is calibrated. */
export const unlikeReference =
  "the query is unlike every condition of the reference: new types cannot be told apart from a shift of " +
  "all cells";

/** Novelty of the cells of a query, and why they are not flagged by default. */
export interface CalibratedNovelty {
  /** (N) 0..1; null if it is not calibrated */
  readonly novelty: Float32Array | null;
  /** null: flagged by default */
  readonly notFlagged: string | null;
}

/**
 * Replaces uncertainty and flags by distance by those of probability and novelty. Cells whose nearest
 * prototype belongs to a type unknown to the head get no novelty.
 * @param types - rows of the cell types known to the head
 */
export function withNovelty(
  byDistance: LevelPrediction,
  { novelty, notFlagged }: CalibratedNovelty,
  types: readonly number[],
  threshold: Threshold,
): LevelPrediction {
  const known = new Set(types);
  const judged = novelty?.map((value, cell) => (known.has(byDistance.nearest[cell]!) ? value : NaN)) ?? null;
  return {
    ...byDistance,
    uncertaintyBy: "probability",
    uncertainty: byDistance.probability.map((p) => 1 - p),
    novelty: judged,
    notFlagged,
    ...(judged && (notFlagged === null || threshold !== "auto")
      ? flagged(judged, threshold, noveltyThreshold)
      : { threshold: null, unknown: new Uint8Array(byDistance.predicted.length) }),
  };
}

function flagged(
  values: Float32Array,
  option: Threshold,
  auto: number,
): Pick<LevelPrediction, "unknown" | "threshold"> {
  const threshold = thresholdValue(option, values, auto);
  return {
    threshold,
    unknown: Uint8Array.from(values, (value) => (threshold !== null && value > threshold ? 1 : 0)),
  };
}

function thresholdValue(threshold: Threshold, values: Float32Array, auto: number): number | null {
  if (threshold === "none") return null;
  if (threshold === "auto") return auto;
  if (typeof threshold === "number") return checkNumber("threshold", threshold, 0, 1);
  const q = checkNumber("threshold quantile", threshold.quantile, 0, 1);
  return quantile(
    values.filter((value) => !Number.isNaN(value)),
    q,
  );
}
