// Amounts of work of the steps of a training, shared by the plan and by the script that fits its constants.
import { evaluationCells } from "../mapping/surgery.js";
import type { Work } from "./costs.js";

/** A training over all cells. */
export interface Training {
  readonly cells: number;
  readonly stored: number;
  readonly parameters: number;
  readonly epochs: number;
  readonly trainFrac: number;
  /** cells that the classifier is trained on, at most */
  readonly sample: number;
}

/** A shard of it. @see Training */
type ShardSize = Pick<Training, "cells" | "stored" | "parameters">;

export interface StepWork {
  readonly train: () => Work;
  /** @param trained - cells that one round passes through, counted again in each pass */
  readonly local: (shard: ShardSize, trained: number) => Work;
  readonly summary: (shard: ShardSize) => Work;
  /**
   * All rounds and the summary in one job.
   * @param trained - cells that all rounds pass through
   * @param merged - parameters that the merge of a round reads and writes
   */
  readonly work: (shard: ShardSize, rounds: number, trained: number, merged: number) => Work;
  readonly finish: () => Work;
}

/** Times that a shard's cells are encoded by its summary: type sums, sample and held-out cells. */
const summaryPasses = 1.2;
/** Most cells that a job encodes for the prototypes of the next round. */
const prototypeCells = 16_384;

export function stepWork(training: Training): StepWork {
  const { cells, stored, parameters, epochs, trainFrac, sample } = training;
  // encoded in a round, for validation and prototypes
  const encoded = (shard: ShardSize): number =>
    shard.cells * (1 - trainFrac) + Math.min(shard.cells, prototypeCells);
  return {
    train: () => ({
      read: stored,
      trained: epochs * cells * trainFrac,
      // validation in every epoch, prototypes in those of fine-tuning
      encoded: epochs * cells * (1 - trainFrac) + (epochs * cells * trainFrac) / 10,
      classified: Math.min(cells, sample),
      parameters,
    }),
    local: (shard, trained) => ({
      read: shard.stored,
      trained,
      encoded: encoded(shard),
      // the state, the result, and the moments before and after
      parameters: 6 * shard.parameters,
    }),
    summary: (shard) => ({
      read: shard.stored,
      encoded: summaryPasses * shard.cells,
      parameters: shard.parameters,
    }),
    work: (shard, rounds, trained, merged) => ({
      read: shard.stored,
      trained,
      encoded: rounds * encoded(shard) + summaryPasses * shard.cells,
      parameters: rounds * (6 * shard.parameters + merged),
    }),
    finish: () => ({ classified: Math.min(cells, sample), parameters: 2 * parameters }),
  };
}

/**
 * Cells whose likelihood a mapping computes to compare each new condition of a query with all conditions of
 * the reference.
 * @param newConditions, conditions - their numbers, per condition key @param minibatch - cells per step
 */
export function comparedCells(
  newConditions: readonly number[],
  conditions: readonly number[],
  minibatch: number,
): number {
  return newConditions.reduce(
    (sum, count, key) =>
      sum + count * conditions[key]! * Math.min(minibatch, evaluationCells(conditions[key]!)),
    0,
  );
}
