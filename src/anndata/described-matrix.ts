// Opens a sparse matrix from its description, without HDF5: loading that library takes longer than a worker
// thread needs for its first block.
import { openDirect } from "#platform";
import { DirectArray } from "./hdf5-array.js";
import type { Matrix, MatrixDescription } from "./matrix.js";
import { CsrFileMatrix, damagedMatrix } from "./stored-matrix.js";

/** @returns null if the file has changed since it was described */
export function openDescribed({
  place,
  rows,
  columns,
  data,
  indices,
  indptr,
}: MatrixDescription): { readonly matrix: Matrix; close(): void } | null {
  const { filePath, path, identity } = data;
  const file = openDirect(filePath);
  if (file === null) return null;
  if (file.identity !== identity) {
    file.close();
    return null;
  }
  const open = (array: typeof data) => new DirectArray(file, array);
  const key = path.slice(0, path.lastIndexOf("/"));
  const error = (problem: string) => damagedMatrix(place, filePath, key, problem);
  return {
    matrix: new CsrFileMatrix({
      place,
      rows,
      columns,
      data: open(data),
      indices: open(indices),
      indptr: open(indptr),
      error,
    }),
    close: () => file.close(),
  };
}
