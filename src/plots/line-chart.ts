// Lines along a numeric axis, such as losses over epochs.
import { extent, groupLegend, xAxis, yAxis, type Area, type Axis } from "./axes.js";
import { groupColour } from "./palette.js";
import { element, picture, text, type Plot } from "./svg.js";
import { width, type Label, markLine } from "./chart-parts.js";

/** A named line of a line chart. */
export interface Series {
  /** Name in the legend */
  readonly name: string;
  /** CSS colour. Default: the next colour of the palette */
  readonly colour?: string;
  /** Drawn with dashes. Default false */
  readonly isDashed?: boolean;
  /** Draws a dot on every point. Default false */
  readonly isDotted?: boolean;
  /** Label of each point, written above its dot */
  readonly labels?: readonly string[];
  /** Points from left to right */
  readonly points: readonly (readonly [x: number, y: number])[];
}

/**
 * A line chart of several series.
 * @param options - `mark`: a vertical dashed line with a text; `isSquare`: axes of equal length, for shares
 *   against shares
 */
export function lineChart({
  title,
  x,
  y,
  series,
  legend: legendTitle = "",
  mark,
  isSquare = false,
}: {
  title: string;
  x: Label;
  y: Label;
  series: readonly Series[];
  legend?: string;
  mark?: { readonly at: number; readonly text: string };
  isSquare?: boolean;
}): Plot {
  const area: Area = isSquare
    ? { left: 64, top: 34, right: 424, bottom: 394 }
    : { left: 64, top: 34, right: width - 12, bottom: 274 };
  const whole = area.right + 12;
  const across = xAxis(area, {
    range: extent(series.flatMap(({ points }) => points.map(([value]) => value))),
    isNice: false,
    ...x,
  });
  const up = yAxis(area, {
    range: extent(series.flatMap(({ points }) => points.map(([, value]) => value))),
    ...y,
  });
  const coloured = series.map((one, i) => ({ ...one, colour: one.colour ?? groupColour(i) }));
  const legend = groupLegend(
    legendTitle,
    coloured.map(({ name, colour, isDashed }) => ({ name, colour, mark: isDashed ? "dashes" : "line" })),
    whole,
    area.bottom + 46,
  );
  return {
    title,
    table: { columns: [x.label, ...series.map(({ name }) => name)], rows: tableRows(series) },
    svg: picture(
      whole,
      area.bottom + 46 + legend.height,
      title,
      `${series.length} lines: ${y.label} over ${x.label}`,
      [
        across.svg,
        up.svg,
        ...linesOf(coloured, across, up),
        ...dotsOf(coloured, across, up),
        ...labelsOf(coloured, across, up),
        mark ? markLine(across.scale(mark.at), area, mark.text) : "",
        legend.svg,
      ],
    ),
  };
}

type ColouredSeries = Series & { readonly colour: string };

function linesOf(series: readonly ColouredSeries[], across: Axis, up: Axis): string[] {
  return series.map(({ points, isDashed, colour }) =>
    element("polyline", {
      points: points
        .filter(([, value]) => Number.isFinite(value))
        .map(([a, b]) => `${across.scale(a).toFixed(1)},${up.scale(b).toFixed(1)}`)
        .join(" "),
      fill: "none",
      stroke: colour,
      "stroke-width": 1.8,
      "stroke-dasharray": isDashed ? "5 4" : undefined,
      "stroke-linejoin": "round",
    }),
  );
}

function dotsOf(series: readonly ColouredSeries[], across: Axis, up: Axis): string[] {
  return series.flatMap(({ points, isDotted, colour }) =>
    (isDotted ? points : [])
      .filter(([, value]) => Number.isFinite(value))
      .map(([a, b]) =>
        element("circle", {
          cx: across.scale(a),
          cy: up.scale(b),
          r: 3.5,
          fill: colour,
          class: "plot-edge",
        }),
      ),
  );
}

function labelsOf(series: readonly ColouredSeries[], across: Axis, up: Axis): string[] {
  return series.flatMap(({ points, labels = [] }) =>
    labels.map((label, i) => {
      const [a, b] = points[i]!;
      return text(across.scale(a), up.scale(b) - 8, label, { anchor: "middle", kind: "value" });
    }),
  );
}

/** About 20 positions with the value of each series there, the last included. */
function tableRows(series: readonly Series[]): (string | number)[][] {
  const every = Math.max(1, Math.ceil(Math.max(0, ...series.map(({ points }) => points.length)) / 20));
  const positions = series.flatMap(({ points }) =>
    points.filter((_, i) => i % every === 0 || i === points.length - 1).map(([value]) => value),
  );
  return [...new Set(positions)]
    .sort((a, b) => a - b)
    .map((position) => [
      position,
      ...series.map(({ points }) => points.find(([a]) => a === position)?.[1] ?? ""),
    ]);
}
