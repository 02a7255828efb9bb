// npm run bench:scale: files of growing size, simulated (4,000 genes, 13 % non-zeros): one epoch of training, mapping and embedding, with counts in memory and
// streamed; cells per second, processor time per cell, peak memory. Beside it, Python's anndata reading the same file (SCPOLI_PYTHON, else .cache/python), and
// training with 10 and with 2,375 conditions. SIZES=10000,100000 limits it; the files stay in .cache/scale (4.2 GB for a million cells).
// Results: bench/results/scale.csv and a section of docs/performance.md.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
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

interface Figures {
  readonly cells: number;
  readonly seconds: number;
  readonly processor_seconds?: number;
  readonly peak_mb: number;
}
interface Row extends Figures {
  readonly what: string;
}
const rows: Row[] = [];

function ours(...args: readonly (string | number)[]): Figures {
  return JSON.parse(execFileSync(process.execPath, [join(root, "bench/scale-run.mjs"), ...args.map(String)], { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }));
}
function note(what: string, figures: Figures): Row {
  const row = { ...figures, what };
  rows.push(row);
  writeCsv();
  console.error(`${figures.cells} cells, ${what}: ${(figures.cells / figures.seconds).toFixed(0)} cells/s, ${figures.peak_mb} MB`);
  return row;
}
/** After each measurement: what a run that is stopped has measured is there. */
function writeCsv(): void {
  const lines = rows.map(({ cells, what, seconds, processor_seconds: processor, peak_mb: peak }) => [cells, `"${what}"`, seconds.toFixed(2), processor?.toFixed(2) ?? "", peak].join(","));
  writeFileSync(join(root, "bench/results/scale.csv"), ["cells,what,seconds,processor_seconds,peak_mb", ...lines].join("\n") + "\n");
}
async function fileOf(cells: number, conditions: number): Promise<string> {
  const path = join(cache, `${cells}-cells-${conditions}-conditions.h5ad`);
  if (!existsSync(path)) await simulate(path, { cells, genes, conditions });
  return path;
}

mkdirSync(cache, { recursive: true });
const model = join(cache, "model");
ours("model", await fileOf(10_000, 100), model);
for (const cells of sizes) {
  const file = await fileOf(cells, 100);
  for (const [stream, how] of [["never", "in memory"], ["always", "streamed"]] as const) {
    if (stream === "never" && cells > mostInMemory) continue;
    note(`train, one epoch, ${how}`, ours("train", file, stream, 1));
    note(`map, one epoch and all positions, ${how}`, ours("map", file, model, stream));
  }
  note("embed", ours("embed", file, model));
  if (existsSync(python))
    for (const how of ["backed", "memory"]) {
      const out = execFileSync(python, [join(root, "bench/scale_read.py"), file, how], { encoding: "utf8" });
      note(`Python's anndata reads X, ${how === "backed" ? "backed" : "all at once"}`, JSON.parse(out));
    }
}

/** Of one epoch among several, so that the start does not count. */
function epochOf(file: string): Figures {
  const [short, long] = [ours("train", file, "never", 1), ours("train", file, "never", 4)];
  return { ...long, seconds: (long.seconds - short.seconds) / 3, processor_seconds: (long.processor_seconds! - short.processor_seconds!) / 3 };
}
const few = note("train, 10 conditions, in memory", epochOf(await fileOf(20_000, 10)));
const many = note("train, 2,375 conditions, in memory", epochOf(await fileOf(20_000, 2_375)));

const find = (cells: number, what: string): Row => rows.find((row) => row.cells === cells && row.what === what)!;
const [smallest, largest] = [Math.min(...sizes), Math.max(...sizes)];
const inMemory = find(smallest, "train, one epoch, in memory");
const streamed = find(largest, "train, one epoch, streamed");
const perCell = ({ seconds, cells }: Figures): number => seconds / cells;
const hours = (cells: number, epochs: number, width = 1): string => `${((cells * epochs * width * perCell(streamed)) / 3600).toFixed(1)} h`;
const count = (n: number): string => n.toLocaleString("en");
const shown = rows.map(({ cells, what, seconds, processor_seconds: processor, peak_mb: peak }) => [
  count(cells), what, count(Math.round(cells / seconds)), processor === undefined ? "" : ((1e6 * processor) / cells).toFixed(1), String(peak),
]);
const atlas = { cells: 7_800_000, genes: 10_000 };
const atlasEpochs = chooseEpochs(0.9 * atlas.cells, 128, "training");
writeSection(join(root, "docs/performance.md"), "Scale", [
  `Made by \`npm run bench:scale\` on ${cpus().length} cores (${cpus()[0]!.model.trim()}), Node ${process.versions.node}, two threads, one run each; simulated counts, ${count(genes)} genes, 13 % non-zeros, 100 conditions, .h5ad not compressed, on a warm cache.`,
  "Reading before the first epoch is left out of the times of training and mapping in memory; a streamed epoch reads the file again.", "",
  "| cells | what | cells/s | processor µs per cell | peak MB |", "| --- | --- | --- | --- | --- |", ...shown.map((row) => `| ${row.join(" | ")} |`), "",
  `- Time per cell of ${count(largest)} cells streamed, over ${count(smallest)} cells in memory: ${(perCell(streamed) / perCell(inMemory)).toFixed(2)} (wanted: at most 1.3). Peak memory ${streamed.peak_mb} MB (at most 1,500; the paper's cost analysis: 6,800 sparse, 67,700 dense).`,
  `- Processor time per cell with 2,375 conditions, over 10: ${(many.processor_seconds! / few.processor_seconds!).toFixed(2)}; time ${(perCell(many) / perCell(few)).toFixed(2)}.`,
  `- The paper's cost analysis (1,000,000 cells, 4,000 genes, 100 epochs; on a V100 2 h 07 min dense, 5 h 06 min sparse), at the streamed speed: ${hours(1e6, 100)}.`,
  `- The paper's atlas (7.8 million cells, 10,000 genes, 2,375 samples), if time grows with the genes: ${hours(atlas.cells, atlasEpochs, atlas.genes / genes)} for the ${atlasEpochs} epochs that are chosen for it; 100 epochs would take ${hours(atlas.cells, 100, atlas.genes / genes)}.`,
]);
