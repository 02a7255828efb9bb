// Principal subspace of cells by subspace iteration on sparse rows. Rows are centred implicitly, without a
// dense copy.
import { SparseProducts } from "../kernel-modules/profiles.js";
import { type SparseCells } from "../kernel-modules/sparse-cells.js";
import type { Random } from "./random.js";

/**
 * Coordinates (n, P) of cells in the P-dimensional principal subspace. The basis within the subspace is
 * arbitrary; distances do not depend on it.
 */
export function mainCoordinates(
  rows: SparseCells,
  genes: number,
  P: number,
  rounds: number,
  random: Random,
): Float64Array {
  const n = rows.indptr.length - 1;
  const mean = new Float64Array(genes);
  for (let at = 0; at < rows.indptr[n]!; at++) mean[rows.indices[at]!]! += rows.values[at]! / n;
  const products = new SparseProducts(rows, genes, P);
  let basis: Float64Array = new Float64Array(genes * P);
  const project = (): Float64Array => {
    const projected = products.along(basis);
    const shift = rowTimes(mean, basis, P);
    for (let i = 0; i < n; i++) for (let p = 0; p < P; p++) projected[i * P + p]! -= shift[p]!;
    return projected;
  };
  // the coordinates sum to zero, so that no further centring is needed
  let places = centred(
    Float64Array.from({ length: n * P }, () => random.normal()),
    n,
    P,
  );
  for (let round = 0; round < rounds; round++) {
    basis = orthonormal(products.back(places), genes, P);
    places = project();
  }
  return places;
}

/** Points (n, P) minus their mean. */
function centred(points: Float64Array, n: number, P: number): Float64Array {
  const mean = new Float64Array(P);
  points.forEach((value, at) => (mean[at % P]! += value / n));
  return points.map((value, at) => value - mean[at % P]!);
}

/** Product of a row (G) with a table (G, P). */
export function rowTimes(row: Float64Array, table: Float64Array, P: number): Float64Array {
  const product = new Float64Array(P);
  for (let gene = 0, at = 0; gene < row.length; gene++)
    for (let p = 0; p < P; p++, at++) product[p]! += row[gene]! * table[at]!;
  return product;
}

/**
 * Orthonormalises columns by Gram-Schmidt, twice for numerical stability. A column that depends linearly on
 * earlier ones becomes zero.
 */
export function orthonormal(columns: Float64Array, rows: number, P: number): Float64Array {
  // one contiguous array per column
  const basis = Array.from({ length: P }, () => new Float64Array(rows));
  for (let row = 0, at = 0; row < rows; row++)
    for (let p = 0; p < P; p++, at++) basis[p]![row] = columns[at]!;
  basis.forEach((column, p) => {
    const before = Math.sqrt(dot(column, column));
    for (let twice = 0; twice < 2; twice++)
      for (let other = 0; other < p; other++) subtract(column, dot(column, basis[other]!), basis[other]!);
    const length = Math.sqrt(dot(column, column));
    for (let i = 0; i < rows; i++) column[i] = length > 1e-9 * before ? column[i]! / length : 0;
  });
  const result = new Float64Array(rows * P);
  for (let row = 0, at = 0; row < rows; row++) for (let p = 0; p < P; p++, at++) result[at] = basis[p]![row]!;
  return result;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function subtract(column: Float64Array, share: number, other: Float64Array): void {
  for (let i = 0; i < column.length; i++) column[i]! -= share * other[i]!;
}
