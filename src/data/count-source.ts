// Interface of the counts behind minibatches: in memory (here), or streamed from the file if they do not fit
// (streamed-counts.ts).
import type { Counts } from "./counts.js";
import type { Engine, Minibatch } from "../engine/engine.js";
import { Random } from "../numerics/random.js";

/** Counts of loaded cells. */
export interface CountRows {
  /**
   * Copies the counts of cells into the first rows of a minibatch: `indptr`, and either `indices` and
   * `counts` or a reference to the engine's copy.
   */
  fill(minibatch: Minibatch, cells: Int32Array): void;
}

/** One pass over cells in an order fixed at the start. */
export interface CountPass extends CountRows {
  /**
   * Waits until the counts of these cells, the next in the order, are loaded. Counts of earlier cells may be
   * released.
   */
  reach(cells: Int32Array): Promise<void>;
  end(): Promise<void>;
}

/** The counts of all cells of a data set. */
export interface CountSource {
  /** N */
  readonly cells: number;
  /** G */
  readonly genes: number;
  /** (N) total of each cell over the model's genes */
  readonly sizeFactors: Float32Array;
  /** largest number of stored counts of a cell */
  readonly widest: number;
  readonly isStreamed: boolean;
  /** largest number of cells that `hold` can load at once */
  readonly mostHeld: number;
  /**
   * Order of the training cells in one epoch. Depends only on seed and epoch, so that a run can resume within
   * an epoch.
   */
  shuffled(cells: Int32Array, seed: number, epoch: number): Int32Array;
  /** Lets an engine keep a copy of the counts, if they are small enough. */
  keepIn?(engine: Engine): void;
  pass(order: Int32Array): CountPass;
  /** Loads the counts of a few cells and keeps them in memory. */
  hold(cells: Int32Array): Promise<CountRows>;
}

/**
 * The engine's minibatch for a caller that also reads its rows: counts are written out, not referenced from
 * the engine's copy.
 */
export function writtenOut(minibatch: Minibatch): Minibatch {
  return { ...minibatch, compact: undefined };
}

/** Counts in memory. */
export class CountsInMemory implements CountSource, CountPass {
  readonly isStreamed = false;
  readonly mostHeld = Infinity;
  readonly widest: number;
  #keeper: Minibatch | null = null;

  constructor(private readonly counts: Counts) {
    const { indptr, cells } = counts;
    let widest = 0;
    for (let cell = 0; cell < cells; cell++) widest = Math.max(widest, indptr[cell + 1]! - indptr[cell]!);
    this.widest = widest;
  }

  get cells() {
    return this.counts.cells;
  }
  get genes() {
    return this.counts.genes;
  }
  get sizeFactors() {
    return this.counts.sizeFactors;
  }

  shuffled(cells: Int32Array, seed: number, epoch: number): Int32Array {
    return new Random(seed, `epoch ${epoch}`).shuffle(cells.slice());
  }
  pass(): CountPass {
    return this;
  }
  async hold(): Promise<CountRows> {
    return this;
  }
  async reach(): Promise<void> {}
  async end(): Promise<void> {}

  keepIn(engine: Engine): void {
    const { indices, values } = this.counts;
    if (
      !engine.keepCounts ||
      !(indices instanceof Uint16Array && values instanceof Uint8Array) ||
      values.length > mostKept
    )
      return;
    engine.keepCounts(indices, values);
    this.#keeper = engine.minibatch;
  }

  fill(minibatch: Minibatch, cells: Int32Array): void {
    if (minibatch !== this.#keeper) return copyRows(this.counts, cells, minibatch);
    const { indptr } = this.counts;
    for (let row = 0, stored = 0; row < cells.length; row++) {
      const cell = cells[row]!;
      minibatch.sources![row] = indptr[cell]!;
      stored += indptr[cell + 1]! - indptr[cell]!;
      minibatch.indptr[row + 1] = stored;
    }
    minibatch.indptr[0] = 0;
  }
}

/**
 * Most stored counts (3 bytes each) for which an engine keeps a copy. The copy saves a few percent of time,
 * which does not justify doubling the memory of a large data set.
 */
const mostKept = 40_000_000;

/** Copies the given rows of counts into a minibatch, in order. */
export function copyRows(
  { indptr, indices, values }: Pick<Counts, "indptr" | "indices" | "values">,
  rows: ArrayLike<number>,
  minibatch: Minibatch,
): void {
  const { compact, sources } = minibatch;
  // the engine's threads widen them; doing it here would keep those threads waiting
  const isCompact = compact !== undefined && indices instanceof Uint16Array && values instanceof Uint8Array;
  const to = isCompact ? compact : minibatch;
  minibatch.indptr[0] = 0;
  for (let row = 0, at = 0; row < rows.length; row++) {
    const [start, end] = [indptr[rows[row]!]!, indptr[rows[row]! + 1]!];
    if (sources) sources[row] = isCompact ? at : -1;
    to.indices.set(indices.subarray(start, end), at);
    to.counts.set(values.subarray(start, end), at);
    minibatch.indptr[row + 1] = at += end - start;
  }
}
