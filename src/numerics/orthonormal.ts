// Orthonormal bases of the columns of a matrix, in two ways that differ in what they do with columns that
// depend linearly on earlier ones. Their last digits differ too, so neither can take the place of the other
// in a stored model or a score.
import { Matrix, QrDecomposition } from "ml-matrix";
import { dot, norm } from "./linear-algebra.js";

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
    const earlier = [...basis.slice(0, p), ...basis.slice(0, p)];
    let product = p > 0 ? dot(column, earlier[0]!) : 0;
    earlier.forEach((other, i) => (product = subtract(column, product, other, earlier[i + 1])));
    const length = norm(column);
    for (let i = 0; i < rows; i++) column[i] = length > 1e-9 * before ? column[i]! / length : 0;
  });
  const result = new Float64Array(rows * P);
  for (let row = 0, at = 0; row < rows; row++) for (let p = 0; p < P; p++, at++) result[at] = basis[p]![row]!;
  return result;
}

/**
 * Subtracts `factor` times `other` from a column, in the same pass as the product of the result with `next`.
 * @returns the product
 */
function subtract(
  column: Float64Array,
  factor: number,
  other: Float64Array,
  next: Float64Array = other,
): number {
  let product = 0;
  for (let i = 0; i < column.length; i++) {
    const value = column[i]! - factor * other[i]!;
    column[i] = value;
    product += value * next[i]!;
  }
  return product;
}

/**
 * Householder reflections (QR), as in randomized_svd of scikit-learn: always P orthonormal columns.
 * @param columns - (rows, P)
 */
export function householder(columns: Float64Array, P: number): Float64Array {
  const matrix = Matrix.from1DArray(columns.length / P, P, columns);
  return Float64Array.from(new QrDecomposition(matrix).orthogonalMatrix.to1DArray());
}
