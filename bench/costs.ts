// npm run bench:costs: measures train, map, embed and the steps of rounds on small simulated atlases (one
// thread, processor seconds and peak memory), fits the constants of the formula in src/planning/costs.ts to
// them, and compares the prediction with these runs and with those of bench/results/scale.csv. Writes
// bench/results/costs.csv and costs-predicted.csv, src/planning/constants.ts and docs/benchmarks/costs.md.
// FIT=1 fits again from the results file.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AnnData } from "../dist/index.js";
import { predictMemory } from "../dist/data/memory.js";
import { workOf, type Work } from "../dist/planning/costs.js";
import { terms, type Term } from "../dist/planning/terms.js";
import { comparedCells, stepWork } from "../dist/planning/step-work.js";
import { leastSquares } from "./least-squares.ts";
import { simulate } from "./simulate.ts";

const inPackage = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const results = inPackage("bench/results/costs.csv");
const constants = inPackage("src/planning/constants.ts");

interface Size {
  readonly cells: number;
  readonly genes: number;
  readonly width: number;
}
const sizes: readonly Size[] = [
  { cells: 2000, genes: 500, width: 64 },
  { cells: 2000, genes: 2000, width: 64 },
  { cells: 6000, genes: 1000, width: 64 },
  { cells: 3000, genes: 1000, width: 256 },
  { cells: 10_000, genes: 2000, width: 64 },
];
const [epochs, mapEpochs, trainFrac, minibatch, conditions] = [4, 4, 0.9, 128, 8];

interface Row extends Size {
  readonly step: string;
  readonly work: Work;
  readonly seconds: number;
  readonly memory_mb: number;
  /** predicted by the formula of src/data/memory.ts, without the parts of a step */
  readonly memory_predicted_mb: number;
}

const folder = mkdtempSync(join(tmpdir(), "scpoli-costs-"));
const at = (name: string): string => join(folder, name);

function measure(args: readonly string[]): { readonly seconds: number; readonly memory_mb: number } {
  const { status, stderr } = spawnSync(
    process.execPath,
    [inPackage("bench/costs-run.mjs"), ...args, "--threads", "1", "--quiet", "--force"],
    { encoding: "utf8" },
  );
  const line = /^costs (.*)$/m.exec(stderr);
  if (status !== 0 || !line) throw new Error(`scpoli ${args.join(" ")} failed:\n${stderr}`);
  return JSON.parse(line[1]!) as { seconds: number; memory_mb: number };
}

async function measureSize(size: Size): Promise<Row[]> {
  const { cells, genes, width } = size;
  const file = at("atlas.h5ad");
  await simulate(file, { cells, genes, conditions });
  const data = await AnnData.open(file);
  const stored = data.X!.stored;
  data.close();
  const parameters = 2 * genes * width + genes * conditions;
  const matrix = { rows: cells, stored, format: "csr" as const };
  const predicted = predictMemory(matrix, { genes, parameters, minibatch });
  const rows: Row[] = [];
  const add = (step: string, work: Work, args: readonly string[], streamed = false): void => {
    const measured = measure(args);
    const memory = streamed ? predicted.streamed : predicted.inMemory;
    rows.push({ ...size, step, work, ...measured, memory_predicted_mb: memory / 1e6 });
    process.stdout.write(`${cells} x ${genes}, ${width} units, ${step}: ${measured.seconds.toFixed(2)} s\n`);
  };
  const keys = ["--condition-key", "batch", "--cell-type-key", "cell_type"];
  const network = ["--hidden", String(width), "--early-stopping", "off"];
  const sample = Math.min(cells, 20_000);
  const work = stepWork({ cells, stored, parameters, epochs, trainFrac, sample });
  const model = at("model");
  add("train", work.train(), [
    ...["train", file, "-o", model, ...keys, ...network, "--epochs", String(epochs)],
  ]);
  const labelled = { read: stored, labelled: cells, parameters };
  const compared = comparedCells([conditions], [conditions], minibatch);
  add("map", { ...labelled, fitted: mapEpochs * cells * trainFrac, compared }, [
    ...["map", file, "--reference", model, "-o", at("mapped.h5ad"), "--known-conditions", "new"],
    ...["--epochs", String(mapEpochs), "--early-stopping", "off"],
  ]);
  add("embed", labelled, ["embed", file, "--model", model, "-o", at("embedded.h5ad")], true);
  const run = at("run");
  const shard = { cells, stored, parameters };
  add("survey", { read: 2 * stored }, [
    ...["rounds", "survey", run, file, "--shard", "one", ...keys, "--genes", String(genes)],
  ]);
  add("init", { parameters }, [
    ...["rounds", "init", run, "--rounds", "2", "--passes", "1", "--epochs", "4", ...network],
  ]);
  const trained = (epochs * cells * trainFrac) / 2;
  for (const round of [1, 2]) {
    add(`local ${round}`, work.local(shard, trained), [
      ...["rounds", "local", run, file, "--shard", "one", "--round", String(round)],
    ]);
    add(`merge ${round}`, { parameters: 3 * parameters }, ["rounds", "merge", run, "--round", String(round)]);
  }
  add("summary", work.summary(shard), ["rounds", "summary", run, file, "--shard", "one"]);
  add("finish", work.finish(), ["rounds", "finish", run, "-o", at("rounds-model")]);
  rmSync(run, { recursive: true });
  return rows;
}

const columns = [
  ...(["cells", "genes", "width", "step", "seconds", "memory_mb", "memory_predicted_mb"] as const),
  "work",
] as const;

function csvOf(rows: readonly Row[]): string {
  const value = (row: Row, column: (typeof columns)[number]): string => {
    const cell = row[column];
    if (typeof cell === "object") return `"${JSON.stringify(cell).replaceAll('"', '""')}"`;
    return typeof cell === "number" ? String(Number(cell.toFixed(3))) : String(cell);
  };
  const lines = rows.map((row) => columns.map((c) => value(row, c)).join(","));
  return `${[columns.join(","), ...lines].join("\n")}\n`;
}

function parseRows(text: string): Row[] {
  return text
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => {
      const [cells, genes, width, step, seconds, memory, predicted] = line.split(",");
      const work = /"(\{.*\})"$/.exec(line)![1]!.replaceAll('""', '"');
      return {
        cells: Number(cells),
        genes: Number(genes),
        width: Number(width),
        step: step!,
        seconds: Number(seconds),
        memory_mb: Number(memory),
        memory_predicted_mb: Number(predicted),
        work: JSON.parse(work) as Work,
      };
    });
}

/** Minimises relative errors: every run is divided by its time. */
function fit(runs: readonly Run[]): Record<Term, number> {
  const scale = terms.map((term) => Math.max(...runs.map(({ amounts }) => amounts[term])));
  const values = leastSquares(
    runs.map(({ amounts, seconds }) => terms.map((term, i) => amounts[term] / scale[i]! / seconds)),
    runs.map(() => 1),
  );
  return Object.fromEntries(terms.map((term, i) => [term, values[i]! / scale[i]!])) as Record<Term, number>;
}

function writeConstants(fitted: Readonly<Record<Term, number>>): void {
  const lines = terms.map(
    (term) => `  ${/\W/.test(term) ? `"${term}"` : term}: ${Number(fitted[term].toPrecision(4))},`,
  );
  writeFileSync(
    constants,
    [
      "// Written by `npm run bench:costs` from bench/results/costs.csv. Processor seconds per unit of work.",
      'import type { Term } from "./terms.js";',
      "",
      "export const secondsPerUnit: Readonly<Record<Term, number>> = {",
      ...lines,
      "};",
      "",
    ].join("\n"),
  );
}

type Costs = Readonly<Record<Term, number>>;

function predictedSeconds(amounts: Costs, fitted: Costs): number {
  return terms.reduce((sum, term) => sum + amounts[term] * fitted[term], 0);
}

/** Row of the table of the fitted runs. */
function fitLine(row: Row, fitted: Costs): string {
  const seconds = predictedSeconds(workOf(row.work, row), fitted);
  return (
    `| ${row.cells.toLocaleString("en-US")} x ${row.genes.toLocaleString("en-US")}, ${row.width} | ` +
    `${row.step} | ${row.seconds.toFixed(1)} | ${seconds.toFixed(1)} | ` +
    `${(seconds / row.seconds).toFixed(2)} | ${row.memory_mb.toFixed(0)} | ` +
    `${row.memory_predicted_mb.toFixed(0)} |`
  );
}

/** Row of the table of the runs of the scale benchmark. */
function scaleLine(run: ScaleRun, fitted: Costs): string {
  const predicted = predictedSeconds(run.amounts, fitted);
  return (
    `| ${run.what} | ${isFitted(run) ? "yes" : "no"} | ${run.seconds.toFixed(1)} | ` +
    `${predicted.toFixed(1)} | ${(predicted / run.seconds).toFixed(2)} |`
  );
}

/** Writes one row per run: measured and predicted seconds. */
function writePredictions(rows: readonly Row[], scale: readonly ScaleRun[], fitted: Costs): void {
  writeFileSync(
    inPackage("bench/results/costs-predicted.csv"),
    [
      "kind,run,fitted,seconds,predicted_seconds",
      ...rows.map((row) =>
        [
          "small run",
          `"${row.cells} x ${row.genes} with ${row.width} units: ${row.step}"`,
          "yes",
          row.seconds,
          predictedSeconds(workOf(row.work, row), fitted).toFixed(3),
        ].join(","),
      ),
      ...scale.map((run) =>
        [
          "large run",
          `"${run.what}"`,
          isFitted(run) ? "yes" : "no",
          run.seconds,
          predictedSeconds(run.amounts, fitted).toFixed(3),
        ].join(","),
      ),
      "",
    ].join("\n"),
  );
}

function writePage(rows: readonly Row[], fitted: Costs): void {
  const scale = scaleRuns();
  writePredictions(rows, scale, fitted);
  writeFileSync(
    inPackage("docs/benchmarks/costs.md"),
    [
      "# Predicted memory and time",
      "",
      "`npm run docs:figures` writes a summary here.",
      "",
      "![Time predicted by scpoli plan, and measured](figures/costs.svg)",
      "",
      "Made by `npm run bench:costs` from `bench/results/costs.csv` and the runs of [Scale](scale.md).",
      "",
      "## The formula",
      "",
      "The processor time of a step is the sum, over the amounts of work *w* below, of *w* times a constant",
      "*c*. The constants are fitted by non-negative least squares of the relative error. Memory is that of",
      "the check before a run (`src/data/memory.ts`).",
      "",
      "| work | unit | seconds per unit |",
      "| --- | --- | --- |",
      ...terms.map((term) => `| ${term} | ${units[term]} | ${fitted[term].toExponential(2)} |`),
      "",
      "## Large runs",
      "",
      "4,000 genes, two threads. The fit takes those of a million cells, and the mapping of 10,000 cells, in",
      "which the comparison of 100 conditions with 100 takes most of the time. It does not see the others.",
      "",
      "| run | fitted | processor s | predicted s | ratio |",
      "| --- | --- | --- | --- | --- |",
      ...scale.map((run) => scaleLine(run, fitted)),
      "",
      "## Small runs",
      "",
      `All of them are in the fit: one thread, simulated counts, 13 % non-zeros, ${conditions} conditions. ` +
        "Processor",
      "seconds, which other load of the machine changes little; peak memory of the process.",
      "",
      "| cells x genes, hidden units | step | s | predicted s | ratio | peak MB | predicted MB |",
      "| --- | --- | --- | --- | --- | --- | --- |",
      ...rows.map((row) => fitLine(row, fitted)),
      "",
    ].join("\n"),
  );
}

function isFitted({ cells, what }: ScaleRun): boolean {
  return cells === 1_000_000 || (cells === 10_000 && what.includes("map"));
}

const units: Readonly<Record<Term, string>> = {
  process: "1 per step",
  file: "1 for a step that reads a file",
  "stored count read": "count in the file",
  "trained gene": "cell x pass x gene",
  "trained weight": "cell x pass x gene x hidden unit",
  "fitted weight": "the same in `map`, which changes embeddings only",
  "compared weight":
    "cell x gene x hidden unit, for cells by which a new condition is compared with each of the reference",
  "encoded gene": "cell x gene",
  labelling: "1 for `map` and `embed`",
  "labelled cell": "cell that gets labels and novelty, and is written",
  classifier: "1 for `train` and `finish`",
  "classifier's gene": "gene of the classifier",
  "classified cell": "cell of the classifier's sample",
  parameter: "parameter read or written",
};

/** A measured run of any kind, as input of the fit. */
interface Run {
  readonly amounts: Readonly<Record<Term, number>>;
  readonly seconds: number;
}
interface ScaleRun extends Run {
  readonly what: string;
  readonly cells: number;
}

/**
 * Runs of `npm run bench:scale`: 4,000 genes, 64 units, 13 % non-zeros, up to a million cells, queries of 100
 * conditions mapped onto a reference of 100. The fit takes those of a million cells, because in small runs
 * compiling the program takes most of the time, and the smallest mapping, for the comparison of conditions.
 */
function scaleRuns(): ScaleRun[] {
  const scaleConditions = 100;
  const size = { genes: 4000, width: 64 };
  return readFileSync(inPackage("bench/results/scale.csv"), "utf8")
    .split("\n")
    .flatMap((line) => {
      const match =
        /^(\d+),"(embed|map, (?:in memory|streamed)|train, [^"]*: an epoch of pretraining)",[^,]*,([\d.]+)/.exec(
          line,
        );
      if (!match) return [];
      const [count, what, seconds] = [Number(match[1]), match[2]!, Number(match[3])];
      // a streamed epoch reads the counts again; so does its validation of a tenth of the cells
      const readsAgain = what.includes("streamed") ? 0.13 * 4000 * count : 0;
      const work: Work = what.startsWith("train")
        ? { trained: trainFrac * count, encoded: (1 - trainFrac) * count, read: readsAgain }
        : {
            read: 0.13 * 4000 * count,
            labelled: count,
            ...(what.startsWith("map") && {
              fitted: trainFrac * count,
              compared: comparedCells([scaleConditions], [scaleConditions], minibatch),
            }),
          };
      const isEpoch = what.startsWith("train");
      const amounts = { ...workOf(work, size), ...(isEpoch && { process: 0, file: 0 }) };
      return [{ what: `${count.toLocaleString("en-US")} cells, ${what}`, cells: count, amounts, seconds }];
    });
}

if (!process.env["FIT"] || !existsSync(results)) {
  const measured: Row[] = [];
  for (const size of sizes) {
    measured.push(...(await measureSize(size)));
    writeFileSync(results, csvOf(measured));
  }
}
rmSync(folder, { recursive: true, force: true });
const rows = parseRows(readFileSync(results, "utf8"));
const large = scaleRuns().filter(isFitted);
const fitted = fit([
  ...rows.map((row) => ({ amounts: workOf(row.work, row), seconds: row.seconds })),
  ...large,
]);
writeConstants(fitted);
writePage(rows, fitted);
