// The parts of a report that are about cells and training: facts, verdict, composition, label transfer,
// uncertainty, training curves.
import type { EpochLosses } from "../contract/options.js";
import { heatMap } from "../plots/heat-map.js";
import { barChart, histogram } from "../plots/bar-charts.js";
import { lineChart, type Series } from "../plots/line-chart.js";
import { groupColour, missingColour } from "../plots/palette.js";
import { escapeText, type Plot } from "../plots/svg.js";
import type { Verdict } from "../mapping/verdict.js";
import { type Groups, type LevelCells, type QueryCells, type ReferenceCells } from "./cells.js";
import { figure, figures, tableHtml } from "./html.js";
import { scoreLevel, transferFigures } from "./transfer-figures.js";

export function factsHtml(facts: readonly (readonly [name: string, value: string])[]): string {
  return `<dl class="facts">${facts.map(([name, value]) => `<div><dt>${escapeText(name)}</dt><dd>${escapeText(value)}</dd></div>`).join("")}</dl>`;
}

const lightWords = {
  green: ["\u25cf good", "The query fits the reference."],
  amber: ["\u25b2 look", "Look at this mapping before you trust it."],
  red: ["\u25a0 poor", "This mapping is not to be trusted as it is."],
} as const;

/** A traffic light in words, shapes and colours, with its reasons. */
export function verdictHtml({ light, reasons }: Verdict): string {
  const items = reasons
    .map(
      (reason) =>
        `<li><span class="light ${reason.light}">${lightWords[reason.light][0]}</span><span>${escapeText(reason.text)}</span></li>`,
    )
    .join("");
  return `<div class="verdict ${light}"><p><span class="light ${light}">${lightWords[light][0]}</span>: ${lightWords[light][1]}</p><ul>${items}</ul></div>`;
}

/** Rows of a composition that are shown. */
const mostRows = 80;

/** What the cells of each condition are: the query by prediction, the reference by label. */
export function compositionHtml(reference: ReferenceCells | null, query: QueryCells | null): string {
  const plots: Plot[] = [];
  const add = (
    side: string,
    condition: Groups & { readonly key: string },
    types: Groups,
    what: string,
  ): void => {
    const counts = types.names.map(() => new Array<number>(condition.names.length).fill(0));
    condition.codes.forEach((code, cell) => {
      const type = types.codes[cell]!;
      if (code >= 0 && type >= 0) counts[type]![code]!++;
    });
    const shown = condition.names
      .map((_, row) => row)
      .filter((row) => counts.some((own) => own[row]! > 0))
      .slice(0, mostRows);
    if (shown.length === 0) return;
    const more = condition.names.length > mostRows ? `, first ${mostRows} of ${condition.names.length}` : "";
    plots.push(
      barChart({
        title: `Composition of the ${side} by ${condition.key}${more}`,
        rows: shown.map((row) => condition.names[row]!),
        rowLabel: condition.key,
        label: "share of cells",
        legend: what,
        isShare: true,
        parts: types.names
          .map((name, type) => ({
            name,
            colour: name === flaggedName ? missingColour : groupColour(type),
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

const flaggedName = "flagged unknown";

/** The predicted types, and as one more those that are flagged: as the page counts them. */
function flagged({ types, predicted, unknown }: LevelCells): Groups {
  return {
    names: [...types, flaggedName],
    codes: predicted.map((code, cell) => (unknown[cell] === 1 ? types.length : code)),
  };
}

/** From given labels to predictions, where the file has labels; counts of predictions otherwise. */
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
      { name: "flagged unknown", values: shown.map((type) => flagged[type]!) },
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
  const columns = [...types, flaggedName]
    .map((_, column) => column)
    .filter((column) => rows.some((row) => counts[row]![column]! > 0));
  const total = (row: number): number => counts[row]!.reduce((sum, n) => sum + n, 0);
  const names = [...types, flaggedName];
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
    tell: (row, column) =>
      `${given.names[rows[row]!]} to ${names[columns[column]!]}: ${counts[rows[row]!]![columns[column]!]} cells`,
  });
  return `<p>The file has labels of its own at the level ${escapeText(key)}: the prediction is the same for ${right.toLocaleString("en-US")} of ${labelled.toLocaleString("en-US")} cells (${((100 * right) / Math.max(1, labelled)).toFixed(1)} %, those flagged unknown included).</p>${figure(plot)}${figures(transferFigures(scoreLevel(level, given), key, level.uncertaintyBy !== "distance"))}`;
}

/** Clusters of the query, how novel they are and by which genes. */
export function clustersHtml(clusters: QueryCells["clusters"]): string {
  const shown = clusters.filter(({ cells }) => cells > 0);
  if (shown.length === 0) return "";
  const rows = shown.map((own) => [
    own.cluster,
    own.cells,
    own.predicted ?? "",
    own.unknown,
    own.novelty === null ? "not calibrated" : `${own.novelty.toFixed(2)}${own.is_novel ? ", novel" : ""}`,
    own.genes_up.join(", "),
    own.genes_down.join(", "),
  ]);
  const columns = ["cluster", "cells", "mostly called", "unknown", "novelty", "more of", "less of"];
  return `<p>Clusters found without looking at labels. Novelty: how unlike every known type a cluster is as a whole. Genes: what it has more and less of than any mixture of known types explains, the most first; they tell something of novel clusters.</p>${tableHtml({ columns, rows })}`;
}

/** Distributions of uncertainty and novelty, with the threshold on the one that flags. */
export function uncertaintyHtml(query: QueryCells | null, reference: ReferenceCells | null): string {
  const plots = (query?.levels ?? []).flatMap((level) => {
    const { key, uncertainty, novelty, unknown, threshold, uncertaintyBy } = level;
    const distribution = (title: string, x: string, of: Float64Array, flags: boolean): Plot => {
      const values = (flag: number): Float64Array =>
        of.filter((value, cell) => unknown[cell] === flag && !Number.isNaN(value));
      return histogram({
        title: `${title} of the query: ${key}`,
        x,
        range: [0, 1],
        unit: "cells",
        legend: "cells",
        groups: [
          { name: "kept", values: values(0) },
          { name: "flagged unknown", values: values(1) },
        ],
        mark:
          flags && threshold !== null
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
  const others = (reference?.labels ?? []).map(({ key, uncertainty }) =>
    histogram({
      title: `Uncertainty of the reference's landmarks by distance: ${key}`,
      x: "uncertainty by distance (0 sure, 1 unsure)",
      range: [0, 1],
      unit: "cells",
      legend: "cells",
      groups: [{ name: "landmarks", values: uncertainty }],
    }),
  );
  return figures([...plots, ...others]);
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
    ["classification", "Cross-entropy of types, relative to their spread"],
  ] as const;
  const plots = terms.flatMap(([term, title]) => {
    const line = (side: "train" | "validation"): Series["points"] =>
      history.flatMap((losses, at) => {
        // a round begins with the validation of the weights of the round before; the last one only validates
        if (rounds && side === "train" && at >= rounds.rounds) return [];
        const value = losses[side]?.[term];
        const ends = rounds && side === "validation" ? at : at + 1;
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
