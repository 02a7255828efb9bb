// k-means: Lloyd's algorithm from several k-means++ starts, of which the best result is kept.
// scib-k-means.ts has the single start of scib-metrics, for comparable scores.
import { squaredDistance } from "./linear-algebra.js";
import type { Random } from "./random.js";

const mostIterations = 100;
const restarts = 4;

/**
 * The clusters with the smallest spread of several starts.
 * @param points - (N, D)
 * @returns (N) cluster of each point; fewer clusters if there are fewer distinct points
 */
export function kMeans(points: Float32Array, D: number, clusters: number, random: Random): Int32Array {
  let best: Int32Array = new Int32Array(0);
  let least = Infinity;
  for (let start = 0; start < restarts; start++) {
    const { codes, spread } = lloyd(points, D, drawCentres(points, D, clusters, random), {
      mostIterations,
      emptyCentre: "stays",
    });
    if (spread < least) [best, least] = [codes, spread];
  }
  return best;
}

/**
 * k-means++: draws each centre from the points in proportion to the squared distance to the previous ones.
 */
function drawCentres(points: Float32Array, D: number, clusters: number, random: Random): Float64Array {
  const N = points.length / D;
  const chosen = [random.below(N)];
  const least = new Float64Array(N).fill(Infinity);
  while (chosen.length < clusters) {
    const last = chosen[chosen.length - 1]!;
    let total = 0;
    for (let i = 0; i < N; i++)
      total += least[i] = Math.min(least[i]!, squaredDistance(points, i, points, last, D));
    if (total === 0) break;
    let left = random.uniform() * total;
    let next = 0;
    for (let i = 0; i < N; i++) {
      if (least[i] === 0) continue;
      next = i;
      left -= least[i]!;
      if (left <= 0) break;
    }
    chosen.push(next);
  }
  return pointsAt(points, D, chosen);
}

/** (chosen, D) */
export function pointsAt(points: Float32Array, D: number, chosen: readonly number[]): Float64Array {
  return Float64Array.from(chosen.flatMap((i) => Array.from(points.subarray(i * D, (i + 1) * D))));
}

/** Choices that Lloyd's algorithm leaves open. */
export interface LloydOptions {
  readonly mostIterations: number;
  /** where a centre without points goes: it stays, or moves to the origin */
  readonly emptyCentre: "stays" | "origin";
}

/**
 * Lloyd's algorithm from given centres, which it moves.
 * @returns (N) nearest centre of each point, and the sum of the squared distances to them
 */
export function lloyd(
  points: Float32Array,
  D: number,
  centres: Float64Array,
  { mostIterations: limit, emptyCentre }: LloydOptions,
): { readonly codes: Int32Array; readonly spread: number } {
  const [N, clusters] = [points.length / D, centres.length / D];
  const codes = new Int32Array(N).fill(-1);
  let spread = Infinity;
  for (let iteration = 0; iteration < limit; iteration++) {
    let moved = 0;
    spread = 0;
    const sums = new Float64Array(clusters * D);
    const counts = new Int32Array(clusters);
    for (let i = 0; i < N; i++) {
      let [nearest, least] = [0, Infinity];
      for (let c = 0; c < clusters; c++) {
        const distance = squaredDistance(points, i, centres, c, D);
        if (distance < least) [nearest, least] = [c, distance];
      }
      if (codes[i] !== nearest) moved++;
      codes[i] = nearest;
      spread += least;
      counts[nearest]!++;
      for (let d = 0; d < D; d++) sums[nearest * D + d]! += points[i * D + d]!;
    }
    if (moved === 0) break;
    for (let c = 0; c < clusters; c++)
      if (counts[c]! > 0 || emptyCentre === "origin")
        for (let d = 0; d < D; d++) centres[c * D + d] = sums[c * D + d]! / Math.max(1, counts[c]!);
  }
  return { codes, spread };
}
