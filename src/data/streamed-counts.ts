// Streams counts from the file: minibatches are made of blocks of neighbouring rows that are read on demand,
// so that memory does not grow with the number of cells. An epoch visits the blocks in random order, a few
// dozen at a time, and shuffles the cells within each such group. The order depends only on the seed, not on
// the machine. Validation cells are held in memory, at most `mostHeld` of them.
import { startProducer } from "#platform";
import { isReadByThread, worthAThread } from "../anndata/read-ahead.js";
import { copyRows, type CountPass, type CountRows, type CountSource } from "./count-source.js";
import { CompactRows, countsReader, streamCounts, type LoadCountsOptions } from "./counts.js";
import type { CountsPlace } from "./count-places.js";
import type { Minibatch } from "../engine/engine.js";
import { readInOrder, type OrderedRows, type OrderTask } from "./ordered-rows.js";
import { Random } from "../numerics/random.js";

/** Neighbouring rows read together, and the number of such blocks shuffled together. */
export interface BlockSizes {
  readonly rows: number;
  readonly together: number;
}
export const blockSizes: BlockSizes = { rows: 512, together: 32 };

/** Results of the first pass over all counts. */
interface Survey {
  readonly sizeFactors: Float32Array;
  readonly widest: number;
}

/** Share of the cells shuffled together that the reader returns at once. */
const shareAtOnce = 1 / 8;

/**
 * Reads all counts once, so that invalid values are found before the training.
 * @param map, genes - as `streamCounts`
 * @param leastForThread - number of stored values above which a worker thread reads ahead
 * @throws ScPoliError "counts" at the first value that is not a count; "interrupted"
 */
export async function openStreamedCounts(
  place: CountsPlace,
  map: Int32Array,
  genes: number,
  options: LoadCountsOptions = {},
  sizes = blockSizes,
  leastForThread = worthAThread,
): Promise<StreamedCounts> {
  const { keep } = options;
  const sizeFactors = new Float32Array(keep?.length ?? place.matrix.rows);
  let [widest, cell] = [0, 0];
  for await (const block of streamCounts(place, map, genes, undefined, options))
    for (let row = 0; row < block.rows; row++) {
      if (keep && keep[cell] !== block.start + row) continue;
      widest = Math.max(widest, block.indptr[row + 1]! - block.indptr[row]!);
      sizeFactors[cell++] = block.sizeFactors[row]!;
    }
  return new StreamedCounts(place, map, genes, keep, { sizeFactors, widest }, sizes, leastForThread);
}

export class StreamedCounts implements CountSource {
  readonly isStreamed = true;
  readonly mostHeld: number;
  readonly cells: number;

  constructor(
    private readonly place: CountsPlace,
    private readonly map: Int32Array,
    readonly genes: number,
    /** row of the file of each cell; undefined: cell i is row i */
    private readonly keep: Int32Array | undefined,
    private readonly survey: Survey,
    private readonly sizes: BlockSizes,
    private readonly leastForThread: number,
  ) {
    this.cells = survey.sizeFactors.length;
    this.mostHeld = sizes.rows * sizes.together;
  }

  get sizeFactors() {
    return this.survey.sizeFactors;
  }
  get widest() {
    return this.survey.widest;
  }

  shuffled(cells: Int32Array, seed: number, epoch: number): Int32Array {
    const random = new Random(seed, `epoch ${epoch}`);
    const starts: number[] = [];
    for (let i = 0; i < cells.length; i++)
      if (i === 0 || this.#blockOf(cells[i]!) !== this.#blockOf(cells[i - 1]!)) starts.push(i);
    const blocks = random.shuffle(Int32Array.from(starts.keys()));
    const order = new Int32Array(cells.length);
    for (let first = 0, filled = 0; first < blocks.length; first += this.sizes.together) {
      const from = filled;
      for (const block of blocks.subarray(first, first + this.sizes.together)) {
        const blockCells = cells.subarray(starts[block], starts[block + 1] ?? cells.length);
        order.set(blockCells, filled);
        filled += blockCells.length;
      }
      random.shuffle(order.subarray(from, filled));
    }
    return order;
  }

  pass(order: Int32Array): CountPass {
    return new StreamedPass(() => this.#read(order.map((cell) => this.#rowOf(cell))));
  }

  async hold(cells: Int32Array): Promise<CountRows> {
    const sorted = cells.slice().sort();
    const compact = new CompactRows(sorted.length, this.genes);
    const read = countsReader(this.place, this.map, this.genes);
    for (let i = 0; i < sorted.length;) {
      const first = this.#rowOf(sorted[i]!);
      let end = i + 1;
      while (end < sorted.length && this.#rowOf(sorted[end]!) - first < this.sizes.rows) end++;
      const block = await read(first, this.#rowOf(sorted[end - 1]!) + 1);
      for (; i < end; i++) {
        const row = this.#rowOf(sorted[i]!) - first;
        compact.append(block, row, row + 1);
      }
    }
    const counts = compact.finish();
    const rowOf = new Map(Array.from(sorted, (cell, row) => [cell, row]));
    return {
      fill: (minibatch, wanted) =>
        copyRows(
          counts,
          wanted.map((cell) => rowOf.get(cell)!),
          minibatch,
        ),
    };
  }

  /** Rows in the given order; for a large file, a worker thread reads ahead. */
  #read(order: Int32Array): Portions {
    const { place, map, genes, sizes } = this;
    const rowsAtOnce = Math.ceil(shareAtOnce * sizes.rows * sizes.together);
    const task: OrderTask = {
      path: place.path,
      name: place.name,
      values: place.values,
      map,
      genes,
      order,
      blockRows: sizes.rows,
      rowsAtOnce,
    };
    if (isReadByThread(place.matrix, this.leastForThread))
      return startProducer<OrderTask, OrderedRows>("streamed-counts", task);
    const spares: OrderedRows[] = [];
    const portions = readInOrder(place, task, () => spares.pop());
    return {
      take: async () => (await portions.next()).value ?? null,
      recycle: (portion) => spares.push(portion),
      close: async () => void (await portions.return()),
    };
  }

  #rowOf(cell: number): number {
    return this.keep ? this.keep[cell]! : cell;
  }
  #blockOf(cell: number): number {
    return Math.floor(this.#rowOf(cell) / this.sizes.rows);
  }
}

/** Source of the rows of a pass, in portions; used portions are returned for reuse. */
interface Portions {
  take(waits: true): Promise<OrderedRows | null>;
  recycle(portion: OrderedRows): void;
  close(): Promise<void>;
}

class StreamedPass implements CountPass {
  readonly #portions: Portions;
  /** portions with reached cells, and the position of each in the order */
  readonly #present: { readonly portion: OrderedRows; readonly from: number }[] = [];
  #presentEnd = 0;
  /** the cells reached last, and their position in the order */
  #reached: Int32Array = new Int32Array(0);
  #reachedFrom = 0;

  constructor(read: () => Portions) {
    this.#portions = read();
  }

  async reach(cells: Int32Array): Promise<void> {
    this.#reachedFrom += this.#reached.length;
    this.#reached = cells;
    while (
      this.#present.length > 0 &&
      this.#present[0]!.from + this.#present[0]!.portion.rows <= this.#reachedFrom
    )
      this.#portions.recycle(this.#present.shift()!.portion);
    while (this.#presentEnd < this.#reachedFrom + cells.length) {
      const portion = (await this.#portions.take(true))!;
      this.#present.push({ portion, from: this.#presentEnd });
      this.#presentEnd += portion.rows;
    }
  }

  /** @param cells - all or some of the cells that were reached last */
  fill(minibatch: Minibatch, cells: Int32Array): void {
    minibatch.indptr[0] = 0;
    if (cells === this.#reached) this.#copy(minibatch, 0, this.#reachedFrom, cells.length);
    else
      cells.forEach((cell, row) =>
        this.#copy(minibatch, row, this.#reachedFrom + this.#reached.indexOf(cell), 1),
      );
  }

  /** Copies `count` cells, starting at position `from` of the order, into rows starting at `row`. */
  #copy(minibatch: Minibatch, row: number, from: number, count: number): void {
    for (const { portion, from: start } of this.#present) {
      const [first, end] = [
        Math.max(from, start) - start,
        Math.min(from + count, start + portion.rows) - start,
      ];
      if (first >= end) continue;
      copyPortion(portion, first, end, minibatch, row);
      row += end - first;
    }
  }

  async end(): Promise<void> {
    await this.#portions.close();
    this.#present.length = 0;
  }
}

/** Copies rows [first, end) of a portion into the minibatch rows that start at `row`. */
function copyPortion(
  { indptr, indices, small, largeFrom, large }: OrderedRows,
  first: number,
  end: number,
  minibatch: Minibatch,
  row: number,
): void {
  const { compact, sources } = minibatch;
  const isCompact = compact !== undefined && indices instanceof Uint16Array;
  const to = isCompact ? compact : minibatch;
  const [from, at] = [indptr[first]!, minibatch.indptr[row]!];
  to.indices.set(indices.subarray(from, indptr[end]), at);
  to.counts.set(small.subarray(from, indptr[end]), at);
  for (let i = first; i < end; i++, row++) {
    const [start, stop] = [indptr[i]!, indptr[i + 1]!];
    const isSmall = largeFrom[i]! < 0;
    if (!isSmall) {
      minibatch.indices.set(indices.subarray(start, stop), at + start - from);
      minibatch.counts.set(large.subarray(largeFrom[i], largeFrom[i]! + stop - start), at + start - from);
    }
    if (sources) sources[row] = isCompact && isSmall ? at + start - from : -1;
    minibatch.indptr[row + 1] = at + stop - from;
  }
}
