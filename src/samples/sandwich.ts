// Covariance of condition embeddings from derivatives of the loss: the sandwich A^-1 B A^-1, A the curvature
// of the summed loss of a condition's n cells, B the sum of the outer products of their gradients. Source:
// Huber 1967; Stefanski and Boos 2002 (M-estimators).
//
// Derivatives of few cells are too noisy to invert. The shape of the curvature is a property of the network
// first, so it is that of all conditions together. Its size (the trace) and the gradients are those of the
// condition; the means of all conditions count for as many cells as there are dimensions. A prior with the
// spread of the unit ball, to which embeddings are confined, is added to A and B, and no variance is larger
// than that: without information on it, a sample may be anywhere in the ball.
import { EigenvalueDecomposition, inverse, Matrix } from "ml-matrix";

/** Derivatives of the loss of a condition's cells with respect to its embedding. */
export interface LossDerivatives {
  /** n, all cells of the condition */
  readonly cells: number;
  /** number of cells that the curvature is of, and the gradients */
  readonly curvatureCells: number;
  readonly gradientCells: number;
  /** (E) */
  readonly embedding: Float64Array;
  /** (E, E) mean over cells of the second derivatives */
  readonly curvature: Float64Array;
  /** (E, E) covariance of the cells' gradients; 0 for a single cell */
  readonly gradients: Float64Array;
}

/** An embedding of this length or more is held at the surface of the unit ball, and moves along it only. */
const surfaceLength = 0.999;

function squareMatrix(values: Float64Array): Matrix {
  const size = Math.sqrt(values.length);
  return Matrix.from1DArray(size, size, Array.from(values));
}

/** @returns (E, E) covariance of each condition's embedding */
export function sandwichCovariances(conditions: readonly LossDerivatives[]): Matrix[] {
  if (conditions.length === 0) return [];
  const E = conditions[0]!.embedding.length;
  const { shape, size } = pooledCurvature(conditions);
  const pooled = pooledGradients(conditions);
  // variance of a coordinate of a point that is uniform in the unit ball
  const largest = 1 / (E + 2);
  const prior = Matrix.eye(E).div(largest);
  return conditions.map((condition) => {
    const { cells, embedding, curvature, curvatureCells } = condition;
    const basis = freeDirections(embedding);
    if (basis.rows === 0) return Matrix.zeros(E, E);
    if (pooled === null) return basis.transpose().mmul(basis).mul(largest);
    const within = (matrix: Matrix): Matrix => basis.mmul(matrix).mmul(basis.transpose());
    const trace = (curvatureCells * squareMatrix(curvature).trace() + E * size) / (curvatureCells + E);
    const A = Matrix.mul(shape, cells * Math.max(0, trace)).add(prior);
    const B = shrunkGradients(condition, pooled).mul(cells).add(prior);
    const bread = inverse(within(A));
    const covariance = withEigenvalues(bread.mmul(within(B)).mmul(bread), (value) =>
      Math.min(largest, Math.max(0, value)),
    );
    return basis.transpose().mmul(covariance).mmul(basis);
  });
}

/** Curvature of all conditions: its shape, (E, E) without negative eigenvalues and of trace 1; its trace. */
function pooledCurvature(conditions: readonly LossDerivatives[]): {
  readonly shape: Matrix;
  readonly size: number;
} {
  const E = conditions[0]!.embedding.length;
  const sum = Matrix.zeros(E, E);
  let cells = 0;
  for (const { curvature, curvatureCells } of conditions) {
    sum.add(squareMatrix(curvature).mul(curvatureCells));
    cells += curvatureCells;
  }
  const shape = withEigenvalues(sum, (value) => Math.max(0, value));
  return { shape: shape.div(shape.trace() || 1), size: sum.trace() / cells };
}

/** (E, E) covariance of gradients within conditions, over all of them; null if each has one cell. */
function pooledGradients(conditions: readonly LossDerivatives[]): Matrix | null {
  const E = conditions[0]!.embedding.length;
  const sum = Matrix.zeros(E, E);
  let degrees = 0;
  for (const { gradients, gradientCells } of conditions) {
    sum.add(squareMatrix(gradients).mul(gradientCells - 1));
    degrees += gradientCells - 1;
  }
  return degrees > 0 ? sum.div(degrees) : null;
}

/** (E, E) covariance of a condition's gradients, with the pooled one worth E cells. */
function shrunkGradients({ gradients, gradientCells, embedding }: LossDerivatives, pooled: Matrix): Matrix {
  const [degrees, pooledDegrees] = [gradientCells - 1, embedding.length];
  return squareMatrix(gradients)
    .mul(degrees)
    .add(Matrix.mul(pooled, pooledDegrees))
    .div(degrees + pooledDegrees);
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
  if (E === 1) return Matrix.zeros(0, 1);
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
