// How much cells look like none of the known types. Four parts, each of them larger for cells of a type that the reference has not:
// the density of the query around a cell against that of the reference (novel cells have each other as neighbours, and no cells of the reference), its
// neighbourhood's distance from the nearest type's mean, and the head's low score and doubt. Thresholds were chosen on conditions that were left out.
// Not in the paper: there the distance to the nearest prototype is all, which fails where an unknown type resembles a known one (`npm run bench:unknown`).
import { Random } from "../random.js";
import { quantile } from "./classify.js";
import { shiftPrior, type HeadColumns, type HeadPrediction, type NoveltyJson } from "./head.js";

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
/** Weights of the first three parts, each divided by its standard deviation; chosen with whole types and conditions left out of the references. */
const weights = [1, 0.5, 0.7] as const;

const typicalShare = 0.25;

/** The parts of the score, each (N); `doubt` is one less the probability of the predicted type. */
export type NoveltyParts = readonly [density: Float32Array, distance: Float32Array, confidence: Float32Array, doubt: Float32Array];

/** Points (cells, F) of cells. @param scores - (N, stride) */
export function pointsOf(scores: Float32Array, { stride, first, K, firstAxis, P }: HeadColumns, whitening: Float32Array, cells: Int32Array): Float32Array {
  const F = K + P;
  const points = new Float32Array(cells.length * F);
  cells.forEach((cell, i) => {
    const from = cell * stride;
    for (let j = 0; j < K; j++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += scores[from + first + k]! * whitening[k * K + j]!;
      points[i * F + j] = sum;
    }
    for (let p = 0; p < P; p++) points[i * F + K + p] = scores[from + firstAxis + p]!;
  });
  return points;
}

/**
 * The parts of the score of all cells of a query, density and distance less their lower quartiles: what a whole query has more, far from the reference as it may be,
 * is not news of its cells. A quartile rather than the median, so that half of the query may be of unknown types.
 * @param scores - (N, stride) @param conditions - (N) code of the condition, or combination of conditions, of each cell
 */
export function noveltyParts(
  scores: Float32Array, columns: HeadColumns, conditions: Int32Array, { position, score, probability }: HeadPrediction, known: KnownCells, { base, spacing }: Pick<NoveltyJson, "base" | "spacing">,
): NoveltyParts {
  const N = position.length;
  const F = columns.K + columns.P;
  const all = Int32Array.from({ length: N }, (_, cell) => cell);
  const shifts = conditionShifts(scores, columns, conditions, position, known);
  const shiftedPoints = (cells: Int32Array): Float32Array => {
    const points = pointsOf(scores, columns, known.whitening, cells);
    cells.forEach((cell, i) => {
      const shift = shifts.get(conditions[cell]!)!;
      for (let f = 0; f < F; f++) points[i * F + f]! -= shift[f]!;
    });
    return points;
  };
  const chosen = N <= base ? all : new Random(0, "novelty").shuffle(all.slice()).subarray(0, base);
  const points = shiftedPoints(chosen);
  const own = neighborhoodParts(points, F, known, spacing);
  for (const part of [own.density, own.distance]) {
    const typical = quantile(part, typicalShare);
    part.forEach((value, i) => (part[i] = value - typical));
  }
  const [confidence, doubt] = [score.map((value) => -value), probability.map((value) => 1 - value)];
  if (N <= base) return [own.density, own.distance, confidence, doubt];
  const [density, distance] = [new Float32Array(N), new Float32Array(N)];
  const finder = new RoughNearest(points, F);
  for (let start = 0; start < N; start += base) {
    const cells = all.subarray(start, start + base);
    const block = shiftedPoints(cells);
    cells.forEach((cell, i) => {
      const nearest = finder.find(block, i * F);
      density[cell] = own.density[nearest]!;
      distance[cell] = own.distance[nearest]!;
    });
  }
  return [density, distance, confidence, doubt];
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
 * What the cells of each condition have more than the reference's, whatever their type: the mean over the predicted types of the difference of their means, a type of n
 * cells counting n / (n + 20). A condition that says little of it (few cells) is drawn to what the whole query has.
 */
function conditionShifts(scores: Float32Array, { stride, first, K, firstAxis, P }: HeadColumns, conditions: Int32Array, position: Int32Array, { means, cells: known, whitening }: KnownCells): Map<number, Float64Array> {
  const F = K + P;
  const members = new Map<number, number[]>();
  conditions.forEach((condition, cell) => {
    const own = members.get(condition);
    if (own) own.push(cell);
    else members.set(condition, [cell]);
  });
  const total = new Float64Array(F);
  let totalWeight = 0;
  const sums = new Map<number, { readonly sum: Float64Array; readonly weight: number }>();
  for (const [condition, own] of members) {
    const raw = new Float64Array(K * F);
    const n = new Int32Array(K);
    for (const cell of own) {
      const [to, from] = [position[cell]! * F, cell * stride];
      n[position[cell]!]!++;
      for (let k = 0; k < K; k++) raw[to + k]! += scores[from + first + k]!;
      for (let p = 0; p < P; p++) raw[to + K + p]! += scores[from + firstAxis + p]!;
    }
    const sum = new Float64Array(F);
    let weight = 0;
    for (let type = 0; type < K; type++) {
      if (n[type] === 0 || known[type] === 0) continue;
      const w = n[type]! / (n[type]! + shiftPrior);
      weight += w;
      for (let f = 0; f < F; f++) {
        let mean = f < K ? 0 : raw[type * F + f]! / n[type]!;
        if (f < K) for (let k = 0; k < K; k++) mean += (raw[type * F + k]! / n[type]!) * whitening[k * K + f]!;
        sum[f]! += w * (mean - means[type * F + f]!);
      }
    }
    sums.set(condition, { sum, weight });
    sum.forEach((value, f) => (total[f]! += value));
    totalWeight += weight;
  }
  const shared = total.map((value) => value / Math.max(1e-9, totalWeight));
  return new Map([...sums].map(([condition, { sum, weight }]) => [condition, sum.map((value, f) => (value + sharedWeight * shared[f]!) / (weight + sharedWeight))]));
}

/** Weight of the whole query's shift in that of one condition. */
const sharedWeight = 0.5;

/** Density and distance of each point (n, F), from its neighbours among the others and from the reference. */
function neighborhoodParts(points: Float32Array, F: number, { means, cells, landmarks }: KnownCells, spacing: number): { readonly density: Float32Array; readonly distance: Float32Array } {
  const n = points.length / F;
  const k = Math.min(neighbors, n - 1);
  const isAlone = k < neighbors / 2;
  const near = nearestOf(points, points, F, k, true);
  const toLandmarks = nearestOf(points, landmarks, F, Math.min(landmarkNeighbors, landmarks.length / F), false);
  const mean = ({ distances, k: count }: Nearest, i: number): number => {
    let sum = 0;
    for (let j = 0; j < count; j++) sum += distances[i * count + j]!;
    return sum / Math.max(1, count);
  };
  const spread = Float64Array.from({ length: n }, (_, i) => mean(near, i));
  const away = Float64Array.from({ length: n }, (_, i) => mean(toLandmarks, i));
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
  const { distances } = nearestOf(points, points, F, Math.min(neighbors, points.length / F - 1), true);
  return distances.length === 0 ? 0 : Math.log(distances.reduce((sum, d) => sum + d, 0) / distances.length + tiny);
}

interface Nearest {
  readonly k: number;
  /** (n, k), in no order */
  readonly indices: Int32Array;
  /** (n, k) */
  readonly distances: Float64Array;
}

/** The k points of a table nearest to each point, by comparing all: in these many dimensions no tree is faster. @param others - whether a point is not its own neighbour */
function nearestOf(points: Float32Array, table: Float32Array, F: number, k: number, others: boolean): Nearest {
  const [n, m] = [points.length / F, table.length / F];
  const indices = new Int32Array(n * k);
  const distances = new Float64Array(n * k).fill(Infinity);
  for (let i = 0; i < n && k > 0; i++) {
    const last = (i + 1) * k - 1;
    for (let j = 0; j < m; j++) {
      if (others && i === j) continue;
      let sum = 0;
      for (let f = 0, a = i * F, b = j * F; f < F; f++, a++, b++) sum += (points[a]! - table[b]!) ** 2;
      if (sum >= distances[last]!) continue;
      let rank = last;
      for (; rank > i * k && distances[rank - 1]! > sum; rank--) {
        distances[rank] = distances[rank - 1]!;
        indices[rank] = indices[rank - 1]!;
      }
      distances[rank] = sum;
      indices[rank] = j;
    }
  }
  return { k, indices, distances: distances.map(Math.sqrt) };
}

/** A near point of a table for each of many, in about the square root of its size: the nearest of those around the nearest of a few of its points. */
class RoughNearest {
  readonly #centres: number;
  /** the table's rows, those around one centre after those around the one before; where each centre's begin; and which they are */
  readonly #grouped: Float32Array;
  readonly #starts: Int32Array;
  readonly #order: Int32Array;

  /** @param table - (n, F) in random order */
  constructor(private readonly table: Float32Array, private readonly F: number) {
    const n = table.length / F;
    this.#centres = Math.ceil(Math.sqrt(n));
    const centreOf = Int32Array.from({ length: n }, (_, i) => this.#nearest(table, i * F, table, 0, this.#centres));
    this.#order = Int32Array.from(centreOf.keys()).sort((a, b) => centreOf[a]! - centreOf[b]! || a - b);
    this.#starts = new Int32Array(this.#centres + 1);
    for (const centre of centreOf) this.#starts[centre + 1]!++;
    for (let centre = 0; centre < this.#centres; centre++) this.#starts[centre + 1]! += this.#starts[centre]!;
    this.#grouped = new Float32Array(table.length);
    this.#order.forEach((i, place) => this.#grouped.set(table.subarray(i * F, (i + 1) * F), place * F));
  }

  find(points: Float32Array, at: number): number {
    const centre = this.#nearest(points, at, this.table, 0, this.#centres);
    return this.#order[this.#nearest(points, at, this.#grouped, this.#starts[centre]!, this.#starts[centre + 1]!)]!;
  }

  /** Row of a table in [from, to) that is nearest to a point. */
  #nearest(points: Float32Array, at: number, table: Float32Array, from: number, to: number): number {
    const { F } = this;
    const few = Math.min(8, F);
    let best = from;
    let least = Infinity;
    for (let row = from; row < to; row++) {
      const start = row * F;
      let sum = 0;
      for (let f = 0; f < few; f++) {
        const difference = points[at + f]! - table[start + f]!;
        sum += difference * difference;
      }
      // most rows are too far by the first few coordinates
      if (sum >= least) continue;
      for (let f = few; f < F; f++) {
        const difference = points[at + f]! - table[start + f]!;
        sum += difference * difference;
      }
      if (sum < least) {
        best = row;
        least = sum;
      }
    }
    return best;
  }
}
