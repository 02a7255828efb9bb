// docs/benchmarks/quality.md and its figure, made of bench/results/peers.csv.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { heatMap } from "../../dist/plots/heat-map.js";
import { element, picture, standaloneSvg } from "../../dist/plots/svg.js";
import { mean, seeds as allSeeds } from "../transfer.ts";
import { publishedLonger, publishedPreset, runs } from "./methods.ts";
import type { Figure } from "./scoring.ts";
import { sets, type PeerSet } from "./sets.ts";
import { costFigures, type Row } from "./table.ts";

const root = new URL("../..", import.meta.url).pathname;
const picturePath = "docs/benchmarks/quality/peers.svg";
const methods = runs.flatMap((run) => run.methods.map(({ name }) => name));
/** Runs of scArches of different length; for each metric the better one is compared. */
const better = {
  name: "scArches scPoli, better of 100 and 400 epochs",
  of: [100, 400].map((epochs) => `scArches scPoli, ${epochs} epochs`),
};
/** Labels of the nearest prototype, and of the classifier on genes of the same run. */
const compared = ["ours", "ours, classifier on genes"] as const;
const published: readonly string[] = [publishedPreset, publishedLonger];
const isRna = ({ likelihood }: PeerSet): boolean => !likelihood;

type AnyFigure = Figure | (typeof costFigures)[number];

/** Values of a metric, one per seed. */
function values(rows: readonly Row[], data: string, method: string, figure: AnyFigure): number[] {
  return rows
    .filter((row) => row.data === data && row.method === method)
    .flatMap(({ figures }) => figures[figure] ?? []);
}

/** Mean over seeds; null if the method was not measured or has no such metric. */
function meanOf(rows: readonly Row[], data: string, method: string, figure: Figure): number | null {
  const means = (method === better.name ? better.of : [method])
    .map((name) => values(rows, data, name, figure))
    .filter((one) => one.length > 0)
    .map(mean);
  // the integration metrics of a run are in the row of its first labels
  if (means.length === 0 && figure === "kmeans_total" && method === compared[1])
    return meanOf(rows, data, compared[0], figure);
  return means.length === 0 ? null : Math.max(...means);
}

const formatted = (value: number | null, digits = 3): string => (value === null ? "" : value.toFixed(digits));
function spread(scores: readonly number[], digits = 3): string {
  if (scores.length === 0) return "";
  const centre = mean(scores);
  if (scores.length === 1) return formatted(centre, digits);
  const sd = Math.sqrt(scores.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (scores.length - 1));
  return `${formatted(centre, digits)} (${formatted(sd, digits)})`;
}
const signed = (value: number): string => `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(3)}`;
const row = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
const head = (columns: readonly string[]): string[] => [row(columns), row(columns.map(() => "---"))];

/** Differences scpoli - other on the RNA sets that both have. */
interface Difference {
  readonly mean: number;
  /** data set with the smallest difference */
  readonly least: { readonly name: string; readonly by: number };
  readonly sets: number;
}

function difference(rows: readonly Row[], mine: string, other: string, figure: Figure): Difference | null {
  const parts = sets.filter(isRna).flatMap(({ name }) => {
    const [a, b] = [mine, other].map((method) => meanOf(rows, name, method, figure));
    return a === null || b === null ? [] : [{ name, by: a! - b! }];
  });
  if (parts.length === 0) return null;
  const least = parts.reduce((a, b) => (b.by < a.by ? b : a));
  return { mean: mean(parts.map(({ by }) => by)), least, sets: parts.length };
}

function differenceText(of: Difference | null): string {
  return of === null ? "" : `${signed(of.mean)} (${signed(of.least.by)} ${of.least.name}; ${of.sets})`;
}

/** Methods of other projects, and the published preset, measured on an RNA set. */
function othersOf(rows: readonly Row[]): string[] {
  const single = methods.filter((name) => !/^(ours|scArches)/.test(name) || published.includes(name));
  return [better.name, ...single].filter((name) =>
    sets.some((set) => isRna(set) && meanOf(rows, set.name, name, "accuracy") !== null),
  );
}

/** Least number of seeds of a method on any data set on which it was measured. */
function seedsOf(rows: readonly Row[], method: string): number {
  const numbers = sets.map(({ name }) => values(rows, name, method, "accuracy").length);
  return Math.min(...numbers.filter((seeds) => seeds > 0));
}

/** What the comparison says, in a few sentences. */
function summary(rows: readonly Row[]): string {
  const others = othersOf(rows).filter((name) => !published.includes(name));
  const range = (mine: string, figure: Figure): string => {
    const all = others.flatMap((other) => difference(rows, mine, other, figure)?.mean ?? []);
    return `${signed(Math.min(...all))} to ${signed(Math.max(...all))}`;
  };
  const svm = "linear SVM on genes";
  const behind = (mine: string, figure: Figure): string => {
    const of = difference(rows, mine, svm, figure);
    return of === null
      ? "not measured"
      : `${signed(of.mean)}, at worst ${signed(of.least.by)} on ${of.least.name}`;
  };
  const scArches = difference(rows, compared[0], better.name, "kmeans_total");
  return (
    `How well scpoli (\`ours\`) labels cells and integrates samples, beside ${others.length} other ` +
    "methods. Differences are ours minus the other, means over the RNA data sets that both have. Labels by " +
    `the nearest prototype, the default: accuracy ${range(compared[0], "accuracy")}, macro F1 ` +
    `${range(compared[0], "macro_f1")}; beside a linear SVM ${behind(compared[0], "accuracy")}, macro F1 ` +
    `${behind(compared[0], "macro_f1")}. Integration: ${range(compared[0], "kmeans_total")}. Labels by the ` +
    `classifier on genes, beside a linear SVM: accuracy ${behind(compared[1], "accuracy")}; macro F1 ` +
    `${behind(compared[1], "macro_f1")}.` +
    (scArches === null
      ? ""
      : ` Integration beside the better of two runs of scArches: ${signed(scArches.mean)} on the mean, ` +
        `${signed(scArches.least.by)} on ${scArches.least.name}.`) +
    ` Ours has ${seedsOf(rows, compared[0])} seeds, and most of the other rows have one.`
  );
}

function differencesSection(rows: readonly Row[]): string[] {
  const others = othersOf(rows);
  const columns = [
    ...compared.flatMap((mine) => ["accuracy", "macro F1"].map((figure) => `${mine}: ${figure}`)),
    "integration",
  ];
  return [
    "## Differences to each method",
    "",
    "Ours minus the other, mean of the RNA data sets that both have; in brackets the smallest difference " +
      "with its data set, and the number of data sets. Integration: the k-means total.",
    "",
    ...head(["method", ...columns]),
    ...others.map((other) =>
      row([
        other,
        ...compared.flatMap((mine) =>
          (["accuracy", "macro_f1"] as const).map((figure) =>
            differenceText(difference(rows, mine, other, figure)),
          ),
        ),
        differenceText(difference(rows, compared[0], other, "kmeans_total")),
      ]),
    ),
  ];
}

function dataSet(rows: readonly Row[], set: PeerSet): string[] {
  const lines = methods.flatMap((method) => {
    const methodRows = rows.filter(({ data, method: name }) => data === set.name && name === method);
    if (methodRows.length === 0) return [];
    const isEarlier = methodRows.some(({ measuredBy }) => measuredBy !== "bench:peers");
    const cell = (figure: AnyFigure, digits?: number): string =>
      spread(values(rows, set.name, method, figure), digits);
    return [
      row([
        isEarlier ? `${method} *` : method,
        methodRows.length,
        cell("accuracy"),
        cell("macro_f1"),
        cell("weighted_f1"),
        cell("paper_total"),
        cell("kmeans_bio"),
        cell("kmeans_batch"),
        cell("kmeans_total"),
        cell("cpu_seconds", 0),
        cell("peak_mb", 0),
      ]),
    ];
  });
  const missing = runs.filter(
    ({ isFor, methods: methodNames }) =>
      (isFor?.(set) ?? true) &&
      !rows.some(({ data, method }) => data === set.name && methodNames.some(({ name }) => name === method)),
  );
  return [
    `## ${set.name}`,
    "",
    `Conditions: \`${set.condition}\`; cell types: \`${set.label}\`; query: ${set.query.join(", ")}.`,
    "",
    ...head([
      ...["method", "seeds", "accuracy", "macro F1", "weighted F1", "total, paper"],
      ...["bio", "batch", "total, k-means", "seconds", "MB"],
    ]),
    ...lines,
    ...(missing.length === 0 ? [] : ["", `Not measured yet: ${missing.map(({ name }) => name).join(", ")}.`]),
  ];
}

/** Macro F1 and the k-means total of every method on every data set, one heat map below the other. */
function draw(rows: readonly Row[]): string {
  const heatMapOf = (figure: Figure, title: string): string => {
    const isThere = (name: string): boolean =>
      sets.some((set) => values(rows, set.name, name, figure).length > 0);
    const shown = methods.filter(isThere);
    const shownSets = sets.filter(({ name }) => rows.some(({ data }) => data === name));
    return heatMap({
      title,
      rows: shown,
      columns: shownSets.map(({ name }) => name),
      rowLabel: "method",
      columnLabel: "data set",
      values: shown.map((method) => shownSets.map(({ name }) => meanOf(rows, name, method, figure) ?? NaN)),
      range: [0.3, 1],
      legend: title,
    }).svg;
  };
  const maps = [
    heatMapOf("macro_f1", "Macro F1 of the query's labels"),
    heatMapOf("kmeans_total", "Integration, k-means total"),
  ];
  const sizes = maps.map((svg) =>
    svg
      .match(/ width="(\d+)" height="(\d+)"/)!
      .slice(1)
      .map(Number),
  );
  let top = 24;
  const placed = maps.map((svg, i) => {
    const inner = element("g", { transform: `translate(0 ${top})` }, svg);
    top += sizes[i]![1]! + 20;
    return inner;
  });
  const width = Math.max(...sizes.map(([one]) => one!));
  const description = "Two heat maps of methods by data sets: macro F1, and the integration total";
  return standaloneSvg({ svg: picture(width, top, "Label transfer and integration", description, placed) });
}

export function writeDocument(rows: readonly Row[]): void {
  if (rows.length === 0) return;
  mkdirSync(join(root, "docs/benchmarks/quality"), { recursive: true });
  writeFileSync(join(root, picturePath), `${draw(rows)}\n`);
  const earlier = rows.some(({ measuredBy }) => measuredBy !== "bench:peers");
  const text = [
    "# Quality",
    "",
    summary(rows),
    "",
    `![Macro F1 and integration of every method on every data set](quality/peers.svg)`,
    "",
    "Some conditions of each data set are the reference; the others are mapped as a query without labels, " +
      "and compared with the published labels ([data sets](data-sets.md), [how it was " +
      "measured](#how-it-was-measured)).",
    "",
    ...differencesSection(rows),
    ...sets.flatMap((set) => ["", ...dataSet(rows, set)]),
    "",
    "## How it was measured",
    "",
    "Made by `npm run bench:peers` (single runs: `bench/results/peers.csv`; environments of the others: " +
      "`bash bench/peers/setup.sh`). Mean of the seeds and, in brackets, their standard deviation: " +
      `${allSeeds.length} seeds where a method is random. Where a row of a random method has fewer, the ` +
      "other runs have not been made yet.",
    "",
    "What the columns say: accuracy, macro and weighted F1 are of the query's cells whose type the " +
      "reference has. `total, paper`: integration of reference and query together as in De Donno et al. " +
      "2023, 0.6 biology + 0.4 mixing ([metrics](../reference/metrics.md)); `total, k-means`: the same " +
      "with NMI and ARI of k-means instead of Leiden's and without the F1 score of isolated labels, " +
      "`bio` and `batch` its two parts. One scorer, the project's `evaluate`, for all rows.",
    "`seconds`: processor seconds of the whole run with one thread, from reading the files to the query's " +
      "labels, libraries and their start included; `MB`: peak memory.",
    ...(earlier
      ? [
          "",
          "\\* measured earlier on the same data sets and splits by another script of this project " +
            "(`bench:quality`, scored by scib-metrics with the same definitions), not in the same run; no " +
            "seconds and memory.",
        ]
      : []),
    "",
    "How the methods are run: genes are the 2,000 most variable ones of the reference (scanpy, by " +
      "condition), or all where there are fewer, for every method but CellTypist, SingleR and Seurat, " +
      "which choose their own. scATAC: fragment counts of all peaks, Poisson likelihoods. `ours` is the " +
      "command line with its defaults, which label by the nearest prototype; `classifier on genes` has the " +
      "labels of the same run by `--classifier head`; `published preset` has the published values (100 " +
      "epochs, eta 1, embeddings of 10). scArches 0.6.1: eta 5, embeddings of 5, as in the second row of " +
      "the published preset. scVI and scANVI: scvi-tools, settings of its tutorial on reference mapping. " +
      "Harmony and Scanorama integrate reference and query together, so they see the " +
      "query's cells; all others map or classify it afterwards. Seurat 4.3: the reference's conditions " +
      "are joined by their counts. SingleR: marker genes by Wilcoxon tests. popV: without OnClass. The " +
      "linear SVM is scikit-learn's LinearSVC, as in the paper.",
  ];
  writeFileSync(join(root, "docs/benchmarks/quality.md"), `${text.join("\n")}\n`);
  console.log(differencesSection(rows).join("\n"));
}
