// Principal components of sparse rows by subspace iteration. Rows are centred implicitly, without a dense
// copy; no available package does so at this size. Two variants: `subspaceCoordinates` is fast and gives any
// basis of the subspace, for distances; `sparseComponents` gives the components themselves, in order.
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { SparseProducts } from "../kernel-modules/profiles.js";
import { type SparseCells } from "../kernel-modules/sparse-cells.js";
import { rowTimes } from "./linear-algebra.js";
import { gramSchmidt, householder } from "./orthonormal.js";
import type { Random } from "./random.js";

/** Rows in compressed form, in whichever integer types they are stored. */
export interface SparseRows {
  /** (n + 1) */
  readonly indptr: Int32Array | Uint32Array | Float64Array;
  readonly indices: Int32Array | Uint16Array | Uint32Array;
  readonly values: Float32Array;
}

/**
 * Coordinates (n, P) of cells in the P-dimensional principal subspace. The basis within the subspace is
 * arbitrary; distances do not depend on it.
 */
export function subspaceCoordinates(
  rows: SparseCells,
  genes: number,
  P: number,
  rounds: number,
  random: Random,
): Float64Array {
  const n = rows.indptr.length - 1;
  const mean = columnMeans(rows, genes);
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
    basis = gramSchmidt(products.back(places), genes, P);
    places = project();
  }
  return places;
}

function columnMeans({ indptr, indices, values }: SparseRows, columns: number): Float64Array {
  const n = indptr.length - 1;
  const means = new Float64Array(columns);
  for (let at = 0; at < indptr[n]!; at++) means[indices[at]!]! += values[at]! / n;
  return means;
}

/** Points (n, P) minus their mean. */
function centred(points: Float64Array, n: number, P: number): Float64Array {
  const mean = new Float64Array(P);
  points.forEach((value, at) => (mean[at % P]! += value / n));
  return points.map((value, at) => value - mean[at % P]!);
}

/** How many components are computed, and how precisely. */
export interface SparseComponentsOptions {
  readonly components: number;
  /** further directions that are iterated and then dropped */
  readonly extraDirections: number;
  readonly iterations: number;
}

/**
 * (n, D) positions of rows along the components, in order of variance.
 * Source: Halko et al. 2011, as randomized_svd of scikit-learn.
 */
export function sparseComponents(
  rows: SparseRows,
  columns: number,
  { components, extraDirections, iterations }: SparseComponentsOptions,
  random: Random,
): { readonly values: Float64Array; readonly D: number } {
  const L = Math.min(components + extraDirections, columns, rows.indptr.length - 1);
  const matrix = new CentredRows(rows, columns);
  let directions = householder(
    Float64Array.from({ length: columns * L }, () => random.normal()),
    L,
  );
  for (let iteration = 0; iteration < iterations; iteration++)
    directions = householder(matrix.back(matrix.along(directions, L), L), L);
  const D = Math.min(components, L);
  return { values: rotated(matrix.along(directions, L), L, D), D };
}

/** Sparse rows with the means of the columns subtracted implicitly. */
class CentredRows {
  readonly #means: Float64Array;

  constructor(
    private readonly rows: SparseRows,
    columns: number,
  ) {
    this.#means = columnMeans(rows, columns);
  }

  /** (n, L) the matrix times directions (columns, L) */
  along(directions: Float64Array, L: number): Float64Array {
    const { indptr, indices, values } = this.rows;
    const offset = rowTimes(this.#means, directions, L);
    const n = indptr.length - 1;
    const positions = new Float64Array(n * L);
    for (let row = 0; row < n; row++) {
      const start = row * L;
      for (let l = 0; l < L; l++) positions[start + l] = -offset[l]!;
      for (let k = indptr[row]!; k < indptr[row + 1]!; k++)
        for (let l = 0, from = indices[k]! * L, value = values[k]!; l < L; l++)
          positions[start + l]! += value * directions[from + l]!;
    }
    return positions;
  }

  /** (columns, L) the transposed matrix times positions (n, L), whose columns sum to 0 */
  back(positions: Float64Array, L: number): Float64Array {
    const { indptr, indices, values } = this.rows;
    const directions = new Float64Array(this.#means.length * L);
    for (let row = 0; row < indptr.length - 1; row++)
      for (let k = indptr[row]!; k < indptr[row + 1]!; k++)
        for (let l = 0, to = indices[k]! * L, from = row * L, value = values[k]!; l < L; l++)
          directions[to + l]! += value * positions[from + l]!;
    return directions;
  }
}

/** Rotates positions to uncorrelated columns and keeps the first D. @param positions - (n, L) */
function rotated(positions: Float64Array, L: number, D: number): Float64Array {
  const n = positions.length / L;
  const squares = Matrix.zeros(L, L);
  for (let row = 0; row < n; row++)
    for (let i = 0; i < L; i++)
      for (let j = i; j < L; j++)
        squares.set(i, j, squares.get(i, j) + positions[row * L + i]! * positions[row * L + j]!);
  for (let i = 0; i < L; i++) for (let j = 0; j < i; j++) squares.set(i, j, squares.get(j, i));
  const { eigenvectorMatrix, realEigenvalues } = new EigenvalueDecomposition(squares, {
    assumeSymmetric: true,
  });
  const order = [...realEigenvalues.keys()]
    .sort((a, b) => realEigenvalues[b]! - realEigenvalues[a]!)
    .slice(0, D);
  const rotatedPositions = new Float64Array(n * D);
  for (let row = 0; row < n; row++)
    order.forEach((column, d) => {
      for (let l = 0; l < L; l++)
        rotatedPositions[row * D + d]! += positions[row * L + l]! * eigenvectorMatrix.get(l, column);
    });
  return rotatedPositions;
}
