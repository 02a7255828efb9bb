// Covariance of condition embeddings from derivatives of the loss: the sandwich A^-1 B A^-1, A the curvature
// of the summed loss of a condition's n cells, B the sum of the outer products of their gradients. Source:
// Huber 1967; Stefanski and Boos 2002 (M-estimators).
//
// The curvature of few cells is too noisy to invert. It is a property of the network first, so its shape is
// that of all conditions together, and only its size (the trace) is the condition's. A prior with the spread
// of the unit ball, to which embeddings are confined, is added to A and B, and no variance is larger than
// that: without information on it, a sample may be anywhere in the ball.
import { EigenvalueDecomposition, inverse, Matrix } from "ml-matrix";

/** Derivatives of the loss of a condition's cells with respect to its embedding. */
export interface LossDerivatives {
  /** n, all cells of the condition */
  readonly cells: number;
  /** (E) */
  readonly embedding: Float64Array;
  /** (E, E) mean over cells of the second derivatives */
  readonly curvature: Float64Array;
  /** (E, E) covariance of the cells' gradients */
  readonly gradients: Float64Array;
}

/** An embedding of this length or more is held at the surface of the unit ball, and moves along it only. */
const surfaceLength = 0.999;

function squareMatrix(values: Float64Array): Matrix {
  const size = Math.sqrt(values.length);
  return Matrix.from1DArray(size, size, Array.from(values));
}

/**
 * @param curvatureCells - cells that a condition's curvature is of, where it has as many
 * @returns (E, E) covariance of each condition's embedding
 */
export function sandwichCovariances(
  conditions: readonly LossDerivatives[],
  curvatureCells: number,
): Matrix[] {
  if (conditions.length === 0) return [];
  const E = conditions[0]!.embedding.length;
  const shape = curvatureShape(conditions, curvatureCells);
  // variance of a coordinate of a point that is uniform in the unit ball
  const largest = 1 / (E + 2);
  const prior = Matrix.eye(E).div(largest);
  return conditions.map(({ cells, embedding, curvature, gradients }) => {
    const basis = freeDirections(embedding);
    const within = (matrix: Matrix): Matrix => basis.mmul(matrix).mmul(basis.transpose());
    const A = Matrix.mul(shape, cells * Math.max(0, squareMatrix(curvature).trace())).add(prior);
    const B = squareMatrix(gradients).mul(cells).add(prior);
    const bread = inverse(within(A));
    const covariance = withEigenvalues(bread.mmul(within(B)).mmul(bread), (value) =>
      Math.min(largest, Math.max(0, value)),
    );
    return basis.transpose().mmul(covariance).mmul(basis);
  });
}

/** (E, E) curvature of all conditions together, without negative eigenvalues, scaled to a trace of 1. */
function curvatureShape(conditions: readonly LossDerivatives[], curvatureCells: number): Matrix {
  const E = conditions[0]!.embedding.length;
  const sum = Matrix.zeros(E, E);
  for (const { curvature, cells } of conditions)
    sum.add(squareMatrix(curvature).mul(Math.min(cells, curvatureCells)));
  const shape = withEigenvalues(sum, (value) => Math.max(0, value));
  return shape.div(shape.trace() || 1);
}

/** A symmetric matrix with changed eigenvalues. */
function withEigenvalues(matrix: Matrix, change: (value: number) => number): Matrix {
  const { eigenvectorMatrix: axes, realEigenvalues } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  return axes.mmul(Matrix.diag(realEigenvalues.map(change))).mmul(axes.transpose());
}

/**
 * (directions, E) orthonormal: all directions within the unit ball; at its surface, where training holds an
 * embedding that would grow, those along it.
 */
function freeDirections(embedding: Float64Array): Matrix {
  const E = embedding.length;
  const norm = Math.hypot(...embedding);
  if (norm < surfaceLength) return Matrix.eye(E);
  const { eigenvectorMatrix } = new EigenvalueDecomposition(
    Matrix.eye(E).sub(
      Matrix.columnVector(embedding)
        .mmul(Matrix.rowVector(embedding))
        .div(norm ** 2),
    ),
    { assumeSymmetric: true },
  );
  // ascending: the first eigenvalue, 0, is of the embedding itself
  return eigenvectorMatrix.subMatrixColumn(Array.from({ length: E - 1 }, (_, e) => e + 1)).transpose();
}
