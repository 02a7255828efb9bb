// Two engines side by side: the reference and a build of the wasm engine, with the same parameters,
// activations and minibatch.
import assert from "node:assert/strict";
import type {
  Activation,
  Engine,
  EngineOptions,
  Losses,
  Operations,
  Parameter,
  Program,
  Role,
  RunOptions,
} from "../dist/engine/engine.js";
import { ReferenceEngine } from "../dist/engine/reference.js";
import { createWasmEngine, type WasmOptions } from "../dist/engine/wasm.js";
import { Random } from "../dist/numerics/random.js";

export interface Shape {
  readonly genes: number;
  readonly rows: number;
  /** of each condition key */
  readonly conditions?: readonly number[];
  readonly combinations?: number;
  readonly levels?: number;
  /** K, D */
  readonly prototypes?: readonly [number, number];
  readonly levelPrototypes?: EngineOptions["levelPrototypes"];
  readonly distanceReduction?: EngineOptions["distanceReduction"];
  readonly density?: number;
  /** rows of one combination are adjacent */
  readonly isSorted?: boolean;
}

/** One parameter or activation of both engines. */
type Both<T> = readonly [reference: T, wasm: T];

export class Twin {
  readonly random = new Random(5, "twin");
  readonly #parameters = new Map<string, Both<Parameter>>();

  constructor(
    readonly engines: readonly [Engine, Engine],
    readonly shape: Shape,
  ) {}

  parameter(
    role: Role,
    shape: readonly number[],
    {
      name = role as string,
      values = (): number => 0.3 * this.random.normal(),
      weightDecay = 0.04,
      trainableFrom = 0,
    } = {},
  ): Both<Parameter> {
    const options = { name, role, shape, weightDecay, trainableFrom };
    const parameters = this.engines.map((engine) =>
      engine.createParameter(options),
    ) as unknown as Both<Parameter>;
    const start = Float32Array.from({ length: shape.reduce((product, n) => product * n, 1) }, values);
    this.engines.forEach((engine, i) => engine.write(parameters[i]!, start));
    this.#parameters.set(name, parameters);
    return parameters;
  }

  activation(columns: number, scale = 1): Both<Activation> {
    const activations = this.engines.map((engine) =>
      engine.createActivation(columns),
    ) as unknown as Both<Activation>;
    const start = Float32Array.from(
      { length: this.shape.rows * columns },
      () => scale * this.random.normal(),
    );
    this.engines.forEach((engine, i) => engine.writeActivation(activations[i]!, start));
    return activations;
  }

  /** `build` records for one engine, `side` picks from a pair. */
  record(build: (operations: Operations, pick: <T>(both: Both<T>) => T) => void): Both<Program> {
    return this.engines.map((engine, i) =>
      engine.record((operations) => build(operations, (both) => both[i]!)),
    ) as unknown as Both<Program>;
  }

  /** Runs both and compares the losses. */
  run(programs: Both<Program>, options: RunOptions, bound: number): Losses {
    const [expected, actual] = programs.map((program) => program.run(options)) as [Losses, Losses];
    for (const name of ["reconstruction", "kl", "prototype", "crossEntropy"] as const)
      assert.ok(
        Math.abs(actual[name] - expected[name]) <= bound * Math.max(1e-3, Math.abs(expected[name])),
        `${name}: ${actual[name]}, expected ${expected[name]}`,
      );
    return actual;
  }

  compareActivation(activation: Both<Activation>, what: string, bound: number): void {
    const [expected, actual] = this.engines.map((engine, i) => engine.readActivation(activation[i]!));
    compare(actual!, expected!, what, bound);
  }

  compareReconstruction(bound: number): void {
    const [expected, actual] = this.engines.map((engine) => engine.readReconstruction());
    compare(actual!, expected!, "reconstruction of each cell", bound);
  }

  compareGradients(bound: number): void {
    for (const [name, parameters] of this.#parameters) {
      if (parameters[0].trainableFrom === Infinity) continue;
      const [expected, actual] = this.engines.map((engine, i) => engine.readGradient(parameters[i]!));
      compare(
        trainable(parameters[0], actual!),
        trainable(parameters[0], expected!),
        `gradient of ${name}`,
        bound,
      );
    }
  }

  compareParameters(bound: number): void {
    for (const [name, parameters] of this.#parameters) {
      const [expected, actual] = this.engines.map((engine, i) => engine.read(parameters[i]!));
      compare(actual!, expected!, name, bound);
    }
  }

  async close(): Promise<void> {
    for (const engine of this.engines) await engine.close();
  }
}

export async function createTwin(shape: Shape, wasm: WasmOptions): Promise<Twin> {
  const { genes, rows, conditions = [], levels = 0, prototypes = [1, 1], density = 0.3 } = shape;
  const options: EngineOptions = {
    minibatchSize: rows,
    minibatchCapacity: rows * genes,
    genes,
    conditionKeys: conditions.length,
    levels,
    prototypes,
    levelPrototypes: shape.levelPrototypes,
    distanceReduction: shape.distanceReduction,
    keepGradients: true,
  };
  const twin = new Twin([new ReferenceEngine(options), await createWasmEngine(options, wasm)], shape);
  for (const engine of twin.engines) fill(engine, { ...shape, density });
  return twin;
}

/** A minibatch of small counts, with some large ones and an empty cell; the same for every engine. */
export function fill(
  engine: Engine,
  {
    genes,
    rows,
    conditions = [],
    combinations = 1,
    levels = 0,
    prototypes = [1, 1],
    density = 0.3,
    isSorted = false,
  }: Shape,
): void {
  const { minibatch } = engine;
  const random = new Random(3, "minibatch");
  let stored = 0;
  minibatch.rows = rows;
  for (let b = 0; b < rows; b++) {
    let size = 0;
    for (let g = 0; g < genes && b !== 1; g++) {
      if (random.uniform() >= density) continue;
      const draw = random.uniform();
      minibatch.indices[stored] = g;
      minibatch.counts[stored] =
        draw < 0.6
          ? 1
          : draw < 0.9
            ? 2 + random.below(15)
            : draw < 0.99
              ? 17 + random.below(200)
              : random.below(100000);
      size += minibatch.counts[stored++]!;
    }
    minibatch.indptr[b + 1] = stored;
    minibatch.sizeFactors[b] = size;
    conditions.forEach((count, key) => (minibatch.conditions[key]![b] = random.below(count)));
    minibatch.combinations[b] = isSorted ? Math.floor((b * combinations) / rows) : random.below(combinations);
    for (let level = 0; level < levels; level++)
      minibatch.labels[b * levels + level] = random.below(prototypes[0] + 1) - 1;
  }
}

/** All entries within `bound` of the largest. */
export function compare(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  what: string,
  bound: number,
): void {
  assert.equal(actual.length, expected.length, what);
  let largest = 0;
  for (let i = 0; i < expected.length; i++) largest = Math.max(largest, Math.abs(expected[i]!));
  for (let i = 0; i < expected.length; i++)
    assert.ok(
      Math.abs(actual[i]! - expected[i]!) <= bound * largest,
      `${what}[${i}]: ${actual[i]}, expected ${expected[i]} (largest ${largest})`,
    );
}

/** Of an embedding, one-hot weight or theta: the entries that train. */
function trainable({ role, shape, trainableFrom }: Parameter, values: ArrayLike<number>): number[] {
  const columns = shape[1] ?? 1;
  return Array.from(values).filter(
    (_, i) =>
      (role === "embedding" || role === "one-hot"
        ? Math.floor(i / columns)
        : role === "theta"
          ? i % columns
          : 0) >= trainableFrom,
  );
}
