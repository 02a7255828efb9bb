// Quantiles from counts per bin: sketches that merge by addition, to the same numbers in any order, and in
// which no single cell is seen.

/** Bins of positive numbers on a logarithmic scale: 512 per factor of 10, from 1e-6 to 1e10; the first takes 0. */
const [perDecade, least, decades] = [512, -6, 16];
export const histogramBins = 1 + perDecade * decades;

/** An empty histogram. */
export function emptyHistogram(): Float64Array {
  return new Float64Array(histogramBins);
}

/** Counts a value; those beyond the ends count at the ends. */
export function countValue(histogram: Float64Array, value: number): void {
  const bin = value > 0 ? 1 + Math.floor((Math.log10(value) - least) * perDecade) : 0;
  histogram[Math.min(histogramBins - 1, Math.max(0, bin))]!++;
}

/** The value that a share q of those counted are below, to half a percent; 0 for none. */
export function histogramQuantile(histogram: Float64Array, q: number): number {
  const total = histogram.reduce((sum, n) => sum + n, 0);
  let below = 0;
  for (let bin = 0; bin < histogram.length; bin++) {
    const n = histogram[bin]!;
    if (n > 0 && below + n >= q * total)
      return bin === 0 ? 0 : 10 ** (least + (bin - 1 + (q * total - below) / n) / perDecade);
    below += n;
  }
  return 0;
}
