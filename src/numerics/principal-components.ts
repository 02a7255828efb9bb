// Principal components of a small dense matrix, by singular value decomposition.
import { Matrix, SingularValueDecomposition } from "ml-matrix";
import type { DenseMatrix } from "../anndata/matrix.js";

/** Components in order of the variance that they explain. */
export interface Components {
  /** (rows, K) positions of the rows */
  readonly scores: DenseMatrix;
  /** (columns, K) unit vectors; the entry with the largest absolute value is positive */
  readonly loadings: DenseMatrix;
  /** (K) variance along each, n - 1 in the denominator */
  readonly variance: Float64Array;
  /** (K) share of the total variance, 0..1 */
  readonly varianceRatio: Float64Array;
  /** (columns) means subtracted before */
  readonly means: Float64Array;
}

/** Components with less than this share of the first one's variance are rounding errors. */
const least = 1e-12;

/**
 * @param values - (rows, columns), all finite @param most - maximum number of components. Default: all that
 * vary
 * @returns at most min(rows - 1, columns) components; none if all rows are equal
 */
export function principalComponents(values: DenseMatrix, most = Infinity): Components {
  const { rows, columns } = values;
  const means = new Float64Array(columns);
  for (let i = 0; i < rows * columns; i++) means[i % columns]! += values.values[i]! / rows;
  const centred = new Matrix(rows, columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      centred.set(row, column, values.values[row * columns + column]! - means[column]!);
  // the longer dimension first, as the decomposition requires
  const isWide = columns > rows;
  const svd = new SingularValueDecomposition(isWide ? centred.transpose() : centred, {
    autoTranspose: false,
  });
  const directions = isWide ? svd.leftSingularVectors : svd.rightSingularVectors;
  const squares = svd.diagonal.map((s) => s * s);
  const total = squares.reduce((sum, s) => sum + s, 0);
  const K = Math.min(
    most,
    Math.max(0, Math.min(rows - 1, columns)),
    squares.filter((s) => s > least * squares[0]! && s > 0).length,
  );
  const loadings = new Float64Array(columns * K);
  const scores = new Float64Array(rows * K);
  for (let k = 0; k < K; k++) {
    let largest = 0;
    for (let column = 0; column < columns; column++)
      if (Math.abs(directions.get(column, k)) > Math.abs(largest) * (1 + 1e-9))
        largest = directions.get(column, k);
    const sign = largest < 0 ? -1 : 1;
    for (let column = 0; column < columns; column++)
      loadings[column * K + k] = sign * directions.get(column, k);
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let column = 0; column < columns; column++)
        sum += centred.get(row, column) * loadings[column * K + k]!;
      scores[row * K + k] = sum;
    }
  }
  return {
    scores: { rows, columns: K, values: scores },
    loadings: { rows: columns, columns: K, values: loadings },
    variance: Float64Array.from({ length: K }, (_, k) => squares[k]! / (rows - 1)),
    varianceRatio: Float64Array.from({ length: K }, (_, k) => squares[k]! / total),
    means,
  };
}
