// scpoli plan: predicts memory and time of training, of mapping, and of each step of a training in rounds.
import type { Command } from "commander";
import type { RunSettings } from "../contract/options.js";
import { defaults } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { planCosts, type Cost, type CostPlan, type PlannedSteps } from "../planning/plan.js";
import { readPlannedFile, type PlannedFile } from "../planning/planned-file.js";
import { readGenes, whole } from "./arguments.js";
import { countsOptions } from "./counts-flags.js";
import { modelOptions } from "./model-flags.js";
import { optimizationOptions } from "./optimization-flags.js";
import { addPlanFlags, addSurveyFlags, type InitFlags, type SurveyFlags } from "./rounds.js";
import { addRunFlags, run, type Result } from "./session.js";
import { count, counted, duration, table } from "./text.js";

interface PlanFlags extends SurveyFlags, InitFlags {
  readonly shards?: number;
  readonly query?: readonly string[];
}

export function addPlan(program: Command): void {
  const command = program
    .command("plan")
    .summary("predict memory and time of training, mapping and training in rounds")
    .description(
      "Predicts the memory and time of train, map, embed and every step of rounds from the sizes of the " +
        "files. Nothing is trained. Takes the options of rounds survey and rounds init, which change the " +
        "prediction as they change the run.",
    )
    .argument("<files...>", "the atlas, one file that inspect reads, or its shards")
    .option("--query <files...>", "files to map onto the atlas (default: those of the atlas)")
    .option("--shards <n>", "number of shards to cut the atlas into (default: each file is one)", (text) =>
      whole(1, 1000)(text),
    );
  addSurveyFlags(command);
  addPlanFlags(command);
  command.action((paths: string[], flags: PlanFlags) =>
    run(flags, (settings) => plan(paths, flags, settings)),
  );
  addRunFlags(command).addHelpText(
    "after",
    "\nExample:\n  scpoli plan atlas.h5ad --condition-key donor --genes 4000 --shards 8 --query q1.h5ad " +
      "q2.h5ad",
  );
}

async function plan(
  paths: readonly string[],
  flags: PlanFlags,
  { threads, onNote }: RunSettings,
): Promise<Result> {
  const options = {
    ...countsOptions(flags),
    reconLoss: flags.reconLoss ?? defaults.reconLoss,
    onNote: onNote ?? (() => undefined),
  };
  const read = async (files: readonly string[], keysAreOptional: boolean): Promise<PlannedFile[]> => {
    const { conditionKey: conditionKeys } = flags;
    const planned: PlannedFile[] = [];
    for (const file of files)
      planned.push(await readPlannedFile(file, { ...options, conditionKeys, keysAreOptional }));
    return planned;
  };
  const files = await read(paths, false);
  const costs = planCosts(files, flags.query ? await read(flags.query, true) : files, {
    ...optimizationOptions(flags),
    ...modelOptions(flags),
    reconLoss: flags.reconLoss,
    genes: await numberOfGenes(flags.genes),
    threads,
    shards: flags.shards,
    rounds: flags.rounds,
    passes: flags.passes,
    fineTuningRounds: flags.fineTuningRounds,
    sampleCells: flags.sampleCells,
  });
  return { json: costs, text: planText(costs) };
}

async function numberOfGenes(text: string | undefined): Promise<number | undefined> {
  const genes = text === undefined ? undefined : await readGenes(text);
  if (typeof genes === "object" && "varColumn" in genes)
    throw new ScPoliError("usage", `--genes ${text}: expected a number, or a file of names.`);
  return typeof genes === "object" ? genes.length : genes;
}

function planText(costs: CostPlan): string {
  const { rounds, shards, queries } = costs;
  const row = (step: string, jobs: number, cost: Cost): (string | number)[] => [
    step,
    jobs,
    `${count(cost.memory_mb)} MB`,
    duration(cost.seconds),
    cost.streamed ? "streamed" : "",
  ];
  const largest = (files: readonly PlannedSteps[], step: string): Cost =>
    files.reduce<Cost>(
      (most, { steps }) => ({
        memory_mb: Math.max(most.memory_mb, steps[step]!.memory_mb),
        seconds: Math.max(most.seconds, steps[step]!.seconds),
        streamed: most.streamed || steps[step]!.streamed,
      }),
      { memory_mb: 0, seconds: 0, streamed: false },
    );
  const header = ["step", "jobs", "memory", "time", "counts"];
  return [
    `${counted(costs.cells, "cell")}, ${counted(costs.genes, "gene")}, ` +
      `${counted(costs.conditions, "condition")}, ${counted(costs.parameters, "parameter")}; ` +
      `${counted(costs.threads, "thread")} per job. Memory and time of the largest job:`,
    "",
    table(
      [
        row("train", 1, costs.train),
        row("rounds survey", shards.length, largest(shards, "survey")),
        row("rounds init", 1, rounds.init),
        row("rounds local", shards.length * rounds.rounds, largest(shards, "local")),
        row("rounds merge", rounds.rounds, rounds.merge),
        row("rounds summary", shards.length, largest(shards, "summary")),
        row("rounds work", shards.length, largest(shards, "work")),
        row("rounds finish", 1, rounds.finish),
        row("map", queries.length, largest(queries, "map")),
        row("embed", queries.length, largest(queries, "embed")),
      ],
      header,
    ),
    "",
    `In rounds: ${duration(rounds.seconds)} with ${counted(rounds.shards, "node")} ` +
      `(${rounds.rounds} rounds of ${rounds.steps} or, in fine-tuning, ` +
      `${counted(rounds.fine_tuning_steps, "step")} per shard), ` +
      `${duration(rounds.job_seconds)} over all jobs; without waiting for a scheduler. With one job per ` +
      `shard for all rounds (work): ${duration(rounds.work_seconds)}.`,
  ].join("\n");
}
