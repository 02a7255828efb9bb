// Pearson's correlation with its two-sided P value, as scipy.stats.pearsonr.
import { mean } from "../numerics/descriptive.js";
import type { Distributions } from "./distributions.js";

export interface Correlation {
  /** -1..1; NaN if one variable does not vary */
  readonly r: number;
  /** of the t test with n - 2 degrees of freedom; NaN with fewer than 3 pairs */
  readonly p: number;
}

/** @param x - (n) @param y - (n) */
export function pearson(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  { tTwoSided }: Pick<Distributions, "tTwoSided">,
): Correlation {
  const n = x.length;
  const [meanX, meanY] = [mean(x), mean(y)];
  let [xx, yy, xy, squares] = [0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [dx, dy] = [x[i]! - meanX, y[i]! - meanY];
    xx += dx * dx;
    yy += dy * dy;
    xy += dx * dy;
    squares += x[i]! ** 2;
  }
  if (n < 2 || !(yy > 0) || !(xx > 1e-24 * squares)) return { r: NaN, p: NaN };
  const r = Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
  return { r, p: n < 3 ? NaN : tTwoSided(r * Math.sqrt((n - 2) / ((1 - r) * (1 + r))), n - 2) };
}
