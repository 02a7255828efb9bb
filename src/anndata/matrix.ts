// A matrix of an AnnData file, read a block of rows at a time: cells are rows, genes are columns.
import type { ArrayDescription } from "./hdf5-chunk-index.js";

export type NumericArray =
  Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | Float32Array | Float64Array;

/**
 * A block of rows in CSR form. Indices are sorted and unique within each row; `values` has the type of the
 * file (64-bit integers arrive as Float64Array).
 */
export interface SparseRows {
  /** Number of rows */
  readonly rows: number;
  /** Number of columns */
  readonly columns: number;
  /** (rows + 1), starts at 0 */
  readonly indptr: Int32Array;
  /** Column of each stored value */
  readonly indices: Int32Array;
  /** Stored values */
  readonly values: NumericArray;
}

/** Describes a matrix so that another thread can read it. Transferable between threads. */
export interface MatrixDescription {
  readonly place: string;
  readonly rows: number;
  readonly columns: number;
  readonly data: ArrayDescription;
  readonly indices: ArrayDescription;
  readonly indptr: ArrayDescription;
}

/** A matrix read in blocks of rows, from memory or from a file. */
export interface Matrix {
  /** Number of rows: cells */
  readonly rows: number;
  /** Number of columns: genes */
  readonly columns: number;
  /** How the file stores it */
  readonly format: "csr" | "csc" | "dense";
  /** stored type, in NumPy's notation: "float32", "int64", ... */
  readonly dtype: string;
  /** number of stored values; rows x columns if dense */
  readonly stored: number;
  /** location for error messages: "query.h5ad: raw/X" */
  readonly place: string;
  /** computed from another matrix while it is read, so the file does not hold these values */
  readonly isDerived?: boolean;
  /**
   * Rows [start, end) in CSR form, without explicit zeros. The arrays are valid until the next read: they may
   * be views of a buffer.
   */
  read(start: number, end: number): Promise<SparseRows>;
  /**
   * Describes the matrix for a thread that reads it without the library that opened the file. Null or absent
   * if that is not possible.
   */
  describe?(): Promise<MatrixDescription | null>;
}

/** A dense matrix in memory, row-major. */
export interface DenseMatrix {
  /** Number of rows */
  readonly rows: number;
  /** Number of columns */
  readonly columns: number;
  /** (rows x columns), row by row */
  readonly values: NumericArray;
}

/**
 * Default number of stored values per block: 4-6 MB of values and indices, which stay in the processor's
 * cache between the reading and the computing thread.
 */
const valuesPerBlock = 500_000;

/** Rows of a block that holds about `values` stored values. */
export function rowsPerBlock(matrix: Matrix, values = valuesPerBlock): number {
  return Math.max(1, Math.min(matrix.rows, Math.floor((values * matrix.rows) / Math.max(1, matrix.stored))));
}

/** All rows of a matrix in order, a block at a time. */
export async function* blocks(
  matrix: Matrix,
  rows = rowsPerBlock(matrix),
): AsyncGenerator<{ start: number; block: SparseRows }> {
  for (let start = 0; start < matrix.rows; start += rows) {
    yield { start, block: await matrix.read(start, Math.min(matrix.rows, start + rows)) };
  }
}

/** A matrix in memory. @param place - its name in error messages */
export function sparseMatrix(block: SparseRows, place: string): Matrix {
  const { rows, columns, indptr, indices, values } = block;
  return {
    rows,
    columns,
    format: "csr",
    dtype: values.constructor.name.replace("Array", "").toLowerCase(),
    stored: values.length,
    place,
    async read(start, end) {
      const [from, to] = [indptr[start]!, indptr[end]!];
      const part = {
        rows: end - start,
        columns,
        indptr: indptr.slice(start, end + 1).map((position) => position - from),
        indices: indices.subarray(from, to),
        values: values.subarray(from, to),
      };
      return values.subarray(from, to).includes(0) ? withoutZeros(part) : part;
    },
  };
}

function withoutZeros({ rows, columns, indptr, indices, values }: SparseRows): SparseRows {
  const kept = {
    rows,
    columns,
    indptr: new Int32Array(rows + 1),
    indices: indices.slice(),
    values: values.slice(),
  };
  let count = 0;
  for (let row = 0; row < rows; row++) {
    for (let k = indptr[row]!; k < indptr[row + 1]!; k++) {
      if (values[k] === 0) continue;
      kept.indices[count] = indices[k]!;
      kept.values[count++] = values[k]!;
    }
    kept.indptr[row + 1] = count;
  }
  return { ...kept, indices: kept.indices.subarray(0, count), values: kept.values.subarray(0, count) };
}
