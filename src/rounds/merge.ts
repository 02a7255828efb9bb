// Merges the shards' weights into one state at the end of a round. Shards are weighted by their training
// cells, rows of a condition by its cells in each shard. Sums run over the shards in name order, so the state
// does not depend on the order of completion.
import type { EpochLosses, LossTerms } from "../contract/options.js";
import { byCodePoint } from "../data/labels.js";
import { ScPoliError } from "../contract/errors.js";
import type { StoredTensor } from "../model/stored-model.js";
import { conditionKeyOf } from "../model/parameters.js";
import { observe } from "../training/optimization.js";
import type { EarlyStoppingState } from "../storage/training-checkpoint.js";
import { metricOf } from "../training/trainer.js";
import { roundsOfPasses, stepWeights } from "./course.js";
import type { ResultJson } from "./local.js";
import { tensorOf, type PackedFile } from "./packed-file.js";
import { allRounds, type RoundsPlan, type StoredPlan } from "./plan.js";
import { partOf, shardParts } from "./shard.js";
import type { LossSums } from "./shard-network.js";
import type { RoundsState } from "./state.js";

export type ResultFile = PackedFile<ResultJson>;

/**
 * Merges the results of a round.
 * @param results - of the round, in any order
 * @param leftOut - shards to skip: they do not contribute to this round, and start the next one from its
 * weights like the others
 * @throws ScPoliError "refused" if a result is missing, belongs to another round or run, or all shards are
 * left out
 */
export function mergeRound(
  { plan, digest }: StoredPlan,
  state: RoundsState,
  stateDigest: string,
  results: readonly ResultFile[],
  leftOut: readonly string[] = [],
): RoundsState {
  const round = state.json.round + 1;
  const sorted = [...results].sort((a, b) => byCodePoint(a.json.shard, b.json.shard));
  checkResults(plan, digest, stateDigest, round, sorted, leftOut);
  const trained = sorted.every(({ json }) => json.steps > 0);
  const sums = (part: "training" | "validation"): LossSums => addSums(sorted.map(({ json }) => json[part]));
  const losses = lossesOf(plan, state, sums("training"), sums("validation"));
  const { early, stopped } = stopping(plan, state, losses);
  const steps = sorted.reduce((sum, { json }) => sum + json.steps, 0);
  const moved = trained ? moveWeights(plan, state, sorted) : state;
  const types = trained ? mergePrototypes(plan, sorted) : null;
  return {
    json: {
      plan: digest,
      round,
      merged: sorted.map(({ json, digest: result }) => ({ shard: json.shard, result })),
      left_out: [...leftOut].sort(byCodePoint),
      passes:
        state.json.passes +
        (steps * plan.optimization.minibatch) / (plan.cells * plan.optimization.trainFrac),
      early,
      variance: types?.variance ?? state.json.variance,
      stopped,
      history: [...state.json.history, losses],
    },
    parameters: moved.parameters,
    momentum: moved.momentum,
    prototypes: types ? types.means(state.prototypes) : state.prototypes,
  };
}

function checkResults(
  plan: RoundsPlan,
  planDigest: string,
  stateDigest: string,
  round: number,
  results: readonly ResultFile[],
  leftOut: readonly string[],
): void {
  if (round > allRounds(plan))
    throw new ScPoliError("refused", `All ${allRounds(plan)} rounds of the run are already merged.`, {
      round,
    });
  for (const name of leftOut) shardParts(plan, name);
  const names = results.map(({ json }) => json.shard);
  const missing = plan.shards.find(({ name }) => !names.includes(name) && !leftOut.includes(name));
  if (missing)
    throw new ScPoliError(
      "refused",
      `Round ${round} has no result of shard '${missing.name}'. Run \`scpoli rounds local\` for it, or ` +
        `leave it out of this round (--without ${missing.name}).`,
      { round, shard: missing.name },
    );
  if (results.length === 0)
    throw new ScPoliError("refused", `All shards are left out of round ${round}; at least one is needed.`, {
      round,
    });
  for (const { json } of results) {
    shardParts(plan, json.shard);
    if (
      leftOut.includes(json.shard) ||
      json.plan !== planDigest ||
      json.state !== stateDigest ||
      json.round !== round
    )
      throw new ScPoliError(
        "refused",
        `The result of shard '${json.shard}' is not of round ${round} of this run ` +
          `(it is of round ${json.round}${json.plan === planDigest ? "" : " of another plan"}` +
          `${json.state === stateDigest ? "" : ", from another state"}). ` +
          "Remove it and run `scpoli rounds local` again.",
        { shard: json.shard, round },
      );
  }
}

function addSums(parts: readonly LossSums[]): LossSums {
  const sum = (name: keyof LossSums): number => parts.reduce((total, part) => total + part[name], 0);
  return {
    reconstruction: sum("reconstruction"),
    kl: sum("kl"),
    prototype: sum("prototype"),
    crossEntropy: sum("crossEntropy"),
    classification: sum("classification"),
    labels: sum("labels"),
    cells: sum("cells"),
  };
}

function lossesOf(
  plan: RoundsPlan,
  state: RoundsState,
  training: LossSums,
  validation: LossSums,
): EpochLosses {
  const weights = stepWeights(
    plan,
    Math.min(state.json.round + 1, plan.rounds),
    1,
    state.prototypes !== null,
  );
  const terms = (sums: LossSums): LossTerms => {
    const { reconstruction, kl, prototype, crossEntropy, cells, classification, labels } = sums;
    return {
      reconstruction: reconstruction / cells,
      kl: kl / cells,
      prototype: prototype / cells,
      ...(weights.crossEntropy > 0 && { crossEntropy: crossEntropy / cells }),
      ...(labels > 0 && { classification: classification / labels }),
      total:
        (reconstruction +
          weights.kl * kl +
          weights.prototype * prototype +
          weights.crossEntropy * crossEntropy) /
        cells,
    };
  };
  const none: LossTerms = { reconstruction: 0, kl: 0, prototype: 0, total: 0 };
  return {
    train: training.cells > 0 ? terms(training) : (state.json.history.at(-1)?.train ?? none),
    ...(validation.cells > 0 && { validation: terms(validation) }),
  };
}

/**
 * Early stopping, by the validation losses of the weights at the start of the round. Patience is in epochs of
 * a training on one machine.
 */
function stopping(
  plan: RoundsPlan,
  { json, prototypes }: RoundsState,
  { validation }: EpochLosses,
): { readonly early: EarlyStoppingState; readonly stopped: boolean } {
  const { earlyStopping, eta, etaCrossEntropy } = plan.optimization;
  const early = { ...json.early };
  const isMonitored =
    plan.levels.length > 0 && eta + etaCrossEntropy > 0
      ? json.round >= plan.fine_tuning_from
      : stepWeights(plan, json.round + 1, 0, prototypes !== null).kl >= 1;
  if (!earlyStopping || !validation || !isMonitored || json.round === 0)
    return { early, stopped: json.stopped };
  const inRounds = (passes: number): number => roundsOfPasses(plan, json.round, passes);
  const verdict = observe(early, metricOf(validation, earlyStopping.metric), json.round, {
    ...earlyStopping,
    patience: inRounds(earlyStopping.patience),
    lrPatience: inRounds(earlyStopping.lrPatience),
  });
  return { early, stopped: json.stopped || verdict.stop };
}

/** The round whose weights become the model's: the best one with early stopping, else the last. */
export function chosenRound(
  { json }: Pick<RoundsState, "json">,
  { rounds }: Pick<RoundsPlan, "rounds">,
): number {
  return json.early.best === null ? Math.min(json.round, rounds) : json.early.bestEpoch;
}

function moveWeights(
  plan: RoundsPlan,
  state: RoundsState,
  results: readonly ResultFile[],
): Pick<RoundsState, "parameters" | "momentum"> {
  const parameters = new Map<string, StoredTensor>();
  const momentum = new Map<string, StoredTensor>();
  const shards = results.map((file) => ({ file, parts: shardParts(plan, file.json.shard) }));
  for (const [name, before] of state.parameters) {
    const isTable = partOf(name, shards[0]!.parts) !== null;
    const values = shards.map(({ file, parts }) => ({
      data: tensorOf<Float32Array>(file, `parameter/${name}`, `The result of shard '${file.json.shard}'`),
      part: partOf(name, parts)!,
      cells: isTable ? partCells(name, plan, parts.combinations, file.json) : [],
      weight: file.json.cells,
    }));
    if (isTable) parameters.set(name, mergeTable(before, values));
    else {
      const moved = outerStep(plan, before, meanOf(before.data.length, values), state.momentum.get(name));
      parameters.set(name, moved.value);
      if (moved.momentum) momentum.set(name, moved.momentum);
    }
  }
  return { parameters, momentum };
}

function meanOf(
  length: number,
  values: readonly { readonly data: Float32Array; readonly weight: number }[],
): Float64Array {
  const mean = new Float64Array(length);
  const total = values.reduce((sum, { weight }) => sum + weight, 0);
  for (const { data, weight } of values)
    for (let i = 0; i < length; i++) mean[i]! += (weight / total) * data[i]!;
  return mean;
}

/** Number of a shard's cells for each row of its part of a table. */
function partCells(
  name: string,
  plan: RoundsPlan,
  combinations: readonly number[],
  { combination_cells: cells, shard }: ResultJson,
): number[] {
  if (name === "theta") return [...cells];
  const part = partOf(name, shardParts(plan, shard))!;
  const key = conditionKeyOf(name)!;
  const rows = part.at.map(() => 0);
  combinations.forEach((combination, at) => {
    rows[part.at.indexOf(plan.combinations[combination]![key]!)]! += cells[at]!;
  });
  return rows;
}

/**
 * Rows (for theta: columns) become the means over the shards that have cells of them; others are unchanged.
 */
function mergeTable(
  { shape, data: before }: StoredTensor,
  values: readonly {
    readonly data: Float32Array;
    readonly part: NonNullable<ReturnType<typeof partOf>>;
    readonly cells: readonly number[];
  }[],
): StoredTensor {
  const [R, C] = [shape[0]!, shape[1]!];
  const isRows = values[0]!.part.axis === "rows";
  const [lines, width] = isRows ? [R, C] : [C, R];
  const total = new Float64Array(lines);
  for (const { part, cells } of values) part.at.forEach((line, at) => (total[line]! += cells[at]!));
  const sums = new Float64Array(R * C);
  for (const { data, part, cells } of values)
    part.at.forEach((line, at) => {
      const weight = total[line]! > 0 ? cells[at]! / total[line]! : 0;
      for (let i = 0; i < width; i++) {
        const [to, from] = isRows ? [line * C + i, at * C + i] : [i * C + line, i * part.at.length + at];
        sums[to]! += weight * data[from]!;
      }
    });
  return {
    shape,
    data: before.map((value, i) => (total[isRows ? Math.floor(i / C) : i % C]! > 0 ? sums[i]! : value)),
  };
}

function outerStep(
  { outer_step: outer }: RoundsPlan,
  { shape, data: before }: StoredTensor,
  mean: Float64Array,
  velocity: StoredTensor | undefined,
): { readonly value: StoredTensor; readonly momentum: StoredTensor | null } {
  if (outer.kind === "mean") return { value: { shape, data: Float32Array.from(mean) }, momentum: null };
  const { lr, momentum } = outer;
  const moved = new Float32Array(before.length);
  const next = new Float32Array(before.length);
  before.forEach((value, i) => {
    const change = mean[i]! - value;
    next[i] = momentum * (velocity?.data[i] ?? 0) + change;
    moved[i] = value + lr * (change + momentum * next[i]);
  });
  return { value: { shape, data: moved }, momentum: { shape, data: next } };
}

/** Means of the cell types and the mean within-type variance; null if the results have no sums. */
function mergePrototypes(
  plan: RoundsPlan,
  results: readonly ResultFile[],
): {
  /** @param before - previous means, for types without cells; null: 0 */
  readonly means: (before: Float32Array | null) => Float32Array;
  readonly variance: number;
} | null {
  if (!results.every(({ tensors }) => tensors.has("prototypes.counts"))) return null;
  const D = plan.model.latentDim;
  const added = (part: string): Float64Array => {
    const [first, ...others] = results.map((file) =>
      tensorOf<Float64Array>(file, `prototypes.${part}`, `The result of shard '${file.json.shard}'`),
    );
    const total = first!.slice();
    for (const values of others) values.forEach((value, i) => (total[i]! += value));
    return total;
  };
  const [counts, sums, squares] = [added("counts"), added("sums"), added("squares")];
  let [scatter, freedom] = [0, 0];
  counts.forEach((n, type) => {
    if (n <= 1) return;
    const between = sums
      .subarray(type * D, (type + 1) * D)
      .reduce((total, sum) => total + (sum * sum) / n, 0);
    scatter += squares[type]! - between;
    freedom += (n - 1) * D;
  });
  return {
    means: (before) =>
      Float32Array.from(sums, (sum, i) => {
        const n = counts[Math.floor(i / D)]!;
        return n > 0 ? sum / n : (before?.[i] ?? 0);
      }),
    variance: freedom > 0 && scatter > 0 ? scatter / freedom : 1,
  };
}
