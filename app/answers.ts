// Results that a user asked for: marker genes of groups and of selections, comparisons, metrics, sample
// analyses. The library computes them in a worker; they are shown until their subject changes.
import { signal } from "@preact/signals";
import type { Comparison, Evaluation } from "scpoli";
import { predictedCodes, unknownName } from "./coloring.js";
import { guarded, working } from "./job-status.js";
import { runJob } from "./jobs.js";
import type {
  CellQuality,
  MappingResult,
  GeneSetRow,
  LocalFile,
  MarkerRequest,
  MarkerRow,
  MarkersFound,
  SampleAnalysisResult,
} from "./protocol.js";
import { withFiles } from "./reading.js";
import { currentAdditions } from "./saving.js";
import { unknown, work, type Selection } from "./state.js";
import type { QueryConditions } from "./conditions.js";
import type { CompareRequest } from "./worker/answers.js";
import type { MetricsRequest } from "./worker/save.js";

/** Marker genes, and the codes of the groups that they belong to. */
export interface MarkerAnswer {
  readonly title: string;
  readonly codes: ArrayLike<number>;
  readonly rows: readonly MarkerRow[];
  /** gene sets among the marker genes, where a file of sets is chosen */
  readonly sets?: readonly GeneSetRow[] | null;
}

/** Groups of cells that markers can be found of. */
export interface MarkerGroups {
  readonly title: string;
  readonly codes: Int32Array;
  readonly names: readonly string[];
}

const shownMarkers = 50;

/** Marker genes of the groups requested last, and of the clusters. */
export const groupMarkers = signal<MarkerAnswer | null>(null);
export const clusterMarkers = signal<MarkerAnswer | null>(null);
export const selectionMarkers = signal<MarkerAnswer | null>(null);
export const comparison = signal<{
  readonly of: object;
  readonly request: CompareRequest;
  readonly result: Comparison;
  /** gene sets among the genes, and the name of their file */
  readonly sets?: readonly GeneSetRow[] | null;
  readonly setsFile?: string | null;
} | null>(null);

/** Two selections that are compared; b: all other cells where there is none */
export const compared = signal<{ readonly a: Selection | null; readonly b: Selection | null }>({
  a: null,
  b: null,
});
export const selectionsCompared = signal<MarkerAnswer | null>(null);

/** A .gmt file of gene sets, tested among marker genes of groups and genes of comparisons */
export const geneSetFile = signal<LocalFile | null>(null);

/** Scores against labels of the query */
export const evaluation = signal<{
  readonly of: object;
  readonly scores: Evaluation;
  readonly request: MetricsRequest;
} | null>(null);

/** The samples, analysed per condition key */
export const analyses = signal<{
  readonly of: object;
  readonly results: readonly SampleAnalysisResult[];
  /** file of the cells, null without one, and its conditions */
  readonly file: string | null;
  readonly conditions: QueryConditions;
  /** covariates that the samples were classified by */
  readonly classified: readonly string[];
} | null>(null);

/** Counts, genes and mitochondrial counts of the cells of a file */
export const measuredQuality = signal<{ readonly of: object; readonly quality: CellQuality } | null>(null);

export function clusterGroups({ clusters }: MappingResult): MarkerGroups | null {
  return (
    clusters && {
      title: "cluster",
      codes: clusters.codes,
      names: clusters.numbers.map((number) => String(number)),
    }
  );
}

/** The predicted types, with the unknown cells as a group of their own. */
export function typeGroups({ levels }: MappingResult, at: number): MarkerGroups | null {
  const level = levels[at];
  return (
    (level && {
      title: level.key,
      codes: predictedCodes(level, unknown.value[at]),
      names: [...level.types, unknownName],
    }) ??
    null
  );
}

async function ask(request: MarkerRequest): Promise<MarkersFound> {
  return withFiles(work.value.query, (files) =>
    working("Finding marker genes", ({ jobs, listener }) => jobs.markerGenes(files, request, listener)),
  );
}

export async function findGroupMarkers({ title, codes, names }: MarkerGroups): Promise<void> {
  await guarded("Marker genes could not be found", async () => {
    const markers = await ask({ codes, names, top: shownMarkers, geneSets: geneSetFile.value });
    groupMarkers.value = { title, codes, ...markers };
  });
}

let clustersAsked: object | null = null;

/**
 * Finds the marker genes of the clusters in the background, so that they are ready when a user opens a
 * cluster.
 */
export async function findClusterMarkers(result: MappingResult): Promise<void> {
  const groups = clusterGroups(result);
  const { query } = work.value;
  if (!groups || !query || query.files.length === 0) return;
  if (clustersAsked === groups.codes || clusterMarkers.value?.codes === groups.codes) return;
  clustersAsked = groups.codes;
  const { title, codes, names } = groups;
  await guarded("Marker genes of the clusters could not be found", async () => {
    const { rows } = await runJob(({ jobs, listener }) =>
      jobs.markerGenes(query.files, { codes, names, top: shownMarkers }, listener),
    );
    clusterMarkers.value = { title, codes, rows };
  });
}

export async function findSelectionMarkers(cells: Uint32Array, how: string): Promise<void> {
  const { result } = work.value;
  if (!result) return;
  await guarded("Marker genes could not be found", async () => {
    const codes = new Int32Array(result.cells).fill(-1);
    for (const cell of cells) codes[cell] = 0;
    const { rows } = await ask({ codes, names: ["selection"], top: shownMarkers });
    selectionMarkers.value = { title: how, codes: cells, rows };
  });
}

export async function compareSelections(): Promise<void> {
  const { result } = work.value;
  const { a, b } = compared.value;
  if (!result || !a) return;
  await guarded("The selections could not be compared", async () => {
    const codes = new Int32Array(result.cells).fill(-1);
    for (const cell of b?.cells ?? []) codes[cell] = 1;
    for (const cell of a.cells) codes[cell] = 0;
    const { rows } = await ask({
      codes,
      names: b ? ["A", "B"] : ["A"],
      ...(b && { only: ["A"], against: "B" }),
      top: 200,
    });
    selectionsCompared.value = { title: `${a.how} against ${b?.how ?? "all other cells"}`, codes, rows };
  });
}

export async function compareGroups(request: CompareRequest): Promise<void> {
  const { result } = work.value;
  if (!result) return;
  const sets = geneSetFile.value;
  await guarded("The groups could not be compared", async () => {
    const answer = await withFiles(work.value.query, (files) =>
      working("Comparing samples", ({ jobs, listener }) =>
        jobs.compareGroups(files, currentAdditions(result), request, sets, listener),
      ),
    );
    comparison.value = { of: result, request, ...answer, setsFile: sets?.path ?? null };
  });
}
