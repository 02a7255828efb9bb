// A verdict on a mapping, as a traffic light with its reasons: do the genes, the depth and the positions of
// the query's cells look like the reference's? Each reason compares one number with the same number of the
// reference's own cells. Thresholds: docs/method.md.
import type { StoredModel } from "../model/checkpoint.js";
import { quantile, type LevelPrediction } from "../model/classify.js";
import { Landmarks } from "../model/landmarks.js";
import { nearestNeighbors, rowsOf } from "../model/neighbors.js";

export type Light = "green" | "amber" | "red";

/** One look at a mapping. */
export interface VerdictReason {
  readonly criterion: "genes" | "depth" | "distance" | "unknown" | "neighbors" | "mixing";
  readonly light: Light;
  /** what was measured: a share in 0..1, or the median size factor */
  readonly value: number;
  /** the value in words, and what is expected */
  readonly text: string;
}

/** A mapping judged: the worst light of its reasons. */
export interface Verdict {
  readonly light: Light;
  readonly reasons: readonly VerdictReason[];
}

/** What is judged; null where the model or the query cannot tell. */
export interface VerdictMeasures {
  /** share of the model's genes that the query has */
  readonly geneCoverage: number;
  /** median size factor of the query, and the reference's 5 %, 50 % and 95 % quantiles */
  readonly depth: { readonly query: number; readonly reference: readonly [number, number, number] } | null;
  /** share of cells further from their nearest prototype than 95 % of the reference's held-out cells */
  readonly distantShare: number | null;
  /** share of cells above the threshold of the uncertainty */
  readonly unknownShare: number | null;
  /** share of cells further from their 15th nearest landmark than 95 % of the landmarks */
  readonly apartShare: number | null;
  /**
   * neighbours from the reference among the nearest 15, in samples of the same size of each cell type, over
   * what a complete mixture has
   */
  readonly mixing: number | null;
}

/**
 * Green up to (genes, mixing: from) the first number, amber up to the second. Depth: within the reference's 5
 * to 95 %, and within this factor of it.
 */
export const verdictThresholds = {
  genes: [0.8, 0.5],
  depth: 3,
  distance: [0.2, 0.5],
  unknown: [0.2, 0.5],
  neighbors: [0.2, 0.5],
  mixing: [0.4, 0.2],
} as const;

/** Judges what was measured of a mapping. */
export function judgeMapping({
  geneCoverage,
  depth,
  distantShare,
  unknownShare,
  apartShare,
  mixing,
}: VerdictMeasures): Verdict {
  const limits = verdictThresholds;
  const reasons: VerdictReason[] = [
    {
      criterion: "genes",
      light: atLeast(geneCoverage, limits.genes),
      value: geneCoverage,
      text: `${percent(geneCoverage)} of the model's genes are in the query (good: ${percent(limits.genes[0])} or more)`,
    },
  ];
  if (depth) {
    const [low, , high] = depth.reference;
    const light =
      depth.query >= low && depth.query <= high
        ? "green"
        : depth.query >= low / limits.depth && depth.query <= high * limits.depth
          ? "amber"
          : "red";
    reasons.push({
      criterion: "depth",
      light,
      value: depth.query,
      text: `The median cell has ${whole(depth.query)} counts in the model's genes (90 % of the reference: ${whole(low)} to ${whole(high)})`,
    });
  }
  const share = (
    criterion: VerdictReason["criterion"],
    value: number | null,
    [good, fair]: readonly [number, number],
    text: string,
  ): void => {
    if (value !== null)
      reasons.push({
        criterion,
        light: value <= good ? "green" : value <= fair ? "amber" : "red",
        value,
        text: `${percent(value)} of the cells ${text}; good: up to ${percent(good)})`,
      });
  };
  share(
    "distance",
    distantShare,
    limits.distance,
    "are further from every prototype than 95 % of the reference's held-out cells (expected of the reference: 5 %",
  );
  share("unknown", unknownShare, limits.unknown, "are flagged unknown (uncertainty above the threshold");
  share(
    "neighbors",
    apartShare,
    limits.neighbors,
    "lie where the reference has few cells (expected of the reference: 5 %",
  );
  if (mixing !== null)
    reasons.push({
      criterion: "mixing",
      light: atLeast(mixing, limits.mixing),
      value: mixing,
      text: `${percent(mixing)} of complete mixing with the reference's cells of the same type (good: ${percent(limits.mixing[0])} or more)`,
    });
  const light =
    (["red", "amber"] as const).find((worst) => reasons.some((reason) => reason.light === worst)) ?? "green";
  return { light, reasons };
}

/** Cells that are looked at where there are more, and of each type and side of the mixing. */
const [mostCells, mostOfType] = [2000, 300];
const mixingNeighbors = 15;

/** Measures a mapping against its model. @param latent - (N, D) of the query @param sizeFactors - (N) */
export function measureMapping(
  stored: StoredModel,
  geneCoverage: number,
  latent: Float32Array,
  sizeFactors: Float32Array,
  [level]: readonly LevelPrediction[],
): VerdictMeasures {
  const { json } = stored;
  const landmarks = Landmarks.of(stored);
  const N = sizeFactors.length;
  const looked = spread(N, mostCells);
  const scale = json.calibration[0]?.distance_scale ?? Infinity;
  return {
    geneCoverage,
    depth:
      landmarks && json.model.recon_loss !== "mse"
        ? { query: quantile(sizeFactors, 0.5), reference: landmarks.json.size_factors }
        : null,
    distantShare: level ? shareOf(N, (cell) => level.distance[cell]! > scale) : null,
    unknownShare: level && level.threshold !== null ? shareOf(N, (cell) => level.unknown[cell] === 1) : null,
    apartShare: landmarks && shareApart(landmarks, rowsOf(latent, looked, landmarks.D)),
    mixing:
      landmarks && mixingWith(landmarks, latent, level?.predicted ?? new Int32Array(N), json.levels.length),
  };
}

/** Mean over the query's cell types, each weighing as many cells as it has. */
function mixingWith(
  { latent: reference, labels, D, json: { cells: L } }: Landmarks,
  latent: Float32Array,
  types: Int32Array,
  levels: number,
): number | null {
  const ofType = groupBy(types);
  const landmarksOf = groupBy(
    Int32Array.from({ length: L }, (_, i) => (levels > 0 ? labels[i * levels]! : 0)),
  );
  let [sum, cells] = [0, 0];
  for (const [type, own] of ofType) {
    const theirs = landmarksOf.get(type) ?? [];
    const n = Math.min(own.length, theirs.length, mostOfType);
    if (n <= mixingNeighbors) continue;
    const some = (table: Float32Array, from: readonly number[]): Float32Array =>
      rowsOf(
        table,
        spread(from.length, n).map((at) => from[at]!),
        D,
      );
    const pooled = new Float32Array(2 * n * D);
    pooled.set(some(latent, own));
    pooled.set(some(reference, theirs), n * D);
    const { indices } = nearestNeighbors(pooled, D, mixingNeighbors);
    const foreign =
      indices.subarray(0, n * mixingNeighbors).reduce((count, point) => count + Number(point >= n), 0) /
      mixingNeighbors;
    sum += own.length * Math.min(1, ((foreign / n) * (2 * n - 1)) / n);
    cells += own.length;
  }
  return cells > 0 ? sum / cells : null;
}

/** Share of cells whose 15th nearest landmark is further than that of 95 % of the landmarks. */
function shareApart(landmarks: Landmarks, latent: Float32Array): number {
  const distances = landmarks.neighborDistances(latent);
  return shareOf(distances.length, (cell) => distances[cell]! > landmarks.json.neighbor_distance);
}

function groupBy(codes: Int32Array): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  codes.forEach((code, i) => {
    const group = groups.get(code);
    if (group) group.push(i);
    else groups.set(code, [i]);
  });
  return groups;
}

/** Up to `most` of n places, evenly spread. */
function spread(n: number, most: number): Int32Array {
  const count = Math.min(n, most);
  return Int32Array.from({ length: count }, (_, i) => Math.floor((i * n) / count));
}

function shareOf(n: number, is: (at: number) => boolean): number {
  let count = 0;
  for (let at = 0; at < n; at++) if (is(at)) count++;
  return n > 0 ? count / n : 0;
}

function atLeast(value: number, [good, fair]: readonly [number, number]): Light {
  return value >= good ? "green" : value >= fair ? "amber" : "red";
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(1))} %`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
