// Locally weighted regression (LOWESS), as R's lowess.
// Source: Cleveland 1979, "Robust Locally Weighted Regression and Smoothing Scatterplots"; Cleveland 1981.
import { median } from "../numerics/descriptive.js";

export interface LowessOptions {
  /** share of the points used in each local fit. Default 2/3 */
  readonly span?: number;
  /** number of robust iterations after the first fit. Default 3 */
  readonly iterations?: number;
  /** points closer than this to the last fitted one are interpolated. Default: 1 % of the range of x */
  readonly delta?: number;
}

const cube = (x: number): number => x * x * x;
const square = (x: number): number => x * x;

/**
 * @param x - (n) ascending
 * @param y - (n)
 * @returns (n) the fitted values
 */
export function lowess(x: Float64Array, y: Float64Array, options: LowessOptions = {}): Float64Array {
  const n = x.length;
  const { span = 2 / 3, iterations = 3, delta = 0.01 * (x[n - 1]! - x[0]!) } = options;
  if (n < 2) return y.slice();
  const neighbors = Math.max(2, Math.min(n, Math.floor(span * n + 1e-7)));
  const fitted = new Float64Array(n);
  let robustness: Float64Array | null = null;
  for (let iteration = 0; iteration <= iterations; iteration++) {
    smooth(x, y, neighbors, delta, robustness, fitted);
    if (iteration === iterations) break;
    const residuals = y.map((value, i) => Math.abs(value - fitted[i]!));
    const scale = residuals.reduce((sum, size) => sum + size, 0) / n;
    const bound = 6 * median(residuals);
    if (bound < 1e-7 * scale) break;
    robustness = residuals.map((size) =>
      size <= 0.001 * bound ? 1 : size > 0.999 * bound ? 0 : square(1 - square(size / bound)),
    );
  }
  return fitted;
}

/** One iteration: local fits at some points, linear interpolation between them. */
function smooth(
  x: Float64Array,
  y: Float64Array,
  neighbors: number,
  delta: number,
  robustness: Float64Array | null,
  fitted: Float64Array,
): void {
  const n = x.length;
  let left = 0;
  let last = -1;
  let at = 0;
  for (;;) {
    // move the window of nearest neighbours to the right while that brings it closer
    while (left + neighbors < n && x[at]! - x[left]! > x[left + neighbors]! - x[at]!) left++;
    fitted[at] = fitAt(x, y, x[at]!, left, left + neighbors - 1, robustness) ?? y[at]!;
    if (last < at - 1) {
      const width = x[at]! - x[last]!;
      for (let i = last + 1; i < at; i++) {
        const share = (x[i]! - x[last]!) / width;
        fitted[i] = share * fitted[at]! + (1 - share) * fitted[last]!;
      }
    }
    last = at;
    const cut = x[last]! + delta;
    for (at = last + 1; at < n && x[at]! <= cut; at++) {
      if (x[at] === x[last]) {
        fitted[at] = fitted[last]!;
        last = at;
      }
    }
    at = Math.max(last + 1, at - 1);
    if (last >= n - 1) return;
  }
}

/** Value at `place` of a weighted linear fit in a window; null if all weights are zero. */
function fitAt(
  x: Float64Array,
  y: Float64Array,
  place: number,
  left: number,
  right: number,
  robustness: Float64Array | null,
): number | null {
  const range = x[x.length - 1]! - x[0]!;
  const width = Math.max(place - x[left]!, x[right]! - place);
  const weights: number[] = [];
  let sum = 0;
  let end = left;
  for (; end < x.length; end++) {
    const distance = Math.abs(x[end]! - place);
    let weight = 0;
    if (distance <= 0.999 * width) {
      weight = distance > 0.001 * width ? cube(1 - cube(distance / width)) : 1;
      if (robustness) weight *= robustness[end]!;
      sum += weight;
    } else if (x[end]! > place) break;
    weights.push(weight);
  }
  if (sum <= 0) return null;
  let center = 0;
  weights.forEach((weight, i) => (center += (weight / sum) * x[left + i]!));
  let spread = 0;
  weights.forEach((weight, i) => (spread += (weight / sum) * square(x[left + i]! - center)));
  const slope = Math.sqrt(spread) > 0.001 * range ? (place - center) / spread : 0;
  let value = 0;
  weights.forEach((weight, i) => {
    value += (weight / sum) * (1 + slope * (x[left + i]! - center)) * y[left + i]!;
  });
  return value;
}
