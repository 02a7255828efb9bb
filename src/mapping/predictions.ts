// Predicts labels of embedded cells with the nearest prototype or the head, with uncertainties and novelty
// scores, and places the cells in the reference's UMAP. Slow independent parts run in a background worker.
import type { StoredModel, HeadLevel } from "../model/stored-model.js";
import {
  classify,
  unlikeReference,
  withHead,
  withNovelty,
  type LevelPrediction,
} from "../labels/classify.js";
import type { EmbedOptions } from "../contract/options.js";
import type { CellPositions } from "./embedding.js";
import { ScPoliError } from "../contract/errors.js";
import { classifyByHead, headColumns } from "../labels/head.js";
import type { Neighbors } from "../graph/neighbors.js";
import { QueryNovelty, queryParts, wantedNeighbors, type StoredNovelty } from "../novelty/novelty.js";
import { nearestRows } from "../prototypes/prototypes.js";
import type { BackgroundWork } from "./background-work.js";

/** Options of label prediction. */
export type PredictionOptions = Pick<EmbedOptions, "threshold" | "classifier" | "uncertainty">;

/** Cells to be labelled. */
export interface EmbeddedCells extends Pick<CellPositions, "latent" | "scores" | "compared"> {
  /** (N) code of each cell's combination of conditions */
  readonly conditions: Int32Array;
}

/** Labels, clusters and UMAP positions of embedded cells. */
export interface Predictions {
  /** one per level */
  readonly predictions: readonly LevelPrediction[];
  /** (N) row of the nearest unlabelled prototype; null if the model has none */
  readonly clusters: Int32Array | null;
  /** per unlabelled prototype: novelty of its cells at the first level; null if not calibrated */
  readonly clusterNovelty: readonly ClusterNovelty[] | null;
  /**
   * computes the remaining and returns all (N, 2) positions in the reference's UMAP; null if the model has no
   * landmarks
   */
  readonly umap: () => Promise<Float32Array | null>;
}

/** Novelty of a cluster of cells, and the genes that make it novel. */
interface ClusterNovelty {
  /** 0..1: one minus the p-value among the types of left-out donors */
  readonly novelty: number;
  readonly isNovel: boolean;
  /** genes expressed higher and lower than any mixture of known types explains, largest differences first */
  readonly genes_up: readonly string[];
  readonly genes_down: readonly string[];
}

/**
 * Predicts labels of cells at every level.
 * @throws ScPoliError "usage" for an unknown classifier or uncertainty, or an invalid threshold
 */
export async function predictCells(
  stored: StoredModel,
  cells: EmbeddedCells,
  options: PredictionOptions,
  background: BackgroundWork,
): Promise<Predictions> {
  const { threshold = "auto", classifier = "prototype", uncertainty = "probability" } = options;
  if (classifier !== "head" && classifier !== "prototype")
    throw new ScPoliError("usage", `classifier is "${String(classifier)}"; expected "prototype" or "head".`);
  if (uncertainty !== "probability" && uncertainty !== "distance")
    throw new ScPoliError(
      "usage",
      `uncertainty is "${String(uncertainty)}"; expected "probability" or "distance".`,
    );
  const { json, tensors } = stored;
  const rules = { threshold, classifier, uncertainty };
  const neighborhood = startNeighborSearch(json.genes.length, cells, json.head?.levels ?? [], background);
  const umap = json.landmarks
    ? startPlacing(cells.latent, json.model.latent_dim, background)
    : async () => null;
  const unlabelled = tensors.get("unlabeled_prototypes");
  const clusters = unlabelled ? nearestRows(cells.latent, unlabelled.data, json.model.latent_dim) : null;
  const predictions: LevelPrediction[] = [];
  let firstNovelty: QueryNovelty | null = null;
  for (const [level, types] of json.levels.entries()) {
    const byPrototype = classify(
      cells.latent,
      { key: json.cell_type_keys[level]!, types },
      tensors.get("prototypes")!.data,
      json.model.latent_dim,
      json.calibration[level]!,
      threshold,
    );
    const { prediction, novelty } = await predictLevel(
      stored,
      byPrototype,
      level,
      cells,
      neighborhood,
      rules,
    );
    predictions.push(prediction);
    if (level === 0) firstNovelty = novelty;
  }
  if (typeof threshold === "number" && predictions.every(({ threshold: limit }) => limit === null))
    throw new ScPoliError(
      "usage",
      "threshold applies to the novelty score, which this model does not give " +
        `(${predictions[0]?.notFlagged ?? "it has no cell types"}); --uncertainty distance flags cells by ` +
        "their distance to the prototypes.",
    );
  return {
    predictions,
    clusters,
    clusterNovelty: clusters && firstNovelty && clusterNovelty(stored, clusters, firstNovelty),
    umap,
  };
}

/** Novelty of each cluster. @param clusters - (N) row of each cell's unlabelled prototype */
function clusterNovelty(
  { json }: StoredModel,
  clusters: Int32Array,
  novelty: QueryNovelty,
): ClusterNovelty[] {
  const members = json.unlabeled_prototypes.map((): number[] => []);
  clusters.forEach((row, cell) => members[row]!.push(cell));
  return members.map((cells) => {
    if (cells.length === 0) return { novelty: 0, isNovel: false, genes_up: [], genes_down: [] };
    const { up, down } = novelty.genesOf(cells);
    return {
      ...novelty.ofGroup(cells),
      genes_up: up.map((gene) => json.genes[gene]!),
      genes_down: down.map((gene) => json.genes[gene]!),
    };
  });
}

/** Number of cells sent to the background thread at once. */
const cellsPerRequest = 1 << 16;
/** Share of the cells placed by the background thread; the caller places the rest at the end. */
const backgroundShare = 5 / 6;

/**
 * Starts to place cells in the reference's UMAP.
 * @param latent - (N, D)
 * @returns function that places the rest and returns all (N, 2) positions
 */
function startPlacing(
  latent: Float32Array,
  D: number,
  background: BackgroundWork,
): () => Promise<Float32Array> {
  const N = latent.length / D;
  const backgroundCells = background.hasThread ? Math.floor(backgroundShare * N) : 0;
  const parts: Promise<Float32Array>[] = [];
  for (let from = 0; from < backgroundCells; from += cellsPerRequest)
    parts.push(
      background.compute(
        "place",
        latent.slice(from * D, Math.min(backgroundCells, from + cellsPerRequest) * D),
      ),
    );
  return async () => {
    const umap = new Float32Array(2 * N);
    umap.set(background.computeHere("place", latent.subarray(backgroundCells * D)), 2 * backgroundCells);
    for (const [i, part] of parts.entries()) umap.set(await part, 2 * cellsPerRequest * i);
    return umap;
  };
}

/** Neighbours of the cells among the compared cells, for calibrated novelty. */
interface Neighborhood {
  readonly neighbors: Promise<Neighbors>;
  readonly nearest: Promise<Int32Array> | null;
}

/** Starts the neighbour search; null if no level has calibrated novelty. */
function startNeighborSearch(
  genes: number,
  { latent, compared, conditions }: EmbeddedCells,
  levels: readonly HeadLevel[],
  background: BackgroundWork,
): Neighborhood | null {
  const calibration = levels.find(({ novelty }) => novelty)?.novelty;
  if (!compared || !calibration) return null;
  const n = compared.cells.length;
  const N = conditions.length;
  const parts = queryParts(calibration, n);
  const k = wantedNeighbors(Math.floor(n / parts));
  return {
    neighbors: background.compute("queryNeighbors", compared.rows, genes, k, parts),
    nearest: n === N ? null : background.compute("nearestCompared", latent, compared.cells, N),
  };
}

/** Predicts one level with the requested rules: labels, probability, uncertainty and novelty. */
async function predictLevel(
  { json, tensors }: StoredModel,
  byPrototype: LevelPrediction,
  level: number,
  { scores, compared, conditions }: EmbeddedCells,
  neighborhood: Neighborhood | null,
  { threshold, classifier, uncertainty }: Required<PredictionOptions>,
): Promise<{ readonly prediction: LevelPrediction; readonly novelty: QueryNovelty | null }> {
  const head = json.head;
  const headLevel = head?.levels[level];
  const byHead = head && headLevel ? classifyByHead(headLevel, headColumns(head, level), scores) : null;
  const labelled = byHead ? withHead(byPrototype, byHead, headLevel!.types, classifier) : byPrototype;
  const novelty =
    byHead && headLevel!.novelty && neighborhood
      ? new QueryNovelty(storedNovelty(tensors, headLevel!.novelty, level), {
          prediction: byHead,
          conditions,
          compared: compared!,
          neighbors: await neighborhood.neighbors,
          nearest: await neighborhood.nearest,
        })
      : null;
  const reason = novelty
    ? novelty.isUnlike
      ? unlikeReference
      : null
    : `not calibrated: ${headLevel?.not_calibrated ?? "the model was made by another program or version"}`;
  const types = headLevel?.types ?? json.levels[level]!;
  const withFlags = withNovelty(
    labelled,
    { novelty: novelty?.novelty ?? null, notFlagged: reason },
    types,
    threshold,
  );
  const prediction =
    uncertainty === "probability"
      ? withFlags
      : {
          ...withFlags,
          uncertaintyBy: uncertainty,
          uncertainty: byPrototype.uncertainty,
          unknown: byPrototype.unknown,
          threshold: byPrototype.threshold,
          notFlagged: null,
        };
  return { prediction, novelty };
}

function storedNovelty(
  tensors: StoredModel["tensors"],
  json: StoredNovelty["json"],
  level: number,
): StoredNovelty {
  const tensor = (name: string): Float32Array => tensors.get(`novelty.${level}.${name}`)!.data;
  return {
    json,
    profiles: {
      means: tensor("profiles"),
      displacements: tensor("displacements"),
      variances: tensor("variances"),
    },
    company: tensor("company"),
    alone: tensor("alone"),
  };
}
