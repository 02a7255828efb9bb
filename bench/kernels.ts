// Milliseconds and GFLOP/s of each kernel, and of whole programs with 1 and 2 threads, at the paper's shapes.
// usage: npm run bench:kernels -- [GENES] [HIDDEN] [MINIBATCH] [BUILD]   (default 4000 64 128 auto)
import type { Build, WasmProgram } from "../dist/engine/wasm.js";
import type { Program, RunOptions } from "../dist/engine/engine.js";
import type { Network } from "../dist/model/network.js";
import { setUp, time } from "./minibatch.ts";

const [genes, hidden, rows] = [
  Number(process.argv[2] ?? 4000),
  Number(process.argv[3] ?? 64),
  Number(process.argv[4] ?? 128),
];
const build = (process.argv[5] ?? "auto") as Build | "auto";
const sizes = { genes, hidden, rows };
const run: RunOptions = { step: 10, learningRate: 1e-3, klWeight: 0.5, prototypeWeight: 5, seed: 7 };

const row = (name: string, { least, median }: { least: number; median: number }, note = ""): void =>
  console.log(`${name.padEnd(34)} ${least.toFixed(3).padStart(8)} ${median.toFixed(3).padStart(8)}  ${note}`);

const one = await setUp(sizes, { threads: 1, build });
console.log(
  `G ${genes}, H ${hidden}, B ${rows}, ${((100 * one.stored) / rows / genes).toFixed(1)} % non-zeros, ` +
    `${one.engine.build} build, Node ${process.version}`,
);
console.log(`${"".padEnd(34)} ${"min ms".padStart(8)} ${"median".padStart(8)}`);

const training = one.network.training({ dropout: 0.05, prototypeNorm: 2 }) as WasmProgram;
for (let i = 0; i < 200; i++) training.run(run);
one.engine.prepare(training.plan, run);
for (const { code, pointer, isRows, weight } of training.plan.operations) {
  const timing = time(() => one.engine.kernels.runOperation(pointer, Number(isRows)), 0.5);
  if (timing.least < 0.02) continue;
  const products = !weight
    ? 0
    : weight.role === "sparse"
      ? one.stored * hidden
      : rows * weight.shape[0]! * weight.shape[1]!;
  row(
    `  ${code}${weight ? ` (${weight.role})` : ""}`,
    timing,
    products ? `${((2 * products) / timing.least / 1e6).toFixed(1)} GFLOP/s` : "",
  );
}

const program = async (name: string, threads: number, pick: (network: Network) => Program): Promise<void> => {
  const { engine, network } = await setUp(sizes, { threads, build });
  const recorded = pick(network);
  const timing = time(() => recorded.run(run), 2);
  row(
    `${name}, ${threads} thread${threads > 1 ? "s" : ""}`,
    timing,
    `${Math.round((rows / timing.least) * 1000)} cells/s`,
  );
  await engine.close();
};
for (const threads of [1, 2]) {
  await program("training step", threads, (network) => network.training({ dropout: 0.05, prototypeNorm: 2 }));
  await program("validation", threads, (network) => network.validation(2));
  await program("encoding", threads, (network) => network.encoding());
}
