// What several charts draw with.
// Every chart is a function from numbers to SVG, with a title, axes with units, a legend, and its numbers as
// a table.
import type { Area, AxisOptions } from "./axes.js";
import { line, text } from "./svg.js";

/** Width of a plot, in pixels. */
export const width = 640;

/** Characters of a name beside an axis. */
export const nameLength = 30;

export type Label = Pick<AxisOptions, "label" | "format"> & { readonly range?: readonly [number, number] };

/** A vertical dashed line, its text above it. */
export function markLine(place: number, { top, bottom }: Area, told: string): string {
  return (
    line(place, top, place, bottom, "mark") +
    text(place, top - 5, told, { anchor: place > width / 2 ? "end" : "start" })
  );
}

export function padded([low, high]: readonly [number, number]): [number, number] {
  const pad = 0.06 * (high - low || 1);
  return [low - pad, high + pad];
}

export function number(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString("en-US") : String(Number(value.toPrecision(3)));
}
