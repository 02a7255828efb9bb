// A minibatch like those of variable genes in 10x data, a network for it, and timing, for benches of the wasm
// engine.
import { createWasmEngine, type WasmEngine, type WasmOptions } from "../dist/engine/wasm.js";
import type { Minibatch } from "../dist/engine/engine.js";
import type { DistanceReduction, ModelOptions } from "../dist/contract/options.js";
import { Network } from "../dist/model/network.js";
import { initialValues, modelOptions, parameterShapes } from "../dist/model/parameters.js";
import { Random } from "../dist/numerics/random.js";

export interface BenchSizes {
  readonly genes: number;
  readonly hidden: number;
  readonly rows: number;
  /** default 12 */
  readonly cellTypes?: number;
  /** default "type-sum" */
  readonly distanceReduction?: DistanceReduction;
}

const combinations = 8;
const density = 0.13;

/** Most counts are 1 or 2, a few genes have large ones. */
function fill(minibatch: Minibatch, { genes, rows, cellTypes = 12 }: BenchSizes): void {
  const random = new Random(1, "bench");
  const means = Float64Array.from({ length: genes }, () => Math.exp(1.6 * random.normal()));
  const scale = density / (means.reduce((sum, m) => sum + m / (m + 1), 0) / genes);
  let stored = 0;
  for (let b = 0; b < rows; b++) {
    let size = 0;
    for (let g = 0; g < genes; g++) {
      if (random.uniform() >= (scale * means[g]!) / (means[g]! + 1)) continue;
      minibatch.indices[stored] = g;
      const count =
        1 + Math.floor(-Math.log(1 - random.uniform()) * 0.8 * Math.max(0.5, Math.sqrt(means[g]!)));
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

export async function setUp(
  sizes: BenchSizes,
  wasm: WasmOptions,
  model: Partial<ModelOptions> = {},
): Promise<{ engine: WasmEngine; network: Network; stored: number }> {
  const { genes, hidden, rows, cellTypes = 12, distanceReduction } = sizes;
  const options = modelOptions({ hiddenLayerSizes: [hidden], ...model }, genes, 1);
  const ofData = { genes, conditions: [combinations], combinations };
  const engine = await createWasmEngine(
    {
      minibatchSize: rows,
      minibatchCapacity: Math.ceil(rows * genes * density * 2) + 16,
      genes,
      conditionKeys: 1,
      levels: 1,
      prototypes: [cellTypes, options.latentDim],
      distanceReduction,
      levelPrototypes: [{ rows: Array.from({ length: cellTypes }, (_, k) => k) }],
    },
    wasm,
  );
  const network = new Network(engine, options, ofData, { weightDecay: 0.04 });
  const shapes = parameterShapes(options, ofData);
  network.write(new Map(shapes.map((shape) => [shape.name, initialValues(shape, shapes, 3)])));
  fill(engine.minibatch, sizes);
  return { engine, network, stored: engine.minibatch.indptr[rows]! };
}

/** Minimum and median of many calls, in ms. */
export function time(call: () => void, seconds = 1): { least: number; median: number } {
  const times: number[] = [];
  for (const end = performance.now() + 300 * seconds; performance.now() < end;) call();
  for (const end = performance.now() + 1000 * seconds; performance.now() < end;) {
    const start = performance.now();
    call();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return { least: times[0]!, median: times[times.length >> 1]! };
}
