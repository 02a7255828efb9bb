// Every gradient of the reference engine against central finite differences of the total loss, with dropout,
// two conditions, two annotation levels.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Losses } from "../dist/engine/engine.js";
import { ReferenceEngine } from "../dist/engine/reference.js";
import type { ModelOptions } from "../dist/contract/options.js";
import { Network } from "../dist/model/network.js";
import { Random } from "../dist/numerics/random.js";

const sizes = { genes: 13, conditions: [3, 2], combinations: 4 };
const options = {
  hiddenLayerSizes: [7, 5],
  latentDim: 3,
  conditionEncoding: "embedding" as const,
  embeddingDims: [2, 3],
  injectCondition: ["encoder", "decoder"] as const,
  reconLoss: "nb" as const,
  dropout: 0.2,
};
const [B, alpha, step] = [9, 0.6, 1e-5];
/** weights of the distance and of the cross-entropy, and what the distance is averaged over */
const etas = {
  distance: [2, 0, "type-sum"],
  "cross-entropy": [0, 3, "type-sum"],
  both: [2, 3, "type-sum"],
  "both, cell-mean": [2, 3, "cell-mean"],
} as const;

/** Random counts (or log counts), conditions and labels, some of them missing. */
function fillMinibatch({ minibatch }: ReferenceEngine, random: Random, isLog: boolean): void {
  minibatch.rows = B;
  let stored = 0;
  for (let b = 0; b < B; b++) {
    for (let g = 0; g < sizes.genes; g++)
      if (random.uniform() < 0.4) {
        minibatch.indices[stored] = g;
        const count = 1 + random.below(b === 0 ? 3000 : 6);
        minibatch.counts[stored] = isLog ? Math.log1p(count) : count;
        minibatch.sizeFactors[b]! += minibatch.counts[stored++]!;
      }
    minibatch.indptr[b + 1] = stored;
    minibatch.conditions[0]![b] = random.below(3);
    minibatch.conditions[1]![b] = random.below(2);
    minibatch.combinations[b] = random.below(4);
    minibatch.labels[2 * b] = random.below(3) - 1; // -1: unlabelled
    minibatch.labels[2 * b + 1] = random.below(2) + 2;
  }
}

function setUp(prototypeNorm: number, variant: Partial<ModelOptions>, loss: keyof typeof etas) {
  const [eta, etaCrossEntropy, distanceReduction] = etas[loss];
  const engine = new ReferenceEngine({
    minibatchSize: B,
    minibatchCapacity: B * sizes.genes,
    genes: sizes.genes,
    conditionKeys: 2,
    levels: 2,
    prototypes: [4, 3],
    distanceReduction,
    levelPrototypes: [
      { rows: [0, 1], weights: [1, 2.5] },
      { rows: [1, 2, 3], weights: [1, 0.7, 4] },
    ],
    keepGradients: true,
  });
  const network = new Network(engine, { ...options, ...variant }, sizes, { weightDecay: 0 });
  const program = network.training({ dropout: options.dropout, prototypeNorm });
  const random = new Random(7, "gradients");
  for (const parameter of network.parameters.values())
    // rows of embeddings stay within the unit sphere: no gradient passes through their renormalisation
    engine.write(
      parameter,
      Float64Array.from(
        engine.read(parameter),
        () => 0.4 * random.normal() * (parameter.role === "embedding" ? 0.5 : 1),
      ),
    );
  engine.writePrototypes(Float64Array.from({ length: 12 }, () => random.normal()));
  fillMinibatch(engine, random, variant.reconLoss === "mse");
  const total = ({ reconstruction, kl, prototype, crossEntropy }: Losses): number =>
    reconstruction + alpha * kl + eta * prototype + etaCrossEntropy * crossEntropy;
  const run = (): number =>
    total(
      program.run({
        step: 1,
        learningRate: 0,
        klWeight: alpha,
        prototypeWeight: eta,
        crossEntropyWeight: etaCrossEntropy,
        seed: 11,
      }),
    );
  return { engine, network, run };
}

const variants: readonly [string, number, Partial<ModelOptions>, (keyof typeof etas)?][] = [
  ["nb", 2, {}],
  ["nb, Minkowski 1.5", 1.5, {}],
  ["nb, cross-entropy over prototypes", 2, {}, "cross-entropy"],
  ["nb, distance and cross-entropy, Minkowski 1.5", 1.5, {}, "both"],
  ["nb, mean distance of cells and cross-entropy, Minkowski 1.5", 1.5, {}, "both, cell-mean"],
  ["nb, one-hot conditions", 2, { conditionEncoding: "one-hot", embeddingDims: [] }],
  ["zinb", 2, { reconLoss: "zinb" }],
  ["poisson", 2, { reconLoss: "poisson" }],
  ["poisson without size factor", 2, { reconLoss: "reference-poisson" }],
  [
    "mse, one-hot conditions in the decoder",
    2,
    { reconLoss: "mse", conditionEncoding: "one-hot", embeddingDims: [], injectCondition: ["decoder"] },
  ],
];
for (const [name, p, variant, loss = "distance"] of variants)
  test(`reference: every gradient is within 1e-6 of finite differences (${name})`, () => {
    const { engine, network, run } = setUp(p, variant, loss);
    run();
    const gradients = new Map(
      [...network.parameters].map(([name, parameter]) => [name, engine.readGradient(parameter)]),
    );
    for (const [name, parameter] of network.parameters) {
      const gradient = gradients.get(name)!;
      const largest = Math.max(...Array.from(gradient, Math.abs));
      assert.ok(largest > 0, `${name} has a gradient`);
      const values = engine.read(parameter);
      for (let i = 0; i < values.length; i++) {
        const at = values[i]!;
        const losses = [at + step, at - step].map((value) => {
          values[i] = value;
          engine.write(parameter, values);
          return run();
        });
        values[i] = at;
        engine.write(parameter, values);
        const numeric = (losses[0]! - losses[1]!) / (2 * step);
        assert.ok(
          Math.abs(numeric - gradient[i]!) <= 1e-6 * Math.max(1, largest),
          `${name}[${i}]: ${gradient[i]} against ${numeric}`,
        );
      }
    }
  });
