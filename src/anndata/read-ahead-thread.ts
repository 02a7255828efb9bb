// The thread of read-ahead.ts: opens the file again and reads the blocks that nobody else has begun.
import { giveItems } from "#platform";
import { AnnData } from "./anndata.js";
import type { SparseRows } from "./matrix.js";
import { blockCount, claimBlock, readBlock, type GivenBlock, type ReadTask } from "./read-ahead.js";

await giveItems<ReadTask, GivenBlock>(async function* ({ path, name, rowsPerBlock, next }, spare) {
  const data = await AnnData.open(path);
  try {
    const matrix = data.matrix(name)!;
    const count = blockCount(matrix, rowsPerBlock);
    for (let number = claimBlock(next); number < count; number = claimBlock(next)) yield filled(spare(), number, await readBlock(matrix, rowsPerBlock, number));
  } finally {
    data.close();
  }
});

/** A block in arrays that can be given away; the reader's own are views of its buffers. */
function filled(spare: GivenBlock | undefined, number: number, { rows, columns, indptr, indices, values }: SparseRows): GivenBlock {
  return { number, length: values.length, rows, columns, indptr: fill(spare?.indptr, indptr), indices: fill(spare?.indices, indices), values: fill(spare?.values, values) };
}

function fill<T extends SparseRows["values"]>(spare: T | undefined, from: T): T {
  const into = spare && spare.length >= from.length ? spare : new (from.constructor as new (length: number) => T)(Math.ceil(1.1 * from.length));
  into.set(from);
  return into;
}
