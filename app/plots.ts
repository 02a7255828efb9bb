// The page's charts as files: the library draws them anew from the same numbers, on white, with title, legend
// and units. Loaded when one is saved.
import {
  groupColour,
  heatMap,
  histogram,
  lineChart,
  missingColour,
  scatterPlot,
  standaloneSvg,
  type EpochLosses,
  type Evaluation,
  type Plot,
} from "scpoli";
import type { LevelResult, Limit, SampleAnalysisResult, SampleMap } from "./protocol.js";
import type { SampleColouring } from "./sample-colours.js";
import { percent, short } from "./text.js";

/** @param components - axes, from 0 @param colouring - null: reference and query */
export function samplesPlot(
  { key, names, scores, dimensions, variance, isReference }: SampleMap,
  [across, up]: readonly [number, number],
  colouring: SampleColouring | null,
): Plot {
  const axis = (component: number): string =>
    `PC${component + 1}${variance[component] === undefined ? "" : ` (${percent(variance[component])} of variance)`}`;
  const isNumber = colouring?.kind === "number";
  const levels = colouring ? colouring.levels : ["reference", "query"];
  const values = colouring
    ? colouring.values.map((value) =>
        value === null ? null : isNumber ? (value as number) : levels.indexOf(String(value)),
      )
    : isReference.map((isOld) => (isOld ? 0 : 1));
  return scatterPlot({
    title: `Samples (${key})${colouring ? ` by ${colouring.name}` : ""}`,
    x: axis(across),
    y: axis(up),
    groups: isNumber ? undefined : levels,
    legend: colouring?.name ?? "sample",
    openMeans: "sample of a mapped query",
    points: names.map((name, row) => ({
      name,
      x: scores[row * dimensions + across] ?? 0,
      y: scores[row * dimensions + up] ?? 0,
      value: values[row]!,
      isOpen: !isReference[row],
    })),
  });
}

/** @param flags - 1 where a cell is unknown */
export function flaggedPlot(
  key: string,
  { by, values }: NonNullable<LevelResult["flagged"]>,
  flags: Uint8Array,
  threshold: Limit,
): Plot {
  const of = (flag: number): Float32Array =>
    values.filter((value, cell) => flags[cell] === flag && !Number.isNaN(value));
  return histogram({
    title: `${by === "novelty" ? "Novelty" : "Uncertainty"} of the query: ${key}`,
    x: by === "novelty" ? "novelty (0 like known types, 1 like none)" : "uncertainty (0 sure, 1 unsure)",
    range: [0, 1],
    unit: "cells",
    legend: "cells",
    groups: [
      { name: "kept", colour: missingColour, values: of(0) },
      { name: "unknown", colour: groupColour(5), values: of(1) },
    ],
    mark:
      typeof threshold === "number" ? { at: threshold, text: `threshold ${short(threshold)}` } : undefined,
  });
}

export function lossesPlot(
  epochs: readonly { readonly epoch: number; readonly losses: EpochLosses }[],
  term: "total" | "reconstruction" | "kl" | "prototype" | "crossEntropy",
  title: string,
): Plot {
  const line = (part: "train" | "validation") =>
    epochs.flatMap(({ epoch, losses }) => {
      const value = losses[part]?.[term];
      return value === undefined ? [] : [[epoch, value] as const];
    });
  const series = [
    { name: "training cells", points: line("train") },
    { name: "validation cells", isDashed: true, points: line("validation") },
  ].filter(({ points }) => points.length > 0);
  return lineChart({
    title: `Loss: ${title}`,
    x: { label: "epoch" },
    y: { label: term === "prototype" ? "mean distance (latent units)" : "nats per cell" },
    series,
  });
}

/** @param values - adjusted R2 per covariate and component */
export function associationsPlot(
  { map }: SampleAnalysisResult,
  covariates: readonly string[],
  values: readonly (readonly number[])[],
): Plot {
  return heatMap({
    title: `Association of covariates with components (${map.key})`,
    rows: covariates,
    columns: values[0]!.map((_, component) => `PC${component + 1}`),
    rowLabel: "covariate",
    columnLabel: "component of the samples",
    values: values.map((row) => row.map((value) => Math.max(0, value))),
    range: [0, 1],
    legend: "adjusted R² of a linear model (below 0: 0)",
  });
}

/** Shares of each true type, so that rare types show as frequent ones do. */
export function confusionPlot({ confusion }: NonNullable<Evaluation["label_transfer"]>): Plot {
  const shares = confusion.cells.map((row) =>
    row.map(
      (n) =>
        n /
        Math.max(
          1,
          row.reduce((sum, one) => sum + one, 0),
        ),
    ),
  );
  return heatMap({
    title: "Predicted cell types of the cells of each true type",
    rows: confusion.truth,
    columns: confusion.predicted,
    rowLabel: "true cell type",
    columnLabel: "predicted cell type",
    values: shares,
    range: [0, 1],
    legend: "share of the true type's cells",
    write: (value) => value.toFixed(2),
  });
}

/** For a figure: on white, whatever the reader's theme. */
export function svgOf(plot: Plot): string {
  const text = standaloneSvg(plot).replace(/@media \(prefers-color-scheme:dark\)\{.*?\}\}/, "");
  return text.replace("</style>", '</style><rect width="100%" height="100%" fill="#ffffff"/>');
}

export async function pngOf(plot: Plot, scale = 2): Promise<Blob> {
  const url = URL.createObjectURL(new Blob([svgOf(plot)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = new OffscreenCanvas(image.naturalWidth * scale, image.naturalHeight * scale);
    canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await canvas.convertToBlob({ type: "image/png" });
  } finally {
    URL.revokeObjectURL(url);
  }
}
