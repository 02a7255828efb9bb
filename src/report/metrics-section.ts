// What `scpoli evaluate --json` has printed, as figures: metrics of each embedding, and of transferred labels
// by cell type.
import type { Evaluation } from "../evaluation/evaluate.js";
import { metricTitles, type MetricName } from "../evaluation/metrics.js";
import { ScPoliError } from "../contract/errors.js";
import { heatMap } from "../plots/heat-map.js";
import { factsHtml } from "./sections.js";
import { figure, figures, foldedTable } from "./html.js";
import { transferFigures } from "./transfer-figures.js";

/** @throws ScPoliError "format" where it is something else */
export function metricsHtml(metrics: unknown): string {
  if (metrics === undefined) return "";
  const { embeddings, label_transfer: transfer } = checked(metrics);
  const names = embeddings.map(({ embedding }) => embedding);
  const rows = [...new Set(embeddings.flatMap((own) => Object.keys(own.metrics)))] as MetricName[];
  const overall = embeddings.map(({ embedding, scores }): [string, string] => [
    `${embedding}, overall (0.6 biology + 0.4 mixing)`,
    written(scores.paper.overall),
  ]);
  const labels: [string, string][] = transfer
    ? [
        ["labels, accuracy", written(transfer.accuracy)],
        ["labels, weighted F1", written(transfer.weighted_f1)],
        ["labels, macro F1", written(transfer.macro_f1)],
      ]
    : [];
  const map = heatMap({
    title: "Metrics of the integration",
    rows: rows.map((name) => metricTitles[name] ?? name),
    columns: names,
    rowLabel: "metric",
    columnLabel: "embedding",
    values: rows.map((name) => embeddings.map((own) => own.metrics[name]?.value ?? NaN)),
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
  return `${factsHtml([...overall, ...labels])}${rows.length > 0 && names.length > 0 ? figure(map) : ""}${types ?? ""}${transfer ? figures(transferFigures(transfer, "evaluated labels", false)) : ""}`;
}

function checked(metrics: unknown): Evaluation {
  const { embeddings, label_transfer } = (
    typeof metrics === "object" && metrics !== null ? metrics : {}
  ) as Partial<Evaluation>;
  const isWhole =
    Array.isArray(embeddings) &&
    embeddings.every((own) => typeof own?.metrics === "object" && typeof own.scores?.paper === "object") &&
    (label_transfer === null || Array.isArray(label_transfer?.types));
  if (!isWhole)
    throw new ScPoliError(
      "format",
      "The metrics are not what `scpoli evaluate --json` prints: embeddings with their metrics and scores, and label_transfer, were expected.",
    );
  return metrics as Evaluation;
}

function written(value: number | null | undefined): string {
  return typeof value === "number" ? value.toFixed(3) : "not defined";
}
