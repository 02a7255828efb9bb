// Runs the tests that need no built package, on the sources. With --coverage, prints how much of the sources
// they run.
import { spawnSync } from "node:child_process";

const tests = [
  "architecture",
  "background-work",
  "clustering",
  "counts",
  "derived-counts",
  "genes",
  "golden",
  "gradients",
  "head",
  "kernels",
  "labels",
  "landmarks",
  "layouts",
  "matrix-values",
  "model-files",
  "name-maps",
  "nearest",
  "novelty",
  "options",
  "plots",
  "profiles",
  "prototype-loss",
  "read-ahead",
  "rows",
  "shallow-cells",
  "statistics",
  "unlabeled-loss",
  "validation-cells",
  "variable-genes",
];
const coverage = process.argv.includes("--coverage");
const { status } = spawnSync(
  process.execPath,
  [
    "--conditions=scpoli-source",
    "--import=./test/source-loader.mjs",
    "--test",
    `--test-reporter=${coverage ? "spec" : "dot"}`,
    ...(coverage ? ["--experimental-test-coverage"] : []),
    ...tests.map((name) => `test/${name}.test.ts`),
  ],
  { stdio: "inherit" },
);
process.exit(status ?? 1);
