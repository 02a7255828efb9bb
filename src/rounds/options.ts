// Options of a training in rounds.
import type { CountsOptions, OptimizationOptions, RunSettings, TrainOptions } from "../contract/options.js";

/** How the shared weights are updated after a round. */
export type OuterStep =
  /** replaced by the mean of the shards' weights */
  | { readonly kind: "mean" }
  /** moved along the mean change with Nesterov momentum (DiLoCo, arXiv 2311.08105) */
  | { readonly kind: "nesterov"; readonly lr: number; readonly momentum: number };

/** Options of `surveyShard`, which collects statistics of a shard before the run is planned. */
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
  /** Between institutions: withhold counts below `leastCells`. Default false */
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
  /** Passes over the cells, relative to a training on one machine. Default: `defaultPasses` */
  readonly passes?: number;
  /** Rounds with the prototype loss, the last ones. Default: half of the rounds */
  readonly fineTuningRounds?: number;
  /** Default: the mean of the weights */
  readonly outerStep?: OuterStep;
  /** Whether a shard keeps its Adam moments between rounds. Default true */
  readonly keepMoments?: boolean;
  /** Whether shards stream their counts from the file. Default: if they take over 2 GB */
  readonly stream?: "auto" | "always" | "never";
  /** Most cells of a shard whose counts and latent representations go into the model's head and landmarks */
  readonly sampleCells?: number;
}
