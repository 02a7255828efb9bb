// Rows of a file in an order of their own, compact: blocks of neighbouring rows are read when the first of
// their rows is wanted and dropped after the last, and what is handed out lies in the order asked for, so
// that a minibatch is one piece of memory for whoever takes it.
import { canShareMemory } from "#platform";
import { countsReader } from "./counts.js";
import type { CountsPlace, ValueKind } from "./count-places.js";
import { RowStore, type KeptRows, type SmallRows } from "../kernel-modules/rows.js";

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
export interface OrderedRows extends SmallRows {
  readonly rows: number;
}

/** @param spare - some rows that were handed out and are no longer needed, to be filled again */
export async function* readInOrder(
  place: CountsPlace,
  { map, genes, order, blockRows, rowsAtOnce }: OrderTask,
  spare: () => OrderedRows | undefined,
): AsyncGenerator<OrderedRows, void> {
  const read = countsReader(place, map, genes);
  const blockOf = (row: number): number => Math.floor(row / blockRows);
  const left = new Int32Array(Math.ceil(place.matrix.rows / blockRows));
  for (const row of order) left[blockOf(row)]!++;
  const store = new RowStore(genes);
  const present = new Map<number, KeptRows>();
  for (let first = 0; first < order.length; first += rowsAtOnce) {
    const wanted = order.subarray(first, first + rowsAtOnce);
    const blocks: KeptRows[] = [];
    for (const row of wanted) {
      const number = blockOf(row);
      let block = present.get(number);
      if (!block) {
        const start = number * blockRows;
        block = store.keep(await read(start, Math.min(place.matrix.rows, start + blockRows)));
        present.set(number, block);
      }
      blocks.push(block);
    }
    yield handedOut(
      store.gather(
        wanted.map((row) => row % blockRows),
        blocks,
      ),
      spare(),
    );
    wanted.forEach((row, i) => {
      if (--left[blockOf(row)]! > 0) return;
      present.delete(blockOf(row));
      store.drop(blocks[i]!);
    });
  }
}

/** Copied out of the store, into the arrays of the spare rows where they are large enough. */
function handedOut(
  { indptr, indices, small, largeFrom, large }: SmallRows,
  spare: OrderedRows | undefined,
): OrderedRows {
  const rows = largeFrom.length;
  return {
    rows,
    indptr: copied(indptr, spare?.indptr),
    indices: copied(indices, spare?.indices),
    small: copied(small, spare?.small),
    largeFrom: copied(largeFrom, spare?.largeFrom),
    large: copied(large, spare?.large),
  };
}

type TypedArray = Int32Array | Uint32Array | Uint16Array | Uint8Array | Float32Array;

/**
 * Into the spare array where that is long enough. Memory that is new costs more than what is written to it;
 * and it is memory that all threads see, where there is such, because buffers that are moved from one to
 * another set off garbage collections.
 */
function copied<T extends TypedArray>(values: T, spare: T | undefined): T {
  const bytes = values.BYTES_PER_ELEMENT * Math.ceil(1.1 * values.length);
  const into =
    spare && spare.length >= values.length
      ? spare
      : new (values.constructor as new (buffer: ArrayBufferLike) => T)(
          canShareMemory() ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes),
        );
  into.set(values);
  return into;
}
