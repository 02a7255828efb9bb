// npm run bench:likelihoods [-- GENES HIDDEN MINIBATCH]: cells per second of a training step and of validation under each likelihood, and its ratio to nb
// in the same round. Medians over rounds in which the likelihoods take turns. The table goes to bench/results/likelihoods.csv.
import { writeFileSync } from "node:fs";
import { reconLosses } from "../dist/config.js";
import type { RunOptions } from "../dist/engine/engine.js";
import { wasmBuilds } from "../dist/engine/wasm.js";
import { setUp, time } from "./minibatch.ts";

const sizes = { genes: Number(process.argv[2] ?? 4000), hidden: Number(process.argv[3] ?? 64), rows: Number(process.argv[4] ?? 128) };
const rounds = 7;
const run: RunOptions = { step: 10, learningRate: 1e-3, klWeight: 0.5, prototypeWeight: 5, seed: 7 };
const likelihoods = reconLosses.filter((name) => name !== "reference-poisson");

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

const lines = ["build,threads,genes,hidden,minibatch,program,likelihood,cells_per_second,ratio_to_nb"];
console.log(`G ${sizes.genes}, H ${sizes.hidden}, B ${sizes.rows}, Node ${process.version}`);
for (const build of wasmBuilds())
  for (const threads of [1, 2]) {
    const made = await Promise.all(likelihoods.map((reconLoss) => setUp(sizes, { threads, build }, { reconLoss })));
    for (const program of ["training step", "validation"] as const) {
      const programs = made.map(({ network }) => (program === "validation" ? network.validation(2) : network.training({ dropout: 0.05, prototypeNorm: 2 })));
      const speeds = likelihoods.map((): number[] => []);
      for (let round = 0; round < rounds; round++) programs.forEach((own, i) => speeds[i]!.push((1000 * sizes.rows) / time(() => own.run(run), 0.3).least));
      likelihoods.forEach((name, i) => {
        const ratio = median(speeds[i]!.map((speed, round) => speed / speeds[0]![round]!));
        const cells = Math.round(median(speeds[i]!));
        lines.push([build, threads, sizes.genes, sizes.hidden, sizes.rows, program, name, cells, ratio.toFixed(2)].join(","));
        console.log(`${build}, ${threads} threads, ${program.padEnd(14)} ${name.padEnd(8)} ${String(cells).padStart(7)} cells/s, ${ratio.toFixed(2)} times nb`);
      });
    }
    for (const { engine } of made) await engine.close();
  }
writeFileSync(new URL("results/likelihoods.csv", import.meta.url), `${lines.join("\n")}\n`);
