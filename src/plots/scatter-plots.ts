// Scatter plots, of named points and of many points without names.
import {
  ellipseStyle,
  extent,
  groupLegend,
  rampLegend,
  xAxis,
  yAxis,
  type Area,
  type Axis,
  type AxisScale,
  type Legend,
  type LegendEntry,
} from "./axes.js";
import { groupColour, missingColour, rampColour } from "./palette.js";
import { placeLabels } from "./labels.js";
import { element, escapeText, picture, text, type Plot } from "./svg.js";
import { width, padded, number } from "./chart-parts.js";

/** With more points than this they are drawn small, without edge and tooltip. */
const crowdedFrom = 300;
/** Up to this many points have their names beside them. */
const mostNamed = 40;
/** Maximum length of a name beside a point, in characters. */
const pointNameLength = 18;

/** A point of a scatter plot. */
export interface ScatterPoint {
  /** Name of the point, drawn where there is room */
  readonly name: string;
  /** Position on the horizontal axis */
  readonly x: number;
  /** Position on the vertical axis */
  readonly y: number;
  /** Index of a group, or the number to colour by; null: not known */
  readonly value: number | null;
  /** Drawn as a ring. Default false */
  readonly isOpen?: boolean;
  /** Covariance of its position; draws the ellipse that contains 95 % of a normal distribution */
  readonly spread?: Spread | undefined;
}

/** Options of `scatterPlot`. */
export interface ScatterPlotOptions {
  /** Title, also drawn */
  title: string;
  /** Label of the horizontal axis, with its unit */
  x: string;
  /** Label of the vertical axis, with its unit */
  y: string;
  /** Range and kind of the horizontal axis. Default: linear, the points and a margin */
  xScale?: AxisScale;
  /** Range and kind of the vertical axis. Default: linear, the points and a margin */
  yScale?: AxisScale;
  /** Points; later ones are drawn over earlier ones */
  points: readonly ScatterPoint[];
  /** Names of the groups that values are indices of. Default: values are numbers */
  groups?: readonly string[];
  /** Colours of the groups. Default: the palette's */
  colours?: readonly string[] | undefined;
  /** Title of the legend */
  legend: string;
  /** What rings stand for, for the legend */
  openMeans?: string;
  /** What ellipses stand for, for the legend */
  spreadMeans?: string;
}

/** A scatter plot; points are named where there is room. */
export function scatterPlot(options: ScatterPlotOptions): Plot {
  const { title, x, y, points, groups, legend: legendTitle } = options;
  const axes = scatterAxes(options);
  const colouring = colouringOf(options);
  const colours = points.map(({ value }) => colouring.of(value));
  const legend = scatterLegend(options, colouring);
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
      scatterArea.bottom + 46 + legend.height,
      title,
      `${points.length} points: ${y} over ${x}, coloured by ${legendTitle}`,
      [
        axes.across.svg,
        axes.up.svg,
        ...points.flatMap((point, i) =>
          point.spread ? [ellipse(point, point.spread, axes, colours[i]!)] : [],
        ),
        ...scatterDots(points, groups, axes, colours),
        legend.svg,
      ],
    ),
  };
}

const scatterArea: Area = { left: 64, top: 34, right: width - 12, bottom: 404 };

interface Axes {
  readonly across: Axis;
  readonly up: Axis;
}

function scatterAxes({ x, y, xScale = {}, yScale = {}, points }: ScatterPlotOptions): Axes {
  const reach = (at: number, variance = 0): [number, number] => {
    const half = Math.sqrt(ellipseChi * variance);
    return [at - half, at + half];
  };
  const across = xAxis(scatterArea, {
    label: x,
    ...rangeOf(xScale, extent(points.flatMap((point) => reach(point.x, point.spread?.xx)))),
  });
  const up = yAxis(scatterArea, {
    label: y,
    ...rangeOf(yScale, extent(points.flatMap((point) => reach(point.y, point.spread?.yy)))),
    ticks: 6,
  });
  return { across, up };
}

/** The given range, else that of the points: with a margin, or up to powers of the logarithm's base. */
function rangeOf({ range, logBase }: AxisScale, ofPoints: readonly [number, number]) {
  return { range: range ?? (logBase ? ofPoints : padded(ofPoints)), isNice: range === undefined, logBase };
}

interface PointColouring {
  /** colours of the groups; null where values are numbers */
  readonly groups: readonly string[] | null;
  /** range of the values */
  readonly range: readonly [number, number];
  readonly of: (value: number | null) => string;
}

function colouringOf({ points, groups, colours }: ScatterPlotOptions): PointColouring {
  const groupColours = groups ? (colours ?? groups.map((_, group) => groupColour(group))) : null;
  const range = extent(points.flatMap(({ value }) => (value === null ? [] : [value])));
  return {
    groups: groupColours,
    range,
    of: (value) =>
      value === null
        ? missingColour
        : groupColours
          ? groupColours[value]!
          : rampColour((value - range[0]) / (range[1] - range[0] || 1)),
  };
}

/** Points, each with its name where there is room. */
function scatterDots(
  points: readonly ScatterPoint[],
  groups: readonly string[] | undefined,
  { across, up }: Axes,
  colours: readonly string[],
): string[] {
  const labels =
    points.length <= mostNamed
      ? placeLabels(
          points.map((point) => [across.scale(point.x), up.scale(point.y)]),
          points.map(({ name }) => shortened(name)),
          width,
        )
      : [];
  const isCrowded = points.length > crowdedFrom;
  const radius = isCrowded ? 2.6 : 5.5;
  return points.map(({ name, x, y, value, isOpen }, point) => {
    const [cx, cy, colour] = [across.scale(x), up.scale(y), colours[point]!];
    const tooltip = `${name}${value === null ? "" : `, ${groups ? groups[value]! : number(value)}`}`;
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
      isCrowded ? "" : element("title", {}, escapeText(tooltip)),
    );
    const label = labels[point];
    return (
      dot +
      (label ? text(cx + label.dx, cy + label.dy, name, { anchor: label.anchor, most: pointNameLength }) : "")
    );
  });
}

function shortened(name: string): string {
  const characters = Array.from(name);
  return characters.length > pointNameLength
    ? `${characters.slice(0, pointNameLength - 1).join("")}\u2026`
    : name;
}

/** Groups or a range of numbers, and what rings, ellipses and grey points stand for. */
function scatterLegend(
  { points, groups, legend: title, openMeans, spreadMeans }: ScatterPlotOptions,
  { groups: colours, range }: PointColouring,
): Legend {
  const top = scatterArea.bottom + 46;
  const others: LegendEntry[] = [
    ...(points.some(({ value }) => value === null)
      ? [{ name: "not known", colour: missingColour, mark: "circle" as const }]
      : []),
    ...(openMeans && points.some(({ isOpen }) => isOpen)
      ? [{ name: openMeans, colour: missingColour, mark: "ring" as const }]
      : []),
    ...(spreadMeans && points.some(({ spread }) => spread)
      ? [{ name: spreadMeans, colour: missingColour, mark: "ellipse" as const }]
      : []),
  ];
  if (!groups)
    return stacked(
      rampLegend(title, range, rampColour, top),
      (below) => (others.length > 0 ? groupLegend("", others, width, below) : { svg: "", height: 0 }),
      top,
    );
  const isRinged = (group: number): boolean =>
    points.some(({ value, isOpen }) => value === group && isOpen) &&
    points.every(({ value, isOpen }) => value !== group || isOpen);
  const entries = groups.map((name, group): LegendEntry => ({
    name,
    colour: colours![group]!,
    mark: isRinged(group) ? "ring" : "circle",
  }));
  return groupLegend(title, [...entries, ...others], width, top);
}

/** Square of the radius that holds 95 % of a normal distribution in two dimensions (chi-squared). */
const ellipseChi = 5.991;

/** Variances of x and y and their covariance. */
export interface Spread {
  /** Variance of x */
  readonly xx: number;
  /** Variance of y */
  readonly yy: number;
  /** Covariance of x and y */
  readonly xy: number;
}

/**
 * The ellipse that holds 95 % of a normal distribution, on axes of different scales.
 * @param across, up - pixels per unit of x and of y, negative where an axis runs the other way
 */
export function normalEllipse(
  { xx, yy, xy }: Spread,
  across: number,
  up: number,
): {
  /** first radius, in pixels */
  readonly rx: number;
  /** second radius, in pixels */
  readonly ry: number;
  /** of the first radius, in degrees, clockwise on a screen */
  readonly angle: number;
} {
  // of the covariance in pixels: an angle in the units of the axes is another on the screen
  const [a, b, c] = [xx * across * across, yy * up * up, xy * across * up];
  const [middle, root] = [(a + b) / 2, Math.hypot((a - b) / 2, c)];
  return {
    rx: Math.sqrt(ellipseChi * (middle + root)),
    ry: Math.sqrt(ellipseChi * Math.max(0, middle - root)),
    angle: (Math.atan2(2 * c, a - b) * 90) / Math.PI,
  };
}

/** Outline of 95 % of a normal distribution around a point. */
function ellipse({ x, y }: ScatterPoint, spread: Spread, { across, up }: Axes, colour: string): string {
  const { rx, ry, angle } = normalEllipse(
    spread,
    across.scale(1) - across.scale(0),
    up.scale(1) - up.scale(0),
  );
  const [cx, cy] = [across.scale(x), up.scale(y)];
  return element("ellipse", {
    cx,
    cy,
    rx,
    ry,
    transform: `rotate(${angle.toFixed(1)} ${cx.toFixed(1)} ${cy.toFixed(1)})`,
    ...ellipseStyle(colour),
  });
}

/** Number of colours in a point cloud. */
const cloudColours = 32;

/**
 * Many unnamed points coloured by a number, highest on top; points without a finite value are grey, below
 * the others. Points of one colour share a path, which keeps the SVG small.
 * @param options - `range`: values at the ends of the colours, which all values lie between. Default: the
 *   smallest and the largest value
 */
export function pointCloud({
  title,
  x,
  y,
  points,
  legend: legendTitle,
  range = extent(points.map(([, , value]) => value)),
}: {
  title: string;
  x: string;
  y: string;
  points: readonly (readonly [x: number, y: number, value: number])[];
  legend: string;
  range?: readonly [number, number];
}): Plot {
  const across = xAxis(scatterArea, { label: x, range: padded(extent(points.map(([a]) => a))) });
  const up = yAxis(scatterArea, { label: y, range: padded(extent(points.map(([, b]) => b))), ticks: 6 });
  const { bins, missing } = pointsByColour(points, range, { across, up });
  const strokeWidth = points.length > 2000 ? 3 : 5;
  const edge = (bin: number): number => range[0] + ((range[1] - range[0]) * bin) / cloudColours;
  const top = scatterArea.bottom + 46;
  const legend = stacked(
    rampLegend(legendTitle, range, rampColour, top),
    (below) =>
      missing.length > 0
        ? groupLegend("", [{ name: "not known", colour: missingColour, mark: "circle" }], width, below)
        : { svg: "", height: 0 },
    top,
  );
  return {
    title,
    table: {
      columns: [legendTitle, "points"],
      rows: bins.flatMap((segments, bin) =>
        segments.length > 0 ? [[`${number(edge(bin))} to ${number(edge(bin + 1))}`, segments.length]] : [],
      ),
    },
    svg: picture(
      width,
      top + legend.height,
      title,
      `${points.length} points: ${y} over ${x}, coloured by ${legendTitle}`,
      [
        across.svg,
        up.svg,
        cloudPath(missing, missingColour, strokeWidth),
        ...bins.map((segments, bin) =>
          cloudPath(segments, rampColour((bin + 0.5) / cloudColours), strokeWidth),
        ),
        legend.svg,
      ],
    ),
  };
}

/** Segments of the paths of each colour, from low to high values, and of points without a value. */
function pointsByColour(
  points: readonly (readonly [x: number, y: number, value: number])[],
  [low, high]: readonly [number, number],
  { across, up }: Axes,
): { readonly bins: readonly string[][]; readonly missing: string[] } {
  const bins = Array.from({ length: cloudColours }, () => [] as string[]);
  const missing: string[] = [];
  for (const [a, b, value] of points) {
    const bin = Number.isFinite(value)
      ? Math.min(cloudColours - 1, Math.floor((cloudColours * (value - low)) / (high - low || 1)))
      : -1;
    (bins[bin] ?? missing).push(`M${across.scale(a).toFixed(1)} ${up.scale(b).toFixed(1)}h0`);
  }
  return { bins, missing };
}

function cloudPath(segments: readonly string[], colour: string, strokeWidth: number): string {
  return segments.length === 0
    ? ""
    : element("path", {
        d: segments.join(""),
        stroke: colour,
        "stroke-width": strokeWidth,
        "stroke-linecap": "round",
        fill: "none",
      });
}

/** One legend above another. */
function stacked(first: Legend, second: (top: number) => Legend, top: number): Legend {
  const below = second(top + first.height - 8);
  return { svg: first.svg + below.svg, height: first.height + below.height };
}
