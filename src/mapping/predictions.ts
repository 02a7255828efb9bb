// Labels of cells from where they are: by the nearest prototype, or by the head, with their uncertainties;
// and their places in the reference's UMAP. What takes long and waits for nothing else is computed beside.
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
import { QueryNovelty, wantedNeighbors, type StoredNovelty } from "../novelty/novelty.js";
import { nearestRows } from "../prototypes/prototypes.js";
import type { BackgroundWork } from "./background-work.js";

/** What labels are asked for. */
export type PredictionOptions = Pick<EmbedOptions, "threshold" | "classifier" | "uncertainty">;

/** Cells to be labelled. */
export interface EmbeddedCells extends Pick<CellPositions, "latent" | "scores" | "compared"> {
  /** (N) code of each cell's combination of conditions */
  readonly conditions: Int32Array;
}

/** What is told of embedded cells. */
export interface Predictions {
  /** of every level */
  readonly predictions: readonly LevelPrediction[];
  /** (N) row of the nearest unlabelled prototype; null where the model has none */
  readonly clusters: Int32Array | null;
  /** per unlabelled prototype: how novel its cells are at the first level; null where that is not calibrated */
  readonly clusterNovelty: readonly ClusterNovelty[] | null;
  /**
   * gives (N, 2) places in the reference's UMAP, and computes what of them has not been computed beside; null
   * where the model carries no landmarks
   */
  readonly umap: () => Promise<Float32Array | null>;
}

/** Novelty of the cells of a cluster, and the genes that make them novel. */
export interface ClusterNovelty {
  /** 0..1: one less the p-value among the types of left-out donors */
  readonly novelty: number;
  readonly isNovel: boolean;
  /** more and less of these than any mixture of known types explains, the most first */
  readonly genes_up: readonly string[];
  readonly genes_down: readonly string[];
}

/** @throws ScPoliError "usage" for a rule that is not known, or a threshold out of range */
export async function predictCells(
  stored: StoredModel,
  cells: EmbeddedCells,
  options: PredictionOptions,
  background: BackgroundWork,
): Promise<Predictions> {
  const { threshold = "auto", classifier = "head", uncertainty = "probability" } = options;
  if (classifier !== "head" && classifier !== "prototype")
    throw new ScPoliError("usage", `classifier is "${String(classifier)}"; expected "head" or "prototype".`);
  if (uncertainty !== "probability" && uncertainty !== "distance")
    throw new ScPoliError(
      "usage",
      `uncertainty is "${String(uncertainty)}"; expected "probability" or "distance".`,
    );
  const { json, tensors } = stored;
  const asked = { threshold, classifier, uncertainty };
  const around = surroundings(json.genes.length, cells, json.head?.levels ?? [], background);
  const umap = json.landmarks ? placing(cells.latent, json.model.latent_dim, background) : async () => null;
  const unlabelled = tensors.get("unlabeled_prototypes");
  const clusters = unlabelled ? nearestRows(cells.latent, unlabelled.data, json.model.latent_dim) : null;
  const predictions: LevelPrediction[] = [];
  let first: QueryNovelty | null = null;
  for (const [level, types] of json.levels.entries()) {
    const byPrototype = classify(
      cells.latent,
      { key: json.cell_type_keys[level]!, types },
      tensors.get("prototypes")!.data,
      json.model.latent_dim,
      json.calibration[level]!,
      threshold,
    );
    const { prediction, novelty } = await predictLevel(stored, byPrototype, level, cells, around, asked);
    predictions.push(prediction);
    if (level === 0) first = novelty;
  }
  if (typeof threshold === "number" && predictions.every(({ threshold: limit }) => limit === null))
    throw new ScPoliError(
      "usage",
      `threshold is on the novelty, which this model does not tell (${predictions[0]?.notFlagged ?? "it has no cell types"}); --uncertainty distance flags cells by their distance to the prototypes.`,
    );
  return {
    predictions,
    clusters,
    clusterNovelty: clusters && first && clusterNovelty(stored, clusters, first),
    umap,
  };
}

/** Of each unlabelled prototype. @param clusters - (N) its row */
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

/** Cells that are placed together: what is copied to the background thread at once. */
const placedTogether = 1 << 16;
/** Share of the cells that is placed beside; the rest by whoever waits for them in the end. */
const placedBeside = 5 / 6;

/**
 * Begins to compute the places of cells.
 * @param latent - (N, D)
 * @returns what goes on when they are wanted
 */
function placing(latent: Float32Array, D: number, background: BackgroundWork): () => Promise<Float32Array> {
  const N = latent.length / D;
  const beside = background.isBeside ? Math.floor(placedBeside * N) : 0;
  const parts: Promise<Float32Array>[] = [];
  for (let from = 0; from < beside; from += placedTogether)
    parts.push(
      background.compute("place", latent.slice(from * D, Math.min(beside, from + placedTogether) * D)),
    );
  return async () => {
    const umap = new Float32Array(2 * N);
    umap.set(background.computeHere("place", latent.subarray(beside * D)), 2 * beside);
    for (const [i, part] of parts.entries()) umap.set(await part, 2 * placedTogether * i);
    return umap;
  };
}

/** What is around the cells, for the levels whose novelty is calibrated. */
interface Surroundings {
  readonly near: Promise<Neighbors>;
  readonly nearest: Promise<Int32Array> | null;
}

/** Begins to compute it. */
function surroundings(
  genes: number,
  { latent, compared, conditions }: EmbeddedCells,
  levels: readonly HeadLevel[],
  background: BackgroundWork,
): Surroundings | null {
  if (!compared || !levels.some(({ novelty }) => novelty)) return null;
  const n = compared.cells.length;
  const N = conditions.length;
  return {
    near: background.compute("queryNeighbors", compared.rows, genes, wantedNeighbors(n)),
    nearest: n === N ? null : background.compute("nearestCompared", latent, compared.cells, N),
  };
}

/** One level: labels by the rule that is asked for, with probability, uncertainty and novelty. */
async function predictLevel(
  { json, tensors }: StoredModel,
  byPrototype: LevelPrediction,
  level: number,
  { scores, compared, conditions }: EmbeddedCells,
  around: Surroundings | null,
  { threshold, classifier, uncertainty }: Required<PredictionOptions>,
): Promise<{ readonly prediction: LevelPrediction; readonly novelty: QueryNovelty | null }> {
  const head = json.head;
  const own = head?.levels[level];
  const byHead = head && own ? classifyByHead(own, headColumns(head, level), scores) : null;
  const labelled = byHead && classifier === "head" ? withHead(byPrototype, byHead, own!.types) : byPrototype;
  const novelty =
    byHead && own!.novelty && around
      ? new QueryNovelty(storedNovelty(tensors, own!.novelty, level), {
          prediction: byHead,
          conditions,
          compared: compared!,
          near: await around.near,
          nearest: await around.nearest,
        })
      : null;
  const reason = novelty
    ? novelty.isUnlike
      ? unlikeReference
      : null
    : `not calibrated: ${own?.not_calibrated ?? "the model was made by another program or version"}`;
  const types = own?.types ?? json.levels[level]!;
  const judged = withNovelty(
    labelled,
    { novelty: novelty?.novelty ?? null, notFlagged: reason },
    types,
    threshold,
  );
  const prediction =
    uncertainty === "probability"
      ? judged
      : {
          ...judged,
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
