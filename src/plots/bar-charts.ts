// Bars of named values, and histograms.
import { groupLegend, xAxis, yAxis, type Area, type Axis } from "./axes.js";
import { groupColour, missingColour } from "./palette.js";
import { element, escapeText, picture, text, widthOf, type Plot } from "./svg.js";
import { width, nameLength, markLine, number } from "./chart-parts.js";

/** Options of `barChart`. */
export interface BarChartOptions {
  /** Title, also drawn */
  title: string;
  /** Names of the bars, from top to bottom */
  rows: readonly string[];
  /** What the bars are */
  rowLabel: string;
  /** Parts of the bars, from left to right: a value per bar, 0 or more. Default colour: the palette's */
  parts: readonly {
    /** Name in the legend */
    readonly name: string;
    /** CSS colour */
    readonly colour?: string;
    /** A value per row */
    readonly values: readonly number[];
  }[];
  /** Label of the axis of values, with its unit */
  label: string;
  /** Title of the legend of the parts */
  legend: string;
  /** Draws shares of each bar's total. Default false */
  isShare?: boolean;
}

/** Horizontal stacked bars; as shares, all bars have the same length. */
export function barChart(options: BarChartOptions): Plot {
  const { title, rows, rowLabel, parts, label, legend: legendTitle, isShare = false } = options;
  const height = Math.max(14, Math.min(26, 420 / rows.length));
  const left = Math.min(
    230,
    14 + Math.max(40, ...[rowLabel, ...rows].map((name) => widthOf(name.slice(0, nameLength)))),
  );
  const area: Area = { left, top: 42, right: width - 24, bottom: 42 + height * rows.length, spare: 24 };
  const totals = rows.map((_, row) => parts.reduce((sum, { values }) => sum + values[row]!, 0));
  const across = xAxis(area, {
    label,
    range: [0, isShare ? 1 : Math.max(1, ...totals)],
    format: isShare ? ".0%" : undefined,
  });
  const colours = parts.map(({ colour }, i) => colour ?? groupColour(i));
  const entries =
    parts.length > 1
      ? parts.map(({ name }, i) => ({ name, colour: colours[i]! }))
      : [{ name: parts[0]?.name ?? "", colour: colours[0] ?? missingColour }];
  const legend = groupLegend(legendTitle, entries, width, area.bottom + 46);
  return {
    title,
    table: {
      columns: [rowLabel, ...parts.map(({ name }) => name)],
      rows: rows.map((name, row) => [name, ...parts.map(({ values }) => values[row]!)]),
    },
    svg: picture(
      width,
      area.bottom + 46 + legend.height,
      title,
      `bars of ${rows.length} rows: ${label} by ${rowLabel}`,
      [
        text(left - 8, 34, rowLabel, { anchor: "end", kind: "label", most: nameLength }),
        across.svg,
        ...rows.flatMap((_, row) =>
          barOf(options, row, totals[row]!, colours, { y: area.top + row * height, height, left, across }),
        ),
        legend.svg,
      ],
    ),
  };
}

/** One bar, its parts from left to right, and its name. */
function barOf(
  { rows, parts, isShare = false }: BarChartOptions,
  row: number,
  total: number,
  colours: readonly string[],
  { y, height, left, across }: { y: number; height: number; left: number; across: Axis },
): string[] {
  const name = rows[row]!;
  const scale = isShare ? Math.max(1, total) : 1;
  let from = 0;
  const pieces = parts.map(({ name: part, values }, i) => {
    const value = values[row]! / scale;
    if (value === 0) return "";
    const x = across.scale(from);
    from += value;
    return element(
      "rect",
      {
        x,
        y: y + 2,
        width: Math.max(0.5, across.scale(from) - x),
        height: height - 4,
        fill: colours[i]!,
        class: "plot-edge",
      },
      element(
        "title",
        {},
        escapeText(`${name}, ${part}: ${number(values[row]!)}${isShare ? ` of ${number(total)}` : ""}`),
      ),
    );
  });
  return [...pieces, text(left - 8, y + height / 2 + 4, name, { anchor: "end", most: nameLength })];
}

/** Options of `histogram`. */
export interface HistogramOptions {
  /** Title, also drawn */
  title: string;
  /** Label of the axis of values, with its unit */
  x: string;
  /** Ends of the axis; values outside of it are counted in the first and the last bin */
  range: readonly [number, number];
  /** Number of bins. Default 40 */
  bins?: number;
  /** Groups of values, stacked from bottom to top. Values that are not finite are left out */
  groups: readonly {
    /** Name in the legend */
    readonly name: string;
    /** CSS colour. Default: the palette's */
    readonly colour?: string;
    /** One value per counted item, in any order */
    readonly values: ArrayLike<number>;
  }[];
  /** What is counted */
  unit: string;
  /** Title of the legend of the groups. Default: no legend, for a single group */
  legend?: string;
  /** A vertical dashed line with a text */
  mark?: {
    /** Position on the axis of values */
    readonly at: number;
    /** Text beside the line */
    readonly text: string;
  };
}

/** A histogram with bins of equal width, groups stacked. */
export function histogram(options: HistogramOptions): Plot {
  const { title, x, range, groups, unit, legend: legendTitle, mark, bins = 40 } = options;
  const counts = groups.map(({ values }) => binCounts(values, range, bins));
  const totals = Array.from({ length: bins }, (_, bin) =>
    counts.reduce((sum, groupCounts) => sum + groupCounts[bin]!, 0),
  );
  const area: Area = { left: 64, top: 34, right: width - 12, bottom: 254 };
  const across = xAxis(area, { label: x, range, isNice: false });
  const up = yAxis(area, { label: unit, range: [0, Math.max(1, ...totals)] });
  const colours = groups.map(({ colour }, i) => colour ?? groupColour(i));
  const edge = (bin: number): number => range[0] + ((range[1] - range[0]) * bin) / bins;
  const entries = groups.map(({ name }, i) => ({ name, colour: colours[i]! }));
  const legend =
    legendTitle === undefined
      ? { svg: "", height: 0 }
      : groupLegend(legendTitle, entries, width, area.bottom + 46);
  const binName = (bin: number): string => `${number(edge(bin))} to ${number(edge(bin + 1))}`;
  const rows = totals.flatMap((total, bin) =>
    total > 0 ? [[binName(bin), ...counts.map((groupCounts) => groupCounts[bin]!)]] : [],
  );
  return {
    title,
    table: { columns: [x, ...groups.map(({ name }) => name)], rows },
    svg: picture(
      width,
      area.bottom + 46 + legend.height,
      title,
      `histogram of ${x}${mark ? `, ${mark.text} at ${number(mark.at)}` : ""}`,
      [
        across.svg,
        up.svg,
        ...stackedBins(counts, colours, edge, across, up),
        mark ? markLine(across.scale(mark.at), area, mark.text) : "",
        legend.svg,
      ],
    ),
  };
}

/** Number of finite values in each bin; those outside of the range are in the first and the last. */
function binCounts(
  values: ArrayLike<number>,
  [low, high]: readonly [number, number],
  bins: number,
): number[] {
  const counts = new Array<number>(bins).fill(0);
  for (let i = 0; i < values.length; i++)
    if (Number.isFinite(values[i]!))
      counts[Math.min(bins - 1, Math.max(0, Math.floor((bins * (values[i]! - low)) / (high - low))))]!++;
  return counts;
}

/** @param counts - per group and bin @param edge - left edge of a bin, in units of the values */
function stackedBins(
  counts: readonly (readonly number[])[],
  colours: readonly string[],
  edge: (bin: number) => number,
  across: Axis,
  up: Axis,
): string[] {
  const bins = counts[0]?.length ?? 0;
  return Array.from({ length: bins }, (_, bin) => bin).flatMap((bin) => {
    let from = 0;
    return counts.map((groupCounts, i) => {
      if (groupCounts[bin] === 0) return "";
      const bottom = up.scale(from);
      from += groupCounts[bin]!;
      return element("rect", {
        x: across.scale(edge(bin)) + 0.5,
        y: up.scale(from),
        width: across.scale(edge(bin + 1)) - across.scale(edge(bin)) - 1,
        height: bottom - up.scale(from),
        fill: colours[i]!,
      });
    });
  });
}
