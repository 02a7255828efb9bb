// Principal components of the log-normalised counts, the baseline of PC regression if the file has none.
// Counts stay sparse and are centred implicitly. Subspace iteration with a few extra directions; source:
// Halko et al. 2011, as scikit-learn's randomized_svd. No available package handles a sparse matrix of this
// size.
import { EigenvalueDecomposition, Matrix, QrDecomposition } from "ml-matrix";
import type { CountsPlace } from "../data/count-places.js";
import { loadCounts, type Counts, type ReadCountsOptions } from "../data/counts.js";
import { selectVariableGenes } from "../data/variable-genes.js";
import { Random } from "../numerics/random.js";

/** As scanpy's normalize_total and log1p in the reference's scoring. */
const targetSum = 1e4;
const componentCount = 30;
const extraDirections = 10;
const iterations = 12;
/** If a file has more genes, only this number of the most variable ones is used, as in the paper. */
const mostGenes = 4000;

/** Positions along the components, in order of variance. */
export interface CellComponents {
  /** (n, D) */
  readonly values: Float64Array;
  readonly D: number;
  readonly genes: number;
}

/**
 * @param rows - rows of the file, ascending
 * @param conditions - (rows) codes, for the selection of variable genes
 * @throws ScPoliError as `streamCounts`
 */
export async function countComponents(
  place: CountsPlace,
  rows: Int32Array,
  conditions: Int32Array,
  seed: number,
  reading: ReadCountsOptions = {},
): Promise<CellComponents> {
  const columns = place.matrix.columns;
  const genes =
    columns <= mostGenes
      ? Int32Array.from({ length: columns }, (_, i) => i)
      : await selectVariableGenes(place, conditions, mostGenes, { ...reading, keep: rows });
  const map = new Int32Array(columns).fill(-1);
  genes.forEach((column, gene) => (map[column] = gene));
  const matrix = new LogNormalised(await loadCounts(place, map, genes.length, { ...reading, keep: rows }));
  const L = Math.min(componentCount + extraDirections, genes.length, rows.length);
  const random = new Random(seed, "components before integration");
  let directions = orthonormal(
    Float64Array.from({ length: genes.length * L }, () => random.normal()),
    L,
  );
  for (let iteration = 0; iteration < iterations; iteration++)
    directions = orthonormal(matrix.back(matrix.along(directions, L), L), L);
  const D = Math.min(componentCount, L);
  return { values: rotated(matrix.along(directions, L), L, D), D, genes: genes.length };
}

/** (cells, genes) log1p of counts per 10,000 with the means of the genes subtracted implicitly. */
class LogNormalised {
  readonly #values: Float32Array;
  readonly #means: Float64Array;

  constructor(private readonly counts: Counts) {
    const { cells, genes, indptr, indices, values, sizeFactors } = counts;
    this.#values = new Float32Array(values.length);
    this.#means = new Float64Array(genes);
    for (let cell = 0; cell < cells; cell++)
      for (let k = indptr[cell]!; k < indptr[cell + 1]!; k++) {
        this.#values[k] = Math.log1p((values[k]! * targetSum) / sizeFactors[cell]!);
        this.#means[indices[k]!]! += this.#values[k]! / cells;
      }
  }

  /** (cells, L) the matrix times directions (genes, L) */
  along(directions: Float64Array, L: number): Float64Array {
    const { cells, genes, indptr, indices } = this.counts;
    const offset = new Float64Array(L);
    for (let gene = 0; gene < genes; gene++)
      for (let l = 0; l < L; l++) offset[l]! += this.#means[gene]! * directions[gene * L + l]!;
    const positions = new Float64Array(cells * L);
    for (let cell = 0; cell < cells; cell++) {
      const start = cell * L;
      for (let l = 0; l < L; l++) positions[start + l] = -offset[l]!;
      for (let k = indptr[cell]!; k < indptr[cell + 1]!; k++)
        for (let l = 0, from = indices[k]! * L, value = this.#values[k]!; l < L; l++)
          positions[start + l]! += value * directions[from + l]!;
    }
    return positions;
  }

  /** (genes, L) the transposed matrix times positions (cells, L), whose columns sum to 0 */
  back(positions: Float64Array, L: number): Float64Array {
    const { cells, genes, indptr, indices } = this.counts;
    const directions = new Float64Array(genes * L);
    for (let cell = 0; cell < cells; cell++)
      for (let k = indptr[cell]!; k < indptr[cell + 1]!; k++)
        for (let l = 0, to = indices[k]! * L, from = cell * L, value = this.#values[k]!; l < L; l++)
          directions[to + l]! += value * positions[from + l]!;
    return directions;
  }
}

/** Orthonormal basis of the column space. @param values - (rows, L) */
function orthonormal(values: Float64Array, L: number): Float64Array {
  const rows = values.length / L;
  const matrix = Matrix.from1DArray(rows, L, values);
  return Float64Array.from(new QrDecomposition(matrix).orthogonalMatrix.to1DArray());
}

/** Rotates positions to uncorrelated columns and keeps the first D. @param positions - (n, L) */
function rotated(positions: Float64Array, L: number, D: number): Float64Array {
  const n = positions.length / L;
  const squares = Matrix.zeros(L, L);
  for (let cell = 0; cell < n; cell++)
    for (let i = 0; i < L; i++)
      for (let j = i; j < L; j++)
        squares.set(i, j, squares.get(i, j) + positions[cell * L + i]! * positions[cell * L + j]!);
  for (let i = 0; i < L; i++) for (let j = 0; j < i; j++) squares.set(i, j, squares.get(j, i));
  const { eigenvectorMatrix, realEigenvalues } = new EigenvalueDecomposition(squares, {
    assumeSymmetric: true,
  });
  const order = [...realEigenvalues.keys()]
    .sort((a, b) => realEigenvalues[b]! - realEigenvalues[a]!)
    .slice(0, D);
  const rotatedPositions = new Float64Array(n * D);
  for (let cell = 0; cell < n; cell++)
    order.forEach((column, d) => {
      for (let l = 0; l < L; l++)
        rotatedPositions[cell * D + d]! += positions[cell * L + l]! * eigenvectorMatrix.get(l, column);
    });
  return rotatedPositions;
}
