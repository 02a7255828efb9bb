// Where minibatches take their counts from: memory (here), or the file itself where they do not fit (streamed-counts.ts).
import type { Counts } from "./counts.js";
import type { Minibatch } from "./engine/engine.js";
import { Random } from "./random.js";

/** Cells whose counts are at hand. */
export interface CountRows {
  /** Copies the counts of a cell into a minibatch, from `at` on. @returns where they end */
  copy(cell: number, minibatch: Minibatch, at: number): number;
}

/** One pass over cells in an order that was told at its start. */
export interface CountPass extends CountRows {
  /** Waits until the counts of these cells, the next of the order, are at hand; those of earlier ones may be gone. */
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
  /** The order of training cells in one epoch; it depends on seed and epoch alone, so that a run can go on in the middle of an epoch. */
  shuffled(cells: Int32Array, seed: number, epoch: number): Int32Array;
  pass(order: Int32Array): CountPass;
  /** The counts of a few cells, at hand for as long as they are wanted. */
  hold(cells: Int32Array): Promise<CountRows>;
}

/** Counts in memory. */
export class CountsInMemory implements CountSource, CountPass {
  readonly isStreamed = false;
  readonly mostHeld = Infinity;
  readonly widest: number;

  constructor(private readonly counts: Counts) {
    const { indptr, cells } = counts;
    let widest = 0;
    for (let cell = 0; cell < cells; cell++) widest = Math.max(widest, indptr[cell + 1]! - indptr[cell]!);
    this.widest = widest;
  }

  get cells() { return this.counts.cells; }
  get genes() { return this.counts.genes; }
  get sizeFactors() { return this.counts.sizeFactors; }

  shuffled(cells: Int32Array, seed: number, epoch: number): Int32Array {
    return new Random(seed, `epoch ${epoch}`).shuffle(cells.slice());
  }
  pass(): CountPass { return this; }
  async hold(): Promise<CountRows> { return this; }
  async reach(): Promise<void> {}
  async end(): Promise<void> {}

  copy(cell: number, minibatch: Minibatch, at: number): number {
    return copyRow(this.counts, cell, minibatch, at);
  }
}

/** Copies a row of counts into a minibatch, from `at` on. @returns where it ends */
export function copyRow({ indptr, indices, values }: Pick<Counts, "indptr" | "indices" | "values">, row: number, minibatch: Minibatch, at: number): number {
  const [start, end] = [indptr[row]!, indptr[row + 1]!];
  minibatch.indices.set(indices.subarray(start, end), at);
  minibatch.counts.set(values.subarray(start, end), at);
  return at + end - start;
}
