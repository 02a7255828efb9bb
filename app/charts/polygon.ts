// Points inside a polygon.

/** @param line - x, y of its corners in pixels @param place - of a point, in pixels */
export function pointsInside(
  line: readonly (readonly [number, number])[],
  count: number,
  place: (point: number) => readonly [number, number],
): Uint32Array {
  const inside: number[] = [];
  const xs = line.map(([x]) => x);
  const ys = line.map(([, y]) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  for (let point = 0; point < count; point++) {
    const [x, y] = place(point);
    if (x < left || x > right || y < top || y > bottom) continue;
    let isInside = false;
    for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
      const [xi, yi] = line[i]!;
      const [xj, yj] = line[j]!;
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) isInside = !isInside;
    }
    if (isInside) inside.push(point);
  }
  return Uint32Array.from(inside);
}
