// Compares two matrices of a file that both hold whole numbers: are they the same counts?
import type { DataFrame } from "../anndata/dataframe.js";
import type { Matrix, SparseRows } from "../anndata/matrix.js";
import { lookedAt } from "./place-look.js";

interface Place {
  readonly matrix: Matrix;
  readonly var: DataFrame;
}

/** Cells compared per block. */
const comparedCells = 64;
/** Smallest share of the counts that a correction leaves: of all counts, and of large ones. */
const leastLeft = 0.5;
const largeCount = 10;

/**
 * Relates the values of one matrix to those of another, in a sample of cells and the shared genes. "reduced":
 * nowhere larger, and at least half of the total, also among large counts (ambient RNA removed, or cells
 * downsampled).
 * @returns null if they share no gene or differ in the number of cells
 */
export async function comparePlaces(
  one: Place,
  other: Place,
): Promise<"same" | "reduced" | "different" | null> {
  const columns = await sharedColumns(one, other);
  if (columns === null || one.matrix.rows !== other.matrix.rows) return null;
  const isShared = new Uint8Array(one.matrix.columns);
  for (const column of columns) if (column >= 0) isShared[column] = 1;
  const sums = { one: 0, other: 0, largeOne: 0, largeOther: 0, isSame: true, isLess: true };
  const row = new Float64Array(one.matrix.columns);
  const { starts, rows } = lookedAt(one.matrix);
  for (const start of starts) {
    const end = start + Math.min(rows, comparedCells);
    const first = copied(await one.matrix.read(start, end));
    const second = await other.matrix.read(start, end);
    for (let i = 0; i < first.rows; i++) {
      const [from, to] = [first.indptr[i]!, first.indptr[i + 1]!];
      for (let k = from; k < to; k++) row[first.indices[k]!] = first.values[k]!;
      for (let k = second.indptr[i]!; k < second.indptr[i + 1]!; k++) {
        const column = columns[second.indices[k]!]!;
        if (column < 0) continue;
        const [a, b] = [row[column]!, second.values[k]!];
        row[column] = 0;
        sums.one += a;
        sums.other += b;
        if (b >= largeCount) [sums.largeOne, sums.largeOther] = [sums.largeOne + a, sums.largeOther + b];
        if (a !== b) sums.isSame = false;
        if (a > b) sums.isLess = false;
      }
      for (let k = from; k < to; k++) {
        const column = first.indices[k]!;
        if (isShared[column] && row[column] !== 0) sums.isSame = sums.isLess = false;
        row[column] = 0;
      }
    }
  }
  if (sums.isSame) return "same";
  const isLeft = sums.one >= leastLeft * sums.other && sums.largeOne >= leastLeft * sums.largeOther;
  return sums.isLess && isLeft ? "reduced" : "different";
}

/** (columns of `other`) column of `one` with the same gene, -1 if none; null if they share no gene */
async function sharedColumns(one: Place, other: Place): Promise<Int32Array | null> {
  if (one.var === other.var) return Int32Array.from({ length: other.matrix.columns }, (_, column) => column);
  const columnOf = new Map((await one.var.index()).map((name, column) => [name, column]));
  const columns = Int32Array.from(await other.var.index(), (name) => columnOf.get(name) ?? -1);
  return columns.some((column) => column >= 0) ? columns : null;
}

/** Copies a block so that it stays valid after the next read. */
function copied(block: SparseRows): SparseRows {
  const { indptr, indices, values } = block;
  return { ...block, indptr: indptr.slice(), indices: indices.slice(), values: values.slice() };
}
