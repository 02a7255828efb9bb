// Options of the model, of training and of mapping: the paper's defaults, ranges and validation. Names are
// those of scArches in camelCase.
import { ScPoliError } from "./errors.js";

/**
 * Likelihood of the values: negative binomial, zero-inflated negative binomial, Poisson (scATAC fragment
 * counts), or squared error (normalised values). "reference-poisson" omits the size factor from the loss, as
 * the Python package does.
 */
export const reconLosses = ["nb", "zinb", "poisson", "mse", "reference-poisson"] as const;
export type ReconLoss = (typeof reconLosses)[number];
/** Unit of scATAC counts: reads, or fragments (two reads each). */
export type AtacCounts = "reads" | "fragments";
/** Encoding of conditions: learnt embeddings, or one-hot inputs (the paper's ablation). */
export const conditionEncodings = ["embedding", "one-hot"] as const;
export type ConditionEncoding = (typeof conditionEncodings)[number];
/**
 * Loss that pulls cells towards the prototypes of their types: the distance to the prototype (the paper's),
 * the cross-entropy of softmax(-|z - prototype|^2 / 2) over the prototypes of the level (which also pushes
 * cells away from other types), both, or none.
 */
export const prototypeLosses = ["distance", "cross-entropy", "both", "off"] as const;
/** Name of a prototype loss. */
export type PrototypeLoss = (typeof prototypeLosses)[number];
/** Averages of the distance: see `OptimizationOptions.distanceReduction`. */
export const distanceReductions = ["cell-mean", "type-sum"] as const;
export type DistanceReduction = (typeof distanceReductions)[number];
/** Sets of default values: "published" are those of the paper's code, scArches. */
export const presets = ["published"] as const;
/** Name of a set of default values. */
export type Preset = (typeof presets)[number];
export type EngineName = "wasm" | "reference";

/** Architecture and likelihood of a model; stored with it. */
export interface ModelOptions {
  /**
   * Widths of the encoder's hidden layers; the decoder mirrors them. Default: one layer of 128 (published:
   * ceil(sqrt(genes))).
   */
  readonly hiddenLayerSizes: readonly number[];
  /** D, default 20 */
  readonly latentDim: number;
  /** default "embedding" */
  readonly conditionEncoding: ConditionEncoding;
  /** Width of the condition embedding of each key, default 10; empty with one-hot encoding */
  readonly embeddingDims: readonly number[];
  /** Parts of the network that receive the conditions. Default: both. */
  readonly injectCondition: readonly ("encoder" | "decoder")[];
  /** default "nb" */
  readonly reconLoss: ReconLoss;
  /** Dropout rate of hidden layers during training, 0..1, default 0.05 */
  readonly dropout: number;
}

/** Settings of a run: engine, threads, seed, progress and messages. */
export interface RunSettings {
  /** Default "wasm"; "reference" is the slow float64 engine. */
  readonly engine?: EngineName;
  /** Number of threads, default: number of processors. Results do not depend on it. */
  readonly threads?: number;
  /** Kernels with relaxed SIMD (fused multiply-add): "auto" uses them if the runtime supports them. */
  readonly simd?: "auto" | "plain" | "relaxed";
  /** default 0 */
  readonly seed?: number;
  /** Called a few times per second during the run. */
  readonly onProgress?: (progress: Progress) => void;
  /** Receives messages for the user: choices made, missing data. */
  readonly onNote?: (note: Note) => void;
  /** Stops the run at the next minibatch with ScPoliError "interrupted". */
  readonly signal?: AbortSignal;
  /** Continue where a check would stop the run. */
  readonly force?: boolean;
}

/** A message for the user: a choice made, or something unusual in the input. */
export interface Note {
  /** Whether it only informs, or warns */
  readonly level: "info" | "warning";
  /** Text for the user */
  readonly message: string;
}

/** Options of `convert`. */
export interface ConvertOptions extends Pick<
  RunSettings,
  "seed" | "onProgress" | "onNote" | "signal" | "force"
> {
  /** "X", "raw" or the name of a layer. Default: detected */
  readonly layer?: string;
  /** see `TrainOptions` */
  readonly recoverCounts?: boolean;
  /** Round fractional counts where there are no whole ones. Default false */
  readonly roundCounts?: boolean;
  /** Feature types to keep, where var has them. Default: gene expression */
  readonly featureTypes?: readonly string[];
  /** shuffle the rows, with `seed`. Default false */
  readonly shuffle?: boolean;
  /** continue from the partial output of an interrupted run */
  readonly resume?: boolean;
  /** default 60 */
  readonly checkpointSeconds?: number;
  /** values per chunk (the unit of reading) and per shard (a file). Default 2^15 and 2^24 */
  readonly shardSizes?: { readonly chunk: number; readonly shard: number };
  /** approximate bytes of rows that are sorted at once. Default 48 MiB */
  readonly bucketBytes?: number;
}

/** Progress of a run. */
export interface Progress {
  /** What is being done */
  readonly stage:
    | "reading"
    | "variable genes"
    | "pretraining"
    | "fine-tuning"
    | "mapping"
    | "embedding"
    | "uncertainty"
    | "sorting"
    | "writing"
    | "evaluating";
  /** done and total, in the stage's unit (cells, or epochs while training) */
  readonly done: number;
  /** Units of work of this stage */
  readonly total: number;
  /** Epoch that has ended, from 1 */
  readonly epoch?: number;
  /** Epochs planned */
  readonly epochs?: number;
  /** Losses of the epoch */
  readonly losses?: EpochLosses;
  /** Speed of the epoch, in cells per second */
  readonly cellsPerSecond?: number;
  /** Estimate of the remaining time, in seconds */
  readonly secondsLeft?: number;
}

/** Mean losses over the cells of one epoch. */
export interface EpochLosses {
  /** Losses of the training cells, means over the epoch */
  readonly train: LossTerms;
  /** absent if there are no validation cells */
  readonly validation?: LossTerms;
}
export interface LossTerms {
  readonly reconstruction: number;
  readonly kl: number;
  /** sum over cell types of the mean distance of their cells to the prototype */
  readonly prototype: number;
  /** cross-entropy of the types, by distance to the prototypes; absent if not part of the loss */
  readonly crossEntropy?: number;
  /**
   * Validation cells during fine-tuning: cross-entropy of their types, with distances to prototypes in units
   * of the within-type spread. Not part of the loss. Unlike the loss terms, it is invariant to the scale of
   * the latent space.
   */
  readonly classification?: number;
  readonly total: number;
}

export interface EarlyStopping {
  /**
   * Validation loss to monitor: a single term, "unweighted" (sum of the terms with weight 1) or "total" (sum
   * with their weights). "prototype" and "classification" fall back to "unweighted" if no validation cell has
   * a label. "classification" is invariant to the scale of the latent space, but stopped training too early
   * on left-out conditions (docs/benchmarks/defaults.md). Default "prototype"
   */
  readonly metric: "unweighted" | "reconstruction" | "kl" | "prototype" | "classification" | "total";
  /** Epochs without improvement before training stops, default 20 */
  readonly patience: number;
  /** Smallest improvement that counts, default 0 */
  readonly threshold: number;
  /** Whether to reduce the learning rate on plateaus, default true */
  readonly reduceLr: boolean;
  /** default 13 */
  readonly lrPatience: number;
  /** default 0.1 */
  readonly lrFactor: number;
}

/** Memory use of counts during training and mapping. */
export interface MemoryOptions {
  /** Approximate memory limit of the run, in bytes. Default: 60 % of the machine's memory */
  readonly memory?: number;
  /**
   * Whether to stream counts from the file; "auto" streams if they do not fit into memory. A streamed run
   * visits the cells in a different order, so its results are equivalent but not identical.
   */
  readonly stream?: "auto" | "always" | "never";
}

/** Options of the optimisation, shared by training and mapping. */
export interface OptimizationOptions {
  /** "published": use the defaults of the published code */
  readonly preset?: Preset;
  /** Default: derived from the number of cells. */
  readonly epochs?: number;
  /** Default: 90 % of the epochs. */
  readonly pretrainingEpochs?: number;
  /**
   * Loss that pulls cells towards the prototypes of their types. "off" also skips the fine-tuning; prototypes
   * are then computed at the end. Default "both"; mapping: as for the reference
   */
  readonly prototypeLoss?: PrototypeLoss;
  /**
   * Weight of the distance in the prototype loss ("distance", "both"), default 40; mapping: as for the
   * reference. Larger values make cell types more compact (docs/benchmarks/quality.md)
   */
  readonly eta?: number;
  /**
   * What the distance is averaged over. "cell-mean": the labelled cells of a level, weighted as in the
   * cross-entropy (the paper's equation, with weights). "type-sum": the cells of each type, and the means of
   * the types are summed, as in the published code; the term then grows with the number of types.
   * Default "cell-mean"; mapping: as for the reference
   */
  readonly distanceReduction?: DistanceReduction;
  /**
   * Weight of the cross-entropy in the prototype loss ("cross-entropy", "both"), default 200; mapping: as for
   * the reference
   */
  readonly etaCrossEntropy?: number;
  /**
   * Exponent p of the class weights in the cross-entropy, and in the distance with the reduction
   * "cell-mean": (1 / frequency of the type)^p. 0: equal weights for cells, 1: equal weights for types.
   * Default 0.5; mapping: as for the reference
   */
  readonly typeBalance?: number;
  /** Cells per minibatch, default 128 */
  readonly minibatch?: number;
  /** default 1e-3 */
  readonly lr?: number;
  /** default 0.04 */
  readonly weightDecay?: number;
  /**
   * Epochs over which the KL weight increases from 0 to 1. Default: 100, or until fine-tuning if the number
   * of epochs is derived (mapping: the first quarter). 0: no annealing.
   */
  readonly alphaEpochAnneal?: number;
  /** Share of training cells; the others are validation cells. Default 0.9 */
  readonly trainFrac?: number;
  /**
   * p of the Minkowski distance to prototypes in the prototype loss, default 2. The cross-entropy always uses
   * Euclidean distances
   */
  readonly prototypeNorm?: number;
  /**
   * Ends fine-tuning where the loss of the validation cells no longer falls, and keeps the best weights.
   * Default false: all epochs are run; with the preset "published", and in rounds, a patience of 20 epochs
   */
  readonly earlyStopping?: Partial<EarlyStopping> | false;
}

/** Renamed names, as pairs of the file's name and the new name. */
export type NameMap = readonly (readonly [name: string, newName: string])[];

/**
 * Options of unlabelled prototypes: clusters of unlabelled cells, which are landmarks and candidates for new
 * cell types.
 */
export interface UnlabeledOptions {
  /**
   * Clustering method: communities of the neighbour graph, or k-means with a number of clusters. Default
   * false: none
   */
  readonly unlabeledPrototypes?: "leiden" | "louvain" | { readonly kmeans: number } | false;
  /** resolution of the communities: values above 1 give more and smaller ones. Default 1 */
  readonly resolution?: number;
  /**
   * Weight of these cells in the prototype loss, which pulls each to the unlabelled prototype of its cluster.
   * Default 0: not part of the loss
   */
  readonly unlabeledWeight?: number;
}

/** How to find the counts of a file. */
export interface CountsOptions {
  /** Location of the counts: "X", "raw" or the name of a layer. Default: detected. */
  readonly layer?: string;
  /**
   * If there are no counts, recover them from normalised values if that is exact: log1p of counts per 10,000,
   * or another total common to all cells. Default false
   */
  readonly recoverCounts?: boolean;
  /** If there are no counts, round fractional counts (SoupX, DecontX, alevin-fry, RSEM). Default false */
  readonly roundCounts?: boolean;
  /**
   * Feature types to model, as named in var ("Gene Expression", "Antibody Capture", "Peaks", ...), or "all".
   * Default: gene expression; with poisson, peaks if there are any; for a query, those of the model
   */
  readonly featureTypes?: readonly string[];
  /** How to treat a gene in more than one column: an error (default), or sum the columns */
  readonly duplicateGenes?: "refuse" | "sum";
}

/** Options of `ScPoli.train`. */
export interface TrainOptions
  extends RunSettings, CountsOptions, OptimizationOptions, MemoryOptions, UnlabeledOptions {
  /** obs columns whose values are conditions (samples, donors, ...) */
  readonly conditionKeys: readonly string[];
  /** by key, the condition of all cells, for files of a single sample without a column for it */
  readonly conditionValues?: Readonly<Record<string, string>>;
  /**
   * whether to store columns of obs that are constant within each condition in the model, as sample metadata.
   * Default true
   */
  readonly sampleMetadata?: boolean;
  /** obs columns of cell types, one per annotation level; an empty list trains without labels */
  readonly cellTypeKeys?: readonly string[];
  /** Names that mean "no label", in addition to the usual ones */
  readonly unlabeled?: readonly string[];
  /**
   * Number of variable genes (for scATAC with a Poisson likelihood: of the peaks open in the most cells), a
   * list of names, or the name of a boolean var column. Default: all genes.
   */
  readonly genes?: number | readonly string[] | { readonly varColumn: string };
  /**
   * New names of genes, one-to-one: orthologs of another species, or other identifiers. Other genes keep
   * their names.
   */
  readonly geneMap?: NameMap;
  /**
   * New names of cell types, at all levels; several may get the same name. Other cell types keep their names.
   */
  readonly labelMap?: NameMap;
  /** Cells to exclude from the reference, by values of obs columns */
  readonly exclude?: Readonly<Record<string, readonly string[]>>;
  /** Units of the hidden layers, from the input on. Default [128] */
  readonly hiddenLayerSizes?: readonly number[];
  /** D, dimensions of the latent space. Default 20 */
  readonly latentDim?: number;
  /** How conditions enter: "embedding" or "one-hot". Default "embedding" */
  readonly conditionEncoding?: ConditionEncoding;
  /** one width for all keys, or one per key */
  readonly embeddingDims?: number | readonly number[];
  /** Where conditions enter. Default both */
  readonly injectCondition?: readonly ("encoder" | "decoder")[];
  /** Likelihood of the values. Default "nb" */
  readonly reconLoss?: ReconLoss;
  /**
   * scATAC: "reads" converts read counts to fragment counts, (x + 1) / 2 rounded down; "auto" assumes reads
   * if 2 is more frequent than 1. Default: "auto" for poisson, else unchanged
   */
  readonly atacCounts?: AtacCounts | "auto";
  /** Share of hidden units left out per step, 0 to 1. Default 0.05 */
  readonly dropout?: number;
  /**
   * Whether the model stores latent representations, labels and conditions of at most 20,000 of its cells,
   * without names and counts, to show queries in the reference's UMAP and to measure how well they fit.
   * Default true
   */
  readonly landmarks?: boolean;
  /** File for checkpoints, written periodically and on interruption. Remove it after saving the model. */
  readonly checkpoint?: string;
  /** Seconds between checkpoints, default 60 */
  readonly checkpointSeconds?: number;
  /** Resume from the checkpoint; gives exactly the same model. */
  readonly resume?: boolean;
  /** Ends the training after the current epoch and finishes the model as usual. */
  readonly finish?: AbortSignal;
}

/**
 * Threshold above which a cell is unknown, applied to the novelty score (with distance-based uncertainty: to
 * the uncertainty). The default (novelty 0.95, distance 0.5), a number in 0..1, a quantile of the query, or
 * none.
 */
export type Threshold = "auto" | "none" | number | { readonly quantile: number };

/**
 * How cells get their types: by the nearest prototype (the paper's rule), or by the classifier on genes, the
 * head of the model.
 */
export type Classifier = "head" | "prototype";

/**
 * Source of uncertainties: one minus the probability of the label, with unknown cells flagged by their
 * novelty score; or the distance to the nearest prototype (the paper's rule), which also flags unknown cells.
 */
export type UncertaintyRule = "probability" | "distance";

/** Options of `ScPoli.embed`. */
export interface EmbedOptions extends RunSettings, CountsOptions, Pick<MemoryOptions, "memory"> {
  /** obs column for each of the model's condition keys that has a different name in this file */
  readonly conditionKeys?: Readonly<Record<string, string>>;
  /**
   * by condition key of the model, the condition of all cells, for files of a single sample without a column
   * for it. The output file gets such a column
   */
  readonly conditionValues?: Readonly<Record<string, string>>;
  /** Novelty above which a cell is flagged unknown. Default "auto" */
  readonly threshold?: Threshold;
  /** "published": uncertainties and unknown flags by the distance to prototypes, as in the published code */
  readonly preset?: Preset;
  /** Default: "prototype". "head" in a model without a head: "prototype", too */
  readonly classifier?: Classifier;
  /** Default: "probability" */
  readonly uncertainty?: UncertaintyRule;
  /** See `TrainOptions`. Default: as for the model's counts */
  readonly atacCounts?: AtacCounts | "auto";
  /** Maps the file's genes to the model's names, see `TrainOptions` */
  readonly geneMap?: NameMap;
  /**
   * obs column of cell types for each of the model's annotation levels, if the file has labels: predictions
   * complete them. In mapping, new cell types also get prototypes; those of known types are unchanged.
   */
  readonly cellTypeKeys?: Readonly<Record<string, string>>;
  /** see `TrainOptions`; for these labels */
  readonly unlabeled?: readonly string[];
  /** New names of the file's cell types */
  readonly labelMap?: NameMap;
  /**
   * Output file: a copy of the input with the results. It is copied during the computation. Without it, call
   * `Mapping.write`.
   */
  readonly output?: string;
}

/** Options of `ScPoli.map`. */
export interface MapOptions extends EmbedOptions, OptimizationOptions, MemoryOptions, UnlabeledOptions {
  /**
   * false: no optimisation; each query condition gets the embedding of the reference condition that explains
   * it best. Default true
   */
  readonly training?: boolean;
  /** Embedding of query conditions whose name the reference has: the frozen one (default) or a new one. */
  readonly knownConditions?: "reuse" | "new";
  /**
   * whether to store columns of obs that are constant within each new condition in the model, as sample
   * metadata. Default true
   */
  readonly sampleMetadata?: boolean;
}

/** Default values of options. */
export interface Defaults {
  /** width of the hidden layer; null: ceil(sqrt(genes)) */
  readonly hiddenWidth: number | null;
  readonly latentDim: number;
  readonly conditionEncoding: ConditionEncoding;
  readonly embeddingDims: number;
  readonly injectCondition: readonly ("encoder" | "decoder")[];
  readonly reconLoss: ReconLoss;
  readonly dropout: number;
  /** null: derived from the number of cells */
  readonly epochs: number | null;
  readonly prototypeLoss: PrototypeLoss;
  readonly eta: number;
  readonly etaCrossEntropy: number;
  readonly distanceReduction: DistanceReduction;
  readonly typeBalance: number;
  readonly minibatch: number;
  readonly lr: number;
  readonly weightDecay: number;
  readonly trainFrac: number;
  readonly prototypeNorm: number;
  /** if the number of epochs is given */
  readonly alphaEpochAnneal: number;
  readonly pretrainingShare: number;
  readonly resolution: number;
  /** settings of early stopping, for those that an option does not give */
  readonly earlyStopping: EarlyStopping;
  /** whether early stopping is on by default */
  readonly stopsEarly: boolean;
}

export const defaults: Defaults = {
  hiddenWidth: 128,
  latentDim: 20,
  conditionEncoding: "embedding",
  embeddingDims: 10,
  injectCondition: ["encoder", "decoder"],
  reconLoss: "nb",
  dropout: 0.05,
  epochs: null,
  prototypeLoss: "both",
  eta: 40,
  etaCrossEntropy: 200,
  distanceReduction: "cell-mean",
  typeBalance: 0.5,
  minibatch: 128,
  lr: 1e-3,
  weightDecay: 0.04,
  trainFrac: 0.9,
  prototypeNorm: 2,
  alphaEpochAnneal: 100,
  pretrainingShare: 0.9,
  resolution: 1,
  earlyStopping: {
    metric: "prototype",
    patience: 20,
    threshold: 0,
    reduceLr: true,
    lrPatience: 13,
    lrFactor: 0.1,
  },
  stopsEarly: false,
};

/** Default values of the published code (scArches 0.6.1) that differ, or may differ later, from ours. */
const published: Defaults = {
  ...defaults,
  hiddenWidth: null,
  latentDim: 10,
  embeddingDims: 10,
  epochs: 100,
  prototypeLoss: "distance",
  eta: 1,
  distanceReduction: "type-sum",
  typeBalance: 0,
  alphaEpochAnneal: 100,
  pretrainingShare: 0.9,
  earlyStopping: { ...defaults.earlyStopping, metric: "unweighted" },
  stopsEarly: true,
};

/** @throws ScPoliError "usage" for an unknown preset */
export function defaultsOf(preset: Preset | undefined): Defaults {
  if (preset === undefined) return defaults;
  return { published }[oneOf("preset", preset, presets)];
}

/** @throws ScPoliError "usage" unless `value` is one of `known` */
export function oneOf<T extends string>(name: string, value: string, known: readonly T[]): T {
  if (!(known as readonly string[]).includes(value))
    throw new ScPoliError(
      "usage",
      `${name} is "${value}"; expected ${known.map((one) => `"${one}"`).join(", ")}.`,
      { name, value },
    );
  return value as T;
}

/** @throws ScPoliError "usage" unless `value` is an integer in [least, most] */
export function checkWhole(
  name: string,
  value: number,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new ScPoliError(
      "usage",
      `${name} is ${value}; expected a whole number of at least ${least}` +
        (most < Number.MAX_SAFE_INTEGER ? ` and at most ${most}.` : "."),
      { name, value },
    );
  return value;
}

/** @throws ScPoliError "usage" unless `value` is a number in [least, most] */
export function checkNumber(name: string, value: number, least: number, most = Infinity): number {
  if (!(value >= least && value <= most) || !Number.isFinite(value))
    throw new ScPoliError(
      "usage",
      `${name} is ${value}; expected a number of at least ${least}` +
        (Number.isFinite(most) ? ` and at most ${most}.` : "."),
      { name, value },
    );
  return value;
}
