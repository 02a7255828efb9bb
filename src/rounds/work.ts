// One job for all rounds of a shard: `scpoli rounds work`. It waits for the files of the other shards instead
// of ending after each round, so that a scheduler starts one job per shard, not one per shard and round, and
// the shard is read once. All jobs have to run at the same time.
import { fileStatus } from "#platform";
import type { RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { allRounds } from "./plan.js";
import { readPlan, type RunFolder } from "./run-folder.js";
import { openShard, plannedShard, type OpenShard } from "./shard.js";
import {
  localRound,
  merge,
  shardSummary,
  Stopwatch,
  withFile,
  type ShardJob,
  type StepResult,
} from "./steps.js";

export interface WorkOptions {
  /** whether this job also merges; default: whether the shard is the first of the plan */
  readonly merges?: boolean;
  /** most seconds to wait for a file of another job; default 3600 */
  readonly wait?: number;
}

/** Milliseconds between looks at a file that is not there yet. */
const pause = 250;
export const defaultWait = 3600;

/**
 * Trains a shard in all rounds that are left and summarises it. Files that exist are not made again, so that
 * a job that died continues.
 * @returns the result of the last step
 * @throws ScPoliError "file" if the files of the other jobs do not come in time; "interrupted"
 */
export async function work(
  folder: RunFolder,
  shard: string,
  path: string,
  settings: RunSettings,
  { merges, wait = defaultWait }: WorkOptions = {},
): Promise<StepResult> {
  const stored = await readPlan(folder);
  const { plan } = stored;
  plannedShard(plan, shard);
  const isMerger = merges ?? plan.shards[0]!.name === shard;
  return withFile(path, async (data) => {
    let opened: Promise<OpenShard> | null = null;
    const open = (): Promise<OpenShard> => (opened ??= openShard(plan, shard, data, settings));
    const job = { folder, stored, shard, open, settings };
    for (let round = 1; round <= allRounds(plan); round++)
      await workRound(job, round, { isMerger, seconds: wait });
    return shardSummary(job, new Stopwatch());
  });
}

/** One round of one job, up to the merged state. */
async function workRound(
  job: ShardJob,
  round: number,
  { isMerger, seconds }: { readonly isMerger: boolean; readonly seconds: number },
): Promise<void> {
  const { folder, stored, shard, settings } = job;
  if (await fileStatus(folder.state(round))) return;
  if (!(await fileStatus(folder.result(round, shard)))) await localRound(job, round, new Stopwatch());
  const limit = { seconds, settings };
  if (!isMerger) return waitFor([folder.state(round)], `the merged weights of round ${round}`, limit);
  const results = stored.plan.shards.map(({ name }) => folder.result(round, name));
  await waitFor(results, `results of all shards in round ${round}`, limit);
  await merge(folder, round, [], settings.onNote);
}

/** Waits until all of the files exist. */
async function waitFor(
  paths: readonly string[],
  what: string,
  { seconds, settings }: { readonly seconds: number; readonly settings: RunSettings },
): Promise<void> {
  const end = performance.now() + 1000 * seconds;
  for (const path of paths)
    while (!(await fileStatus(path))) {
      if (settings.signal?.aborted)
        throw new ScPoliError("interrupted", `Stopped while waiting for ${path}.`);
      if (performance.now() > end)
        throw new ScPoliError(
          "file",
          `Waited ${seconds} s for ${what}: there is no ${path}. Start the jobs that ended again, or all ` +
            "of them: they continue from the files that exist. --wait sets how long a job waits.",
          { path },
        );
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
}
