// What novelty.ts needs, from the reference alone: the axes, the known cells of each level, and thresholds
// from conditions that were left out of the head.
import { CholeskyDecomposition, Matrix, solve } from "ml-matrix";
import { quantile } from "../model/classify.js";
import { SparseProducts, type SparseCells } from "../engine/profiles.js";
import { mainDirections } from "../model/directions.js";
import {
  classifyByHead,
  drawCells,
  type HeadColumns,
  type HeadLevel,
  type NoveltyJson,
} from "../model/head.js";
import { rowsOf } from "../model/neighbors.js";
import {
  meanSpacing,
  nearestCompared,
  noveltyParts,
  noveltyScore,
  partWeights,
  pointsOf,
  typeOffsets,
  type KnownCells,
  type NoveltyParts,
} from "../model/novelty.js";
import { ownNeighbors, type TypeProfiles } from "../model/profiles.js";
import { sharedWeight, shiftPrior } from "../model/shifts.js";
import { Random } from "../random.js";

/** P, and rounds of subspace iteration that find them. */
const [axes, rounds] = [24, 4];
/** Share of cells of known types that may be flagged unknown. */
const mostFlagged = 0.05;
/** Landmarks per type. */
const mostLandmarks = 60;
/**
 * Cells of a query, or of a part of the reference, that are compared with each other. What denser ones have
 * more, density's quartile takes off; cells that take after others are ranked worse.
 */
const base = 1024;
/**
 * Cells of a neighbourhood besides its own. Where the parts of the reference have fewer cells than these, one
 * for so many of them: more would be of all types, in a small part more than in a larger query, whose cells
 * would then look unknown. Larger parts bear it, and unknown types are found better by more neighbours.
 */
const [mostNeighbors, fewCells, cellsPerNeighbor] = [20, 128, 35];

/**
 * Of every part of the score: a tenth, for logarithms of distances, says nothing even where the reference's
 * cells differ by less.
 */
const leastDeviation = 0.1;

/** A level's part of `model.json`, and its tensors. */
export interface TrainedNovelty {
  readonly json: NoveltyJson;
  readonly known: KnownCells;
}

/**
 * The P directions in which cells vary most, (P, G), scaled so that the cells within a type have variance 1
 * along each and no correlation. Types weigh alike, and what a whole condition has more than the others is
 * taken off: subspace iteration on the sparse matrix, the means of the conditions beside it.
 * @param labels - per row its type, all known @param conditions - per row its condition
 */
export function findAxes(
  rows: SparseCells,
  labels: Int32Array,
  conditions: Int32Array,
  genes: number,
  seed: number,
): Float32Array {
  const n = labels.length;
  const P = Math.max(0, Math.min(axes, genes, n - 1));
  const [typeSize, groupSize] = [
    counter(labels),
    counter(Array.from(labels, (label, i) => `${conditions[i]} ${label}`)),
  ];
  const offsets = conditionMeans(rows, labels, conditions, genes);
  const weights = Float64Array.from(labels, (label) => 1 / (typeSize.get(label)! + shiftPrior));
  const { basis, coordinates } = mainDirections(
    { rows, genes, conditions, offsets, weights },
    P,
    rounds,
    new Random(seed, "axes"),
  );
  const group = Array.from(labels, (label, i) => `${conditions[i]} ${label}`);
  const whitening = whiteningOf(coordinates, n, P, group, groupSize, 1e-3);
  return Float32Array.from({ length: P * genes }, (_, at) => {
    const [p, gene] = [Math.floor(at / genes), at % genes];
    let sum = 0;
    for (let q = 0; q < P; q++) sum += basis[gene * P + q]! * whitening[q * P + p]!;
    return sum;
  });
}

/** Coordinates (rows, P) of cells on the axes (P, G). */
export function coordinatesOf(rows: SparseCells, axes: Float32Array, genes: number): Float64Array {
  const P = axes.length / genes;
  const basis = Float64Array.from(
    { length: axes.length },
    (_, at) => axes[(at % P) * genes + Math.floor(at / P)]!,
  );
  return new SparseProducts(rows, genes, P).along(basis);
}

/**
 * Per condition, what its cells have whatever their type: the mean over its types of the difference from the
 * type's mean, on top of the mean of all types. Types count by their cells, as in `shiftsOf`; a condition
 * with few cells, whose difference is mostly theirs alone, is drawn to none.
 */
function conditionMeans(
  { indptr, indices, values }: SparseCells,
  labels: Int32Array,
  conditions: Int32Array,
  genes: number,
): Map<number, Float64Array> {
  const types = counter(labels);
  const mean = new Map([...types.keys()].map((type) => [type, new Float64Array(genes)]));
  labels.forEach((label, i) => {
    for (let at = indptr[i]!; at < indptr[i + 1]!; at++)
      mean.get(label)![indices[at]!]! += values[at]! / types.get(label)!;
  });
  const all = new Float64Array(genes);
  for (const own of mean.values()) own.forEach((value, gene) => (all[gene]! += value / types.size));
  const shares = new Map<number, Map<number, number>>();
  labels.forEach((label, i) => {
    const own = shares.get(conditions[i]!) ?? new Map<number, number>();
    shares.set(conditions[i]!, own.set(label, (own.get(label) ?? 0) + 1));
  });
  const total = new Map(
    [...shares].map(([condition, own]) => [
      condition,
      [...own.values()].reduce((sum, n) => sum + n / (n + shiftPrior), sharedWeight),
    ]),
  );
  const result = new Map([...shares.keys()].map((condition) => [condition, all.slice()]));
  labels.forEach((label, i) => {
    const condition = conditions[i]!;
    const weight = 1 / (shares.get(condition)!.get(label)! + shiftPrior) / total.get(condition)!;
    for (let at = indptr[i]!; at < indptr[i + 1]!; at++)
      result.get(condition)![indices[at]!]! += weight * values[at]!;
  });
  for (const [condition, own] of shares)
    for (const [type, n] of own)
      result
        .get(condition)!
        .forEach(
          (_, gene, sum) =>
            (sum[gene]! -= (n / (n + shiftPrior) / total.get(condition)!) * mean.get(type)![gene]!),
        );
  return result;
}

function counter<T>(values: Iterable<T>): Map<T, number> {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/**
 * The matrix (D, D), upper triangular, that makes the covariance of points within groups the identity.
 * @param ridge - share of the mean variance that every direction has besides
 */
function whiteningOf<T>(
  points: ArrayLike<number>,
  n: number,
  D: number,
  group: ArrayLike<T>,
  sizes: ReadonlyMap<T, number>,
  ridge: number,
): Float64Array {
  const means = new Map([...sizes.keys()].map((key) => [key, new Float64Array(D)]));
  for (let i = 0; i < n; i++)
    for (let d = 0; d < D; d++) means.get(group[i]!)![d]! += points[i * D + d]! / sizes.get(group[i]!)!;
  const covariance = Matrix.zeros(D, D);
  const row = new Float64Array(D);
  for (let i = 0; i < n; i++) {
    const mean = means.get(group[i]!)!;
    for (let d = 0; d < D; d++) row[d] = points[i * D + d]! - mean[d]!;
    for (let d = 0; d < D; d++)
      for (let e = 0; e <= d; e++)
        covariance.set(d, e, covariance.get(d, e) + (row[d]! * row[e]!) / Math.max(1, n));
  }
  for (let d = 0; d < D; d++) for (let e = 0; e < d; e++) covariance.set(e, d, covariance.get(d, e));
  const least = (ridge * covariance.trace()) / Math.max(1, D) + 1e-9;
  for (let d = 0; d < D; d++) covariance.set(d, d, covariance.get(d, d) + least);
  const lower = new CholeskyDecomposition(covariance).lowerTriangularMatrix;
  return Float64Array.from(solve(lower, Matrix.eye(D, D)).transpose().to1DArray());
}

/**
 * Known cells of a level, from their scores by the head and their coordinates.
 * @param scores - (N, stride)
 * @param coordinates - (N, P)
 * @param labels - (N) position of each cell's type, -1 where it is not known or the cell is left out
 */
function knownCells(
  scores: Float32Array,
  coordinates: Float32Array,
  columns: HeadColumns,
  labels: Int32Array,
  profiles: TypeProfiles,
  seed: number,
): KnownCells {
  const { stride, first, K } = columns;
  const P = coordinates.length / labels.length;
  const F = K + P;
  const rows = Int32Array.from(labels.keys()).filter((cell) => labels[cell]! >= 0);
  const own = rows.map((cell) => labels[cell]!);
  const raw = Float64Array.from(
    { length: rows.length * K },
    (_, at) => scores[rows[Math.floor(at / K)]! * stride + first + (at % K)]!,
  );
  const whitening = Float32Array.from(whiteningOf(raw, rows.length, K, own, counter(own), 1e-2));
  const points = pointsOf(scores, columns, whitening, {
    cells: rows,
    coordinates: rowsOf(coordinates, rows, P),
  });
  const cells = new Int32Array(K);
  own.forEach((type) => cells[type]!++);
  const means = new Float32Array(K * F);
  const sums = new Float64Array(K * F);
  own.forEach((type, i) => {
    for (let f = 0; f < F; f++) sums[type * F + f]! += points[i * F + f]!;
  });
  sums.forEach((sum, at) => (means[at] = sum / Math.max(1, cells[Math.floor(at / F)]!)));
  const taken = new Int32Array(K);
  const chosen = new Random(seed, "landmarks")
    .shuffle(Int32Array.from(rows.keys()))
    .filter((i) => taken[own[i]!]!++ < mostLandmarks)
    .sort();
  const landmarks = new Float32Array(chosen.length * F);
  chosen.forEach((i, at) => landmarks.set(points.subarray(i * F, (i + 1) * F), at * F));
  return { means, cells, landmarks, whitening, profiles };
}

/** What is known of the reference's cells when the thresholds are chosen. */
export interface LeftOutCells {
  /** (N, stride) scores of each cell by the head that had its part left out */
  readonly scores: Float32Array;
  /** (N, stride) scores of all cells by the head that had a part left out; null: by the one that had none */
  readonly scoresBy: (fold: number | null) => Float32Array;
  /** (N, P) places on the axes */
  readonly coordinates: Float32Array;
  /** (N, D) */
  readonly latent: Float32Array;
  /** (N) position of the type, -1 where there is none */
  readonly labels: Int32Array;
  readonly conditions: Int32Array;
  /** (N) the part in which each was left out */
  readonly foldOf: Int32Array;
  /** whether a cell's type is found in other parts too */
  readonly judged: readonly boolean[];
  /** (K, K) mean scores of each type's cells in the other parts */
  readonly meansWithout: (fold: number) => Float32Array;
  /** profiles of the types without a part; null: with all */
  readonly profilesWithout: (fold: number | null) => TypeProfiles;
  /** what the head takes of the counts of some cells */
  readonly rowsOf: (cells: Int32Array) => SparseCells;
}

/** Learns one level: each part is taken as a query against the others. */
export async function trainNovelty(
  level: Pick<HeadLevel, "types" | "temperature">,
  columns: HeadColumns,
  {
    scores,
    scoresBy,
    coordinates,
    latent,
    labels,
    conditions,
    foldOf,
    judged,
    meansWithout,
    profilesWithout,
    rowsOf: countsOf,
  }: LeftOutCells,
  seed: number,
): Promise<TrainedNovelty> {
  const { stride, K } = columns;
  const folds = [...new Set(foldOf)].sort((a, b) => a - b);
  const labelled = Int32Array.from(labels.keys()).filter((cell) => labels[cell]! >= 0);
  const [P, D] = [coordinates.length / labels.length, latent.length / labels.length];
  const known = knownCells(scoresBy(null), coordinates, columns, labels, profilesWithout(null), seed);
  const some = drawCells(labelled.length, base).map((i) => labelled[i]!);
  const spacing = meanSpacing(
    pointsOf(scoresBy(null), columns, known.whitening, {
      cells: some,
      coordinates: rowsOf(coordinates, some, P),
    }),
    K + P,
  );
  const sizes = folds.map((fold) =>
    Math.min(
      base,
      labelled.reduce((sum, cell) => sum + (foldOf[cell] === fold ? 1 : 0), 0),
    ),
  );
  const size = quantile(sizes, 0.5);
  const neighbors = size < fewCells ? Math.max(1, Math.floor(size / cellsPerNeighbor)) : mostNeighbors;
  const found: {
    readonly parts: NoveltyParts;
    readonly position: Int32Array;
    readonly truth: Int32Array;
    readonly part: Int32Array;
  }[] = [];
  for (const fold of folds) {
    const own = Int32Array.from(labels.keys()).filter(
      (cell) => foldOf[cell] === fold && labels[cell]! >= 0 && judged[cell],
    );
    if (own.length === 0) continue;
    const others = knownCells(
      scoresBy(fold),
      coordinates,
      columns,
      labels.map((label, cell) => (foldOf[cell] === fold ? -1 : label)),
      profilesWithout(fold),
      seed,
    );
    const query = rowsOf(scores, own, stride);
    const head = classifyByHead(level, columns, query, meansWithout(fold));
    const cells = drawCells(own.length, base);
    const drawn = cells.map((i) => own[i]!);
    const compared = { cells, coordinates: rowsOf(coordinates, drawn, P), rows: countsOf(drawn) };
    const near = ownNeighbors(
      compared.rows,
      drawn.map((cell) => conditions[cell]!),
      profilesWithout(null).variances.length / 2,
      neighbors,
    );
    const nearest =
      cells.length === own.length ? null : nearestCompared(rowsOf(latent, own, D), cells, own.length);
    const seen = { scores: query, conditions: own.map((cell) => conditions[cell]!), compared, near, nearest };
    found.push({
      parts: await noveltyParts(seen, columns, head, others, { spacing }),
      position: head.position,
      truth: own.map((cell) => labels[cell]!),
      part: own.map(() => fold),
    });
  }
  const joined = <T extends Float32Array | Int32Array>(of: (one: (typeof found)[number]) => T): number[] =>
    found.flatMap((one) => Array.from(of(one)));
  const parts = [0, 1, 2, 3, 4].map((part) =>
    Float32Array.from(joined((one) => one.parts[part]!)),
  ) as unknown as NoveltyParts;
  const weights = parts.map(
    (part, i) => partWeights[i]! / Math.max(leastDeviation, deviation(part)),
  ) as unknown as NoveltyJson["weights"];
  const [position, truth, part] = (
    [({ position: own }) => own, ({ truth: own }) => own, ({ part: own }) => own] as ((
      one: (typeof found)[number],
    ) => Int32Array)[]
  ).map((of) => Int32Array.from(joined(of))) as [Int32Array, Int32Array, Int32Array];
  const offsets = typeOffsets(parts, position, weights, K);
  const all = noveltyScore(parts, position, { weights, offsets });
  const thresholds = chooseThresholds(all, position, truth, part, K);
  const above = all.reduce((sum, score, i) => sum + (score > thresholds[position[i]!]! ? 1 : 0), 0);
  const typical = quantile(all, 1 - mostFlagged);
  return {
    json: { base, neighbors, weights, offsets, spacing, typical, thresholds, cells: all.length, above },
    known,
  };
}

function deviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length));
}

/** Groups of fewer cells say nothing of a share of 5 %. */
const leastGroup = 20;

/**
 * Per predicted type a score that few cells of left-out parts are above: of each predicted type and each true
 * type, all parts together, at most 0.05 (n + 1) - 1 of its n cells, as for one more cell of the same kind
 * the chance is then at most 5 %; of each part as a whole, and of each true type in it that has at least 20
 * cells, at most 5 %. A type that too few cells are called has the threshold of all cells, or its largest
 * score.
 */
export function chooseThresholds(
  scores: Float32Array,
  position: Int32Array,
  truth: Int32Array,
  part: Int32Array,
  K: number,
): number[] {
  const allowed = (n: number): number => Math.max(0, Math.floor(mostFlagged * (n + 1)) - 1);
  const least = (own: Float32Array): number => own.slice().sort()[own.length - 1 - allowed(own.length)] ?? 0;
  const overall = least(scores);
  const thresholds = Array.from({ length: K }, (_, type) => {
    const own = scores.filter((_, i) => position[i] === type);
    return own.length >= leastGroup ? least(own) : Math.max(overall, own.length > 0 ? least(own) : -Infinity);
  });
  /** Raises thresholds, the nearest first, until no more cells of a group than it may have are above. */
  const raise = (isIn: (i: number) => boolean, most: (n: number) => number, fewest = 1): void => {
    const own = Int32Array.from(scores.keys()).filter(isIn);
    if (own.length < fewest) return;
    const excess = (i: number): number => scores[i]! - thresholds[position[i]!]!;
    let above = own.filter((i) => excess(i) > 0);
    while (above.length > most(own.length)) {
      const next = above.reduce((lowest, i) => (excess(i) < excess(lowest) ? i : lowest));
      thresholds[position[next]!] = scores[next]!;
      above = above.filter((i) => excess(i) > 0);
    }
  };
  const share = (n: number): number => Math.floor(mostFlagged * n);
  for (let type = 0; type < K; type++) raise((i) => truth[i] === type, allowed);
  for (const own of new Set(part)) {
    for (let type = 0; type < K; type++)
      raise((i) => part[i] === own && truth[i] === type, share, leastGroup);
    raise((i) => part[i] === own, share, leastGroup);
  }
  return thresholds;
}
