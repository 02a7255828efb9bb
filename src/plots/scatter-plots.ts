// The plots of reports, sample tables and the page: functions from numbers to SVG. Each has a title, axes
// with units, a legend, and its numbers as a table.
import {
  extent,
  groupLegend,
  rampLegend,
  xAxis,
  yAxis,
  type Area,
  type AxisOptions,
  type Legend,
  type LegendEntry,
} from "./axes.js";
import { divergingColour, groupColour, inkOn, missingColour, rampColour } from "./palette.js";
import { placeLabels } from "./labels.js";
import { element, escapeText, line, picture, text, widthOf, type Plot } from "./svg.js";

/** Width of a plot, in pixels. */
const width = 640;
/** Characters of a name beside an axis. */
const nameLength = 30;
/** Points of a scatter plot above which they are drawn small, without an edge and a tooltip. */
const crowd = 300;
/** Characters of a name beside a point. */
const nameOfPoint = 18;

type Label = Pick<AxisOptions, "label" | "format"> & { readonly range?: readonly [number, number] };

/** A named line of a line chart. */
export interface Series {
  /** Name in the legend */
  readonly name: string;
  /** CSS colour. Default: the next of the palette */
  readonly colour?: string;
  /** Drawn with dashes. Default false */
  readonly isDashed?: boolean;
  /** a dot on every point */
  readonly isDotted?: boolean;
  /** Of each point, written above its dot */
  readonly labels?: readonly string[];
  /** Points from left to right */
  readonly points: readonly (readonly [x: number, y: number])[];
}

/**
 * Lines over a common axis.
 * @param options - `mark`: a vertical dashed line with its text; `isSquare`: axes of one length, for shares
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
  const labels = series.flatMap(({ points, labels: own = [] }) =>
    own.map((label, i) => {
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
  const places = [
    ...new Set(
      series.flatMap(({ points }) =>
        points.filter((_, i) => i % every === 0 || i === points.length - 1).map(([value]) => value),
      ),
    ),
  ].sort((a, b) => a - b);
  const rows = places.map((value) => [
    value,
    ...series.map(({ points }) => points.find(([own]) => own === value)?.[1] ?? ""),
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

/** Horizontal bars, each made of parts; as shares they have one length. */
export function barChart({
  title,
  rows,
  rowLabel,
  parts,
  label,
  legend: legendTitle,
  isShare = false,
}: {
  title: string;
  rows: readonly string[];
  rowLabel: string;
  parts: readonly { readonly name: string; readonly colour?: string; readonly values: readonly number[] }[];
  label: string;
  legend: string;
  isShare?: boolean;
}): Plot {
  const height = Math.max(14, Math.min(26, 420 / rows.length));
  const left = Math.min(
    230,
    14 + Math.max(40, ...[rowLabel, ...rows].map((name) => widthOf(name.slice(0, nameLength)))),
  );
  const area: Area = { left, top: 42, right: width - 24, bottom: 42 + height * rows.length };
  const totals = rows.map((_, row) => parts.reduce((sum, { values }) => sum + values[row]!, 0));
  const across = xAxis(area, {
    label,
    range: [0, isShare ? 1 : Math.max(1, ...totals)],
    format: isShare ? ".0%" : undefined,
  });
  const colours = parts.map(({ colour }, i) => colour ?? groupColour(i));
  const bars = rows.flatMap((name, row) => {
    let from = 0;
    const scale = isShare ? Math.max(1, totals[row]!) : 1;
    const y = area.top + row * height;
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
          escapeText(
            `${name}, ${part}: ${number(values[row]!)}${isShare ? ` of ${number(totals[row]!)}` : ""}`,
          ),
        ),
      );
    });
    return [...pieces, text(left - 8, y + height / 2 + 4, name, { anchor: "end", most: nameLength })];
  });
  const legend =
    parts.length > 1
      ? groupLegend(
          legendTitle,
          parts.map(({ name }, i) => ({ name, colour: colours[i]! })),
          width,
          area.bottom + 46,
        )
      : groupLegend(
          legendTitle,
          [{ name: parts[0]?.name ?? "", colour: colours[0] ?? missingColour }],
          width,
          area.bottom + 46,
        );
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
        ...bars,
        legend.svg,
      ],
    ),
  };
}

/** How often values occur, in bins of equal width, the groups on top of each other. */
export function histogram({
  title,
  x,
  range,
  bins = 40,
  groups,
  unit,
  legend: legendTitle,
  mark,
}: {
  title: string;
  x: string;
  range: readonly [number, number];
  bins?: number;
  groups: readonly { readonly name: string; readonly colour?: string; readonly values: ArrayLike<number> }[];
  unit: string;
  legend: string;
  mark?: { readonly at: number; readonly text: string };
}): Plot {
  const [low, high] = range;
  const counts = groups.map(({ values }) => {
    const own = new Array<number>(bins).fill(0);
    for (let i = 0; i < values.length; i++)
      if (Number.isFinite(values[i]!))
        own[Math.min(bins - 1, Math.max(0, Math.floor((bins * (values[i]! - low)) / (high - low))))]!++;
    return own;
  });
  const totals = Array.from({ length: bins }, (_, bin) => counts.reduce((sum, own) => sum + own[bin]!, 0));
  const area: Area = { left: 64, top: 34, right: width - 12, bottom: 254 };
  const across = xAxis(area, { label: x, range, isNice: false });
  const up = yAxis(area, { label: unit, range: [0, Math.max(1, ...totals)] });
  const colours = groups.map(({ colour }, i) => colour ?? groupColour(i));
  const edge = (bin: number): number => low + ((high - low) * bin) / bins;
  const bars = totals.flatMap((_, bin) => {
    let from = 0;
    return counts.map((own, i) => {
      if (own[bin] === 0) return "";
      const bottom = up.scale(from);
      from += own[bin]!;
      return element("rect", {
        x: across.scale(edge(bin)) + 0.5,
        y: up.scale(from),
        width: across.scale(edge(bin + 1)) - across.scale(edge(bin)) - 1,
        height: bottom - up.scale(from),
        fill: colours[i]!,
      });
    });
  });
  const marked = mark ? markLine(across.scale(mark.at), area, mark.text) : "";
  const legend = groupLegend(
    legendTitle,
    groups.map(({ name }, i) => ({ name, colour: colours[i]! })),
    width,
    area.bottom + 46,
  );
  const rows = totals.flatMap((total, bin) =>
    total > 0
      ? [[`${number(edge(bin))} to ${number(edge(bin + 1))}`, ...counts.map((own) => own[bin]!)]]
      : [],
  );
  return {
    title,
    table: { columns: [x, ...groups.map(({ name }) => name)], rows },
    svg: picture(
      width,
      area.bottom + 46 + legend.height,
      title,
      `histogram of ${x}${mark ? `, ${mark.text} at ${number(mark.at)}` : ""}`,
      [across.svg, up.svg, ...bars, marked, legend.svg],
    ),
  };
}

/** A point of a scatter plot. */
export interface ScatterPoint {
  /** Name of the point, drawn where there is room */
  readonly name: string;
  /** Position on the horizontal axis */
  readonly x: number;
  /** Position on the vertical axis */
  readonly y: number;
  /** row of the groups, or a number to be coloured by; null: not known */
  readonly value: number | null;
  /** drawn as a ring */
  readonly isOpen?: boolean;
}

/**
 * Points with their names where there is room for them.
 * @param groups - names of the values; without them values are numbers
 * @param colours - of the groups. Default: the palette's
 */
export function scatterPlot({
  title,
  x,
  y,
  points,
  groups,
  colours = groups?.map((_, group) => groupColour(group)),
  legend: legendTitle,
  openMeans,
}: {
  title: string;
  x: string;
  y: string;
  points: readonly ScatterPoint[];
  groups?: readonly string[];
  colours?: readonly string[] | undefined;
  legend: string;
  openMeans?: string;
}): Plot {
  const area: Area = { left: 64, top: 34, right: width - 12, bottom: 404 };
  const across = xAxis(area, { label: x, range: padded(extent(points.map((point) => point.x))) });
  const up = yAxis(area, { label: y, range: padded(extent(points.map((point) => point.y))), ticks: 6 });
  const range = extent(points.flatMap(({ value }) => (value === null ? [] : [value])));
  const colourOf = (value: number | null): string =>
    value === null
      ? missingColour
      : groups
        ? colours![value]!
        : rampColour((value - range[0]) / (range[1] - range[0] || 1));
  const isNamed = points.length <= 40;
  const short = points.map(({ name }) =>
    Array.from(name).length > nameOfPoint
      ? `${Array.from(name)
          .slice(0, nameOfPoint - 1)
          .join("")}\u2026`
      : name,
  );
  const labels = isNamed
    ? placeLabels(
        points.map((point) => [across.scale(point.x), up.scale(point.y)]),
        short,
        width,
      )
    : [];
  const isCrowded = points.length > crowd;
  const radius = isCrowded ? 2.6 : 5.5;
  const dots = points.map(({ name, x: a, y: b, value, isOpen }, point) => {
    const [cx, cy, colour] = [across.scale(a), up.scale(b), colourOf(value)];
    const told = `${name}${value === null ? "" : `, ${groups ? groups[value]! : number(value)}`}`;
    const dot = element(
      "circle",
      isOpen
        ? { cx, cy, r: radius - 0.5, fill: "none", stroke: colour, "stroke-width": 2.2 }
        : {
            cx,
            cy,
            r: radius,
            fill: colour,
            class: isCrowded ? undefined : groups ? "plot-edge" : "plot-rim",
          },
      isCrowded ? "" : element("title", {}, escapeText(told)),
    );
    const label = labels[point];
    return (
      dot +
      (label ? text(cx + label.dx, cy + label.dy, name, { anchor: label.anchor, most: nameOfPoint }) : "")
    );
  });
  const hasMissing = points.some(({ value }) => value === null);
  const isRinged = (group: number): boolean =>
    points.some(({ value, isOpen }) => value === group && isOpen) &&
    points.every(({ value, isOpen }) => value !== group || isOpen);
  const rings: LegendEntry[] =
    openMeans && points.some(({ isOpen }) => isOpen)
      ? [{ name: openMeans, colour: missingColour, mark: "ring" }]
      : [];
  const others: LegendEntry[] = [
    ...(hasMissing ? [{ name: "not known", colour: missingColour, mark: "circle" as const }] : []),
    ...rings,
  ];
  const legend = groups
    ? groupLegend(
        legendTitle,
        [
          ...groups.map((name, i): LegendEntry => ({
            name,
            colour: colours![i]!,
            mark: isRinged(i) ? "ring" : "circle",
          })),
          ...others,
        ],
        width,
        area.bottom + 46,
      )
    : stacked(
        rampLegend(legendTitle, range, rampColour, area.bottom + 46),
        (top) => (others.length > 0 ? groupLegend("", others, width, top) : { svg: "", height: 0 }),
        area.bottom + 46,
      );
  return {
    title,
    table: {
      columns: ["name", x, y, legendTitle],
      rows: points.map((point) => [
        point.name,
        point.x,
        point.y,
        point.value === null ? "" : groups ? groups[point.value]! : point.value,
      ]),
    },
    svg: picture(
      width,
      area.bottom + 46 + legend.height,
      title,
      `${points.length} points: ${y} over ${x}, coloured by ${legendTitle}`,
      [across.svg, up.svg, ...dots, legend.svg],
    ),
  };
}

/** Colours that many points are drawn in. */
const cloudColours = 32;

/**
 * Many points without names, coloured by a number, the highest on top; points that are no number lie below
 * them in grey. As few bytes as there can be.
 */
export function pointCloud({
  title,
  x,
  y,
  points,
  legend: legendTitle,
}: {
  title: string;
  x: string;
  y: string;
  points: readonly (readonly [x: number, y: number, value: number])[];
  legend: string;
}): Plot {
  const area: Area = { left: 64, top: 34, right: width - 12, bottom: 404 };
  const across = xAxis(area, { label: x, range: padded(extent(points.map(([a]) => a))) });
  const up = yAxis(area, { label: y, range: padded(extent(points.map(([, b]) => b))), ticks: 6 });
  const range = extent(points.map(([, , value]) => value));
  const bins = Array.from({ length: cloudColours }, () => [] as string[]);
  const missing: string[] = [];
  const counts = new Array<number>(cloudColours).fill(0);
  for (const [a, b, value] of points) {
    const bin = Number.isFinite(value)
      ? Math.min(
          cloudColours - 1,
          Math.floor((cloudColours * (value - range[0])) / (range[1] - range[0] || 1)),
        )
      : -1;
    (bins[bin] ?? missing).push(`M${across.scale(a).toFixed(1)} ${up.scale(b).toFixed(1)}h0`);
    if (bin >= 0) counts[bin]!++;
  }
  const dots = (places: readonly string[], colour: string): string =>
    places.length === 0
      ? ""
      : element("path", {
          d: places.join(""),
          stroke: colour,
          "stroke-width": points.length > 2000 ? 3 : 5,
          "stroke-linecap": "round",
          fill: "none",
        });
  const edge = (bin: number): number => range[0] + ((range[1] - range[0]) * bin) / cloudColours;
  const legend = stacked(
    rampLegend(legendTitle, range, rampColour, area.bottom + 46),
    (top) =>
      missing.length > 0
        ? groupLegend("", [{ name: "not known", colour: missingColour, mark: "circle" }], width, top)
        : { svg: "", height: 0 },
    area.bottom + 46,
  );
  return {
    title,
    table: {
      columns: [legendTitle, "points"],
      rows: counts.flatMap((count, bin) =>
        count > 0 ? [[`${number(edge(bin))} to ${number(edge(bin + 1))}`, count]] : [],
      ),
    },
    svg: picture(
      width,
      area.bottom + 46 + legend.height,
      title,
      `${points.length} points: ${y} over ${x}, coloured by ${legendTitle}`,
      [
        across.svg,
        up.svg,
        dots(missing, missingColour),
        ...bins.map((places, bin) => dots(places, rampColour((bin + 0.5) / cloudColours))),
        legend.svg,
      ],
    ),
  };
}

/** A legend, and another one below it. */
function stacked(first: Legend, second: (top: number) => Legend, top: number): Legend {
  const below = second(top + first.height - 8);
  return { svg: first.svg + below.svg, height: first.height + below.height };
}

/** A table of numbers as colours, each with its number where there is room. */
export function heatMap({
  title,
  rows,
  columns,
  rowLabel,
  columnLabel,
  values,
  range,
  legend: legendTitle,
  isDiverging = false,
  write = (value) => value.toFixed(2),
  tell,
}: {
  title: string;
  rows: readonly string[];
  columns: readonly string[];
  rowLabel: string;
  columnLabel: string;
  values: readonly (readonly number[])[];
  range: readonly [number, number];
  legend: string;
  isDiverging?: boolean;
  write?: (value: number) => string;
  tell?: (row: number, column: number) => string;
}): Plot {
  const left = Math.min(
    220,
    30 + Math.max(40, ...[rowLabel, ...rows].map((name) => widthOf(name.slice(0, nameLength)))),
  );
  const cell = Math.min(64, (width - left - 10) / columns.length);
  const height = Math.max(14, Math.min(26, cell));
  const every = Math.ceil(11 / cell); // names of narrow columns would lie over each other
  const foot =
    14 +
    0.75 *
      Math.min(widthOf("m".repeat(20)), Math.max(20, ...columns.map((name) => widthOf(name.slice(0, 20)))));
  const area: Area = {
    left,
    top: 42,
    right: left + cell * columns.length,
    bottom: 42 + height * rows.length,
  };
  const colour = isDiverging ? divergingColour : rampColour;
  const shareOf = (value: number): number => (value - range[0]) / (range[1] - range[0] || 1);
  const squares = values.flatMap((own, row) =>
    own.map((value, column) => {
      const [x, y] = [area.left + column * cell, area.top + row * height];
      const told = element(
        "title",
        {},
        escapeText(
          tell
            ? tell(row, column)
            : `${rows[row]}, ${columns[column]}: ${Number.isFinite(value) ? write(value) : "not known"}`,
        ),
      );
      if (!Number.isFinite(value))
        return element("rect", { x, y, width: cell, height, class: "plot-empty plot-edge" }, told);
      const fill = colour(shareOf(value));
      const written = write(value);
      return (
        element("rect", { x, y, width: cell, height, fill, class: "plot-edge" }, told) +
        (widthOf(written) < cell && height > 13
          ? element(
              "text",
              {
                x: x + cell / 2,
                y: y + height / 2 + 4,
                "text-anchor": "middle",
                class: `plot-value plot-on-${inkOn(fill) === "#000000" ? "bright" : "dark"}`,
              },
              written,
            )
          : "")
      );
    }),
  );
  const names = [
    ...rows.map((name, row) =>
      text(left - 6, area.top + row * height + height / 2 + 4, name, { anchor: "end", most: nameLength }),
    ),
    ...columns.flatMap((name, column) =>
      column % every > 0
        ? []
        : text(area.left + (column + 0.5) * cell + 4, area.bottom + 12, name, {
            anchor: "end",
            most: 20,
            rotate: -45,
          }),
    ),
  ];
  const legendTop = area.bottom + foot + 36;
  const legend = rampLegend(legendTitle, range, colour, legendTop, write);
  return {
    title,
    table: {
      columns: [`${rowLabel} / ${columnLabel}`, ...columns],
      rows: rows.map((name, row) => [
        name,
        ...values[row]!.map((value) => (Number.isFinite(value) ? Number(value.toPrecision(4)) : "")),
      ]),
    },
    svg: picture(
      width,
      legendTop + legend.height,
      title,
      `${rows.length} ${rowLabel} by ${columns.length} ${columnLabel}: ${legendTitle}`,
      [
        text(left - 6, 34, rowLabel, { anchor: "end", kind: "label", most: nameLength }),
        ...squares,
        ...names,
        text((area.left + area.right) / 2, area.bottom + foot + 18, columnLabel, {
          anchor: "middle",
          kind: "label",
        }),
        legend.svg,
      ],
    ),
  };
}

/** A vertical dashed line, its text above it. */
function markLine(place: number, { top, bottom }: Area, told: string): string {
  return (
    line(place, top, place, bottom, "mark") +
    text(place, top - 5, told, { anchor: place > width / 2 ? "end" : "start" })
  );
}

function padded([low, high]: readonly [number, number]): [number, number] {
  const pad = 0.06 * (high - low || 1);
  return [low - pad, high + pad];
}

function number(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString("en-US") : String(Number(value.toPrecision(3)));
}
