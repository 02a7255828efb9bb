// k-means as in scib-metrics, with the same random draws: one initialisation by greedy k-means++ from a
// seeded key, then Lloyd's algorithm. NMI and ARI depend strongly on the single initialisation, so another
// generator would give other scores. This implementation is for comparable scores; k-means.ts, which takes
// the best of several starts, is for good clusters. Source: KMeans in scib_metrics/utils/_kmeans.py (0.5.10).
// As there, a centre that loses all its points moves to the mean of all points.
import { lloyd, pointsAt } from "./k-means.js";
import { squaredDistance } from "./linear-algebra.js";
import { choose, firstOfPermutation, keyOf, split, type Key } from "./threefry.js";

const mostIterations = 1000;

/** @param points - (N, D) @returns (N) cluster of each point */
export function scibKMeans(points: Float32Array, D: number, clusters: number, seed: number): Int32Array {
  const centred = centre(points, D);
  const centres = drawCentres(centred, D, clusters, split(keyOf(seed), 1)[0]!);
  return lloyd(centred, D, centres, { mostIterations, emptyCentre: "origin" }).codes;
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
  for (let i = 0; i < into.length; i++) {
    const squared = squaredDistance(points, i, points, to, D);
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
  return pointsAt(points, D, chosen);
}
