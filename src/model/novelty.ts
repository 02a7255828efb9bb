// How much cells look like none of the known types. Four parts, each of them larger for cells of a type that the reference has not:
// the density of the query around a cell against that of the reference (novel cells have each other as neighbours, and no cells of the reference), its
// neighbourhood's distance from the nearest type's mean, and the head's low score and doubt. Thresholds were chosen on conditions that were left out.
// Not in the paper: there the distance to the nearest prototype is all, which fails where an unknown type resembles a known one (`npm run bench:unknown`).
import { NearestRows } from "../engine/nearest.js";
import { quantile } from "./classify.js";
import { shiftPrior, type ComparedCells, type HeadColumns, type HeadPrediction, type NoveltyJson } from "./head.js";
import { listCentres, nearestNeighbors, rowsOf } from "./neighbors.js";

/** Known cells of one level in the space where they are compared: the head's scores, whitened within the types, beside the coordinates on the axes. F = K + P. */
export interface KnownCells {
  /** (K, F) mean of each type; of a type without cells, zeros */
  readonly means: Float32Array;
  /** (K) cells of each type */
  readonly cells: ArrayLike<number>;
  /** (n, F) some cells of each type */
  readonly landmarks: Float32Array;
  /** (K, K) whitens scores: point = score whitening */
  readonly whitening: Float32Array;
}

/** Neighbours of a cell in the query that its neighbourhood has, and landmarks that its distance from the reference is taken to. */
const [neighbors, landmarkNeighbors] = [10, 5];
/** Compared cells that another cell takes after. */
const takenAfter = 3;
/** Weights of the first three parts, each divided by its standard deviation; chosen with whole types and conditions left out of the references. */
const weights = [1, 0.5, 0.7] as const;

const typicalShare = 0.25;

/** The parts of the score, each (N); `doubt` is one less the probability of the predicted type. */
export type NoveltyParts = readonly [density: Float32Array, distance: Float32Array, confidence: Float32Array, doubt: Float32Array];

/** Points (cells, F) of some cells. @param scores - (N, stride) @param coordinates - (cells, P) */
export function pointsOf(scores: Float32Array, { stride, first, K }: HeadColumns, whitening: Float32Array, { cells, coordinates }: ComparedCells): Float32Array {
  const P = coordinates.length / Math.max(1, cells.length);
  const F = K + P;
  const points = new Float32Array(cells.length * F);
  cells.forEach((cell, i) => {
    const from = cell * stride;
    for (let j = 0; j < K; j++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += scores[from + first + k]! * whitening[k * K + j]!;
      points[i * F + j] = sum;
    }
    points.set(coordinates.subarray(i * P, (i + 1) * P), i * F + K);
  });
  return points;
}

/** Cells of a query as novelty sees them. */
export interface SeenCells {
  /** (N, stride) of the head */
  readonly scores: Float32Array;
  /** (N, D) */
  readonly latent: Float32Array;
  /** (N) code of the condition, or combination of conditions, of each cell */
  readonly conditions: Int32Array;
  /** cells that are compared with each other; the others take after them */
  readonly compared: ComparedCells;
}

/**
 * The parts of the score of all cells of a query, density and distance less their lower quartiles: what a whole query has more, far from the reference as it may be,
 * is not news of its cells. A quartile rather than the median, so that half of the query may be of unknown types. Both are those of the compared cells; another cell has the mean of the
 * three that are nearest to it in the latent space.
 */
export function noveltyParts(
  { scores, latent, conditions, compared }: SeenCells, columns: HeadColumns, { position, score, probability }: HeadPrediction, known: KnownCells, { spacing }: Pick<NoveltyJson, "spacing">,
): NoveltyParts {
  const [N, n] = [position.length, compared.cells.length];
  const points = pointsOf(scores, columns, known.whitening, compared);
  const F = points.length / Math.max(1, n);
  removeShifts(points, F, compared.cells.map((cell) => conditions[cell]!), compared.cells.map((cell) => position[cell]!), known);
  const own = neighborhoodParts(points, F, known, spacing);
  for (const part of [own.density, own.distance]) {
    const typical = quantile(part, typicalShare);
    part.forEach((value, i) => (part[i] = value - typical));
  }
  const [confidence, doubt] = [score.map((value) => -value), probability.map((value) => 1 - value)];
  if (n === N) return [own.density, own.distance, confidence, doubt];
  const D = latent.length / N;
  const k = Math.min(takenAfter, n);
  const { indices } = new NearestRows(rowsOf(latent, compared.cells, D), D, listCentres(n)).find(latent, k, 2);
  const isCompared = new Int32Array(N).fill(-1);
  compared.cells.forEach((cell, i) => (isCompared[cell] = i));
  const ofNearest = (part: Float32Array): Float32Array => Float32Array.from(isCompared, (itself, cell) => {
    if (itself >= 0) return part[itself]!;
    let [sum, found] = [0, 0];
    for (let at = cell * k; at < (cell + 1) * k && indices[at]! >= 0; at++, found++) sum += part[indices[at]!]!;
    return sum / found;
  });
  return [ofNearest(own.density), ofNearest(own.distance), confidence, doubt];
}

/** What cells score by their parts, higher for less known ones. */
export function noveltyScore(parts: NoveltyParts, deviations: readonly [number, number, number]): Float32Array {
  return parts[3].map((doubt, cell) => weights.reduce<number>((sum, weight, i) => sum + (weight * parts[i]![cell]!) / deviations[i]!, doubt));
}

/** Uncertainties 0..1 from scores, in the same order; 0.5 at the score that 95 % of the reference's cells are under when their conditions are left out. */
export function noveltyUncertainty(scores: Float32Array, { typical }: Pick<NoveltyJson, "typical">): Float32Array {
  return scores.map((score) => 1 / (1 + Math.exp(typical - score)));
}

/**
 * Takes from points what those of each condition have more than the reference's, whatever their type: the mean over the predicted types of the difference of their means, a type of n
 * cells counting n / (n + 20). A condition that says little of it (few cells) is drawn to what the whole query has.
 * @param points - (n, F) changed in place @param conditions - (n) @param position - (n) predicted type
 */
function removeShifts(points: Float32Array, F: number, conditions: Int32Array, position: Int32Array, { means, cells: known }: KnownCells): void {
  const members = new Map<number, number[]>();
  conditions.forEach((condition, i) => {
    const own = members.get(condition);
    if (own) own.push(i);
    else members.set(condition, [i]);
  });
  const K = known.length;
  const shared = new Float64Array(F);
  let sharedSum = 0;
  const sums = [...members.values()].map((own) => {
    const ofTypes = new Float64Array(K * F);
    const n = new Int32Array(K);
    for (const i of own) {
      n[position[i]!]!++;
      for (let f = 0; f < F; f++) ofTypes[position[i]! * F + f]! += points[i * F + f]!;
    }
    const sum = new Float64Array(F);
    let weight = 0;
    for (let type = 0; type < K; type++) {
      if (n[type] === 0 || known[type] === 0) continue;
      const w = n[type]! / (n[type]! + shiftPrior);
      weight += w;
      for (let f = 0; f < F; f++) sum[f]! += w * (ofTypes[type * F + f]! / n[type]! - means[type * F + f]!);
    }
    sum.forEach((value, f) => (shared[f]! += value));
    sharedSum += weight;
    return { own, sum, weight };
  });
  for (const { own, sum, weight } of sums) {
    const shift = sum.map((value, f) => (value + (sharedWeight * shared[f]!) / Math.max(1e-9, sharedSum)) / (weight + sharedWeight));
    for (const i of own) for (let f = 0; f < F; f++) points[i * F + f]! -= shift[f]!;
  }
}

/** Weight of the whole query's shift, or of none, in that of one condition; a type with many cells weighs 1. */
export const sharedWeight = 0.5;

/** Density and distance of each point (n, F), from its neighbours among the others and from the reference. */
function neighborhoodParts(points: Float32Array, F: number, { means, cells, landmarks }: KnownCells, spacing: number): { readonly density: Float32Array; readonly distance: Float32Array } {
  const n = points.length / F;
  const k = Math.min(neighbors, n - 1);
  const isAlone = k < neighbors / 2;
  const near = nearestNeighbors(points, F, k);
  const toLandmarks = new NearestRows(landmarks, F).find(points, Math.min(landmarkNeighbors, landmarks.length / F));
  const spread = meanOfEach(near.distances, k, n);
  const away = meanOfEach(Float64Array.from(toLandmarks.squared, Math.sqrt), toLandmarks.k, n);
  const density = new Float32Array(n);
  const distance = new Float32Array(n);
  const centre = new Float64Array(F);
  for (let i = 0; i < n; i++) {
    const own = isAlone ? [i] : [i, ...near.indices.subarray(i * k, (i + 1) * k)];
    centre.fill(0);
    let [spreads, aways] = [0, 0];
    for (const j of own) {
      spreads += spread[j]! / own.length;
      aways += away[j]! / own.length;
      for (let f = 0; f < F; f++) centre[f]! += points[j * F + f]! / own.length;
    }
    let least = Infinity;
    for (let type = 0; type < means.length / F; type++) {
      if (cells[type] === 0) continue;
      let sum = 0;
      for (let f = 0; f < F; f++) sum += (centre[f]! - means[type * F + f]!) ** 2;
      least = Math.min(least, sum);
    }
    density[i] = Math.log(aways + tiny) - (isAlone ? spacing : Math.log(spreads + tiny));
    distance[i] = Math.log(Math.sqrt(least) + tiny) - (isAlone ? spacing : Math.log(spread[i]! + tiny)) / 2;
  }
  return { density, distance };
}

/** Keeps logarithms finite where cells are the same. */
const tiny = 1e-6;

/** Logarithm of the mean distance from their neighbours, over all points (n, F): what few cells take as theirs. */
export function meanSpacing(points: Float32Array, F: number): number {
  const { distances } = nearestNeighbors(points, F, neighbors);
  return distances.length === 0 ? 0 : Math.log(distances.reduce((sum, d) => sum + d, 0) / distances.length + tiny);
}

/** Mean of each k of n times k values. */
function meanOfEach(values: Float64Array, k: number, n: number): Float64Array {
  const means = new Float64Array(n);
  for (let i = 0; i < n * k; i++) means[Math.floor(i / k)]! += values[i]! / k;
  return means;
}
