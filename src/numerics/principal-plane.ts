// The first two principal components of many points with few columns, by power iteration on their covariance:
// exact enough for a starting layout, and the same on every JavaScript engine.

/** (N, 2) scores of points on their first two principal components; the second is 0 if D is 1. */
export function principalPlane(points: Float32Array, D: number): Float64Array {
  const N = points.length / D;
  const mean = new Float64Array(D);
  for (let at = 0; at < points.length; at++) mean[at % D]! += points[at]! / N;
  const covariance = new Float64Array(D * D);
  for (let i = 0; i < N; i++)
    for (let d = 0; d < D; d++)
      for (let e = 0; e < D; e++)
        covariance[d * D + e]! += ((points[i * D + d]! - mean[d]!) * (points[i * D + e]! - mean[e]!)) / N;
  const axes = [leadingAxis(covariance, D)];
  if (D > 1) axes.push(leadingAxis(deflated(covariance, axes[0]!, D), D));
  const plane = new Float64Array(2 * N);
  for (let i = 0; i < N; i++)
    axes.forEach(
      (axis, c) =>
        (plane[2 * i + c] = axis.reduce(
          (sum, weight, d) => sum + weight * (points[i * D + d]! - mean[d]!),
          0,
        )),
    );
  return plane;
}

/** Leading eigenvector of a symmetric matrix by power iteration, its largest entry positive. */
function leadingAxis(matrix: Float64Array, D: number): Float64Array {
  let axis = Float64Array.from({ length: D }, (_, d) => 1 + d / D);
  for (let step = 0; step < 200; step++) {
    const image = axis.map((_, d) => axis.reduce((sum, weight, e) => sum + matrix[d * D + e]! * weight, 0));
    const length = Math.hypot(...image);
    if (length === 0) break;
    axis = image.map((value) => value / length);
  }
  const largest = axis.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
  return largest < 0 ? axis.map((value) => -value) : axis;
}

function deflated(matrix: Float64Array, axis: Float64Array, D: number): Float64Array {
  const value = axis.reduce(
    (sum, weight, d) =>
      sum + weight * axis.reduce((product, other, e) => product + matrix[d * D + e]! * other, 0),
    0,
  );
  return matrix.map((entry, at) => entry - value * axis[Math.floor(at / D)]! * axis[at % D]!);
}
