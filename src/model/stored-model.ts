// A trained model outside an engine: the contents of `model.json` and the tensors.

import type {
  AtacCounts,
  ConditionEncoding,
  Defaults,
  DistanceReduction,
  ModelOptions,
  PrototypeLoss,
  ReconLoss,
} from "../contract/options.js";
import type { SampleMetadata } from "../data/sample-metadata.js";

/** Model format that this package writes, and the newest that it reads. */
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
    /** missing in older models: "embedding" */
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
  /** kind of counts of a Poisson model, also for its queries. Missing: counts are not converted */
  readonly atac_counts?: AtacCounts;
  /** feature types of the model, or "all". Missing: gene expression only */
  readonly feature_types?: readonly string[];
  /** (G) */
  readonly genes: readonly string[];
  readonly condition_keys: readonly string[];
  /** per key: names of the conditions, in the order of the embedding's rows */
  readonly conditions: readonly (readonly string[])[];
  /** per key: number of conditions of the reference, which come first */
  readonly reference_conditions: readonly number[];
  /** per column of theta: code of the condition of each key */
  readonly combinations: readonly (readonly number[])[];
  readonly cell_type_keys: readonly string[];
  /** (K) names of the prototypes */
  readonly cell_types: readonly string[];
  /** per level: rows of `cell_types`, ascending */
  readonly levels: readonly (readonly number[])[];
  /**
   * Prototype loss of the training, also used to map labelled queries. Missing in models without labels, of
   * other programs, and in older models: the distance, with weight 1
   */
  readonly prototype_loss?: {
    readonly loss: PrototypeLoss;
    readonly eta: number;
    readonly eta_cross_entropy: number;
    /** missing: "type-sum" */
    readonly distance_reduction?: DistanceReduction;
    readonly type_balance: number;
  };
  /** (K) number of cells averaged in each prototype; 0 if unknown (imported models) */
  readonly prototype_counts: readonly number[];
  /**
   * (U) permanent number of each unlabelled prototype, and the number of cells averaged in it. Since format
   * 2.
   */
  readonly unlabeled_prototypes: readonly { readonly cluster: number; readonly cells: number }[];
  /** per level */
  readonly calibration: readonly LevelCalibration[];
  /** per key: metadata of its conditions; missing if there is none */
  readonly sample_metadata?: readonly SampleMetadata[];
  /**
   * null: cells are labelled by their nearest prototype (a model without labels, or made by another program)
   */
  readonly head: HeadJson | null;
  /**
   * null: no landmarks (`landmarks: false`, models of format 2 and 1, and of other programs). Since format 3.
   */
  readonly landmarks: LandmarksJson | null;
  readonly provenance: Readonly<Record<string, unknown>>;
}

/** Properties of the landmarks (landmarks.ts) besides their tensors. */
export interface LandmarksJson {
  /** L */
  readonly cells: number;
  /** number of reference cells that they were sampled from */
  readonly of: number;
  /** 5 %, 50 % and 95 % quantiles of the size factors of all reference cells */
  readonly size_factors: readonly [number, number, number];
  /**
   * 95 % quantile of the distance of landmarks to their 15th nearest other landmark in the latent space; of
   * those that are validation cells, if they are enough
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
   * parameters by scArches' names, `prototypes` (K, D) and `prototype_covariances` (K, D, D); if present,
   * `unlabeled_prototypes` (U, D), `unlabeled_prototype_covariances` (U, D, D), and the tensors of the head
   * and the landmarks
   */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Model options in the form of `model.json`. */
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

/** The prototype loss and its weights; 0 for a term that is not part of it. */
type PrototypeLossOptions = Pick<
  Defaults,
  "prototypeLoss" | "eta" | "etaCrossEntropy" | "distanceReduction" | "typeBalance"
>;

/** The prototype loss in the form of `model.json`. */
export function storedPrototypeLoss(options: PrototypeLossOptions): ModelJson["prototype_loss"] {
  return {
    loss: options.prototypeLoss,
    eta: options.eta,
    eta_cross_entropy: options.etaCrossEntropy,
    distance_reduction: options.distanceReduction,
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
        distanceReduction: stored.distance_reduction ?? "type-sum",
        typeBalance: stored.type_balance,
      }
    : {
        prototypeLoss: "distance",
        eta: 1,
        etaCrossEntropy: 0,
        distanceReduction: "type-sum",
        typeBalance: 0,
      };
}

/**
 * Scales that turn distances into uncertainties and probabilities at one annotation level, estimated on
 * held-out reference cells.
 */
export type LevelCalibration = {
  /**
   * distance at which the uncertainty is 0.5: 95 % of the held-out reference cells are closer to their
   * prototype
   */
  readonly distance_scale: number;
  /** sigma of the probability exp(-distance^2 / (2 sigma^2)): maximum likelihood on the held-out cells */
  readonly probability_scale: number;
  /** uncertainty above which a cell is unknown with the threshold "auto" */
  readonly threshold: number;
  /** number of cells used for the estimate */
  readonly cells: number;
};

/**
 * The classifier head in `model.json`. Its tensors are `head.weight` (R, G) and `head.bias` (R), with R the
 * types of all levels, concatenated.
 */
export interface HeadJson {
  readonly levels: readonly HeadLevel[];
  /** training settings, chosen on left-out conditions; missing in older models */
  readonly training?: HeadTraining;
}

/** Penalty and weights of a head, chosen by the log loss on left-out conditions (labels/head-training.ts). */
export interface HeadTraining {
  /** C: weight of the summed losses against |W|^2 / 2 */
  readonly inverse_penalty: number;
  /** a cell of a type with n cells weighs n^-exponent: 0, 0.5 or 1 */
  readonly type_exponent: number;
}

export interface HeadLevel {
  /**
   * rows of `cell_types` that the head distinguishes, ascending; excludes types added later
   */
  readonly types: readonly number[];
  /** probabilities are the softmax of score / temperature; chosen on left-out conditions */
  readonly temperature: number;
  /** accuracy on cells of left-out donors; missing if none could be left out */
  readonly left_out?: LeftOutLabels;
  /** missing if novelty is not calibrated */
  readonly novelty?: NoveltyJson;
  /** reason why novelty is not calibrated */
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
 * Calibration of the novelty score (novelty.ts) at one level. Its tensors are
 * `novelty.<level>.profiles` (K, G), `.displacements` (C, G), `.variances` (2, G), `.company` and `.alone`
 * (cells, 3 + 3 per neighbourhood).
 */
export interface NoveltyJson {
  /** neighbourhood sizes with a calibration each; ascending */
  readonly neighborhoods: readonly number[];
  /** number of donors (or conditions) left out in turn */
  readonly units: number;
  /** median number of cells of a left-out donor; missing in models of earlier versions */
  readonly donor_cells?: number;
}
