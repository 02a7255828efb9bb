// Cuts an atlas into shards, separate files of whole conditions or of random cells.
import type { AnnData } from "../anndata/anndata.js";
import { blocks, type SparseRows } from "../anndata/matrix.js";
import { writeH5ad } from "../anndata/write.js";
import { checkWhole, type RunSettings } from "../contract/options.js";
import { readAnnotations } from "../api/annotations.js";
import { Combinations } from "../data/combinations.js";
import { findCounts } from "../data/count-places.js";
import { readConditions } from "../data/labels.js";
import { ScPoliError } from "../contract/errors.js";
import { Random } from "../numerics/random.js";

export interface CutOptions extends Pick<RunSettings, "seed" | "onNote" | "onProgress" | "signal"> {
  readonly shards: number;
  /** obs columns of the conditions */
  readonly conditionKeys: readonly string[];
  /** Default: whole conditions, as evenly sized as possible */
  readonly by?: "conditions" | "cells";
  readonly layer?: string;
}

/** Rows of each shard, ascending. @throws ScPoliError "usage" if there are fewer conditions than shards */
export async function cutCells(data: AnnData, options: CutOptions): Promise<Int32Array[]> {
  const shards = checkWhole("shards", options.shards, 1, 4096);
  const shardOf =
    options.by === "cells"
      ? randomCells(data.nObs, shards, options.seed ?? 0)
      : await wholeConditions(data, shards, options.conditionKeys);
  const all = Int32Array.from({ length: data.nObs }, (_, row) => row);
  return Array.from({ length: shards }, (_, shard) => all.filter((row) => shardOf[row] === shard));
}

function randomCells(cells: number, shards: number, seed: number): Int32Array {
  const order = new Random(seed, "shards").shuffle(Int32Array.from({ length: cells }, (_, row) => row));
  const shardOf = new Int32Array(cells);
  order.forEach((row, at) => (shardOf[row] = at % shards));
  return shardOf;
}

/** Assigns combinations to shards greedily: largest first, each to the smallest shard so far. */
async function wholeConditions(data: AnnData, shards: number, keys: readonly string[]): Promise<Int32Array> {
  const conditions: Int32Array[] = [];
  for (const key of keys) conditions.push((await readConditions(data.obs, key)).codes);
  const table = new Combinations();
  const combinations = table.columns(conditions);
  const sizes = new Int32Array(table.codes.length);
  for (const combination of combinations) sizes[combination]!++;
  if (sizes.length < shards)
    throw new ScPoliError(
      "usage",
      `${data.path} has ${sizes.length} combinations of ${keys.join(", ")}, fewer than the ${shards} ` +
        "shards asked for. Ask for fewer, or cut by cells (--by cells).",
      { conditions: sizes.length, shards },
    );
  const order = [...sizes.keys()].sort((a, b) => sizes[b]! - sizes[a]! || a - b);
  const filled = new Array<number>(shards).fill(0);
  const shardOf = new Int32Array(sizes.length);
  for (const combination of order) {
    const smallest = filled.indexOf(Math.min(...filled));
    shardOf[combination] = smallest;
    filled[smallest]! += sizes[combination]!;
  }
  return combinations.map((combination) => shardOf[combination]!);
}

/** Writes selected rows of a file, counts and annotations, to a new file. @param rows - ascending */
export async function writeShard(
  data: AnnData,
  rows: Int32Array,
  output: string,
  { layer, onNote, onProgress, signal }: Pick<CutOptions, "layer" | "onNote" | "onProgress" | "signal">,
): Promise<void> {
  const place = await findCounts(data, layer);
  const X = async function* (): AsyncGenerator<SparseRows> {
    let next = 0;
    for await (const { start, block } of blocks(place.matrix)) {
      if (signal?.aborted) throw new ScPoliError("interrupted", "Stopped while cutting the atlas.");
      let end = next;
      while (end < rows.length && rows[end]! < start + block.rows) end++;
      yield someRows(block, rows.subarray(next, end), start);
      next = end;
      onProgress?.({ stage: "writing", done: start + block.rows, total: place.matrix.rows });
    }
  };
  await writeH5ad(
    output,
    { ...(await readAnnotations(data, place, rows, { onNote })), X: X() },
    { compression: 1 },
  );
}

/** @param start - first row of the block */
function someRows(block: SparseRows, rows: Int32Array, start: number): SparseRows {
  const indptr = new Int32Array(rows.length + 1);
  rows.forEach((row, at) => {
    const length = block.indptr[row - start + 1]! - block.indptr[row - start]!;
    indptr[at + 1] = indptr[at]! + length;
  });
  const indices = new Int32Array(indptr.at(-1)!);
  const values = new Float32Array(indptr.at(-1)!);
  rows.forEach((row, at) => {
    const [from, to] = [block.indptr[row - start]!, block.indptr[row - start + 1]!];
    indices.set(block.indices.subarray(from, to), indptr[at]);
    values.set(block.values.subarray(from, to), indptr[at]);
  });
  return { rows: rows.length, columns: block.columns, indptr, indices, values };
}
