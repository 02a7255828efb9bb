// Worker thread of read-ahead.ts: opens the file again and reads the blocks that nobody has claimed.
import { produceItems } from "#platform";
import { openDescribed } from "./described-matrix.js";
import type { Matrix, SparseRows } from "./matrix.js";
import { blockCount, claimBlock, readBlock, type GivenBlock, type ReadTask } from "./read-ahead.js";

/**
 * Number of blocks read in advance. Blocks are small (matrix.ts); more of them absorb delays of the caller.
 */
const blocksAhead = 12;

await produceItems<ReadTask, GivenBlock>(async function* (
  { path, name, described, rowsPerBlock, next },
  spare,
) {
  const { matrix, close } = (described && openDescribed(described)) ?? (await openByName(path, name));
  try {
    const count = blockCount(matrix, rowsPerBlock);
    for (let number = claimBlock(next); number < count; number = claimBlock(next))
      yield filled(spare(), number, await readBlock(matrix, rowsPerBlock, number));
  } finally {
    close();
  }
}, blocksAhead);

/** Imports the readers of all formats on demand, because loading them takes a while. */
async function openByName(path: string, name: string): Promise<{ matrix: Matrix; close(): void }> {
  const { AnnData } = await import("./anndata.js");
  const data = await AnnData.open(path);
  return { matrix: data.matrix(name)!, close: () => data.close() };
}

/** Copies a block into arrays that can be shared; the reader's arrays are views of its buffers. */
function filled(
  spare: GivenBlock | undefined,
  number: number,
  { rows, columns, indptr, indices, values }: SparseRows,
): GivenBlock {
  return {
    number,
    length: values.length,
    rows,
    columns,
    indptr: fill(spare?.indptr, indptr),
    indices: fill(spare?.indices, indices),
    values: fill(spare?.values, values),
  };
}

/**
 * Copies into shared memory. Transferred buffers would count as garbage of the receiving thread, which would
 * then collect garbage every other block.
 */
function fill<T extends SparseRows["values"]>(spare: T | undefined, from: T): T {
  const into = spare && spare.length >= from.length ? spare : shared(from, Math.ceil(1.1 * from.length));
  into.set(from);
  return into;
}

function shared<T extends SparseRows["values"]>({ constructor, BYTES_PER_ELEMENT }: T, length: number): T {
  return new (constructor as new (buffer: SharedArrayBuffer) => T)(
    new SharedArrayBuffer(length * BYTES_PER_ELEMENT),
  );
}
