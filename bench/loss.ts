// npm run bench:loss: cost of the prototype loss and of the width of the hidden layer. Steps of
// fine-tuning with each kind of loss, and with the published width and 128 units, alternate in one run;
// ratios are medians over the rounds. Results: bench/results/loss.csv and a section of
// docs/benchmarks/speed.md.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunOptions } from "../dist/engine/engine.js";
import type { WasmEngine } from "../dist/engine/wasm.js";
import { median } from "../dist/numerics/descriptive.js";
import { setUp } from "./minibatch.ts";
import { writeSection } from "./sections.ts";

const root = new URL("..", import.meta.url).pathname;
const [genes, rows, cellTypes] = [4000, 128, 60];
const widths = [Math.ceil(Math.sqrt(genes)), 128];
const rounds = Number(process.env["ROUNDS"] ?? 15);
const steps = 40;

const losses: readonly [string, RunOptions][] = [
  ["pretraining", {}],
  ["distance", { prototypeWeight: 5 }],
  ["cross-entropy", { crossEntropyWeight: 50 }],
  ["both", { prototypeWeight: 10, crossEntropyWeight: 50 }],
];

interface Timed {
  readonly hidden: number;
  readonly loss: string;
  readonly engine: WasmEngine;
  readonly run: () => void;
  readonly speeds: number[];
}
const programs: Timed[] = [];
for (const hidden of widths) {
  const { engine, network } = await setUp({ genes, hidden, rows, cellTypes }, { threads: 1 });
  const program = network.training({ dropout: 0.05, prototypeNorm: 2 });
  for (const [loss, options] of losses) {
    const run = (): void => {
      for (let step = 1; step <= steps; step++)
        program.run({ step: 10, learningRate: 0, klWeight: 0.5, seed: step, ...options });
    };
    programs.push({ hidden, loss, engine, run, speeds: [] });
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

const speedsOf = (hidden: number, loss: string): number[] =>
  programs.find((one) => one.hidden === hidden && one.loss === loss)!.speeds;
/** Median of the ratios of two programs' speeds in the same round. */
const ratio = (one: readonly number[], other: readonly number[]): number =>
  median(one.map((speed, round) => speed / other[round]!));
const table = programs.map(({ hidden, loss, speeds }) => ({
  hidden,
  loss,
  speed: median(speeds),
  ofDistance: ratio(speeds, speedsOf(hidden, "distance")),
  ofPublishedWidth: ratio(speeds, speedsOf(widths[0]!, loss)),
}));
writeFileSync(
  join(root, "bench/results/loss.csv"),
  [
    "hidden,loss,cells_per_second,ratio_to_distance,ratio_to_published_width",
    ...table.map(({ hidden, loss, speed, ofDistance, ofPublishedWidth }) =>
      [hidden, loss, Math.round(speed), ofDistance.toFixed(3), ofPublishedWidth.toFixed(3)].join(","),
    ),
    "",
  ].join("\n"),
);
writeSection(join(root, "docs/benchmarks/speed.md"), "Prototype loss and width", [
  `Training steps of ${rows} cells, ${genes} genes, ${cellTypes} cell types, one thread, processor time, ` +
    `${programs[0]!.engine.build} build, alternating (\`npm run bench:loss\`, \`bench/results/loss.csv\`). ` +
    `Ratios: medians over ${rounds} rounds.`,
  "",
  "| hidden units | loss | cells/s | of the distance's | of the published width's |",
  "| --- | --- | --- | --- | --- |",
  ...table.map(
    ({ hidden, loss, speed, ofDistance, ofPublishedWidth }) =>
      `| ${hidden} | ${loss} | ${Math.round(speed).toLocaleString("en-US")} | ${ofDistance.toFixed(2)} | ` +
      `${ofPublishedWidth.toFixed(2)} |`,
  ),
]);
for (const { hidden, loss, speed, ofDistance, ofPublishedWidth } of table)
  console.log(
    `${String(hidden).padStart(4)} ${loss.padEnd(14)} ${Math.round(speed).toString().padStart(7)} ` +
      `cells/s, ${ofDistance.toFixed(3)} of the distance's, ${ofPublishedWidth.toFixed(3)} of ` +
      `${widths[0]} units`,
  );
for (const { engine } of programs) await engine.close();
