// npm run bench:scale: files of growing size, simulated (4,000 genes, 13 % non-zeros): conversion into a
// shuffled collection, an epoch of training (in memory, streamed from .h5ad and from the collection), mapping
// and embedding: cells per second, processor time per cell, peak memory. For comparison, Python's anndata
// reads the same file (SCPOLI_PYTHON, else .cache/python), and training with 10 and with 2,375 conditions.
// Predicts the hours of the paper's runs from these.
//
// SIZES=10000,100000 limits it. The files stay in .cache/scale (5 GB for a million cells), and so do the
// measurements: an interrupted run resumes, as long as the built code is the same;
// FRESH=1 measures everything again. Results: bench/results/scale.csv and a section of
// docs/benchmarks/scale.md.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { chooseEpochs } from "../dist/training/optimization.js";
import { writeSection } from "./sections.ts";
import { simulate } from "./simulate.ts";

const root = new URL("..", import.meta.url).pathname;
const cache = join(root, ".cache/scale");
const python = process.env["SCPOLI_PYTHON"] ?? join(root, ".cache/python/bin/python");
const sizes = (process.env["SIZES"] ?? "10000,100000,1000000").split(",").map(Number);
const genes = 4_000;
/** more cells than these are only streamed */
const mostInMemory = 100_000;

interface Part {
  readonly seconds: number;
  readonly processor_seconds?: number;
}
/** Measurements of a process: parts of its work by name, and peak memory. */
interface Measured {
  readonly cells: number;
  readonly peak_mb: number;
  readonly parts: Readonly<Record<string, Part>>;
}
interface Row extends Part {
  readonly cells: number;
  readonly what: string;
  readonly peak_mb: number;
}
const rows: Row[] = [];

mkdirSync(cache, { recursive: true });
const measurementsFile = join(cache, `measured-${codeDigest()}.json`);
const measurements: Record<string, Measured> =
  existsSync(measurementsFile) && !process.env["FRESH"]
    ? (JSON.parse(readFileSync(measurementsFile, "utf8")) as Record<string, Measured>)
    : {};

/** Digest of the code that a measurement runs. */
function codeDigest(): string {
  const hash = createHash("sha256").update(readFileSync(join(root, "bench/scale-run.mjs")));
  const add = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) =>
      a.name < b.name ? -1 : 1,
    ))
      if (entry.isDirectory()) add(join(folder, entry.name));
      else if (entry.name.endsWith(".js")) hash.update(readFileSync(join(folder, entry.name)));
  };
  add(join(root, "dist"));
  return hash.digest("hex").slice(0, 12);
}

function measureScpoli(...args: readonly (string | number)[]): Measured {
  return JSON.parse(
    execFileSync(process.execPath, [join(root, "bench/scale-run.mjs"), ...args.map(String)], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }),
  ) as Measured;
}
/** Measures if there is no stored result, and stores it at once. */
function measure(cells: number, what: string, run: () => Measured): void {
  const measured = (measurements[`${cells} ${what}`] ??= run());
  writeFileSync(measurementsFile, JSON.stringify(measurements));
  for (const [part, times] of Object.entries(measured.parts)) {
    const row = {
      ...times,
      cells: measured.cells,
      what: part === "" ? what : `${what}: ${part}`,
      peak_mb: measured.peak_mb,
    };
    rows.push(row);
    console.error(
      `${cells} cells, ${row.what}: ${row.seconds.toFixed(1)} s, ${(row.cells / row.seconds).toFixed(0)} ` +
        `cells/s, ${row.peak_mb} MB`,
    );
  }
  const lines = rows.map((row) =>
    [
      row.cells,
      `"${row.what}"`,
      row.seconds.toFixed(3),
      row.processor_seconds?.toFixed(3) ?? "",
      row.peak_mb,
    ].join(","),
  );
  writeFileSync(
    join(root, "bench/results/scale.csv"),
    ["cells,what,seconds,processor_seconds,peak_mb", ...lines].join("\n") + "\n",
  );
}
async function fileOf(cells: number, conditions: number): Promise<string> {
  const path = join(cache, `${cells}-cells-${conditions}-conditions.h5ad`);
  if (!existsSync(path)) await simulate(path, { cells, genes, conditions });
  return path;
}
function readByPython(file: string, how: "backed" | "memory"): Measured {
  const { seconds, cells, peak_mb } = JSON.parse(
    execFileSync(python, [join(root, "bench/scale_read.py"), file, how], { encoding: "utf8" }),
  ) as { seconds: number; cells: number; peak_mb: number };
  return { cells, peak_mb, parts: { "": { seconds } } };
}

/**
 * The first of several epochs, in which the runtime compiles, is left out; small files have many short
 * epochs, so that the noise of the machine averages out.
 */
function epochsOf(cells: number): readonly [pretraining: number, fineTuning: number] {
  return cells > 10_000 ? [2, 2] : [60, 60];
}
const [smallest, largest] = [Math.min(...sizes), Math.max(...sizes)];
/**
 * The state of the machine changes over time: runs to compare with the largest one are measured before and
 * after it.
 */
const inMemoryAgain = "train, in memory, again";
const smallestFile = await fileOf(smallest, 100);

const model = join(cache, "model");
if (!existsSync(join(model, "model.json")) || Object.keys(measurements).length === 0)
  measureScpoli("model", await fileOf(10_000, 100), model);
for (const cells of sizes) {
  const file = await fileOf(cells, 100);
  const collection = join(cache, `${cells}.zarr`);
  measure(cells, "convert", () => measureScpoli("convert", file, collection));
  const [pretraining, fineTuning] = epochsOf(cells);
  if (cells <= mostInMemory)
    measure(cells, "train, in memory", () => measureScpoli("train", file, "never", pretraining, fineTuning));
  measure(cells, "train, streamed", () => measureScpoli("train", file, "always", pretraining, fineTuning));
  if (cells === largest)
    measure(smallest, inMemoryAgain, () =>
      measureScpoli("train", smallestFile, "never", ...epochsOf(smallest)),
    );
  measure(cells, "train, streamed from the collection", () => {
    if (!existsSync(collection)) measureScpoli("convert", file, collection);
    return measureScpoli("train", collection, "always", cells > mostInMemory ? 1 : pretraining, 0);
  });
  if (cells <= mostInMemory)
    measure(cells, "map, in memory", () => measureScpoli("map", file, model, "never"));
  measure(cells, "map, streamed", () => measureScpoli("map", file, model, "always"));
  measure(cells, "embed", () => measureScpoli("embed", file, model));
  if (existsSync(python))
    for (const how of ["backed", "memory"] as const)
      measure(cells, `Python's anndata reads X, ${how === "backed" ? "backed" : "all at once"}`, () =>
        readByPython(file, how),
      );
  rmSync(collection, { recursive: true, force: true });
}
for (const conditions of [10, 2_375]) {
  const file = await fileOf(20_000, conditions);
  measure(20_000, `train, ${conditions.toLocaleString("en")} conditions`, () =>
    measureScpoli("train", file, "never", 10, 10),
  );
}

const find = (cells: number, what: string): Row =>
  rows.find((row) => row.cells === cells && row.what === what)!;
const perCell = ({ seconds, cells }: Row): number => seconds / cells;
const pre = "an epoch of pretraining";
const fine = "an epoch of fine-tuning";
/** Seconds per cell of the smallest file, before and after the largest run. */
const inMemory = (part: string): number =>
  (perCell(find(smallest, `train, in memory: ${part}`)) +
    perCell(find(smallest, `${inMemoryAgain}: ${part}`))) /
  2;
const large = {
  pre: find(largest, `train, streamed: ${pre}`),
  fine: find(largest, `train, streamed: ${fine}`),
  whole: find(largest, "train, streamed: the whole run"),
};
const count = (n: number): string => n.toLocaleString("en");
const ratio = (a: Row, b: Row): string => (perCell(a) / perCell(b)).toFixed(2);
const hours = (seconds: number): string =>
  seconds < 36_000
    ? `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`
    : `${(seconds / 3600).toFixed(0)} h`;

/**
 * A run of the largest size, per cell: the epochs, and all other steps (survey, last prototypes, calibration,
 * head).
 */
const [ofPretraining, ofFineTuning] = epochsOf(largest);
const otherSteps =
  perCell(large.whole) - ofPretraining * perCell(large.pre) - ofFineTuning * perCell(large.fine);
const run = (cells: number, width: number, pretraining: number, fineTuning: number): number =>
  cells * width * (pretraining * perCell(large.pre) + fineTuning * perCell(large.fine) + otherSteps);
const paper = run(1e6, 1, 80, 20);
const atlas = { cells: 7_800_000, genes: 10_000 };
const width = atlas.genes / genes;
const atlasEpochs = chooseEpochs(0.9 * atlas.cells, 128, "training");
const atlasPretraining = Math.floor(0.9 * atlasEpochs);
const atlasRun = (pretraining: number, fineTuning: number): string =>
  hours(run(atlas.cells, width, pretraining, fineTuning));
const conditions = (n: string, part: string): Row => find(20_000, `train, ${n} conditions: ${part}`);
const microseconds = (seconds: number): string => `${(1e6 * seconds).toFixed(1)} µs`;
const shown = rows.map((row) => [
  count(row.cells),
  row.what,
  row.seconds.toFixed(1),
  count(Math.round(row.cells / row.seconds)),
  row.processor_seconds === undefined ? "" : ((1e6 * row.processor_seconds) / row.cells).toFixed(1),
  count(row.peak_mb),
]);
const converted = find(largest, "convert");
writeSection(join(root, "docs/benchmarks/scale.md"), "Results", [
  `- Time per cell of ${count(largest)} cells streamed, over ${count(smallest)} cells in memory: the mean ` +
    `of before and after: pretraining ${(perCell(large.pre) / inMemory(pre)).toFixed(2)}, fine-tuning ` +
    `${(perCell(large.fine) / inMemory(fine)).toFixed(2)} (target: at most 1.3).`,
  `- Peak memory at ${count(largest)} cells: training ${count(large.pre.peak_mb)} MB, conversion ` +
    `${count(converted.peak_mb)}, mapping ${count(find(largest, "map, streamed").peak_mb)}, embedding ` +
    `${count(find(largest, "embed").peak_mb)} (target: at most 1,500; the paper's cost analysis: 6,800 ` +
    "sparse, 67,700 dense).",
  "- 2,375 conditions over 10, time per cell: pretraining " +
    `${ratio(conditions("2,375", pre), conditions("10", pre))}, fine-tuning ` +
    `${ratio(conditions("2,375", fine), conditions("10", fine))}.`,
  "- The paper's cost analysis, 1,000,000 cells, 4,000 genes, 100 epochs of which 80 pretraining (V100: 2 " +
    `h 07 min dense, 5 h 06 min sparse): 1,000,000 x (80 x ${microseconds(perCell(large.pre))} + 20 x ` +
    `${microseconds(perCell(large.fine))} + ${microseconds(otherSteps)}) = **${hours(paper)}** here, ` +
    `${(18_360 / paper).toFixed(1)} times as fast as the V100's sparse run, ` +
    `${(7_620 / paper).toFixed(1)} times its dense one.`,
  "- The paper's atlas, 7.8 million cells, 10,000 genes, 2,375 samples, if time grows with the genes (x " +
    `${width}): ${atlasRun(atlasPretraining, atlasEpochs - atlasPretraining)} for the ${atlasEpochs} ` +
    `epochs that are chosen for it (${atlasPretraining} pretraining), ${atlasRun(80, 20)} for 100.`,
]);
writeSection(join(root, "docs/benchmarks/scale.md"), "Runs", [
  `Made by \`npm run bench:scale\` on ${cpus().length} cores (${cpus()[0]!.model.trim()}), Node ` +
    `${process.versions.node}, two threads, one run each; simulated counts, ${count(genes)} genes, 13 % ` +
    "non-zeros, 100 conditions, .h5ad not compressed, on a warm cache; 64 hidden units, the published " +
    "width (the default of 128 is [about half as fast](speed.md#prototype-loss-and-width)).",
  "An epoch is the mean of all but the first, where there are several; of the collection of the largest " +
    "size it is the first. Peak memory is that of the whole process. Mapping is one epoch and everything " +
    "else (start, positions, labels); a fine-tuning epoch includes the prototypes.",
  "",
  "| cells | what | s | cells/s | processor µs per cell | peak MB |",
  "| --- | --- | --- | --- | --- | --- |",
  ...shown.map((row) => `| ${row.join(" | ")} |`),
]);
