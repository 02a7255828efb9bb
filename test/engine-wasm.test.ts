// The wasm engine as a whole: training programs against the reference engine, the same bytes for any number
// of threads, freezing, errors.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Engine, EngineOptions } from "../dist/engine/engine.js";
import { createWasmEngine, wasmBuilds, type WasmOptions, type WasmProgram } from "../dist/engine/wasm.js";
import { ReferenceEngine } from "../dist/engine/reference.js";
import { ScPoliError } from "../dist/contract/errors.js";
import type { ModelOptions } from "../dist/contract/options.js";
import { Network, type NetworkOptions } from "../dist/model/network.js";
import { conditionKeyOf } from "../dist/model/parameters.js";
import { Random } from "../dist/numerics/random.js";
import { compare, fill, type Shape } from "./twin.ts";

const model = {
  hiddenLayerSizes: [21, 10],
  latentDim: 5,
  conditionEncoding: "embedding",
  embeddingDims: [3, 6],
  injectCondition: ["encoder", "decoder"],
  reconLoss: "nb",
  dropout: 0.1,
} as const satisfies ModelOptions;
const shape = {
  genes: 219,
  rows: 53,
  conditions: [4, 3],
  combinations: 6,
  levels: 2,
  prototypes: [7, 5],
  density: 0.15,
} as const satisfies Shape;
const engineOptions: EngineOptions = {
  minibatchSize: 60,
  minibatchCapacity: 60 * shape.genes,
  genes: shape.genes,
  conditionKeys: 2,
  levels: 2,
  prototypes: shape.prototypes,
  keepGradients: true,
};

/** The model's variants: each likelihood, both encodings of the conditions. */
const variants: Readonly<Record<string, Partial<ModelOptions>>> = {
  nb: {},
  "zinb, one-hot conditions": { reconLoss: "zinb", conditionEncoding: "one-hot", embeddingDims: [] },
  "poisson, conditions in the encoder": { reconLoss: "poisson", injectCondition: ["encoder"] },
  "mse, one-hot conditions in the decoder": {
    reconLoss: "mse",
    conditionEncoding: "one-hot",
    embeddingDims: [],
    injectCondition: ["decoder"],
  },
};

function network(
  engine: Engine,
  frozen?: NetworkOptions["frozen"],
  variant: Partial<ModelOptions> = {},
): Network {
  const random = new Random(1, "network");
  const made = new Network(
    engine,
    { ...model, ...variant },
    { genes: shape.genes, conditions: shape.conditions, combinations: shape.combinations },
    { weightDecay: 0.04, frozen },
  );
  for (const parameter of made.parameters.values())
    engine.write(
      parameter,
      Float32Array.from(engine.read(parameter), () => 0.25 * random.normal()),
    );
  engine.writePrototypes(Float32Array.from({ length: 35 }, () => random.normal()));
  fill(engine, shape);
  if (variant.reconLoss === "mse")
    engine.minibatch.counts.forEach((count, i) => (engine.minibatch.counts[i] = Math.log1p(count)));
  return made;
}

/** Some training steps, then validation and the latent, everything that comes out. */
function train(engine: Engine, made: Network, steps: number): Map<string, ArrayLike<number>> {
  const training = made.training({ dropout: model.dropout, prototypeNorm: 2 });
  const losses: number[] = [];
  for (let step = 1; step <= steps; step++)
    losses.push(
      ...Object.values(
        training.run({ step, learningRate: 1e-3, klWeight: 0.5, prototypeWeight: 3, seed: step }),
      ),
    );
  const results = new Map<string, ArrayLike<number>>([["losses", losses]]);
  for (const [name, parameter] of made.parameters) {
    results.set(`gradient of ${name}`, engine.readGradient(parameter));
    results.set(name, engine.read(parameter));
    results.set(`second moment of ${name}`, engine.readMoments(parameter).second);
  }
  results.set("validation", Object.values(made.validation(2).run({ seed: 5, prototypeWeight: 1 })));
  results.set("reconstruction", engine.readReconstruction());
  made.encoding().run();
  results.set("latent", engine.readActivation(made.mean));
  return results;
}

async function trained(
  options: WasmOptions,
  variant: Partial<ModelOptions>,
  steps = 4,
): Promise<Map<string, ArrayLike<number>>> {
  const engine = await createWasmEngine(engineOptions, options);
  try {
    return train(engine, network(engine, undefined, variant), steps);
  } finally {
    await engine.close();
  }
}

for (const build of wasmBuilds())
  for (const [name, variant] of Object.entries(variants)) {
    test(`${build}: training and latent within 2e-5 of the reference engine (${name})`, async () => {
      const reference = new ReferenceEngine(engineOptions);
      const expected = train(reference, network(reference, undefined, variant), 4);
      const actual = await trained({ build, threads: 2 }, variant);
      // theta's gradient is sorted by how much the counts differ; ReLU and large counts make the rest a
      // little less exact than single kernels
      for (const [what, values] of expected) compare(actual.get(what)!, values, what, 2e-5);
    });

    test(`${build}: 1, 2, 3 and 4 threads give the same bytes (${name})`, async () => {
      const expected = await trained({ build, threads: 1 }, variant, 3);
      for (const threads of [2, 3, 4]) {
        const actual = await trained({ build, threads }, variant, 3);
        for (const [what, values] of expected)
          assert.deepEqual(actual.get(what), values, `${what} with ${threads} threads`);
      }
    });
  }

test("rows gathered by the engine give the same bytes as rows filled in by the caller", async () => {
  const run = async (keeps: boolean): Promise<Map<string, ArrayLike<number>>> => {
    const engine = await createWasmEngine(engineOptions, { threads: 2 });
    try {
      const made = network(engine);
      const { indptr, indices, counts, sources, rows } = engine.minibatch;
      const stored = indptr[rows]!;
      for (let k = 0; k < stored; k++) counts[k] = Math.min(255, counts[k]!);
      if (keeps) {
        // every other row, in another order
        const kept = Array.from({ length: rows }, (_, b) => rows - 1 - b).filter((b) => b % 2 === 0);
        const starts = new Map<number, number>();
        const entries = kept.flatMap((b, i) => {
          starts.set(
            b,
            kept.slice(0, i).reduce((sum, other) => sum + indptr[other + 1]! - indptr[other]!, 0),
          );
          return Array.from({ length: indptr[b + 1]! - indptr[b]! }, (_, k) => indptr[b]! + k);
        });
        engine.keepCounts(
          Uint16Array.from(entries, (k) => indices[k]!),
          Uint8Array.from(entries, (k) => counts[k]!),
        );
        for (const [b, start] of starts) {
          sources![b] = start;
          indices.fill(0, indptr[b]!, indptr[b + 1]!);
          counts.fill(0, indptr[b]!, indptr[b + 1]!);
        }
      }
      return train(engine, made, 2);
    } finally {
      await engine.close();
    }
  };
  assert.deepEqual(await run(true), await run(false));
});

for (const [variantName, variant] of Object.entries(variants))
  test(`mapping keeps reference parameters; new ones within 2e-5 (${variantName})`, async () => {
    const frozen = { conditions: [2, 1], combinations: 3 };
    const reference = new ReferenceEngine(engineOptions);
    const expected = train(reference, network(reference, frozen, variant), 3);
    const engine = await createWasmEngine(engineOptions, { threads: 2 });
    const made = network(engine, frozen, variant);
    const before = new Map([...made.parameters].map(([name, parameter]) => [name, engine.read(parameter)]));
    const actual = train(engine, made, 3);
    for (const [
      name,
      {
        role,
        shape: [, columns = 1],
      },
    ] of made.parameters) {
      compare(actual.get(name)!, expected.get(name)!, name, 2e-5);
      const key = conditionKeyOf(name);
      const first = key !== null ? frozen.conditions[key]! : frozen.combinations;
      const conditionOf = (i: number): number =>
        key !== null ? Math.floor(i / columns) : role === "theta" ? i % columns : -1;
      const [old, values] = [before.get(name)!, actual.get(name)!];
      for (let i = 0; i < old.length; i++)
        if (conditionOf(i) < first) assert.equal(values[i], old[i], `${name}[${i}]`);
      if (key !== null || role === "theta")
        assert.ok(
          Array.from(old).some((value, i) => value !== values[i]),
          `${name} has trained`,
        );
    }
    await engine.close();
  });

test("reusing an activation whose gradient is still needed matches the reference engine", async () => {
  const gradients = await Promise.all(
    [new ReferenceEngine(engineOptions), await createWasmEngine(engineOptions, { threads: 2 })].map(
      async (engine) => {
        fill(engine, shape);
        const random = new Random(2, "reuse");
        const [first, second] = ["first", "second"].map((name) =>
          engine.createParameter({ name, role: "linear", shape: [6, 6], weightDecay: 0, trainableFrom: 0 }),
        );
        for (const parameter of [first!, second!])
          engine.write(
            parameter,
            Float32Array.from({ length: 36 }, () => random.normal()),
          );
        const [x, d, dx] = [
          engine.createActivation(6),
          engine.createActivation(6),
          engine.createActivation(6),
        ];
        for (const activation of [x, d])
          engine.writeActivation(
            activation,
            Float32Array.from({ length: 6 * shape.rows }, () => random.normal()),
          );
        const program = engine.record((operations) => {
          operations.linearBackward(d, x, first!, null, false, dx);
          operations.linear(dx, second!, null, false, d);
          operations.linearBackward(d, x, second!, null, false, null);
          operations.update();
        });
        program.run({ learningRate: 0.1 });
        const values = [first!, second!].map((parameter) => engine.readGradient(parameter));
        await engine.close();
        return values;
      },
    ),
  );
  gradients[0]!.forEach((expected, i) => compare(gradients[1]![i]!, expected, `gradient ${i}`, 1e-5));
});

test("minibatches of changing size, down to one cell, do not disturb each other", async () => {
  const engines = [new ReferenceEngine(engineOptions), await createWasmEngine(engineOptions, { threads: 2 })];
  const results = engines.map((engine) => {
    const made = network(engine);
    const training = made.training({ dropout: 0, prototypeNorm: 2 });
    return [53, 1, 18, 2, 53].map((rows, step) => {
      fill(engine, { ...shape, rows });
      return training.run({ step: step + 1, learningRate: 1e-3, klWeight: 1, prototypeWeight: 1, seed: step })
        .reconstruction;
    });
  });
  compare(results[1]!, results[0]!, "losses", 2e-5);
  await Promise.all(engines.map((engine) => engine.close()));
});

const isError =
  (kind: string, text: RegExp) =>
  (error: unknown): boolean =>
    error instanceof ScPoliError && error.kind === kind && text.test(error.message);

test("bad options and bad minibatches are refused in words", async () => {
  await assert.rejects(createWasmEngine(engineOptions, { threads: 0 }), isError("usage", /threads is 0/));
  if (!wasmBuilds().includes("relaxed"))
    await assert.rejects(
      createWasmEngine(engineOptions, { build: "relaxed" }),
      isError("usage", /relaxed build/),
    );
  const engine = await createWasmEngine(engineOptions, { threads: 1 });
  const program = network(engine).validation(2);
  const { minibatch } = engine;
  const refuses = (spoil: () => void, text: RegExp): void => {
    fill(engine, shape);
    spoil();
    assert.throws(() => program.run({ prototypeWeight: 1 }), isError("usage", text));
  };
  refuses(() => (minibatch.rows = 0), /0 cells/);
  refuses(() => (minibatch.rows = 61), /61 cells/);
  refuses(() => (minibatch.indices[minibatch.indptr[1]! - 1] = shape.genes), /genes .* to 219 in row 0/);
  refuses(() => (minibatch.conditions[1]![4] = 3), /condition \(key 1\) 3/);
  refuses(() => (minibatch.combinations[0] = -1), /combination -1/);
  refuses(() => (minibatch.labels[3] = 7), /label 7/);
  await engine.close();
  assert.throws(() => program.run(), isError("usage", /closed/));
});

test("too little memory is an error of kind memory", async () => {
  const engine = await createWasmEngine(engineOptions, { threads: 1 });
  assert.throws(
    () =>
      engine.createParameter({
        name: "huge",
        role: "output",
        shape: [40000, 40000],
        weightDecay: 0,
        trainableFrom: 0,
      }),
    isError("memory", /GiB/),
  );
  await engine.close();
});

test("a thread that fails is an error, not a wait for ever", async () => {
  const engine = await createWasmEngine(engineOptions, { threads: 2 });
  const made = network(engine);
  const program = made.encoding() as WasmProgram;
  program.run();
  // an operation that no kernel knows
  const { pointer } = program.plan.operations[0]!;
  engine.memory.integers(pointer, 1)[0] = 999;
  assert.throws(() => program.run(), isError("memory", /failed/));
  await engine.close();
});

test("with more combinations than cells in a minibatch, only used columns of theta train", async () => {
  const many = { ...shape, combinations: 90 };
  const run = (
    engine: Engine,
    trainableFrom: number,
  ): {
    before: ArrayLike<number>;
    after: ArrayLike<number>;
    second: ArrayLike<number>;
    used: ReadonlySet<number>;
  } => {
    const random = new Random(4, "theta");
    const h = engine.createActivation(10);
    const dh = engine.createActivation(10);
    const parameter = (name: string, role: "output" | "bias" | "theta", ...sizes: number[]) =>
      engine.createParameter({
        name,
        role,
        shape: sizes,
        weightDecay: 0.04,
        trainableFrom: role === "theta" ? trainableFrom : 0,
      });
    const [weight, bias, theta] = [
      parameter("weight", "output", shape.genes, 10),
      parameter("bias", "bias", shape.genes),
      parameter("theta", "theta", shape.genes, 90),
    ];
    for (const one of [weight, bias, theta])
      engine.write(
        one,
        Float32Array.from(engine.read(one), () => 0.25 * random.normal()),
      );
    fill(engine, many);
    engine.writeActivation(
      h,
      Float32Array.from({ length: 10 * shape.rows }, () => random.normal()),
    );
    const before = Float32Array.from(engine.read(theta));
    const program = engine.record((ops) => {
      ops.negativeBinomial(h, weight, bias, theta, true, null);
      ops.negativeBinomialBackward(h, weight, bias, theta, dh);
      ops.update();
    });
    const used = new Set<number>();
    for (let step = 1; step <= 3; step++) {
      const { combinations, rows } = engine.minibatch;
      for (let b = 0; b < rows; b++) used.add((combinations[b] = (combinations[b]! + 2 * step) % 90));
      program.run({ step, learningRate: 1e-2 });
    }
    return { before, after: engine.read(theta), second: engine.readMoments(theta).second, used };
  };
  for (const trainableFrom of [0, 5]) {
    const expected = run(new ReferenceEngine(engineOptions), trainableFrom);
    const results: ArrayLike<number>[] = [];
    for (const threads of [1, 3]) {
      const engine = await createWasmEngine(engineOptions, { threads });
      const { before, after, second, used } = run(engine, trainableFrom);
      await engine.close();
      compare(after, expected.after, "theta", 2e-5);
      compare(second, expected.second, "second moment of theta", 2e-5);
      const moves = (column: number): boolean => used.has(column) && column >= trainableFrom;
      assert.ok(used.size < 90, "not all columns are used");
      for (let i = 0; i < after.length; i++)
        assert.equal(after[i] !== before[i] || second[i] !== 0, moves(i % 90), `theta[${i}]`);
      results.push(after);
    }
    assert.deepEqual(results[1], results[0]);
  }
});
