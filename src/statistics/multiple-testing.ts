// Correction for multiple testing: the false discovery rate of Benjamini and Hochberg, as
// scipy.stats.false_discovery_control and R's p.adjust("BH").

/**
 * @param p - P values; NaN (no test) stays NaN and is not counted
 * @returns corrected P values in the same order
 */
export function benjaminiHochberg(p: ArrayLike<number>): Float64Array {
  const corrected = new Float64Array(p.length).fill(NaN);
  const order = Int32Array.from({ length: p.length }, (_, i) => i).filter((i) => !Number.isNaN(p[i]));
  order.sort((a, b) => p[a]! - p[b]! || a - b);
  let least = 1;
  for (let rank = order.length; rank >= 1; rank--) {
    const i = order[rank - 1]!;
    least = Math.min(least, (p[i]! * order.length) / rank);
    corrected[i] = least;
  }
  return corrected;
}
