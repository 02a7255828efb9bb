// The thread of read-ahead.ts: opens the file again and reads the blocks that nobody else has begun.
import { produceItems } from "#platform";
import { openDescribed } from "./described-matrix.js";
import type { Matrix, SparseRows } from "./matrix.js";
import { blockCount, claimBlock, readBlock, type GivenBlock, type ReadTask } from "./read-ahead.js";

/** They are small (matrix.ts); more of them use the time in which the caller is not ready yet. */
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

/** Loads what reads files of every kind, which takes a while. */
async function openByName(path: string, name: string): Promise<{ matrix: Matrix; close(): void }> {
  const { AnnData } = await import("./anndata.js");
  const data = await AnnData.open(path);
  return { matrix: data.matrix(name)!, close: () => data.close() };
}

/** A block in arrays that can be given away; the reader's own are views of its buffers. */
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
 * Into memory that both threads see: buffers that are moved to another thread count as its garbage, which it
 * then looks for once in two blocks.
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
