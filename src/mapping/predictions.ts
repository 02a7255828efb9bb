// Labels of cells from where they are: by the nearest prototype, or by the head, with their uncertainties;
// and their places in the reference's UMAP. What takes long and waits for nothing else is computed beside.
import type { StoredModel } from "../model/checkpoint.js";
import { classify, withHead, withNovelty, type LevelPrediction } from "../model/classify.js";
import type { EmbedOptions } from "../config.js";
import type { CellPositions } from "./embedding.js";
import { ScPoliError } from "../errors.js";
import { classifyByHead, headColumns, headRows, levelMeans, type HeadLevel } from "../model/head.js";
import type { Neighbors } from "../model/neighbors.js";
import { noveltyParts, noveltyScore, noveltyUncertainty } from "../model/novelty.js";
import type { SideWork } from "./side-work.js";

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
  /**
   * gives (N, 2) places in the reference's UMAP, and computes what of them has not been computed beside; null
   * where the model carries no landmarks
   */
  readonly umap: () => Promise<Float32Array | null>;
}

/** @throws ScPoliError "usage" for a rule that is not known, or a threshold out of range */
export async function predictCells(
  stored: StoredModel,
  cells: EmbeddedCells,
  options: PredictionOptions,
  side: SideWork,
): Promise<Predictions> {
  const {
    threshold = "auto",
    classifier = "head",
    uncertainty = classifier === "head" ? "novelty" : "distance",
  } = options;
  if (classifier !== "head" && classifier !== "prototype")
    throw new ScPoliError("usage", `classifier is "${String(classifier)}"; expected "head" or "prototype".`);
  if (uncertainty !== "novelty" && uncertainty !== "distance")
    throw new ScPoliError(
      "usage",
      `uncertainty is "${String(uncertainty)}"; expected "novelty" or "distance".`,
    );
  const { json, tensors } = stored;
  const asked = { threshold, classifier, uncertainty };
  const heads = json.levels.map((_, level) => askedHead(json.head?.levels[level], asked));
  const around = surroundings(
    json.genes.length,
    cells,
    heads.map((head) => head?.novelty?.neighbors ?? 0),
    side,
  );
  const umap = stored.json.landmarks ? placing(cells.latent, json.model.latent_dim, side) : async () => null;
  const predictions: LevelPrediction[] = [];
  for (const [level, types] of json.levels.entries()) {
    const byPrototype = classify(
      cells.latent,
      { key: json.cell_type_keys[level]!, types },
      tensors.get("prototypes")!.data,
      json.model.latent_dim,
      json.calibration[level]!,
      threshold,
    );
    const head = heads[level];
    predictions.push(
      head ? await byHead(stored, byPrototype, level, head, cells, around, asked) : byPrototype,
    );
  }
  return { predictions, umap };
}

/** Cells that are placed together: what is copied to the side at once. */
const placedTogether = 1 << 16;
/** Share of the cells that is placed beside; the rest by whoever waits for them in the end. */
const placedBeside = 5 / 6;

/**
 * Begins to compute the places of cells.
 * @param latent - (N, D)
 * @returns what goes on when they are wanted
 */
function placing(latent: Float32Array, D: number, side: SideWork): () => Promise<Float32Array> {
  const N = latent.length / D;
  const beside = side.isBeside ? Math.floor(placedBeside * N) : 0;
  const parts: Promise<Float32Array>[] = [];
  for (let from = 0; from < beside; from += placedTogether)
    parts.push(side.compute("place", latent.slice(from * D, Math.min(beside, from + placedTogether) * D)));
  return async () => {
    const umap = new Float32Array(2 * N);
    umap.set(side.computeHere("place", latent.subarray(beside * D)), 2 * beside);
    for (const [i, part] of parts.entries()) umap.set(await part, 2 * placedTogether * i);
    return umap;
  };
}

/** The head of a level with what is asked for of it; null for nothing. */
function askedHead(
  own: HeadLevel | undefined,
  { classifier, uncertainty }: Pick<Required<PredictionOptions>, "classifier" | "uncertainty">,
): HeadLevel | null {
  if (!own) return null;
  const asked = uncertainty === "novelty" ? own : { ...own, novelty: undefined };
  return classifier === "head" || asked.novelty ? asked : null;
}

/** What is around the cells, for the levels that ask for it. */
interface Surroundings {
  /** by how many there are of each compared cell */
  readonly near: ReadonlyMap<number, Promise<Neighbors>>;
  readonly nearest: Promise<Int32Array> | null;
}

/** Begins to compute it. @param neighbors - of each level; 0 for none */
function surroundings(
  genes: number,
  { latent, compared, conditions }: EmbeddedCells,
  neighbors: readonly number[],
  side: SideWork,
): Surroundings {
  const asked = [...new Set(neighbors)].filter((count) => count > 0);
  if (!compared || asked.length === 0) return { near: new Map(), nearest: null };
  const own = compared.cells.map((cell) => conditions[cell]!);
  return {
    near: new Map(
      asked.map((count) => [count, side.compute("ownNeighbors", compared.rows, own, genes, count)]),
    ),
    nearest:
      own.length === conditions.length
        ? null
        : side.compute("nearestCompared", latent, compared.cells, conditions.length),
  };
}

/** One level's prediction with what the head says: labels, or uncertainties, or both, as asked for. */
async function byHead(
  { json, tensors }: StoredModel,
  byPrototype: LevelPrediction,
  level: number,
  own: HeadLevel,
  { scores, compared, conditions }: EmbeddedCells,
  { near, nearest }: Surroundings,
  { threshold, classifier }: Required<Pick<PredictionOptions, "threshold" | "classifier">>,
): Promise<LevelPrediction> {
  const head = json.head!;
  const { novelty } = own;
  const columns = headColumns(head, level);
  const prediction = classifyByHead(
    own,
    columns,
    scores,
    levelMeans(tensors.get("head.means")!.data, headRows(head), columns),
  );
  const labelled = classifier === "head" ? withHead(byPrototype, prediction, own.types) : byPrototype;
  if (!novelty) return labelled;
  const tensor = (name: string): Float32Array => tensors.get(`novelty.${level}.${name}`)!.data;
  const known = {
    means: tensor("means"),
    cells: Int32Array.from(own.types, () => 1),
    landmarks: tensor("landmarks"),
    whitening: tensor("whitening"),
    profiles: { means: tensor("profiles"), variances: tensor("variances") },
  };
  const parts = await noveltyParts(
    { scores, conditions, compared: compared!, near: near.get(novelty.neighbors)!, nearest },
    columns,
    prediction,
    known,
    novelty,
  );
  const score = noveltyScore(parts, prediction.position, novelty);
  const above = Uint8Array.from(score, (value, cell) =>
    value > novelty.thresholds[prediction.position[cell]!]! ? 1 : 0,
  );
  return withNovelty(labelled, noveltyUncertainty(score, novelty), above, own.types, threshold);
}
