// npm run bench:answers [-- SECTION ...]: results and speed of markers, comparisons, corrected expression
// and samples on real data. Each section stores its text and numbers in bench/results/answers.json, from
// which docs/benchmarks/markers-and-comparisons.md is made. Needs ../shared/data and, for the comparisons
// with scanpy and scVI, a Python that has them (SCPOLI_REFERENCE_PYTHON).
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { comparisonOfSamples } from "./answers/comparison.ts";
import { decodedExpression } from "./answers/expression.ts";
import { markersOnRealData } from "./answers/markers.ts";
import { markersOfAMillion } from "./answers/million.ts";
import { root } from "./answers/section.ts";
import type { Section } from "./answers/section.ts";
import { markersSpeed } from "./answers/speed.ts";

const sections: Readonly<Record<string, () => Promise<Section>>> = {
  markers: markersOnRealData,
  comparison: comparisonOfSamples,
  expression: decodedExpression,
  million: markersOfAMillion,
  speed: markersSpeed,
};

const resultsFile = join(root, "bench/results/answers.json");
const results: Record<string, Section> = existsSync(resultsFile)
  ? JSON.parse(readFileSync(resultsFile, "utf8"))
  : {};
const requested = process.argv.slice(2);
for (const name of requested)
  if (!(name in sections))
    throw new Error(`no section ${name}; there are ${Object.keys(sections).join(", ")}`);
for (const [name, run] of Object.entries(sections)) {
  if (requested.length > 0 && !requested.includes(name)) continue;
  console.log(`${name} ...`);
  results[name] = await run();
  writeFileSync(resultsFile, `${JSON.stringify(results, null, 1)}\n`);
}

mkdirSync(join(root, "docs"), { recursive: true });
writeFileSync(
  join(root, "docs/benchmarks/markers-and-comparisons.md"),
  [
    "# Markers and comparisons on real data",
    "`npm run docs:figures` writes a summary here.",
    "![Rank of interferon-induced genes in each cell type](figures/interferon.svg)",
    "Made by `npm run bench:answers` (`bench/results/answers.json`). How each number is computed: " +
      "[Markers, comparisons and decoded expression](../explanation/markers-and-comparisons.md); columns " +
      "and keys: [Formats](../reference/formats.md).",
    ...Object.keys(sections).flatMap((name) => results[name]?.paragraphs ?? []),
  ].join("\n\n") + "\n",
);
