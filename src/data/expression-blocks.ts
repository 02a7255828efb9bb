// Expression of all cells, in blocks of cells: log1p of counts per 10,000, or the stored values if a file has
// no counts.
import type { AnnData } from "../anndata/anndata.js";
import { rowsPerBlock, type NumericArray } from "../anndata/matrix.js";
import { readAhead } from "../anndata/read-ahead.js";
import type { Note, RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { normalizedTotal } from "../numerics/log-normalized.js";
import { findCounts, findNumbers, type CountsPlace } from "./count-places.js";
import { badValue, streamCounts } from "./counts.js";

/** Cells [start, start + rows) in CSR form. The arrays are valid until the next block is requested. */
export interface ExpressionBlock {
  readonly start: number;
  readonly rows: number;
  /** (rows + 1), starts at 0 */
  readonly indptr: Int32Array;
  /** columns of var, ascending within a cell */
  readonly indices: Int32Array;
  /** no zeros; values beyond indptr[rows] are undefined */
  readonly values: NumericArray;
}

/**
 * The matrix that expression is read from: raw counts if there are any, else X.
 * @param layer - "X", "raw" or the name of a layer; counts in it are normalised, other values are not
 * @throws ScPoliError "key" if the named matrix does not exist, "counts" if it is empty
 */
export async function findExpression(
  data: AnnData,
  layer: string | undefined,
  note: (note: Note) => void,
): Promise<CountsPlace> {
  if (layer !== undefined) {
    const place = await findNumbers(data, layer);
    const holdsCounts = place.verdicts.at(-1)!.holds === "counts";
    const source = holdsCounts ? await findCounts(data, layer, { orAllFeatures: true, note }) : place;
    note(describePlace(source));
    return source;
  }
  const counts = await findCounts(data, undefined, { orAllFeatures: true, note }).catch((error: unknown) => {
    if (error instanceof ScPoliError && error.kind === "counts" && data.X !== null) return null;
    throw error;
  });
  const source = counts ?? (await findNumbers(data));
  note(describePlace(source));
  return source;
}

function describePlace({ name, values, verdicts }: CountsPlace): Note {
  if (values !== "numbers")
    return {
      level: "info",
      message: `Expression: log1p of counts per 10,000, from the raw counts in ${name}.`,
    };
  const verdict = verdicts.at(-1)!.verdict;
  const isLog = verdict.includes("looks log-normalised");
  return {
    level: isLog ? "info" : "warning",
    message:
      `Expression: the values of ${name}, unchanged (${verdict}).` +
      (isLog ? "" : " Fold changes are correct only for log1p of normalised counts (natural logarithm)."),
  };
}

/**
 * All cells in order. Every step of the normalisation is rounded to float32, as in scanpy's normalize_total
 * and log1p on a float32 matrix, so that the same values are tied.
 * @throws ScPoliError "counts" at a value that is not a count (or not finite), "interrupted"
 */
export async function* expressionBlocks(
  place: CountsPlace,
  options: Pick<RunSettings, "signal"> & { readonly onProgress?: (done: number, total: number) => void } = {},
): AsyncGenerator<ExpressionBlock> {
  if (place.values === "numbers") return yield* storedBlocks(place, options);
  const genes = place.matrix.columns;
  const everyGene = Int32Array.from({ length: genes }, (_, gene) => gene);
  const logarithms = new CellLogarithms();
  let values = new Float32Array(0);
  for await (const block of streamCounts(place, everyGene, genes, undefined, options)) {
    const { rows, indptr, counts, sizeFactors } = block;
    const stored = indptr[rows]!;
    if (values.length < stored) values = new Float32Array(stored);
    for (let row = 0; row < rows; row++)
      logarithms.take(counts, values, indptr[row]!, indptr[row + 1]!, sizeFactors[row]!);
    yield { start: block.start, rows, indptr, indices: block.indices, values };
  }
}

/** Caches logarithms within a cell, where small counts recur. */
class CellLogarithms {
  private readonly logarithms = new Float32Array(256);
  private readonly cellOf = new Int32Array(256).fill(-1);
  private cell = 0;

  take(counts: ArrayLike<number>, into: Float32Array, from: number, to: number, total: number): void {
    const { logarithms, cellOf } = this;
    const cell = this.cell++;
    const scale = Math.fround(total / normalizedTotal);
    for (let k = from; k < to; k++) {
      const count = counts[k]!;
      if (count < 256) {
        if (cellOf[count] !== cell) {
          cellOf[count] = cell;
          logarithms[count] = Math.log1p(Math.fround(count / scale));
        }
        into[k] = logarithms[count]!;
      } else into[k] = Math.log1p(Math.fround(count / scale));
    }
  }
}

async function* storedBlocks(
  place: CountsPlace,
  { signal, onProgress }: Parameters<typeof expressionBlocks>[1] & object,
): AsyncGenerator<ExpressionBlock> {
  const { matrix } = place;
  const reader = readAhead(place, rowsPerBlock(matrix));
  try {
    for await (const { start, block } of reader.blocks()) {
      if (signal?.aborted) throw new ScPoliError("interrupted", "Stopped while reading expression.");
      const { rows, indptr, indices, values } = block;
      for (let k = indptr[rows]! - 1; k >= 0; k--)
        if (!Number.isFinite(values[k]!)) throw await badValue(place, start, block);
      yield { start, rows, indptr, indices, values };
      onProgress?.(start + rows, matrix.rows);
    }
  } finally {
    await reader.close();
  }
}
