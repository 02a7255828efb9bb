// Flags of what makes a model grow: unlabelled prototypes.
import type { Command } from "commander";
import { defaults, type UnlabeledOptions } from "../config.js";
import { real, unlabeledPrototypes } from "./arguments.js";

export interface UnlabeledFlags {
  readonly unlabeledPrototypes?: UnlabeledOptions["unlabeledPrototypes"];
  readonly resolution?: number;
}

export function addUnlabeledFlags(command: Command): Command {
  return command
    .optionsGroup("Unlabelled prototypes:")
    .option("--unlabeled-prototypes <method>", "prototypes of clusters of the cells without a label: leiden, louvain, kmeans:20 or off (default: off)", unlabeledPrototypes)
    .option("--resolution <number>", `of leiden and louvain: above 1 more and smaller clusters (default: ${defaults.resolution})`, real(1e-6));
}

export function unlabeledOptions({ unlabeledPrototypes: asked, resolution }: UnlabeledFlags): UnlabeledOptions {
  return { unlabeledPrototypes: asked, resolution };
}
