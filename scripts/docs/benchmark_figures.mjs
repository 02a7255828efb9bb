// Draws the figures of docs/benchmarks/ from bench/results/, and writes the first paragraphs of its pages and
// the tables of evaluation.md. Needs the build.
//
//   node scripts/docs/benchmark_figures.mjs [--check]
//
// With --check nothing is written, and any difference is an error.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import Papa from "papaparse";
import {
  barChart,
  groupColour,
  heatMap,
  lineChart,
  scatterPlot,
  standaloneSvg,
} from "../../dist/plots/index.js";
import { summaries } from "./benchmark_summaries.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const isCheck = process.argv.includes("--check");

/** Rows of bench/results/NAME.csv; numbers are numbers, empty cells null. */
function rowsOf(name) {
  const text = readFileSync(join(root, "bench/results", `${name}.csv`), "utf8");
  return Papa.parse(text, { header: true, dynamicTyping: true, skipEmptyLines: "greedy" }).data;
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const unique = (values) => [...new Set(values)];
/** Means of figures over the rows of each name. */
const meansByName = (rows, names, figures) =>
  names.map((name) => {
    const named = rows.filter((row) => row.name === name);
    return figures.map((figure) => mean(named.map((row) => row[figure]).filter(isNumber)));
  });

function put(path, text) {
  const file = join(root, path);
  if (existsSync(file) && readFileSync(file, "utf8") === text) return;
  if (isCheck) {
    console.error(`${path} is not what bench/results/ gives. Run \`npm run docs:figures\`.`);
    process.exitCode = 1;
  } else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(path);
  }
}

const save = (name, plot) => put(`docs/benchmarks/figures/${name}.svg`, `${standaloneSvg(plot)}\n`);

labels();
unknown();
speed();
scale();
loss();
likelihoods();
modalities();
browser();
defaults();
comparisons();
costs();
scaleOut();
rounds();
cluster();
evaluation();
summarise();

/** Means over the seeds of the default training, a row per rule. */
function labels() {
  const rows = rowsOf("labels").filter(({ training }) => training === "default");
  const sets = unique(rows.map(({ set }) => set));
  const methods = unique(rows.map(({ method }) => method));
  save(
    "labels",
    heatMap({
      title: "Macro F1 of labels by different rules, types with at least 10 query cells",
      rows: methods.map((method) =>
        method
          .replace(/^(nearest prototype|head), votes of 15 query neighbours$/, "$1, votes of 15")
          .replace("five prototypes per type", "5 prototypes per type"),
      ),
      columns: sets,
      rowLabel: "rule",
      columnLabel: "data set",
      values: methods.map((method) =>
        sets.map((set) =>
          mean(
            rows
              .filter((row) => row.set === set && row.method === method)
              .map((row) => row.macro_f1_of_types_with_10_cells),
          ),
        ),
      ),
      range: [0.4, 1],
      legend: "macro F1",
    }),
  );
}

/** Each left-out type: how well novelty ranks it, and how many of its cells are flagged. */
function unknown() {
  const rows = rowsOf("unknown").filter((row) => row.left_out);
  const names = unique(rows.map((row) => `${row.set}/${row.left_out}`));
  const sets = unique(rows.map(({ set }) => set));
  const meanOf = (name, figure) =>
    mean(rows.filter((row) => `${row.set}/${row.left_out}` === name).map((row) => row[figure]));
  save(
    "unknown",
    scatterPlot({
      title: "Cell types left out of the reference",
      x: "AUROC of the novelty",
      y: "share of the type's cells that is flagged",
      xScale: { range: [0.5, 1] },
      yScale: { range: [0, 1] },
      legend: "data set",
      groups: sets,
      points: names.map((name) => ({
        name: name.slice(name.indexOf("/") + 1),
        x: meanOf(name, "auroc"),
        y: meanOf(name, "found"),
        value: sets.indexOf(name.slice(0, name.indexOf("/"))),
      })),
    }),
  );
}

/** Training speed of each program at the published width and at the default one. */
function speed() {
  const rows = rowsOf("speed");
  const median = (what) => {
    const row = rows.find((one) => one.what === what);
    if (!row) throw new Error(`bench/results/speed.csv has no row '${what}'.`);
    return row.median;
  };
  const runs = [64, 128].flatMap((units) =>
    ["scArches", "ours plain", "ours relaxed"].flatMap((program) =>
      ["pretraining", "fine-tuning"].map((phase) => ({ units, program, phase })),
    ),
  );
  save(
    "speed",
    barChart({
      title: "Training speed on two cores, 4,000 genes (plain, relaxed: ours)",
      rows: runs.map(({ units, program, phase }) => `${units}, ${program.replace("ours ", "")}: ${phase}`),
      rowLabel: "units, program",
      label: "cells per second",
      legend: "",
      parts: [
        {
          name: "median of the rounds",
          values: runs.map(({ units, program, phase }) => median(`${program}, ${units} units, ${phase}`)),
        },
      ],
    }),
  );
}

/** Peak memory by number of cells: nearly constant if counts are streamed. */
function scale() {
  const rows = rowsOf("scale");
  const series = [
    ["training, streamed", "train, streamed: an epoch of pretraining"],
    ["mapping, streamed", "map, streamed"],
    ["embedding", "embed"],
    ["conversion", "convert"],
    ["Python's anndata reads X at once", "Python's anndata reads X, all at once"],
  ].map(([name, what], i) => ({
    name,
    colour: groupColour(i),
    isDotted: true,
    points: rows
      .filter((row) => row.what === what)
      .map((row) => [row.cells, row.peak_mb])
      .sort(([a], [b]) => a - b),
  }));
  save(
    "scale-memory",
    lineChart({
      title: "Peak memory by number of cells (4,000 genes)",
      x: { label: "cells", logBase: 10 },
      y: {
        label: "peak memory (MB)",
        range: [0, Math.max(...series.flatMap(({ points }) => points.map(([, mb]) => mb)))],
      },
      legend: "step",
      series,
    }),
  );
  const perSecond = [
    ["training, an epoch of pretraining", "train, streamed: an epoch of pretraining"],
    ["training, an epoch of fine-tuning", "train, streamed: an epoch of fine-tuning"],
    ["mapping, everything included", "map, streamed"],
    ["embedding", "embed"],
  ].map(([name, what], i) => ({
    name,
    colour: groupColour(i),
    isDotted: true,
    points: rows
      .filter((row) => row.what === what && row.seconds > 0)
      .map((row) => [row.cells, row.cells / row.seconds])
      .sort(([a], [b]) => a - b),
  }));
  save(
    "scale-speed",
    lineChart({
      title: "Cells per second by number of cells (4,000 genes, two threads)",
      x: { label: "cells", logBase: 10 },
      y: { label: "cells per second" },
      legend: "step",
      series: perSecond,
    }),
  );
}

function loss() {
  const rows = rowsOf("loss");
  save(
    "loss",
    barChart({
      title: "Training step by network and prototype loss, one thread",
      rows: rows.map(({ hidden, latent, loss: kind }) => `${hidden} / ${latent}: ${kind}`),
      rowLabel: "hidden units / latent space, loss",
      label: "cells per second",
      legend: "",
      parts: [{ name: "cells per second", values: rows.map((row) => row.cells_per_second) }],
    }),
  );
}

function likelihoods() {
  const rows = rowsOf("likelihoods").filter((row) => row.build === "plain" && row.likelihood !== "nb");
  const nameOf = ({ program, hidden, threads }) =>
    `${program.replace(" step", "")}, ${hidden} units x ${threads}`;
  const names = unique(rows.map(nameOf));
  const kinds = unique(rows.map((row) => row.likelihood));
  save(
    "likelihoods",
    heatMap({
      title: "Speed of the likelihoods, relative to nb",
      rows: names,
      columns: kinds,
      rowLabel: "program, width x threads",
      columnLabel: "likelihood",
      values: names.map((name) =>
        kinds.map(
          (kind) => rows.find((row) => nameOf(row) === name && row.likelihood === kind)?.ratio_to_nb ?? NaN,
        ),
      ),
      range: [0.5, 1.6],
      legend: "cells per second over those of nb",
    }),
  );
}

/** The name of a configuration, shortened to fit an axis. */
function shortened(name) {
  return name
    .replace(/^\w+, /, "")
    .replace("others on all 10,000 peaks: ", "")
    .replace(", all 10,000 peaks", "")
    .replace(", the 2,000 most accessible peaks", ", 2,000")
    .replace(", only the 2,000 most variable peaks", ", 2,000")
    .replace(", types weighted alike", ", balanced")
    .replace("on fragments", "fragments")
    .replace("on reads", "reads")
    .replace("conditions are ", "")
    .replace("nearest prototype", "prototype");
}

function modalities() {
  const all = rowsOf("modalities").map((row) => ({ ...row, name: `${row.configuration}: ${row.labels}` }));
  for (const [kind, title] of [
    ["atac", "scATAC, bone marrow: one donor labelled by the other"],
    ["species", "Primates: human cells labelled by gorilla and macaque"],
  ]) {
    const rows = all.filter(({ configuration }) => configuration.startsWith(kind));
    const names = unique(rows.map(({ name }) => name));
    const figures = ["accuracy", "macro_f1", "weighted_f1"];
    save(
      `modalities-${kind}`,
      heatMap({
        title,
        rows: names.map(shortened),
        columns: ["accuracy", "macro F1", "weighted F1"],
        rowLabel: "configuration",
        columnLabel: "figure",
        values: meansByName(rows, names, figures),
        range: [0.3, 1],
        legend: "mean of the seeds",
      }),
    );
  }
}

function browser() {
  const text = readFileSync(join(root, "bench/results/browser.csv"), "utf8").split("\n\n")[0];
  const rows = Papa.parse(text, { header: true, dynamicTyping: true, skipEmptyLines: "greedy" }).data;
  save(
    "browser",
    barChart({
      title: "In Node and in Chromium, 16,000 cells x 4,000 genes, two threads",
      rows: rows.flatMap((row) => [
        `${row.where}, ${row.simd}: training`,
        `${row.where}, ${row.simd}: mapping`,
      ]),
      rowLabel: "where",
      label: "cells per second",
      legend: "",
      parts: [
        {
          name: "median of the rounds",
          values: rows.flatMap((row) => [row.training_cells_per_s, row.mapping_cells_per_s]),
        },
      ],
    }),
  );
}

/** Means of every variant over the left-out groups that all of them have: prototypes' labels, integration. */
function defaults() {
  const rows = rowsOf("defaults").map((row) => ({ ...row, group: `${row.set}, ${row.left_out}` }));
  const variants = unique(rows.map(({ variant }) => variant));
  const groupsOf = (name) =>
    new Set(rows.filter(({ variant }) => variant === name).map(({ group }) => group));
  const common = variants
    .map(groupsOf)
    .reduce((all, groups) => new Set([...all].filter((group) => groups.has(group))));
  const meanOf = (name, figure) => {
    const shown = rows.filter(({ variant, group }) => variant === name && common.has(group));
    const ofSet = (set) => mean(shown.filter((row) => row.set === set).map((row) => row[figure]));
    return mean(unique(shown.map(({ set }) => set)).map(ofSet));
  };
  const losses = ["distance", "cross-entropy", "both"];
  save(
    "defaults",
    scatterPlot({
      title: `Variants of the defaults (weights, width, ...), means over ${common.size} left-out groups`,
      x: "macro F1 of the nearest prototype",
      y: "integration",
      legend: "prototype loss",
      groups: losses,
      openMeans: "with early stopping",
      points: variants.map((variant) => ({
        name: variant
          .replace(/^(distance|cross-entropy|both) /, "")
          .replace(/, no early stopping|, 128/g, ""),
        x: meanOf(variant, "prototype_macro_f1"),
        y: meanOf(variant, "integration"),
        value: losses.findIndex((loss) => variant.startsWith(loss)),
        isOpen: !variant.includes("no early stopping"),
      })),
    }),
  );
}

/** Ranks of known interferon-induced genes among the tested genes of each type. */
function comparisons() {
  const answers = JSON.parse(readFileSync(join(root, "bench/results/answers.json"), "utf8"));
  const types = answers.comparison.numbers.rows.filter(({ induced }) => induced?.length > 0);
  const genes = unique(types.flatMap(({ induced }) => induced.map(({ gene }) => gene)));
  save(
    "interferon",
    heatMap({
      title: "Interferon-beta against control: rank of known interferon-induced genes",
      rows: genes,
      columns: types.map(({ type }) => type),
      rowLabel: "gene",
      columnLabel: "cell type",
      values: genes.map((gene) =>
        types.map(({ induced }) => induced.find((one) => one.gene === gene)?.rank ?? NaN),
      ),
      range: [1, 100],
      legend: "rank by P among the genes tested",
      write: String,
    }),
  );
}

/** Measured and predicted seconds of each run. */
function costs() {
  const rows = rowsOf("costs-predicted");
  const groups = ["small runs, fitted", "large runs, fitted", "large runs, not seen by the fit"];
  const groupOf = ({ kind, fitted }) => (kind === "small run" ? 0 : fitted === "yes" ? 1 : 2);
  save(
    "costs",
    scatterPlot({
      title: "Time predicted by scpoli plan",
      x: "measured processor time (s)",
      y: "predicted processor time (s)",
      xScale: { logBase: 10 },
      yScale: { logBase: 10 },
      legend: "run",
      groups,
      points: rows.map((row) => ({
        name: "",
        x: row.seconds,
        y: row.predicted_seconds,
        value: groupOf(row),
      })),
    }),
  );
}

/** Simulated hours by number of nodes. */
function scaleOut() {
  const rows = rowsOf("scale-out")
    .filter(({ kind }) => kind === "simulated hours")
    .map(({ what, value }) => ({
      ...what.match(/(?<run>\d+ cores, \d+ epochs), (?<nodes>\d+) .*, (?<way>.*)/).groups,
      value,
    }))
    .filter(({ way }) => way === "one job");
  save(
    "scale-out",
    lineChart({
      title: "Simulated training of 7.8 million cells",
      x: { label: "nodes", logBase: 2 },
      y: { label: "hours", logBase: 10 },
      legend: "cores per node, epochs",
      series: unique(rows.map(({ run }) => run)).map((run, i) => ({
        name: run,
        colour: groupColour(i),
        isDotted: true,
        points: rows.filter((row) => row.run === run).map((row) => [Number(row.nodes), row.value]),
      })),
    }),
  );
}

/** Training in rounds beside training on one machine; means over the seeds. */
function rounds() {
  const nameOf = ({ set, shards, by, outer, rounds: number, fine_tuning, passes, federated }) => {
    if (shards === 1) return `${set}, one machine`;
    const unusual = [
      by !== "conditions" && by,
      outer !== "mean" && outer,
      fine_tuning !== Math.ceil(number / 2) && `${fine_tuning} of fine-tuning`,
      passes !== 1.5 && `${passes} pass${passes === 1 ? "" : "es"}`,
      String(federated) === "true" && "federated",
    ].filter(Boolean);
    return [`${set}, ${shards} x ${number}`, ...unusual].join(", ");
  };
  const rows = rowsOf("rounds").map((row) => ({ ...row, name: nameOf(row) }));
  const names = unique(rows.map(({ name }) => name));
  const figures = [
    "prototype_accuracy",
    "prototype_macro_f1",
    "head_accuracy",
    "head_macro_f1",
    "integration",
  ];
  save(
    "rounds",
    heatMap({
      title: "Training in rounds, on left-out conditions",
      rows: names,
      columns: ["prototype accuracy", "prototype F1", "classifier accuracy", "classifier F1", "integration"],
      rowLabel: "data, shards x rounds",
      columnLabel: "score",
      values: meansByName(rows, names, figures),
      range: [0.4, 1],
      legend: "mean of the seeds",
    }),
  );
}

/** Seconds of the disturbed run and its jobs. */
function cluster() {
  const rows = rowsOf("cluster");
  const bars = [
    ["whole run, disturbed", "seconds of the workflow"],
    ["training alone, no scheduler", "seconds of the undisturbed training"],
    ["a job waits (median)", "median seconds of a job in the queue, on one node"],
    ["a job runs (median)", "median seconds of a job"],
  ];
  save(
    "cluster",
    barChart({
      title: "A disturbed run on a Slurm cluster of one node",
      rows: bars.map(([name]) => name),
      rowLabel: "part",
      label: "seconds",
      legend: "",
      parts: [
        {
          name: "seconds",
          values: bars.map(([, what]) => rows.find((row) => row.what === what)?.value ?? NaN),
        },
      ],
    }),
  );
}

/** Replaces the first paragraph of pages by what the results say. */
function summarise() {
  const valueOf = (name) => JSON.parse(readFileSync(join(root, `bench/results/${name}.json`), "utf8"));
  for (const [page, summary] of Object.entries(summaries(rowsOf, valueOf))) {
    const path = `docs/benchmarks/${page}.md`;
    const text = readFileSync(join(root, path), "utf8");
    put(
      path,
      text.replace(/^(# .*\n\n)[\s\S]*?(?=\n\n)/, (_, title) => title + wrapped(summary)),
    );
  }
}

/** Lines of at most 110 characters. */
function wrapped(text) {
  return text.replace(/(.{1,110})(?: |$)/g, "$1\n").trimEnd();
}

/** The figure and the tables of evaluation.md, between the lines that mark them. */
function evaluation() {
  const compared = rowsOf("metrics");
  const latents = unique(compared.map(({ latent }) => latent));
  save(
    "metrics",
    scatterPlot({
      title: "Metrics beside scib-metrics and scib, three latent spaces",
      x: "scib-metrics or scib",
      y: "scpoli",
      xScale: { range: [0, 1] },
      yScale: { range: [0, 1] },
      legend: "latent space",
      groups: latents,
      points: compared
        .filter(({ ours, reference }) => isNumber(ours) && isNumber(reference))
        .map((row) => ({ name: "", x: row.reference, y: row.ours, value: latents.indexOf(row.latent) })),
    }),
  );
  replaceTables("docs/benchmarks/evaluation.md", {
    "Beside scib-metrics": metricsTable(compared, latents),
    Speed: evaluationTimes(),
    "Sampling beyond 50,000 cells": samplingTable(),
  });
}

function threeDigits(value) {
  return isNumber(value) ? value.toFixed(3) : "";
}

function metricsTable(compared, latents) {
  const rowOf = (latent, metric) => compared.find((row) => row.latent === latent && row.metric === metric);
  const largest = (metric) => {
    const most = Math.max(...latents.map((latent) => Math.abs(rowOf(latent, metric)?.difference ?? 0)));
    return most < 1e-6 ? "< 1e-6" : most.toExponential(1);
  };
  return [
    `| metric | ${latents.map((latent) => `${latent}: ours, reference`).join(" | ")} | largest difference |`,
    `|${" --- |".repeat(latents.length + 2)}`,
    ...unique(compared.map(({ metric }) => metric)).map((metric) => {
      const pairs = latents.map((latent) => {
        const row = rowOf(latent, metric);
        return row ? `${threeDigits(row.ours)}, ${threeDigits(row.reference)}` : "";
      });
      return `| \`${metric}\` | ${pairs.join(" | ")} | ${largest(metric)} |`;
    }),
  ];
}

function evaluationTimes() {
  return [
    "| what | ours, s | scib-metrics, s | ratio |",
    "| --- | --- | --- | --- |",
    ...rowsOf("evaluate").map(
      (row) =>
        `| ${row.what} | ${threeDigits(row.ours_seconds)} | ${threeDigits(row.scib_metrics_seconds)} | ` +
        `${isNumber(row.ratio) ? row.ratio.toFixed(1) : ""} |`,
    ),
  ];
}

function samplingTable() {
  return [
    "| metric | exact | sampled | standard error |",
    "| --- | --- | --- | --- |",
    ...rowsOf("evaluate-sampling").map(
      (row) =>
        `| \`${row.metric}\` | ${row.exact.toFixed(4)} | ${row.sampled.toFixed(4)} | ` +
        `${isNumber(row.standard_error) ? row.standard_error.toFixed(4) : ""} |`,
    ),
  ];
}

/** Replaces the table under each heading of a page. @param tables - lines by heading */
function replaceTables(path, tables) {
  let text = readFileSync(join(root, path), "utf8");
  for (const [heading, table] of Object.entries(tables)) {
    const section = new RegExp(
      `(^## ${heading}\\n[\\s\\S]*?)^\\|[\\s\\S]*?(?=\\n\\n|\\n$|$(?![\\s\\S]))`,
      "m",
    );
    if (!section.test(text)) throw new Error(`${path} has no table under "${heading}"`);
    text = text.replace(section, (_, before) => before + table.join("\n"));
  }
  put(path, text);
}
