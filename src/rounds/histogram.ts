// Quantiles from histograms. Histograms of shards merge by addition, independent of the order, and do not
// reveal single cells.

/** Logarithmic bins: 512 per factor of 10, from 1e-6 to 1e10; the first also counts 0. */
const [perDecade, least, decades] = [512, -6, 16];
export const histogramBins = 1 + perDecade * decades;

/** An empty histogram. */
export function emptyHistogram(): Float64Array {
  return new Float64Array(histogramBins);
}

/** Counts a value; values out of range go to the first or last bin. */
export function countValue(histogram: Float64Array, value: number): void {
  const bin = value > 0 ? 1 + Math.floor((Math.log10(value) - least) * perDecade) : 0;
  histogram[Math.min(histogramBins - 1, Math.max(0, bin))]!++;
}

/** The q-quantile of the counted values, to half a percent; 0 if there are none. */
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
