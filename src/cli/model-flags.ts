// Flags for the architecture of a model.
import { Option, type Command } from "commander";
import {
  conditionEncodings,
  defaults,
  type ConditionEncoding,
  type TrainOptions,
} from "../contract/options.js";
import { injectCondition, real, whole, wholes } from "./arguments.js";

export interface ModelFlags {
  readonly hidden?: readonly number[];
  readonly latent?: number;
  readonly embeddingDims?: readonly number[];
  readonly injectCondition?: TrainOptions["injectCondition"];
  readonly conditionEncoding?: ConditionEncoding;
  readonly dropout?: number;
}

export function addModelFlags(command: Command): Command {
  return command
    .optionsGroup("Model:")
    .option(
      "--hidden <widths>",
      `widths of the hidden layers, e.g. 256,64 (default: one layer of ${defaults.hiddenWidth})`,
      wholes(1),
    )
    .option("--latent <n>", `width of the latent space (default: ${defaults.latentDim})`, whole(1))
    .option(
      "--embedding-dims <n>",
      `width of the condition embeddings, for all keys or per key: 10,5 (default: ${defaults.embeddingDims})`,
      wholes(1),
    )
    .option(
      "--inject-condition <where>",
      "network that gets the condition embeddings: encoder, decoder or both (default: both)",
      injectCondition,
    )
    .addOption(
      new Option(
        "--condition-encoding <how>",
        `learned embeddings, or one-hot: one input per condition (default: ${defaults.conditionEncoding})`,
      ).choices(conditionEncodings),
    )
    .option(
      "--dropout <rate>",
      `dropout rate of the hidden layers (default: ${defaults.dropout})`,
      real(0, 0.99),
    );
}

export function modelOptions({
  hidden,
  latent,
  embeddingDims,
  injectCondition: networks,
  conditionEncoding,
  dropout,
}: ModelFlags): Pick<
  TrainOptions,
  "hiddenLayerSizes" | "latentDim" | "embeddingDims" | "injectCondition" | "conditionEncoding" | "dropout"
> {
  return {
    hiddenLayerSizes: hidden,
    latentDim: latent,
    embeddingDims: embeddingDims?.length === 1 ? embeddingDims[0] : embeddingDims,
    injectCondition: networks,
    conditionEncoding,
    dropout,
  };
}
