// scpoli rounds: trains a reference on many machines, each with a shard of the cells. Every step reads files
// of the run's folder and writes one file, so that a workflow engine can start, retry and resume steps.
import { Option, type Command } from "commander";
import { fileStatus, joinPath, makeFolder } from "#platform";
import { AnnData } from "../anndata/anndata.js";
import {
  defaults,
  reconLosses,
  type CountsOptions,
  type RunSettings,
  type TrainOptions,
} from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { saveModel } from "../storage/model-folder.js";
import { cutCells, writeShard, type CutOptions } from "../rounds/cut.js";
import { readManifest, type Manifest } from "../rounds/manifest.js";
import type { OuterStep, RoundsOptions, SurveyOptions } from "../rounds/options.js";
import { defaultPasses, defaultRounds, fineTuningShare } from "../rounds/course.js";
import { RunFolder } from "../rounds/run-folder.js";
import { roundsStatus, type RoundsStatus } from "../rounds/status.js";
import { finish, init, local, merge, runAll, summary, survey, type StepResult } from "../rounds/steps.js";
import { defaultWait, work } from "../rounds/work.js";
import { atacCountsOption, names, oneName, readableFile, readGenes, real, whole } from "./arguments.js";
import {
  countsOptions,
  duplicateGenesFlag,
  featureTypesFlag,
  layerFlag,
  recoverCountsFlag,
  roundCountsFlag,
} from "./counts-flags.js";
import { addModelFlags, modelOptions, type ModelFlags } from "./model-flags.js";
import {
  addOptimizationFlags,
  addTrainingFlags,
  optimizationOptions,
  type OptimizationFlags,
} from "./optimization-flags.js";
import { checkOutputs } from "./outputs.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";
import { counted, duration, significant, table } from "./text.js";

export interface SurveyFlags extends RunFlags, CountsOptions {
  readonly conditionKey: readonly string[];
  readonly cellTypeKey?: readonly string[];
  readonly unlabeled?: readonly string[];
  readonly genes?: string;
  readonly reconLoss?: TrainOptions["reconLoss"];
  readonly atacCounts?: TrainOptions["atacCounts"];
  readonly sampleMetadata: boolean;
  readonly federated?: boolean;
  readonly leastCells?: number;
}
export interface InitFlags extends RunFlags, ModelFlags, OptimizationFlags {
  readonly rounds?: number;
  readonly passes?: number;
  readonly fineTuningRounds?: number;
  readonly outerStep?: OuterStep;
  readonly keepMoments: boolean;
  readonly landmarks: boolean;
  readonly sampleCells?: number;
}

export function addRounds(program: Command): void {
  const rounds = program
    .command("rounds")
    .summary("train a reference on many machines, each with a shard of the cells")
    .description(
      "Trains a reference in rounds. In each round, every shard trains on its own cells from the shared " +
        "weights " +
        "(local), and the weights are merged (merge). All data are exchanged as files in one folder.",
    )
    .usage("<step> [arguments]")
    .commandsGroup("Steps:")
    .helpCommand("help [step]", "same as --help");
  addCut(rounds);
  addSurvey(rounds);
  addInit(rounds);
  addShardStep(rounds, "local", "train one round of one shard", true, local);
  addMerge(rounds);
  addShardStep(
    rounds,
    "summary",
    "summarise a shard after the last round, for the finished model",
    false,
    (folder, _, ...rest) => summary(folder, ...rest),
  );
  addWork(rounds);
  addFinish(rounds);
  addStatus(rounds);
  addManifest(rounds);
  addRunAll(rounds);
}

function addCut(rounds: Command): void {
  const command = rounds
    .command("cut")
    .summary("cut an atlas into shards, one file each")
    .argument("<file>", readableFile)
    .requiredOption("-o, --output <folder>", "folder of the shards: shard-000.h5ad, ...")
    .requiredOption("--shards <n>", "number of shards", whole(1, 1000))
    .requiredOption("--condition-key <keys>", "obs columns of the conditions", names)
    .addOption(
      new Option(
        "--by <what>",
        "whole conditions to each shard, or random cells (default: conditions)",
      ).choices(["conditions", "cells"]),
    )
    .option("--only <shard>", "write only this shard, numbered from 0", whole(0, 999))
    .addOption(layerFlag())
    .action(
      (
        path: string,
        flags: RunFlags & {
          readonly output: string;
          readonly shards: number;
          readonly conditionKey: readonly string[];
          readonly by?: CutOptions["by"];
          readonly only?: number;
          readonly layer?: string;
        },
      ) => run(flags, (settings) => cut(path, flags, settings)),
    );
  addRunFlags(command);
}

async function cut(
  path: string,
  {
    output,
    shards,
    conditionKey,
    by,
    only,
    layer,
  }: {
    readonly output: string;
    readonly shards: number;
    readonly conditionKey: readonly string[];
    readonly by?: CutOptions["by"];
    readonly only?: number;
    readonly layer?: string;
  },
  settings: RunSettings,
): Promise<Result> {
  if (only !== undefined && only >= shards)
    throw new ScPoliError("usage", `--only ${only}: the shards are numbered from 0 to ${shards - 1}.`);
  const data = await AnnData.open(path);
  try {
    const rows = await cutCells(data, { ...settings, shards, conditionKeys: conditionKey, by });
    await makeFolder(output);
    const written: string[] = [];
    for (const [shard, cells] of rows.entries()) {
      if (only !== undefined && shard !== only) continue;
      const file = joinPath(output, `shard-${String(shard).padStart(3, "0")}.h5ad`);
      await writeShard(data, cells, file, { ...settings, layer });
      written.push(file);
    }
    return {
      json: { cells: rows.map(({ length }) => length), written },
      text: rows.map(({ length }, shard) => `shard ${shard}: ${counted(length, "cell")}`).join("\n"),
    };
  } finally {
    data.close();
  }
}

export function addSurveyFlags(command: Command): Command {
  return command
    .requiredOption("--condition-key <keys>", "obs columns of the conditions: donor,assay", names)
    .option("--cell-type-key <keys>", "obs columns of the cell types, one per annotation level", names)
    .option(
      "--unlabeled <name>",
      "a name in those columns that means no label, besides the usual ones (may be repeated)",
      oneName,
    )
    .option(
      "--genes <n|file>",
      "the n most variable genes, or a file of names (default: those in all shards)",
    )
    .addOption(
      new Option(
        "--recon-loss <likelihood>",
        `likelihood of the values (default: ${defaults.reconLoss})`,
      ).choices(reconLosses),
    )
    .addOption(atacCountsOption("auto for poisson, else counts are not changed"))
    .addOption(layerFlag())
    .addOption(recoverCountsFlag())
    .addOption(roundCountsFlag())
    .addOption(featureTypesFlag())
    .addOption(duplicateGenesFlag())
    .option("--no-sample-metadata", "do not store metadata of the conditions")
    .option("--federated", "between institutions: exchanged files have no per-cell data")
    .option(
      "--least-cells <n>",
      "federated: withhold numbers about fewer cells than this (default: 10)",
      whole(1),
    );
}

async function surveyOptions(flags: SurveyFlags, settings: RunSettings): Promise<SurveyOptions> {
  const genes = flags.genes === undefined ? undefined : await readGenes(flags.genes);
  if (typeof genes === "object" && "varColumn" in genes)
    throw new ScPoliError(
      "usage",
      `--genes ${flags.genes}: expected a number, or a file of names that all shards have.`,
    );
  return {
    ...settings,
    ...countsOptions(flags),
    conditionKeys: flags.conditionKey,
    cellTypeKeys: flags.cellTypeKey,
    unlabeled: flags.unlabeled,
    genes,
    reconLoss: flags.reconLoss,
    atacCounts: flags.atacCounts,
    sampleMetadata: flags.sampleMetadata,
    federated: flags.federated,
    leastCells: flags.leastCells,
  };
}

function addSurvey(rounds: Command): void {
  const command = rounds
    .command("survey")
    .summary("survey a shard for the plan")
    .argument("<folder>", "folder of the run")
    .argument("<file>", `the shard: ${readableFile}`)
    .requiredOption("--shard <name>", "name of the shard");
  addSurveyFlags(command).action(
    (folder: string, path: string, flags: SurveyFlags & { readonly shard: string }) =>
      run(flags, async (settings) =>
        stepResult(
          await survey(new RunFolder(folder), flags.shard, path, await surveyOptions(flags, settings)),
        ),
      ),
  );
  addRunFlags(command);
}

/** `mean`, or `nesterov:0.7:0.9` with learning rate and momentum. */
function outerStep(text: string): OuterStep {
  if (text === "mean") return { kind: "mean" };
  const [, lr, momentum] = /^nesterov(?::([\d.]+):([\d.]+))?$/.exec(text) ?? [];
  if (!text.startsWith("nesterov") || Number.isNaN(Number(lr ?? 0)))
    throw new ScPoliError(
      "usage",
      `--outer-step ${text}: expected mean, nesterov, or nesterov:LR:MOMENTUM such as nesterov:0.7:0.9.`,
    );
  return { kind: "nesterov", lr: Number(lr ?? 0.7), momentum: Number(momentum ?? 0.9) };
}

export function addPlanFlags(command: Command): Command {
  command
    .optionsGroup("Rounds:")
    .option("--rounds <n>", `training rounds (default: ${defaultRounds})`, whole(2, 9999))
    .option(
      "--passes <number>",
      `passes over the cells, relative to those of train (default: ${defaultPasses})`,
      real(0.01, 100),
    )
    .option(
      "--fine-tuning-rounds <n>",
      "rounds with the prototype loss, the last ones; prototypes are renewed once a round (default: " +
        `${100 * fineTuningShare} % of the rounds)`,
      whole(1, 9998),
    )
    .option("--outer-step <how>", "mean, or nesterov:LR:MOMENTUM (default: mean)", outerStep)
    .option("--no-keep-moments", "reset Adam's moments in each round")
    .option("--no-landmarks", "do not store positions of reference cells in the model")
    .option(
      "--sample-cells <n>",
      "maximum number of cells over all shards whose counts are used for the head and landmarks " +
        "(default: 20000)",
      whole(0),
    );
  addModelFlags(command);
  return addTrainingFlags(addOptimizationFlags(command));
}

function roundsOptions(flags: InitFlags, { seed, onNote }: RunSettings): RoundsOptions {
  const { memory: _, ...optimization } = optimizationOptions(flags);
  return {
    ...optimization,
    ...modelOptions(flags),
    seed,
    onNote,
    rounds: flags.rounds,
    passes: flags.passes,
    fineTuningRounds: flags.fineTuningRounds,
    outerStep: flags.outerStep,
    keepMoments: flags.keepMoments,
    landmarks: flags.landmarks,
    sampleCells: flags.sampleCells,
  };
}

function addInit(rounds: Command): void {
  const command = rounds
    .command("init")
    .summary("make the plan and initial weights from the surveys of all shards")
    .argument("<folder>", "folder of the run");
  addRunFlags(addPlanFlags(command)).action((folder: string, flags: InitFlags) =>
    run(flags, async (settings) =>
      stepResult(await init(new RunFolder(folder), roundsOptions(flags, settings))),
    ),
  );
}

type ShardStep = (
  folder: RunFolder,
  round: number,
  shard: string,
  path: string,
  settings: RunSettings,
) => Promise<StepResult>;

function addShardStep(
  rounds: Command,
  name: string,
  summaryText: string,
  hasRound: boolean,
  step: ShardStep,
): void {
  const command = rounds
    .command(name)
    .summary(summaryText)
    .argument("<folder>", "folder of the run")
    .argument("<file>", "the surveyed shard")
    .requiredOption("--shard <name>", "name of the shard");
  if (hasRound) command.requiredOption("--round <n>", "number of the round, from 1", whole(1, 9999));
  addRunFlags(command).action(
    (folder: string, path: string, flags: RunFlags & { readonly shard: string; readonly round?: number }) =>
      run(flags, async (settings) =>
        stepResult(await step(new RunFolder(folder), flags.round ?? 0, flags.shard, path, settings)),
      ),
  );
}

function addWork(rounds: Command): void {
  const command = rounds
    .command("work")
    .summary("train all rounds of one shard in one job, and summarise it")
    .description(
      "Takes the place of local, merge and summary where the jobs of all shards run at the same time. A " +
        "job reads its shard once and waits for the files of the others. The job of the first shard " +
        "merges. A job that died continues from the files that exist.",
    )
    .argument("<folder>", "folder of the run, after survey and init")
    .argument("<file>", "the surveyed shard")
    .requiredOption("--shard <name>", "name of the shard")
    .option("--no-merge", "do not merge: `scpoli rounds merge` runs elsewhere")
    .option(
      "--wait <seconds>",
      `most seconds to wait for a file of another job (default: ${defaultWait})`,
      whole(1, 1e9),
    );
  addRunFlags(command).action(
    (
      folder: string,
      path: string,
      flags: RunFlags & { readonly shard: string; readonly merge: boolean; readonly wait?: number },
    ) =>
      run(flags, async (settings) => {
        const options = { merges: flags.merge ? undefined : false, wait: flags.wait };
        return stepResult(await work(new RunFolder(folder), flags.shard, path, settings, options));
      }),
  );
}

function addMerge(rounds: Command): void {
  const command = rounds
    .command("merge")
    .summary("merge the weights of all shards into the initial weights of the next round")
    .argument("<folder>", "folder of the run")
    .requiredOption("--round <n>", "number of the round, from 1", whole(1, 9999))
    .option("--without <shards>", "shards to leave out of this round", names);
  addRunFlags(command).action(
    (folder: string, flags: RunFlags & { readonly round: number; readonly without?: readonly string[] }) =>
      run(flags, async ({ onNote }) =>
        stepResult(await merge(new RunFolder(folder), flags.round, flags.without, onNote)),
      ),
  );
}

function addFinish(rounds: Command): void {
  const command = rounds
    .command("finish")
    .summary("make the model from the last weights and the summaries of all shards")
    .argument("<folder>", "folder of the run")
    .requiredOption("-o, --output <model>", "folder of the model, or a file whose name ends in .zip");
  addRunFlags(command).action((folder: string, flags: RunFlags & { readonly output: string }) =>
    run(flags, async (settings) => {
      const { output, force = false } = flags;
      await checkOutputs({ inputs: [folder], models: [output], force });
      await saveModel(output, await finish(new RunFolder(folder), settings), { force });
      return { json: { written: [output] }, text: `Written: ${output}` };
    }),
  );
}

function addStatus(rounds: Command): void {
  const command = rounds
    .command("status")
    .summary("show the progress of the run, missing files and losses")
    .argument("<folder>", "folder of the run");
  addRunFlags(command).action((folder: string, flags: RunFlags) =>
    run(flags, async () => {
      const status = await roundsStatus(new RunFolder(folder));
      return { json: status, text: statusText(folder, status) };
    }),
  );
}

function statusText(folder: string, status: RoundsStatus): string {
  const rows = status.history.map(({ train, validation }, at) => [
    String(at + 1),
    significant(train.total),
    validation ? significant(validation.total) : "",
    validation ? significant(validation.prototype) : "",
  ]);
  const lines = [
    `${folder}: ${status.round} of ${status.rounds} rounds ` +
      `merged${status.stopped_early ? ", stopped early" : ""}.`,
    status.next === "finish"
      ? "Nothing is missing: `scpoli rounds finish` writes the model, and may be run again."
      : `Next: ${status.next}.`,
    ...(status.missing.length > 0 && status.done.length > 0 ? [`Done: ${status.done.join(", ")}.`] : []),
    ...status.stragglers.map(
      ({ shard, seconds, usual_seconds }) =>
        `Late: ${shard}, ${duration(seconds)} so far; a shard usually takes ${duration(usual_seconds)}.`,
    ),
    ...(status.seconds_left !== null && status.round < status.rounds
      ? [`About ${duration(status.seconds_left)} left, at ${duration(status.seconds_per_round!)} per round.`]
      : []),
  ];
  if (rows.length > 0)
    lines.push("", table(rows, ["round", "training", "validation before", "prototypes before"]));
  return lines.join("\n");
}

function addManifest(rounds: Command): void {
  const command = rounds
    .command("manifest")
    .summary("show what is in files of a run, before they leave an institution")
    .argument("<files...>", "files in the folder exchange/");
  addRunFlags(command).action((paths: string[], flags: RunFlags) =>
    run(flags, async () => {
      const manifests: Manifest[] = [];
      for (const path of paths) manifests.push(await readManifest(path));
      return { json: { files: manifests }, text: manifests.map(manifestText).join("\n\n") };
    }),
  );
}

function manifestText({ path, kind, bytes, sha256, has_rows_per_cell, entries }: Manifest): string {
  return [
    `${path}: ${kind}, ${bytes} bytes, SHA-256 ${sha256}`,
    has_rows_per_cell ? "It has per-cell arrays." : "It has no per-cell arrays.",
    table(
      entries.map(({ name, type, shape, meaning }) => [
        name,
        type,
        `[${shape.join(", ")}]`,
        meaning.slice(0, 90),
      ]),
      ["name", "type", "shape", "meaning"],
    ),
  ].join("\n");
}

function addRunAll(rounds: Command): void {
  const command = rounds
    .command("run")
    .summary("run all steps on this machine, resuming from existing files")
    .argument("<folder>", "folder of the run")
    .argument(
      "<files...>",
      "the shards: files such as rounds cut writes; their names without extension name the shards",
    )
    .requiredOption("-o, --output <model>", "folder of the model, or a file whose name ends in .zip");
  addSurveyFlags(command);
  addRunFlags(addPlanFlags(command)).action(
    (folder: string, paths: string[], flags: SurveyFlags & InitFlags & { readonly output: string }) =>
      run(flags, async (settings) => {
        const { output, force = false } = flags;
        await checkOutputs({ inputs: [folder], models: [output], force });
        const files = new Map(paths.map((path) => [shardName(path), path]));
        for (const path of paths)
          if (!(await fileStatus(path))) throw new ScPoliError("file", `There is no file ${path}.`, { path });
        const stored = await runAll(
          new RunFolder(folder),
          files,
          await surveyOptions(flags, settings),
          roundsOptions(flags, settings),
          settings,
        );
        await saveModel(output, stored, { force });
        return { json: { written: [output] }, text: `Written: ${output}` };
      }),
  );
}

function shardName(path: string): string {
  return path.replace(/^.*[\\/]/, "").replace(/\.(h5ad|zarr|h5)$/, "");
}

function stepResult({ written, digest, timings }: StepResult): Result {
  const rounded = Object.fromEntries(
    Object.entries(timings).map(([part, ms]) => [part, Math.round(ms) / 1000]),
  );
  return { json: { written: [written], sha256: digest, timings: rounded }, text: `Written: ${written}` };
}
