// Matrices computed from a stored one while it is read: duplicated genes summed, and values rounded to whole
// numbers.
import type { Column, DataFrame } from "../anndata/dataframe.js";
import type { Matrix, SparseRows } from "../anndata/matrix.js";
import { ScPoliError } from "../contract/errors.js";

/** A matrix computed from another, row by row. */
export function derived(
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
 * Sums the columns that have the same name.
 * @param names - (columns of the file) columns of one name are summed; null: never summed
 * @throws ScPoliError "usage" if the values are not counts
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
    const existing = name === null ? undefined : columnOf.get(name);
    if (existing !== undefined) return existing;
    if (name !== null) columnOf.set(name, kept.length);
    return kept.push(column) - 1;
  });
  const summed = names.length - kept.length;
  if (summed === 0) return { place, names, summed };
  if (place.values === "numbers")
    throw new ScPoliError(
      "usage",
      "Normalised values of two columns cannot be summed. Keep one column per gene, or use counts.",
      { summed },
    );
  const row: SummedRow = {
    sums: new Float64Array(kept.length),
    marks: new Float64Array(kept.length),
    mark: 0,
  };
  const matrix = derived(place.matrix, kept.length, (block) => addColumns(block, target, row));
  const index = await place.var.index();
  const keptNames = kept.map((column) => index[column]!);
  const genes: DataFrame = {
    length: kept.length,
    columnNames: place.var.columnNames,
    index: async () => keptNames,
    column: async (name) => picked(await place.var.column(name), kept),
  };
  return { place: { ...place, matrix, var: genes }, names: kept.map((column) => names[column]!), summed };
}

export function picked(column: Column, rows: readonly number[]): Column {
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

/** Scratch space for one row: the sum of each column, and the last row in which the column occurred. */
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
        // leave invalid values for validation to report
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

/**
 * Rounds values to whole numbers. Values that are not finite or are negative stay, for validation to report.
 */
export function roundedCounts(matrix: Matrix): Matrix {
  return derived(matrix, matrix.columns, ({ rows, columns, indptr, indices, values }) => {
    const out = {
      rows,
      columns,
      indptr: new Int32Array(rows + 1),
      indices: new Int32Array(indptr[rows]!),
      values: new Float32Array(indptr[rows]!),
    };
    let used = 0;
    for (let row = 0; row < rows; row++) {
      for (let k = indptr[row]!; k < indptr[row + 1]!; k++) {
        const value = values[k]!;
        const count = value > 0 ? Math.round(value) : value;
        if (count === 0) continue;
        out.indices[used] = indices[k]!;
        out.values[used++] = count;
      }
      out.indptr[row + 1] = used;
    }
    return { ...out, indices: out.indices.subarray(0, used), values: out.values.subarray(0, used) };
  });
}
