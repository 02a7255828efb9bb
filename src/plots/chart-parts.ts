// Parts shared by several charts. Every chart is a function from numbers to SVG, with a title, axes with
// units, a legend, and its numbers as a table.
import type { Area, AxisOptions, AxisScale } from "./axes.js";
import { line, text } from "./svg.js";

/** Width of a plot, in pixels. */
export const width = 640;

/** Maximum length of a name beside an axis, in characters. */
export const nameLength = 30;

export type Label = Pick<AxisOptions, "label" | "format"> & AxisScale;

/** A vertical dashed line with a text above it. @param x - in pixels */
export function markLine(x: number, { top, bottom }: Area, label: string): string {
  return (
    line(x, top, x, bottom, "mark") + text(x, top - 5, label, { anchor: x > width / 2 ? "end" : "start" })
  );
}

/** A range with a margin of 6 % on both ends. */
export function padded([low, high]: readonly [number, number]): [number, number] {
  const pad = 0.06 * (high - low || 1);
  return [low - pad, high + pad];
}

/** A number as shown to users: integers in full, others with three significant digits. */
export function number(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString("en-US") : String(Number(value.toPrecision(3)));
}
