// Every engine against golden numbers of the published code (test/golden; further ones in ../shared/golden,
// if that folder exists).
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEngine, wasmBuilds } from "../dist/engine/create.js";
import { checkCase, checkCrossEntropy, checkPrototypes, goldenCases, type EngineFactory } from "./golden.ts";

const folder = new URL("golden", import.meta.url).pathname;
const engines: [string, number, EngineFactory][] = [
  ["reference", 1e-5, (options) => createEngine(options, { engine: "reference" })],
  ...wasmBuilds().map((simd): [string, number, EngineFactory] => [
    `wasm ${simd}`,
    1e-4,
    (options) => createEngine(options, { engine: "wasm", simd, threads: 2 }),
  ]),
];

for (const [name, bound, create] of engines) {
  for (const golden of goldenCases(folder))
    test(`${name}: ${golden} is within ${bound} of the published numbers`, async () => {
      const deviations = await checkCase(folder, golden, create);
      assert.ok(deviations.length >= 50);
      for (const { tensor, deviation } of deviations)
        assert.ok(deviation <= bound, `${tensor}: ${deviation}`);
    });
  test(`${name}: prototypes, their losses and gradients within ${bound} of the published code`, async () => {
    const deviations = await checkPrototypes(folder, create);
    assert.equal(deviations.length, 28);
    for (const { tensor, deviation } of deviations) assert.ok(deviation <= bound, `${tensor}: ${deviation}`);
  });
  test(`${name}: cross-entropy over prototypes and its gradient within ${bound} of PyTorch`, async () => {
    const deviations = await checkCrossEntropy(folder, create);
    assert.equal(deviations.length, 21);
    for (const { tensor, deviation } of deviations) assert.ok(deviation <= bound, `${tensor}: ${deviation}`);
  });
}
