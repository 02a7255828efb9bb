// Axes with ticks, labels and units, and the two kinds of legends: groups and a range of numbers.
import { scaleLinear } from "d3-scale";
import { element, line, text, widthOf } from "./svg.js";

/** The plotting area: a rectangle inside the picture, in pixels. */
export interface Area {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** An axis: its scale (value to pixel) and its SVG. */
export interface Axis {
  readonly scale: (value: number) => number;
  readonly svg: string;
}

export interface AxisOptions {
  /** with the unit: "distance (latent units)" */
  readonly label: string;
  readonly range: readonly [number, number];
  readonly isNice?: boolean;
  readonly ticks?: number;
  /** format of the ticks, in d3-format notation, e.g. ".0%" */
  readonly format?: string;
}

/** A horizontal axis at the bottom of the area, with its grid. */
export function xAxis(area: Area, { label, range, isNice = true, ticks = 6, format }: AxisOptions): Axis {
  const scale = scaleLinear().domain(widened(range)).range([area.left, area.right]);
  if (isNice) scale.nice(ticks);
  const write = scale.tickFormat(ticks, format);
  const marks = scale
    .ticks(ticks)
    .map(
      (value) =>
        line(scale(value), area.top, scale(value), area.bottom, "grid") +
        text(scale(value), area.bottom + 15, write(value), { anchor: "middle" }),
    );
  return {
    scale,
    svg:
      marks.join("") +
      line(area.left, area.bottom, area.right, area.bottom, "axis") +
      text((area.left + area.right) / 2, area.bottom + 32, label, { anchor: "middle", kind: "label" }),
  };
}

/** A vertical axis at the left of the area, with its grid. */
export function yAxis(area: Area, { label, range, isNice = true, ticks = 5, format }: AxisOptions): Axis {
  const scale = scaleLinear().domain(widened(range)).range([area.bottom, area.top]);
  if (isNice) scale.nice(ticks);
  const write = scale.tickFormat(ticks, format);
  const values = scale.ticks(ticks);
  const widest = Math.max(...values.map((value) => widthOf(write(value))));
  const marks = values.map(
    (value) =>
      line(area.left, scale(value), area.right, scale(value), "grid") +
      text(area.left - 6, scale(value) + 4, write(value), { anchor: "end" }),
  );
  return {
    scale,
    svg:
      marks.join("") +
      line(area.left, area.top, area.left, area.bottom, "axis") +
      text(area.left - Math.max(46, widest + 12), (area.top + area.bottom) / 2, label, {
        anchor: "middle",
        kind: "label",
        rotate: -90,
      }),
  };
}

function widened([low, high]: readonly [number, number]): [number, number] {
  return high > low ? [low, high] : [low - 0.5, low + 0.5];
}

/** Minimum and maximum of the finite values; [0, 1] without any. */
export function extent(values: Iterable<number>): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values)
    if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return low <= high ? [low, high] : [0, 1];
}

export interface LegendEntry {
  readonly name: string;
  readonly colour: string;
  readonly mark?: "square" | "circle" | "line" | "dashes" | "ring" | "ellipse";
}

/** The SVG of a legend and its height in pixels. */
export interface Legend {
  readonly svg: string;
  readonly height: number;
}

const legendRow = 18;
/** Up to this many entries of a legend are written whole, as far as the legend is wide. */
const fewEntries = 4;

/** A legend in rows below a plot. */
export function groupLegend(
  title: string,
  entries: readonly LegendEntry[],
  width: number,
  top: number,
): Legend {
  // few entries have a row each where they need it
  const most = entries.length <= fewEntries ? Math.max(34, Math.floor((width - 30) / widthOf("m"))) : 34;
  const column = Math.min(
    width,
    Math.max(90, 30 + Math.max(...entries.map(({ name }) => widthOf(name.slice(0, most))))),
  );
  const columns = Math.max(1, Math.floor(width / column));
  const items = entries.map(({ name, colour, mark = "square" }, i) => {
    const [x, y] = [(i % columns) * column, top + legendRow * (1 + Math.floor(i / columns))];
    return legendMark(x, y, colour, mark) + text(x + 20, y + 10, name, { most });
  });
  return {
    svg: text(0, top + 10, title, { kind: "label" }) + items.join(""),
    height: legendRow * (1 + Math.ceil(entries.length / columns)),
  };
}

/** A shape that shows a spread: light, so that several may overlap. */
export function ellipseStyle(colour: string): Readonly<Record<string, string | number>> {
  return { fill: colour, "fill-opacity": 0.12, stroke: colour, "stroke-opacity": 0.5 };
}

function legendMark(x: number, y: number, colour: string, mark: NonNullable<LegendEntry["mark"]>): string {
  if (mark === "square") return element("rect", { x, y, width: 12, height: 12, rx: 2, fill: colour });
  if (mark === "circle") return element("circle", { cx: x + 6, cy: y + 6, r: 5, fill: colour });
  if (mark === "ellipse")
    return element("ellipse", { cx: x + 7, cy: y + 6, rx: 7, ry: 4.5, ...ellipseStyle(colour) });
  if (mark === "ring")
    return element("circle", {
      cx: x + 6,
      cy: y + 6,
      r: 4.5,
      fill: "none",
      stroke: colour,
      "stroke-width": 2,
    });
  return element("line", {
    x1: x,
    y1: y + 6,
    x2: x + 14,
    y2: y + 6,
    stroke: colour,
    "stroke-width": 2.5,
    "stroke-dasharray": mark === "dashes" ? "4 3" : undefined,
  });
}

/** A colour bar with the values at its ends. @param colour - colour of a fraction 0..1 of the range */
export function rampLegend(
  title: string,
  [low, high]: readonly [number, number],
  colour: (share: number) => string,
  top: number,
  write: (value: number) => string = (value) => String(Number(value.toPrecision(3))),
): Legend {
  const [steps, width] = [40, 200];
  const bar = Array.from({ length: steps }, (_, i) =>
    element("rect", {
      x: (i * width) / steps,
      y: top + 16,
      width: width / steps + 0.5,
      height: 10,
      fill: colour((i + 0.5) / steps),
    }),
  );
  return {
    svg:
      text(0, top + 10, title, { kind: "label" }) +
      bar.join("") +
      text(0, top + 40, write(low)) +
      text(width, top + 40, write(high), { anchor: "end" }),
    height: 46,
  };
}
