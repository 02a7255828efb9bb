// npm run bench:modalities [-- atac|species]: claims of the paper beyond scRNA of one species, all scored by
// one script. atac: bone marrow scATAC, donor D6 as the reference and D5 as the query: Poisson on
// fragments and nb on read counts, each with all peaks and with 2,000 selected ones, compared with the Python
// package's poisson and linear SVMs on all peaks. species: primates, gorilla and macaque as the reference and
// human as the query. Needs ../shared/data and ../shared/python, and a Python with scArches and scib-metrics
// (SCPOLI_REFERENCE_PYTHON). SEEDS=1 makes one run of each instead of two or three. Single runs:
// bench/results/modalities.csv; the table goes into docs/benchmarks/modalities.md.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AnnData, ScPoli, type TrainOptions } from "../dist/index.js";
import { labels, writeRows } from "./rows.ts";
import { writeSection } from "./sections.ts";

interface Configuration {
  readonly name: string;
  readonly file: string;
  /** column and value of the query's cells */
  readonly query: readonly [key: string, value: string];
  /** conditions */
  readonly condition: string;
  readonly seeds: readonly number[];
  /** options of scpoli; null: `peaks_reference.py` */
  readonly options: Partial<TrainOptions> | null;
  /**
   * columns of predicted labels and their names in the table; the first row has the integration metrics of
   * the run
   */
  readonly predictions: Readonly<Record<string, string>>;
}

/** One thread: results do not depend on it, and timing is less affected by other programs. */
const threads = 1;
const epochs = 20;
const mostSeeds = Number(process.env["SEEDS"] ?? 3);
const atac = {
  file: "bone_marrow_atac",
  query: ["donor", "D5"],
  condition: "donor",
  seeds: [0, 1].slice(0, mostSeeds),
} as const;
const primates = {
  file: "primates",
  query: ["species", "human"],
  seeds: [0, 1, 2].slice(0, mostSeeds),
} as const;
const trained = { epochs, alphaEpochAnneal: epochs / 2 };
const ours = { cell_type_pred: "nearest prototype", cell_type_head: "head" };
const configurations: readonly Configuration[] = [
  {
    ...atac,
    name: "atac, poisson on fragments, all 10,000 peaks",
    options: { reconLoss: "poisson", ...trained },
    predictions: ours,
  },
  {
    ...atac,
    name: "atac, nb on reads, all 10,000 peaks",
    options: { reconLoss: "nb", ...trained },
    predictions: ours,
  },
  {
    ...atac,
    name: "atac, poisson on fragments, the 2,000 most accessible peaks",
    options: { reconLoss: "poisson", genes: 2000, ...trained },
    predictions: ours,
  },
  {
    ...atac,
    name: "atac, nb on reads, the 2,000 most accessible peaks",
    options: { reconLoss: "nb", genes: 2000, ...trained },
    predictions: ours,
  },
  {
    ...atac,
    name: "atac, others on all 10,000 peaks",
    options: null,
    predictions: {
      scarches: "scArches, poisson, nearest prototype",
      svm: "linear SVM, C = 1",
      svm_balanced: "linear SVM, C = 0.001, types weighted alike",
      svm_variable: "linear SVM, C = 1, only the 2,000 most variable peaks",
    },
  },
  { ...primates, condition: "clone", name: "species, conditions are clones", options: {}, predictions: ours },
  {
    ...primates,
    condition: "species",
    name: "species, conditions are species",
    options: {},
    predictions: ours,
  },
];
/** Maximum number of cells for the integration metrics. */
const mostScored = 6000;

const root = new URL("..", import.meta.url).pathname;
const shared = join(root, "../shared");
const cache = join(root, ".cache/modalities");
const python = process.env["SCPOLI_REFERENCE_PYTHON"] ?? join(root, ".venv-reference/bin/python");
const results = join(root, "bench/results/modalities.csv");
const labelFigures = ["accuracy", "macro_f1", "weighted_f1"] as const;
const integrationFigures = ["bio", "batch", "total"] as const;
type Figures = Readonly<Record<string, number>>;
interface Scores {
  readonly integration: Figures;
  readonly labels: Readonly<Record<string, Figures>>;
}

/** Path of a run's results. */
function pathOf({ name }: Configuration, seed: number, ending: string): string {
  return join(cache, `${name.replaceAll(/[ ,]+/g, "-")}-s${seed}${ending}`);
}

function runPython(script: string, ...args: string[]): void {
  const env = { ...process.env, PYTHONPATH: join(shared, "python"), PYTHONWARNINGS: "ignore" };
  execFileSync(python, ["-W", "ignore", join(root, "bench", script), ...args], {
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/** Names of the peaks selected by `genes` from the fragments of the reference, also used for nb. */
async function chosenPeaks(
  data: AnnData,
  genes: number,
  exclude: TrainOptions["exclude"],
): Promise<readonly string[]> {
  const model = await ScPoli.train(data, {
    conditionKeys: ["donor"],
    exclude,
    reconLoss: "poisson",
    genes,
    epochs: 1,
    hiddenLayerSizes: [8],
    threads,
    landmarks: false,
  });
  return model.stored.json.genes;
}

/**
 * Trains and maps, and writes reference and query together with their labels, unless the file exists.
 */
async function compute(configuration: Configuration, seed: number): Promise<void> {
  const {
    file,
    query: [key, value],
    condition,
    options,
  } = configuration;
  const output = pathOf(configuration, seed, ".h5ad");
  if (existsSync(output)) return;
  const source = join(shared, "data", `${file}.h5ad`);
  if (!options) return runPython("peaks_reference.py", source, output, value, String(epochs), String(seed));
  const data = await AnnData.open(source);
  const groups = await labels(data, key);
  const onlyQuery = pathOf(configuration, seed, "-query.h5ad");
  await writeRows(
    data,
    Int32Array.from(groups.keys()).filter((row) => groups[row] === value),
    onlyQuery,
  );
  const queryData = await AnnData.open(onlyQuery);
  const exclude = { [key]: [value] };
  const genes =
    typeof options.genes === "number" ? await chosenPeaks(data, options.genes, exclude) : undefined;
  const model = await ScPoli.train(data, {
    conditionKeys: [condition],
    cellTypeKeys: ["cell_type"],
    exclude,
    seed,
    threads,
    ...options,
    genes,
  });
  const mapping = await model.map(queryData, { seed, threads });
  await mapping.model.embed(data, { output, threads, force: true });
  [data, queryData].forEach((opened) => opened.close());
}

for (const needed of [join(shared, "data"), python])
  if (!existsSync(needed)) {
    console.log(`bench:modalities needs ${needed}, which is not there; nothing measured.`);
    process.exit(0);
  }
mkdirSync(cache, { recursive: true });
const requested = process.argv.slice(2);
const chosen = configurations.filter(
  ({ name }) => requested.length === 0 || requested.some((start) => name.startsWith(start)),
);
const runs = chosen.flatMap((configuration) => configuration.seeds.map((seed) => ({ configuration, seed })));
for (const { configuration, seed } of runs) await compute(configuration, seed);
const jobs = runs.flatMap(({ configuration, seed }) => {
  const out = pathOf(configuration, seed, ".json");
  const {
    condition,
    query: [key, value],
    predictions,
  } = configuration;
  const job = {
    out,
    file: pathOf(configuration, seed, ".h5ad"),
    batch: condition,
    label: "cell_type",
    query_key: key,
    query_values: value,
    predictions: Object.keys(predictions),
  };
  return existsSync(out) ? [] : [job];
});
if (jobs.length > 0) {
  const list = join(cache, `jobs-${process.pid}.json`);
  writeFileSync(list, JSON.stringify(jobs));
  runPython("score_all.py", join(shared, "python/score.py"), list, String(mostScored));
}

const mean = (values: readonly number[]): string =>
  (values.reduce((sum, value) => sum + value, 0) / values.length).toFixed(3);
const lines = [["configuration", "labels", "seed", ...labelFigures, ...integrationFigures].join(",")];
const table = [
  `| configuration | labels | seeds | accuracy | macro F1 | weighted F1 | bio | batch | total |`,
  `|${" --- |".repeat(9)}`,
];
for (const { name, seeds, predictions, ...configuration } of chosen) {
  const all = seeds.map((seed): Scores =>
    JSON.parse(readFileSync(pathOf({ name, seeds, predictions, ...configuration }, seed, ".json"), "utf8")),
  );
  Object.entries(predictions).forEach(([column, labelsName], row) => {
    const figures = all.map(({ integration, labels }) => [
      ...labelFigures.map((figure) => labels[column]![figure]!),
      ...(row === 0 ? integrationFigures.map((figure) => integration[figure]!) : []),
    ]);
    figures.forEach((values, i) =>
      lines.push(
        [`"${name}"`, `"${labelsName}"`, seeds[i], ...values, ...(row === 0 ? [] : ["", "", ""])].join(","),
      ),
    );
    const means = figures[0]!.map((_, i) => mean(figures.map((values) => values[i]!)));
    const cells = [name.replace(/^\w+, /, ""), labelsName, seeds.length, ...means];
    table.push(`| ${[...cells, ...(row === 0 ? [] : ["", "", ""])].join(" | ")} |`);
  });
}
console.log(table.join("\n"));
if (requested.length === 0) {
  writeFileSync(results, `${lines.join("\n")}\n`);
  const rows = (kind: string): string[] => {
    const names = chosen
      .filter(({ name }) => name.startsWith(kind))
      .map(({ name }) => name.replace(/^\w+, /, ""));
    return [
      ...table.slice(0, 2),
      ...table.slice(2).filter((line) => names.some((name) => line.startsWith(`| ${name} |`))),
    ];
  };
  const path = join(root, "docs/benchmarks/modalities.md");
  writeSection(path, "scATAC: bone marrow, donor D6 the reference, D5 the query", [
    `${epochs} epochs. The file holds read counts (2 is more frequent than 1), which poisson makes ` +
      "fragment counts; nb takes the reads as they are. The SVMs see log-normalised fragments.",
    `Labels are scored on all cells of the query, the integration on ${mostScored.toLocaleString("en")} ` +
      "cells of both donors, the same for every row.",
    "",
    ...rows("atac"),
  ]);
  writeSection(path, "Across species: primates, gorilla and macaque the reference, human the query", [
    "900 cells of 9 clones, three cell types, 300 genes under common names; `--gene-map` brings other " +
      "names to these. Macro F1 depends on the ten neurons of the file.",
    "",
    ...rows("species"),
  ]);
}
