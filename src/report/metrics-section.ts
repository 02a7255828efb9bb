// The output of `scpoli evaluate --json` as figures: metrics of each embedding, and of transferred labels by
// cell type.
import type { Evaluation } from "../evaluation/evaluate.js";
import { metricTitles, type MetricName } from "../evaluation/metrics.js";
import { ScPoliError } from "../contract/errors.js";
import { heatMap } from "../plots/heat-map.js";
import { factsHtml } from "./sections.js";
import { figure, figures, foldedTable } from "./html.js";
import { transferFigures } from "./transfer-figures.js";

/** @throws ScPoliError "format" if `metrics` is anything but the output of `scpoli evaluate --json` */
export function metricsHtml(metrics: unknown): string {
  if (metrics === undefined) return "";
  const { embeddings, label_transfer: transfer } = checked(metrics);
  const names = embeddings.map(({ embedding }) => embedding);
  const rows = [...new Set(embeddings.flatMap((result) => Object.keys(result.metrics)))] as MetricName[];
  const overall = embeddings.map(({ embedding, scores }): [string, string] => [
    `${embedding}, overall (0.6 biology + 0.4 mixing)`,
    formatted(scores.paper.overall),
  ]);
  const labels: [string, string][] = transfer
    ? [
        ["labels, accuracy", formatted(transfer.accuracy)],
        ["labels, weighted F1", formatted(transfer.weighted_f1)],
        ["labels, macro F1", formatted(transfer.macro_f1)],
      ]
    : [];
  const map = heatMap({
    title: "Metrics of the integration",
    rows: rows.map((name) => metricTitles[name] ?? name),
    columns: names,
    rowLabel: "metric",
    columnLabel: "embedding",
    values: rows.map((name) => embeddings.map((result) => result.metrics[name]?.value ?? NaN)),
    range: [0, 1],
    legend: "scaled metric, 1 is best (grey: not defined)",
  });
  const types =
    transfer &&
    foldedTable("Table: transferred labels by cell type", {
      columns: ["cell type", "cells", "predicted", "precision", "recall", "F1"],
      rows: transfer.types.map(({ cell_type, cells, predicted, precision, recall, f1 }) => [
        cell_type,
        cells,
        predicted,
        precision ?? "",
        recall ?? "",
        f1,
      ]),
    });
  return [
    factsHtml([...overall, ...labels]),
    rows.length > 0 && names.length > 0 ? figure(map) : "",
    types ?? "",
    transfer ? figures(transferFigures(transfer, "evaluated labels", false)) : "",
  ].join("");
}

function checked(metrics: unknown): Evaluation {
  const { embeddings, label_transfer } = (
    typeof metrics === "object" && metrics !== null ? metrics : {}
  ) as Partial<Evaluation>;
  const isWhole =
    Array.isArray(embeddings) &&
    embeddings.every(
      (result) => typeof result?.metrics === "object" && typeof result.scores?.paper === "object",
    ) &&
    (label_transfer === null || Array.isArray(label_transfer?.types));
  if (!isWhole)
    throw new ScPoliError(
      "format",
      "The metrics are not the output of `scpoli evaluate --json`: expected embeddings with their metrics " +
        "and scores, and label_transfer.",
    );
  return metrics as Evaluation;
}

function formatted(value: number | null | undefined): string {
  return typeof value === "number" ? value.toFixed(3) : "not defined";
}
