// Two classifiers of samples: k nearest neighbours, and linear discriminant analysis with the pooled
// covariance shrunk towards a multiple of the identity. Source of the shrinkage: Ledoit and Wolf, J.
// Multivariate Analysis 2004.
import { inverse, Matrix } from "ml-matrix";
import type { DenseMatrix } from "../anndata/matrix.js";
import { euclidean, nearest } from "./distances.js";

export const classifierNames = ["knn", "linear"] as const;
export type ClassifierName = (typeof classifierNames)[number];

/** Class shares, one row per classified sample. */
interface ClassShares {
  /** (samples) class with the largest share */
  readonly classes: Int32Array;
  /** (samples, classes) 0..1, each row sums to 1 */
  readonly shares: DenseMatrix & { readonly values: Float64Array };
}

/**
 * Trains on some rows and classifies others.
 * @param labels - (rows of features) class of each row, read at `train` only
 */
export type Classifier = (train: Int32Array, labels: Int32Array, test: Int32Array) => ClassShares;

/**
 * @param features - (S, F)
 * @param classes - number of classes
 * @param neighbors - k of the nearest-neighbour classifier
 * Distances are computed once, so that one classifier can be used with many divisions and labels.
 */
export function classifier(
  name: ClassifierName,
  features: DenseMatrix,
  classes: number,
  neighbors: number,
): Classifier {
  return name === "knn"
    ? nearestNeighbors(features, classes, neighbors)
    : linearDiscriminant(features, classes);
}

/** The share of each class among the k nearest; a tie goes to the class of the nearest among them. */
function nearestNeighbors(features: DenseMatrix, classes: number, k: number): Classifier {
  const distances = euclidean(features, features);
  const all = Int32Array.from({ length: features.rows }, (_, row) => row);
  const ranked = Array.from(all, (row) => nearest(distances, row, all, Infinity));
  const isTraining = new Uint8Array(features.rows);
  return (train, labels, test) => {
    isTraining.fill(0);
    for (const row of train) isTraining[row] = 1;
    return answer(test, classes, (row, shares) => {
      const size = Math.min(k, train.length);
      const nearestRows = ranked[row]!.filter((other) => isTraining[other] === 1).subarray(0, size);
      for (const other of nearestRows) shares[labels[other]!]! += 1 / size;
      const most = Math.max(...shares) - 1e-9;
      return labels[nearestRows.find((other) => shares[labels[other]!]! >= most)!]!;
    });
  };
}

function linearDiscriminant(features: DenseMatrix, classes: number): Classifier {
  const { columns: F, values } = features;
  return (train, labels, test) => {
    const sizes = new Float64Array(classes);
    const means = new Matrix(classes, F);
    for (const row of train) sizes[labels[row]!]!++;
    for (const row of train)
      for (let f = 0; f < F; f++)
        means.set(labels[row]!, f, means.get(labels[row]!, f) + values[row * F + f]! / sizes[labels[row]!]!);
    const within = new Matrix(train.length, F);
    train.forEach((row, i) => {
      for (let f = 0; f < F; f++) within.set(i, f, values[row * F + f]! - means.get(labels[row]!, f));
    });
    const weights = inverse(shrunkCovariance(within)).mmul(means.transpose()); // (F, classes)
    const offsets = Float64Array.from(sizes, (size, c) => {
      let half = 0;
      for (let f = 0; f < F; f++) half += weights.get(f, c) * means.get(c, f);
      return Math.log(size / train.length) - half / 2;
    });
    return answer(test, classes, (row, shares) => {
      for (let c = 0; c < classes; c++) {
        if (sizes[c] === 0) shares[c] = -Infinity;
        else {
          let score = offsets[c]!;
          for (let f = 0; f < F; f++) score += weights.get(f, c) * values[row * F + f]!;
          shares[c] = score;
        }
      }
      const most = Math.max(...shares);
      const sum = shares.reduce((total, score) => total + Math.exp(score - most), 0);
      shares.forEach((score, c) => (shares[c] = Math.exp(score - most) / sum));
      return shares.indexOf(Math.max(...shares));
    });
  };
}

/**
 * The covariance of centred rows, shrunk towards mu I with Ledoit-Wolf shrinkage; scikit-learn's
 * `ledoit_wolf(assume_centered=True)`.
 */
export function shrunkCovariance(rows: Matrix): Matrix {
  const [n, F] = [rows.rows, rows.columns];
  const covariance = rows.transpose().mmul(rows).div(n);
  const mu = covariance.trace() / F;
  const squared = Matrix.pow(rows, 2);
  const entries = (matrix: Matrix): number => matrix.sum();
  const beta =
    (entries(squared.transpose().mmul(squared)) / n - entries(Matrix.pow(covariance, 2))) / (F * n);
  const delta = (entries(Matrix.pow(covariance, 2)) - 2 * mu * covariance.trace() + F * mu * mu) / F;
  const share = delta > 0 ? Math.min(1, Math.max(0, beta / delta)) : 1;
  // avoid division by zero without variance
  return Matrix.add(covariance.mul(1 - share), Matrix.eye(F, F).mul(Math.max(share * mu, 1e-12 * (mu || 1))));
}

/** @param fill - writes the shares of a row and returns its class */
function answer(
  test: Int32Array,
  classes: number,
  fill: (row: number, shares: Float64Array) => number,
): ClassShares {
  const shares = new Float64Array(test.length * classes);
  const chosen = new Int32Array(test.length);
  test.forEach((row, at) => {
    chosen[at] = fill(row, shares.subarray(at * classes, (at + 1) * classes));
  });
  return { classes: chosen, shares: { rows: test.length, columns: classes, values: shares } };
}
