// Runs the fast ones of the tests that need no built package, on the sources, in under a minute on two cores.
// With --coverage, prints how much of the sources they execute; no file may change meanwhile.
import { spawnSync } from "node:child_process";

const tests = [
  "architecture",
  "background-work",
  "blosc",
  "clustering",
  "counts",
  "derived-counts",
  "genes",
  "golden",
  "gradients",
  "head",
  "kernels",
  "labels",
  "layouts",
  "model-files",
  "nearest",
  "options",
  "plots",
  "profiles",
  "prototype-loss",
  "read-ahead",
  "rows",
  "shallow-cells",
  "statistics",
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
    "--test-reporter=dot",
    "--test-reporter-destination=stdout",
    ...(coverage
      ? [
          "--experimental-test-coverage",
          "--test-reporter=./scripts/coverage_reporter.mjs",
          "--test-reporter-destination=stdout",
        ]
      : []),
    ...tests.map((name) => `test/${name}.test.ts`),
  ],
  { stdio: "inherit" },
);
process.exit(status ?? 1);
