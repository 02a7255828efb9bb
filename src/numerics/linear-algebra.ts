// Products and sums of vectors, term by term in a fixed order.

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Euclidean length. */
export function norm(values: Float64Array): number {
  return Math.sqrt(dot(values, values));
}

export function scale(to: Float64Array, factor: number): void {
  for (let i = 0; i < to.length; i++) to[i]! *= factor;
}

/** to += factor * other */
export function addScaled(to: Float64Array, factor: number, other: Float64Array): void {
  for (let i = 0; i < to.length; i++) to[i]! += factor * other[i]!;
}

/** Product of a row (G) with a table (G, P). */
export function rowTimes(row: Float64Array, table: Float64Array, P: number): Float64Array {
  const product = new Float64Array(P);
  for (let gene = 0, at = 0; gene < row.length; gene++)
    for (let p = 0; p < P; p++, at++) product[p]! += row[gene]! * table[at]!;
  return product;
}

/** Squared Euclidean distance of rows i and j of two tables with D columns. */
export function squaredDistance(
  a: Float32Array | Float64Array,
  i: number,
  b: Float32Array | Float64Array,
  j: number,
  D: number,
): number {
  let sum = 0;
  for (let d = 0, at = i * D, other = j * D; d < D; d++, at++, other++) sum += (a[at]! - b[other]!) ** 2;
  return sum;
}
