// The schedule of a training in rounds: numbers and lengths of the rounds, and the weights of the losses.
import { checkNumber, checkWhole } from "../contract/options.js";
import type { OptimizationPlan } from "../training/optimization.js";
import type { OuterStep, RoundsOptions } from "./options.js";

export const defaultRounds = 24;
export const defaultPasses = 1.5;
/**
 * Share of the rounds that fine-tune. Prototypes are renewed in a merge alone, so that fine-tuning, which is
 * a tenth of the steps, needs a larger part of the rounds (docs/benchmarks/rounds.md).
 */
export const fineTuningShare = 0.5;

/** The schedule of a plan. */
export interface Course {
  readonly rounds: number;
  /** steps per shard in a round without the prototype loss, and in one with it */
  readonly steps: number;
  readonly fine_tuning_steps: number;
  /** first round with the prototype loss, from 1; `rounds` + 1 if there is none */
  readonly fine_tuning_from: number;
  /** whether a last round without training evaluates the weights of the round before */
  readonly evaluates: boolean;
  readonly outer_step: OuterStep;
  readonly keep_moments: boolean;
}

/**
 * @param cells - of all shards
 * @throws ScPoliError "usage" for an option out of range
 */
export function planCourse(
  optimization: OptimizationPlan,
  cells: number,
  shards: number,
  options: RoundsOptions,
): Course {
  const rounds = checkWhole("rounds", options.rounds ?? defaultRounds, 2, 9999);
  const outer = options.outerStep ?? { kind: "mean" };
  if (outer.kind === "nesterov") {
    checkNumber("outerStep.lr", outer.lr, 0, 10);
    checkNumber("outerStep.momentum", outer.momentum, 0, 0.999);
  }
  return {
    rounds,
    ...planSteps(optimization, cells, shards, { ...options, rounds }),
    evaluates: optimization.earlyStopping !== null,
    outer_step: outer,
    keep_moments: options.keepMoments ?? true,
  };
}

/** The steps of the two kinds of rounds, and the first round that fine-tunes. */
export function planSteps(
  { epochs, pretrainingEpochs, trainFrac, minibatch }: OptimizationPlan,
  cells: number,
  shards: number,
  options: Pick<RoundsOptions, "passes" | "fineTuningRounds"> & { readonly rounds: number },
): Pick<Course, "steps" | "fine_tuning_steps" | "fine_tuning_from"> {
  const { rounds } = options;
  const passes = checkNumber("passes", options.passes ?? defaultPasses, 0.01, 100);
  const ofEpoch = (passes * cells * trainFrac) / (minibatch * shards);
  const stepsOf = (epochsOfStage: number, roundsOfStage: number): number =>
    Math.max(1, Math.ceil((epochsOfStage * ofEpoch) / Math.max(1, roundsOfStage)));
  if (pretrainingEpochs >= epochs) {
    const steps = stepsOf(epochs, rounds);
    return { steps, fine_tuning_steps: steps, fine_tuning_from: rounds + 1 };
  }
  // the first round of fine-tuning uses the prototypes of the round before
  const fineTuning = Math.min(
    rounds - 1,
    checkWhole("fineTuningRounds", options.fineTuningRounds ?? Math.ceil(fineTuningShare * rounds), 1, 9999),
  );
  return {
    steps: stepsOf(pretrainingEpochs, rounds - fineTuning),
    fine_tuning_steps: stepsOf(epochs - pretrainingEpochs, fineTuning),
    fine_tuning_from: rounds - fineTuning + 1,
  };
}

/** Weights of the loss terms in a step. */
export interface StepWeights {
  readonly kl: number;
  readonly prototype: number;
  readonly crossEntropy: number;
}

type Steps = Pick<Course, "rounds" | "steps" | "fine_tuning_steps" | "fine_tuning_from">;

/** Steps of a shard in a round, from 1. */
export function stepsOfRound(course: Steps, round: number): number {
  return round < course.fine_tuning_from ? course.steps : course.fine_tuning_steps;
}

/** Steps of a shard before a round. */
export function stepsBefore({ steps, fine_tuning_steps, fine_tuning_from }: Steps, round: number): number {
  const pretraining = Math.min(round, fine_tuning_from) - 1;
  return pretraining * steps + (round - 1 - pretraining) * fine_tuning_steps;
}

/** Rounds that are as long as a number of passes of one machine, at least 2. */
export function roundsOfPasses(
  course: Steps & { readonly optimization: OptimizationPlan },
  round: number,
  passes: number,
): number {
  const perPass = stepsBefore(course, course.rounds + 1) / course.optimization.epochs;
  return Math.max(2, Math.ceil((passes * perPass) / stepsOfRound(course, round)));
}

/**
 * Weights of the losses.
 * @param round - from 1
 * @param share - 0..1, the part of the round that is done
 * @param hasPrototypes - whether the state has prototypes
 */
export function stepWeights(
  course: Steps & { readonly optimization: OptimizationPlan },
  round: number,
  share: number,
  hasPrototypes: boolean,
): StepWeights {
  const { epochs, alphaEpochAnneal, eta, etaCrossEntropy } = course.optimization;
  const done = stepsBefore(course, round) + share * stepsOfRound(course, round);
  const epoch = (done / stepsBefore(course, course.rounds + 1)) * epochs;
  const isFineTuning = round >= course.fine_tuning_from && hasPrototypes;
  return {
    kl: alphaEpochAnneal > 0 ? Math.min(1, epoch / alphaEpochAnneal) : 1,
    prototype: isFineTuning ? eta : 0,
    crossEntropy: isFineTuning ? etaCrossEntropy : 0,
  };
}
