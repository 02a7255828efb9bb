// Checks that HDF5 has really read the chunks of an uncompressed dataset.
import type { TypeMetadata } from "./hdf5-types.js";

/**
 * How to check the chunks of an uncompressed dataset. The index of a damaged file may declare a chunk shorter
 * than it is; HDF5 then returns stale memory. So every chunk must have been read in full. Fewer bytes are
 * correct only for chunks that were never written, which HDF5 fills with one value. Chunks larger than HDF5's
 * cache (1 MB) are not read as a whole and do not have this problem.
 * @param width - values per row
 * @returns null if there is nothing to check
 */
export function plainChunk(
  { chunks, size }: TypeMetadata & { readonly chunks: number[] | null },
  width: number,
): {
  readonly bytes: number;
  areThere(start: number, end: number, read: number, values: Uint8Array): boolean;
} | null {
  if (!chunks || chunks.length > 2) return null;
  const [rows, columns] = [chunks[0]!, chunks[1] ?? 1];
  const bytes = rows * columns * size;
  if (bytes > chunkCache) return null;
  return {
    bytes,
    areThere: (start, end, read, values) => {
      const firstRow = Math.floor(start / rows);
      const [down, across] = [Math.ceil(end / rows) - firstRow, Math.ceil(width / columns)];
      let missing = down * across - read;
      for (let i = 0; i < down && missing > 0; i++)
        for (let j = 0; j < across; j++) {
          const [from, to] = [
            Math.max(start, (firstRow + i) * rows) - start,
            Math.min(end, (firstRow + i + 1) * rows) - start,
          ];
          missing -= isOneValue(
            values,
            size,
            width,
            [from, to],
            [j * columns, Math.min(width, (j + 1) * columns)],
          )
            ? 1
            : 0;
        }
      return missing <= 0;
    },
  };
}

/** Chunks up to this many bytes are cached and read as a whole: HDF5's default. */
const chunkCache = 1 << 20;

/** Whether all values of a block of a table (rows, width) are equal. */
function isOneValue(
  bytes: Uint8Array,
  size: number,
  width: number,
  [firstRow, lastRow]: readonly [number, number],
  [first, last]: readonly [number, number],
): boolean {
  const start = (firstRow * width + first) * size;
  for (let row = firstRow; row < lastRow; row++)
    for (let at = (row * width + first) * size, end = (row * width + last) * size, k = 0; at < end; at++, k++)
      if (bytes[at] !== bytes[start + (k % size)]) return false;
  return true;
}
