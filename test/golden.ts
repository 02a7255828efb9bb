// Compares an engine with the numbers of the published code: forward pass, losses and parameters of ten
// optimiser steps, every gradient.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { DistanceReduction } from "../dist/contract/options.js";
import type { Engine, EngineOptions, Losses } from "../dist/engine/engine.js";
import { Network } from "../dist/model/network.js";
import { PrototypeSums, unlabeledPrototypeLoss } from "../dist/prototypes/prototypes.js";
import { readSafetensors } from "../dist/storage/safetensors.js";

export type EngineFactory = (options: EngineOptions) => Promise<Engine>;

/** Largest deviation of one tensor, as a share of the largest golden entry. */
export interface Deviation {
  readonly tensor: string;
  readonly deviation: number;
}

interface Case {
  readonly loss: "nb" | "zinb" | "poisson" | "mse";
  readonly G: number;
  readonly H: readonly number[];
  readonly D: number;
  readonly conds: readonly number[];
  readonly dims: readonly number[];
  readonly B: number;
  readonly inject?: readonly ("encoder" | "decoder")[];
  readonly combinations: readonly (readonly number[])[];
  readonly alpha: number;
  readonly eta: number;
  readonly lr: number;
  readonly weight_decay: number;
  readonly steps: readonly Record<"recon" | "kl" | "prototype" | "total", number>[];
}

/** Names of the cases in a folder. */
export function goldenCases(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".safetensors"))
    .map((file) => file.slice(0, -".safetensors".length))
    .sort();
}

export function deviation(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let largest = 1e-30;
  let difference = 0;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]!));
    const d = Math.abs(actual[i]! - expected[i]!);
    difference = Number.isNaN(d) ? Infinity : Math.max(difference, d);
  }
  return difference / largest;
}

export async function checkCase(folder: string, name: string, create: EngineFactory): Promise<Deviation[]> {
  const golden: Case = JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
  const file = readSafetensors(readFileSync(join(folder, `${name}.safetensors`)), `${name}.safetensors`);
  const tensor = (key: string): ArrayLike<number> => file.get(key)!.data;
  const { G, D, B } = golden;
  const engine = await create({
    minibatchSize: B,
    minibatchCapacity: B * G,
    genes: G,
    conditionKeys: golden.conds.length,
    levels: 1,
    prototypes: [3, D],
    keepGradients: true,
  });
  try {
    const network = goldenNetwork(engine, golden);
    const decoded = {
      mean: engine.createActivation(G),
      dropout: golden.loss === "zinb" ? engine.createActivation(G) : undefined,
    };
    const program = network.training({ dropout: 0, prototypeNorm: 2, sampleNoise: false }, decoded);
    network.write(new Map([...network.parameters.keys()].map((key) => [key, tensor(`init.${key}`)])));
    engine.writePrototypes(tensor("prototypes"));
    fill(engine, golden, tensor);

    const deviations: Deviation[] = [];
    const compare = (key: string, actual: ArrayLike<number>): void =>
      void deviations.push({ tensor: key, deviation: deviation(actual, tensor(key)) });
    const noise = Array.from(tensor("noise"));
    golden.steps.forEach((expected, s) => {
      engine.writeActivation(network.noise, noise.slice(s * B * D, (s + 1) * B * D));
      const losses = program.run({
        step: s + 1,
        learningRate: golden.lr,
        klWeight: golden.alpha,
        prototypeWeight: golden.eta,
      });
      deviations.push(...lossDeviations(s, losses, expected));
      if (s > 0) return;
      compare("z", engine.readActivation(network.z));
      compare("z_mean", engine.readActivation(network.mean));
      compare("z_log_var", engine.readActivation(network.logVar));
      compare("px", engine.readActivation(decoded.mean));
      if (decoded.dropout) compare("px_dropout", engine.readActivation(decoded.dropout));
      for (const [key, parameter] of network.parameters)
        compare(`grad.${key}`, engine.readGradient(parameter));
    });
    for (const [key, parameter] of network.parameters) compare(`after10.${key}`, engine.read(parameter));
    return deviations;
  } finally {
    await engine.close();
  }
}

function goldenNetwork(engine: Engine, golden: Case): Network {
  return new Network(
    engine,
    {
      hiddenLayerSizes: golden.H,
      latentDim: golden.D,
      conditionEncoding: "embedding",
      embeddingDims: golden.dims,
      injectCondition: golden.inject ?? ["encoder", "decoder"],
      reconLoss: golden.loss === "poisson" ? "reference-poisson" : golden.loss,
      dropout: 0,
    },
    { genes: golden.G, conditions: golden.conds, combinations: golden.combinations.length },
    { weightDecay: golden.weight_decay },
  );
}

function lossDeviations(step: number, losses: Losses, expected: Case["steps"][number]): Deviation[] {
  const terms = { recon: losses.reconstruction, kl: losses.kl, prototype: losses.prototype };
  return Object.entries(terms).map(([term, value]) => ({
    tensor: `step ${step} ${term}`,
    deviation: deviation([value], [expected[term as keyof typeof terms]]),
  }));
}

function fill(
  { minibatch }: Engine,
  { B, G, conds }: Case,
  tensor: (key: string) => ArrayLike<number>,
): void {
  const [x, conditions] = [tensor("x"), tensor("conditions")];
  let stored = 0;
  for (let b = 0; b < B; b++) {
    minibatch.indptr[b] = stored;
    for (let g = 0; g < G; g++)
      if (x[b * G + g] !== 0) {
        minibatch.indices[stored] = g;
        minibatch.counts[stored++] = x[b * G + g]!;
      }
    conds.forEach((_, key) => (minibatch.conditions[key]![b] = conditions[b * conds.length + key]!));
  }
  minibatch.indptr[B] = stored;
  minibatch.rows = B;
  minibatch.sizeFactors.set(Array.from(tensor("sizefactor")));
  minibatch.combinations.set(Array.from(tensor("combined")));
  minibatch.labels.set(Array.from(tensor("labels")));
}

interface PrototypeCase {
  readonly z: number[][];
  readonly prototypes: number[][];
  readonly labels: number[][];
  readonly labeled_loss: number;
  readonly labeled_grad: number[][];
  readonly unlabeled_prototypes: number[][];
  readonly unlabeled_loss: number;
  readonly unlabeled_grad_z: number[][];
  readonly unlabeled_grad_prototypes: number[][];
  readonly updated_means: number[][];
  readonly updated_covs: (number | null)[][][];
}

/** `prototypes.json`, if it exists: both losses with their gradients, means and covariances. */
export async function checkPrototypes(folder: string, create: EngineFactory): Promise<Deviation[]> {
  const path = join(folder, "prototypes.json");
  if (!existsSync(path)) return [];
  const cases: Record<string, PrototypeCase> = JSON.parse(readFileSync(path, "utf8"));
  const deviations: Deviation[] = [];
  for (const [name, golden] of Object.entries(cases)) {
    const p = Number(/^p(\d+(?:\.\d+)?)_/.exec(name)?.[1] ?? 2);
    const compare: Compare = (key, actual, expected) =>
      void deviations.push({ tensor: `${name} ${key}`, deviation: deviation(actual, expected) });
    await compareLabeledLoss(golden, p, create, compare);
    compareUnlabeledLoss(golden, p, compare);
    compareUpdate(golden, compare);
  }
  return deviations;
}

type Compare = (key: string, actual: ArrayLike<number>, expected: ArrayLike<number>) => void;

/** @param p - order of the Minkowski distance */
async function compareLabeledLoss(
  golden: PrototypeCase,
  p: number,
  create: EngineFactory,
  compare: Compare,
): Promise<void> {
  const [B, D] = [golden.z.length, golden.z[0]!.length];
  const engine = await create({
    minibatchSize: B,
    minibatchCapacity: B,
    genes: 1,
    conditionKeys: 1,
    levels: golden.labels[0]!.length,
    prototypes: [golden.prototypes.length, D],
  });
  const [z, dz] = [engine.createActivation(D), engine.createActivation(D)];
  const program = engine.record((ops) => {
    ops.prototypeLoss(z, p);
    ops.prototypeLossBackward(z, p, dz);
  });
  engine.minibatch.rows = B;
  engine.minibatch.labels.set(golden.labels.flat());
  engine.writeActivation(z, golden.z.flat());
  engine.writeActivation(dz, new Float64Array(B * D));
  engine.writePrototypes(golden.prototypes.flat());
  compare("labeled loss", [program.run({ prototypeWeight: 1 }).prototype], [golden.labeled_loss]);
  compare("labeled gradient", engine.readActivation(dz), golden.labeled_grad.flat());
  await engine.close();
}

/** @param p - order of the Minkowski distance */
function compareUnlabeledLoss(golden: PrototypeCase, p: number, compare: Compare): void {
  const D = golden.z[0]!.length;
  const { loss, dlatent, dprototypes } = unlabeledPrototypeLoss(
    golden.z.flat(),
    golden.unlabeled_prototypes.flat(),
    D,
    p,
  );
  compare("unlabeled loss", [loss], [golden.unlabeled_loss]);
  compare("unlabeled gradient of z", dlatent, golden.unlabeled_grad_z.flat());
  compare("unlabeled gradient of prototypes", dprototypes, golden.unlabeled_grad_prototypes.flat());
}

/** Means and covariances of the prototypes after an epoch. */
function compareUpdate(golden: PrototypeCase, compare: Compare): void {
  const [B, D, K] = [golden.z.length, golden.z[0]!.length, golden.prototypes.length];
  const sums = new PrototypeSums(K, D, golden.labels[0]!.length);
  sums.add(Float64Array.from(golden.z.flat()), Int32Array.from(golden.labels.flat()), B);
  const updated = sums.finish({
    shape: [K, D] as const,
    means: Float32Array.from(golden.prototypes.flat()),
    covariances: new Float32Array(K * D * D),
    counts: new Float64Array(K),
  });
  compare("means", updated.means, golden.updated_means.flat());
  compare(
    "covariances",
    updated.covariances,
    golden.updated_covs.flat(2).map((v) => v ?? 0),
  );
}

interface CrossEntropyCase {
  readonly z: number[][];
  readonly prototypes: number[][];
  readonly labels: number[][];
  readonly levels: readonly { readonly rows: number[]; readonly weights: number[] }[];
  readonly eta: number;
  readonly distance_reduction: DistanceReduction;
  readonly eta_cross_entropy: number;
  readonly distance: number;
  readonly cross_entropy: number;
  readonly gradient: number[][];
}

/**
 * `cross_entropy.json`, if it exists (PyTorch's, by test/fixtures/make_cross_entropy.py): both terms of
 * the prototype loss, and their gradient.
 */
export async function checkCrossEntropy(folder: string, create: EngineFactory): Promise<Deviation[]> {
  const path = join(folder, "cross_entropy.json");
  if (!existsSync(path)) return [];
  const cases: Record<string, CrossEntropyCase> = JSON.parse(readFileSync(path, "utf8"));
  const deviations: Deviation[] = [];
  for (const [name, golden] of Object.entries(cases)) {
    const [B, D] = [golden.z.length, golden.z[0]!.length];
    const engine = await create({
      minibatchSize: B,
      minibatchCapacity: B,
      genes: 1,
      conditionKeys: 1,
      levels: golden.levels.length,
      prototypes: [golden.prototypes.length, D],
      levelPrototypes: golden.levels,
      distanceReduction: golden.distance_reduction,
    });
    const [z, dz] = [engine.createActivation(D), engine.createActivation(D)];
    const program = engine.record((ops) => {
      ops.prototypeLoss(z, 2);
      ops.prototypeCrossEntropy(z);
      ops.prototypeLossBackward(z, 2, dz);
      ops.prototypeCrossEntropyBackward(z, dz);
    });
    engine.minibatch.rows = B;
    engine.minibatch.labels.set(golden.labels.flat());
    engine.writeActivation(z, golden.z.flat());
    engine.writeActivation(dz, new Float64Array(B * D));
    engine.writePrototypes(golden.prototypes.flat());
    const losses = program.run({
      prototypeWeight: golden.eta,
      crossEntropyWeight: golden.eta_cross_entropy,
    });
    const compare = (key: string, actual: ArrayLike<number>, expected: ArrayLike<number>): void =>
      void deviations.push({ tensor: `${name} ${key}`, deviation: deviation(actual, expected) });
    compare("cross-entropy", [losses.crossEntropy], [golden.cross_entropy]);
    compare("distance", [losses.prototype], [golden.eta > 0 ? golden.distance : 0]);
    compare("gradient", engine.readActivation(dz), golden.gradient.flat());
    await engine.close();
  }
  return deviations;
}
