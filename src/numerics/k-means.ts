// k-means as in scib-metrics, with the same random draws: one initialisation by greedy k-means++ from a
// seeded key, then Lloyd's algorithm. NMI and ARI depend strongly on the single initialisation, so another
// generator would give other scores. This implementation is for comparable scores; clustering.ts, which takes
// the best of several starts, is for good clusters. Source: KMeans in scib_metrics/utils/_kmeans.py (0.5.10).
// As there, a centre that loses all its points moves to the mean of all points.
import { choose, firstOfPermutation, keyOf, split, type Key } from "./threefry.js";

const mostIterations = 1000;

/** @param points - (N, D) @returns (N) cluster of each point */
export function kMeans(points: Float32Array, D: number, clusters: number, seed: number): Int32Array {
  const centred = centre(points, D);
  return lloyd(centred, D, drawCentres(centred, D, clusters, split(keyOf(seed), 1)[0]!));
}

function centre(points: Float32Array, D: number): Float32Array {
  const N = points.length / D;
  const means = new Float64Array(D);
  for (let at = 0; at < points.length; at++) means[at % D]! += points[at]! / N;
  return points.map((value, at) => value - means[at % D]!);
}

/** Updates each point's squared distance to the nearest centre with a new centre. @returns the sum */
function updateDistances(
  points: Float32Array,
  D: number,
  to: number,
  before: Float32Array | null,
  into: Float32Array,
): number {
  let sum = 0;
  for (let i = 0, at = 0; i < into.length; i++) {
    let squared = 0;
    for (let d = 0, other = to * D; d < D; d++, at++, other++) squared += (points[at]! - points[other]!) ** 2;
    into[i] = before && before[i]! < squared ? before[i]! : squared;
    sum += into[i]!;
  }
  return sum;
}

/**
 * Greedy k-means++: each new centre is the best of a few candidates drawn in proportion to their squared
 * distance to the previous centres.
 */
function drawCentres(points: Float32Array, D: number, clusters: number, start: Key): Float64Array {
  const N = points.length / D;
  let [key, drawKey] = split(start, 2) as [Key, Key];
  const chosen = [firstOfPermutation(drawKey, N)];
  let nearest = new Float32Array(N);
  let spare = new Float32Array(N);
  let trial = new Float32Array(N);
  let total = updateDistances(points, D, chosen[0]!, null, nearest);
  const trials = 2 + Math.floor(Math.log(clusters));
  while (chosen.length < clusters && total > 0) {
    [key, drawKey] = split(key, 2) as [Key, Key];
    let [best, least] = [-1, Infinity];
    for (const candidate of choose(drawKey, nearest, total, trials)) {
      const sum = updateDistances(points, D, candidate, nearest, trial);
      if (sum >= least) continue;
      [best, least] = [candidate, sum];
      [spare, trial] = [trial, spare];
    }
    chosen.push(best);
    [nearest, spare] = [spare, nearest];
    total = least;
  }
  return Float64Array.from(chosen.flatMap((i) => Array.from(points.subarray(i * D, (i + 1) * D))));
}

function lloyd(points: Float32Array, D: number, centres: Float64Array): Int32Array {
  const [N, K] = [points.length / D, centres.length / D];
  const codes = new Int32Array(N).fill(-1);
  for (let iteration = 0; iteration < mostIterations; iteration++) {
    let moved = 0;
    const sums = new Float64Array(K * D);
    const counts = new Int32Array(K);
    for (let i = 0; i < N; i++) {
      let [nearest, least] = [0, Infinity];
      for (let c = 0, at = 0; c < K; c++) {
        let squared = 0;
        for (let d = 0, offset = i * D; d < D; d++, at++, offset++)
          squared += (points[offset]! - centres[at]!) ** 2;
        if (squared < least) [nearest, least] = [c, squared];
      }
      if (codes[i] !== nearest) moved++;
      codes[i] = nearest;
      counts[nearest]!++;
      for (let d = 0; d < D; d++) sums[nearest * D + d]! += points[i * D + d]!;
    }
    if (moved === 0) break;
    for (let at = 0; at < centres.length; at++)
      centres[at] = sums[at]! / Math.max(1, counts[Math.floor(at / D)]!);
  }
  return codes;
}
