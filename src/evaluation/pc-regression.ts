// Principal component regression: the share of variance between conditions, before and after integration. The
// variance that the condition explains of each component, weighted by the component's variance, equals the
// variance between conditions divided by the total variance. Both are invariant to rotation, so no components
// need to be computed. Source: Büttner et al. 2019; pcr_comparison(categorical=True) of scib-metrics 0.5.10.

/** Share of the total variance of all columns that is between conditions. @param values - (N, D) */
export function varianceBetween(
  values: ArrayLike<number>,
  D: number,
  conditions: Int32Array,
  names: number,
): number {
  const N = conditions.length;
  const counts = new Int32Array(names);
  const sums = new Float64Array(names * D);
  const means = new Float64Array(D);
  for (let cell = 0; cell < N; cell++) {
    counts[conditions[cell]!]!++;
    for (let d = 0; d < D; d++) means[d]! += values[cell * D + d]! / N;
  }
  let total = 0;
  for (let cell = 0; cell < N; cell++)
    for (let d = 0; d < D; d++) {
      const centred = values[cell * D + d]! - means[d]!;
      sums[conditions[cell]! * D + d]! += centred;
      total += centred * centred;
    }
  let between = 0;
  for (let c = 0; c < names; c++)
    if (counts[c]! > 0) for (let d = 0; d < D; d++) between += sums[c * D + d]! ** 2 / counts[c]!;
  return between / total;
}

/**
 * Share of the variance between conditions that the integration removed, at least 0; null if there was none
 * before.
 */
export function pcRegression(before: number, after: number): number | null {
  if (!(before > 0)) return null;
  return Math.max(0, (before - after) / before);
}
