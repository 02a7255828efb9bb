// Progress of a training in rounds, derived from the files in its folder.
import { median } from "../numerics/descriptive.js";
import { fileStatus, modifiedAt } from "#platform";
import type { EpochLosses } from "../contract/options.js";
import { stepsBefore, stepsOfRound } from "./course.js";
import { chosenRound } from "./merge.js";
import { readPacked } from "./packed-file.js";
import { allRounds, type RoundsPlan } from "./plan.js";
import { readPlan, type RunFolder } from "./run-folder.js";
import type { StateJson } from "./state.js";

export interface RoundsStatus {
  /** the next step, for display */
  readonly next: string;
  /** number of merged rounds, and their total */
  readonly round: number;
  readonly rounds: number;
  readonly shards: readonly string[];
  /** shards with a result of the current round, and those without */
  readonly done: readonly string[];
  readonly missing: readonly string[];
  readonly summaries: number;
  readonly stopped_early: boolean;
  /** the round whose weights would become the model's, so far */
  readonly best_round: number;
  readonly history: readonly EpochLosses[];
  /** seconds that each finished shard took in the current round, from the merge before to its result */
  readonly shard_seconds: Readonly<Record<string, number>>;
  /** missing shards that take over twice as long as a shard usually does */
  readonly stragglers: readonly Straggler[];
  /**
   * seconds between the last two merges, and the estimated time left (0 if it is exceeded); null before two
   * merges
   */
  readonly seconds_per_round: number | null;
  readonly seconds_left: number | null;
}

/** A shard that is late. */
interface Straggler {
  readonly shard: string;
  /** seconds since the merge of the round before */
  readonly seconds: number;
  /** median of the finished shards of this round, else of the round before */
  readonly usual_seconds: number;
}

/** A shard is late when it takes this many times as long as the median shard. */
const late = 2;

/** @throws ScPoliError "file" if there is no run */
export async function roundsStatus(folder: RunFolder): Promise<RoundsStatus> {
  const { plan } = await readPlan(folder);
  let round = 0;
  while (round < allRounds(plan) && (await fileStatus(folder.state(round + 1)))) round++;
  const { json } = await readPacked<StateJson>(folder.state(round), "state");
  const shards = plan.shards.map(({ name }) => name);
  const isMerged = round >= allRounds(plan);
  const present = async (path: (name: string) => string): Promise<string[]> => {
    const there: string[] = [];
    for (const name of shards) if (await fileStatus(path(name))) there.push(name);
    return there;
  };
  const done = isMerged ? shards : await present((name) => folder.result(round + 1, name));
  const missing = shards.filter((name) => !done.includes(name));
  const summaries = (await present((name) => folder.summary(name))).length;
  const pace = await secondsPerRound(folder, round);
  const elapsed = isMerged ? 0 : secondsBetween(await modifiedAt(folder.state(round)), Date.now());
  const times = isMerged ? {} : await shardSeconds(folder, round, done);
  const usual =
    medianOf(Object.values(times)) ??
    (round > 0 ? medianOf(Object.values(await shardSeconds(folder, round - 1, shards))) : null);
  return {
    next: nextStep(plan, round, missing, summaries),
    round,
    rounds: allRounds(plan),
    shards,
    done,
    missing,
    summaries,
    stopped_early: json.stopped,
    best_round: chosenRound({ json }, plan),
    history: json.history,
    seconds_per_round: pace,
    shard_seconds: times,
    stragglers:
      usual !== null && elapsed > late * usual
        ? missing.map((shard) => ({ shard, seconds: elapsed, usual_seconds: usual }))
        : [],
    seconds_left: pace === null ? null : Math.max(0, pace * roundsLeft(plan, round) - elapsed),
  };
}

function nextStep(plan: RoundsPlan, round: number, missing: readonly string[], summaries: number): string {
  if (round < allRounds(plan))
    return missing.length === 0 ? `merge round ${round + 1}` : `round ${round + 1} of ${missing.join(", ")}`;
  return summaries < plan.shards.length ? "summaries of the shards" : "finish";
}

/** Time left in units of the last merged round: rounds of fine-tuning are shorter. */
function roundsLeft(plan: RoundsPlan, round: number): number {
  const steps = stepsBefore(plan, plan.rounds + 1) - stepsBefore(plan, Math.min(round, plan.rounds) + 1);
  return steps / stepsOfRound(plan, round) + (allRounds(plan) - plan.rounds);
}

function secondsBetween(from: number, to: number): number {
  return Math.max(0, (to - from) / 1000);
}

/** Seconds from the state after a round to the results of the next one. */
async function shardSeconds(
  folder: RunFolder,
  round: number,
  shards: readonly string[],
): Promise<Record<string, number>> {
  const started = await modifiedAt(folder.state(round));
  const seconds: Record<string, number> = {};
  for (const name of shards) {
    const path = folder.result(round + 1, name);
    if (await fileStatus(path)) seconds[name] = secondsBetween(started, await modifiedAt(path));
  }
  return seconds;
}

function medianOf(values: readonly number[]): number | null {
  return values.length > 0 ? median(values) : null;
}

async function secondsPerRound(folder: RunFolder, round: number): Promise<number | null> {
  if (round < 2) return null;
  const [before, after] = [await modifiedAt(folder.state(round - 1)), await modifiedAt(folder.state(round))];
  return secondsBetween(before, after);
}
