// Flags for unlabelled prototypes.
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
      "cluster cells without a label and give each cluster a prototype: leiden, louvain, kmeans:20 or off " +
        "(default: off)",
      unlabeledPrototypes,
    )
    .option(
      "--resolution <number>",
      "resolution of leiden and louvain; higher values give more and smaller clusters " +
        `(default: ${defaults.resolution})`,
      real(1e-6),
    )
    .option(
      "--unlabeled-weight <number>",
      "weight of cells without a label in the prototype loss, which pulls each to its cluster's " +
        "prototype (default: 0)",
      real(0),
    );
}

export function unlabeledOptions({
  unlabeledPrototypes: method,
  resolution,
  unlabeledWeight,
}: UnlabeledFlags): UnlabeledOptions {
  return { unlabeledPrototypes: method, resolution, unlabeledWeight };
}
