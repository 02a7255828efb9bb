// A typed view of what a model holds, for callers that draw or list it.
import type { ConditionEncoding, EpochLosses } from "../contract/options.js";
import type { StoredModel } from "../model/stored-model.js";

/** What a model holds. Arrays are views of the model: not to be written to. */
export interface ModelContent {
  /** (G) names of the genes */
  readonly genes: readonly string[];
  /** Columns of obs that conditions come from, in order */
  readonly conditionKeys: readonly string[];
  /** Per key, names of its conditions */
  readonly conditions: readonly (readonly string[])[];
  /** How conditions enter the network */
  readonly conditionEncoding: ConditionEncoding;
  /** D, dimensions of the latent space */
  readonly latentDim: number;
  /** (K) names of the labelled prototypes */
  readonly cellTypes: readonly string[];
  /** annotation levels, in order */
  readonly levels: readonly AnnotationLevel[];
  /** (K, D) labelled prototypes, row-major */
  readonly prototypes: Float32Array;
  /** numbers of the unlabelled prototypes */
  readonly clusters: readonly number[];
  /** null where the model carries none */
  readonly landmarks: LandmarkCells | null;
  /** losses of the epochs of the training; empty where they are not known */
  readonly history: readonly EpochLosses[];
}

/** An annotation level of a model. */
export interface AnnotationLevel {
  /** Column of obs that it comes from */
  readonly key: string;
  /** Rows of `cellTypes`, ascending */
  readonly types: readonly number[];
}

/** Reference cells that a model carries. */
export interface LandmarkCells {
  /** (L, 2) positions in the reference's UMAP, row-major */
  readonly umap: Float32Array;
  /** (L, levels) rows of `cellTypes`, -1 for none; row-major */
  readonly labels: Float32Array;
  /** (L, keys) codes of the conditions, row-major */
  readonly conditions: Float32Array;
}

/** The content of a stored model. */
export function modelContent({ json, tensors }: StoredModel): ModelContent {
  const umap = tensors.get("landmarks.umap")?.data;
  const history = json.provenance["history"] as readonly EpochLosses[] | undefined;
  return {
    genes: json.genes,
    conditionKeys: json.condition_keys,
    conditions: json.conditions,
    conditionEncoding: json.model.condition_encoding ?? "embedding",
    latentDim: json.model.latent_dim,
    cellTypes: json.cell_types,
    levels: json.cell_type_keys.map((key, level) => ({ key, types: json.levels[level]! })),
    prototypes: tensors.get("prototypes")!.data,
    clusters: json.unlabeled_prototypes.map(({ cluster }) => cluster),
    landmarks: umap
      ? {
          umap,
          labels: tensors.get("landmarks.labels")!.data,
          conditions: tensors.get("landmarks.conditions")!.data,
        }
      : null,
    history: history ?? [],
  };
}
