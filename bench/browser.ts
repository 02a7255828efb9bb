// npm run bench:browser: training and mapping in Chromium beside Node, in turns in one run, on the same simulated counts and the same (plain) build of the kernels; and what the
// page costs before work begins: first paint, bytes loaded, memory. Results: bench/results/browser.csv and a section of docs/browser.md.
// For comparison, both in a browser on the machines of their authors: CytoVerse maps 70-80 cells per second, sims-web about 170.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pageHeaders } from "../dist/cli/app-headers.js";
import { serveFolder } from "../dist/platform/server-node.js";
import { launchBrowser } from "../test/browser.ts";
import { memoryBelow, openBenchPage } from "./browser-page.ts";
import { writeSection } from "./sections.ts";
import { simulate } from "./simulate.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const cache = join(root, ".cache/browser");
const [cells, genes] = [Number(process.env["CELLS"] ?? 16_000), 4_000];
const rounds = Number(process.env["ROUNDS"] ?? 3);
const threads = Math.min(2, availableParallelism());

interface Speed {
  readonly training: number;
  readonly mapping: number;
  /** bytes, of all processes together, at most */
  readonly memory: number;
}
interface Row extends Speed {
  readonly where: string;
  readonly simd: string;
  readonly threads: number;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
const medians = (runs: readonly Speed[]): Speed => ({ training: median(runs.map((run) => run.training)), mapping: median(runs.map((run) => run.mapping)), memory: Math.max(...runs.map((run) => run.memory)) });

function inNode(file: string): Speed {
  const folder = join(cache, "node");
  mkdirSync(folder, { recursive: true });
  return JSON.parse(execFileSync(process.execPath, [join(root, "bench/browser-run.mjs"), file, String(threads)], { cwd: folder, encoding: "utf8" })) as Speed;
}

async function inChromium(file: string, simd: "plain" | "relaxed"): Promise<Speed> {
  const bench = await openBenchPage();
  try {
    await bench.page.register([file], ["counts.h5ad"]);
    const options = { path: "counts.h5ad", threads, simd };
    const training = await bench.page.job<number>("trainingSpeed", options);
    const mapping = await bench.page.job<number>("mappingSpeed", options);
    return { training, mapping, memory: bench.peak() };
  } finally {
    await bench.close();
  }
}

/** What the built page takes until it is there, in a new browser. */
async function firstLoad(): Promise<{ readonly paintMs: number; readonly loaded: number; readonly all: number; readonly memory: number }> {
  const folder = join(root, "dist/app");
  const served = await serveFolder(folder, 0, pageHeaders);
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage({ serviceWorkers: "block" });
    await page.goto(served.url, { waitUntil: "networkidle" });
    const { paintMs, loaded } = await page.evaluate(() => {
      const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")] as PerformanceResourceTiming[];
      return { paintMs: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN, loaded: entries.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0) };
    });
    const all = (readdirSync(folder, { recursive: true }) as string[]).reduce((sum, name) => sum + (statSync(join(folder, name)).isFile() ? statSync(join(folder, name)).size : 0), 0);
    return { paintMs, loaded, all, memory: memoryBelow(process.pid) };
  } finally {
    await browser.close();
    await served.close();
  }
}

mkdirSync(cache, { recursive: true });
const file = join(cache, `counts-${cells}.h5ad`);
if (!existsSync(file)) await simulate(file, { cells, genes }, 4);
const [node, plain, relaxed]: [Speed[], Speed[], Speed[]] = [[], [], []];
for (let round = 0; round < rounds; round++) {
  node.push(inNode(file));
  plain.push(await inChromium(file, "plain"));
  relaxed.push(await inChromium(file, "relaxed"));
}
const rows: readonly Row[] = [
  { where: `Node ${process.versions.node.split(".")[0]}`, simd: "plain", threads, ...medians(node) },
  { where: "Chromium", simd: "plain", threads, ...medians(plain) },
  { where: "Chromium", simd: "relaxed", threads, ...medians(relaxed) },
];
const page = existsSync(join(root, "dist/app/index.html")) ? await firstLoad() : null;

const csv = ["where,simd,threads,training_cells_per_s,mapping_cells_per_s,memory_mb", ...rows.map((row) => [row.where, row.simd, row.threads, Math.round(row.training), Math.round(row.mapping), Math.round(row.memory / 1e6)].join(","))];
if (page) csv.push("", "first_paint_ms,loaded_kb,all_files_kb,memory_mb", [Math.round(page.paintMs), Math.round(page.loaded / 1e3), Math.round(page.all / 1e3), Math.round(page.memory / 1e6)].join(","));
writeFileSync(join(root, "bench/results/browser.csv"), `${csv.join("\n")}\n`);

const [first] = rows;
const thousands = (n: number): string => Math.round(n).toLocaleString("en-US");
const table = [
  `${thousands(cells)} cells x ${thousands(genes)} genes (simulated), ${threads} threads, medians of ${rounds} rounds in turns; mapping is all that a user waits for: file opened, one epoch for 8 new conditions, labels, file written. Memory is that of all processes.`,
  "",
  "| | kernels | training, cells/s | mapping, cells/s | memory |",
  "| --- | --- | --- | --- | --- |",
  ...rows.map((row) => `| ${row.where} | ${row.simd} | ${thousands(row.training)} (${(row.training / first!.training).toFixed(2)}) | ${thousands(row.mapping)} (${(row.mapping / first!.mapping).toFixed(2)}) | ${thousands(row.memory / 1e6)} MB |`),
  ...(page ? ["", `The page: first paint after ${thousands(page.paintMs)} ms, ${thousands(page.loaded / 1e3)} kB loaded until then and all ${thousands(page.all / 1e3)} kB kept for use offline (not compressed), ${thousands(page.memory / 1e6)} MB in all of Chromium's processes.`] : []),
];
writeSection(join(root, "docs/browser.md"), "Speed", table);
process.stdout.write(`${table.join("\n")}\n`);
