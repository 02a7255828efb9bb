// Counts that stay in the file: minibatches are made of blocks of neighbouring rows that are read while they are needed, so that memory does not grow with the
// number of cells. An epoch takes the blocks in random order, a few dozen at a time, and the cells of those in random order: one seed, one order, whatever the
// machine. Validation cells are held in memory; there are at most as many as `mostHeld`.
import { startGiver } from "#platform";
import { isReadByThread, worthAThread } from "../anndata/read-ahead.js";
import { copyRow, type CountPass, type CountRows, type CountSource } from "./count-source.js";
import { CompactRows, countsReader, streamCounts, type Counts, type LoadCountsOptions } from "./counts.js";
import type { CountsPlace, ValueKind } from "./count-places.js";
import type { Minibatch } from "../engine/engine.js";
import { Random } from "../random.js";

/** Neighbouring rows of the file that are read together, and how many such blocks are shuffled together. */
export interface BlockSizes {
  readonly rows: number;
  readonly together: number;
}
export const blockSizes: BlockSizes = { rows: 512, together: 32 };

/** What one pass over all counts tells of them. */
interface Survey {
  readonly sizeFactors: Float32Array;
  readonly widest: number;
}

/** Rows of the file, compact. */
type Block = Pick<Counts, "indptr" | "indices" | "values">;

/** Blocks to be read, by their numbers. */
export interface BlocksTask {
  readonly path: string;
  readonly name: string;
  readonly values?: ValueKind;
  readonly map: Int32Array;
  readonly genes: number;
  readonly blocks: Int32Array;
  readonly sizes: BlockSizes;
}

/** Some blocks that are read; the thread's taker gets them together. */
export interface BlocksRead {
  readonly blocks: readonly Block[];
}

/** Reads the blocks of a task, each of them new memory, half of those that are shuffled together at a time. */
export async function* readBlocks(place: CountsPlace, { map, genes, blocks, sizes }: BlocksTask): AsyncGenerator<BlocksRead, void> {
  const read = countsReader(place, map, genes);
  const atOnce = Math.ceil(sizes.together / 2);
  for (let first = 0; first < blocks.length; first += atOnce) {
    const together: Block[] = [];
    for (const block of blocks.subarray(first, first + atOnce)) {
      const start = block * sizes.rows;
      const rows = await read(start, Math.min(place.matrix.rows, start + sizes.rows));
      const compact = new CompactRows(rows.rows, genes);
      compact.append(rows, 0, rows.rows);
      const { indptr, indices, values } = compact.finish();
      together.push({ indptr, indices, values });
    }
    yield { blocks: together };
  }
}

/**
 * Looks through all counts once, so that none is met later that is no count.
 * @param map, genes - as `streamCounts`
 * @param leastForThread - stored values from which a thread reads ahead
 * @throws ScPoliError "counts" at the first value that is no count; "interrupted"
 */
export async function openStreamedCounts(place: CountsPlace, map: Int32Array, genes: number, options: LoadCountsOptions = {}, sizes = blockSizes, leastForThread = worthAThread): Promise<StreamedCounts> {
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
    /** row of the file of each cell; undefined: cells are the rows */
    private readonly keep: Int32Array | undefined,
    private readonly survey: Survey,
    private readonly sizes: BlockSizes,
    private readonly leastForThread: number,
  ) {
    this.cells = survey.sizeFactors.length;
    this.mostHeld = sizes.rows * sizes.together;
  }

  get sizeFactors() { return this.survey.sizeFactors; }
  get widest() { return this.survey.widest; }

  shuffled(cells: Int32Array, seed: number, epoch: number): Int32Array {
    const random = new Random(seed, `epoch ${epoch}`);
    const starts: number[] = [];
    for (let i = 0; i < cells.length; i++) if (i === 0 || this.#blockOf(cells[i]!) !== this.#blockOf(cells[i - 1]!)) starts.push(i);
    const blocks = random.shuffle(Int32Array.from(starts.keys()));
    const order = new Int32Array(cells.length);
    for (let first = 0, filled = 0; first < blocks.length; first += this.sizes.together) {
      const from = filled;
      for (const block of blocks.subarray(first, first + this.sizes.together)) {
        const own = cells.subarray(starts[block], starts[block + 1] ?? cells.length);
        order.set(own, filled);
        filled += own.length;
      }
      random.shuffle(order.subarray(from, filled));
    }
    return order;
  }

  pass(order: Int32Array): CountPass {
    return new StreamedPass(order, (cell) => this.#blockOf(cell), (cell) => this.#rowInBlock(cell), (blocks) => this.#read(blocks));
  }

  async hold(cells: Int32Array): Promise<CountRows> {
    const sorted = cells.slice().sort();
    const compact = new CompactRows(sorted.length, this.genes);
    const read = countsReader(this.place, this.map, this.genes);
    for (let i = 0; i < sorted.length; ) {
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
    return { put: (cell, minibatch, row, at) => copyRow(counts, rowOf.get(cell)!, minibatch, row, at) };
  }

  /** Blocks one after the other: of a large file from a thread that reads ahead. */
  async *#read(blocks: Int32Array): AsyncGenerator<Block, void> {
    const { place, map, genes, sizes } = this;
    const task: BlocksTask = { path: place.path, name: place.name, values: place.values, map, genes, blocks, sizes };
    // by columns: the thread would turn the whole matrix round once more
    if (!isReadByThread(place.matrix, this.leastForThread)) {
      for await (const { blocks: read } of readBlocks(place, task)) yield* read;
      return;
    }
    const giver = startGiver<BlocksTask, BlocksRead>("streamed-counts", task);
    try {
      for (let item = await giver.take(true); item; item = await giver.take(true)) {
        giver.keep();
        yield* item.blocks;
      }
    } finally {
      await giver.close();
    }
  }

  #rowOf(cell: number): number {
    return this.keep ? this.keep[cell]! : cell;
  }
  #blockOf(cell: number): number {
    return Math.floor(this.#rowOf(cell) / this.sizes.rows);
  }
  #rowInBlock(cell: number): number {
    return this.#rowOf(cell) % this.sizes.rows;
  }
}

/** Reads each block when its first cell comes, and drops it after its last one. */
class StreamedPass implements CountPass {
  readonly #present = new Map<number, Block>();
  /** cells still to come, per block */
  readonly #left = new Map<number, number>();
  readonly #blocks: AsyncGenerator<Block, void>;
  #used: Int32Array = new Int32Array(0);

  constructor(
    order: Int32Array,
    private readonly blockOf: (cell: number) => number,
    private readonly rowInBlock: (cell: number) => number,
    read: (blocks: Int32Array) => AsyncGenerator<Block, void>,
  ) {
    for (const cell of order) this.#left.set(blockOf(cell), (this.#left.get(blockOf(cell)) ?? 0) + 1);
    // a Map keeps the order in which blocks are met
    this.#blocks = read(Int32Array.from(this.#left.keys()));
  }

  async reach(cells: Int32Array): Promise<void> {
    for (const cell of this.#used) {
      const block = this.blockOf(cell);
      const left = this.#left.get(block)! - 1;
      this.#left.set(block, left);
      if (left === 0) this.#present.delete(block);
    }
    this.#used = cells;
    for (const cell of cells) {
      const block = this.blockOf(cell);
      if (!this.#present.has(block)) this.#present.set(block, (await this.#blocks.next()).value!);
    }
  }

  put(cell: number, minibatch: Minibatch, row: number, at: number): number {
    return copyRow(this.#present.get(this.blockOf(cell))!, this.rowInBlock(cell), minibatch, row, at);
  }

  async end(): Promise<void> {
    await this.#blocks.return();
    this.#present.clear();
  }
}
