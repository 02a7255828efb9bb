// The page's charts as files: the library draws them from the same numbers, on white, with title, legend and
// units. Loaded when needed.
import type { EpochLosses } from "scpoli";
import {
  barChart,
  dotPlot,
  heatMap,
  histogram,
  lineChart,
  missingColour,
  scatterPlot,
  standaloneSvg,
  unknownColour,
  violinPlot,
  type Plot,
} from "scpoli/plots";
import type { Groups } from "./coloring.js";
import type { LevelResult, Limit, SampleAnalysisResult, SampleMap } from "./protocol.js";
import type { SampleColouring } from "./sample-colours.js";
import { spreadOf } from "./sample-spread.js";
import { percent, short } from "./text.js";

/**
 * The samples as the page draws them.
 * @param components - axes, from 0
 * @param colouring - null: each in its colour
 * @param colours - of each sample, where nothing else colours them
 */
export function samplesPlot(
  samples: SampleMap,
  [across, up]: readonly [number, number],
  colouring: SampleColouring | null,
  colours: readonly string[],
): Plot {
  const { key, names, scores, dimensions, variance, isReference } = samples;
  const axis = (component: number): string => {
    const share = variance[component];
    return `PC${component + 1}${share === undefined ? "" : ` (${percent(share)} of variance)`}`;
  };
  const isNumber = colouring?.kind === "number";
  const levels = colouring ? colouring.levels : names;
  const values = colouring
    ? colouring.values.map((value) =>
        value === null ? null : isNumber ? (value as number) : levels.indexOf(String(value)),
      )
    : names.map((_, sample) => sample);
  return scatterPlot({
    title: `Samples (${key})${colouring ? ` by ${colouring.name}` : ""}`,
    x: axis(across),
    y: axis(up),
    groups: isNumber ? undefined : levels,
    colours: colouring ? undefined : colours,
    legend: colouring?.name ?? key,
    openMeans: "sample of a mapped query",
    spreadMeans: "95 % of positions with other cells",
    points: names.map((name, row) => ({
      name,
      x: scores[row * dimensions + across] ?? 0,
      y: scores[row * dimensions + up] ?? 0,
      value: values[row]!,
      isOpen: !isReference[row],
      spread: spreadOf(samples, row, [across, up]),
    })),
  });
}

/** Shares of the predicted types in each sample. @param visible - (N) 0 where a filter hides the cell */
export function compositionPlot(
  {
    key,
    codes,
    names,
  }: { readonly key: string; readonly codes: Int32Array; readonly names: readonly string[] },
  types: Groups,
  level: string,
  visible: Uint8Array | null,
): Plot {
  const counts = types.entries.map(() => new Array<number>(names.length).fill(0));
  codes.forEach((sample, cell) => {
    if (sample >= 0 && (!visible || visible[cell])) counts[types.codes[cell]!]![sample]!++;
  });
  return barChart({
    title: `Composition by ${key}`,
    rows: names,
    rowLabel: key,
    label: "share of cells",
    legend: `predicted ${level}`,
    isShare: true,
    parts: types.entries
      .map(({ name, colour }, type) => ({ name, colour, values: counts[type]! }))
      .filter(({ values }) => values.some((value) => value > 0)),
  });
}

/** Cells of each group that a filter shows; groups without any are left out. */
function cellsOfGroups(
  { entries, codes }: Groups,
  visible: Uint8Array | null,
): { readonly name: string; readonly colour: string; readonly cells: readonly number[] }[] {
  const cells = entries.map((): number[] => []);
  codes.forEach((code, cell) => {
    if (!visible || visible[cell]) cells[code]!.push(cell);
  });
  return entries
    .map(({ name, colour }, code) => ({ name, colour, cells: cells[code]! }))
    .filter((group) => group.cells.length > 0);
}

/** @param values - (N) per gene */
export function genesDotPlot(
  genes: readonly string[],
  values: readonly Float32Array[],
  groups: Groups,
  groupLabel: string,
  visible: Uint8Array | null,
): Plot {
  const shown = cellsOfGroups(groups, visible);
  return dotPlot({
    title: `Genes by ${groupLabel}`,
    groupLabel,
    groups: shown.map(({ name }) => name),
    genes: genes.map((gene, g) => ({
      gene,
      means: shown.map(({ cells }) => cells.reduce((sum, cell) => sum + values[g]![cell]!, 0) / cells.length),
      shares: shown.map(
        ({ cells }) => cells.reduce((sum, cell) => sum + Number(values[g]![cell]! > 0), 0) / cells.length,
      ),
    })),
  });
}

export function geneViolins(
  gene: string,
  values: Float32Array,
  groups: Groups,
  groupLabel: string,
  visible: Uint8Array | null,
): Plot {
  return violinPlot({
    title: `${gene} by ${groupLabel}`,
    y: "log1p of counts per 10,000",
    groupLabel,
    groups: cellsOfGroups(groups, visible).map(({ name, colour, cells }) => ({
      name,
      colour,
      values: Float32Array.from(cells, (cell) => values[cell]!),
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
      { name: "unknown", colour: unknownColour("light"), values: of(1) },
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
export function confusionPlot(confusion: {
  readonly truth: readonly string[];
  readonly predicted: readonly string[];
  readonly cells: readonly (readonly number[])[];
}): Plot {
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

/** How many cells have how much of something. */
export function qualityPlot(title: string, unit: string, values: Float32Array): Plot {
  const highest = values.reduce((most, value) => Math.max(most, value), 0);
  return histogram({
    title,
    x: unit,
    range: [0, highest || 1],
    unit: "cells",
    groups: [{ name: "cells of the query", values }],
  });
}
