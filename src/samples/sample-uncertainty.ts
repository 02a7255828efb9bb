// Uncertainty of sample embeddings: a covariance per sample, and what follows from it.
// Source of the covariance: mapping/embedding-uncertainty.ts.
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import type { DenseMatrix } from "../anndata/matrix.js";
import { mean } from "../numerics/descriptive.js";
import type { Random } from "../numerics/random.js";

/** How far the embedding of a sample would move if other cells of the same sample had been measured. */
export interface SampleUncertainty {
  /** Number of cells of the sample in the data */
  readonly cells: number;
  /** (E, E) covariance of the embedding */
  readonly covariance: DenseMatrix;
  /** Standard deviation over all directions together: root of the trace of the covariance */
  readonly deviation: number;
}

export function sampleUncertainty(cells: number, covariance: Matrix): SampleUncertainty {
  return {
    cells,
    covariance: denseOf(covariance),
    deviation: Math.sqrt(covariance.trace()),
  };
}

/** (K, K) covariance on directions. @param directions - (E, K), as the loadings of components */
export function projectedCovariance(
  { covariance }: SampleUncertainty,
  directions: DenseMatrix,
): DenseMatrix & {
  /** (K x K), row by row */
  readonly values: Float64Array;
} {
  const basis = matrixOf(directions);
  return denseOf(basis.transpose().mmul(matrixOf(covariance)).mmul(basis));
}

/** (K) standard deviation on each of some directions. @param directions - (E, K) */
export function projectedDeviations(sample: SampleUncertainty, directions: DenseMatrix): Float64Array {
  const { columns, values } = projectedCovariance(sample, directions);
  return Float64Array.from({ length: columns }, (_, k) => Math.sqrt(Math.max(0, values[k * columns + k]!)));
}

/** Number of draws of an embedding over which predictions are averaged. */
const draws = 100;

/**
 * Embeddings drawn from a normal distribution, with norm at most 1 as all embeddings.
 * @param embedding - (E) @returns (draws, E)
 */
export function drawEmbeddings(
  embedding: Float64Array,
  { covariance }: SampleUncertainty,
  random: Random,
): DenseMatrix {
  const E = embedding.length;
  const { eigenvectorMatrix: axes, realEigenvalues } = new EigenvalueDecomposition(matrixOf(covariance), {
    assumeSymmetric: true,
  });
  const root = axes.mmul(Matrix.diag(realEigenvalues.map((value) => Math.sqrt(Math.max(0, value)))));
  const values = new Float64Array(draws * E);
  for (let draw = 0; draw < draws; draw++) {
    const noise = Matrix.columnVector(Array.from({ length: E }, () => random.normal()));
    const drawn = root.mmul(noise).to1DArray();
    const moved = drawn.map((value, e) => value + embedding[e]!);
    const norm = Math.max(1, Math.hypot(...moved));
    moved.forEach((value, e) => (values[draw * E + e] = value / norm));
  }
  return { rows: draws, columns: E, values };
}

/**
 * Weights of samples in a regression of their positions on one component: the inverse of the variance of a
 * position, which is that between samples plus that of the sample's own embedding. Source: random-effects
 * meta-regression, with the method of moments for the variance between samples.
 * @param scores - (S) positions of the samples on the component
 * @param deviations - (S) standard deviation of each position; null takes the mean variance of the others
 * @returns (S) weights of mean 1
 */
export function precisionWeights(scores: Float64Array, deviations: readonly (number | null)[]): Float64Array {
  const variances = deviations.map((deviation) => deviation && deviation ** 2);
  const known = variances.filter((variance) => variance !== null);
  const typical = known.length > 0 ? mean(known) : 0;
  const average = mean(scores);
  const total = scores.reduce((sum, score) => sum + (score - average) ** 2, 0) / (scores.length - 1);
  const between = Math.max(0, total - typical);
  const weights = Float64Array.from(variances, (variance) => 1 / (between + (variance ?? typical)));
  if (!weights.every(Number.isFinite)) return new Float64Array(weights.length).fill(1);
  const scale = mean(weights);
  return weights.map((weight) => weight / scale);
}

function matrixOf({ rows, columns, values }: DenseMatrix): Matrix {
  return new Matrix(
    Array.from({ length: rows }, (_, row) => Array.from(values.subarray(row * columns, (row + 1) * columns))),
  );
}

function denseOf(matrix: Matrix): DenseMatrix & { readonly values: Float64Array } {
  return { rows: matrix.rows, columns: matrix.columns, values: Float64Array.from(matrix.to1DArray()) };
}
