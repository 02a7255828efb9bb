// npm run bench:likelihoods [-- GENES MINIBATCH]: cells per second of a training step and of validation with
// each likelihood, and the ratio to nb in the same round, for the default width and twice that. Medians
// over rounds in which the likelihoods alternate, and the upper bound of the ratio for zinb: nb's step
// relative to nb's step with the matrix products of the decoder's last layer done twice. Results:
// bench/results/likelihoods.csv and a section of docs/benchmarks/modalities.md.
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { reconLosses } from "../dist/contract/options.js";
import type { RunOptions } from "../dist/engine/engine.js";
import { median } from "../dist/numerics/descriptive.js";
import { wasmBuilds, type Build, type WasmProgram } from "../dist/engine/wasm.js";
import { setUp, time, type BenchSizes } from "./minibatch.ts";
import { writeSection } from "./sections.ts";

const [genes, rows] = [Number(process.argv[2] ?? 4000), Number(process.argv[3] ?? 128)];
const widths = [Math.ceil(Math.sqrt(genes)), 128];
const rounds = 7;
const run: RunOptions = { step: 10, learningRate: 1e-3, klWeight: 0.5, prototypeWeight: 5, seed: 7 };
const likelihoods = reconLosses.filter((name) => name !== "reference-poisson");
const trainingOptions = { dropout: 0.05, prototypeNorm: 2 };

/** Share of the decoder's last layer's matrix products in a training step under nb, one thread. */
async function shareOfProducts(sizes: BenchSizes, build: Build): Promise<number> {
  const { engine, network } = await setUp(sizes, { threads: 1, build });
  const { plan, ...program } = network.training(trainingOptions) as WasmProgram;
  for (let i = 0; i < 50; i++) program.run(run);
  engine.prepare(plan, run);
  const times = plan.operations.map(({ pointer, isRows, weight }) => ({
    isProduct: weight?.role === "output",
    least: time(() => engine.kernels.runOperation(pointer, Number(isRows)), 0.3).least,
  }));
  const sum = (timesOfParts: typeof times): number =>
    timesOfParts.reduce((total, { least }) => total + least, 0);
  return sum(times.filter(({ isProduct }) => isProduct)) / sum(times);
}

const csv = ["build,threads,genes,hidden,minibatch,program,likelihood,cells_per_second,ratio_to_nb"];
const table = [
  "| build | threads | hidden | program | nb, cells/s | zinb | poisson | mse | bound of zinb |",
  `|${" --- |".repeat(9)}`,
];
for (const build of wasmBuilds())
  for (const hidden of widths) {
    const sizes = { genes, hidden, rows };
    const share = await shareOfProducts(sizes, build);
    for (const threads of [1, 2]) {
      const networks = await Promise.all(
        likelihoods.map((reconLoss) => setUp(sizes, { threads, build }, { reconLoss })),
      );
      for (const program of ["training step", "validation"] as const) {
        const programs = networks.map(({ network }) =>
          program === "validation" ? network.validation(2) : network.training(trainingOptions),
        );
        const speeds = likelihoods.map((): number[] => []);
        for (let round = 0; round < rounds; round++)
          programs.forEach((program, i) =>
            speeds[i]!.push((1000 * rows) / time(() => program.run(run), 0.3).least),
          );
        const ratios = speeds.map((speedsOfProgram) =>
          median(speedsOfProgram.map((speed, round) => speed / speeds[0]![round]!)).toFixed(2),
        );
        likelihoods.forEach((name, i) =>
          csv.push(
            [
              build,
              threads,
              genes,
              hidden,
              rows,
              program,
              name,
              Math.round(median(speeds[i]!)),
              ratios[i],
            ].join(","),
          ),
        );
        const of = (name: (typeof likelihoods)[number]): string => ratios[likelihoods.indexOf(name)]!;
        const bound = program === "training step" ? (1 / (1 + share)).toFixed(2) : "";
        const relative = [of("zinb"), of("poisson"), of("mse")];
        const row = [build, threads, hidden, program, Math.round(median(speeds[0]!)), ...relative, bound];
        table.push(`| ${row.join(" | ")} |`);
        console.log(table.at(-1));
      }
      for (const { engine } of networks) await engine.close();
    }
  }
writeFileSync(new URL("results/likelihoods.csv", import.meta.url), `${csv.join("\n")}\n`);
writeSection(
  new URL("../docs/benchmarks/modalities.md", import.meta.url).pathname,
  "Speed of the likelihoods",
  [
    `Made by \`npm run bench:likelihoods\` (${cpus()[0]!.model.trim()}, Node ${process.versions.node}): ` +
      `${genes.toLocaleString("en")} genes, 13 % non-zeros, minibatches of ${rows}; cells per second as a ` +
      "multiple of nb's in the same run.",
    "",
    ...table,
    "",
    "zinb has a second output layer as large as the first, so three more matrix products of genes x " +
      "hidden x minibatch: the last column is what it could reach if all its other arithmetic",
    "(two exponentials, most of a logarithm and a division more per gene) took no time, measured kernel " +
      "by kernel. The products run near what the processor can do with vectors of four floats, so they " +
      "cannot be made",
    "to cost less, and a zinb at 0.7 of nb's speed is out of reach. Poisson and mse do less work than nb.",
  ],
);
