// Reads rows of a file in a given order, in compact form. Blocks of neighbouring rows are read when their
// first row is needed and dropped after their last. Rows are returned in the given order, so that a minibatch
// is one contiguous range.
import { canShareMemory } from "#platform";
import { countsReader } from "./counts.js";
import type { CountsPlace, ValueKind } from "./count-places.js";
import { RowStore, type KeptRows, type SmallRows } from "../kernel-modules/rows.js";

export interface OrderTask {
  readonly path: string;
  readonly name: string;
  readonly values?: ValueKind;
  /** see `streamCounts` */
  readonly map: Int32Array;
  readonly genes: number;
  /** rows of the file, in the order in which they are needed */
  readonly order: Int32Array;
  /** neighbouring rows read together */
  readonly blockRows: number;
  /** rows returned together */
  readonly rowsAtOnce: number;
}

/** Rows of the order. The arrays may be longer than their content, so that they can be reused. */
export interface OrderedRows extends SmallRows {
  readonly rows: number;
}

/** @param spare - returns rows that are no longer needed, for reuse */
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
    yield copyRows(
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

/** Copies rows out of the store, into the arrays of the spare rows if they are large enough. */
function copyRows(
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
 * Copies into the spare array if it is long enough: allocating memory costs more than filling it. Uses shared
 * memory if available, because buffers transferred between threads trigger garbage collections.
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
