// Silhouettes: how much closer a cell is to its own group than to the next one. Cell types should be
// separate, conditions within a type should not. Source: Luecken et al. 2022; silhouette_label,
// silhouette_batch and isolated_labels of scib-metrics 0.5.10. Mean distances come from
// kernel-modules/pairs.ts.
import type { PairsResult } from "../kernel-modules/pairs.js";
import { cellsByCondition, countCodes, type LabelledCells } from "./cells.js";

/** Mean silhouettes of the rows, a set of cells. */
export interface SilhouetteMeans {
  /** (types) mean silhouette of the type's rows in -1..1; NaN without rows */
  readonly ofTypes: Float64Array;
  /**
   * (types) 1 - mean absolute silhouette of the conditions within the type; NaN without rows, with one
   * condition, or with as many conditions as cells
   */
  readonly ofConditions: Float64Array;
}

/** @param rows - cell of each row of `pairs` */
export function silhouettes(pairs: PairsResult, rows: Int32Array, cells: LabelledCells): SilhouetteMeans {
  const [T, C] = [cells.typeNames.length, cells.conditionNames.length];
  const sizes = countCodes(cells.types, T);
  const within = cellsByCondition(cells);
  const isScored = sizes.map((size, type) => {
    const conditionCount = within
      .subarray(type * C, (type + 1) * C)
      .reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
    return conditionCount > 1 && conditionCount < size ? 1 : 0;
  });
  const [ofTypes, ofConditions, counts] = [new Float64Array(T), new Float64Array(T), new Int32Array(T)];
  rows.forEach((cell, row) => {
    const type = cells.types[cell]!;
    counts[type]!++;
    ofTypes[type]! += sizes[type]! > 1 ? silhouette(pairs.ownType[row]!, pairs.otherType[row]!) : 0;
    const isAlone = within[type * C + cells.conditions[cell]!] === 1;
    ofConditions[type]! +=
      1 - (isAlone ? 0 : Math.abs(silhouette(pairs.ownCondition[row]!, pairs.otherCondition[row]!)));
  });
  return {
    ofTypes: ofTypes.map((sum, type) => sum / counts[type]!),
    ofConditions: ofConditions.map((sum, type) => (isScored[type] ? sum / counts[type]! : NaN)),
  };
}

function silhouette(within: number, other: number): number {
  const larger = Math.max(within, other);
  return larger > 0 && Number.isFinite(larger) ? (other - within) / larger : 0;
}

/** Mean over cells, scaled to 0..1. @param sizes - (types) cells of each */
export function cellTypeSilhouette({ ofTypes }: SilhouetteMeans, sizes: Int32Array): number {
  let [sum, cells] = [0, 0];
  ofTypes.forEach((value, type) => {
    if (Number.isNaN(value)) return;
    sum += sizes[type]! * value;
    cells += sizes[type]!;
  });
  return (sum / cells + 1) / 2;
}

/** Mean of the mean silhouettes of some types, scaled to 0..1. */
export function isolatedLabelSilhouette(
  { ofTypes }: SilhouetteMeans,
  types: readonly number[],
): number | null {
  return meanOfKnown(types.map((type) => (ofTypes[type]! + 1) / 2));
}

/** Mean over types of 1 - |silhouette|; null if no type can be scored. */
export function conditionSilhouette({ ofConditions }: SilhouetteMeans): number | null {
  return meanOfKnown(Array.from(ofConditions));
}

function meanOfKnown(values: readonly number[]): number | null {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}
