// Scatter plots, of named points and of many points without names.
import {
  ellipseStyle,
  extent,
  groupLegend,
  rampLegend,
  xAxis,
  yAxis,
  type Area,
  type Legend,
  type LegendEntry,
} from "./axes.js";
import { groupColour, missingColour, rampColour } from "./palette.js";
import { placeLabels } from "./labels.js";
import { element, escapeText, picture, text, type Plot } from "./svg.js";
import { width, padded, number } from "./chart-parts.js";

/** With more points than this they are drawn small, without edge and tooltip. */
const crowdedFrom = 300;
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

/** A scatter plot; points are named where there is room. */
export function scatterPlot({
  title,
  x,
  y,
  points,
  groups,
  colours = groups?.map((_, group) => groupColour(group)),
  legend: legendTitle,
  openMeans,
  spreadMeans,
}: {
  title: string;
  x: string;
  y: string;
  points: readonly ScatterPoint[];
  /** names of the values; without them values are numbers */
  groups?: readonly string[];
  /** of the groups. Default: the palette's */
  colours?: readonly string[] | undefined;
  legend: string;
  openMeans?: string;
  spreadMeans?: string;
}): Plot {
  const area: Area = { left: 64, top: 34, right: width - 12, bottom: 404 };
  const reach = (at: number, variance = 0): [number, number] => {
    const half = Math.sqrt(ellipseChi * variance);
    return [at - half, at + half];
  };
  const across = xAxis(area, {
    label: x,
    range: padded(extent(points.flatMap((point) => reach(point.x, point.spread?.xx)))),
  });
  const up = yAxis(area, {
    label: y,
    range: padded(extent(points.flatMap((point) => reach(point.y, point.spread?.yy)))),
    ticks: 6,
  });
  const range = extent(points.flatMap(({ value }) => (value === null ? [] : [value])));
  const colourOf = (value: number | null): string =>
    value === null
      ? missingColour
      : groups
        ? colours![value]!
        : rampColour((value - range[0]) / (range[1] - range[0] || 1));
  const isNamed = points.length <= 40;
  const short = points.map(({ name }) =>
    Array.from(name).length > pointNameLength
      ? `${Array.from(name)
          .slice(0, pointNameLength - 1)
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
  const isCrowded = points.length > crowdedFrom;
  const radius = isCrowded ? 2.6 : 5.5;
  const ellipses = points.flatMap((point) =>
    point.spread ? [ellipse(point, point.spread, across, up, colourOf(point.value))] : [],
  );
  const dots = points.map(({ name, x: a, y: b, value, isOpen }, point) => {
    const [cx, cy, colour] = [across.scale(a), up.scale(b), colourOf(value)];
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
  const hasMissing = points.some(({ value }) => value === null);
  const isRinged = (group: number): boolean =>
    points.some(({ value, isOpen }) => value === group && isOpen) &&
    points.every(({ value, isOpen }) => value !== group || isOpen);
  const rings: LegendEntry[] =
    openMeans && points.some(({ isOpen }) => isOpen)
      ? [{ name: openMeans, colour: missingColour, mark: "ring" }]
      : [];
  const spreads: LegendEntry[] =
    spreadMeans && points.some(({ spread }) => spread)
      ? [{ name: spreadMeans, colour: missingColour, mark: "ellipse" }]
      : [];
  const others: LegendEntry[] = [
    ...(hasMissing ? [{ name: "not known", colour: missingColour, mark: "circle" as const }] : []),
    ...rings,
    ...spreads,
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
      [across.svg, up.svg, ...ellipses, ...dots, legend.svg],
    ),
  };
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
function ellipse(
  { x, y }: ScatterPoint,
  spread: Spread,
  across: { readonly scale: (value: number) => number },
  up: { readonly scale: (value: number) => number },
  colour: string,
): string {
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
  const dots = (pathSegments: readonly string[], colour: string): string =>
    pathSegments.length === 0
      ? ""
      : element("path", {
          d: pathSegments.join(""),
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
        ...bins.map((segments, bin) => dots(segments, rampColour((bin + 0.5) / cloudColours))),
        legend.svg,
      ],
    ),
  };
}

/** One legend above another. */
function stacked(first: Legend, second: (top: number) => Legend, top: number): Legend {
  const below = second(top + first.height - 8);
  return { svg: first.svg + below.svg, height: first.height + below.height };
}
