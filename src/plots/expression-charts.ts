// Charts of gene expression in groups of cells: dot plots and violin plots.
import { element, escapeText, line, picture, text, widthOf, type Plot } from "./svg.js";
import { rampLegend, yAxis, type Area } from "./axes.js";
import { groupColour, rampColour } from "./palette.js";

const width = 640;
const nameLength = 26;

/** Mean expression and share of cells of one gene in each group. */
export interface GeneInGroups {
  /** Symbol of the gene */
  readonly gene: string;
  /** Per group, mean of log1p of counts per 10,000 */
  readonly means: readonly number[];
  /** Per group, share of cells that express the gene, 0..1 */
  readonly shares: readonly number[];
}

/** Options of `dotPlot`. */
export interface DotPlotOptions {
  /** Title, also drawn */
  title: string;
  /** Names of the groups, from top to bottom */
  groups: readonly string[];
  /** Genes, from left to right */
  genes: readonly GeneInGroups[];
  /** What the groups are */
  groupLabel: string;
}

/** Where the dots are, in pixels. */
interface DotGrid {
  readonly area: Area;
  /** width of a gene's column */
  readonly cell: number;
  readonly x: (gene: number) => number;
  readonly y: (group: number) => number;
  /** Radius of a dot; its area is proportional to the share of cells */
  readonly radius: (share: number) => number;
}

/** Genes by groups: colour shows mean expression, dot area the share of cells that express the gene. */
export function dotPlot(options: DotPlotOptions): Plot {
  const { title, groups, genes, groupLabel } = options;
  const grid = dotGrid(options);
  const { area } = grid;
  const foot =
    16 + 0.75 * widthOf("m".repeat(Math.min(14, Math.max(4, ...genes.map(({ gene }) => gene.length)))));
  const most = Math.max(1e-9, ...genes.flatMap(({ means }) => means));
  const legendTop = area.bottom + foot + 14;
  const legend = rampLegend("mean of log1p of counts per 10,000", [0, most], rampColour, legendTop);
  return {
    title,
    table: {
      columns: [groupLabel, ...genes.flatMap(({ gene }) => [`${gene}, mean`, `${gene}, share of cells`])],
      rows: groups.map((name, group) => [
        name,
        ...genes.flatMap(({ means, shares }) => [
          Number(means[group]!.toPrecision(4)),
          Number(shares[group]!.toPrecision(4)),
        ]),
      ]),
    },
    svg: picture(
      Math.max(width, area.right + 100),
      Math.max(legendTop + legend.height, area.top + 120),
      title,
      `${genes.length} genes in ${groups.length} groups: mean expression as colour, share of cells as size`,
      [
        text(area.left - 8, 36, groupLabel, { anchor: "end", kind: "label", most: nameLength }),
        text(area.right + 12, 36, "share of cells", { kind: "label" }),
        ...dotLines(options, grid),
        ...dots(options, grid, most),
        ...dotNames(options, grid),
        ...dotSizes(grid),
        legend.svg,
      ],
    ),
  };
}

function dotGrid({ groups, genes, groupLabel }: DotPlotOptions): DotGrid {
  const left = Math.min(
    220,
    24 + Math.max(40, ...[groupLabel, ...groups].map((name) => widthOf(name.slice(0, nameLength)))),
  );
  const cell = Math.max(16, Math.min(34, (width - left - 90) / Math.max(1, genes.length)));
  const row = 22;
  const top = 44;
  return {
    area: { left, top, right: left + cell * genes.length, bottom: top + row * groups.length },
    cell,
    x: (gene) => left + (gene + 0.5) * cell,
    y: (group) => top + (group + 0.5) * row,
    radius: (share) => (Math.min(cell, row) / 2 - 1) * Math.sqrt(share),
  };
}

function dots({ groups, genes }: DotPlotOptions, { x, y, radius }: DotGrid, most: number): string[] {
  return genes.flatMap(({ gene, means, shares }, g) =>
    groups.map((name, group) =>
      element(
        "circle",
        {
          cx: x(g),
          cy: y(group),
          r: Math.max(0.7, radius(shares[group]!)),
          fill: rampColour(means[group]! / most),
        },
        element(
          "title",
          {},
          escapeText(
            `${gene} in ${name}: mean ${means[group]!.toPrecision(3)}, ` +
              `in ${(100 * shares[group]!).toFixed(0)} % of the cells`,
          ),
        ),
      ),
    ),
  );
}

function dotLines({ groups, genes }: DotPlotOptions, { area, x, y }: DotGrid): string[] {
  return [
    ...groups.map((_, group) => line(area.left, y(group), area.right, y(group), "grid")),
    ...genes.map((_, gene) => line(x(gene), area.top, x(gene), area.bottom, "grid")),
  ];
}

function dotNames({ groups, genes }: DotPlotOptions, { area, x, y }: DotGrid): string[] {
  return [
    ...groups.map((name, group) =>
      text(area.left - 8, y(group) + 4, name, { anchor: "end", most: nameLength }),
    ),
    ...genes.map(({ gene }, g) =>
      text(x(g) + 4, area.bottom + 13, gene, { anchor: "end", most: 14, rotate: -45 }),
    ),
  ];
}

/** The legend of the dots' sizes. */
function dotSizes({ area, radius }: DotGrid): string[] {
  return [0.25, 0.5, 1].map((share, i) => {
    const cy = area.top + 30 + 26 * i;
    return (
      element("circle", { cx: area.right + 24, cy, r: radius(share), class: "plot-empty plot-rim" }) +
      text(area.right + 42, cy + 4, `${100 * share} %`)
    );
  });
}

/** Values of one group of cells. */
export interface ViolinGroup {
  /** Name of the group, drawn below its violin */
  readonly name: string;
  /** Default: the colour of the group's number in the palette */
  readonly colour?: string;
  /** Values of its cells, 0 or more */
  readonly values: ArrayLike<number>;
}

const densityPoints = 60;

/** The distribution of values in groups: a mirrored density estimate with a line at the median. */
export function violinPlot({
  title,
  y: label,
  groups,
  groupLabel,
}: {
  title: string;
  y: string;
  groups: readonly ViolinGroup[];
  groupLabel: string;
}): Plot {
  const area: Area = { left: 64, top: 34, right: width - 12, bottom: 234 };
  const sorted = groups.map(({ values }) => Float64Array.from(values).sort());
  const most = Math.max(1e-9, ...sorted.map((values) => values.at(-1) ?? 0));
  const up = yAxis(area, { label, range: [0, most] });
  const step = (area.right - area.left) / Math.max(1, groups.length);
  const violins = groups.map(({ name, colour }, group) =>
    violin(name, sorted[group]!, colour ?? groupColour(group), {
      middle: area.left + (group + 0.5) * step,
      step,
      scale: up.scale,
      most,
    }),
  );
  const every = Math.max(1, Math.ceil(11 / step));
  const names = groups.flatMap(({ name }, group) =>
    group % every > 0
      ? []
      : text(area.left + (group + 0.5) * step + 4, area.bottom + 13, name, {
          anchor: "end",
          most: 20,
          rotate: -40,
        }),
  );
  const foot =
    18 + 0.65 * widthOf("m".repeat(Math.min(20, Math.max(4, ...groups.map(({ name }) => name.length)))));
  return {
    title,
    table: {
      columns: [groupLabel, "cells", "median", "mean", "highest", "share above 0"],
      rows: groups.map(({ name }, group) => [name, ...summaryOf(sorted[group]!)]),
    },
    svg: picture(width, area.bottom + foot, title, `distribution of ${label} in ${groups.length} groups`, [
      up.svg,
      ...violins,
      ...names,
    ]),
  };
}

/** Number of values, median, mean, maximum and share above 0. @param values - sorted */
function summaryOf(values: Float64Array): (string | number)[] {
  const cells = Math.max(1, values.length);
  const mean = values.reduce((sum, value) => sum + value, 0) / cells;
  const above = values.reduce((sum, value) => sum + (value > 0 ? 1 : 0), 0) / cells;
  return [
    values.length,
    values[values.length >> 1] ?? "",
    Number(mean.toPrecision(4)),
    values.at(-1) ?? "",
    Number(above.toPrecision(4)),
  ];
}

/** @param values - sorted @param place - middle and width in pixels; scale of the values, from 0 to `most` */
function violin(
  name: string,
  values: Float64Array,
  fill: string,
  place: {
    readonly middle: number;
    readonly step: number;
    readonly scale: (value: number) => number;
    readonly most: number;
  },
): string {
  if (values.length === 0) return "";
  const { middle, step, scale, most } = place;
  const density = smoothed(values, most);
  const highest = Math.max(...density);
  const half = (share: number): number => (0.44 * step * share) / highest;
  const edge = density.map((value, i) => [half(value), scale((most * i) / (densityPoints - 1))] as const);
  const points = [
    ...edge.map(([dx, py]) => `${(middle + dx).toFixed(1)},${py.toFixed(1)}`),
    ...[...edge].reverse().map(([dx, py]) => `${(middle - dx).toFixed(1)},${py.toFixed(1)}`),
  ];
  const median = values[values.length >> 1]!;
  return (
    element(
      "polygon",
      { points: points.join(" "), fill, class: "plot-rim" },
      element(
        "title",
        {},
        escapeText(
          `${name}: ${values.length} cells, median ${median.toPrecision(3)}, ` +
            `highest ${values.at(-1)!.toPrecision(3)}`,
        ),
      ),
    ) + line(middle - 0.22 * step, scale(median), middle + 0.22 * step, scale(median), "axis")
  );
}

/** Kernel density at even steps from 0 to `most`: Gaussian kernel, bandwidth by Silverman's rule. */
function smoothed(sorted: Float64Array, most: number): number[] {
  const n = sorted.length;
  const mean = sorted.reduce((sum, value) => sum + value, 0) / n;
  const spread = Math.sqrt(sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n);
  const bandwidth = Math.max(most / densityPoints, 0.9 * spread * n ** -0.2);
  const counts = new Float64Array(densityPoints);
  for (const value of sorted)
    counts[Math.min(densityPoints - 1, Math.round((value / most) * (densityPoints - 1)))]!++;
  const step = most / (densityPoints - 1);
  return Array.from({ length: densityPoints }, (_, i) =>
    counts.reduce((sum, count, k) => sum + count * Math.exp(-0.5 * (((i - k) * step) / bandwidth) ** 2), 0),
  );
}
