// npm run check:golden -- FOLDER: compares every engine with the golden numbers in a folder and prints the
// largest deviation of each tensor. Exit code 0 only if all are within their bounds.
import {
  checkCase,
  checkCrossEntropy,
  checkPrototypes,
  goldenCases,
  type Deviation,
  type EngineFactory,
} from "../test/golden.ts";
import { createEngine, wasmBuilds } from "../dist/engine/create.js";

const folder = process.argv[2];
if (!folder) {
  console.error("usage: npm run check:golden -- FOLDER");
  process.exit(2);
}
const engines: { name: string; bound: number; create: EngineFactory }[] = [
  { name: "reference", bound: 1e-5, create: (options) => createEngine(options, { engine: "reference" }) },
  ...wasmBuilds().map((simd) => ({
    name: `wasm ${simd}`,
    bound: 1e-4,
    create: ((options) => createEngine(options, { engine: "wasm", simd, threads: 2 })) as EngineFactory,
  })),
];

let failed = 0;
let compared = 0;
for (const { name, bound, create } of engines) {
  const report = async (what: string, check: () => Promise<Deviation[]>): Promise<void> => {
    try {
      for (const { tensor, deviation } of await check()) {
        const ok = deviation <= bound;
        compared++;
        failed += ok ? 0 : 1;
        console.log(
          `${ok ? "ok  " : "FAIL"} ${name.padEnd(13)} ${what.padEnd(20)} ${tensor.padEnd(42)} ` +
            `${deviation.toExponential(2)} (bound ${bound})`,
        );
      }
    } catch (error) {
      failed++;
      console.log(
        `FAIL ${name.padEnd(13)} ${what.padEnd(20)} ` +
          (error instanceof Error ? error.message : String(error)),
      );
    }
  };
  for (const golden of goldenCases(folder)) await report(golden, () => checkCase(folder, golden, create));
  await report("cross_entropy.json", () => checkCrossEntropy(folder, create));
  await report("prototypes.json", () => checkPrototypes(folder, create));
}
if (compared === 0) failed++;
console.log(`${compared} tensors compared, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
