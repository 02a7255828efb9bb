// Log-normalised counts, as scanpy's normalize_total(target_sum=1e4) and log1p.

/** Total of a cell after normalisation: counts per 10,000. The same in kernels/sparse-linear.ts. */
export const normalizedTotal = 10_000;

/** log1p(10,000 x / size factor) of a count x; size factors below 1 count as 1. */
export function logNormalized(count: number, sizeFactor: number): number {
  return Math.log1p((normalizedTotal * count) / Math.max(1, sizeFactor));
}
