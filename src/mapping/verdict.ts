// A verdict on a mapping as a traffic light with reasons: whether genes, depth and positions of the query's
// cells look like the reference's. Each reason compares one quantity with its value in the reference's cells.
// Thresholds: docs/explanation/mapping.md.
import type { StoredModel } from "../model/stored-model.js";
import { isDisputed, unlikeReference } from "../labels/classify.js";
import { quantile } from "../numerics/descriptive.js";
import { Landmarks } from "../prototypes/landmarks.js";
import { nearestNeighbors, rowsOf } from "../graph/neighbors.js";
import type { Predictions } from "./predictions.js";

/** Outcome of a check, as a traffic light. */
export type Light = "green" | "amber" | "red";

/** A light in words. */
export interface LightWords {
  /** Of one criterion: good, fair or poor */
  readonly word: string;
  /** Of the verdict as a whole, without a full stop */
  readonly sentence: string;
}

/** What each light means. */
export const verdictWords: Readonly<Record<Light, LightWords>> = {
  green: { word: "good", sentence: "The query fits the reference" },
  amber: { word: "fair", sentence: "Look closer before you trust the labels" },
  red: { word: "poor", sentence: "The query does not fit the reference" },
};

/** One criterion of a verdict. */
export interface VerdictReason {
  /** What was compared */
  readonly criterion:
    "genes" | "cells" | "depth" | "distance" | "unknown" | "clusters" | "agreement" | "neighbors" | "mixing";
  /** Light of this criterion */
  readonly light: Light;
  /** measured value: a share in 0..1, the median size factor, or a number of cells or clusters */
  readonly value: number;
  /** the value and the expected value as text */
  readonly text: string;
}

/** Verdict on a mapping; its light is the worst of its reasons. */
export interface Verdict {
  /** The worst light of the reasons */
  readonly light: Light;
  /** One per criterion */
  readonly reasons: readonly VerdictReason[];
}

/** Measures of a mapping; null if the model or the query does not allow them. */
export interface VerdictMeasures {
  /** number of cells of the query */
  readonly cells: number;
  /** share of the model's genes that the query has */
  readonly geneCoverage: number;
  /** median size factor of the query, and the reference's 5 %, 50 % and 95 % quantiles */
  readonly depth: { readonly query: number; readonly reference: readonly [number, number, number] } | null;
  /** share of cells further from their nearest prototype than 95 % of the reference's held-out cells */
  readonly distantShare: number | null;
  /** share of cells flagged unknown */
  readonly unknownShare: number | null;
  /** whether no cell is flagged because the query is unlike every reference condition */
  readonly isUnlike: boolean;
  /** clusters of the query, if their novelty is known */
  readonly clusters:
    readonly { readonly cluster: number; readonly cells: number; readonly isNovel: boolean }[] | null;
  /** share of cells whose nearest prototype has another type than the classifier on genes gives them */
  readonly disagreeingShare: number | null;
  /** share of cells further from their 15th nearest landmark than 95 % of the landmarks */
  readonly apartShare: number | null;
  /**
   * share of reference cells among the 15 nearest neighbours, relative to complete mixing, in equal numbers
   * of query and reference cells of each type
   */
  readonly mixing: number | null;
}

/** Minimum number of query cells for a verdict; with fewer, shares are too uncertain. */
const fewestCells = 20;

/**
 * Green up to the first number, amber up to the second (genes, mixing: from the first and second). Depth:
 * green within the reference's 5 to 95 % quantiles, amber within this factor of them. Clusters: amber with a
 * novel cluster, red if novel clusters have more than this share of the cells.
 */
const verdictThresholds = {
  genes: [0.8, 0.5],
  depth: 3,
  distance: [0.2, 0.5],
  unknown: [0.2, 0.5],
  clusters: 0.5,
  agreement: [0.3, 0.6],
  neighbors: [0.2, 0.5],
  mixing: [0.4, 0.2],
} as const;

/** Verdict from the measures of a mapping. */
export function judgeMapping(measures: VerdictMeasures): Verdict {
  const { cells, geneCoverage, depth, distantShare, apartShare, mixing } = measures;
  const limits = verdictThresholds;
  const genes: VerdictReason = {
    criterion: "genes",
    light: atLeast(geneCoverage, limits.genes),
    value: geneCoverage,
    text:
      `Genes of the model in the query: ${percent(geneCoverage)} (good: at least ` +
      `${percent(limits.genes[0])})`,
  };
  if (cells < fewestCells) {
    const text = `Too few cells to judge: ${cells} (${fewestCells} or more are needed)`;
    return asVerdict([genes, { criterion: "cells", light: "amber", value: cells, text }]);
  }
  return asVerdict([
    genes,
    ...(depth ? [depthReason(depth)] : []),
    ...shareReason("distance", distantShare, "Far from all known types", "reference: 5 %; "),
    ...unknownReason(measures),
    ...clusterReason(measures),
    ...shareReason(
      "agreement",
      measures.disagreeingShare,
      "Nearest prototype and classifier on genes disagree",
    ),
    ...shareReason("neighbors", apartShare, "Where the reference has few cells", "reference: 5 %; "),
    ...(mixing === null
      ? []
      : [
          {
            criterion: "mixing" as const,
            light: atLeast(mixing, limits.mixing),
            value: mixing,
            text:
              `Mixing with reference cells of the same type: ${percent(mixing)} (good: at least ` +
              `${percent(limits.mixing[0])})`,
          },
        ]),
  ]);
}

/** Updates the verdict for another share of flagged cells, after a change of the threshold. */
export function withUnknownShare({ reasons }: Verdict, share: number | null): Verdict {
  const [unknown = null] = unknownReason({ unknownShare: share, isUnlike: false });
  const others = reasons.filter(({ criterion }) => criterion !== "unknown");
  // insert the reason after these
  const at = others.filter(({ criterion }) => /genes|cells|depth|distance/.test(criterion)).length;
  const isJudged = unknown !== null && !others.some(({ criterion }) => criterion === "cells");
  return asVerdict(isJudged ? [...others.slice(0, at), unknown, ...others.slice(at)] : others);
}

function asVerdict(reasons: readonly VerdictReason[]): Verdict {
  const light =
    (["red", "amber"] as const).find((worst) => reasons.some((reason) => reason.light === worst)) ?? "green";
  return { light, reasons };
}

function depthReason({
  query,
  reference: [low, , high],
}: NonNullable<VerdictMeasures["depth"]>): VerdictReason {
  const factor = verdictThresholds.depth;
  const light =
    query >= low && query <= high
      ? "green"
      : query >= low / factor && query <= high * factor
        ? "amber"
        : "red";
  const text =
    `Counts of the median cell in the model's genes: ${whole(query)} (90 % of the reference: ` +
    `${whole(low)} to ${whole(high)})`;
  return { criterion: "depth", light, value: query, text };
}

function shareReason(
  criterion: "distance" | "unknown" | "agreement" | "neighbors",
  value: number | null,
  what: string,
  expected = "",
): VerdictReason[] {
  if (value === null) return [];
  const [good, fair] = verdictThresholds[criterion];
  return [
    {
      criterion,
      light: value <= good ? "green" : value <= fair ? "amber" : "red",
      value,
      text: `${what}: ${percent(value)} (${expected}good: up to ${percent(good)})`,
    },
  ];
}

function unknownReason({
  unknownShare,
  isUnlike,
}: Pick<VerdictMeasures, "unknownShare" | "isUnlike">): VerdictReason[] {
  return isUnlike
    ? [
        {
          criterion: "unknown",
          light: "red",
          value: unknownShare ?? 0,
          text: `No cell is flagged: ${unlikeReference}`,
        },
      ]
    : shareReason("unknown", unknownShare, "Flagged unknown", "known types: up to 5 %; ");
}

function clusterReason({ clusters, cells, isUnlike }: VerdictMeasures): VerdictReason[] {
  // clusters add no information if the whole query is unlike the reference
  if (clusters === null || isUnlike) return [];
  const novel = clusters.filter(({ isNovel }) => isNovel);
  const share = novel.reduce((sum, cluster) => sum + cluster.cells, 0) / cells;
  const names = novel
    .map((novelCluster) => `cluster ${novelCluster.cluster} (${whole(novelCluster.cells)} cells)`)
    .join(", ");
  return [
    {
      criterion: "clusters",
      light: novel.length === 0 ? "green" : share <= verdictThresholds.clusters ? "amber" : "red",
      value: novel.length,
      text:
        `Clusters like no known type: ${novel.length} of ` +
        `${clusters.length}${names === "" ? "" : `, ${names}`} (good: none)`,
    },
  ];
}

/** Labels of a query's cells, and its clusters. */
export type PredictedCells = Pick<Predictions, "predictions" | "clusters" | "clusterNovelty">;

/** Maximum number of cells sampled, and of query and of reference cells per type for the mixing. */
const [mostCells, mostOfType] = [2000, 300];
const mixingNeighbors = 15;

/** Computes the measures of a mapping. @param latent - (N, D) of the query @param sizeFactors - (N) */
export function measureMapping(
  stored: StoredModel,
  geneCoverage: number,
  latent: Float32Array,
  sizeFactors: Float32Array,
  { predictions: [level], clusters, clusterNovelty }: PredictedCells,
): VerdictMeasures {
  const { json } = stored;
  const landmarks = Landmarks.of(stored);
  const N = sizeFactors.length;
  const sampledCells = spread(N, mostCells);
  const scale = json.calibration[0]?.distance_scale ?? Infinity;
  const cellsOf = new Int32Array(json.unlabeled_prototypes.length);
  clusters?.forEach((row) => cellsOf[row]!++);
  return {
    cells: N,
    geneCoverage,
    depth:
      landmarks && json.model.recon_loss !== "mse"
        ? { query: quantile(sizeFactors, 0.5), reference: landmarks.json.size_factors }
        : null,
    distantShare: level ? shareOf(N, (cell) => level.distance[cell]! > scale) : null,
    unknownShare: level && level.threshold !== null ? shareOf(N, (cell) => level.unknown[cell] === 1) : null,
    isUnlike: level?.notFlagged === unlikeReference && level.threshold === null,
    clusters:
      clusterNovelty
        ?.map(({ isNovel }, row) => ({
          cluster: json.unlabeled_prototypes[row]!.cluster,
          cells: cellsOf[row]!,
          isNovel,
        }))
        .filter(({ cells }) => cells > 0) ?? null,
    disagreeingShare: level?.headLabels ? shareOf(N, (cell) => isDisputed(level, cell)) : null,
    apartShare: landmarks && shareApart(landmarks, rowsOf(latent, sampledCells, landmarks.D)),
    mixing:
      landmarks && mixingWith(landmarks, latent, level?.predicted ?? new Int32Array(N), json.levels.length),
  };
}

/** Mixing as a mean over the query's cell types, weighted by their numbers of cells. */
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
  for (const [type, queryCells] of ofType) {
    const landmarkCells = landmarksOf.get(type) ?? [];
    const n = Math.min(queryCells.length, landmarkCells.length, mostOfType);
    if (n <= mixingNeighbors) continue;
    const sampled = (table: Float32Array, from: readonly number[]): Float32Array =>
      rowsOf(
        table,
        spread(from.length, n).map((at) => from[at]!),
        D,
      );
    const pooled = new Float32Array(2 * n * D);
    pooled.set(sampled(latent, queryCells));
    pooled.set(sampled(reference, landmarkCells), n * D);
    const { indices } = nearestNeighbors(pooled, D, mixingNeighbors);
    const referenceNeighbors =
      indices.subarray(0, n * mixingNeighbors).reduce((count, point) => count + Number(point >= n), 0) /
      mixingNeighbors;
    sum += queryCells.length * Math.min(1, ((referenceNeighbors / n) * (2 * n - 1)) / n);
    cells += queryCells.length;
  }
  return cells > 0 ? sum / cells : null;
}

/** Share of cells whose 15th nearest landmark is farther than that of 95 % of the landmarks. */
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

/** Up to `most` indices below n, evenly spaced. */
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
