// npm run bench:loss: cost of the prototype loss, of the width of the hidden layer and of the latent space.
// Steps of fine-tuning with each kind of loss, with the published network, with 128 hidden units, and with
// the default network, alternate in one run; ratios are medians over the rounds. Results:
// bench/results/loss.csv and a section of docs/benchmarks/speed.md.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { defaults, type DistanceReduction } from "../dist/contract/options.js";
import type { RunOptions } from "../dist/engine/engine.js";
import type { WasmEngine } from "../dist/engine/wasm.js";
import { median } from "../dist/numerics/descriptive.js";
import { setUp } from "./minibatch.ts";
import { writeSection } from "./sections.ts";

const root = new URL("..", import.meta.url).pathname;
const [genes, rows, cellTypes] = [4000, 128, 60];
/** The published network, the same with a wider hidden layer, and the default. */
const networks = [
  { hidden: Math.ceil(Math.sqrt(genes)), latentDim: 10 },
  { hidden: 128, latentDim: 10 },
  { hidden: defaults.hiddenWidth!, latentDim: defaults.latentDim },
];
const rounds = Number(process.env["ROUNDS"] ?? 15);
const steps = 40;

const losses: readonly [string, DistanceReduction, RunOptions][] = [
  ["pretraining", "type-sum", {}],
  ["distance, sum over types", "type-sum", { prototypeWeight: 1 }],
  ["distance, mean over cells", "cell-mean", { prototypeWeight: defaults.eta }],
  ["cross-entropy", "type-sum", { crossEntropyWeight: defaults.etaCrossEntropy }],
  [
    "both (default)",
    "cell-mean",
    { prototypeWeight: defaults.eta, crossEntropyWeight: defaults.etaCrossEntropy },
  ],
];

interface Timed {
  readonly hidden: number;
  readonly latentDim: number;
  readonly loss: string;
  readonly engine: WasmEngine;
  readonly run: () => void;
  readonly speeds: number[];
}
const programs: Timed[] = [];
for (const { hidden, latentDim } of networks) {
  const setUps = new Map<DistanceReduction, Awaited<ReturnType<typeof setUp>>>();
  for (const distanceReduction of ["type-sum", "cell-mean"] as const) {
    const sizes = { genes, hidden, rows, cellTypes, distanceReduction };
    setUps.set(distanceReduction, await setUp(sizes, { threads: 1 }, { latentDim }));
  }
  for (const [loss, reduction, options] of losses) {
    const { engine, network } = setUps.get(reduction)!;
    const program = network.training({ dropout: 0.05, prototypeNorm: 2 });
    const run = (): void => {
      for (let step = 1; step <= steps; step++)
        program.run({ step: 10, learningRate: 0, klWeight: 0.5, seed: step, ...options });
    };
    programs.push({ hidden, latentDim, loss, engine, run, speeds: [] });
  }
}
for (const { run } of programs) run();
for (let round = 0; round < rounds; round++)
  for (const { run, speeds } of programs) {
    // processor time, which is independent of other programs
    const start = process.cpuUsage().user;
    run();
    speeds.push((1e6 * rows * steps) / (process.cpuUsage().user - start));
  }

type Network = (typeof networks)[number];
const speedsOf = (network: Network, loss: string): number[] =>
  programs.find(
    (one) => one.hidden === network.hidden && one.latentDim === network.latentDim && one.loss === loss,
  )!.speeds;
/** Median of the ratios of two programs' speeds in the same round. */
const ratio = (one: readonly number[], other: readonly number[]): number =>
  median(one.map((speed, round) => speed / other[round]!));
const table = programs.map(({ hidden, latentDim, loss, speeds }) => ({
  hidden,
  latentDim,
  loss,
  speed: median(speeds),
  ofPublishedLoss: ratio(speeds, speedsOf({ hidden, latentDim }, losses[1]![0])),
  ofPublishedNetwork: ratio(speeds, speedsOf(networks[0]!, loss)),
}));
writeFileSync(
  join(root, "bench/results/loss.csv"),
  [
    "hidden,latent,loss,cells_per_second,ratio_to_published_loss,ratio_to_published_network",
    ...table.map(({ hidden, latentDim, loss, speed, ofPublishedLoss, ofPublishedNetwork }) =>
      [
        hidden,
        latentDim,
        `"${loss}"`,
        Math.round(speed),
        ofPublishedLoss.toFixed(3),
        ofPublishedNetwork.toFixed(3),
      ].join(","),
    ),
    "",
  ].join("\n"),
);
writeSection(join(root, "docs/benchmarks/speed.md"), "Prototype loss and network", [
  `Training steps of ${rows} cells, ${genes} genes, ${cellTypes} cell types, one thread, processor time, ` +
    `${programs[0]!.engine.build} build, alternating (\`npm run bench:loss\`, \`bench/results/loss.csv\`). ` +
    `Ratios: medians over ${rounds} rounds.`,
  "",
  "| hidden units | latent space | loss | cells/s | of the published loss's | of the published network's |",
  "| --- | --- | --- | --- | --- | --- |",
  ...table.map(
    ({ hidden, latentDim, loss, speed, ofPublishedLoss, ofPublishedNetwork }) =>
      `| ${hidden} | ${latentDim} | ${loss} | ${Math.round(speed).toLocaleString("en-US")} | ` +
      `${ofPublishedLoss.toFixed(2)} | ${ofPublishedNetwork.toFixed(2)} |`,
  ),
]);
for (const { hidden, latentDim, loss, speed, ofPublishedLoss, ofPublishedNetwork } of table)
  console.log(
    `${hidden} units, latent space of ${latentDim}, ${loss}: ${Math.round(speed)} cells/s, ` +
      `${ofPublishedLoss.toFixed(3)} of the published loss's, ${ofPublishedNetwork.toFixed(3)} of the ` +
      "published network's",
  );
for (const engine of new Set(programs.map((program) => program.engine))) await engine.close();
