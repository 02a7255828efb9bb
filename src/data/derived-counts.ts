// Counts that are made from what a file holds, while it is read: columns of one gene added up, and counts
// recovered from log-normalised values.
import type { Column, DataFrame } from "../anndata/dataframe.js";
import type { Matrix, NumericArray, SparseRows } from "../anndata/matrix.js";
import { ScPoliError } from "../errors.js";

/** Another matrix in the place of one, row by row. */
function derived(
  matrix: Matrix,
  columns: number,
  derive: (block: SparseRows, start: number) => SparseRows | Promise<SparseRows>,
): Matrix {
  return {
    rows: matrix.rows,
    columns,
    format: "csr",
    dtype: "float32",
    stored: matrix.stored,
    place: matrix.place,
    isDerived: true,
    read: async (start, end) => derive(await matrix.read(start, end), start),
  };
}

/**
 * The same counts with columns of one name added up.
 * @param names - (columns of the file) what belongs together; null: a column by itself
 * @throws ScPoliError "usage" where the values are no counts
 */
export async function sumDuplicates<
  Place extends { readonly matrix: Matrix; readonly var: DataFrame; readonly values?: string },
>(
  place: Place,
  names: readonly (string | null)[],
): Promise<{ readonly place: Place; readonly names: readonly (string | null)[]; readonly summed: number }> {
  const columnOf = new Map<string, number>();
  const kept: number[] = [];
  const target = Int32Array.from(names, (name, column) => {
    const known = name === null ? undefined : columnOf.get(name);
    if (known !== undefined) return known;
    if (name !== null) columnOf.set(name, kept.length);
    return kept.push(column) - 1;
  });
  const summed = names.length - kept.length;
  if (summed === 0) return { place, names, summed };
  if (place.values === "numbers")
    throw new ScPoliError(
      "usage",
      "Normalised values of two columns cannot be added up; keep one column per gene, or take counts.",
      { summed },
    );
  const row: SummedRow = {
    sums: new Float64Array(kept.length),
    marks: new Float64Array(kept.length),
    mark: 0,
  };
  const matrix = derived(place.matrix, kept.length, (block) => addColumns(block, target, row));
  const index = await place.var.index();
  const ownNames = kept.map((column) => index[column]!);
  const genes: DataFrame = {
    length: kept.length,
    columnNames: place.var.columnNames,
    index: async () => ownNames,
    column: async (name) => picked(await place.var.column(name), kept),
  };
  return { place: { ...place, matrix, var: genes }, names: kept.map((column) => names[column]!), summed };
}

function picked(column: Column, rows: readonly number[]): Column {
  const { length } = rows;
  switch (column.kind) {
    case "categorical":
      return { ...column, length, codes: Int32Array.from(rows, (row) => column.codes[row]!) };
    case "number":
      return { ...column, length, values: Float64Array.from(rows, (row) => column.values[row]!) };
    case "string":
      return { ...column, length, values: rows.map((row) => column.values[row]!) };
    case "boolean":
      return { ...column, length, values: rows.map((row) => column.values[row]!) };
  }
}

/** Scratch of one row: the sum of each column, and the number of the last row that had one. */
interface SummedRow {
  readonly sums: Float64Array;
  readonly marks: Float64Array;
  mark: number;
}

function addColumns(
  { rows, indptr, indices, values }: SparseRows,
  target: Int32Array,
  scratch: SummedRow,
): SparseRows {
  const { sums, marks } = scratch;
  const stored = indptr[rows]!;
  const out = {
    rows,
    columns: sums.length,
    indptr: new Int32Array(rows + 1),
    indices: new Int32Array(stored),
    values: new Float32Array(stored),
  };
  let used = 0;
  for (let row = 0; row < rows; row++) {
    const first = used;
    scratch.mark++;
    for (let k = indptr[row]!; k < indptr[row + 1]!; k++) {
      const column = target[indices[k]!]!;
      const value = values[k]!;
      if (marks[column] !== scratch.mark) {
        marks[column] = scratch.mark;
        sums[column] = value;
        out.indices[used++] = column;
        // what is no count stays to be seen
      } else if (Number.isInteger(sums[column]!) && sums[column]! >= 0)
        sums[column] = value >= 0 ? sums[column]! + value : value;
    }
    out.indices
      .subarray(first, used)
      .sort()
      .forEach((column, i) => (out.values[first + i] = sums[column]!));
    out.indptr[row + 1] = used;
  }
  return { ...out, indices: out.indices.subarray(0, used), values: out.values.subarray(0, used) };
}

/** What scanpy normalises a cell to before log1p. */
const targetSum = 1e4;
/** The smallest value of a cell is that of a count of 1, or, of few cells, of one of the next. */
const smallestCounts = 8;
/** Relative error of a value in float32, after log1p and back. */
const tolerance = 1e-6;

/**
 * Counts of one cell from log1p(count / total x 10,000), where that is exact: each value is what the count
 * gives, and the total a whole number that is not less than the counts together (genes may have been left out
 * since).
 * @returns null where they are not
 */
export function recoverRow(values: NumericArray): Float32Array | null {
  if (values.length === 0) return new Float32Array(0);
  const shares = Float64Array.from(values, Math.expm1);
  let least = Infinity;
  for (const share of shares) {
    if (!(share > 0 && share < Infinity)) return null;
    if (share < least) least = share;
  }
  const counts = new Float32Array(shares.length);
  for (let smallest = 1; smallest <= smallestCounts; smallest++) {
    const unit = least / smallest;
    const total = Math.round(targetSum / unit);
    if (Math.abs(targetSum / unit - total) > Math.max(1e-3, 4 * tolerance * total)) continue;
    let sum = 0;
    const fits = shares.every((share, i) => {
      const count = Math.round((share * total) / targetSum);
      counts[i] = count;
      sum += count;
      return (
        count > 0 &&
        Math.abs(Math.log1p((count * targetSum) / total) - values[i]!) <= tolerance * Math.max(1, values[i]!)
      );
    });
    if (fits && sum <= total) return counts;
  }
  return null;
}

/** Cells of each of the blocks that decide whether counts can be recovered. */
const lookedAt = 16;

/** Whether the first, middle and last cells hold log1p of counts per 10,000. */
export async function isRecoverable(matrix: Matrix): Promise<boolean> {
  const rows = Math.min(lookedAt, matrix.rows);
  const last = matrix.rows - rows;
  let stored = 0;
  for (const start of new Set([0, Math.floor(last / 2), last])) {
    const { indptr, values } = await matrix.read(start, start + rows);
    stored += indptr[rows]!;
    for (let row = 0; row < rows; row++)
      if (recoverRow(values.subarray(indptr[row]!, indptr[row + 1]!)) === null) return false;
  }
  return stored > 0;
}

/**
 * A matrix of log1p of counts per 10,000 as one of counts, recovered cell by cell.
 * @param obs - names the cells in errors
 * @returns a matrix whose `read` throws ScPoliError "counts" at the first cell where they are not exact
 */
export function recoverCounts(matrix: Matrix, obs: DataFrame): Matrix {
  return derived(matrix, matrix.columns, async (block, start) => {
    const values = new Float32Array(block.indptr[block.rows]!);
    for (let row = 0; row < block.rows; row++) {
      const [from, to] = [block.indptr[row]!, block.indptr[row + 1]!];
      const counts = recoverRow(block.values.subarray(from, to));
      if (counts === null) {
        const cell = (await obs.index())[start + row];
        throw new ScPoliError(
          "counts",
          `${matrix.place} holds no log1p of counts per 10,000 in cell '${cell}' (row ${start + row}): its counts cannot be recovered exactly.`,
          { row: start + row, cell },
        );
      }
      values.set(counts, from);
    }
    return { ...block, values };
  });
}
