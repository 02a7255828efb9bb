// npm run check:metrics [-- --update]: metrics of three latent representations compared with scib-metrics and
// scib on the same cells, in the environment of SCPOLI_REFERENCE_PYTHON; without one, with the numbers stored
// for the tests. Prints both numbers and their difference, and writes them to bench/results/metrics.csv;
// exit code 0 only if all are within their bounds.
// --update writes the reference's numbers for the tests.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { scoreIntegration } from "../dist/evaluation/integration.js";
import { metricNames, type MetricName } from "../dist/evaluation/metrics.js";
import { varianceBetween } from "../dist/evaluation/pc-regression.js";
import { writeSafetensors } from "../dist/storage/safetensors.js";
import { bound, readScored, referencePath, scoredNames, type ReferenceNumbers } from "../test/scored.ts";

const python = process.env["SCPOLI_REFERENCE_PYTHON"];
const folder = mkdtempSync(join(tmpdir(), "check-metrics-"));
const numbers: Record<string, ReferenceNumbers> = {};
const rows = ["latent,metric,ours,reference,difference,bound"];
let failed = 0;

function referenceOf(name: string, file: string): Record<MetricName, number | null> {
  if (!python)
    return (JSON.parse(readFileSync(referencePath, "utf8")) as Record<string, ReferenceNumbers>)[name]!;
  const script = fileURLToPath(new URL("reference_metrics.py", import.meta.url));
  return (
    JSON.parse(
      execFileSync(python, [script, file], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
    ) as { metrics: Record<MetricName, number | null> }
  ).metrics;
}

try {
  for (const name of scoredNames) {
    const scored = readScored(name);
    if (!scored) {
      console.log(`${name}: not there, left out`);
      continue;
    }
    const file = join(folder, `${name}.safetensors`);
    writeFileSync(file, writeSafetensors(scored.tensors));
    const reference = referenceOf(name, file);
    const { cells, before } = scored;
    const ours = await scoreIntegration(cells, {
      before: {
        varianceBetween: varianceBetween(
          before.values,
          before.D,
          cells.conditions,
          cells.conditionNames.length,
        ),
      },
    });
    for (const metric of metricNames) {
      const [value, expected] = [ours[metric]!.value, reference[metric]];
      const difference = value === null || expected === null ? NaN : value - expected;
      const ok = Math.abs(difference) <= bound(metric);
      failed += ok ? 0 : 1;
      console.log(
        `${ok ? "ok  " : "FAIL"} ${name.padEnd(8)} ${metric.padEnd(26)} ${value?.toFixed(5)}  reference ` +
          `${expected?.toFixed(5)}  difference ${difference.toExponential(1)} (bound ${bound(metric)})`,
      );
      rows.push(
        [
          name,
          metric,
          value?.toFixed(6),
          expected?.toFixed(6),
          difference.toExponential(1),
          bound(metric),
        ].join(","),
      );
    }
    numbers[name] = reference as ReferenceNumbers;
  }
} finally {
  rmSync(folder, { recursive: true });
}
writeFileSync(
  fileURLToPath(new URL("../bench/results/metrics.csv", import.meta.url)),
  `${rows.join("\n")}\n`,
);
if (python && process.argv.includes("--update"))
  writeFileSync(referencePath, `${JSON.stringify(numbers, null, 1)}\n`);
process.exit(failed === 0 && Object.keys(numbers).length > 0 ? 0 : 1);
