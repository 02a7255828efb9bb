// Every kernel of the wasm engine, in each build that runs here, against the reference engine, at sizes that
// are no multiple of the width of vectors or blocks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { distanceReductions } from "../dist/contract/options.js";
import type { Activation, EngineOptions, Operations, OutputLayer } from "../dist/engine/engine.js";
import { createWasmEngine, wasmBuilds, type Kernels } from "../dist/engine/wasm.js";
import { compare, createTwin } from "./twin.ts";

const bound = 1e-5;
const run = { step: 3, learningRate: 0.01, klWeight: 0.7, prototypeWeight: 2, seed: 99 };
const widths = [1, 2, 3, 4, 5, 7, 8, 9, 17, 30];
const tiny: EngineOptions = {
  minibatchSize: 1,
  minibatchCapacity: 1,
  genes: 1,
  conditionKeys: 0,
  levels: 0,
  prototypes: [1, 1],
};

for (const build of wasmBuilds()) {
  const functions: [keyof Kernels, (x: number) => number, readonly number[], number][] = [
    ["expAt", Math.exp, [-87, -50, -10.1, -1, -0.3, -1e-4, 0, 1e-6, 0.34, 0.35, 1, 5.5, 40, 88], 1e-5],
    ["expAt", Math.exp, [-1, -0.3, 0, 0.1, 0.35, 0.9], 3e-7],
    [
      "logAt",
      Math.log,
      [1e-37, 1e-8, 0.1, 0.7, 0.8, 0.99999, 1.000001, 1.3, 1.41, 1.42, 2, 10, 1e5, 3e37],
      4e-7,
    ],
    ["log1pAt", Math.log1p, [-0.06, -1e-3, 1e-12, 1e-7, 1e-3, 0.2, 0.41, 0.42, 1, 12, 3e4, 1e12], 4e-7],
  ];
  for (const [name, exact, points, error] of functions)
    test(`${build}: ${name} has a relative error below ${error}`, async () => {
      const { kernels } = await createWasmEngine(tiny, { build, threads: 1 });
      for (const point of points) {
        const x = Math.fround(point);
        const [actual, expected] = [(kernels[name] as (x: number) => number)(x), exact(x)];
        assert.ok(
          Math.abs(actual - expected) <= error * Math.abs(expected),
          `${x}: ${actual}, expected ${expected}`,
        );
      }
    });
  test(`${build}: cosTurnsAt has an absolute error below 3e-7`, async () => {
    const { kernels } = await createWasmEngine(tiny, { build, threads: 1 });
    for (let u = 0; u < 1; u += 1 / 64)
      assert.ok(Math.abs(kernels.cosTurnsAt(u) - Math.cos(2 * Math.PI * u)) < 3e-7, String(u));
  });

  test(`${build}: embeddings looked up, renormalised and updated within ${bound}`, async () => {
    for (const E of widths) {
      const twin = await createTwin({ genes: 5, rows: 11, conditions: [4, 3] }, { build, threads: 1 });
      const first = twin.parameter("embedding", [4, E], {
        name: "first",
        values: () => twin.random.normal(),
        weightDecay: 0,
      });
      const second = twin.parameter("embedding", [3, 2], {
        name: "second",
        values: () => 0.6 * twin.random.normal(),
        trainableFrom: 1,
      });
      const [out, dout] = [twin.activation(E + 2), twin.activation(E + 2)];
      const programs = twin.record((operations, pick) => {
        const tables = [pick(first), pick(second)];
        operations.lookUp(tables, pick(out));
        operations.lookUpBackward(pick(dout), tables);
        operations.update();
      });
      twin.run(programs, run, bound);
      twin.compareActivation(out, "out", bound);
      twin.compareGradients(bound);
      twin.compareParameters(bound);
      await twin.close();
    }
  });

  test(`${build}: sparse linear forward, gradient and update within ${bound}`, async () => {
    for (const [i, H] of [...widths, 48].entries())
      for (const transform of ["values", "log1p", "log-normalized"] as const) {
        const twin = await createTwin({ genes: 61 + 9 * i, rows: 5 + i }, { build, threads: 1 });
        const weight = twin.parameter("sparse", [H, 61 + 9 * i]);
        const bias = twin.parameter("bias", [H]);
        const [out, dout] = [twin.activation(H), twin.activation(H)];
        const programs = twin.record((operations, pick) => {
          operations.sparseLinear(pick(weight), pick(bias), transform, pick(out));
          operations.sparseLinearBackward(pick(dout), pick(weight), pick(bias), transform);
          operations.update();
        });
        twin.run(programs, run, bound);
        twin.compareActivation(out, "out", bound);
        twin.compareGradients(bound);
        twin.compareParameters(bound);
        await twin.close();
      }
  });

  test(`${build}: linear forward, gradients and update within ${bound}`, async () => {
    for (const [i, N] of widths.entries()) {
      const K = widths[widths.length - 1 - i]!;
      for (const [adds, hasBias] of [
        [false, true],
        [true, false],
        [true, true],
      ] as const) {
        const twin = await createTwin({ genes: 3, rows: 3 + 4 * i + Number(adds) }, { build, threads: 1 });
        const weight = twin.parameter("linear", [N, K]);
        const bias = twin.parameter("bias", [N]);
        const [x, out, dout, dx] = [K, N, N, K].map((columns) => twin.activation(columns)) as [
          ReturnType<typeof twin.activation>,
          ReturnType<typeof twin.activation>,
          ReturnType<typeof twin.activation>,
          ReturnType<typeof twin.activation>,
        ];
        const programs = twin.record((operations, pick) => {
          operations.linear(pick(x), pick(weight), hasBias ? pick(bias) : null, adds, pick(out));
          operations.linearBackward(
            pick(dout),
            pick(x),
            pick(weight),
            hasBias ? pick(bias) : null,
            adds,
            pick(dx),
          );
          operations.update();
        });
        twin.run(programs, run, bound);
        twin.compareActivation(out, "out", bound);
        twin.compareActivation(dx, "dx", bound);
        twin.compareGradients(bound);
        twin.compareParameters(bound);
        await twin.close();
      }
    }
  });

  test(`${build}: layer norm, ReLU and dropout, forward and backward within ${bound}`, async () => {
    for (const H of widths.slice(1))
      for (const dropout of [0, 0.25]) {
        const twin = await createTwin({ genes: 3, rows: 19 }, { build, threads: 1 });
        const [x, out, d] = [twin.activation(H, 3), twin.activation(H), twin.activation(H)];
        const programs = twin.record((operations, pick) => {
          operations.normalize(pick(x), dropout, 2, pick(out));
          operations.normalizeBackward(pick(d), pick(x), dropout, 2, pick(d));
        });
        twin.run(programs, run, bound);
        twin.compareActivation(out, "out", bound);
        // of two units dx is 0 but for the eps: nothing to compare in float32
        if (H > 2) twin.compareActivation(d, "dx", bound);
        await twin.close();
      }
  });

  test(`${build}: noise, latent, divergence and their gradients within ${bound}`, async () => {
    for (const D of widths) {
      const twin = await createTwin({ genes: 3, rows: 21 }, { build, threads: 1 });
      const [mean, logVar, noise, z, dz, dmean, dlogVar] = Array.from({ length: 7 }, () =>
        twin.activation(D),
      );
      const programs = twin.record((operations, pick) => {
        operations.sampleNoise(pick(noise!));
        operations.reparameterize(pick(mean!), pick(logVar!), pick(noise!), pick(z!));
        operations.reparameterizeBackward(
          pick(dz!),
          pick(mean!),
          pick(logVar!),
          pick(noise!),
          pick(dmean!),
          pick(dlogVar!),
        );
      });
      twin.run(programs, run, bound);
      for (const [name, activation] of Object.entries({ noise, z, dmean, dlogVar }))
        twin.compareActivation(activation!, name, bound);
      await twin.close();
    }
  });

  test(`${build}: prototype loss and gradient within ${bound}, for any norm`, async () => {
    const levelPrototypes = [{ rows: [0, 1, 2, 3, 4], weights: [1, 3, 2, 5, 4] }, { rows: [1, 2, 3] }];
    const cases = distanceReductions.flatMap((distanceReduction) =>
      [1, 1.5, 2, 3].flatMap((p) => [1, 3, 4, 10].map((D) => ({ distanceReduction, p, D }))),
    );
    for (const { distanceReduction, p, D } of cases) {
      const twin = await createTwin(
        { genes: 3, rows: 23, levels: 2, prototypes: [5, D], levelPrototypes, distanceReduction },
        { build, threads: 1 },
      );
      const prototypes = Float32Array.from({ length: 5 * D }, () => twin.random.normal());
      for (const engine of twin.engines) engine.writePrototypes(prototypes);
      const [z, dz] = [twin.activation(D), twin.activation(D)];
      // a cell on its prototype has distance 0 and no gradient
      const values = Float32Array.from(twin.engines[0].readActivation(z[0]));
      const label = twin.engines[0].minibatch.labels[0]!;
      if (label >= 0) values.set(prototypes.subarray(label * D, (label + 1) * D));
      twin.engines.forEach((engine, i) => engine.writeActivation(z[i]!, values));
      const programs = twin.record((operations, pick) => {
        operations.prototypeLoss(pick(z), p);
        operations.prototypeLossBackward(pick(z), p, pick(dz));
      });
      assert.ok(twin.run(programs, run, bound).prototype > 0);
      twin.compareActivation(dz, "dz", bound);
      assert.equal(twin.run(programs, { ...run, prototypeWeight: 0 }, bound).prototype, 0);
      await twin.close();
    }
  });

  test(`${build}: cross-entropy over prototypes and gradient within ${bound}`, async () => {
    for (const K of [1, 2, 3, 4, 5, 8, 61])
      for (const [D, scale] of [
        [1, 1],
        [4, 1],
        [10, 0.3],
        [10, 6],
        [17, 1],
      ] as const) {
        // the same types at the second level, and all but the first at the third; none at the fourth
        const rows = Array.from({ length: K }, (_, k) => k);
        const twin = await createTwin(
          {
            genes: 3,
            rows: 23,
            levels: 4,
            prototypes: [K, D],
            levelPrototypes: [{ rows }, { rows, weights: rows.map((k) => 1 + k) }, { rows: rows.slice(1) }],
          },
          { build, threads: 1 },
        );
        const prototypes = Float32Array.from({ length: K * D }, () => scale * twin.random.normal());
        for (const engine of twin.engines) engine.writePrototypes(prototypes);
        const [z, dz] = [twin.activation(D, scale), twin.activation(D)];
        const programs = twin.record((operations, pick) => {
          operations.prototypeCrossEntropy(pick(z));
          operations.prototypeCrossEntropyBackward(pick(z), pick(dz));
        });
        const withoutPrototypes = { ...run, prototypeWeight: 0 };
        const { crossEntropy } = twin.run(programs, { ...withoutPrototypes, crossEntropyWeight: 3 }, bound);
        assert.equal(crossEntropy > 0, K > 1);
        twin.compareActivation(dz, "dz", bound);
        assert.equal(twin.run(programs, withoutPrototypes, bound).crossEntropy, 0);
        await twin.close();
      }
  });

  // theta's spread and the logits' make mu and theta from 1e-6 to 1e5
  for (const [name, thetaScale, logitScale] of [
    ["usual theta", 1, 0.5],
    ["tiny and huge theta and mu", 5, 3],
  ] as const)
    test(`${build}: NB, gradients and update within ${bound}: ${name}, counts to 1e5`, async () => {
      for (const [genes, H, rows, combinations, isSorted] of [
        [1, 3, 5, 1, true],
        [29, 4, 13, 3, false],
        [131, 9, 33, 4, true],
        [66, 5, 16, 1, true],
      ] as const) {
        const twin = await createTwin({ genes, rows, combinations, isSorted }, { build, threads: 1 });
        const weight = twin.parameter("output", [genes, H], {
          values: () => logitScale * twin.random.normal(),
        });
        const bias = twin.parameter("bias", [genes]);
        const theta = twin.parameter("theta", [genes, combinations + 1], {
          values: () => thetaScale * twin.random.normal(),
          trainableFrom: combinations > 3 ? 1 : 0,
        });
        const [h, dh, probabilities] = [twin.activation(H), twin.activation(H), twin.activation(genes)];
        const programs = twin.record((operations, pick) => {
          operations.negativeBinomial(
            pick(h),
            pick(weight),
            pick(bias),
            pick(theta),
            true,
            pick(probabilities),
          );
          operations.negativeBinomialBackward(pick(h), pick(weight), pick(bias), pick(theta), pick(dh));
          operations.update();
        });
        const forward = twin.record((operations, pick) =>
          operations.negativeBinomial(pick(h), pick(weight), pick(bias), pick(theta), false, null),
        );
        twin.run(forward, run, bound);
        twin.compareReconstruction(bound);
        twin.run(programs, run, bound);
        twin.compareActivation(probabilities, "probabilities", bound);
        if (genes > 1) twin.compareActivation(dh, "dh", bound);
        if (genes > 1) twin.compareGradients(bound);
        twin.compareParameters(bound);
        await twin.close();
      }
    });

  for (const [name, dropoutScale] of [
    ["usual dropout", 0.5],
    ["dropout logits to 60", 20],
  ] as const)
    test(`${build}: ZINB, gradients and update within ${bound}: ${name}, counts to 1e5`, async () => {
      for (const [genes, H, rows, combinations, isSorted] of [
        [29, 4, 13, 3, false],
        [131, 9, 33, 4, true],
        [66, 5, 16, 1, true],
        [700, 6, 9, 2, true],
      ] as const) {
        const twin = await createTwin({ genes, rows, combinations, isSorted }, { build, threads: 1 });
        const layer = (of: string, scale: number) => ({
          weight: twin.parameter("output", [genes, H], {
            name: `${of} weight`,
            values: () => scale * twin.random.normal(),
          }),
          bias: twin.parameter("bias", [genes], { name: `${of} bias` }),
        });
        const [mean, dropout] = [layer("mean", 0.5), layer("dropout", dropoutScale)];
        const theta = twin.parameter("theta", [genes, combinations + 1], {
          values: () => twin.random.normal(),
          trainableFrom: combinations > 3 ? 1 : 0,
        });
        const [h, dh, probabilities] = [twin.activation(H), twin.activation(H), twin.activation(genes)];
        const programs = twin.record((operations, pick) => {
          const layers = [mean, dropout].map(({ weight, bias }) => ({
            weight: pick(weight),
            bias: pick(bias),
          })) as [OutputLayer, OutputLayer];
          operations.zeroInflated(pick(h), ...layers, pick(theta), true, pick(probabilities));
          operations.zeroInflatedBackward(pick(h), ...layers, pick(theta), pick(dh));
          operations.update();
        });
        const forward = twin.record((operations, pick) => {
          const layers = [mean, dropout].map(({ weight, bias }) => ({
            weight: pick(weight),
            bias: pick(bias),
          })) as [OutputLayer, OutputLayer];
          operations.zeroInflated(pick(h), ...layers, pick(theta), false, null);
        });
        twin.run(forward, run, bound);
        twin.compareReconstruction(bound);
        twin.run(programs, run, bound);
        twin.compareActivation(probabilities, "probabilities", bound);
        twin.compareActivation(dh, "dh", bound);
        twin.compareGradients(bound);
        twin.compareParameters(bound);
        await twin.close();
      }
    });

  for (const [name, record] of [
    [
      "poisson",
      (operations, h, layer, dh, out) => {
        operations.poisson(h, layer, true, dh !== null, out);
        if (dh) operations.poissonBackward(h, layer, dh);
      },
    ],
    [
      "poisson without size factor",
      (operations, h, layer, dh, out) => {
        operations.poisson(h, layer, false, dh !== null, out);
        if (dh) operations.poissonBackward(h, layer, dh);
      },
    ],
    [
      "squared error",
      (operations, h, layer, dh, out) => {
        operations.squaredError(h, layer, dh !== null, out);
        if (dh) operations.squaredErrorBackward(h, layer, dh);
      },
    ],
  ] as readonly (readonly [
    string,
    (
      operations: Operations,
      h: Activation,
      layer: OutputLayer,
      dh: Activation | null,
      out: Activation | null,
    ) => void,
  ])[])
    test(`${build}: ${name}, its gradients and update within ${bound}, counts to 1e5`, async () => {
      for (const [genes, H, rows, isFrozen] of [
        [1, 3, 5, false],
        [29, 4, 13, false],
        [131, 9, 33, false],
        [700, 5, 16, true],
      ] as const) {
        const twin = await createTwin({ genes, rows }, { build, threads: 1 });
        const trainableFrom = isFrozen ? Infinity : 0;
        const weight = twin.parameter("output", [genes, H], {
          values: () => twin.random.normal(),
          trainableFrom,
        });
        const bias = twin.parameter("bias", [genes], { trainableFrom });
        const [h, dh, out] = [twin.activation(H), twin.activation(H), twin.activation(genes)];
        const programs = twin.record((operations, pick) => {
          record(operations, pick(h), { weight: pick(weight), bias: pick(bias) }, pick(dh), pick(out));
          operations.update();
        });
        const forward = twin.record((operations, pick) =>
          record(operations, pick(h), { weight: pick(weight), bias: pick(bias) }, null, null),
        );
        twin.run(forward, run, bound);
        twin.compareReconstruction(bound);
        twin.run(programs, run, bound);
        twin.compareActivation(out, "out", bound);
        if (genes > 1 || name === "squared error") twin.compareActivation(dh, "dh", bound);
        if (genes > 1 || name === "squared error") twin.compareGradients(bound);
        twin.compareParameters(bound);
        await twin.close();
      }
    });

  test(`${build}: rows of one-hot weights added, and updated within ${bound}`, async () => {
    for (const H of widths) {
      const twin = await createTwin({ genes: 5, rows: 11, conditions: [4, 3] }, { build, threads: 1 });
      const first = twin.parameter("one-hot", [4, H], { name: "first", values: () => twin.random.normal() });
      const second = twin.parameter("one-hot", [3, H], {
        name: "second",
        values: () => 3 * twin.random.normal(),
        trainableFrom: 1,
      });
      const [out, dout] = [twin.activation(H), twin.activation(H)];
      const programs = twin.record((operations, pick) => {
        const tables = [pick(first), pick(second)];
        operations.addRows(tables, pick(out));
        operations.addRowsBackward(pick(dout), tables);
        operations.update();
      });
      twin.run(programs, run, bound);
      twin.compareActivation(out, "out", bound);
      twin.compareGradients(bound);
      twin.compareParameters(bound);
      await twin.close();
    }
  });

  test(`${build}: frozen weights stay as they are, and dh is the same without their gradients`, async () => {
    const twin = await createTwin({ genes: 45, rows: 18, combinations: 3 }, { build, threads: 1 });
    const weight = twin.parameter("output", [45, 6], { trainableFrom: Infinity });
    const bias = twin.parameter("bias", [45], { trainableFrom: Infinity });
    const theta = twin.parameter("theta", [45, 3], { trainableFrom: 2 });
    const [h, dh] = [twin.activation(6), twin.activation(6)];
    const before = [weight, bias].map((both) => twin.engines[1].read(both[1]));
    const programs = twin.record((operations, pick) => {
      operations.negativeBinomial(pick(h), pick(weight), pick(bias), pick(theta), true, null);
      operations.negativeBinomialBackward(pick(h), pick(weight), pick(bias), pick(theta), pick(dh));
      operations.update();
    });
    twin.run(programs, run, bound);
    twin.compareActivation(dh, "dh", bound);
    compare(twin.engines[1].read(theta[1]), twin.engines[0].read(theta[0]), "theta", bound);
    [weight, bias].forEach((both, i) => assert.deepEqual(twin.engines[1].read(both[1]), before[i]));
    await twin.close();
  });
}
