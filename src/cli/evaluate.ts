// scpoli evaluate: scores integrations and label transfer, as a text table, JSON or CSV.
import type { Command } from "commander";
import { writeFile } from "#platform";
import { AnnData } from "../anndata/anndata.js";
import type { RunSettings } from "../contract/options.js";
import { evaluate, type EmbeddingScores, type Evaluation } from "../evaluation/evaluate.js";
import type { LabelTransfer, Roc } from "../evaluation/label-transfer.js";
import {
  biologyMetrics,
  metricNames,
  metricTitles,
  mixingMetrics,
  type Metric,
  type MetricName,
  type ScoreName,
  type Scores,
} from "../evaluation/metrics.js";
import { names, oneName, readableFile, valuesByKey, whole } from "./arguments.js";
import { checkOutputs } from "./outputs.js";
import { writtenText } from "./report.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";
import { counted, listed, percent, table } from "./text.js";

interface EvaluateFlags extends RunFlags {
  readonly embedding?: readonly string[];
  readonly conditionKey?: string;
  readonly cellTypeKey: string;
  readonly unlabeled?: readonly string[];
  readonly before?: string;
  readonly metrics?: readonly string[];
  readonly exactCells?: number;
  readonly pred?: string;
  readonly uncert?: string;
  readonly prob?: string;
  readonly query?: Record<string, readonly string[]>;
  readonly knownTypes?: readonly string[];
  readonly output?: string;
}

export function addEvaluate(program: Command): void {
  const command = program
    .command("evaluate")
    .summary("score an integration and its labels")
    .description(
      "Scores embeddings (biological conservation and mixing of conditions, with scIB's metrics) and " +
        "transferred labels (accuracy, F1, calibration, detection of errors and unknown types).",
    )
    .argument("<file>", `cells with their true types: ${readableFile}`)
    .requiredOption(
      "--cell-type-key <column>",
      "obs column of the true cell types; cells without one are left out",
    )
    .option(
      "--condition-key <column>",
      "obs column of the conditions that should mix; without it only labels are scored",
    )
    .option("--embedding <names>", "obsm keys to compare: X_scpoli,X_pca (default: X_scpoli)", names)
    .option(
      "--before <name>",
      "obsm key of the positions before integration, for PC regression (default: X_pca, else principal " +
        "components computed from the log-normalised counts)",
    )
    .option("--metrics <names>", `metrics to compute: ${metricNames.join(", ")} (default: all)`, names)
    .option(
      "--exact-cells <n>",
      "with more cells than this, some metrics are estimated from random draws, with standard errors " +
        "(default: 50000)",
      whole(100),
    )
    .option(
      "--unlabeled <name>",
      "a name among the cell types that means no label, besides nan, unknown, unassigned and the like " +
        "(may be repeated)",
      oneName,
    )
    .option("-o, --output <file>", "also write the scores as a CSV table");
  addLabelTransferFlags(command).action((path: string, flags: EvaluateFlags) =>
    run(flags, (settings) => evaluateFile(path, flags, settings)),
  );
  addRunFlags(command).addHelpText(
    "after",
    "\nExample:\n  scpoli evaluate patients-mapped.h5ad --embedding X_scpoli,X_pca --condition-key donor " +
      "--cell-type-key cell_type --pred cell_type_pred",
  );
}

function addLabelTransferFlags(command: Command): Command {
  return command
    .optionsGroup("Label transfer:")
    .option("--pred <column>", "obs column of predicted cell types")
    .option(
      "--uncert <column>",
      "obs column of their uncertainty, high if unsure (default: KEY_uncert for KEY_pred)",
    )
    .option("--prob <column>", "obs column of their probability (default: KEY_prob for KEY_pred)")
    .option(
      "--query <key=values>",
      "score the labels of only these cells: donor=p7,p8 (may be repeated)",
      valuesByKey,
    )
    .option(
      "--known-types <names>",
      "cell types that the predictor knows (default: the categories of the predictions)",
      names,
    );
}

async function evaluateFile(path: string, flags: EvaluateFlags, settings: RunSettings): Promise<Result> {
  const {
    embedding,
    conditionKey,
    cellTypeKey,
    unlabeled,
    before,
    metrics,
    exactCells,
    pred,
    uncert,
    prob,
    query,
    knownTypes,
    output,
    force,
  } = flags;
  await checkOutputs({ inputs: [path], table: [output], force });
  const data = await AnnData.open(path);
  try {
    const evaluation = await evaluate(data, {
      ...settings,
      embeddings: embedding,
      conditionKey,
      cellTypeKey,
      unlabeled,
      before,
      metrics: metrics as readonly MetricName[] | undefined,
      exactCells,
      predictionKey: pred,
      uncertaintyKey: uncert,
      probabilityKey: prob,
      query,
      knownTypes,
    });
    if (output !== undefined) await writeFile(output, csv(evaluation, pred));
    const text = evaluationText(path, evaluation, pred);
    return {
      json: output === undefined ? evaluation : { ...evaluation, written: [output] },
      text: output === undefined ? text : `${text}\n\n${writtenText([output])}`,
    };
  } finally {
    data.close();
  }
}

function evaluationText(path: string, evaluation: Evaluation, pred: string | undefined): string {
  const { cells, cell_types, conditions, embeddings, label_transfer, isolated_labels, before, exact } =
    evaluation;
  const head =
    `${path}: ${counted(cells, "cell")}, ${counted(cell_types, "cell type")}` +
    (conditions === null ? "" : `, ${counted(conditions, "condition")}`);
  const lines = [head];
  if (embeddings.length > 0) {
    lines.push("", metricsTable(embeddings), "");
    lines.push(
      "  1 is best. biology, mixing: means of the metrics marked *; overall = 0.6 biology + 0.4 mixing, " +
        "as in the " +
        "paper.",
    );
    lines.push("  overall, k-means: with NMI and ARI of k-means instead of Leiden, without the F1 score.");
    if (isolated_labels)
      lines.push(
        `  Isolated labels (in ${counted(isolated_labels.conditions, "condition")}): ` +
          `${listed(isolated_labels.cell_types, 6)}.`,
      );
    if (before !== null) lines.push(`  Before integration: ${before}.`);
    if (!exact) lines.push("  ±: standard error over five random draws.");
  }
  if (label_transfer) lines.push("", transferText(label_transfer, pred!));
  return lines.join("\n");
}

function metricsTable(embeddings: readonly EmbeddingScores[]): string {
  const rows: string[][] = [];
  const add = (title: string, cell: (scores: EmbeddingScores) => string): void =>
    void rows.push([title, ...embeddings.map(cell)]);
  const metricRows = (names: readonly MetricName[]): void => {
    for (const name of names)
      if (embeddings.some(({ metrics }) => metrics[name]))
        add(`${isInPaper(name) ? "*" : " "} ${metricTitles[name]}`, ({ metrics }) => shown(metrics[name]));
  };
  metricRows(biologyMetrics);
  metricRows(mixingMetrics);
  const score =
    (name: ScoreName, part: "biology" | "mixing" | "overall") =>
    ({ scores }: EmbeddingScores): string =>
      decimal(scores[name][part]);
  add("  biology", score("paper", "biology"));
  add("  mixing", score("paper", "mixing"));
  add("  overall", score("paper", "overall"));
  add("  overall, k-means", score("kmeans", "overall"));
  return table(rows, ["", ...embeddings.map(({ embedding }) => embedding)]);
}

function isInPaper(name: MetricName): boolean {
  return !/^kmeans|lisi$/.test(name);
}

function shown(metric: Metric | undefined): string {
  if (!metric || metric.value === null) return "-";
  return metric.standard_error === null
    ? decimal(metric.value)
    : `${decimal(metric.value)} ± ${decimal(metric.standard_error)}`;
}

function decimal(value: number | null): string {
  return value === null ? "-" : value.toFixed(3);
}

function transferText(transfer: LabelTransfer, pred: string): string {
  const {
    cells,
    cells_of_unknown_types: unknown,
    accuracy,
    weighted_f1,
    macro_f1,
    macro_f1_large,
  } = transfer;
  const lines = [
    `Labels of ${pred}: ${counted(cells, "cell")}` +
      (unknown > 0
        ? `, ${counted(unknown, "cell")} of types unknown to the predictor; accuracy and F1 are of the others`
        : ""),
    "",
  ];
  if (accuracy !== null)
    lines.push(
      `  accuracy ${percent(accuracy)}, weighted F1 ${decimal(weighted_f1)}, macro F1 ${decimal(macro_f1)} ` +
        `(types with 10 cells or more: ${decimal(macro_f1_large)})`,
      "",
    );
  return [...lines, typesText(transfer), ...confusionLines(transfer), ...uncertaintyLines(transfer)].join(
    "\n",
  );
}

function typesText({ types }: LabelTransfer): string {
  return table(
    types.map(({ cell_type, known, cells, predicted, precision, recall, f1 }) => [
      cell_type,
      cells,
      predicted,
      decimal(precision),
      known ? decimal(recall) : "-",
      known ? decimal(f1) : "unknown",
    ]),
    ["cell type", "cells", "predicted", "precision", "recall", "F1"],
  );
}

function confusionLines(transfer: LabelTransfer): string[] {
  const confused = confusions(transfer)
    .slice(0, 3)
    .map(({ truth, predicted, cells }) => `${truth} labelled ${predicted} (${cells})`);
  return confused.length > 0 ? ["", `  Most often confused: ${confused.join(", ")}.`] : [];
}

/** Calibration of the probabilities, detection of errors and unknown types, and the unknown flags. */
function uncertaintyLines({
  calibration,
  errors_by_uncertainty,
  unknown_types_by_uncertainty,
  unknown_types_by_novelty,
  flags,
}: LabelTransfer): string[] {
  const lines: string[] = [];
  if (calibration)
    lines.push(
      "",
      `  Probabilities: expected calibration error ${decimal(calibration.expected_calibration_error)}.`,
    );
  if (errors_by_uncertainty) lines.push(`  Wrong labels by uncertainty: ${rocText(errors_by_uncertainty)}.`);
  if (unknown_types_by_novelty)
    lines.push(`  Cells of unknown types by novelty score: ${rocText(unknown_types_by_novelty)}.`);
  else if (unknown_types_by_uncertainty)
    lines.push(`  Cells of unknown types by uncertainty: ${rocText(unknown_types_by_uncertainty)}.`);
  if (flags)
    lines.push(
      `  Flagged unknown: ${counted(flags.flagged, "cell")}, ${flags.wrong} of them with a wrong label` +
        (flags.unknown_found === null
          ? "."
          : `; ${percent(flags.unknown_found)} of the cells of unknown types.`),
    );
  return lines;
}

function rocText({ auroc, positives }: Roc): string {
  return `AUROC ${decimal(auroc)} (${counted(positives, "cell")} to detect)`;
}

/** Confused pairs of types, most frequent first. */
function confusions({ confusion }: LabelTransfer): { truth: string; predicted: string; cells: number }[] {
  return confusion.truth
    .flatMap((truth, row) =>
      confusion.predicted.map((predicted, column) => ({
        truth,
        predicted,
        cells: confusion.cells[row]![column]!,
      })),
    )
    .filter(({ truth, predicted, cells }) => truth !== predicted && cells > 0)
    .sort((a, b) => b.cells - a.cells);
}

/** One score per line. `name` is the embedding, the prediction's column or the cell type. */
function csv({ embeddings, label_transfer: labels }: Evaluation, pred: string | undefined): string {
  const rows: (string | number | null)[][] = [["part", "name", "metric", "value", "standard_error"]];
  for (const { embedding, metrics, scores } of embeddings) {
    for (const [name, { value, standard_error }] of Object.entries(metrics))
      rows.push(["embedding", embedding, name, value, standard_error]);
    for (const [name, { biology, mixing, overall }] of Object.entries<Scores>(scores))
      for (const [part, value] of Object.entries({ biology, mixing, overall }))
        rows.push(["embedding", embedding, `${part}_${name}`, value, null]);
  }
  if (labels) {
    const {
      accuracy,
      weighted_f1,
      macro_f1,
      macro_f1_large,
      cells,
      cells_of_unknown_types,
      calibration,
      errors_by_uncertainty,
      unknown_types_by_uncertainty,
      unknown_types_by_novelty,
      types,
    } = labels;
    const numbers = {
      cells,
      cells_of_unknown_types,
      accuracy,
      weighted_f1,
      macro_f1,
      macro_f1_large,
      expected_calibration_error: calibration?.expected_calibration_error ?? null,
      auroc_errors: errors_by_uncertainty?.auroc ?? null,
      auroc_unknown_types: unknown_types_by_uncertainty?.auroc ?? null,
      auroc_unknown_types_by_novelty: unknown_types_by_novelty?.auroc ?? null,
    };
    for (const [name, value] of Object.entries(numbers)) rows.push(["labels", pred!, name, value, null]);
    for (const { cell_type, cells, predicted, precision, recall, f1 } of types)
      for (const [name, value] of Object.entries({ cells, predicted, precision, recall, f1 }))
        rows.push(["cell type", cell_type, name, value, null]);
  }
  return rows.map((row) => `${row.map((field) => quoted(field)).join(",")}\n`).join("");
}

function quoted(field: string | number | null): string {
  const text = field === null ? "" : String(field);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
