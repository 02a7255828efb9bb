// Decoded expression of panc8 and kang16 against the counts, beside scVI: at a cell's own condition, as if
// from another condition, and averaged over the conditions.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AnnData, ScPoli } from "../../dist/index.js";
import { labels, writeRows } from "../rows.ts";
import { data, markdownTable, percent, python, root, type Section } from "./section.ts";

interface ExpressionSet {
  readonly name: string;
  readonly condition: string;
  readonly label: string;
  /** conditions that cells are decoded as if from, for cells of `from` */
  readonly targets: (from: string, conditions: readonly string[]) => readonly string[];
}
const sets: readonly ExpressionSet[] = [
  {
    name: "panc8",
    condition: "batch",
    label: "cell_type",
    targets: (from, conditions) => conditions.filter((condition) => condition !== from),
  },
  {
    name: "kang16",
    condition: "sample",
    label: "cell_type",
    // the same patient, stimulated instead of control, and the reverse
    targets: (from) => [
      from.endsWith("_ctrl") ? from.replace("_ctrl", "_stim") : from.replace("_stim", "_ctrl"),
    ],
  },
];

/** Scores of one method, as corrected_expression.py prints them. */
interface Scores {
  readonly own_condition: number;
  readonly own_condition_least: number;
  readonly change: number;
  readonly remaining: number;
  readonly comparisons: number;
  readonly markers_kept: number;
  readonly contrast: number;
  readonly spread_own: number;
  readonly spread_average: number;
}
interface Result {
  readonly ours: Scores;
  /** by likelihood; zinb is its default */
  readonly scvi: Readonly<Record<"zinb" | "nb", Scores>>;
  readonly version: string;
  /** cells decoded per second at one condition, by the command line, reading and writing included */
  readonly cells_per_second: number;
}

const seed = 0;
const mostGenes = 2000;

/** Trains on all cells, and decodes them in all the ways that are scored. */
async function decode(set: ExpressionSet, folder: string): Promise<{ plan: object; cellsPerSecond: number }> {
  const path = data(set.name);
  const source = await AnnData.open(path);
  const conditions = await labels(source, set.condition);
  const model = await ScPoli.train(source, {
    conditionKeys: [set.condition],
    cellTypeKeys: [set.label],
    genes: source.nVars > mostGenes ? mostGenes : undefined,
    sampleMetadata: false,
    landmarks: false,
    seed,
  });
  const modelFolder = join(folder, "model");
  await model.save(modelFolder);
  const expression = (file: string, output: string, ...flags: string[]): string => {
    const cli = [join(root, "dist/cli.js"), "expression", modelFolder, file, "-o", join(folder, output)];
    execFileSync(process.execPath, [...cli, ...flags, "--quiet"], { stdio: ["ignore", "ignore", "inherit"] });
    return join(folder, output);
  };
  const started = performance.now();
  const atOwnCondition = expression(path, "own.h5ad");
  const cellsPerSecond = (1000 * source.nObs) / (performance.now() - started);
  const average = expression(path, "average.h5ad", "--average");
  const pairs: { from: string; to: string; file: string }[] = [];
  const names = [...new Set(conditions)].sort();
  for (const from of names) {
    const rows = Int32Array.from(conditions.keys()).filter((row) => conditions[row] === from);
    const cells = join(folder, "cells.h5ad");
    await writeRows(source, rows, cells);
    for (const to of set.targets(from, names)) {
      const file = expression(cells, `${from}-as-${to}.h5ad`, "--as", `${set.condition}=${to}`);
      pairs.push({ from, to, file });
    }
    rmSync(cells);
  }
  source.close();
  const plan = {
    data: path,
    condition: set.condition,
    label: set.label,
    own: atOwnCondition,
    average,
    pairs,
    seed,
  };
  return { plan, cellsPerSecond };
}

async function measure(set: ExpressionSet): Promise<Result> {
  const folder = join(root, ".cache/answers", `expression-${set.name}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { plan, cellsPerSecond } = await decode(set, folder);
  const path = join(folder, "plan.json");
  writeFileSync(path, JSON.stringify(plan));
  const script = join(root, "bench/answers/corrected_expression.py");
  // one thread: scVI on a thousand cells gains nothing from more
  const env = { ...process.env, OMP_NUM_THREADS: "1", MKL_NUM_THREADS: "1" };
  const printed = execFileSync(python!, ["-W", "ignore", script, path], {
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  rmSync(folder, { recursive: true });
  return {
    ...(JSON.parse(printed.trim().split("\n").at(-1)!) as Omit<Result, "cells_per_second">),
    cells_per_second: Math.round(cellsPerSecond),
  };
}

export async function decodedExpression(): Promise<Section> {
  if (python === null) throw new Error("name a Python with scvi-tools in SCPOLI_REFERENCE_PYTHON");
  const results: Record<string, Result> = {};
  for (const set of sets.filter(({ name }) => existsSync(data(name)))) results[set.name] = await measure(set);
  const line = (name: string, method: string, scores: Scores): string[] => [
    name,
    method,
    `${scores.own_condition.toFixed(3)} (${scores.own_condition_least.toFixed(2)})`,
    scores.change.toFixed(2),
    percent(scores.remaining),
    percent(scores.markers_kept),
    scores.contrast.toFixed(3),
    percent(scores.spread_average / scores.spread_own),
  ];
  const rows = Object.entries(results).flatMap(([name, { ours, scvi, version }]) => [
    line(name, "scpoli", ours),
    line(name, `scVI ${version}, zinb (default)`, scvi.zinb),
    line(name, `scVI ${version}, nb`, scvi.nb),
  ]);
  const comparisons = Object.entries(results).map(([name, { ours }]) => `${ours.comparisons} (${name})`);
  const speeds = Object.entries(results).map(
    ([name, { cells_per_second }]) => `${cells_per_second.toLocaleString("en-US")} (${name})`,
  );
  return {
    paragraphs: [
      "## Decoded expression: panc8 and kang16",
      "Models of all cells (at most 2,000 variable genes); scVI on the same genes, with the same " +
        "conditions as batches. scpoli is trained with the cell types, which scVI does not take; scVI " +
        "decodes one draw from each cell's posterior, scpoli its mean. One seed. Means are over a type's " +
        "cells in a condition (at least 10), as log1p of the mean expression per 10,000.",
      markdownTable(
        [
          "data set",
          "method",
          "own condition: correlation of means (lowest)",
          "another condition: correlation of changes",
          "difference left",
          "markers kept",
          "contrast of types",
          "spread left between conditions",
        ],
        rows,
      ),
      "- **Own condition**: correlation over the genes between decoded and observed means of each type in " +
        "each condition.\n" +
        "- **Another condition**: cells of a condition are decoded as if from another (panc8: every other " +
        "technology; kang16: the same patient, stimulated or not). Correlation over the genes between the " +
        "change of a type's mean and the observed difference between the two conditions; means of " +
        `${comparisons.join(" and ")} comparisons. *Difference left*: mean absolute difference to the ` +
        "other condition's means, relative to that without decoding.\n" +
        "- **Averaged over the conditions**: *markers kept*, the share of a type's 20 strongest genes that " +
        "are still among its 20 strongest; *contrast of types*, correlation over the genes between " +
        "decoded and observed means of a type minus those of the others; *spread left*, standard " +
        "deviation between the conditions of a type's means, relative to decoding at the own conditions.",
      `Cells per second by the command line, reading and writing included: ${speeds.join(", ")}.`,
    ],
    numbers: results,
  };
}
