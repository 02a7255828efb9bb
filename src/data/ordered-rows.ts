// Rows of a file in an order of their own, compact: blocks of neighbouring rows are read when the first of their rows is wanted and dropped after the last, and what
// is handed out lies in the order asked for, so that a minibatch is one piece of memory for whoever takes it.
import { canShareMemory } from "#platform";
import { countsReader, largestCount, narrowCounts, narrowGenes, type CountBlock } from "./counts.js";
import type { CountsPlace, ValueKind } from "./count-places.js";

export interface OrderTask {
  readonly path: string;
  readonly name: string;
  readonly values?: ValueKind;
  /** as `streamCounts` */
  readonly map: Int32Array;
  readonly genes: number;
  /** rows of the file, in the order that they are wanted in */
  readonly order: Int32Array;
  /** neighbouring rows that are read together */
  readonly blockRows: number;
  /** rows that are handed out together */
  readonly rowsAtOnce: number;
}

/** Some rows of the order; arrays may be longer than what they hold, so that they can be filled again. */
export interface OrderedRows {
  readonly rows: number;
  /** (rows + 1) */
  readonly indptr: Int32Array;
  readonly indices: Uint16Array | Uint32Array;
  /** counts of the rows that have none above 255 */
  readonly small: Uint8Array;
  /** (rows) where the counts of another row start in `large`; -1: they are in `small` */
  readonly largeFrom: Int32Array;
  readonly large: Float32Array;
}

/** Neighbouring rows of the file. */
interface Block {
  readonly indptr: Int32Array;
  readonly indices: Uint16Array | Uint32Array;
  readonly values: Uint8Array | Float32Array;
}

/** @param spare - some rows that were handed out and are no longer needed, to be filled again */
export async function* readInOrder(place: CountsPlace, { map, genes, order, blockRows, rowsAtOnce }: OrderTask, spare: () => OrderedRows | undefined): AsyncGenerator<OrderedRows, void> {
  const read = countsReader(place, map, genes);
  const blockOf = (row: number): number => Math.floor(row / blockRows);
  const left = new Int32Array(Math.ceil(place.matrix.rows / blockRows));
  for (const row of order) left[blockOf(row)]!++;
  const present = new Map<number, Block>();
  const spareBlocks: Block[] = [];
  for (let first = 0; first < order.length; first += rowsAtOnce) {
    const wanted = order.subarray(first, first + rowsAtOnce);
    const blocks: Block[] = [];
    for (const row of wanted) {
      const number = blockOf(row);
      let block = present.get(number);
      if (!block) {
        const start = number * blockRows;
        block = pack(await read(start, Math.min(place.matrix.rows, start + blockRows)), genes, spareBlocks.pop());
        present.set(number, block);
      }
      blocks.push(block);
    }
    yield gather(wanted.map((row) => row % blockRows), blocks, genes, spare());
    wanted.forEach((row, i) => {
      if (--left[blockOf(row)]! > 0) return;
      present.delete(blockOf(row));
      spareBlocks.push(blocks[i]!);
    });
  }
}

function pack({ rows, indptr, indices, counts }: CountBlock, genes: number, spare: Block | undefined): Block {
  const stored = indptr[rows]!;
  const block = {
    indptr: room(Int32Array, rows + 1, spare?.indptr),
    indices: roomForGenes(genes, stored, spare?.indices),
    values: largestCount(counts, 0, stored) < 256 ? room(Uint8Array, stored, spare?.values) : room(Float32Array, stored, spare?.values),
  };
  block.indptr.set(indptr.subarray(0, rows + 1));
  narrowGenes(indices, 0, stored, block.indices, 0);
  narrowCounts(counts, 0, stored, block.values, 0);
  return block;
}

/** @param rows - within the block of each */
function gather(rows: Int32Array, blocks: readonly Block[], genes: number, spare: OrderedRows | undefined): OrderedRows {
  const indptr = room(Int32Array, rows.length + 1, spare?.indptr);
  const largeFrom = room(Int32Array, rows.length, spare?.largeFrom);
  let [stored, storedLarge] = [0, 0];
  indptr[0] = 0;
  rows.forEach((row, i) => {
    const { indptr: starts, values } = blocks[i]!;
    const [start, end] = [starts[row]!, starts[row + 1]!];
    const isSmall = values instanceof Uint8Array || largestCount(values, start, end) < 256;
    largeFrom[i] = isSmall ? -1 : storedLarge;
    storedLarge += isSmall ? 0 : end - start;
    stored += end - start;
    indptr[i + 1] = stored;
  });
  const indices = roomForGenes(genes, stored, spare?.indices);
  const small = room(Uint8Array, stored, spare?.small);
  const large = room(Float32Array, storedLarge, spare?.large);
  rows.forEach((row, i) => {
    const block = blocks[i]!;
    const [start, end] = [block.indptr[row]!, block.indptr[row + 1]!];
    indices.set(block.indices.subarray(start, end), indptr[i]!);
    const values = block.values.subarray(start, end);
    if (largeFrom[i]! < 0) small.set(values, indptr[i]!);
    else large.set(values, largeFrom[i]!);
  });
  return { rows: rows.length, indptr, indices, small, largeFrom, large };
}

function roomForGenes(genes: number, length: number, spare: unknown): Uint16Array | Uint32Array {
  return genes <= 65_536 ? room(Uint16Array, length, spare) : room(Uint32Array, length, spare);
}

type TypedArray = Int32Array | Uint32Array | Uint16Array | Uint8Array | Float32Array;

/**
 * An array for so many values: the spare one where it is of the type and long enough. Memory that is new costs more than what is written to it; and it is memory that
 * all threads see, where there is such, because buffers that are moved from one to another set off garbage collections.
 */
function room<T extends TypedArray>(type: (new (buffer: ArrayBufferLike) => T) & { readonly BYTES_PER_ELEMENT: number }, length: number, spare: unknown): T {
  if (spare instanceof type && spare.length >= length) return spare;
  const bytes = type.BYTES_PER_ELEMENT * Math.ceil(1.1 * length);
  return new type(canShareMemory() ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes));
}
