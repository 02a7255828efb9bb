// How much cells look like none of the known types. Five parts, each of them larger for cells of a type that
// the reference has not: the density of the query around a cell against that of the reference (novel cells
// have each other as neighbours, and no cells of the reference), its neighbourhood's distance from the
// nearest type's mean, in few coordinates and in all genes, and the head's low score and doubt. Thresholds
// were chosen on conditions that were left out. Not in the paper: there the distance to the nearest prototype
// is all, which fails where an unknown type resembles a known one (`npm run bench:unknown`).
import { NearestRows } from "../engine/nearest.js";
import { quantile } from "./classify.js";
import type { ComparedCells, HeadColumns, HeadPrediction, NoveltyJson } from "./head.js";
import { listCentres, nearestNeighbors, rowsOf, type Neighbors } from "./neighbors.js";
import { overNeighborhoods, unexplainedProfiles, type TypeProfiles } from "./profiles.js";
import { shiftPrior, shiftsOf } from "./shifts.js";

/**
 * Known cells of one level in the space where they are compared: the head's scores, whitened within the
 * types, beside the coordinates on the axes. F = K + P.
 */
export interface KnownCells {
  /** (K, F) mean of each type; of a type without cells, zeros */
  readonly means: Float32Array;
  /** (K) cells of each type */
  readonly cells: Int32Array;
  /** (n, F) some cells of each type */
  readonly landmarks: Float32Array;
  /** (K, K) whitens scores: point = score whitening */
  readonly whitening: Float32Array;
  readonly profiles: TypeProfiles;
}

/**
 * Neighbours of a cell that density and distance are of, and landmarks that its distance from the reference
 * is taken to.
 */
const [nearNeighbors, landmarkNeighbors] = [10, 5];
/** Compared cells that another cell takes after. */
const takenAfter = 3;
/**
 * Weights of the parts, each of which is divided by its standard deviation: chosen with whole conditions and
 * types left out of the references, of those that do equally well there one that does well on their queries.
 */
export const partWeights = [1, 0.75, 0.45, 1.5, 0.5] as const;
/**
 * Parts of which known types differ in what is usual for them, and the share of that which is taken off: all
 * of it would hide unknown cells that resemble such a type.
 */
const [offsetParts, offsetShare] = [[0, 1, 3], 0.3] as const;

const typicalShare = 0.25;

/** The parts of the score, each (N); `doubt` is one less the probability of the predicted type. */
export type NoveltyParts = readonly [
  density: Float32Array,
  distance: Float32Array,
  confidence: Float32Array,
  profile: Float32Array,
  doubt: Float32Array,
];

/** Points (cells, F) of some cells. @param scores - (N, stride) @param coordinates - (cells, P) */
export function pointsOf(
  scores: Float32Array,
  { stride, first, K }: HeadColumns,
  whitening: Float32Array,
  { cells, coordinates }: Pick<ComparedCells, "cells" | "coordinates">,
): Float32Array {
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
  /** (N) code of the condition, or combination of conditions, of each cell */
  readonly conditions: Int32Array;
  /** cells that are compared with each other; the others take after them */
  readonly compared: ComparedCells;
  /** of the compared cells: `ownNeighbors` */
  readonly near: Neighbors | Promise<Neighbors>;
  /** of all cells: `nearestCompared`; null where all are compared */
  readonly nearest: Int32Array | Promise<Int32Array> | null;
}

/**
 * The parts of the score of all cells of a query, density and distances less their lower quartiles: what a
 * whole query has more, far from the reference as it may be, is not news of its cells. A quartile rather than
 * the median, so that half of the query may be of unknown types. They are those of the compared cells;
 * another cell has the mean of the three that are nearest to it in the latent space.
 */
export async function noveltyParts(
  { scores, conditions, compared, near: finding, nearest }: SeenCells,
  columns: HeadColumns,
  { position, score, probability }: HeadPrediction,
  known: KnownCells,
  { spacing }: Pick<NoveltyJson, "spacing">,
): Promise<NoveltyParts> {
  const [N, n] = [position.length, compared.cells.length];
  const points = pointsOf(scores, columns, known.whitening, compared);
  const F = points.length / Math.max(1, n);
  const [ownConditions, ownPosition] = [
    compared.cells.map((cell) => conditions[cell]!),
    compared.cells.map((cell) => position[cell]!),
  ];
  const add = (i: number, into: Float64Array, offset: number): void => {
    for (let f = 0; f < F; f++) into[offset + f]! += points[i * F + f]!;
  };
  const shifts = shiftsOf(
    { conditions: ownConditions, position: ownPosition, F, add },
    known.means,
    known.cells,
  );
  ownConditions.forEach((condition, i) => {
    const shift = shifts.get(condition)!;
    for (let f = 0; f < F; f++) points[i * F + f]! -= shift[f]!;
  });
  const { density, distance } = neighborhoodParts(points, F, known, spacing);
  const near = await finding;
  const own = {
    density: overNeighborhoods(density, near),
    distance: overNeighborhoods(distance, near),
    profile: unexplainedProfiles(
      compared.rows,
      near,
      ownConditions,
      ownPosition,
      known.profiles,
      known.cells,
    ),
  };
  for (const part of Object.values(own)) {
    const typical = quantile(part, typicalShare);
    part.forEach((value, i) => (part[i] = value - typical));
  }
  const ofAll = nearest ? asNearest(await nearest, compared.cells, N) : (part: Float32Array) => part;
  const around = ofAll(
    overNeighborhoods(
      Float32Array.from(compared.cells, (cell) => score[cell]!),
      near,
    ),
  );
  return [
    ofAll(own.density),
    ofAll(own.distance),
    score.map((value, cell) => -(value + 2 * around[cell]!) / 3),
    ofAll(own.profile),
    probability.map((value) => 1 - value),
  ];
}

/**
 * Of each of N cells, the compared ones that are nearest to it in the latent space: (N, k), numbers among the
 * compared.
 * @param latent - (N, D)
 */
export function nearestCompared(latent: Float32Array, cells: Int32Array, N: number): Int32Array {
  const D = latent.length / N;
  return new NearestRows(rowsOf(latent, cells, D), D, listCentres(cells.length)).find(
    latent,
    Math.min(takenAfter, cells.length),
    2,
  ).indices;
}

/** Gives each of N cells what the compared ones have: theirs, or the mean of the nearest ones. */
function asNearest(nearest: Int32Array, cells: Int32Array, N: number): (part: Float32Array) => Float32Array {
  const k = nearest.length / N;
  const isCompared = new Int32Array(N).fill(-1);
  cells.forEach((cell, i) => (isCompared[cell] = i));
  return (part) =>
    Float32Array.from(isCompared, (itself, cell) => {
      if (itself >= 0) return part[itself]!;
      let sum = 0;
      for (let at = cell * k; at < (cell + 1) * k; at++) sum += part[nearest[at]!]!;
      return sum / k;
    });
}

/**
 * What cells score by their parts, higher for less known ones.
 * @param position - (N) predicted type of each
 */
export function noveltyScore(
  parts: NoveltyParts,
  position: Int32Array,
  { weights, offsets }: Pick<NoveltyJson, "weights" | "offsets">,
): Float32Array {
  return Float32Array.from(position, (type, cell) =>
    weights.reduce<number>((sum, weight, i) => sum + weight * parts[i]![cell]!, -offsets[type]!),
  );
}

/**
 * Per type what is taken off the score of cells of this predicted type: three tenths of what known ones have
 * more by density, distance and profile than all known cells; of few cells, less.
 */
export function typeOffsets(
  parts: NoveltyParts,
  position: Int32Array,
  weights: NoveltyJson["weights"],
  K: number,
): number[] {
  const sums = new Float64Array(K);
  const cells = new Int32Array(K);
  position.forEach((type, cell) => {
    cells[type]!++;
    for (const i of offsetParts) sums[type]! += weights[i] * parts[i][cell]!;
  });
  const mean = sums.reduce((sum, own) => sum + own, 0) / Math.max(1, position.length);
  return Array.from(cells, (n, type) => (offsetShare * (sums[type]! - n * mean)) / (n + shiftPrior));
}

/**
 * Uncertainties 0..1 from scores, in the same order; 0.5 at the score that 95 % of the reference's cells are
 * under when their conditions are left out.
 */
export function noveltyUncertainty(
  scores: Float32Array,
  { typical }: Pick<NoveltyJson, "typical">,
): Float32Array {
  return scores.map((score) => 1 / (1 + Math.exp(typical - score)));
}

/** Density and distance of each point (n, F), from its neighbours among the others and from the reference. */
function neighborhoodParts(
  points: Float32Array,
  F: number,
  { means, cells, landmarks }: KnownCells,
  spacing: number,
): { readonly density: Float32Array; readonly distance: Float32Array } {
  const n = points.length / F;
  const k = Math.min(nearNeighbors, n - 1);
  const isAlone = k < nearNeighbors / 2;
  const near = nearestNeighbors(points, F, k);
  const toLandmarks = new NearestRows(landmarks, F).find(
    points,
    Math.min(landmarkNeighbors, landmarks.length / F),
  );
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

/**
 * Logarithm of the mean distance from their neighbours, over all points (n, F): what few cells take as
 * theirs.
 */
export function meanSpacing(points: Float32Array, F: number): number {
  const { distances } = nearestNeighbors(points, F, nearNeighbors);
  return distances.length === 0
    ? 0
    : Math.log(distances.reduce((sum, d) => sum + d, 0) / distances.length + tiny);
}

/** Mean of each k of n times k values. */
function meanOfEach(values: Float64Array, k: number, n: number): Float64Array {
  const means = new Float64Array(n);
  for (let i = 0; i < n * k; i++) means[Math.floor(i / k)]! += values[i]! / k;
  return means;
}
