// Flags of the optimisation. `map` has those of them that matter where the weights are frozen and there are
// no labels.
import { Option, type Command } from "commander";
import { defaults, type EarlyStopping, type MemoryOptions, type OptimizationOptions } from "../config.js";
import { amountOfMemory, earlyStopping, real, whole } from "./arguments.js";

export interface OptimizationFlags {
  readonly epochs?: number;
  readonly pretrainingEpochs?: number;
  readonly eta?: number;
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
  return command
    .option(
      "--pretraining-epochs <n>",
      `epochs before the prototype loss (default: ${100 * defaults.pretrainingShare} % of the epochs)`,
      whole(0),
    )
    .addOption(
      new Option(
        "--prototype-loss <on|off>",
        "off: no prototype loss and no fine-tuning, as --eta 0 (default: on)",
      ).choices(["on", "off"]),
    )
    .option(
      "--eta <number>",
      `weight of the prototype loss; a large one (100) draws the cells of a type closer together (default: ${defaults.eta})`,
      real(0),
    )
    .option(
      "--prototype-norm <p>",
      `p of the Minkowski distance to prototypes (default: ${defaults.prototypeNorm})`,
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
    eta,
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
    eta,
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
