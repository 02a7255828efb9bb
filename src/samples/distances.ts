// How far samples are from each other in their embedding: distances, neighbours, and an order in which like ones stand together.
import { agnes } from "ml-hclust";
import type { DenseMatrix } from "../anndata/matrix.js";

export interface SampleDistances {
  /** (S, S) Euclidean */
  readonly distances: DenseMatrix;
  /** (S, k) rows of the nearest other samples, the nearest first */
  readonly neighbors: readonly Int32Array[];
  /** (S) rows in the order of the leaves of a tree (average linkage) */
  readonly order: Int32Array;
}

/** @param embedding - (S, E) @param k - neighbours of each, default 5; all others where there are fewer */
export function sampleDistances(embedding: DenseMatrix, k = 5): SampleDistances {
  const { rows: S } = embedding;
  const distances = euclidean(embedding, embedding);
  const neighbors = Array.from({ length: S }, (_, row) => nearest(distances, row, Int32Array.from({ length: S }, (_, other) => other).filter((other) => other !== row), k));
  const matrix = Array.from({ length: S }, (_, row) => Array.from(distances.values.subarray(row * S, (row + 1) * S)));
  const order = S < 2 ? Int32Array.from({ length: S }, (_, row) => row) : Int32Array.from(agnes(matrix, { method: "average", isDistanceMatrix: true }).indices());
  return { distances, neighbors, order };
}

/** (A, B) distances from rows to rows. */
export function euclidean(a: DenseMatrix, b: DenseMatrix): DenseMatrix & { readonly values: Float64Array } {
  const values = new Float64Array(a.rows * b.rows);
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < b.rows; j++) {
      let sum = 0;
      for (let column = 0; column < a.columns; column++) sum += (a.values[i * a.columns + column]! - b.values[j * b.columns + column]!) ** 2;
      values[i * b.rows + j] = Math.sqrt(sum);
    }
  }
  return { rows: a.rows, columns: b.rows, values };
}

/** The k nearest of some columns to a row, the nearest first; ties go to the first. */
export function nearest({ columns, values }: DenseMatrix, row: number, among: Int32Array, k: number): Int32Array {
  return among.slice().sort((a, b) => values[row * columns + a]! - values[row * columns + b]! || a - b).subarray(0, k);
}
