// The sections of a report on cells and training: facts, verdict, composition, label transfer, uncertainty,
// and training curves.
import type { EpochLosses } from "../contract/options.js";
import { heatMap } from "../plots/heat-map.js";
import { barChart, histogram } from "../plots/bar-charts.js";
import { lineChart, type Series } from "../plots/line-chart.js";
import { typeColour, typeNumber, unknownColour } from "../plots/palette.js";
import { escapeText, type Plot } from "../plots/svg.js";
import { verdictWords, type Verdict } from "../mapping/verdict.js";
import {
  typesOfLevels,
  type Groups,
  type LevelCells,
  type QueryCells,
  type ReferenceCells,
} from "./cells.js";
import { figure, figures, tableHtml } from "./html.js";
import { scoreLevel, transferFigures } from "./transfer-figures.js";

export function factsHtml(facts: readonly (readonly [name: string, value: string])[]): string {
  const items = facts.map(
    ([name, value]) => `<div><dt>${escapeText(name)}</dt><dd>${escapeText(value)}</dd></div>`,
  );
  return `<dl class="facts">${items.join("")}</dl>`;
}

/** A disc, a triangle, a square. */
const lightShapes = { green: "\u25cf", amber: "\u25b2", red: "\u25a0" } as const;

/** A traffic light in words, shapes and colours, with its reasons. */
export function verdictHtml({ light, reasons }: Verdict): string {
  const badge = (of: Verdict["light"]): string =>
    `<span class="light ${of}">${lightShapes[of]} ${verdictWords[of].word}</span>`;
  const items = reasons
    .map((reason) => `<li>${badge(reason.light)}<span>${escapeText(reason.text)}</span></li>`)
    .join("");
  const summary = `<p>${badge(light)}: ${verdictWords[light].sentence}.</p>`;
  return `<div class="verdict ${light}">${summary}<ul>${items}</ul></div>`;
}

/** Maximum number of rows in a composition chart. */
const mostRows = 80;

/** Cell types per condition: the query by prediction, the reference by label. */
export function compositionHtml(reference: ReferenceCells | null, query: QueryCells | null): string {
  const plots: Plot[] = [];
  const levels = typesOfLevels(reference, query);
  const add = (
    source: string,
    condition: Groups & { readonly key: string },
    types: Groups,
    legend: string,
  ): void => {
    const counts = types.names.map(() => new Array<number>(condition.names.length).fill(0));
    condition.codes.forEach((code, cell) => {
      const type = types.codes[cell]!;
      if (code >= 0 && type >= 0) counts[type]![code]!++;
    });
    const shown = condition.names
      .map((_, row) => row)
      .filter((row) => counts.some((typeCounts) => typeCounts[row]! > 0))
      .slice(0, mostRows);
    if (shown.length === 0) return;
    const more = condition.names.length > mostRows ? `, first ${mostRows} of ${condition.names.length}` : "";
    plots.push(
      barChart({
        title: `Composition of the ${source} by ${condition.key}${more}`,
        rows: shown.map((row) => condition.names[row]!),
        rowLabel: condition.key,
        label: "share of cells",
        legend,
        isShare: true,
        parts: types.names
          .map((name, type) => ({
            name,
            colour:
              name === unknownName ? unknownColour("light") : typeColour("light", typeNumber(levels, name)),
            values: shown.map((row) => counts[type]![row]!),
          }))
          .filter(({ values }) => values.some((value) => value > 0)),
      }),
    );
  };
  for (const condition of query?.conditions ?? [])
    for (const level of query!.levels) add("query", condition, flagged(level), `predicted ${level.key}`);
  for (const condition of reference?.conditions ?? [])
    for (const labels of reference!.labels) add("reference (landmarks)", condition, labels, labels.key);
  return figures(plots);
}

const unknownName = "unknown";

/** The predicted types, with flagged cells as one more group, as on the web page. */
function flagged({ types, predicted, unknown }: LevelCells): Groups {
  return {
    names: [...types, unknownName],
    codes: predicted.map((code, cell) => (unknown[cell] === 1 ? types.length : code)),
  };
}

/** Given labels against predictions if the file has labels; otherwise counts of predictions. */
export function labelTransferHtml(levels: readonly LevelCells[]): string {
  return levels
    .map((level) => (level.given ? flowHtml(level, level.given) : figure(predictedCounts(level))))
    .join("");
}

function predictedCounts({ key, types, predicted, unknown }: LevelCells): Plot {
  const count = (flag: number): number[] =>
    types.map((_, type) =>
      predicted.reduce((sum, code, cell) => sum + (code === type && unknown[cell] === flag ? 1 : 0), 0),
    );
  const [kept, flagged] = [count(0), count(1)];
  const shown = types
    .map((_, type) => type)
    .filter((type) => kept[type]! + flagged[type]! > 0)
    .sort((a, b) => kept[b]! + flagged[b]! - kept[a]! - flagged[a]!);
  return barChart({
    title: `Predicted ${key}`,
    rows: shown.map((type) => types[type]!),
    rowLabel: key,
    label: "cells",
    legend: "cells",
    parts: [
      { name: "kept", values: shown.map((type) => kept[type]!) },
      { name: unknownName, colour: unknownColour("light"), values: shown.map((type) => flagged[type]!) },
    ],
  });
}

function flowHtml(level: LevelCells, given: Groups): string {
  const { key, types, predicted, unknown } = level;
  const counts = given.names.map(() => new Array<number>(types.length + 1).fill(0));
  let [right, labelled] = [0, 0];
  given.codes.forEach((label, cell) => {
    if (label < 0) return;
    labelled++;
    if (given.names[label] === types[predicted[cell]!]) right++;
    counts[label]![unknown[cell] === 1 ? types.length : predicted[cell]!]!++;
  });
  const rows = given.names.map((_, row) => row).filter((row) => counts[row]!.some((n) => n > 0));
  const columns = [...types, unknownName]
    .map((_, column) => column)
    .filter((column) => rows.some((row) => counts[row]![column]! > 0));
  const total = (row: number): number => counts[row]!.reduce((sum, n) => sum + n, 0);
  const names = [...types, unknownName];
  const plot = heatMap({
    title: `From label to prediction: ${key}`,
    rows: rows.map((row) => `${given.names[row]} (${total(row).toLocaleString("en-US")})`),
    columns: columns.map((column) => names[column]!),
    rowLabel: "label (cells)",
    columnLabel: "prediction",
    values: rows.map((row) => columns.map((column) => counts[row]![column]! / total(row))),
    range: [0, 1],
    legend: "share of the label's cells",
    write: (share) => (share === 0 ? "0" : `${Math.round(100 * share)} %`),
    tell: (i, j) => {
      const [row, column] = [rows[i]!, columns[j]!];
      return `${given.names[row]} to ${names[column]}: ${counts[row]![column]} cells`;
    },
  });
  const percent = ((100 * right) / Math.max(1, labelled)).toFixed(1);
  return [
    `<p>The file contains labels at the level ${escapeText(key)}. The prediction agrees for `,
    `${right.toLocaleString("en-US")} of ${labelled.toLocaleString("en-US")} cells (${percent} %, including `,
    "cells flagged unknown).</p>",
    figure(plot),
    figures(transferFigures(scoreLevel(level, given), key, level.uncertaintyBy !== "distance")),
  ].join("");
}

/** Clusters of the query, their novelty scores, and the genes behind them. */
export function clustersHtml(clusters: QueryCells["clusters"]): string {
  const shown = clusters.filter(({ cells }) => cells > 0);
  if (shown.length === 0) return "";
  const rows = shown.map((summary) => [
    summary.cluster,
    summary.cells,
    summary.predicted ?? "",
    summary.unknown,
    summary.novelty === null
      ? "not calibrated"
      : `${summary.novelty.toFixed(2)}${summary.is_novel ? ", novel" : ""}`,
    summary.genes_up.join(", "),
    summary.genes_down.join(", "),
  ]);
  const columns = ["cluster", "cells", "mostly predicted", "unknown", "novelty", "genes up", "genes down"];
  return (
    "<p>Clusters found without labels. Novelty: how unlike every known type a cluster is as a whole. Genes " +
    "up and down: genes with more or less expression than any mixture of known types explains, largest " +
    'difference first; they are informative for novel clusters.</p><div class="scroll" tabindex="0" ' +
    `role="region" aria-label="clusters of the query">${tableHtml({ columns, rows })}</div>`
  );
}

/** Distributions of uncertainty and novelty, with the threshold on the one that decides on flags. */
export function uncertaintyHtml(query: QueryCells | null, reference: ReferenceCells | null): string {
  const plots = (query?.levels ?? []).flatMap((level) => {
    const { key, uncertainty, novelty, unknown, threshold, uncertaintyBy } = level;
    const distribution = (title: string, x: string, scores: Float64Array, hasThreshold: boolean): Plot => {
      const values = (flag: number): Float64Array =>
        scores.filter((value, cell) => unknown[cell] === flag && !Number.isNaN(value));
      return histogram({
        title: `${title} of the query: ${key}`,
        x,
        range: [0, 1],
        unit: "cells",
        legend: "cells",
        groups: [
          { name: "kept", values: values(0) },
          { name: unknownName, colour: unknownColour("light"), values: values(1) },
        ],
        mark:
          hasThreshold && threshold !== null
            ? { at: threshold, text: `threshold ${Number(threshold.toPrecision(3))}` }
            : undefined,
      });
    };
    const isByDistance = uncertaintyBy === "distance";
    return [
      distribution("Uncertainty", "uncertainty (0 sure, 1 unsure)", uncertainty, isByDistance),
      ...(novelty
        ? [distribution("Novelty", "novelty (0 like known types, 1 like none)", novelty, !isByDistance)]
        : []),
    ];
  });
  const landmarkPlots = (reference?.labels ?? []).map(({ key, uncertainty }) =>
    histogram({
      title: `Uncertainty of the reference's landmarks by distance: ${key}`,
      x: "uncertainty by distance (0 sure, 1 unsure)",
      range: [0, 1],
      unit: "cells",
      groups: [{ name: "landmarks", values: uncertainty }],
    }),
  );
  return figures([...plots, ...landmarkPlots]);
}

/** Losses over the epochs, or over the rounds of a training in rounds. */
export function trainingHtml(provenance: Readonly<Record<string, unknown>>): string {
  const history = (provenance["history"] ?? []) as readonly EpochLosses[];
  if (!Array.isArray(history) || history.length === 0) return "";
  const rounds = provenance["rounds"] as { rounds: number; chosen: number } | undefined;
  const best = rounds ? rounds.chosen : provenance["best_epoch"];
  const unit = rounds ? "round" : "epoch";
  const terms = [
    ["total", "Total loss"],
    ["reconstruction", "Reconstruction"],
    ["kl", "KL divergence"],
    ["prototype", "Distance to prototypes"],
    ["crossEntropy", "Cross-entropy of types"],
    ["classification", "Cross-entropy of types, scaled by their spread"],
  ] as const;
  const plots = terms.flatMap(([term, title]) => {
    const line = (subset: "train" | "validation"): Series["points"] =>
      history.flatMap((losses, at) => {
        // a round starts by validating the weights of the round before; the last one only validates
        if (rounds && subset === "train" && at >= rounds.rounds) return [];
        const value = losses[subset]?.[term];
        const ends = rounds && subset === "validation" ? at : at + 1;
        return value === undefined ? [] : [[ends, value] as const];
      });
    const series: Series[] = [
      { name: "training cells", points: line("train") },
      { name: "validation cells", isDashed: true, points: line("validation") },
    ].filter(({ points }) => points.length > 0);
    if (series.every(({ points }) => points.every(([, value]) => value === 0))) return [];
    return [
      lineChart({
        title,
        x: { label: unit },
        y: { label: term === "prototype" ? "mean distance (latent units)" : "nats per cell" },
        series,
        ...(typeof best === "number" && { mark: { at: best, text: `kept: ${unit} ${best}` } }),
      }),
    ];
  });
  return figures(plots);
}
