// Lines along a numeric axis, such as losses over epochs.
import { extent, groupLegend, xAxis, yAxis, type Area } from "./axes.js";
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
  legend: legendTitle = "lines",
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
  const colours = series.map(({ colour }, i) => colour ?? groupColour(i));
  const lines = series.map(({ points, isDashed }, i) =>
    element("polyline", {
      points: points
        .filter(([, value]) => Number.isFinite(value))
        .map(([a, b]) => `${across.scale(a).toFixed(1)},${up.scale(b).toFixed(1)}`)
        .join(" "),
      fill: "none",
      stroke: colours[i]!,
      "stroke-width": 1.8,
      "stroke-dasharray": isDashed ? "5 4" : undefined,
      "stroke-linejoin": "round",
    }),
  );
  const dots = series.flatMap(({ points, isDotted }, i) =>
    (isDotted ? points : [])
      .filter(([, value]) => Number.isFinite(value))
      .map(([a, b]) =>
        element("circle", {
          cx: across.scale(a),
          cy: up.scale(b),
          r: 3.5,
          fill: colours[i]!,
          class: "plot-edge",
        }),
      ),
  );
  const labels = series.flatMap(({ points, labels: pointLabels = [] }) =>
    pointLabels.map((label, i) => {
      const [a, b] = points[i]!;
      return text(across.scale(a), up.scale(b) - 8, label, { anchor: "middle", kind: "value" });
    }),
  );
  const marked = mark ? markLine(across.scale(mark.at), area, mark.text) : "";
  const legend = groupLegend(
    legendTitle,
    series.map(({ name, isDashed }, i) => ({
      name,
      colour: colours[i]!,
      mark: isDashed ? "dashes" : "line",
    })),
    whole,
    area.bottom + 46,
  );
  const every = Math.max(1, Math.ceil(Math.max(0, ...series.map(({ points }) => points.length)) / 20));
  const xs = [
    ...new Set(
      series.flatMap(({ points }) =>
        points.filter((_, i) => i % every === 0 || i === points.length - 1).map(([value]) => value),
      ),
    ),
  ].sort((a, b) => a - b);
  const rows = xs.map((value) => [
    value,
    ...series.map(({ points }) => points.find(([a]) => a === value)?.[1] ?? ""),
  ]);
  return {
    title,
    table: { columns: [x.label, ...series.map(({ name }) => name)], rows },
    svg: picture(
      whole,
      area.bottom + 46 + legend.height,
      title,
      `${series.length} lines: ${y.label} over ${x.label}`,
      [across.svg, up.svg, ...lines, ...dots, ...labels, marked, legend.svg],
    ),
  };
}
