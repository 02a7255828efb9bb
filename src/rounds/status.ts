// Progress of a training in rounds, derived from the files in its folder.
import { fileStatus, listFolder, modifiedAt } from "#platform";
import type { EpochLosses } from "../contract/options.js";
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
  /** seconds between the last two merges, and the estimated remaining time; null before two merges */
  readonly seconds_per_round: number | null;
  readonly seconds_left: number | null;
}

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
    seconds_left: pace === null ? null : pace * (allRounds(plan) - round),
  };
}

function nextStep(plan: RoundsPlan, round: number, missing: readonly string[], summaries: number): string {
  if (round < allRounds(plan))
    return missing.length === 0 ? `merge round ${round + 1}` : `round ${round + 1} of ${missing.join(", ")}`;
  return summaries < plan.shards.length ? "summaries of the shards" : "finish";
}

async function secondsPerRound(folder: RunFolder, round: number): Promise<number | null> {
  if (round < 2) return null;
  const [before, after] = [await modifiedAt(folder.state(round - 1)), await modifiedAt(folder.state(round))];
  return Math.max(0, (after - before) / 1000);
}

/** Shards with a survey in the folder, before the run is planned. */
export async function surveyedShards(folder: RunFolder): Promise<string[]> {
  if (!(await fileStatus(folder.surveys))) return [];
  const names = await listFolder(folder.surveys);
  return names
    .filter((name) => /^[^.].*\.safetensors$/.test(name))
    .map((name) => name.replace(/\.safetensors$/, ""));
}
