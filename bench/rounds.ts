// npm run bench:rounds [-- SET ... --shards 4,8 --by conditions --outer mean --rounds 4,24 --fine-tuning 12
// --passes 1 --seeds 0]: quality of a reference trained in rounds against one of `train`, by number of
// shards, whole conditions or random cells, outer step, rounds and passes. The query's conditions are left
// out of the reference, mapped, and scored. Needs ../shared/data but for the simulated atlas (200,000 cells
// x 2,000 genes, 64 conditions, which takes hours). Every run is a line of bench/results/rounds.csv and is
// not repeated; docs/benchmarks/rounds.md is made from them.
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { AnnData, ScPoli } from "../dist/index.js";
import type { StoredModel } from "../dist/model/stored-model.js";
import { cutCells, writeShard } from "../dist/rounds/cut.js";
import { fineTuningShare } from "../dist/rounds/course.js";
import type { OuterStep } from "../dist/rounds/options.js";
import { readPlan, RunFolder } from "../dist/rounds/run-folder.js";
import { runAll } from "../dist/rounds/steps.js";
import { saveModel } from "../dist/storage/model-folder.js";
import { accuracyAndF1, integrationOf } from "./label-scores.ts";
import { simulateOverlapping } from "./overlapping-atlas.ts";
import { labels, writeRows } from "./rows.ts";
import { configurations, mean, openTransfer, type Configuration } from "./transfer.ts";

const inPackage = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const cache = inPackage(".cache/rounds");
const csv = inPackage("bench/results/rounds.csv");

interface RoundsSet extends Configuration {
  readonly simulated?: { readonly cells: number; readonly genes: number; readonly conditions: number };
}
const sets: readonly RoundsSet[] = [
  ...configurations.filter(({ name }) => name === "kang16" || name === "panc8"),
  {
    name: "simulated",
    file: "simulated",
    condition: "batch",
    label: "cell_type",
    query: ["batch60", "batch61", "batch62", "batch63"],
    simulated: { cells: 200_000, genes: 2000, conditions: 64 },
  },
];

/** How a reference is trained; with one shard, by `train`. */
interface Training {
  readonly set: string;
  readonly shards: number;
  readonly by: "conditions" | "cells";
  readonly outer: "mean" | "nesterov";
  readonly rounds: number;
  /** rounds with the prototype loss */
  readonly fine_tuning: number;
  readonly passes: number;
  readonly federated: boolean;
  readonly seed: number;
}
const trainingColumns = [
  "set",
  "shards",
  "by",
  "outer",
  "rounds",
  "fine_tuning",
  "passes",
  "federated",
  "seed",
] as const;
const scoreColumns = [
  "steps",
  "epochs_run",
  "prototype_accuracy",
  "prototype_macro_f1",
  "head_accuracy",
  "head_macro_f1",
  "integration",
  "megabytes_per_round",
] as const;
type Scores = Readonly<Record<(typeof scoreColumns)[number], number>>;
type Row = Training & Scores;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: Object.fromEntries(
    ["shards", "by", "outer", "rounds", "fine-tuning", "passes", "federated", "seeds"].map((name) => [
      name,
      { type: "string" },
    ]),
  ) as Record<string, { type: "string" }>,
});
const listed = (name: string, fallback: string): string[] => (flags[name] ?? fallback).split(",");
const outerSteps: Readonly<Record<Training["outer"], OuterStep>> = {
  mean: { kind: "mean" },
  nesterov: { kind: "nesterov", lr: 0.7, momentum: 0.9 },
};

function trainings(set: RoundsSet): Training[] {
  const all: Training[] = [];
  for (const seed of listed("seeds", "0,1,2").map(Number)) {
    const common = { set: set.name, federated: false, seed };
    const oneMachine = {
      shards: 1,
      by: "conditions",
      outer: "mean",
      rounds: 1,
      fine_tuning: 0,
      passes: 1,
    } as const;
    all.push({ ...common, ...oneMachine });
    for (const shards of listed("shards", "4,8,16").map(Number))
      for (const by of listed("by", "conditions,cells") as Training["by"][])
        for (const outer of listed("outer", "mean,nesterov") as Training["outer"][])
          for (const rounds of listed("rounds", "4,24,96").map(Number))
            for (const part of listed("fine-tuning", String(Math.ceil(fineTuningShare * rounds))))
              for (const passes of listed("passes", "1,1.5,2").map(Number))
                for (const federated of listed("federated", "no").map((name) => name === "yes"))
                  all.push({
                    ...common,
                    ...{ shards, by, outer, rounds, fine_tuning: Number(part), passes, federated },
                  });
  }
  return all;
}

interface OpenSet {
  readonly reference: AnnData;
  readonly query: AnnData;
  readonly truth: readonly string[];
  readonly close: () => void;
}

async function open(set: RoundsSet): Promise<OpenSet> {
  if (!set.simulated) return openTransfer(set, cache, set.name);
  const path = join(cache, "simulated.h5ad");
  mkdirSync(cache, { recursive: true });
  if (!existsSync(path)) await simulateOverlapping(path, { ...set.simulated, seed: 3 });
  const source = await AnnData.open(path);
  const conditions = await labels(source, set.condition);
  const rows = Int32Array.from(conditions.keys());
  const parts: AnnData[] = [];
  for (const part of ["reference", "query"]) {
    const file = join(cache, `simulated-${part}.h5ad`);
    const isIn = (row: number): boolean => set.query.includes(conditions[row]!) === (part === "query");
    if (!existsSync(file)) await writeRows(source, rows.filter(isIn), file);
    parts.push(await AnnData.open(file));
  }
  source.close();
  return {
    reference: parts[0]!,
    query: parts[1]!,
    truth: await labels(parts[1]!, set.label),
    close: () => parts.forEach((data) => data.close()),
  };
}

const model = { landmarks: false } as const;

async function trainOnOneMachine(
  set: RoundsSet,
  { reference }: OpenSet,
  { seed }: Training,
): Promise<StoredModel> {
  const { stored } = await ScPoli.train(reference, {
    ...model,
    conditionKeys: [set.condition],
    cellTypeKeys: [set.label],
    genes: reference.nVars > 2000 ? 2000 : undefined,
    sampleMetadata: false,
    threads: 2,
    seed,
  });
  return stored;
}

/** @returns the model, steps per round, and bytes that a round exchanges */
async function trainInRounds(set: RoundsSet, { reference }: OpenSet, training: Training) {
  const { shards, by, federated, seed, rounds, fine_tuning, passes, outer } = training;
  const folder = join(cache, `run-${process.pid}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const parts = await cutCells(reference, { shards, by, conditionKeys: [set.condition], seed });
  const files = new Map<string, string>();
  for (const [shard, rows] of parts.entries()) {
    const path = join(folder, `shard-${shard}.h5ad`);
    await writeShard(reference, rows, path, {});
    files.set(`shard-${shard}`, path);
  }
  const run = new RunFolder(join(folder, "run"));
  const stored = await runAll(
    run,
    files,
    {
      conditionKeys: [set.condition],
      cellTypeKeys: [set.label],
      genes: reference.nVars > 2000 ? 2000 : undefined,
      sampleMetadata: false,
      federated,
    },
    { ...model, rounds, fineTuningRounds: fine_tuning, passes, outerStep: outerSteps[outer], seed },
    { threads: 2, seed },
  );
  const { plan } = await readPlan(run);
  const bytes = [...files.keys()].reduce(
    (sum, shard) => sum + statSync(run.result(1, shard)).size + statSync(run.state(1)).size,
    0,
  );
  rmSync(folder, { recursive: true });
  return { stored, steps: plan.steps, megabytes: bytes / 1e6 };
}

async function score(set: RoundsSet, opened: OpenSet, stored: StoredModel, seed: number) {
  const folder = join(cache, `model-${process.pid}`);
  await saveModel(folder, stored, { force: true });
  const trained = await ScPoli.load(folder);
  const { reference, query, truth } = opened;
  const mapping = await trained.map(query, { threads: 2, seed });
  const embedded = await trained.embed(reference, { threads: 2 });
  rmSync(folder, { recursive: true });
  const names = stored.json.cell_types;
  const known = Array.from(truth.keys()).filter((cell) => names.includes(truth[cell]!));
  const ofKnown = (codes: Int32Array): string[] => known.map((cell) => names[codes[cell]!]!);
  const right = known.map((cell) => truth[cell]!);
  const prediction = mapping.predictions[0]!;
  const latent = new Float32Array(embedded.latent.length + mapping.latent.length);
  latent.set(embedded.latent);
  latent.set(mapping.latent, embedded.latent.length);
  const both = async (key: string): Promise<string[]> => [
    ...(await labels(reference, key)),
    ...(await labels(query, key)),
  ];
  const { total } = await integrationOf(
    latent,
    stored.json.model.latent_dim,
    await both(set.label),
    await both(set.condition),
    seed,
  );
  return {
    prototype: accuracyAndF1(right, ofKnown(prediction.nearest)),
    head: accuracyAndF1(right, ofKnown(prediction.headLabels ?? prediction.nearest)),
    integration: total,
  };
}

async function measure(set: RoundsSet, opened: OpenSet, training: Training): Promise<Row> {
  const { stored, steps, megabytes } =
    training.shards === 1
      ? { stored: await trainOnOneMachine(set, opened, training), steps: 0, megabytes: 0 }
      : await trainInRounds(set, opened, training);
  const { prototype, head, integration } = await score(set, opened, stored, training.seed);
  return {
    ...training,
    steps,
    epochs_run: (stored.json.provenance["epochs_run"] as number | undefined) ?? NaN,
    prototype_accuracy: prototype[0],
    prototype_macro_f1: prototype[1],
    head_accuracy: head[0],
    head_macro_f1: head[1],
    integration,
    megabytes_per_round: megabytes,
  };
}

const keyOf = (training: Training): string => trainingColumns.map((column) => training[column]).join(",");

function readRows(): Row[] {
  if (!existsSync(csv)) return [];
  const [, ...lines] = readFileSync(csv, "utf8").trim().split("\n");
  return lines.map((line) => {
    const values = line.split(",");
    const entries = [...trainingColumns, ...scoreColumns].map((column, i) => {
      const text = values[i]!;
      if (column === "set" || column === "by" || column === "outer") return [column, text];
      return [column, column === "federated" ? text === "true" : Number(text)];
    });
    return Object.fromEntries(entries) as Row;
  });
}

function writePage(rows: readonly Row[]): void {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = keyOf({ ...row, seed: 0 });
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const line = (runs: readonly Row[]): string => {
    const [first] = runs as [Row];
    const { set, shards, by, outer, rounds, fine_tuning, passes, federated, megabytes_per_round } = first;
    const mean3 = (column: keyof Scores): string => mean(runs.map((row) => row[column])).toFixed(3);
    const training =
      shards === 1
        ? "one machine | | | | |"
        : `${shards} shards of ${by}${federated ? ", federated" : ""} | ${outer} | ${rounds} | ` +
          `${fine_tuning} | ${passes} |`;
    const size = shards === 1 ? "" : megabytes_per_round.toFixed(1);
    return (
      `| ${set} | ${training} ${Number(mean3("epochs_run"))} | ${runs.length} | ` +
      `${mean3("prototype_accuracy")} | ${mean3("prototype_macro_f1")} | ${mean3("head_accuracy")} | ` +
      `${mean3("head_macro_f1")} | ${mean3("integration")} | ${size} |`
    );
  };
  writeFileSync(
    inPackage("docs/benchmarks/rounds.md"),
    [
      "# Quality of training in rounds",
      "",
      "`npm run docs:figures` writes a summary here.",
      "",
      "![Training in rounds beside training on one machine](figures/rounds.svg)",
      "",
      "Made by `npm run bench:rounds`, which can be stopped and continued: the table has the runs made so",
      "far. The query's conditions are left out of the reference and mapped; scores are of the query's cells",
      "of known types (nearest prototype, classifier on genes) and of all cells (integration, 60 %",
      "biology and 40 % mixing). Means over the seeds. *Passes* is relative to the epochs that are planned",
      "for one machine; *epochs run* counts passes over the cells; *fine-tuning* is the number of rounds",
      "with the prototype loss, the last ones. A federated model has no classifier on",
      "genes: its labels are those of the nearest prototype, in both columns. Rounds can be better than",
      "one machine: they pass over the cells more often, and average the networks of the shards.",
      "Which of the two matters has not been studied. That half of the rounds fine-tune was",
      "chosen on kang16, with seed 0; the simulated atlas and panc8 were run once with it.",
      "",
      "| set | training | outer step | rounds | fine-tuning | passes | epochs run | seeds " +
        "| prototype accuracy | F1 | classifier accuracy | F1 | integration | MB per round |",
      `|${" --- |".repeat(14)}`,
      ...[...groups.values()].map(line),
      "",
    ].join("\n"),
  );
}

const requestedSets = sets.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
const finishedRuns = new Set(readRows().map(keyOf));
if (finishedRuns.size === 0) writeFileSync(csv, `${[...trainingColumns, ...scoreColumns].join(",")}\n`);
for (const set of requestedSets) {
  const opened = await open(set);
  const conditions = new Set(await labels(opened.reference, set.condition)).size;
  for (const training of trainings(set)) {
    if (finishedRuns.has(keyOf(training)) || (training.by === "conditions" && training.shards > conditions))
      continue;
    const started = performance.now();
    const row = await measure(set, opened, training);
    const values = scoreColumns.map((column) => String(Number(row[column].toFixed(4))));
    appendFileSync(csv, `${[keyOf(training), ...values].join(",")}\n`);
    writePage(readRows());
    const seconds = (performance.now() - started) / 1000;
    console.log(
      `${keyOf(training)}: ${row.prototype_accuracy.toFixed(3)} prototype, ${seconds.toFixed(0)} s`,
    );
  }
  opened.close();
}
writePage(readRows());
