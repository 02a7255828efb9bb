// Flags for the optimisation. `map` has only those that matter with frozen weights.
import { Option, type Command } from "commander";
import {
  defaults,
  distanceReductions,
  presets,
  prototypeLosses,
  type DistanceReduction,
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
  readonly distanceReduction?: DistanceReduction;
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
    "memory that the run may use, e.g. 4G (default: 60 % of the machine's)",
  ).argParser(amountOfMemory);
}

export function presetFlag(what: string): Option {
  return new Option("--preset <name>", `published: ${what}`).choices(presets);
}

/** @param fallback - text for the default values in help; undefined: the program's defaults */
export function addPrototypeLossFlags(command: Command, fallback?: string): Command {
  return command
    .addOption(
      new Option(
        "--prototype-loss <kind>",
        "loss that pulls cells to the prototypes of their types: distance (as in the paper), " +
          "cross-entropy over " +
          "all types, which also pushes cells away from other types, both, or off (no fine-tuning) " +
          `(default: ${fallback ?? defaults.prototypeLoss})`,
      ).choices(prototypeLosses),
    )
    .option(
      "--eta <number>",
      "weight of the distance loss; a large one (200) pulls the cells of a type closer together " +
        `(default: ${fallback ?? defaults.eta})`,
      real(0),
    )
    .option(
      "--eta-cross-entropy <number>",
      `weight of the cross-entropy (default: ${fallback ?? defaults.etaCrossEntropy})`,
      real(0),
    )
    .addOption(
      new Option(
        "--distance-reduction <kind>",
        "what the distance loss is averaged over: cell-mean (all labelled cells, as in the paper's " +
          "equation), or type-sum (the cells of each type, and the types are summed, as in the published " +
          "code: it weighs more with more types) " +
          `(default: ${fallback ?? defaults.distanceReduction})`,
      ).choices(distanceReductions),
    )
    .option(
      "--type-balance <share>",
      "extra weight of rare types in the cross-entropy, and in the distance if it is averaged over cells, " +
        "from 0 (all cells weigh the same) to 1 (all types weigh the same) " +
        `(default: ${fallback ?? defaults.typeBalance})`,
      real(0, 1),
    );
}

export function addOptimizationFlags(command: Command): Command {
  return command
    .optionsGroup("Optimisation:")
    .option("--epochs <n>", "passes over the cells (default: depends on the number of cells)", whole(1))
    .option("--minibatch <n>", `cells per step (default: ${defaults.minibatch})`, whole(1, 65536))
    .option("--lr <number>", `learning rate (default: ${defaults.lr})`, real(0, 1))
    .option(
      "--anneal-epochs <n>",
      "epochs over which the KL term rises to its full weight (default: pretraining epochs in training, " +
        "a quarter " +
        `of the epochs in mapping; ${defaults.alphaEpochAnneal} if --epochs is given)`,
      real(0),
    )
    .option(
      "--train-frac <share>",
      `share of the cells used for training; the others are for validation (default: ${defaults.trainFrac})`,
      real(0.01, 1),
    )
    .option(
      "--early-stopping <on|off|n>",
      "stop after n epochs without improvement, in training only during fine-tuning; on: " +
        `n = ${defaults.earlyStopping.patience} (default: off; on with --preset published and in rounds)`,
      earlyStopping,
    )
    .addOption(memoryFlag())
    .addOption(
      new Option(
        "--stream <when>",
        "read the counts from the file in each epoch instead of keeping them in memory (default: auto, " +
          "if they " +
          "do not fit in memory)",
      ).choices(["auto", "always", "never"]),
    );
}

/** Flags that matter only when weights and prototypes are trained. */
export function addTrainingFlags(command: Command): Command {
  const preset = presetFlag("the published code's value for every option not given");
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
      "p of the Minkowski distance to prototypes in the distance loss; the cross-entropy uses Euclidean " +
        `distances (default: ${defaults.prototypeNorm})`,
      real(1, 100),
    )
    .option(
      "--weight-decay <number>",
      `L2 penalty on all weights except embeddings (default: ${defaults.weightDecay})`,
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
    distanceReduction,
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
    distanceReduction,
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
