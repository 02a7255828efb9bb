// Points inside a polygon.
import { toPixels, type Camera } from "./camera.js";

/**
 * @param line - x, y of the polygon's corners in pixels
 * @param positions - (N, 2) of the points, in the data's units
 * @returns points inside, in ascending order
 */
export function pointsInside(
  line: readonly (readonly [number, number])[],
  positions: Float32Array,
  camera: Camera,
  width: number,
  height: number,
): Uint32Array {
  const xs = Float64Array.from(line, ([x]) => x);
  const ys = Float64Array.from(line, ([, y]) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const inside: number[] = [];
  for (let point = 0; point < positions.length / 2; point++) {
    const [x, y] = toPixels(camera, width, height, positions[2 * point]!, positions[2 * point + 1]!);
    if (x < left || x > right || y < top || y > bottom) continue;
    if (isInside(xs, ys, x, y)) inside.push(point);
  }
  return Uint32Array.from(inside);
}

/** Whether a ray from the point crosses the outline an odd number of times. */
function isInside(xs: Float64Array, ys: Float64Array, x: number, y: number): boolean {
  let inside = false;
  for (let i = 0, j = xs.length - 1; i < xs.length; j = i++) {
    const [yi, yj] = [ys[i]!, ys[j]!];
    if (yi > y !== yj > y && x < ((xs[j]! - xs[i]!) * (y - yi)) / (yj - yi) + xs[i]!) inside = !inside;
  }
  return inside;
}
