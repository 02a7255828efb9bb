// Axes with ticks, labels and units, and the two kinds of legends: groups and a range of numbers.
import { scaleLinear, scaleLog } from "d3-scale";
import { element, line, text, widthOf } from "./svg.js";

/** The plotting area: a rectangle inside the picture, in pixels. */
export interface Area {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  /** Space between the area and the right end of the picture. Default 12 */
  readonly spare?: number;
}

/** Space for a label at the left end of the picture, in pixels. */
const labelSpace = 12;

/** An axis: its scale (value to pixel) and its SVG. */
export interface Axis {
  readonly scale: (value: number) => number;
  readonly svg: string;
}

/** Range and kind of an axis. */
export interface AxisScale {
  /** Values that the axis covers, such as [0, 1] for shares. Default: those of the data */
  readonly range?: readonly [number, number];
  /** Base of a logarithmic axis, for values above 0: 10, or 2 for doublings. Default: linear */
  readonly logBase?: number | undefined;
}

export interface AxisOptions extends Required<Pick<AxisScale, "range">>, Pick<AxisScale, "logBase"> {
  /** with the unit: "distance (latent units)" */
  readonly label: string;
  readonly isNice?: boolean;
  readonly ticks?: number;
  /** format of the ticks, in d3-format notation, e.g. ".0%" */
  readonly format?: string;
}

/** A horizontal axis at the bottom of the area, with its grid. */
export function xAxis(area: Area, options: AxisOptions): Axis {
  const { scale, ticks } = scaleOf({ ticks: 6, ...options }, area.left, area.right);
  const marks = ticks.map(
    ({ value, written }) =>
      line(scale(value), area.top, scale(value), area.bottom, "grid") + tickText(scale(value), area, written),
  );
  return {
    scale,
    svg:
      marks.join("") +
      line(area.left, area.bottom, area.right, area.bottom, "axis") +
      text((area.left + area.right) / 2, area.bottom + 32, options.label, {
        anchor: "middle",
        kind: "label",
      }),
  };
}

/** The number of a tick below the area, moved to the left where it would leave the picture. */
function tickText(x: number, { right, bottom, spare = 12 }: Area, written: string): string {
  const end = right + spare;
  return x + widthOf(written) / 2 > end
    ? text(end, bottom + 15, written, { anchor: "end" })
    : text(x, bottom + 15, written, { anchor: "middle" });
}

/** A vertical axis at the left of the area, with its grid. */
export function yAxis(area: Area, options: AxisOptions): Axis {
  const { scale, ticks } = scaleOf({ ticks: 5, ...options }, area.bottom, area.top);
  const widest = Math.max(...ticks.map(({ written }) => widthOf(written)));
  const marks = ticks.map(
    ({ value, written }) =>
      line(area.left, scale(value), area.right, scale(value), "grid") +
      text(area.left - 6, scale(value) + 4, written, { anchor: "end" }),
  );
  return {
    scale,
    svg:
      marks.join("") +
      line(area.left, area.top, area.left, area.bottom, "axis") +
      text(
        area.left - Math.min(area.left - labelSpace, Math.max(46, widest + 12)),
        (area.top + area.bottom) / 2,
        options.label,
        {
          anchor: "middle",
          kind: "label",
          rotate: -90,
        },
      ),
  };
}

interface Tick {
  readonly value: number;
  readonly written: string;
}

/** Scale from values to pixels between two ends, and its ticks. */
function scaleOf(
  { range, isNice = true, ticks, format, logBase }: AxisOptions,
  start: number,
  end: number,
): { readonly scale: Axis["scale"]; readonly ticks: readonly Tick[] } {
  if (logBase !== undefined) return logScaleOf(range, logBase, start, end);
  const scale = scaleLinear().domain(widened(range)).range([start, end]);
  if (isNice) scale.nice(ticks);
  const write = scale.tickFormat(ticks, format);
  return { scale, ticks: scale.ticks(ticks).map((value) => ({ value, written: write(value) })) };
}

/** A logarithmic scale between powers of its base, with a tick at each. */
function logScaleOf(range: readonly [number, number], base: number, start: number, end: number) {
  const powerOf = (value: number): number => Number((Math.log(value) / Math.log(base)).toFixed(9));
  const low = Math.floor(powerOf(range[0]));
  const high = Math.max(low + 1, Math.ceil(powerOf(range[1])));
  const scale = scaleLog()
    .base(base)
    .domain([base ** low, base ** high])
    .range([start, end]);
  const powers = Array.from({ length: high - low + 1 }, (_, i) =>
    Number((base ** (low + i)).toPrecision(12)),
  );
  const written = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: 9 });
  return { scale, ticks: powers.map((value) => ({ value, written: written(value) })) };
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

/** A legend in rows below a plot. @param title - "": none */
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
  const titleRows = title === "" ? 0 : 1;
  const items = entries.map(({ name, colour, mark = "square" }, i) => {
    const [x, y] = [(i % columns) * column, top + legendRow * (titleRows + Math.floor(i / columns))];
    return legendMark(x, y, colour, mark) + text(x + 20, y + 10, name, { most });
  });
  return {
    svg: (title === "" ? "" : text(0, top + 10, title, { kind: "label" })) + items.join(""),
    height: legendRow * (titleRows + Math.ceil(entries.length / columns)),
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
