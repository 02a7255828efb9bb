// Options of a training in rounds.
import type { CountsOptions, OptimizationOptions, RunSettings, TrainOptions } from "../contract/options.js";

/** How the shared weights move after a round. */
export type OuterStep =
  /** to the mean of the shards' weights */
  | { readonly kind: "mean" }
  /** along the mean change, with Nesterov's momentum (DiLoCo, arXiv 2311.08105) */
  | { readonly kind: "nesterov"; readonly lr: number; readonly momentum: number };

/** Options of `surveyShard`: what is to be known of a shard before the run is planned. */
export interface SurveyOptions
  extends
    Pick<RunSettings, "onNote" | "onProgress" | "signal" | "force">,
    CountsOptions,
    Pick<
      TrainOptions,
      "conditionKeys" | "cellTypeKeys" | "unlabeled" | "reconLoss" | "atacCounts" | "sampleMetadata"
    > {
  /** Number of variable genes, or a list of names. Default: all genes */
  readonly genes?: number | readonly string[];
  /** Between institutions: numbers of fewer cells than `leastCells` are withheld. Default false */
  readonly federated?: boolean;
  /** default 10 */
  readonly leastCells?: number;
}

/** Options of `planRounds`. */
export interface RoundsOptions
  extends
    Pick<RunSettings, "onNote" | "seed">,
    OptimizationOptions,
    Pick<
      TrainOptions,
      | "hiddenLayerSizes"
      | "latentDim"
      | "conditionEncoding"
      | "embeddingDims"
      | "injectCondition"
      | "dropout"
      | "landmarks"
    > {
  /** Rounds of training, at least 2. Default: `defaultRounds` */
  readonly rounds?: number;
  /** Passes over the cells, in units of those of one machine. Default: `defaultPasses` */
  readonly passes?: number;
  /** Default: the mean of the weights */
  readonly outerStep?: OuterStep;
  /** Whether Adam's moments of a shard go on from round to round. Default true */
  readonly keepMoments?: boolean;
  /** Whether shards read their counts from the file again and again. Default: where they take over 2 GB */
  readonly stream?: "auto" | "always" | "never";
  /** Cells of a shard whose counts and positions go into the finished model's head and landmarks, at most */
  readonly sampleCells?: number;
}
