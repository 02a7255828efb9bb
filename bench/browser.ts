// npm run bench:browser: training and mapping in Chromium and in Node, alternating in one run, on the
// same simulated counts with the same (plain) build of the kernels; the cost of loading the page: first
// paint, bytes loaded, memory; and a query of 100,000 cells in it (bench/browser-drawn.ts). Inputs are made
// once, in .cache/browser. Smaller: CELLS=2000 QUERY_CELLS=5000 ROUNDS=1, which leaves results and documents
// as they are. PARTS=page,drawn measures only the page and the large query, and keeps the results of the
// other part (speed). Results: bench/results/browser.csv and a section of docs/benchmarks/browser.md. For
// comparison, both in a browser on the machines of their authors: CytoVerse maps 70-80 cells per second,
// sims-web about 170.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pageHeaders } from "../dist/cli/app-headers.js";
import { median } from "../dist/numerics/descriptive.js";
import { serveFolder } from "../dist/platform/server-node.js";
import { launchBrowser } from "../test/browser.ts";
import { drawnSpeed } from "./browser-drawn.ts";
import { memoryBelow, openBenchPage } from "./browser-page.ts";
import { writeSection } from "./sections.ts";
import { simulate } from "./simulate.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const cache = join(root, ".cache/browser");
const [cells, genes] = [Number(process.env["CELLS"] ?? 16_000), 4_000];
const queryCells = Number(process.env["QUERY_CELLS"] ?? 100_000);
const rounds = Number(process.env["ROUNDS"] ?? 3);
const isWhole = !["CELLS", "QUERY_CELLS", "ROUNDS"].some((name) => name in process.env);
const threads = Math.min(2, availableParallelism());

interface Speed {
  readonly training: number;
  readonly mapping: number;
  /** peak memory of all processes, in bytes */
  readonly memory: number;
}
interface Row extends Speed {
  readonly where: string;
  readonly simd: string;
  readonly threads: number;
}

const medians = (runs: readonly Speed[]): Speed => ({
  training: median(runs.map((run) => run.training)),
  mapping: median(runs.map((run) => run.mapping)),
  memory: Math.max(...runs.map((run) => run.memory)),
});

function inNode(file: string): Speed {
  const folder = join(cache, "node");
  mkdirSync(folder, { recursive: true });
  return JSON.parse(
    execFileSync(process.execPath, [join(root, "bench/browser-run.mjs"), file, String(threads)], {
      cwd: folder,
      encoding: "utf8",
    }),
  ) as Speed;
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

/** Cost of loading the built page in a new browser. */
async function firstLoad(): Promise<{
  readonly paintMs: number;
  readonly loaded: number;
  readonly all: number;
  readonly memory: number;
}> {
  const folder = join(root, "dist/app");
  const served = await serveFolder(folder, 0, pageHeaders);
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage({ serviceWorkers: "block" });
    await page.goto(served.url, { waitUntil: "networkidle" });
    const { paintMs, loaded } = await page.evaluate(() => {
      const entries = [
        ...performance.getEntriesByType("navigation"),
        ...performance.getEntriesByType("resource"),
      ] as PerformanceResourceTiming[];
      return {
        paintMs: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN,
        loaded: entries.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
      };
    });
    const all = (readdirSync(folder, { recursive: true }) as string[]).reduce(
      (sum, name) => sum + (statSync(join(folder, name)).isFile() ? statSync(join(folder, name)).size : 0),
      0,
    );
    return { paintMs, loaded, all, memory: memoryBelow(process.pid) };
  } finally {
    await browser.close();
    await served.close();
  }
}

mkdirSync(cache, { recursive: true });
const file = join(cache, `counts-${cells}.h5ad`);
if (!existsSync(file)) await simulate(file, { cells, genes }, 4);
const parts = (process.env["PARTS"] ?? "speed,page,drawn").split(",");

/** Training and mapping in Node and in Chromium, alternating. */
async function measureSpeed(): Promise<readonly Row[]> {
  const [node, plain, relaxed]: [Speed[], Speed[], Speed[]] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    node.push(inNode(file));
    plain.push(await inChromium(file, "plain"));
    relaxed.push(await inChromium(file, "relaxed"));
  }
  return [
    { where: `Node ${process.versions.node.split(".")[0]}`, simd: "plain", threads, ...medians(node) },
    { where: "Chromium", simd: "plain", threads, ...medians(plain) },
    { where: "Chromium", simd: "relaxed", threads, ...medians(relaxed) },
  ];
}

const results = join(root, "bench/results/browser.csv");

/** Speeds of the last run of that part. */
function keptSpeed(): readonly Row[] {
  const [, ...lines] = readFileSync(results, "utf8").split("\n\n")[0]!.split("\n");
  return lines.map((line): Row => {
    const [where, simd, threadsThen, training, mapping, memory] = line.split(",");
    return {
      where: where!,
      simd: simd!,
      threads: Number(threadsThen),
      training: Number(training),
      mapping: Number(mapping),
      memory: Number(memory) * 1e6,
    };
  });
}

const rows = parts.includes("speed") ? await measureSpeed() : keptSpeed();
// the page and the large query are measured together: their results are one state of the page
/** Processes that want a processor, before the page is measured: other work makes it slower. */
const load = loadavg()[0]!;
const page = await firstLoad();
const drawn = await drawnSpeed(cache, file, queryCells, genes);

const csv = [
  "where,simd,threads,training_cells_per_s,mapping_cells_per_s,memory_mb",
  ...rows.map((row) =>
    [
      row.where,
      row.simd,
      row.threads,
      Math.round(row.training),
      Math.round(row.mapping),
      Math.round(row.memory / 1e6),
    ].join(","),
  ),
];
csv.push(
  "",
  "first_paint_ms,loaded_kb,all_files_kb,memory_mb",
  [
    Math.round(page.paintMs),
    Math.round(page.loaded / 1e3),
    Math.round(page.all / 1e3),
    Math.round(page.memory / 1e6),
  ].join(","),
);
const { cells: _, memory: drawnMemory, ...measured } = drawn;
csv.push(
  "",
  `query_cells,${Object.keys(measured)
    .map(
      (name) =>
        name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) +
        (name.endsWith("Frames") ? "_per_s" : "_s"),
    )
    .join(",")},memory_mb,load_average`,
  [
    drawn.cells,
    ...Object.values(measured).map((value) => value.toFixed(2)),
    Math.round(drawnMemory / 1e6),
    load.toFixed(1),
  ].join(","),
);

const [first] = rows;
const thousands = (n: number): string => Math.round(n).toLocaleString("en-US");
const milliseconds = (s: number): string => `${thousands(1000 * s)} ms`;
const table = [
  `${thousands(cells)} cells x ${thousands(genes)} genes (simulated), ${threads} threads, medians of ` +
    `${rounds} alternating rounds; mapping is everything that a user waits for: opening the file, one ` +
    "epoch for 8 new conditions, labels, writing the file. Memory is that of all processes.",
  "",
  "| | kernels | training, cells/s | mapping, cells/s | memory |",
  "| --- | --- | --- | --- | --- |",
  ...rows.map(
    (row) =>
      `| ${row.where} | ${row.simd} | ${thousands(row.training)} ` +
      `(${(row.training / first!.training).toFixed(2)}) | ${thousands(row.mapping)} ` +
      `(${(row.mapping / first!.mapping).toFixed(2)}) | ${thousands(row.memory / 1e6)} MB |`,
  ),
  "",
  `The page: first paint after ${thousands(page.paintMs)} ms, ${thousands(page.loaded / 1e3)} kB loaded ` +
    `until then and all ${thousands(page.all / 1e3)} kB kept for use offline (not compressed), ` +
    `${thousands(page.memory / 1e6)} MB in all of Chromium's processes.`,
  "",
  `A query of ${thousands(drawn.cells)} cells x ${thousands(genes)} genes in the page, onto a model of ` +
    `${thousands(cells)} cells, drawn without a graphics card (SwiftShader)` +
    (load > availableParallelism()
      ? `, beside other work (load average ${load.toFixed(1)} on ${availableParallelism()} processors):`
      : ":"),
  "",
  "| | |",
  "| --- | --- |",
  `| file opened, genes compared | ${drawn.opened.toFixed(1)} s |`,
  `| classified and drawn, from the click on "Map the cells" | ${drawn.drawn.toFixed(1)} s |`,
  `| panning | ${drawn.panFrames.toFixed(0)} frames/s |`,
  `| drawing a lasso | ${drawn.lassoFrames.toFixed(0)} frames/s; cells selected and recoloured after ` +
    `${milliseconds(drawn.lassoed)} |`,
  `| samples selected, their cells recoloured | ${milliseconds(drawn.brushed)} |`,
  `| threshold changed, cells recoloured | ${milliseconds(drawn.threshold)} |`,
  `| coloured by a gene, read from the file | ${drawn.gene.toFixed(1)} s |`,
  `| memory of all of Chromium's processes, at most | ${thousands(drawnMemory / 1e6)} MB |`,
];
if (isWhole) {
  writeFileSync(results, `${csv.join("\n")}\n`);
  writeSection(join(root, "docs/benchmarks/browser.md"), "Speed", table);
}
process.stdout.write(`${table.join("\n")}\n`);
