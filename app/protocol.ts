// Messages between the page and its workers: plain objects, typed arrays and files.
import type {
  Additions,
  CellQuality,
  EpochLosses,
  ErrorKind,
  GeneAnalysis,
  GeneSetEnrichment,
  Inspection,
  MapOptions,
  MappingSummary,
  ModelSummary,
  Note,
  Progress,
  SampleAnalysis,
  TrainOptions,
  Verdict,
} from "scpoli";

/**
 * A file of the user, or one that a worker has made, with its place inside what was dropped
 * ("atlas/model.json"). Nothing of it is in memory until it is read.
 */
export interface LocalFile {
  readonly path: string;
  readonly file: File;
}

/** An AnnData file that was looked into. */
export interface DataInfo {
  readonly name: string;
  readonly bytes: number;
  readonly format: "h5ad" | "zarr" | "10x" | "modality";
  readonly inspection: Inspection;
  readonly notes: readonly Note[];
  /** keys of obsm; missing in sessions saved by earlier versions */
  readonly embeddings?: readonly string[];
}

/** A column of obs: codes into names (-1 where missing), or numbers (NaN where missing). */
export type CellColumn =
  | { readonly kind: "groups"; readonly codes: Int32Array; readonly names: readonly string[] }
  | { readonly kind: "numbers"; readonly values: Float32Array };

/** A model and the files that it is made of. */
export interface ModelInfo {
  readonly name: string;
  readonly files: readonly LocalFile[];
  readonly origin: "scpoli" | "scarches" | "trained here" | "mapped here";
  readonly summary: ModelSummary;
  readonly genes: readonly string[];
  readonly history: readonly EpochLosses[];
}

/** How much of a model's genes a file has. */
export interface Coverage {
  readonly found: number;
  readonly model: number;
  readonly matched: Readonly<Record<string, number>>;
  readonly missing: readonly string[];
}

/** Labels of all query cells at one annotation level; cell types by their position in `types`. */
export interface LevelResult {
  readonly key: string;
  readonly types: readonly string[];
  readonly classifier: "head" | "prototype";
  readonly predicted: Int32Array;
  readonly nearest: Int32Array;
  /** by the classifier on genes; null without one, missing in sessions saved by earlier versions */
  readonly headLabels?: Int32Array | null;
  readonly uncertainty: Float32Array;
  /** how unlike every known type; null where that is not calibrated */
  readonly novelty: Float32Array | null;
  /** what the threshold is on: the novelty, or the uncertainty by distance; null where nothing flags cells */
  readonly flagged: { readonly by: "novelty" | "uncertainty"; readonly values: Float32Array } | null;
  /** why the library flags no cell; null where it does */
  readonly notFlagged: string | null;
  readonly distance: Float32Array;
  readonly probability: Float32Array;
  /** 1 where the library calls the cell unknown */
  readonly unknown: Uint8Array;
  readonly threshold: Limit;
}

/** Above what novelty (or uncertainty by distance) a cell is unknown; null: none is. */
export type Limit = number | null;

/** Cells of the reference as the model remembers them: where they lie and what they are. */
export interface ReferenceCells {
  /** (n, 2) */
  readonly positions: Float32Array;
  /** per level of the model: codes into the level's types, -1 where unlabelled */
  readonly levels: readonly Int32Array[];
  /** per condition key of the model; missing in sessions saved by earlier versions */
  readonly conditions?: readonly {
    readonly key: string;
    readonly codes: Int32Array;
    readonly names: readonly string[];
  }[];
}

/** A gene as the file calls it, and its symbol; the same where there is none. */
export interface GeneName {
  readonly name: string;
  readonly symbol: string;
}

/** A gene that marks a group, as `scpoli markers` writes it. */
export interface MarkerRow {
  readonly group: string;
  readonly gene: string;
  readonly symbol: string;
  readonly rank: number;
  readonly score: number;
  readonly log2_fold_change: number;
  readonly p: number;
  readonly p_adjusted: number;
  readonly auc: number;
  readonly share: number;
  readonly other_share: number;
  readonly mean: number;
  readonly other_mean: number;
  readonly specificity: number;
}

/** A gene set with more of a group's genes in it than by chance, or fewer. */
export interface GeneSetRow extends GeneSetEnrichment {
  /** group of cells, or type within which groups of samples are compared */
  readonly group: string;
  /** of the genes of a comparison; null: marker genes, which are higher */
  readonly direction: "up" | "down" | null;
}

/** Marker genes, and gene sets among them where a file of sets was given. */
export interface MarkersFound {
  readonly rows: readonly MarkerRow[];
  readonly sets: readonly GeneSetRow[] | null;
}

/** Groups of cells whose marker genes are wanted. */
export interface MarkerRequest {
  /** (N) group of each cell, -1 for none */
  readonly codes: Int32Array;
  readonly names: readonly string[];
  readonly only?: readonly string[];
  /** group that the others are compared with; all other cells without it */
  readonly against?: string;
  /** genes per group */
  readonly top: number;
  /** a .gmt file of gene sets to test among the marker genes */
  readonly geneSets?: LocalFile | null;
}

export interface PrototypePlace {
  readonly name: string;
  readonly level: string | null;
  readonly x: number;
  readonly y: number;
}

/** The samples of one condition key as their embeddings' principal components. */
export interface SampleMap {
  readonly key: string;
  readonly names: readonly string[];
  readonly isReference: readonly boolean[];
  /** (samples, dimensions) */
  readonly scores: ArrayLike<number>;
  readonly dimensions: number;
  /** share of the variance, per component */
  readonly variance: readonly number[];
  /** per sample the (dimensions, dimensions) covariance of its position; null where it is not known */
  readonly spreads?: readonly (Float32Array | null)[] | undefined;
}

/** By condition key: the mean of something in each sample, by name. */
export type SampleMeans = Readonly<Record<string, readonly (readonly [sample: string, mean: number])[]>>;

/** The samples of one condition key, analysed. */
export interface SampleAnalysisResult extends Pick<
  SampleAnalysis,
  "covariates" | "associations" | "guidance" | "classifications"
> {
  readonly map: SampleMap;
  /** genes that correlate with each component, how many and the strongest */
  readonly geneCounts: GeneAnalysis["counts"];
  readonly genes: GeneAnalysis["correlations"];
}

/** A cell type that a user has added to the mapped model: the mean of these cells. */
export interface AddedType {
  readonly name: string;
  /** annotation level of the model; undefined: its first, or the one that it gets */
  readonly level: string | undefined;
  readonly rows: Uint32Array;
}

/** Cells in the latent space of a model, ready to be drawn. */
export interface MappingResult {
  readonly cells: number;
  readonly summary: MappingSummary;
  /** (N, 2) positions of the query cells in the picture, and how they were found */
  readonly positions: Float32Array;
  readonly projection: "UMAP" | "PCA";
  readonly reference: ReferenceCells | null;
  readonly prototypes: readonly PrototypePlace[];
  readonly levels: readonly LevelResult[];
  /** (N) row of the nearest unlabelled prototype, and the prototypes' numbers */
  readonly clusters: { readonly codes: Int32Array; readonly numbers: readonly number[] } | null;
  /** per condition key of the model: the query's conditions */
  readonly conditions: readonly {
    readonly key: string;
    readonly codes: Int32Array;
    readonly names: readonly string[];
  }[];
  /** per condition key of the model, the reference's and the query's */
  readonly samples: readonly SampleMap[];
  readonly verdict: Verdict;
  /** what is written into the file */
  readonly additions: Additions;
  /** the model with the query's conditions */
  readonly model: ModelInfo;
}

export type { CellQuality };
export type TrainRequest = Omit<
  TrainOptions,
  "signal" | "finish" | "onProgress" | "onNote" | "checkpoint" | "resume"
>;
export type MapRequest = Omit<MapOptions, "signal" | "onProgress" | "onNote" | "output">;

/** Receives the progress and the notes of a job. */
export interface Listener {
  progress(progress: Progress): void;
  note(note: Note): void;
}

/** An error as it crosses from the worker. */
export interface PlainError {
  readonly kind: ErrorKind | "unexpected";
  readonly message: string;
}
