// Cells with no or almost no counts in the model's genes: their type cannot be predicted, whatever prototype
// is nearest to an empty row, and whatever a classifier returns for it.
import type { ReconLoss } from "../contract/options.js";
import type { LevelPrediction } from "./classify.js";

/** Cells with fewer counts than this in the model's genes are unknown. */
export const leastCounts = 10;

/**
 * Rows of the cells with fewer counts than `leastCounts`.
 * @param sizeFactors - (N) total of each cell over the model's genes
 */
export function shallowCells(sizeFactors: Float32Array, reconLoss: ReconLoss): Int32Array {
  if (reconLoss === "mse") return new Int32Array(0); // totals of normalised values are not counts
  return Int32Array.from(sizeFactors.keys()).filter((cell) => !(sizeFactors[cell]! >= leastCounts));
}

/**
 * Marks shallow cells as unknown, with equal probabilities for all types of the level. Their uncertainty is 1
 * - that probability; 1 with uncertainty by distance.
 * @param types - number of types of the level
 */
export function withoutCertainty(
  prediction: LevelPrediction,
  cells: Int32Array,
  types: number,
): LevelPrediction {
  if (cells.length === 0) return prediction;
  const { uncertainty, uncertaintyBy, probability, unknown } = prediction;
  const changed = {
    uncertainty: uncertainty.slice(),
    probability: probability.slice(),
    unknown: unknown.slice(),
  };
  for (const cell of cells) {
    changed.uncertainty[cell] = uncertaintyBy === "distance" ? 1 : 1 - 1 / types;
    changed.probability[cell] = 1 / types;
    changed.unknown[cell] = 1;
  }
  return { ...prediction, ...changed };
}

/** For messages: "3 cells without counts, 2 cells with fewer than 10 counts in the model's genes". */
export function describeShallow(cells: Int32Array, sizeFactors: Float32Array): string {
  const empty = cells.reduce((sum, cell) => sum + (sizeFactors[cell]! > 0 ? 0 : 1), 0);
  const few = cells.length - empty;
  const counted = (count: number): string => `${count} cell${count === 1 ? "" : "s"}`;
  const parts = [
    ...(empty > 0 ? [`${counted(empty)} without counts`] : []),
    ...(few > 0 ? [`${counted(few)} with fewer than ${leastCounts} counts`] : []),
  ];
  return `${parts.join(", ")} in the model's genes`;
}
