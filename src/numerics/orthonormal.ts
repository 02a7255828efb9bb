// Orthonormal bases of the columns of a matrix, in two ways that differ in what they do with columns that
// depend linearly on earlier ones. Their last digits differ too, so neither can take the place of the other
// in a stored model or a score.
import { Matrix, QrDecomposition } from "ml-matrix";
import { addScaled, dot, norm } from "./linear-algebra.js";

/**
 * Gram-Schmidt, twice for numerical stability. The span of the first p columns stays that of the first p
 * columns; a column that depends linearly on earlier ones becomes zero.
 * @param columns - (rows, P)
 */
export function gramSchmidt(columns: Float64Array, rows: number, P: number): Float64Array {
  // one contiguous array per column
  const basis = Array.from({ length: P }, () => new Float64Array(rows));
  for (let row = 0, at = 0; row < rows; row++)
    for (let p = 0; p < P; p++, at++) basis[p]![row] = columns[at]!;
  basis.forEach((column, p) => {
    const before = norm(column);
    for (let twice = 0; twice < 2; twice++)
      for (let other = 0; other < p; other++) addScaled(column, -dot(column, basis[other]!), basis[other]!);
    const length = norm(column);
    for (let i = 0; i < rows; i++) column[i] = length > 1e-9 * before ? column[i]! / length : 0;
  });
  const result = new Float64Array(rows * P);
  for (let row = 0, at = 0; row < rows; row++) for (let p = 0; p < P; p++, at++) result[at] = basis[p]![row]!;
  return result;
}

/**
 * Householder reflections (QR), as in randomized_svd of scikit-learn: always P orthonormal columns.
 * @param columns - (rows, P)
 */
export function householder(columns: Float64Array, P: number): Float64Array {
  const matrix = Matrix.from1DArray(columns.length / P, P, columns);
  return Float64Array.from(new QrDecomposition(matrix).orthogonalMatrix.to1DArray());
}
