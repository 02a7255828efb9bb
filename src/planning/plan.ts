// Predicts memory and time of training, of mapping, and of each step of a training in rounds, from the sizes
// of the files alone: nothing is trained.
import {
  checkWhole,
  defaults,
  defaultsOf,
  type MemoryOptions,
  type TrainOptions,
} from "../contract/options.js";
import { allowedMemory, predictMemory, resultBytes, type ModelNeed } from "../data/memory.js";
import { encodedRows } from "../mapping/embedding.js";
import { modelOptions, parameterShapes } from "../model/parameters.js";
import { planOptimization, type OptimizationPlan } from "../training/optimization.js";
import type { RoundsOptions } from "../rounds/options.js";
import { defaultRounds, planSteps, stepsBefore } from "../rounds/course.js";
import { defaultSampleCells, streamsCounts } from "../rounds/plan.js";
import { predictSeconds, type NetworkSize, type Work } from "./costs.js";
import { comparedCells, stepWork, type StepWork } from "./step-work.js";
import type { PlannedFile } from "./planned-file.js";

export interface PlanOptions
  extends
    Omit<RoundsOptions, "onNote" | "seed" | "stream">,
    Pick<MemoryOptions, "memory">,
    Pick<TrainOptions, "reconLoss"> {
  /** number of genes to model. Default: all */
  readonly genes?: number;
  /** Default 2 */
  readonly threads?: number;
  /** number of shards that the files are to be cut into. Default: each file is a shard */
  readonly shards?: number;
}

/** What a step needs. */
export interface Cost {
  /** megabytes (10^6 bytes), with the counts in memory or left in the file */
  readonly memory_mb: number;
  /** on processors with nothing else to do; with early stopping, at most */
  readonly seconds: number;
  /** whether the counts stay in the file */
  readonly streamed: boolean;
}

export interface PlannedSteps {
  readonly file: string;
  readonly cells: number;
  readonly steps: Readonly<Record<string, Cost>>;
}

export interface CostPlan {
  readonly threads: number;
  readonly cells: number;
  readonly genes: number;
  readonly conditions: number;
  readonly parameters: number;
  /** one machine, all files */
  readonly train: Cost;
  /** steps of each shard: survey, local (one round), summary, work (all rounds and the summary in one job) */
  readonly shards: readonly PlannedSteps[];
  readonly rounds: {
    readonly shards: number;
    readonly rounds: number;
    /** Adam steps of a shard in a round of pretraining and of fine-tuning */
    readonly steps: number;
    readonly fine_tuning_steps: number;
    readonly init: Cost;
    readonly merge: Cost;
    readonly finish: Cost;
    /** all rounds with a node per shard, without waiting for the scheduler; and the sum over all jobs */
    readonly seconds: number;
    readonly job_seconds: number;
    /** likewise with one job per shard for all rounds */
    readonly work_seconds: number;
  };
  /** steps of each query: map, embed */
  readonly queries: readonly PlannedSteps[];
}

/** Bytes in memory per parameter of a file: as read, and a copy. */
const fileBytes = 8;
/** Cell types and annotation levels, which are not known before training: as many as an atlas may have. */
const [plannedTypes, plannedLevels] = [100, 2];
/** Bytes in memory per stored count of the classifier's sample: gene and value, and a copy. */
const sampleBytes = 16;

interface Model extends NetworkSize {
  readonly parameters: number;
  readonly optimization: OptimizationPlan;
}

/**
 * @param files - the atlas, in one or several files
 * @param queries - files to map onto it
 * @throws ScPoliError "usage" for an option out of range
 */
export function planCosts(
  files: readonly PlannedFile[],
  queries: readonly PlannedFile[],
  options: PlanOptions,
): CostPlan {
  const whole = joined(files);
  const planned: Planned = {
    whole,
    parts: options.shards === undefined ? files : cutIn(whole, options.shards),
    model: modelOf(whole, options),
    threads: options.threads ?? 2,
    sample: Math.min(whole.cells, options.sampleCells ?? defaultSampleCells),
    options,
  };
  const { model, threads } = planned;
  const { epochs, trainFrac, minibatch } = model.optimization;
  const work = stepWork({ ...model, ...sizeOf(whole), sample: planned.sample, epochs, trainFrac });
  const perCell = resultBytes(plannedTypes, plannedLevels);
  const memory = runMemory(whole, model, allowedMemory(options), "auto", { minibatch, perCell });
  return {
    threads,
    cells: whole.cells,
    genes: model.genes,
    conditions: Math.max(1, whole.combinations.length),
    parameters: model.parameters,
    train: costOf(memory, work.train(), planned),
    ...plannedRounds(planned, work),
    queries: queries.map((query) => plannedQuery(query, planned)),
  };
}

/** The atlas, how it is cut, and the model of all of it. */
interface Planned {
  readonly whole: PlannedFile;
  readonly parts: readonly PlannedFile[];
  readonly model: Model;
  readonly threads: number;
  /** cells that the classifier is trained on */
  readonly sample: number;
  readonly options: PlanOptions;
}

type Memory = Pick<Cost, "memory_mb" | "streamed">;

function costOf(memory: Memory, work: Work, { model, threads }: Pick<Planned, "model" | "threads">): Cost {
  return { ...memory, seconds: rounded(predictSeconds(work, model, threads)) };
}

function sizeOf({ cells, stored }: PlannedFile): Pick<PlannedFile, "cells" | "stored"> {
  return { cells, stored };
}

/** The steps of rounds, and their sums. */
function plannedRounds(planned: Planned, work: StepWork): Pick<CostPlan, "shards" | "rounds"> {
  const { whole, parts, model, options } = planned;
  const { minibatch } = model.optimization;
  const rounds = checkWhole("rounds", options.rounds ?? defaultRounds, 2, 9999);
  const steps = planSteps(model.optimization, whole.cells, parts.length, { ...options, rounds });
  const networks = parts.map((part) => modelOf(part, options));
  // parameters of all results: the shared ones, and those of the shards' own conditions
  const results = networks.reduce((sum, { parameters }) => sum + parameters, 0);
  const course = {
    rounds,
    longest: minibatch * Math.max(steps.steps, steps.fine_tuning_steps),
    trained: minibatch * stepsBefore({ rounds, ...steps }, rounds + 1),
    streams: streamsCounts(parts),
    merged: mergedParameters(model, results),
  };
  const shards = parts.map((part, at) => plannedShard(part, networks[at]!, planned, work, course));
  const { init, merge, finish } = singleSteps(planned, work, results);
  const longest = (step: ShardStep): number =>
    shards.reduce((most, shard) => Math.max(most, shard.steps[step].seconds), 0);
  const all = (step: ShardStep): number => shards.reduce((sum, shard) => sum + shard.steps[step].seconds, 0);
  const inRounds = parts.map((part, at) => {
    const shard = { ...sizeOf(part), parameters: networks[at]!.parameters };
    return rounds * predictSeconds(work.local(shard, course.trained / rounds), model, planned.threads);
  });
  const total = (of: typeof all, local: number): number =>
    rounded(init.seconds + of("survey") + local + rounds * merge.seconds + of("summary") + finish.seconds);
  return {
    shards,
    rounds: {
      shards: parts.length,
      rounds,
      steps: steps.steps,
      fine_tuning_steps: steps.fine_tuning_steps,
      init,
      merge,
      finish,
      seconds: total(longest, Math.max(...inRounds)),
      job_seconds: total(
        all,
        inRounds.reduce((sum, seconds) => sum + seconds, 0),
      ),
      work_seconds: rounded(init.seconds + longest("survey") + longest("work") + finish.seconds),
    },
  };
}

type ShardStep = "survey" | "local" | "summary" | "work";

/** The rounds of a plan. */
interface Course {
  readonly rounds: number;
  /** cells that a shard passes through in the longest round, and in all rounds */
  readonly longest: number;
  readonly trained: number;
  readonly streams: boolean;
  /** parameters that the merge of a round reads and writes */
  readonly merged: number;
}

/** @param results - parameters of the results of a round */
function mergedParameters({ parameters }: Model, results: number): number {
  return 2 * parameters + results;
}

function plannedShard(
  part: PlannedFile,
  network: Model,
  planned: Planned,
  work: StepWork,
  { rounds, longest, trained, streams, merged }: Course,
): Pick<PlannedSteps, "file" | "cells"> & { readonly steps: Readonly<Record<ShardStep, Cost>> } {
  const sampled = Math.ceil((planned.sample * part.cells) / planned.whole.cells);
  const sampledCounts = (sampled * part.stored) / Math.max(1, part.cells);
  const memory = shardMemory(part, network, streams);
  const size = { ...sizeOf(part), parameters: network.parameters };
  const reading = runMemory(part, { ...network, parameters: 0 }, Infinity, "streamed");
  return {
    file: part.path,
    cells: part.cells,
    steps: {
      survey: costOf(reading, { read: 2 * part.stored }, planned),
      local: costOf(memory, work.local(size, longest), planned),
      summary: costOf(more(memory, sampleBytes * sampledCounts), work.summary(size), planned),
      work: costOf(
        more(memory, sampleBytes * sampledCounts + fileBytes * merged),
        work.work(size, rounds, trained, merged),
        planned,
      ),
    },
  };
}

/** The steps that are one job each. @param results - parameters of the results of a round */
function singleSteps(
  planned: Planned,
  work: StepWork,
  results: number,
): Pick<CostPlan["rounds"], "init" | "merge" | "finish"> {
  const { whole, model, sample } = planned;
  const { parameters } = model;
  const state = { memory_mb: megabytes(startBytes + fileBytes * 3 * parameters), streamed: false };
  const sampledCounts = (sample * whole.stored) / Math.max(1, whole.cells);
  return {
    init: costOf(state, { parameters }, planned),
    merge: costOf(
      more(state, fileBytes * results),
      { parameters: mergedParameters(model, results) },
      planned,
    ),
    finish: costOf(more(state, sampleBytes * sampledCounts), work.finish(), planned),
  };
}

/** All conditions of the query count as new ones. */
function plannedQuery(
  query: PlannedFile,
  { whole, model: reference, threads, options }: Planned,
): PlannedSteps {
  const { epochs, trainFrac, minibatch } = planOptimization(
    { minibatch: options.minibatch },
    { stage: "mapping", cells: query.cells, hasLabels: true, dropout: 0, seed: 0 },
  );
  const perCell = resultBytes(plannedTypes, plannedLevels);
  const allowed = allowedMemory(options);
  const work = { read: query.stored, labelled: query.cells, parameters: reference.parameters };
  const compared = comparedCells(
    query.conditions.map((names) => names.length),
    whole.conditions.map((names) => names.length),
    minibatch,
  );
  const seconds = (amounts: Work): number => rounded(predictSeconds(amounts, reference, threads));
  return {
    file: query.path,
    cells: query.cells,
    steps: {
      map: {
        ...runMemory(query, reference, allowed, "auto", { minibatch, perCell }),
        seconds: seconds({ ...work, fitted: epochs * query.cells * trainFrac, compared }),
      },
      embed: {
        ...runMemory(query, reference, allowed, "streamed", {
          minibatch: encodedRows(reference.genes),
          perCell,
        }),
        seconds: seconds(work),
      },
    },
  };
}

/** All files as one. */
function joined(files: readonly PlannedFile[]): PlannedFile {
  const [first] = files;
  const sum = (value: (file: PlannedFile) => number): number =>
    files.reduce((total, file) => total + value(file), 0);
  const tuples = new Map(
    files.flatMap(({ combinations }) => combinations.map((names) => [JSON.stringify(names), names])),
  );
  return {
    ...first!,
    cells: sum(({ cells }) => cells),
    stored: sum(({ stored }) => stored),
    genes: Math.min(...files.map(({ genes }) => genes)),
    conditions: first!.conditions.map((_, key) => [
      ...new Set(files.flatMap(({ conditions }) => conditions[key]!)),
    ]),
    combinations: [...tuples.values()],
  };
}

/** Equal parts of a file, each with all of its conditions: an upper bound for parts of whole conditions. */
function cutIn(file: PlannedFile, shards: number): PlannedFile[] {
  return Array.from({ length: shards }, (_, at) => ({
    ...file,
    path: `part ${at + 1} of ${shards}`,
    cells: Math.ceil(file.cells / shards),
    stored: Math.ceil(file.stored / shards),
  }));
}

function modelOf(file: PlannedFile, options: PlanOptions): Model {
  const genes = Math.min(file.genes, options.genes ?? file.genes);
  const keys = Math.max(1, file.conditions.length);
  const { embeddingDims } = options;
  const model = modelOptions(
    {
      ...options,
      embeddingDims:
        typeof embeddingDims === "number" ? Array.from({ length: keys }, () => embeddingDims) : embeddingDims,
    },
    genes,
    keys,
    defaultsOf(options.preset),
  );
  const sizes = {
    genes,
    conditions: Array.from({ length: keys }, (_, key) => file.conditions[key]?.length ?? 1),
    combinations: Math.max(1, file.combinations.length),
  };
  const parameters = parameterShapes(model, sizes).reduce(
    (sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1),
    0,
  );
  return {
    genes,
    width: model.hiddenLayerSizes[0]!,
    parameters,
    optimization: planOptimization(options, {
      stage: "training",
      cells: file.cells,
      hasLabels: true,
      dropout: model.dropout,
      seed: 0,
    }),
  };
}

/** Memory of a step that reads a file. */
function runMemory(
  file: PlannedFile,
  { genes, parameters }: Pick<Model, "genes" | "parameters">,
  allowed: number,
  how: "auto" | "streamed" | "held",
  { minibatch = defaults.minibatch, perCell }: Partial<ModelNeed> = {},
): Memory {
  const { inMemory, streamed } = predictMemory(
    { rows: file.cells, stored: file.stored, format: file.format },
    { genes, parameters, minibatch, perCell },
    { values: file.values },
  );
  const isStreamed = how === "streamed" || (how === "auto" && inMemory > allowed);
  return { memory_mb: megabytes(isStreamed ? streamed : inMemory), streamed: isStreamed };
}

/** Memory of a shard's job, besides the network: the state, the result and the moments as files. */
function shardMemory(part: PlannedFile, model: Model, streams: boolean): Memory {
  const { minibatch } = model.optimization;
  const memory = runMemory(part, model, Infinity, streams ? "streamed" : "held", { minibatch });
  return more(memory, 4 * fileBytes * model.parameters);
}

function more({ memory_mb, streamed }: Memory, bytes: number): Memory {
  return { memory_mb: memory_mb + megabytes(bytes), streamed };
}

/** The runtime and the library. */
const startBytes = 230e6;

function megabytes(bytes: number): number {
  return Math.ceil(bytes / 1e6);
}

/** To a tenth, so that the same files give the same plan. */
function rounded(seconds: number): number {
  return Math.round(10 * seconds) / 10;
}
