// The steps of a training in rounds in the folder of a run, for `scpoli rounds`. Each reads files, computes,
// and writes one file atomically. Rerunning a step writes the same bytes.
import { fileStatus, listFolder, makeFolder } from "#platform";
import { AnnData } from "../anndata/anndata.js";
import type { Note, RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import type { StoredModel } from "../model/stored-model.js";
import { finishRounds, type SummaryFile } from "./finish.js";
import { checkMoments, goesOn, trainShard, type MomentsJson, type ResultJson } from "./local.js";
import { chosenRound, mergeRound, type ResultFile } from "./merge.js";
import type { RoundsOptions, SurveyOptions } from "./options.js";
import { readPacked, tensorOf, writePacked } from "./packed-file.js";
import { allRounds, planRounds, type StoredPlan } from "./plan.js";
import { readPlan, writePlan, type RunFolder } from "./run-folder.js";
import { openShard, plannedShard, type OpenShard } from "./shard.js";
import { firstState, stateOf, stateTensors, type RoundsState, type StateJson } from "./state.js";
import { summarizeShard, type SummaryJson } from "./summary.js";
import { surveyShard, surveyTensors, type Survey, type SurveyJson } from "./survey.js";

/** Milliseconds per part of a step. */
type Timings = Readonly<Record<string, number>>;

/** Result of a step. */
export interface StepResult {
  /** file written */
  readonly written: string;
  readonly digest: string;
  readonly timings: Timings;
}

/** Measures the parts of a step. */
export class Stopwatch {
  readonly #parts: Record<string, number> = {};
  #last = performance.now();

  lap(part: string): void {
    const now = performance.now();
    this.#parts[part] = (this.#parts[part] ?? 0) + now - this.#last;
    this.#last = now;
  }
  get timings(): Timings {
    return this.#parts;
  }
}

export async function withFile<T>(path: string, use: (data: AnnData) => Promise<T>): Promise<T> {
  const data = await AnnData.open(path);
  try {
    return await use(data);
  } finally {
    data.close();
  }
}

/** Surveys a shard: `scpoli rounds survey`. */
export async function survey(
  folder: RunFolder,
  shard: string,
  path: string,
  options: SurveyOptions,
): Promise<StepResult> {
  const watch = new Stopwatch();
  const result = await withFile(path, (data) => surveyShard(data, shard, options));
  watch.lap("read");
  await makeFolder(folder.surveys);
  const written = folder.survey(shard);
  const digest = await writePacked(written, "survey", result.json, surveyTensors(result));
  watch.lap("write");
  return { written, digest, timings: watch.timings };
}

/**
 * Plans the run from all surveys in its folder and draws the initial weights: `scpoli rounds init`.
 * @throws ScPoliError "file" if there is no survey; "refused" if the run has already begun with another plan
 */
export async function init(folder: RunFolder, options: RoundsOptions): Promise<StepResult> {
  const watch = new Stopwatch();
  const names = (await fileStatus(folder.surveys)) ? await listFolder(folder.surveys) : [];
  const paths = names.filter((name) => name.endsWith(".safetensors") && !name.startsWith("."));
  if (paths.length === 0)
    throw new ScPoliError(
      "file",
      `There are no surveys in ${folder.surveys}. Run \`scpoli rounds survey\` for every shard first.`,
      { path: folder.surveys },
    );
  const surveys: { survey: Survey; digest: string }[] = [];
  for (const name of paths) {
    const path = folder.survey(name.replace(/\.safetensors$/, ""));
    const file = await readPacked<SurveyJson>(path, "survey");
    const ranking = (part: string): Float64Array => tensorOf<Float64Array>(file, `ranking.${part}`, path);
    const hasRanking = typeof file.json.reading.genes === "number";
    surveys.push({
      survey: {
        json: file.json,
        ranking: hasRanking
          ? { times: ranking("times"), sum: ranking("sum"), known: ranking("known") }
          : null,
      },
      digest: file.digest,
    });
  }
  const plan = planRounds(surveys, options);
  watch.lap("plan");
  if (await fileStatus(folder.state(1))) await checkSamePlan(folder, plan);
  const stored = await writePlan(folder, plan);
  await makeFolder(parentOf(folder.state(0)));
  const state = firstState(plan, stored.digest);
  const written = folder.state(0);
  const digest = await writePacked(written, "state", state.json, stateTensors(state, plan));
  watch.lap("write");
  return { written, digest, timings: watch.timings };
}

async function checkSamePlan(folder: RunFolder, plan: StoredPlan["plan"]): Promise<void> {
  const before = await readPlan(folder);
  if (JSON.stringify(before.plan) === JSON.stringify(JSON.parse(JSON.stringify(plan)))) return;
  throw new ScPoliError(
    "refused",
    `${folder.path} holds a run that began with another plan. Use another folder, or remove this one.`,
    { path: folder.path },
  );
}

function parentOf(path: string): string {
  return path.replace(/[\\/][^\\/]*$/, "");
}

async function readState(
  folder: RunFolder,
  round: number,
  { plan, digest }: StoredPlan,
): Promise<{ readonly state: RoundsState; readonly digest: string }> {
  const path = folder.state(round);
  const file = await readPacked<StateJson>(path, "state");
  return { state: stateOf(file, plan, digest, path), digest: file.digest };
}

/** One round of one shard: `scpoli rounds local`. */
export async function local(
  folder: RunFolder,
  round: number,
  shard: string,
  path: string,
  settings: RunSettings,
): Promise<StepResult> {
  const watch = new Stopwatch();
  const stored = await readPlan(folder);
  plannedShard(stored.plan, shard);
  checkRound(stored, round);
  return withFile(path, (data) => {
    const open = (): Promise<OpenShard> => openShard(stored.plan, shard, data, settings);
    return localRound({ folder, stored, shard, open, settings }, round, watch);
  });
}

/** A job's shard, which is opened when its cells are needed. */
export interface ShardJob {
  readonly folder: RunFolder;
  readonly stored: StoredPlan;
  readonly shard: string;
  readonly open: () => Promise<OpenShard>;
  readonly settings: RunSettings;
}

/** One round of a job's shard. Writes its result, and its moments for the next round. */
export async function localRound(
  { folder, stored, shard, open, settings }: ShardJob,
  round: number,
  watch: Stopwatch,
): Promise<StepResult> {
  const { plan, digest } = stored;
  const before = await readState(folder, round - 1, stored);
  let moments = null;
  if (goesOn(plan, before.state, shard) && before.state.json.round <= plan.rounds) {
    const kept = folder.moments(round - 1, shard);
    if (!before.state.json.stopped && round <= plan.rounds) {
      moments = await readPacked<MomentsJson>(kept, "moments");
      checkMoments(moments, digest, round - 1, kept);
    }
  }
  watch.lap("state");
  const opened = await open();
  watch.lap("read");
  const result = await trainShard(stored, before.state, before.digest, opened, moments, settings);
  watch.lap("steps");
  // moments first: if the result exists, so does what the next round needs
  if (result.moments) {
    const kept = folder.moments(round, shard);
    await makeFolder(parentOf(kept));
    const step = (moments?.json.step ?? 0) + result.json.steps;
    await writePacked(kept, "moments", { shard, plan: digest, round, step }, result.moments);
  }
  const written = folder.result(round, shard);
  await makeFolder(parentOf(written));
  const resultDigest = await writePacked(written, "result", result.json, result.tensors);
  watch.lap("write");
  return { written, digest: resultDigest, timings: watch.timings };
}

function checkRound({ plan }: StoredPlan, round: number): void {
  if (round >= 1 && round <= allRounds(plan)) return;
  throw new ScPoliError("usage", `The run has no round ${round}; its rounds are 1 to ${allRounds(plan)}.`, {
    round,
  });
}

/**
 * Merges the results of a round into the next state: `scpoli rounds merge`.
 * @param without - shards to leave out
 */
export async function merge(
  folder: RunFolder,
  round: number,
  without: readonly string[] = [],
  onNote: (note: Note) => void = () => undefined,
): Promise<StepResult> {
  const watch = new Stopwatch();
  const stored = await readPlan(folder);
  checkRound(stored, round);
  const before = await readState(folder, round - 1, stored);
  const results: ResultFile[] = [];
  for (const { name } of stored.plan.shards) {
    if (without.includes(name) || !(await fileStatus(folder.result(round, name)))) continue;
    results.push(await readPacked<ResultJson>(folder.result(round, name), "result"));
  }
  watch.lap("read");
  const state = mergeRound(stored, before.state, before.digest, results, without);
  for (const name of state.json.left_out)
    onNote({ level: "warning", message: `Round ${round} continues without shard '${name}'.` });
  watch.lap("merge");
  const written = folder.state(round);
  const digest = await writePacked(written, "state", state.json, stateTensors(state, stored.plan));
  watch.lap("write");
  return { written, digest, timings: watch.timings };
}

/** The last state, and the one whose weights become the model's. */
async function finalStates(folder: RunFolder, stored: StoredPlan) {
  const last = await readState(folder, allRounds(stored.plan), stored);
  const chosen = await readState(folder, chosenRound(last.state, stored.plan), stored);
  return { last, chosen };
}

/** Summarises a shard with the final weights: `scpoli rounds summary`. */
export async function summary(
  folder: RunFolder,
  shard: string,
  path: string,
  settings: RunSettings,
): Promise<StepResult> {
  const watch = new Stopwatch();
  const stored = await readPlan(folder);
  plannedShard(stored.plan, shard);
  return withFile(path, (data) => {
    const open = (): Promise<OpenShard> => openShard(stored.plan, shard, data, settings);
    return shardSummary({ folder, stored, shard, open, settings }, watch);
  });
}

/** Summarises a job's shard with the final weights. */
export async function shardSummary(
  { folder, stored, shard, open, settings }: ShardJob,
  watch: Stopwatch,
): Promise<StepResult> {
  const { chosen } = await finalStates(folder, stored);
  watch.lap("state");
  const opened = await open();
  watch.lap("read");
  const result = await summarizeShard(stored, chosen.state, chosen.digest, opened, settings);
  watch.lap("steps");
  const written = folder.summary(shard);
  await makeFolder(parentOf(written));
  const digest = await writePacked(written, "summary", result.json, result.tensors);
  watch.lap("write");
  return { written, digest, timings: watch.timings };
}

/** Builds the final model: `scpoli rounds finish`. */
export async function finish(folder: RunFolder, settings: RunSettings): Promise<StoredModel> {
  const stored = await readPlan(folder);
  const { last, chosen } = await finalStates(folder, stored);
  const summaries: SummaryFile[] = [];
  for (const { name } of stored.plan.shards)
    if (await fileStatus(folder.summary(name)))
      summaries.push(await readPacked<SummaryJson>(folder.summary(name), "summary"));
  return finishRounds(stored, chosen, last.state, summaries, settings);
}

/**
 * Runs all steps on this machine in order, skipping those whose files exist.
 * @param files - by shard
 */
export async function runAll(
  folder: RunFolder,
  files: ReadonlyMap<string, string>,
  surveyOptions: SurveyOptions,
  options: RoundsOptions,
  settings: RunSettings,
): Promise<StoredModel> {
  for (const [shard, path] of files)
    if (!(await fileStatus(folder.survey(shard)))) await survey(folder, shard, path, surveyOptions);
  await init(folder, options);
  const { plan } = await readPlan(folder);
  for (let round = 1; round <= allRounds(plan); round++) {
    if (await fileStatus(folder.state(round))) continue;
    for (const [shard, path] of files)
      if (!(await fileStatus(folder.result(round, shard)))) await local(folder, round, shard, path, settings);
    await merge(folder, round);
  }
  for (const [shard, path] of files)
    if (!(await fileStatus(folder.summary(shard)))) await summary(folder, shard, path, settings);
  return finish(folder, settings);
}
