// npm run bench:speed: speed and memory of training and embedding, compared with the Python package in one
// run and with the same networks, on simulated counts, two threads. The Python package needs its environment
// (SCPOLI_REFERENCE_PYTHON, or that of `bash bench/peers/setup.sh scarches`). The relaxed build needs a newer
// Node than 20, which is installed from npm into .cache/node, not into the project. Results:
// bench/results/speed.csv and a section of docs/benchmarks/speed.md.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { defaults } from "../dist/contract/options.js";
import { median } from "../dist/numerics/descriptive.js";
import { writeSection } from "./sections.ts";
import { simulate } from "./simulate.ts";

const root = new URL("..", import.meta.url).pathname;
const cache = join(root, ".cache/speed");
const python = process.env["SCPOLI_REFERENCE_PYTHON"] ?? join(root, ".cache/peers/env/scarches/bin/python");
const rounds = Number(process.env["ROUNDS"] ?? 3);
const epochs = 8;
/** The published network for 4,000 genes, and the default. */
const networks: readonly SpeedNetwork[] = [
  { width: 64, latent: 10, embedding: 10 },
  { width: defaults.hiddenWidth!, latent: defaults.latentDim, embedding: defaults.embeddingDims },
];
const training = { cells: 16_000, genes: 4_000 };
const embedding = { cells: 100_000, genes: 4_000 };

type Figures = Readonly<Record<string, number>>;
interface SpeedNetwork {
  readonly width: number;
  readonly latent: number;
  readonly embedding: number;
}
/** Arguments of both programs. */
const sizesOf = ({ width, latent, embedding: ofConditions }: SpeedNetwork): string[] =>
  [width, latent, ofConditions].map(String);

function runScpoli(node: string, ...args: string[]): Figures {
  return JSON.parse(
    execFileSync(node, [join(root, "bench/speed-run.mjs"), ...args], { cwd: root, encoding: "utf8" }),
  );
}

function scArches(file: string, network: SpeedNetwork): Figures {
  const out = execFileSync(
    python,
    ["-W", "ignore", join(root, "bench/speed_scarches.py"), file, "2", ...sizesOf(network)],
    { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
  );
  return JSON.parse(out.trim().split("\n").at(-1)!);
}

/** A Node with relaxed SIMD: this one, or one fetched from the npm registry into the cache. */
function newerNode(): string | null {
  if (Number(process.versions.node.split(".")[0]) >= 22) return process.execPath;
  const folder = join(root, ".cache/node");
  const name = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
  const path = join(folder, "node_modules", name, "bin/node");
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    try {
      execFileSync("npm", ["install", "--no-save", "--prefix", folder, `${name}@24`], { stdio: "ignore" });
    } catch {
      return null;
    }
  }
  return existsSync(path) ? path : null;
}

mkdirSync(cache, { recursive: true });
const [trainingFile, plainFile, gzipFile] = ["train.h5ad", "embed.h5ad", "embed-gzip.h5ad"].map((name) =>
  join(cache, name),
) as [string, string, string];
if (!existsSync(trainingFile)) await simulate(trainingFile, training, 4);
if (!existsSync(plainFile)) await simulate(plainFile, embedding);
if (!existsSync(gzipFile)) await simulate(gzipFile, embedding, 4);
const model = join(cache, "model");

const newer = newerNode();
const builds = [["plain", process.execPath] as const, ...(newer ? [["relaxed", newer] as const] : [])];
const hasPython = existsSync(python);
const rows: { what: string; values: number[]; unit: string; target: string }[] = [];
const record = (what: string, value: number, unit: string, target = ""): void => {
  const row =
    rows.find((other) => other.what === what) ??
    (rows.push({ what, values: [], unit, target }), rows.at(-1)!);
  row.values.push(value);
};
const targets = { plain: ["5", "6"], relaxed: ["8", "9"] } as const;
const output = join(cache, "output.h5ad");
/** Training of one network with each build, beside the Python package. */
function measureTraining(network: SpeedNetwork): void {
  const { width } = network;
  const peer = hasPython ? scArches(trainingFile, network) : null;
  const stages = ["pretraining", "fine-tuning"] as const;
  const speedOfPeer = peer && [peer["pretraining_cells_per_s"]!, peer["finetuning_cells_per_s"]!];
  stages.forEach((stage, i) => {
    if (speedOfPeer) record(`scArches, ${width} units, ${stage}`, speedOfPeer[i]!, "cells/s");
  });
  if (peer) record(`scArches, ${width} units, peak memory`, peer["peak_rss_mb"]!, "MB");
  for (const [simd, node] of builds) {
    const run = runScpoli(node, "train", trainingFile, simd, String(epochs), ...sizesOf(network));
    const speeds = [run["pretraining_s"]!, run["finetuning_s"]!].map((time) => training.cells / time);
    stages.forEach((stage, i) => {
      record(`ours ${simd}, ${width} units, ${stage}`, speeds[i]!, "cells/s");
      if (speedOfPeer)
        record(
          `ratio ${simd}, ${width} units, ${stage}`,
          speeds[i]! / speedOfPeer[i]!,
          "times",
          `>= ${width === 64 ? targets[simd][i]! : 5}`,
        );
    });
    record(`ours ${simd}, ${width} units, head and calibration after the last epoch`, run["head_s"]!, "s");
  }
}

for (let round = 0; round < rounds; round++) {
  for (const network of networks) measureTraining(network);
  for (const [simd, node] of builds) {
    record(
      `ours ${simd}, peak memory of training`,
      runScpoli(node, "model", trainingFile, model, simd)["peak_mb"]!,
      "MB",
      "< 600",
    );
    for (const [name, file] of [
      ["uncompressed", plainFile],
      ["gzip", gzipFile],
    ] as const) {
      const alone = runScpoli(node, "read", file)["read_s"]!;
      const embed = runScpoli(node, "embed", file, model, output, simd);
      rmSync(output);
      record(
        `ours ${simd}, embed and classify ${name}`,
        embedding.cells / embed["embed_s"]!,
        "cells/s",
        name === "gzip" ? "" : ">= 40000",
      );
      record(
        `ours ${simd}, embed ${name}, share of h5wasm's reading speed`,
        alone / embed["embed_s"]!,
        "",
        name === "gzip" ? ">= 0.7" : "",
      );
      record(`ours ${simd}, peak memory of embedding ${name}`, embed["peak_mb"]!, "MB");
    }
  }
}

const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(2));
const table = rows.map(({ what, values, unit, target }) => [
  what,
  number(median(values)),
  number(Math.min(...values)),
  number(Math.max(...values)),
  unit,
  target,
]);
writeFileSync(
  join(root, "bench/results/speed.csv"),
  [
    "what,median,least,most,unit,floor",
    ...table.map((row) => row.map((cell) => (cell.includes(",") ? `"${cell}"` : cell)).join(",")),
  ].join("\n") + "\n",
);
const newerVersion = newer ? execFileSync(newer, ["--version"], { encoding: "utf8" }).trim() : "";
const text = [
  `Made by \`npm run bench:speed\` on ${cpus().length} cores (${cpus()[0]!.model.trim()}), Node ` +
    `${process.versions.node}${newer ? ` and ${newerVersion} for the relaxed build` : ""}, ` +
    `two threads, ${rounds} rounds;`,
  `simulated counts, ${training.cells.toLocaleString("en")} x ${training.genes.toLocaleString("en")} for ` +
    `training and ${embedding.cells.toLocaleString("en")} cells for embedding, 13 % non-zeros. Medians, ` +
    "least and most; ratios are taken round by round. `ours` is scpoli, with the plain or the relaxed SIMD " +
    "build of its kernels.",
  hasPython ? "" : "\nThe Python package is missing, so there are no ratios.\n",
  "| what | median | least | most | unit | target |",
  "| --- | --- | --- | --- | --- | --- |",
  ...table.map((row) => `| ${row.join(" | ")} |`),
  "",
  "Cells per second count all cells of the file per epoch, validation and prototypes included, reading " +
    "left out; the head, which the Python package does not have, is trained once after the last epoch. " +
    "Both sides have the same network: 64 hidden units with a latent space of 10 are the published sizes " +
    `for 4,000 genes, ${defaults.hiddenWidth} with a latent space of ${defaults.latentDim} our default. ` +
    "The losses are the defaults of each. Embedding is by a model of default sizes. Single kernels: " +
    "`npm run bench:kernels`.",
  "",
];
writeSection(join(root, "docs/benchmarks/speed.md"), "Beside scArches", text);
console.log(text.join("\n"));
