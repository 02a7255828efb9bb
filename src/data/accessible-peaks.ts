// Which peaks of a scATAC file a model is made of, where a number is asked for: those that are open in the
// most cells. The rule for variable genes chooses badly there: where a peak is open in few cells its
// dispersion is mostly chance, and rare peaks hold little of the counts.
import type { CountsPlace } from "./count-places.js";
import { type ReadCountsOptions, streamCounts } from "./counts.js";
import { byCodePoint } from "./labels.js";

/**
 * @param keep - rows of the file that count, ascending; undefined: all
 * @param n - number of peaks, at least 1; all where there are fewer
 * @returns ascending columns of the file; ties go to the name that sorts first
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
