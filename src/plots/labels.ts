// Where names go beside their points: the first side on which they lie on nothing else.

import { widthOf } from "./svg.js";

/** Where a label of a plot goes. */
export interface LabelPlace {
  /** Offset from the point to the right, in pixels */
  readonly dx: number;
  /** Offset from the point downwards, in pixels */
  readonly dy: number;
  /** Which end of the text lies there */
  readonly anchor: "start" | "middle" | "end";
}
interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

const sides: readonly LabelPlace[] = [
  { dx: 8, dy: 4, anchor: "start" },
  { dx: -8, dy: 4, anchor: "end" },
  { dx: 0, dy: -9, anchor: "middle" },
  { dx: 0, dy: 16, anchor: "middle" },
];
const reach = 6;

/** @param points - in pixels @returns per point where its name goes; null where there is no room for it */
export function placeLabels(
  points: readonly (readonly [number, number])[],
  names: readonly string[],
  width: number,
): (LabelPlace | null)[] {
  const taken: Box[] = points.map(([x, y]) => ({
    left: x - reach,
    right: x + reach,
    top: y - reach,
    bottom: y + reach,
  }));
  return points.map(([x, y], point) => {
    const length = widthOf(names[point]!);
    for (const side of sides) {
      const left = x + side.dx - (side.anchor === "start" ? 0 : side.anchor === "end" ? length : length / 2);
      const box: Box = { left, right: left + length, top: y + side.dy - 10, bottom: y + side.dy + 2 };
      if (
        box.left < 0 ||
        box.right > width ||
        taken.some(
          (other, own) =>
            own !== point &&
            box.left < other.right &&
            other.left < box.right &&
            box.top < other.bottom &&
            other.top < box.bottom,
        )
      )
        continue;
      taken.push(box);
      return side;
    }
    return null;
  });
}
