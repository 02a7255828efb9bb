// Selects the peaks for a model of scATAC data, if a number is given: those that are open in the most cells.
// Ranking by dispersion does not work here: for peaks open in few cells the dispersion is mostly noise, and
// rare peaks hold few of the counts.
import type { CountsPlace } from "./count-places.js";
import { type ReadCountsOptions, streamCounts } from "./counts.js";
import { byCodePoint } from "./labels.js";

/**
 * Selects the most accessible peaks.
 * @param keep - rows of the file to use, ascending; undefined: all
 * @param n - number of peaks, at least 1; all peaks if there are fewer
 * @returns ascending columns of the file; ties are broken by name
 * @throws ScPoliError "counts", "interrupted" as `streamCounts`
 */
export async function selectAccessiblePeaks(
  place: CountsPlace,
  keep: Int32Array | undefined,
  n: number,
  options: ReadCountsOptions = {},
): Promise<Int32Array> {
  const peaks = place.matrix.columns;
  const identity = Int32Array.from({ length: peaks }, (_, peak) => peak);
  const isLeftOut = new Uint8Array(place.matrix.rows).fill(keep ? 1 : 0);
  for (const row of keep ?? []) isLeftOut[row] = 0;
  const open = new Int32Array(peaks);
  for await (const { start, rows, indptr, indices, counts } of streamCounts(
    place,
    identity,
    peaks,
    undefined,
    options,
  ))
    for (let row = 0; row < rows; row++) {
      if (isLeftOut[start + row]) continue;
      for (let k = indptr[row]!; k < indptr[row + 1]!; k++) if (counts[k]! > 0) open[indices[k]!]!++;
    }
  const names = await place.var.index();
  return identity
    .sort((a, b) => open[b]! - open[a]! || byCodePoint(names[a]!, names[b]!))
    .slice(0, n)
    .sort();
}
