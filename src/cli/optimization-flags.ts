// Flags of the optimisation. `map` has those of them that matter where the weights are frozen and there are
// no labels.
import { Option, type Command } from "commander";
import {
  defaults,
  presets,
  prototypeLosses,
  type EarlyStopping,
  type MemoryOptions,
  type OptimizationOptions,
  type Preset,
  type PrototypeLoss,
} from "../contract/options.js";
import { amountOfMemory, earlyStopping, real, whole } from "./arguments.js";

export interface OptimizationFlags {
  readonly epochs?: number;
  readonly pretrainingEpochs?: number;
  readonly preset?: Preset;
  readonly prototypeLoss?: PrototypeLoss;
  readonly eta?: number;
  readonly etaCrossEntropy?: number;
  readonly typeBalance?: number;
  readonly minibatch?: number;
  readonly lr?: number;
  readonly weightDecay?: number;
  readonly annealEpochs?: number;
  readonly trainFrac?: number;
  readonly prototypeNorm?: number;
  readonly earlyStopping?: Partial<EarlyStopping> | false;
  readonly memory?: number;
  readonly stream?: MemoryOptions["stream"];
}

export function memoryFlag(): Option {
  return new Option(
    "--memory <amount>",
    "memory that the run may take, e.g. 4G (default: 60 % of the machine's)",
  ).argParser(amountOfMemory);
}

export function presetFlag(what: string): Option {
  return new Option("--preset <name>", `published: ${what}`).choices(presets);
}

/** @param fallback - what holds where a flag is left out; undefined: the defaults */
export function addPrototypeLossFlags(command: Command, fallback?: string): Command {
  return command
    .addOption(
      new Option(
        "--prototype-loss <kind>",
        `what draws cells to the prototypes of their types: their distance (the paper's), the cross-entropy over all types, which also pushes them from the others, both, or nothing (off: no fine-tuning) (default: ${fallback ?? defaults.prototypeLoss})`,
      ).choices(prototypeLosses),
    )
    .option(
      "--eta <number>",
      `weight of the distance; a large one (100) draws the cells of a type closer together (default: ${fallback ?? defaults.eta})`,
      real(0),
    )
    .option(
      "--eta-cross-entropy <number>",
      `weight of the cross-entropy (default: ${fallback ?? defaults.etaCrossEntropy})`,
      real(0),
    )
    .option(
      "--type-balance <share>",
      `what cells of rare types count more in the cross-entropy: 0 nothing, 1 all types the same (default: ${fallback ?? defaults.typeBalance})`,
      real(0, 1),
    );
}

export function addOptimizationFlags(command: Command): Command {
  return command
    .optionsGroup("Optimisation:")
    .option("--epochs <n>", "passes over the cells (default: from the number of cells)", whole(1))
    .option("--minibatch <n>", `cells per step (default: ${defaults.minibatch})`, whole(1, 65536))
    .option("--lr <number>", `learning rate (default: ${defaults.lr})`, real(0, 1))
    .option(
      "--anneal-epochs <n>",
      `epochs over which the KL term rises to its full weight (default: ${defaults.alphaEpochAnneal}; where the epochs are chosen, the pretraining, or a quarter of a mapping)`,
      real(0),
    )
    .option(
      "--train-frac <share>",
      `share of the cells that train, the others validate (default: ${defaults.trainFrac})`,
      real(0.01, 1),
    )
    .option(
      "--early-stopping <on|off|n>",
      `stop after n epochs without improvement (default: on, ${defaults.earlyStopping.patience}; in training only from fine-tuning on)`,
      earlyStopping,
    )
    .addOption(memoryFlag())
    .addOption(
      new Option(
        "--stream <when>",
        "leave the counts in the file and read them again in each epoch (default: auto, where they do not fit into memory)",
      ).choices(["auto", "always", "never"]),
    );
}

/** Those that matter only where weights and prototypes are learnt. */
export function addTrainingFlags(command: Command): Command {
  const preset = presetFlag("the values of the published code for all that is not given");
  return addPrototypeLossFlags(
    command
      .addOption(preset)
      .option(
        "--pretraining-epochs <n>",
        `epochs before the prototype loss (default: ${100 * defaults.pretrainingShare} % of the epochs)`,
        whole(0),
      ),
  )
    .option(
      "--prototype-norm <p>",
      `p of the Minkowski distance to prototypes in the loss; the cross-entropy is of Euclidean ones (default: ${defaults.prototypeNorm})`,
      real(1, 100),
    )
    .option(
      "--weight-decay <number>",
      `L2 penalty, none on embeddings (default: ${defaults.weightDecay})`,
      real(0),
    );
}

export function optimizationOptions(flags: OptimizationFlags): OptimizationOptions & MemoryOptions {
  const {
    epochs,
    pretrainingEpochs,
    preset,
    prototypeLoss,
    eta,
    etaCrossEntropy,
    typeBalance,
    minibatch,
    lr,
    weightDecay,
    annealEpochs,
    trainFrac,
    prototypeNorm,
    memory,
    stream,
  } = flags;
  return {
    epochs,
    pretrainingEpochs,
    preset,
    prototypeLoss,
    eta,
    etaCrossEntropy,
    typeBalance,
    minibatch,
    lr,
    weightDecay,
    alphaEpochAnneal: annealEpochs,
    trainFrac,
    prototypeNorm,
    earlyStopping: flags.earlyStopping,
    memory,
    stream,
  };
}
