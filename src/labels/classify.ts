// Label transfer: the nearest prototype in the mean latent space, or the head (head.ts), with a calibrated
// probability; unknown cells by their novelty (novelty.ts) or, as in the paper, by the distance to the
// prototype. Source: De Donno et al. 2023, Methods ("Label transfer", "Uncertainty"). Differs: always from
// the mean latent, never a sampled one; uncertainty in 0..1 and probability have one direction and their own
// names (docs/explanation/differences.md).
import { type Classifier, type Threshold, type UncertaintyRule, checkNumber } from "../contract/options.js";
import type { HeadPrediction } from "../novelty/novelty.js";
import { minkowski, type Prototypes } from "../prototypes/prototypes.js";
import type { LevelCalibration } from "../model/stored-model.js";
import { quantile } from "../numerics/descriptive.js";

/** Labels of all cells at one annotation level. */
export interface LevelPrediction {
  /** Annotation level: the key of its cell types */
  readonly key: string;
  /** what `predicted` and `probability` come from */
  readonly classifier: Classifier;
  /** (N) row of the model's cell types */
  readonly predicted: Int32Array;
  /** (N) row of the cell type whose prototype is nearest; the same as `predicted` without a head */
  readonly nearest: Int32Array;
  /** (N) distance to the nearest prototype, in units of the latent space */
  readonly distance: Float32Array;
  /** what `uncertainty` comes from */
  readonly uncertaintyBy: UncertaintyRule;
  /**
   * (N) 0 (sure) to 1 (unsure): one less the probability, how likely the label is wrong; or distance /
   * (distance + distance_scale)
   */
  readonly uncertainty: Float32Array;
  /** (N) probability of the predicted type among the known types of the level */
  readonly probability: Float32Array;
  /**
   * (N) 0..1, one less a p-value (novelty.ts); NaN for cells of a type that the model was given after its
   * training; null where novelty is not calibrated
   */
  readonly novelty: Float32Array | null;
  /**
   * (N) 1 where the novelty (with uncertainty by the distance: the uncertainty) is above the threshold
   */
  readonly unknown: Uint8Array;
  /** null: no cell is flagged */
  readonly threshold: number | null;
  /** why no cell is flagged by default, where that is so */
  readonly notFlagged: string | null;
}

/** A level of annotation: its name and the rows of its types in the prototype table. */
export interface Level {
  readonly key: string;
  readonly types: readonly number[];
}

const heldOutShare = 0.95;

/**
 * Chooses the scales of a level on labelled cells that took no part in the prototypes.
 * @param latent - (n, D) @param labels - (n) row of the prototype table, -1 where unlabelled
 */
export function calibrate(
  latent: Float32Array,
  labels: Int32Array,
  level: Level,
  { means, shape }: Prototypes,
): LevelCalibration {
  const D = shape[1];
  const own: number[] = [];
  const distances: Float64Array[] = [];
  const nearest: number[] = [];
  labels.forEach((label, cell) => {
    const position = level.types.indexOf(label);
    if (position < 0) return;
    const row = Float64Array.from(level.types, (type) => minkowski(latent, cell, means, type, D, 2));
    own.push(position);
    distances.push(row);
    nearest.push(row.reduce((least, d) => Math.min(least, d), Infinity));
  });
  const scale = Math.max(1e-6, quantile(nearest, heldOutShare));
  return {
    distance_scale: scale,
    probability_scale: likeliestScale(distances, own, scale),
    threshold: 0.5,
    cells: own.length,
  };
}

/** The sigma under which the labels are likeliest: a golden-section search on its logarithm. */
function likeliestScale(distances: readonly Float64Array[], own: readonly number[], guess: number): number {
  const surprise = (logScale: number): number => {
    const scale = Math.exp(logScale);
    return distances.reduce(
      (sum, row, cell) => sum - Math.log(Math.max(1e-12, probabilityOf(own[cell]!, row, scale))),
      0,
    );
  };
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [Math.log(guess) - 4, Math.log(guess) + 3];
  for (let i = 0; i < 40; i++) {
    const width = ratio * (high - low);
    if (surprise(high - width) < surprise(low + width)) high = low + width;
    else low = high - width;
  }
  // the optimum is flat; runtimes differ in exp and log
  return Number(Math.exp((low + high) / 2).toPrecision(4));
}

/** Softmax of -distance^2 / (2 sigma^2) at one of the types. */
function probabilityOf(type: number, distances: Float64Array, scale: number): number {
  const own = distances[type]! ** 2;
  let sum = 0;
  for (let k = 0; k < distances.length; k++)
    sum += Math.exp((own - distances[k]! ** 2) / (2 * scale * scale));
  return 1 / sum;
}

/**
 * Labels cells at one level.
 * @param latent - (N, D) mean latent
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
 * Labels of the head in place of those of the nearest prototype. Cells whose nearest prototype is of a type
 * that the head does not know (one that the model got after its training) keep that label.
 * @param types - rows of the cell types that the head knows
 */
export function withHead(
  byPrototype: LevelPrediction,
  head: HeadPrediction,
  types: readonly number[],
): LevelPrediction {
  const { nearest } = byPrototype;
  const known = new Set(types);
  const choose = <T extends Int32Array | Float32Array>(own: T, other: T): T =>
    other.map((value, cell) => (known.has(nearest[cell]!) ? own[cell]! : value)) as T;
  return {
    ...byPrototype,
    classifier: "head",
    predicted: choose(head.predicted, nearest),
    probability: choose(head.probability, byPrototype.probability),
  };
}

/** Novelty above which a cell is unknown with the threshold "auto": p < 0.05. */
export const noveltyThreshold = 0.95;

/** Why no cell of a query is flagged by default although novelty is calibrated. */
export const unlikeReference =
  "the query is unlike every condition of the reference: new types and a shift of all cells cannot be told apart";

/** Novelty of the cells of a query, and what stands against flags by default. */
export interface CalibratedNovelty {
  /** (N) 0..1; null where it is not calibrated */
  readonly novelty: Float32Array | null;
  readonly notFlagged: string | null;
}

/**
 * Uncertainty by the probability, and flags by the novelty, in place of those by the distance. Cells whose
 * nearest prototype is of a type that the head does not know are not judged.
 * @param types - rows of the cell types that the head knows
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
  asked: Threshold,
  auto: number,
): Pick<LevelPrediction, "unknown" | "threshold"> {
  const threshold = limitOf(asked, values, auto);
  return {
    threshold,
    unknown: Uint8Array.from(values, (value) => (threshold !== null && value > threshold ? 1 : 0)),
  };
}

function limitOf(threshold: Threshold, values: Float32Array, auto: number): number | null {
  if (threshold === "none") return null;
  if (threshold === "auto") return auto;
  if (typeof threshold === "number") return checkNumber("threshold", threshold, 0, 1);
  const q = checkNumber("threshold quantile", threshold.quantile, 0, 1);
  return quantile(
    values.filter((value) => !Number.isNaN(value)),
    q,
  );
}
