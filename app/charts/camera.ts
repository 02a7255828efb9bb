// The camera: from units of the data to pixels, without WebGL.

export interface Camera {
  readonly target: readonly [number, number];
  /** log2 of pixels per unit */
  readonly zoom: number;
}

/** Radius in pixels that suits the number of points. */
export function pointRadius(points: number): number {
  return Math.min(4.5, Math.max(1, 4.8 - 0.75 * Math.log10(Math.max(1, points / 150))));
}

/** The camera that shows all positions, with room for labels. */
export function fittingCamera(sets: readonly Float32Array[], width: number, height: number): Camera {
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const positions of sets)
    for (let i = 0; i < positions.length; i += 2) {
      if (!Number.isFinite(positions[i]! + positions[i + 1]!)) continue;
      left = Math.min(left, positions[i]!);
      right = Math.max(right, positions[i]!);
      low = Math.min(low, positions[i + 1]!);
      high = Math.max(high, positions[i + 1]!);
    }
  if (!(right >= left)) return { target: [0, 0], zoom: 0 };
  const scale = Math.min(width / Math.max(1e-6, right - left), height / Math.max(1e-6, high - low)) * 0.88;
  return { target: [(left + right) / 2, (low + high) / 2], zoom: Math.log2(scale) };
}

/** From the data's units to pixels of the canvas. */
export function toPixels(
  { target, zoom }: Camera,
  width: number,
  height: number,
  x: number,
  y: number,
): readonly [number, number] {
  const scale = 2 ** zoom;
  return [width / 2 + (x - target[0]) * scale, height / 2 - (y - target[1]) * scale];
}

/** The camera after a zoom that leaves what is at a pixel where it is. @param by - steps of log2 */
export function zoomedAt(
  { target, zoom }: Camera,
  width: number,
  height: number,
  [px, py]: readonly [number, number],
  by: number,
): Camera {
  const next = Math.min(20, Math.max(-20, zoom + by));
  const shift = 1 / 2 ** zoom - 1 / 2 ** next;
  return {
    target: [target[0] + (px - width / 2) * shift, target[1] - (py - height / 2) * shift],
    zoom: next,
  };
}
