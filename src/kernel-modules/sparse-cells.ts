// Rows of counts in compressed sparse form, as the kernels read them.

/** Cells as sparse rows of log-normalised values. */
export interface SparseCells {
  /** (n + 1) */
  readonly indptr: Int32Array;
  readonly indices: Int32Array;
  readonly values: Float32Array;
}

/** Concatenates blocks of rows. */
export function joined(blocks: readonly SparseCells[]): SparseCells {
  const [rows, stored] = [
    blocks.reduce((sum, { indptr }) => sum + indptr.length - 1, 0),
    blocks.reduce((sum, { values }) => sum + values.length, 0),
  ];
  const all = {
    indptr: new Int32Array(rows + 1),
    indices: new Int32Array(stored),
    values: new Float32Array(stored),
  };
  let [row, at] = [0, 0];
  for (const { indptr, indices, values } of blocks) {
    for (let i = 1; i < indptr.length; i++) all.indptr[++row] = at + indptr[i]!;
    all.indices.set(indices, at);
    all.values.set(values, at);
    at += values.length;
  }
  return all;
}

/** Selects rows. */
export function rowsAt({ indptr, indices, values }: SparseCells, rows: Int32Array): SparseCells {
  return joined(
    Array.from(rows, (row) => ({
      indptr: Int32Array.of(0, indptr[row + 1]! - indptr[row]!),
      indices: indices.subarray(indptr[row], indptr[row + 1]),
      values: values.subarray(indptr[row], indptr[row + 1]),
    })),
  );
}
