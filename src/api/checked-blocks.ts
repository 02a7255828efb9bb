// Blocks of counts for a conversion, every value checked to be one.
import { blocks, rowsPerBlock } from "../anndata/matrix.js";
import { ScPoliError } from "../contract/errors.js";
import type { ConvertOptions } from "../contract/options.js";
import type { CountsPlace } from "../data/count-places.js";
import { badValue } from "../data/counts.js";
import { problemOf } from "../data/place-look.js";

/** Blocks from a row on, with every value checked to be a count. */
export async function* checkedBlocks(place: CountsPlace, first: number, { signal }: ConvertOptions) {
  const { matrix } = place;
  const rows = rowsPerBlock(matrix);
  const source = first === 0 ? blocks(matrix, rows) : rest(place, first, rows);
  for await (const { start, block } of source) {
    await new Promise((resolve) => setTimeout(resolve, 0)); // let signals be handled
    if (signal?.aborted) throw new ScPoliError("interrupted", "Stopped while reading counts.");
    for (let k = 0; k < block.values.length; k++)
      if (problemOf(block.values[k]!) !== null) throw await badValue(place, start, block);
    yield { start, block };
  }
}

async function* rest({ matrix }: CountsPlace, first: number, rows: number) {
  for (let start = first; start < matrix.rows; start += rows)
    yield { start, block: await matrix.read(start, Math.min(matrix.rows, start + rows)) };
}
