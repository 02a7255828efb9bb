// What training and mapping settle before their first epoch: the optimisation, the prototypes in the loss,
// and the engine.
import type {
  ModelOptions,
  OptimizationOptions,
  RunSettings,
  UnlabeledOptions,
} from "../contract/options.js";
import { minibatchCapacity, type Dataset } from "../data/minibatches.js";
import { createEngine } from "../engine/create.js";
import type { Engine } from "../engine/engine.js";
import type { ModelSizes } from "../model/parameters.js";
import { levelPrototypes } from "../prototypes/type-cross-entropy.js";
import {
  clusteringOf,
  unlabeledCells,
  unlabeledLossOf,
  type UnlabeledLoss,
} from "../prototypes/unlabeled.js";
import {
  checkUnlabeledLoss,
  planOptimization,
  type OptimizationPlan,
  type PrototypeLossPlan,
  type Stage,
} from "./optimization.js";

/** Settled from the options and the cells, without their counts. */
export interface Run {
  readonly stage: Stage;
  readonly model: ModelOptions;
  readonly sizes: ModelSizes;
  readonly optimization: OptimizationPlan;
  readonly unlabeled: UnlabeledLoss | undefined;
  /** per annotation level, rows of its types in the table of prototypes */
  readonly levels: readonly (readonly number[])[];
  /** rows of the table: the types, then the unlabelled prototypes */
  readonly prototypeCount: number;
}

/** @throws ScPoliError "usage" for a value out of range */
export function planRun(
  options: OptimizationOptions & UnlabeledOptions & RunSettings,
  cells: Pick<Dataset, "labels" | "levels" | "combinations">,
  {
    types,
    dropout,
    trained,
    ...run
  }: Pick<Run, "stage" | "model" | "sizes" | "levels"> & {
    /** number of cell types, over all levels */
    readonly types: number;
    readonly dropout: number;
    /** in mapping: the prototype loss of the reference */
    readonly trained?: PrototypeLossPlan;
  },
): Run {
  const unlabeled = unlabeledLossOf(options, clusteringOf(options), types, unlabeledCells(cells));
  const prototypeCount = types + (unlabeled?.rows ?? 0);
  const optimization = planOptimization(options, {
    stage: run.stage,
    cells: cells.combinations.length,
    hasLabels: prototypeCount > 0,
    dropout,
    seed: options.seed ?? 0,
    trained,
  });
  if (unlabeled) checkUnlabeledLoss(optimization);
  return { ...run, optimization, unlabeled, prototypeCount };
}

/** The engine that a run needs. */
export function createRunEngine(
  { model, sizes, optimization, unlabeled, levels, prototypeCount }: Run,
  { counts, labels, levels: levelCount }: Dataset,
  settings: RunSettings,
): Promise<Engine> {
  const { minibatch, distanceReduction, typeBalance } = optimization;
  return createEngine(
    {
      minibatchSize: minibatch,
      minibatchCapacity: minibatchCapacity(counts, minibatch),
      genes: sizes.genes,
      conditionKeys: sizes.conditions.length,
      levels: levelCount + (unlabeled ? 1 : 0),
      prototypes: [prototypeCount, model.latentDim],
      unlabeled,
      distanceReduction,
      levelPrototypes: levelPrototypes(levels, labels, levelCount, typeBalance),
    },
    settings,
  );
}
