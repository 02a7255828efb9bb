// Flags of what makes a model grow: unlabelled prototypes.
import type { Command } from "commander";
import { defaults, type UnlabeledOptions } from "../contract/options.js";
import { real, unlabeledPrototypes } from "./arguments.js";

export interface UnlabeledFlags {
  readonly unlabeledPrototypes?: UnlabeledOptions["unlabeledPrototypes"];
  readonly resolution?: number;
  readonly unlabeledWeight?: number;
}

export function addUnlabeledFlags(command: Command): Command {
  return command
    .optionsGroup("Unlabelled prototypes:")
    .option(
      "--unlabeled-prototypes <method>",
      "prototypes of clusters of the cells without a label: leiden, louvain, kmeans:20 or off (default: off)",
      unlabeledPrototypes,
    )
    .option(
      "--resolution <number>",
      `of leiden and louvain: above 1 more and smaller clusters (default: ${defaults.resolution})`,
      real(1e-6),
    )
    .option(
      "--unlabeled-weight <number>",
      "weight of these cells in the prototype loss, each drawn to the prototype of its cluster (default: 0)",
      real(0),
    );
}

export function unlabeledOptions({
  unlabeledPrototypes: asked,
  resolution,
  unlabeledWeight,
}: UnlabeledFlags): UnlabeledOptions {
  return { unlabeledPrototypes: asked, resolution, unlabeledWeight };
}
