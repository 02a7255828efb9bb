// From a data set to minibatches: which cells train and which validate, and one sparse minibatch at a time.
import type { CountRows, CountSource } from "./count-source.js";
import type { Minibatch } from "../engine/engine.js";
import { Random } from "../random.js";

/** Cells as the network sees them. */
export interface Dataset {
  /** N cells x G genes */
  readonly counts: CountSource;
  /** per condition key (N): row of the embedding table */
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
}

/**
 * Splits cells at random into training and validation cells.
 * Every combination of conditions gives its share (rounded down, so that small ones train), and every
 * condition and cell type keeps a training cell: a sorted file or a rare type changes nothing. Validation
 * cells of a streamed data set are held in memory: there are no more of them than fit.
 * @param share - share of the cells that train, in (0, 1]
 */
export function splitCells(
  { counts, combinations, labels, levels }: Dataset,
  share: number,
  seed: number,
): Split {
  const trainFrac = Math.max(share, 1 - counts.mostHeld / counts.cells);
  const order = Int32Array.from({ length: counts.cells }, (_, i) => i);
  new Random(seed, "split").shuffle(order);
  const size = new Map<number, number>();
  const left = new Map<number, number>();
  for (const combination of combinations) size.set(combination, (size.get(combination) ?? 0) + 1);
  for (const label of labels) left.set(label, (left.get(label) ?? 0) + 1);
  const quota = new Map(
    [...size].map(([combination, n]) => [
      combination,
      Math.min(n - 1, Math.floor(n * (1 - trainFrac) + 1e-9)),
    ]),
  );
  const train: number[] = [];
  const validation: number[] = [];
  for (const cell of order) {
    const own = [...labels.subarray(cell * levels, (cell + 1) * levels)].filter((label) => label >= 0);
    const remaining = quota.get(combinations[cell]!)!;
    if (remaining > 0 && own.every((label) => left.get(label)! > 1)) {
      quota.set(combinations[cell]!, remaining - 1);
      own.forEach((label) => left.set(label, left.get(label)! - 1));
      validation.push(cell);
    } else train.push(cell);
  }
  return { train: Int32Array.from(train).sort(), validation: Int32Array.from(validation).sort() };
}

/** Most stored counts that `rows` cells of the data set can have together. */
export function minibatchCapacity({ widest, cells }: CountSource, rows: number): number {
  return Math.max(1, widest * Math.min(rows, cells));
}

/**
 * Within each minibatch of an order, brings cells of one combination of conditions next to each other:
 * theta's gradient is summed faster so.
 */
export function groupCombinations(order: Int32Array, size: number, combinations: Int32Array): void {
  for (let start = 0; start < order.length; start += size)
    order.subarray(start, start + size).sort((a, b) => combinations[a]! - combinations[b]! || a - b);
}

/**
 * Fills the engine's minibatch with cells, in their order.
 * @param rows - where the counts of these cells are at hand
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
