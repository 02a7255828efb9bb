// Placement of names beside their points: the first position at which a name overlaps nothing.

import { widthOf } from "./svg.js";

/** Position of a label relative to its point. */
export interface LabelPlace {
  /** Offset from the point to the right, in pixels */
  readonly dx: number;
  /** Offset from the point downwards, in pixels */
  readonly dy: number;
  /** The part of the text at that position */
  readonly anchor: "start" | "middle" | "end";
}
interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Candidate positions, in order of preference. */
const candidates: readonly LabelPlace[] = [
  { dx: 8, dy: 4, anchor: "start" },
  { dx: -8, dy: 4, anchor: "end" },
  { dx: 0, dy: -9, anchor: "middle" },
  { dx: 0, dy: 16, anchor: "middle" },
];
/** Half the size of the square that a point covers, in pixels. */
const reach = 6;

/**
 * @param points - coordinates in pixels
 * @param width - width of the picture, in pixels
 * @returns per point the position of its name; null if there is no room for it
 */
export function placeLabels(
  points: readonly (readonly [number, number])[],
  names: readonly string[],
  width: number,
): (LabelPlace | null)[] {
  const occupied: Box[] = points.map(([x, y]) => ({
    left: x - reach,
    right: x + reach,
    top: y - reach,
    bottom: y + reach,
  }));
  return points.map(([x, y], point) => {
    const length = widthOf(names[point]!);
    for (const place of candidates) {
      const { dx, dy, anchor } = place;
      const left = x + dx - (anchor === "start" ? 0 : anchor === "end" ? length : length / 2);
      const box: Box = { left, right: left + length, top: y + dy - 10, bottom: y + dy + 2 };
      if (
        box.left < 0 ||
        box.right > width ||
        occupied.some(
          (other, i) =>
            i !== point &&
            box.left < other.right &&
            other.left < box.right &&
            box.top < other.bottom &&
            other.top < box.bottom,
        )
      )
        continue;
      occupied.push(box);
      return place;
    }
    return null;
  });
}
