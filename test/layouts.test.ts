// Layouts that the kernels (AssemblyScript) and their host (TypeScript) both spell out: codes of operations,
// fields of the run record, and the length of each operation's record.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { stamp } from "../scripts/generated.mjs";
import type { Activation, Operations, Parameter } from "../dist/engine/engine.js";
import { layoutOf } from "../dist/engine/wasm-layout.js";
import { recordPlan } from "../dist/engine/wasm-plan.js";
import { codes } from "../dist/engine/wasm-regions.js";
import { address, fields } from "../dist/engine/wasm-run.js";
import { normalizedTotal } from "../dist/numerics/log-normalized.js";
import { KernelMemory } from "../dist/kernel-modules/memory.js";

const folder = fileURLToPath(new URL("../kernels/", import.meta.url));
const kernels = readdirSync(folder)
  .filter((name) => name.endsWith(".ts"))
  .map((name) =>
    ts.createSourceFile(name, readFileSync(`${folder}${name}`, "utf8"), ts.ScriptTarget.ES2022, true),
  );
/** Fields of every class of the kernels, by its name. */
const classes = new Map(
  kernels.flatMap(({ statements }) =>
    statements
      .filter(ts.isClassDeclaration)
      .map(({ name, members }) => [
        name!.text,
        members.filter(ts.isPropertyDeclaration).map((member) => member.name.getText()),
      ]),
  ),
);
const threads = kernels.find(({ fileName }) => fileName === "threads.ts")!;

test("the kernels that run are compiled from these sources", () => {
  const line = stamp("build_kernels.mjs");
  for (const path of [
    "engine/kernels",
    ...["nearest", "pairs", "profiles", "rows"].map((name) => `kernel-modules/${name}`),
  ])
    assert.equal(
      readFileSync(fileURLToPath(import.meta.resolve(`../dist/${path}.generated.js`)), "utf8").split(
        "\n",
        1,
      )[0],
      line,
      `${path} is stale; run "npm run build:lib"`,
    );
});

test("operations have the same codes in kernels/threads.ts and src/engine/wasm-regions.ts", () => {
  const list = threads.statements.filter(ts.isEnumDeclaration).find(({ name }) => name.text === "Code")!;
  assert.deepEqual(
    list.members.map(({ name }) => name.getText()),
    codes,
  );
});

test("the run record has the same fields in kernels/run.ts and src/engine/wasm-run.ts", () => {
  assert.deepEqual(classes.get("Run"), fields);
  const text = kernels.find(({ fileName }) => fileName === "run.ts")!.text;
  assert.equal(Number(/changetype<Run>\((\d+)\)/.exec(text)![1]), address);
});

test("kernels and host normalise counts to the same total", () => {
  const text = kernels.find(({ fileName }) => fileName === "sparse-linear.ts")!.text;
  assert.equal(Number(/normalizedTotal: f32 = (\d+)/.exec(text)![1]), normalizedTotal);
});

/** Keeps the length of the list of words at each place. */
class WatchedMemory extends KernelMemory {
  readonly lengths = new Map<number, number>();
  override integers(pointer: number, length: number): Int32Array {
    this.lengths.set(pointer, Math.max(length, this.lengths.get(pointer) ?? 0));
    return super.integers(pointer, length);
  }
}

/** Every operation that a program can have. */
function everything(ops: Operations): void {
  let id = 0;
  const activation = (): Activation => ({ id: id++, columns: 4 });
  const parameter = (role: Parameter["role"], shape: readonly number[], trainableFrom = 0): Parameter => ({
    id: id++,
    name: role,
    role,
    shape,
    weightDecay: 0,
    trainableFrom,
  });
  const output = () => ({ weight: parameter("output", [10, 4]), bias: parameter("bias", [10]) });
  const [x, h, z, dz, noise, dmean] = Array.from({ length: 6 }, activation) as [
    Activation,
    Activation,
    Activation,
    Activation,
    Activation,
    Activation,
  ];
  const [table, first, bias] = [
    parameter("embedding", [3, 4]),
    parameter("sparse", [4, 10]),
    parameter("bias", [4]),
  ];
  const [dense, denseBias] = [parameter("linear", [4, 4]), parameter("bias", [4])];
  ops.lookUp([table], x);
  ops.sparseLinear(first, bias, "log1p", h);
  ops.linear(x, dense, denseBias, true, h);
  ops.normalize(h, 0.1, 0, z);
  ops.sampleNoise(noise);
  ops.reparameterize(x, h, noise, z);
  ops.prototypeLoss(z, 2);
  ops.prototypeCrossEntropy(z);
  const [nb, zeros, mean, rates, values] = [output(), output(), output(), output(), output()];
  const [theta, otherTheta] = [parameter("theta", [10, 2]), parameter("theta", [10, 2])];
  ops.negativeBinomial(h, nb.weight, nb.bias, theta, true, null);
  ops.negativeBinomialBackward(h, nb.weight, nb.bias, theta, dz);
  ops.zeroInflated(h, mean, zeros, otherTheta, true, null);
  ops.zeroInflatedBackward(h, mean, zeros, otherTheta, dz);
  ops.poisson(h, rates, true, true, null);
  ops.poissonBackward(h, rates, dz);
  ops.squaredError(h, values, true, null);
  ops.squaredErrorBackward(h, values, dz);
  ops.prototypeLossBackward(z, 2, dz);
  ops.prototypeCrossEntropyBackward(z, dz);
  ops.reparameterizeBackward(dz, x, h, noise, dmean, x);
  ops.normalizeBackward(dz, h, 0.1, 0, x);
  ops.linearBackward(dmean, x, dense, denseBias, true, dz);
  ops.sparseLinearBackward(dz, first, bias, "log1p");
  ops.lookUpBackward(dz, [table]);
  ops.update();
}

test("each operation's record has as many words as its class has fields", () => {
  const memory = new WatchedMemory();
  const { operations } = recordPlan(
    {
      memory,
      minibatchSize: 8,
      blockRows: 16,
      genes: 10,
      prototypes: 3,
      keepGradients: false,
      parameter: ({ role, shape }) => {
        const place = (): number => 4096;
        return {
          layout: layoutOf(role, shape),
          value: 4096,
          first: place,
          second: place,
          gradient: place,
        };
      },
      activation: () => ({ pointer: 4096, stride: 16 }),
      conditions: () => 4096,
      logits: () => ({ pointer: 4096, stride: 64 }),
    },
    everything,
  );
  const classOf = new Map(
    [...threads.text.matchAll(/case Code\.(\w+):\s*\w+\(changetype<(\w+)>/g)].map(
      ([, code, name]) => [code!, name!] as const,
    ),
  );
  assert.deepEqual([...new Set(operations.map(({ code }) => code))].sort(), [...codes].sort());
  for (const { code, pointer } of operations)
    assert.equal(memory.lengths.get(pointer), classes.get(classOf.get(code)!)?.length, code);
});
