// What a trained model consists of when it is not in an engine: `model.json` and the tensors beside it.

import type {
  AtacCounts,
  ConditionEncoding,
  Defaults,
  ModelOptions,
  PrototypeLoss,
  ReconLoss,
} from "../contract/options.js";
import type { SampleMetadata } from "../data/sample-metadata.js";

/** Version of the folder's layout that this package writes, and the newest that it reads. */
export const formatVersion = 7;

/**
 * `model.json`. Arrays "per key" and "per level" are in the order of `condition_keys` and `cell_type_keys`.
 */
export interface ModelJson {
  readonly format_version: number;
  readonly scpoli_version: string;
  readonly model: {
    /** Units of the hidden layers, from the input on */
    readonly hidden_layer_sizes: readonly number[];
    /** D, dimensions of the latent space */
    readonly latent_dim: number;
    /** missing in models of before one-hot encoding: "embedding" */
    readonly condition_encoding?: ConditionEncoding;
    /** Dimensions of the embedding of each condition key */
    readonly embedding_dims: readonly number[];
    /** Where conditions enter */
    readonly inject_condition: readonly ("encoder" | "decoder")[];
    /** Likelihood of the values */
    readonly recon_loss: ReconLoss;
    /** Share of hidden units left out per training step */
    readonly dropout: number;
  };
  /** what the counts of a Poisson model were taken as; a query's are taken likewise. Missing: as they are */
  readonly atac_counts?: AtacCounts;
  /** types of the features that it is made of, or "all". Missing: gene expression alone */
  readonly feature_types?: readonly string[];
  /** (G) */
  readonly genes: readonly string[];
  readonly condition_keys: readonly string[];
  /** per key: names of the conditions, in the order of the embedding's rows */
  readonly conditions: readonly (readonly string[])[];
  /** per key: how many of them belong to the reference (they come first) */
  readonly reference_conditions: readonly number[];
  /** per column of theta: code of the condition of each key */
  readonly combinations: readonly (readonly number[])[];
  readonly cell_type_keys: readonly string[];
  /** (K) names of the prototypes */
  readonly cell_types: readonly string[];
  /** per level: rows of `cell_types`, ascending */
  readonly levels: readonly (readonly number[])[];
  /**
   * What drew cells to the prototypes; a labelled query is mapped with the same. Missing in models without
   * labels, of other programs, and of before there was a choice: the distance, with weight 1
   */
  readonly prototype_loss?: {
    readonly loss: PrototypeLoss;
    readonly eta: number;
    readonly eta_cross_entropy: number;
    readonly type_balance: number;
  };
  /** (K) cells that each prototype is the mean of; 0 where that is not known (imported models) */
  readonly prototype_counts: readonly number[];
  /**
   * (U) of each unlabelled prototype its number, which it keeps for good, and the cells that it is the mean
   * of. Since format 2.
   */
  readonly unlabeled_prototypes: readonly { readonly cluster: number; readonly cells: number }[];
  /** per level */
  readonly calibration: readonly LevelCalibration[];
  /** per key what is known of its conditions beside their names; missing where nothing is */
  readonly sample_metadata?: readonly SampleMetadata[];
  /**
   * null: cells are labelled by their nearest prototype (a model without labels, or made by another program)
   */
  readonly head: HeadJson | null;
  /**
   * null: the model carries none (`landmarks: false`, models of format 2 and 1, and of other programs). Since
   * format 3.
   */
  readonly landmarks: LandmarksJson | null;
  readonly provenance: Readonly<Record<string, unknown>>;
}

/** Of the landmarks (landmarks.ts), beside their tensors. */
export interface LandmarksJson {
  /** L */
  readonly cells: number;
  /** cells of the reference that they were chosen from */
  readonly of: number;
  /** 5 %, 50 % and 95 % quantile of the size factors of all cells of the reference */
  readonly size_factors: readonly [number, number, number];
  /**
   * distance in the latent space within which 95 % of the landmarks have their 15th nearest other landmark
   */
  readonly neighbor_distance: number;
}

export interface StoredTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A model folder in memory. */
export interface StoredModel {
  readonly json: ModelJson;
  /**
   * parameters by scArches' names, `prototypes` (K, D) and `prototype_covariances` (K, D, D); where there are
   * any, `unlabeled_prototypes` (U, D) and `unlabeled_prototype_covariances` (U, D, D); with a head or
   * landmarks, theirs
   */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Model options as `model.json` has them. */
export function storedOptions(options: ModelOptions): ModelJson["model"] {
  return {
    hidden_layer_sizes: options.hiddenLayerSizes,
    latent_dim: options.latentDim,
    condition_encoding: options.conditionEncoding,
    embedding_dims: options.embeddingDims,
    inject_condition: options.injectCondition,
    recon_loss: options.reconLoss,
    dropout: options.dropout,
  };
}

/** Model options from `model.json`. */
export function optionsOf(model: ModelJson["model"]): ModelOptions {
  return {
    hiddenLayerSizes: model.hidden_layer_sizes,
    latentDim: model.latent_dim,
    conditionEncoding: model.condition_encoding ?? "embedding",
    embeddingDims: model.embedding_dims,
    injectCondition: model.inject_condition,
    reconLoss: model.recon_loss,
    dropout: model.dropout,
  };
}

/** What drew cells to prototypes, and with which weights; 0 where a term has no part. */
type PrototypeLossOptions = Pick<Defaults, "prototypeLoss" | "eta" | "etaCrossEntropy" | "typeBalance">;

/** The prototype loss as `model.json` has it. */
export function storedPrototypeLoss(options: PrototypeLossOptions): ModelJson["prototype_loss"] {
  return {
    loss: options.prototypeLoss,
    eta: options.eta,
    eta_cross_entropy: options.etaCrossEntropy,
    type_balance: options.typeBalance,
  };
}

/** The prototype loss from `model.json`. */
export function prototypeLossOf({ prototype_loss: stored }: ModelJson): PrototypeLossOptions {
  return stored
    ? {
        prototypeLoss: stored.loss,
        eta: stored.eta,
        etaCrossEntropy: stored.eta_cross_entropy,
        typeBalance: stored.type_balance,
      }
    : { prototypeLoss: "distance", eta: 1, etaCrossEntropy: 0, typeBalance: 0 };
}

/**
 * What turns distances into uncertainties and probabilities at one annotation level; chosen on held-out
 * reference cells and stored with the model.
 */
export type LevelCalibration = {
  /**
   * distance at which the uncertainty is 0.5: 95 % of the held-out reference cells are closer to their
   * prototype
   */
  readonly distance_scale: number;
  /** sigma of the probability exp(-distance^2 / (2 sigma^2)), the likeliest on the held-out cells */
  readonly probability_scale: number;
  /** uncertainty above which a cell is unknown with the threshold "auto" */
  readonly threshold: number;
  /** cells it was chosen from */
  readonly cells: number;
};

/**
 * The head in `model.json`; its tensors are `head.weight` (R, G) and `head.bias` (R), R the types of all its
 * levels, one after the other.
 */
export interface HeadJson {
  readonly levels: readonly HeadLevel[];
  /** how it was trained: chosen on conditions that were left out; missing in models of before that */
  readonly training?: HeadTraining;
}

/** Penalty and weights of a head, by the log loss of left-out conditions (labels/head-training.ts). */
export interface HeadTraining {
  /** C: weight of the summed losses against |W|^2 / 2 */
  readonly inverse_penalty: number;
  /** a cell of a type with n cells weighs n^-exponent: 0, 0.5 or 1 */
  readonly type_exponent: number;
}

export interface HeadLevel {
  /**
   * rows of `cell_types` that it tells apart, ascending; a type that the model got later is not among them
   */
  readonly types: readonly number[];
  /** probabilities are the softmax of score / temperature; chosen on conditions that were left out */
  readonly temperature: number;
  /** how well cells of left-out donors are named; missing where none could be left out */
  readonly left_out?: LeftOutLabels;
  /** missing where the novelty of cells is not calibrated */
  readonly novelty?: NoveltyJson;
  /** why it is not */
  readonly not_calibrated?: string;
}

/** Labels that heads gave to cells while they were trained without their donors (labels/head-training.ts). */
export interface LeftOutLabels {
  /** cells of types that other donors have too, of at most 2,500 */
  readonly cells: number;
  /** donors (or conditions) that were left out in turn */
  readonly units: number;
  /** mean over the types of the share of their cells that were named right, 0 to 1 */
  readonly mean_recall: number;
}

/**
 * How the novelty of cells (novelty.ts) is calibrated at one level; its tensors are
 * `novelty.<level>.profiles` (K, G), `.displacements` (C, G), `.variances` (2, G), `.company` and `.alone`
 * (cells, 3 + 3 per neighbourhood).
 */
export interface NoveltyJson {
  /** neighbours of a cell in its neighbourhood, for each of which there is a calibration; ascending */
  readonly neighborhoods: readonly number[];
  /** donors (or conditions) that were left out in turn */
  readonly units: number;
}
