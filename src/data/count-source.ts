// Where minibatches take their counts from: memory (here), or the file itself where they do not fit
// (streamed-counts.ts).
import type { Counts } from "./counts.js";
import type { Engine, Minibatch } from "../engine/engine.js";
import { Random } from "../numerics/random.js";

/** Cells whose counts are at hand. */
export interface CountRows {
  /**
   * Puts the counts of cells into the first rows of a minibatch: `indptr`, and `indices` and `counts` or what
   * stands for them.
   */
  fill(minibatch: Minibatch, cells: Int32Array): void;
}

/** One pass over cells in an order that was told at its start. */
export interface CountPass extends CountRows {
  /**
   * Waits until the counts of these cells, the next of the order, are at hand; those of earlier ones may be
   * gone.
   */
  reach(cells: Int32Array): Promise<void>;
  end(): Promise<void>;
}

/** The counts of a data set's cells. */
export interface CountSource {
  /** N */
  readonly cells: number;
  /** G */
  readonly genes: number;
  /** (N) total of each cell over the model's genes */
  readonly sizeFactors: Float32Array;
  /** most stored counts of a cell */
  readonly widest: number;
  readonly isStreamed: boolean;
  /** cells that `hold` may be asked for at once */
  readonly mostHeld: number;
  /**
   * The order of training cells in one epoch; it depends on seed and epoch alone, so that a run can go on in
   * the middle of an epoch.
   */
  shuffled(cells: Int32Array, seed: number, epoch: number): Int32Array;
  /** Lets an engine hold the counts, where they are few enough. */
  keepIn?(engine: Engine): void;
  pass(order: Int32Array): CountPass;
  /** The counts of a few cells, at hand for as long as they are wanted. */
  hold(cells: Int32Array): Promise<CountRows>;
}

/**
 * A minibatch of the engine whose rows are to be read by the caller too: with counts written out, and not
 * found in what the engine keeps.
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
 * Stored counts (3 bytes each) that an engine keeps a copy of: it is a few percent faster, and no reason to
 * double the memory of a large data set.
 */
const mostKept = 40_000_000;

/** Copies rows of counts into a minibatch, in the order given. */
export function copyRows(
  { indptr, indices, values }: Pick<Counts, "indptr" | "indices" | "values">,
  rows: ArrayLike<number>,
  minibatch: Minibatch,
): void {
  const { compact, sources } = minibatch;
  // to be widened by the engine's threads, while this one would keep them waiting
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
