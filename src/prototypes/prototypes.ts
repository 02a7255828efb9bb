// Prototypes: the mean latent position of each cell type and its covariance, and the loss of unlabelled
// prototypes. Source: De Donno et al. 2023, Methods, equations 6 to 8.
import type { Floats } from "../engine/engine.js";

/** A table of prototypes, shared by all annotation levels. */
export interface Prototypes {
  /** K, D */
  readonly shape: readonly [number, number];
  /** (K, D) */
  readonly means: Float32Array;
  /** (K, D, D), divided by n - 1; zeros for a type with one cell */
  readonly covariances: Float32Array;
  /** (K) number of cells of each */
  readonly counts: Float64Array;
}

/**
 * Accumulates prototypes in one pass over blocks of cells. Positions are relative to the first cell of each
 * type, for numerically stable sums of squares.
 */
export class PrototypeSums {
  readonly #origin: Float64Array;
  readonly #sums: Float64Array;
  readonly #products: Float64Array;
  readonly #counts: Float64Array;

  /** @param K - prototypes @param D - latent dimensions @param levels - labels per cell */
  constructor(
    readonly K: number,
    readonly D: number,
    readonly levels: number,
  ) {
    this.#origin = new Float64Array(K * D);
    this.#sums = new Float64Array(K * D);
    this.#products = new Float64Array(K * D * D);
    this.#counts = new Float64Array(K);
  }

  /**
   * @param latent - (rows, D)
   * @param labels - (rows, levels) prototype of each cell, -1 where it has none
   */
  add(latent: Floats, labels: Int32Array, rows: number): void {
    const { D, levels } = this;
    const difference = new Float64Array(D);
    for (let row = 0; row < rows; row++)
      for (let level = 0; level < levels; level++) {
        const k = labels[row * levels + level]!;
        if (k < 0 || isRepeated(labels, row, level, levels)) continue;
        if (this.#counts[k]!++ === 0) this.#origin.set(latent.subarray(row * D, (row + 1) * D), k * D);
        for (let d = 0; d < D; d++) {
          difference[d] = latent[row * D + d]! - this.#origin[k * D + d]!;
          this.#sums[k * D + d]! += difference[d]!;
          for (let e = 0; e <= d; e++)
            this.#products[(k * D + d) * D + e]! += difference[d]! * difference[e]!;
        }
      }
  }

  /** Means and covariances. A type without cells keeps its values of `previous` (zeros without it). */
  finish(previous?: Prototypes): Prototypes {
    const { K, D } = this;
    const means = previous ? previous.means.slice() : new Float32Array(K * D);
    const covariances = previous ? previous.covariances.slice() : new Float32Array(K * D * D);
    for (let k = 0; k < K; k++) {
      const n = this.#counts[k]!;
      if (n === 0) continue;
      for (let d = 0; d < D; d++) {
        const mean = this.#sums[k * D + d]! / n;
        means[k * D + d] = this.#origin[k * D + d]! + mean;
        for (let e = 0; e <= d; e++) {
          const centred = this.#products[(k * D + d) * D + e]! - mean * this.#sums[k * D + e]!;
          const covariance = n > 1 ? centred / (n - 1) : 0;
          covariances[(k * D + d) * D + e] = covariance;
          covariances[(k * D + e) * D + d] = covariance;
        }
      }
    }
    return { shape: [K, D], means, covariances, counts: this.#counts.slice() };
  }
}

/**
 * Whether a cell has the same label at an earlier level. A name used at two levels is one prototype, and the
 * cell counts once.
 * @param labels - (rows, levels)
 */
export function isRepeated(labels: Int32Array, row: number, level: number, levels: number): boolean {
  const label = labels[row * levels + level]!;
  for (let earlier = 0; earlier < level; earlier++) if (labels[row * levels + earlier] === label) return true;
  return false;
}

/** Minkowski-p distance of point `i` of `a` to point `k` of `b`, each (n, D). */
export function minkowski(
  a: ArrayLike<number>,
  i: number,
  b: ArrayLike<number>,
  k: number,
  D: number,
  p: number,
): number {
  let sum = 0;
  for (let d = 0; d < D; d++) sum += Math.abs(a[i * D + d]! - b[k * D + d]!) ** p;
  return sum ** (1 / p);
}

/** Nearest row of a table for each point. @param points - (N, D) @param table - (K, D) @returns (N) */
export function nearestRows(points: Float32Array, table: Float32Array, D: number): Int32Array {
  const K = table.length / D;
  return Int32Array.from({ length: points.length / D }, (_, point) => {
    let [nearest, least] = [0, Infinity];
    for (let k = 0; k < K; k++) {
      let sum = 0;
      for (let d = 0; d < D; d++) sum += (points[point * D + d]! - table[k * D + d]!) ** 2;
      if (sum < least) [nearest, least] = [k, sum];
    }
    return nearest;
  });
}

/**
 * Loss of unlabelled prototypes: each cell is assigned to its nearest prototype. The loss is the mean
 * distance of a prototype's cells, averaged over prototypes with cells (equation 8;
 * `prototype_unlabeled_loss` of scArches).
 * @returns loss, its gradients with respect to the cells (B, D) and the prototypes (U, D)
 */
export function unlabeledPrototypeLoss(
  latent: ArrayLike<number>,
  prototypes: ArrayLike<number>,
  D: number,
  p: number,
): { loss: number; dlatent: Float64Array; dprototypes: Float64Array } {
  const [B, U] = [latent.length / D, prototypes.length / D];
  const nearest = new Int32Array(B);
  const counts = new Int32Array(U);
  for (let b = 0; b < B; b++) {
    let least = Infinity;
    for (let u = 0; u < U; u++) {
      const distance = minkowski(latent, b, prototypes, u, D, p);
      if (distance < least) [least, nearest[b]] = [distance, u];
    }
    counts[nearest[b]!]!++;
  }
  const used = counts.reduce((sum, n) => sum + (n > 0 ? 1 : 0), 0);
  const dlatent = new Float64Array(B * D);
  const dprototypes = new Float64Array(U * D);
  let loss = 0;
  for (let b = 0; b < B; b++) {
    const u = nearest[b]!;
    const share = 1 / (counts[u]! * used);
    const distance = minkowski(latent, b, prototypes, u, D, p);
    loss += share * distance;
    if (distance === 0) continue;
    for (let d = 0; d < D; d++) {
      const difference = latent[b * D + d]! - prototypes[u * D + d]!;
      const gradient = share * Math.sign(difference) * (Math.abs(difference) / distance) ** (p - 1);
      dlatent[b * D + d] = gradient;
      dprototypes[u * D + d]! -= gradient;
    }
  }
  return { loss, dlatent, dprototypes };
}
