// Minibatches of a data set: splits the cells into training and validation cells, and fills sparse
// minibatches.
import type { CountRows, CountSource } from "./count-source.js";
import type { Note } from "../contract/options.js";
import type { Minibatch } from "../engine/engine.js";
import { Random } from "../numerics/random.js";

/** Cells as input of the network. */
export interface Dataset {
  /** N cells x G genes */
  readonly counts: CountSource;
  /** (N) row of the embedding table, for each condition key */
  readonly conditions: readonly Int32Array[];
  /** (N) column of theta */
  readonly combinations: Int32Array;
  /** (N, levels) row of the prototype table, -1 where unlabelled */
  readonly labels: Int32Array;
  readonly levels: number;
}

export interface Split {
  readonly train: Int32Array;
  readonly validation: Int32Array;
  /**
   * how the validation cells were drawn: a share of each combination of conditions, or of all cells if most
   * combinations are too small
   */
  readonly heldOutOf: "combinations" | "cells";
}

/** The distinct cell types of a cell over all levels. */
export function typesOf(labels: Int32Array, levels: number, cell: number): number[] {
  return [...new Set(labels.subarray(cell * levels, (cell + 1) * levels))].filter((label) => label >= 0);
}

/**
 * Splits cells at random into training and validation cells. Every combination of conditions gives its share
 * (rounded down), and every condition and cell type keeps at least one training cell, so sorted files and
 * rare types do no harm. If the combinations are so small that rounding leaves less than half of the share,
 * randomly drawn combinations give one more cell. Validation cells of a streamed data set are held in memory,
 * so their number is limited.
 * @param share - share of training cells, in (0, 1]
 */
export function splitCells(
  { counts, combinations, labels, levels }: Dataset,
  share: number,
  seed: number,
): Split {
  const trainFrac = Math.max(share, 1 - counts.mostHeld / counts.cells);
  const order = Int32Array.from({ length: counts.cells }, (_, i) => i);
  new Random(seed, "split").shuffle(order);
  const left = new Map<number, number>();
  for (let cell = 0; cell < counts.cells; cell++)
    for (const label of typesOf(labels, levels, cell)) left.set(label, (left.get(label) ?? 0) + 1);
  const { quota, heldOutOf } = validationQuota(combinations, 1 - trainFrac, new Random(seed, "small split"));
  const train: number[] = [];
  const validation: number[] = [];
  for (const cell of order) {
    const types = typesOf(labels, levels, cell);
    const remaining = quota.get(combinations[cell]!)!;
    if (remaining > 0 && types.every((label) => left.get(label)! > 1)) {
      quota.set(combinations[cell]!, remaining - 1);
      types.forEach((label) => left.set(label, left.get(label)! - 1));
      validation.push(cell);
    } else train.push(cell);
  }
  return { train: Int32Array.from(train).sort(), validation: Int32Array.from(validation).sort(), heldOutOf };
}

/** Reports if there are few or no validation cells. @param share - share of training cells */
export function noteSplit(split: Split, share: number, note: (note: Note) => void): void {
  const [trained, heldOut] = [split.train.length, split.validation.length];
  if (share < 1 && heldOut === 0)
    note({
      level: "warning",
      message:
        `No cell is held out for validation: ${trained} ${trained === 1 ? "cell is" : "cells are"} too few` +
        ". Early stopping uses the loss of the training cells.",
    });
  if (split.heldOutOf === "cells")
    note({
      level: "info",
      message:
        `Most combinations of conditions have too few cells to hold out their share: ${heldOut} of all ` +
        `${trained + heldOut} cells validate, drawn at random.`,
    });
}

/** Number of validation cells of each combination of conditions. @param share - share of validation cells */
function validationQuota(
  combinations: Int32Array,
  share: number,
  random: Random,
): { readonly quota: Map<number, number>; readonly heldOutOf: Split["heldOutOf"] } {
  const size = new Map<number, number>();
  for (const combination of combinations) size.set(combination, (size.get(combination) ?? 0) + 1);
  const wanted = (cells: number): number => Math.floor(cells * share + 1e-9);
  const quota = new Map([...size].map(([combination, n]) => [combination, Math.min(n - 1, wanted(n))]));
  const given = [...quota.values()].reduce((sum, n) => sum + n, 0);
  const missing = wanted(combinations.length) - given;
  if (missing <= given) return { quota, heldOutOf: "combinations" };
  const canGive = [...size].filter(([combination, n]) => n > quota.get(combination)! + 1);
  for (const [combination] of random.shuffle(canGive).slice(0, missing))
    quota.set(combination, quota.get(combination)! + 1);
  return { quota, heldOutOf: "cells" };
}

/** Upper bound on the stored counts of `rows` cells of the data set. */
export function minibatchCapacity({ widest, cells }: CountSource, rows: number): number {
  return Math.max(1, widest * Math.min(rows, cells));
}

/**
 * Groups the cells of each minibatch by combination of conditions, which speeds up the sum of theta's
 * gradient.
 */
export function groupCombinations(order: Int32Array, size: number, combinations: Int32Array): void {
  for (let start = 0; start < order.length; start += size)
    order.subarray(start, start + size).sort((a, b) => combinations[a]! - combinations[b]! || a - b);
}

/**
 * Fills the engine's minibatch with cells, in order.
 * @param rows - source of the counts, with these cells loaded
 */
export function fillMinibatch(
  minibatch: Minibatch,
  dataset: Dataset,
  cells: Int32Array,
  rows: CountRows,
): void {
  const { counts, conditions, combinations, labels, levels } = dataset;
  rows.fill(minibatch, cells);
  for (let b = 0; b < cells.length; b++) {
    const cell = cells[b]!;
    minibatch.sizeFactors[b] = counts.sizeFactors[cell]!;
    minibatch.combinations[b] = combinations[cell]!;
    for (let key = 0; key < conditions.length; key++) minibatch.conditions[key]![b] = conditions[key]![cell]!;
    for (let level = 0; level < levels; level++)
      minibatch.labels[b * levels + level] = labels[cell * levels + level]!;
  }
  minibatch.rows = cells.length;
}
