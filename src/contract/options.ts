// Options of the model, of training and of mapping: the paper's defaults, their ranges, and the check of what
// a user gives. Names are those of scArches in camelCase.
import { ScPoliError } from "./errors.js";

/**
 * Likelihood of the values: negative binomial, the same with zeros of a second kind, Poisson (scATAC fragment
 * counts), squared error (normalised values). "reference-poisson" leaves the size factor out of the loss, as
 * the Python package does.
 */
export const reconLosses = ["nb", "zinb", "poisson", "mse", "reference-poisson"] as const;
export type ReconLoss = (typeof reconLosses)[number];
/** What scATAC counts are: numbers of reads, or of fragments (two reads each). */
export type AtacCounts = "reads" | "fragments";
/** How conditions enter: by learnt embeddings, or by an input for each of them (the paper's ablation). */
export const conditionEncodings = ["embedding", "one-hot"] as const;
export type ConditionEncoding = (typeof conditionEncodings)[number];
/**
 * What draws cells to the prototypes of their types: the distance to their own (the paper's), the
 * cross-entropy of softmax(-|z - prototype|^2 / 2) over the prototypes of the level (it also pushes a cell
 * away from other types), both, or nothing.
 */
export const prototypeLosses = ["distance", "cross-entropy", "both", "off"] as const;
/** Which loss draws cells to prototypes. */
export type PrototypeLoss = (typeof prototypeLosses)[number];
/** Sets of values: "published" are those of the paper's code, scArches. */
export const presets = ["published"] as const;
/** Name of a set of values. */
export type Preset = (typeof presets)[number];
export type EngineName = "wasm" | "reference";

/** What a model is made of; stored with it. */
export interface ModelOptions {
  /**
   * Widths of the encoder's hidden layers (the decoder has them in reverse). Default: one layer of 128
   * (published: ceil(sqrt(genes))).
   */
  readonly hiddenLayerSizes: readonly number[];
  /** D, default 10 */
  readonly latentDim: number;
  /** default "embedding" */
  readonly conditionEncoding: ConditionEncoding;
  /** Width of the condition embedding of each key, default 10 each; none where the encoding is one-hot */
  readonly embeddingDims: readonly number[];
  /** Where the conditions enter. Default: both. */
  readonly injectCondition: readonly ("encoder" | "decoder")[];
  /** default "nb" */
  readonly reconLoss: ReconLoss;
  /** Dropout rate of hidden layers during training, default 0.05 */
  readonly dropout: number;
}

/** How a run computes. */
export interface RunSettings {
  /** Default "wasm"; "reference" is the slow float64 engine. */
  readonly engine?: EngineName;
  /** Worker threads, default: number of processors. Results do not depend on it. */
  readonly threads?: number;
  /** Kernels with relaxed SIMD (fused multiply-add): "auto" takes them where the runtime has them. */
  readonly simd?: "auto" | "plain" | "relaxed";
  /** default 0 */
  readonly seed?: number;
  /** Called as the run goes on, a few times a second. */
  readonly onProgress?: (progress: Progress) => void;
  /** Sentences a user should read: what was taken, what is missing. */
  readonly onNote?: (note: Note) => void;
  /** Stops the run at the next minibatch; it then throws ScPoliError "interrupted". */
  readonly signal?: AbortSignal;
  /** Goes on where a check would stop the run. */
  readonly force?: boolean;
}

/** A sentence for a person: what was chosen, or what is odd in the input. */
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
  /** "X", "raw" or the name of a layer. Default: found */
  readonly layer?: string;
  /** as in `TrainOptions` */
  readonly recoverCounts?: boolean;
  /** Round fractional counts where there are no whole ones. Default false */
  readonly roundCounts?: boolean;
  /** Feature types to keep, where var has them. Default: gene expression */
  readonly featureTypes?: readonly string[];
  /** whether rows are put into random order; `seed` tells which. Default false */
  readonly shuffle?: boolean;
  /** goes on from what an interrupted run has left beside the output */
  readonly resume?: boolean;
  /** default 60 */
  readonly checkpointSeconds?: number;
  /** values of a chunk, which is read whole, and of a shard, which is a file. Default 2^15 and 2^24 */
  readonly shardSizes?: { readonly chunk: number; readonly shard: number };
  /** bytes of rows that are put in order at once, about. Default 48 MiB */
  readonly bucketBytes?: number;
}

/** Where a run stands. */
export interface Progress {
  /** What is being done */
  readonly stage:
    | "reading"
    | "variable genes"
    | "pretraining"
    | "fine-tuning"
    | "mapping"
    | "embedding"
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

/** Means over the cells of one epoch. */
export interface EpochLosses {
  /** Losses of the training cells, means over the epoch */
  readonly train: LossTerms;
  /** missing where there are no validation cells */
  readonly validation?: LossTerms;
}
export interface LossTerms {
  readonly reconstruction: number;
  readonly kl: number;
  /** sum over cell types of the mean distance of their cells to the prototype */
  readonly prototype: number;
  /** of the types, by distance to the prototypes; missing where it is no part of the loss */
  readonly crossEntropy?: number;
  /**
   * Validation cells while fine-tuning: cross-entropy of their types, with distances to prototypes measured
   * in units of the spread within types. It has no weight in the loss and, other than the loss terms, stays
   * as it is where the whole latent space shrinks or grows.
   */
  readonly classification?: number;
  readonly total: number;
}

export interface EarlyStopping {
  /**
   * One term of the validation losses, or "unweighted": the sum of the terms, each with weight 1 ("total":
   * with their weights). "prototype" and "classification" are "unweighted" where no validation cell has a
   * label. "classification" stays as it is where the whole latent space shrinks, but stopped training too
   * early on conditions that were left out (docs/benchmarks/defaults.md). Default "prototype"
   */
  readonly metric: "unweighted" | "reconstruction" | "kl" | "prototype" | "classification" | "total";
  /** Epochs without improvement before training stops, default 20 */
  readonly patience: number;
  /** Smallest change that counts as an improvement, default 0 */
  readonly threshold: number;
  /** Whether the learning rate is reduced, default true */
  readonly reduceLr: boolean;
  /** default 13 */
  readonly lrPatience: number;
  /** default 0.1 */
  readonly lrFactor: number;
}

/** Where the counts are while a model is trained or a query mapped. */
export interface MemoryOptions {
  /** Bytes that the run may take, about. Default: 60 % of the machine's memory */
  readonly memory?: number;
  /**
   * Counts are streamed from the file: "auto" where they do not fit into memory. A streamed run takes cells
   * in another order than one in memory, so that its results are as good but not the same.
   */
  readonly stream?: "auto" | "always" | "never";
}

/** Options of the optimisation, shared by training and mapping. */
export interface OptimizationOptions {
  /** "published": defaults are those of the published code */
  readonly preset?: Preset;
  /** Default: chosen from the number of cells. */
  readonly epochs?: number;
  /** Default: 90 % of the epochs. */
  readonly pretrainingEpochs?: number;
  /**
   * What draws cells to the prototypes of their types. "off" leaves out the fine-tuning as well (prototypes
   * are computed at the end). Default "both"; mapping: as the reference was trained
   */
  readonly prototypeLoss?: PrototypeLoss;
  /**
   * Weight of the distance in the prototype loss ("distance", "both"), default 10; mapping: as the
   * reference was trained. A large one draws the cells of a type closer together (docs/benchmarks/quality.md)
   */
  readonly eta?: number;
  /**
   * Weight of the cross-entropy in the prototype loss ("cross-entropy", "both"), default 50; mapping: as the
   * reference was trained
   */
  readonly etaCrossEntropy?: number;
  /**
   * What a cell counts in the cross-entropy: one over the frequency of its type, to this power. 0: all cells
   * the same, 1: all types the same. Default 0; mapping: as the reference was trained
   */
  readonly typeBalance?: number;
  /** Cells per step, default 128 */
  readonly minibatch?: number;
  /** default 1e-3 */
  readonly lr?: number;
  /** default 0.04 */
  readonly weightDecay?: number;
  /**
   * Epochs over which the KL weight rises from 0 to 1. Default: 100, or up to fine-tuning where epochs are
   * chosen for the user (mapping: the first quarter). 0: no annealing.
   */
  readonly alphaEpochAnneal?: number;
  /** Share of the cells that train; the others validate. Default 0.9 */
  readonly trainFrac?: number;
  /**
   * p of the Minkowski distance to prototypes in the loss's distance, default 2. The cross-entropy is always
   * of Euclidean distances
   */
  readonly prototypeNorm?: number;
  /** false: train all epochs. Default: fine-tuning stops early (patience 20). */
  readonly earlyStopping?: Partial<EarlyStopping> | false;
}

/** New names, as pairs of the file's name and the new one. */
export type NameMap = readonly (readonly [name: string, newName: string])[];

/**
 * Options of unlabelled prototypes: clusters of the cells without a label, as points of reference and
 * candidates for new cell types.
 */
export interface UnlabeledOptions {
  /**
   * How they are found: communities of the graph of neighbours, or k-means with a number of clusters. Default
   * false: none
   */
  readonly unlabeledPrototypes?: "leiden" | "louvain" | { readonly kmeans: number } | false;
  /** of the communities: above 1 more and smaller ones. Default 1 */
  readonly resolution?: number;
  /**
   * Weight of these cells in the prototype loss, each drawn to the unlabelled prototype of its cluster.
   * Default 0: they have no part in it
   */
  readonly unlabeledWeight?: number;
}

/** How the counts of a file are found. */
export interface CountsOptions {
  /** Where the counts are: "X", "raw" or the name of a layer. Default: found. */
  readonly layer?: string;
  /**
   * Where there are none, recover them from normalised values, where that is exact: log1p of counts per
   * 10,000, or another total where it is that of every cell. Default false
   */
  readonly recoverCounts?: boolean;
  /** Where there are none, round fractional counts (SoupX, DecontX, alevin-fry, RSEM). Default false */
  readonly roundCounts?: boolean;
  /**
   * Types of features that are modelled, as var tells them ("Gene Expression", "Antibody Capture", "Peaks", ...),
   * or "all". Default: gene expression; with poisson peaks, where there are any; of a query those of the model
   */
  readonly featureTypes?: readonly string[];
  /** A gene in more than one column: an error (default), or the columns added up */
  readonly duplicateGenes?: "refuse" | "sum";
}

/** Options of `ScPoli.train`. */
export interface TrainOptions
  extends RunSettings, CountsOptions, OptimizationOptions, MemoryOptions, UnlabeledOptions {
  /** obs columns whose values are conditions (samples, donors, ...) */
  readonly conditionKeys: readonly string[];
  /**
   * by key, the name of the condition of all cells, where the file has no column for it: a file of one sample
   */
  readonly conditionValues?: Readonly<Record<string, string>>;
  /**
   * whether columns of obs that are constant within each condition are kept in the model, as metadata of the
   * samples. Default true
   */
  readonly sampleMetadata?: boolean;
  /** obs columns of cell types, one per annotation level; none trains without labels */
  readonly cellTypeKeys?: readonly string[];
  /** Names that mean "no label", besides the usual ones */
  readonly unlabeled?: readonly string[];
  /**
   * Number of variable genes (of scATAC, with a Poisson likelihood: of the peaks that are open in the most
   * cells), a list of names, or the name of a boolean var column. Default: all genes.
   */
  readonly genes?: number | readonly string[] | { readonly varColumn: string };
  /**
   * New names of genes, one-to-one: orthologs of another species, other identifiers. Genes that it does not
   * have keep their names.
   */
  readonly geneMap?: NameMap;
  /**
   * New names of cell types, at all levels; several may get the same one. Cell types that it does not have
   * keep their names.
   */
  readonly labelMap?: NameMap;
  /** Cells left out of the reference: values of obs columns */
  readonly exclude?: Readonly<Record<string, readonly string[]>>;
  /** Units of the hidden layers, from the input on. Default [128] */
  readonly hiddenLayerSizes?: readonly number[];
  /** D, dimensions of the latent space. Default 10 */
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
   * scATAC: read counts are made fragment counts, (x + 1) / 2 rounded down; "auto" takes counts as reads
   * where 2 is more frequent than 1. Default: "auto" for poisson, else counts stay as they are
   */
  readonly atacCounts?: AtacCounts | "auto";
  /** Share of hidden units left out per step, 0 to 1. Default 0.05 */
  readonly dropout?: number;
  /**
   * Whether the model carries positions, labels and conditions of at most 20,000 of its cells, without names
   * and counts: they show queries in the reference's UMAP, and how well they fit in. Default true
   */
  readonly landmarks?: boolean;
  /**
   * File that receives a checkpoint now and then and when the run is interrupted; to be removed once the
   * model is saved.
   */
  readonly checkpoint?: string;
  /** Seconds between two checkpoints, default 60 */
  readonly checkpointSeconds?: number;
  /** Go on from the checkpoint, to the same bytes. */
  readonly resume?: boolean;
  /**
   * Ends the training after the epoch that is running, and keeps what was learnt: the model is finished as
   * usual.
   */
  readonly finish?: AbortSignal;
}

/**
 * Threshold on the novelty (with uncertainty by the distance: on the uncertainty) above which a cell is
 * unknown: the default (novelty 0.95, distance 0.5), a number in 0..1, a quantile of the query, or none.
 */
export type Threshold = "auto" | "none" | number | { readonly quantile: number };

/**
 * What gives cells their types: the discriminative head of the model, or the nearest prototype (the paper's
 * rule).
 */
export type Classifier = "head" | "prototype";

/**
 * What uncertainties come from: the probability of the label, one less it, beside which unknown cells are
 * known by their novelty; or the distance from the nearest prototype (the paper's), which then also flags
 * unknown cells.
 */
export type UncertaintyRule = "probability" | "distance";

/** Options of `ScPoli.embed`. */
export interface EmbedOptions extends RunSettings, CountsOptions, Pick<MemoryOptions, "memory"> {
  /** obs column of each of the model's condition keys, where it has another name in this file */
  readonly conditionKeys?: Readonly<Record<string, string>>;
  /**
   * by the model's condition key, the name of the condition of all cells, where the file has no column for
   * it: a file of one sample. The copy that is written has a column of it
   */
  readonly conditionValues?: Readonly<Record<string, string>>;
  /** Novelty above which a cell is flagged unknown. Default "auto" */
  readonly threshold?: Threshold;
  /** "published": labels and uncertainties by the nearest prototype, as in the published code */
  readonly preset?: Preset;
  /** Default: "head" where the model has one. */
  readonly classifier?: Classifier;
  /** Default: "probability" */
  readonly uncertainty?: UncertaintyRule;
  /** As in `TrainOptions`. Default: as the model's own counts were taken */
  readonly atacCounts?: AtacCounts | "auto";
  /** The model's names of the file's genes, as in `TrainOptions` */
  readonly geneMap?: NameMap;
  /**
   * obs column of the cell types of each of the model's annotation levels, where the file has labels: they
   * are completed by the predictions. When mapping, new cell types also get prototypes; known ones stay as
   * they are.
   */
  readonly cellTypeKeys?: Readonly<Record<string, string>>;
  /** as in `TrainOptions`, for these labels */
  readonly unlabeled?: readonly string[];
  /** New names of the file's cell types */
  readonly labelMap?: NameMap;
  /**
   * File to write: a copy of the input with the results added. It is copied while the cells are computed;
   * without it, call `Mapping.write`.
   */
  readonly output?: string;
}

/** Options of `ScPoli.map`. */
export interface MapOptions extends EmbedOptions, OptimizationOptions, MemoryOptions, UnlabeledOptions {
  /**
   * false: no optimisation; each query condition takes the row of the reference's condition that explains it
   * best. Default true
   */
  readonly training?: boolean;
  /**
   * What a query condition that the reference knows by name gets: its frozen row (default) or a row of its
   * own.
   */
  readonly knownConditions?: "reuse" | "new";
  /**
   * whether columns of obs that are constant within each new condition are kept in the model, as metadata of
   * the samples. Default true
   */
  readonly sampleMetadata?: boolean;
}

/** Values of what a user leaves open. */
export interface Defaults {
  /** of the one hidden layer; null: ceil(sqrt(genes)) */
  readonly hiddenWidth: number | null;
  readonly latentDim: number;
  readonly conditionEncoding: ConditionEncoding;
  readonly embeddingDims: number;
  readonly injectCondition: readonly ("encoder" | "decoder")[];
  readonly reconLoss: ReconLoss;
  readonly dropout: number;
  /** null: chosen from the number of cells */
  readonly epochs: number | null;
  readonly prototypeLoss: PrototypeLoss;
  readonly eta: number;
  readonly etaCrossEntropy: number;
  readonly typeBalance: number;
  readonly minibatch: number;
  readonly lr: number;
  readonly weightDecay: number;
  readonly trainFrac: number;
  readonly prototypeNorm: number;
  /** where the epochs are given */
  readonly alphaEpochAnneal: number;
  readonly pretrainingShare: number;
  readonly resolution: number;
  readonly earlyStopping: EarlyStopping;
}

export const defaults: Defaults = {
  hiddenWidth: 128,
  latentDim: 10,
  conditionEncoding: "embedding",
  embeddingDims: 10,
  injectCondition: ["encoder", "decoder"],
  reconLoss: "nb",
  dropout: 0.05,
  epochs: null,
  prototypeLoss: "both",
  eta: 10,
  etaCrossEntropy: 50,
  typeBalance: 0,
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
};

/** The values of the published code (scArches 0.6.1), where ours differ or may come to differ. */
const published: Defaults = {
  ...defaults,
  hiddenWidth: null,
  latentDim: 10,
  embeddingDims: 10,
  epochs: 100,
  prototypeLoss: "distance",
  eta: 1,
  alphaEpochAnneal: 100,
  pretrainingShare: 0.9,
  earlyStopping: { ...defaults.earlyStopping, metric: "unweighted" },
};

/** @throws ScPoliError "usage" for a preset that there is not */
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

/** @throws ScPoliError "usage" unless `value` is a whole number in [least, most] */
export function checkWhole(
  name: string,
  value: number,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new ScPoliError(
      "usage",
      `${name} is ${value}; expected a whole number of at least ${least}${most < Number.MAX_SAFE_INTEGER ? ` and at most ${most}` : ""}.`,
      { name, value },
    );
  return value;
}

/** @throws ScPoliError "usage" unless `value` is a number in [least, most] */
export function checkNumber(name: string, value: number, least: number, most = Infinity): number {
  if (!(value >= least && value <= most) || !Number.isFinite(value))
    throw new ScPoliError(
      "usage",
      `${name} is ${value}; expected a number of at least ${least}${Number.isFinite(most) ? ` and at most ${most}` : ""}.`,
      { name, value },
    );
  return value;
}
