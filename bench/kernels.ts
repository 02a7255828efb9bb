// Milliseconds and GFLOP/s of each kernel, and of whole programs with 1 and 2 threads, at the paper's shapes.
// usage: npm run bench:kernels -- [GENES] [HIDDEN] [MINIBATCH] [BUILD]   (default 4000 64 128 auto)
import { createWasmEngine, type Build, type WasmEngine, type WasmProgram } from "../dist/engine/wasm.js";
import type { Minibatch, Program, RunOptions } from "../dist/engine/engine.js";
import { Network } from "../dist/network.js";
import { initialValues, modelOptions, parameterShapes } from "../dist/parameters.js";
import { Random } from "../dist/random.js";

const [genes, hidden, rows] = [Number(process.argv[2] ?? 4000), Number(process.argv[3] ?? 64), Number(process.argv[4] ?? 128)];
const build = (process.argv[5] ?? "auto") as Build | "auto";
const combinations = 8;
const cellTypes = 12;
const density = 0.13;
const options = modelOptions({ hiddenLayerSizes: [hidden] }, genes, 1);
const sizes = { genes, conditions: [combinations], combinations };
const run: RunOptions = { step: 10, learningRate: 1e-3, klWeight: 0.5, prototypeWeight: 5, seed: 7 };

/** Counts as of variable genes in 10x data: most are 1 or 2, a few genes have large ones. */
function fill(minibatch: Minibatch): void {
  const random = new Random(1, "bench");
  const means = Float64Array.from({ length: genes }, () => Math.exp(1.6 * random.normal()));
  const scale = density / (means.reduce((sum, m) => sum + m / (m + 1), 0) / genes);
  let stored = 0;
  for (let b = 0; b < rows; b++) {
    let size = 0;
    for (let g = 0; g < genes; g++) {
      if (random.uniform() >= (scale * means[g]!) / (means[g]! + 1)) continue;
      minibatch.indices[stored] = g;
      const count = 1 + Math.floor(-Math.log(1 - random.uniform()) * 0.8 * Math.max(0.5, Math.sqrt(means[g]!)));
      minibatch.counts[stored++] = count;
      size += count;
    }
    minibatch.indptr[b + 1] = stored;
    minibatch.sizeFactors[b] = size;
    minibatch.combinations[b] = minibatch.conditions[0]![b] = Math.floor((b * combinations) / rows);
    minibatch.labels[b] = random.below(cellTypes);
  }
  minibatch.rows = rows;
}

async function setUp(threads: number): Promise<{ engine: WasmEngine; network: Network; stored: number }> {
  const engine = await createWasmEngine(
    { minibatchSize: rows, minibatchCapacity: Math.ceil(rows * genes * density * 2) + 16, genes, conditionKeys: 1, levels: 1, prototypes: [cellTypes, options.latentDim] },
    { threads, build },
  );
  const network = new Network(engine, options, sizes, { weightDecay: 0.04 });
  const shapes = parameterShapes(options, sizes);
  network.write(new Map(shapes.map((shape) => [shape.name, initialValues(shape, shapes, 3)])));
  fill(engine.minibatch);
  return { engine, network, stored: engine.minibatch.indptr[rows]! };
}

/** Minimum and median of many calls, in ms. */
function time(call: () => void, seconds = 1): { least: number; median: number } {
  const times: number[] = [];
  for (const end = performance.now() + 300 * seconds; performance.now() < end; ) call();
  for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) {
    const start = performance.now();
    call();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return { least: times[0]!, median: times[times.length >> 1]! };
}

const row = (name: string, { least, median }: { least: number; median: number }, note = ""): void =>
  console.log(`${name.padEnd(34)} ${least.toFixed(3).padStart(8)} ${median.toFixed(3).padStart(8)}  ${note}`);

const one = await setUp(1);
console.log(`G ${genes}, H ${hidden}, B ${rows}, ${((100 * one.stored) / rows / genes).toFixed(1)} % non-zeros, ${one.engine.build} build, Node ${process.version}`);
console.log(`${"".padEnd(34)} ${"min ms".padStart(8)} ${"median".padStart(8)}`);

const training = one.network.training({ dropout: 0.05, prototypeNorm: 2 }) as WasmProgram;
for (let i = 0; i < 200; i++) training.run(run);
one.engine.prepare(training.plan, run);
for (const { code, pointer, isRows, weight } of training.plan.operations) {
  const timing = time(() => one.engine.kernels.runOperation(pointer, Number(isRows)), 0.5);
  if (timing.least < 0.02) continue;
  const products = !weight ? 0 : weight.role === "sparse" ? one.stored * hidden : rows * weight.shape[0]! * weight.shape[1]!;
  row(`  ${code}${weight ? ` (${weight.role})` : ""}`, timing, products ? `${((2 * products) / timing.least / 1e6).toFixed(1)} GFLOP/s` : "");
}

const program = async (name: string, threads: number, pick: (network: Network) => Program): Promise<void> => {
  const { engine, network } = await setUp(threads);
  const recorded = pick(network);
  const timing = time(() => recorded.run(run), 2);
  row(`${name}, ${threads} thread${threads > 1 ? "s" : ""}`, timing, `${Math.round((rows / timing.least) * 1000)} cells/s`);
  await engine.close();
};
for (const threads of [1, 2]) {
  await program("training step", threads, (network) => network.training({ dropout: 0.05, prototypeNorm: 2 }));
  await program("validation", threads, (network) => network.validation(2));
  await program("encoding", threads, (network) => network.encoding());
}
