// The labelled cells that a head is trained on: their choice, their normalised counts, and the folds of
// cross-validation.
import type { Minibatch, CountTransform } from "../engine/engine.js";
import { type SparseCells, joined } from "../kernel-modules/sparse-cells.js";
import { fillMinibatch, minibatchCapacity, type Dataset } from "../data/minibatches.js";
import { sampleRareFirst } from "../data/sampling.js";
import { logNormalized } from "../numerics/log-normalized.js";
import { Random } from "../numerics/random.js";

/** More labelled cells than this are sampled, rare types first: a linear layer gains little from more. */
const mostCells = 20_000;
/** Maximum number of folds. */
const mostFolds = 5;
/** Number of cells read at a time. */
const readTogether = 512;

/** The training cells of a head: all labelled cells, or a sample in which each type is represented. */
export function chooseHeadCells({ counts, labels, levels }: Dataset, seed: number): Int32Array {
  const labelled = Int32Array.from({ length: counts.cells }, (_, cell) => cell).filter((cell) =>
    labels.subarray(cell * levels, (cell + 1) * levels).some((label) => label >= 0),
  );
  return sampleTypes({ labels, levels }, labelled, Math.min(mostCells, counts.mostHeld), seed, "head");
}

/** At most `most` of some cells, rare types first. */
export function sampleTypes(
  { labels, levels }: Pick<Dataset, "labels" | "levels">,
  cells: Int32Array,
  most: number,
  seed: number,
  purpose: string,
): Int32Array {
  if (cells.length <= most) return cells;
  const order = new Random(seed, purpose).shuffle(cells.slice());
  return sampleRareFirst({ labels, levels }, order, most, most / new Set(labels).size);
}

/** Counts of some cells, transformed for the head. */
export async function readLabelledCells(
  dataset: Dataset,
  cells: Int32Array,
  transform: CountTransform,
): Promise<SparseCells> {
  const held = await dataset.counts.hold(cells);
  const minibatch = emptyMinibatch(dataset, Math.min(readTogether, cells.length));
  const blocks: SparseCells[] = [];
  for (let start = 0; start < cells.length; start += readTogether) {
    fillMinibatch(minibatch, dataset, cells.subarray(start, start + readTogether), held);
    const { rows, indptr, indices, counts, sizeFactors } = minibatch;
    const end = indptr[rows]!;
    const values = counts.slice(0, end);
    if (transform === "log-normalized")
      for (let b = 0; b < rows; b++)
        for (let at = indptr[b]!; at < indptr[b + 1]!; at++)
          values[at] = logNormalized(values[at]!, sizeFactors[b]!);
    blocks.push({ indptr: indptr.slice(0, rows + 1), indices: indices.slice(0, end), values });
  }
  return joined(blocks);
}

function emptyMinibatch(dataset: Dataset, rows: number): Minibatch {
  const capacity = minibatchCapacity(dataset.counts, rows);
  return {
    rows: 0,
    indptr: new Int32Array(rows + 1),
    indices: new Int32Array(capacity),
    counts: new Float32Array(capacity),
    sizeFactors: new Float32Array(rows),
    conditions: dataset.conditions.map(() => new Int32Array(rows)),
    combinations: new Int32Array(rows),
    labels: new Int32Array(rows * dataset.levels),
  };
}

/**
 * Assigns cells to folds: by whole units (donors, or conditions), largest first into the smallest fold; cells
 * at random if there is one unit only.
 * @param units - (n)
 * @returns (n) fold of each cell
 */
export function leaveOut(units: Int32Array, seed: number): Int32Array {
  const sizes = new Map<number, number>();
  for (const unit of units) sizes.set(unit, (sizes.get(unit) ?? 0) + 1);
  const random = new Random(seed, "folds");
  if (sizes.size < 2) return units.map(() => random.below(mostFolds));
  const filled = new Array<number>(Math.min(mostFolds, sizes.size)).fill(0);
  const foldOf = new Map<number, number>();
  for (const [unit, n] of [...sizes].sort(([a, m], [b, n]) => n - m || a - b)) {
    const fold = filled.indexOf(Math.min(...filled));
    filled[fold]! += n;
    foldOf.set(unit, fold);
  }
  return units.map((unit) => foldOf.get(unit)!);
}
