// Estimates the memory of a run before it starts; counts that do not fit are streamed from the file.
import { machineMemory } from "#platform";
import type { Matrix } from "../anndata/matrix.js";
import type { BlockReader } from "../anndata/read-ahead.js";
import type { MemoryOptions, RunSettings } from "../contract/options.js";
import { CountsInMemory, type CountSource } from "./count-source.js";
import type { CountsPlace } from "./count-places.js";
import { countsReader, loadCounts } from "./counts.js";
import { ScPoliError } from "../contract/errors.js";
import { blockSizes, openStreamedCounts } from "./streamed-counts.js";

/** Memory besides the counts: measured, rounded up. */
const bytes = {
  /** the runtime, the HDF5 library, and blocks being read */
  base: 230e6,
  /** per cell: names, codes, orders, positions, and the worker's copies of these */
  cell: 320,
  /** per parameter: value, both moments, the best epoch's value, and a checkpoint being written */
  parameter: 32,
  /** per gene and cell of a minibatch */
  minibatch: 16,
} as const;
/** Default share of the machine's memory that a run may use. */
const share = 0.6;
/** Blocks of a streamed pass in memory at once: those in use, those read ahead, and the validation cells. */
const streamedBlocks = 3 * blockSizes.together;

/** Rows sampled at each of as many positions, to estimate the number of counts. */
const looks = 32;

/** Quantities of a model that determine its memory. */
export interface ModelNeed {
  /** G */
  readonly genes: number;
  /** number of parameter values */
  readonly parameters: number;
  /** cells per minibatch */
  readonly minibatch: number;
  /** bytes of results per cell, besides names, codes and positions. Default 0 */
  readonly perCell?: number;
}

export interface CountsNeed extends ModelNeed {
  /** (columns of the file) model gene of each column, -1 drops it */
  readonly map: Int32Array;
  /** rows of the file to keep, ascending. Default: all */
  readonly keep?: Int32Array;
  /** an existing reader of the matrix */
  readonly reader?: BlockReader;
}

/**
 * Result bytes per cell and level: two types, distance, uncertainty, probability, flag, and columns of codes
 * while they are written.
 */
const bytesPerLevel = 40;

/** Result bytes per cell. @param scores - R, of the classification head */
export function resultBytes(scores: number, levels: number): number {
  return 4 * scores + bytesPerLevel * levels;
}

/** Size and format of a file's counts. */
export type CountsSize = Pick<Matrix, "rows" | "stored" | "format">;

/** Bytes of a stored count in memory: its gene and its value. */
function bytesPerCount(genes: number, values: CountsPlace["values"]): number {
  return (genes <= 65_536 ? 2 : 4) + (values === "numbers" ? 4 : 1);
}

/** Bytes of a run with its counts in memory, and with its counts left in the file. */
export interface PredictedMemory {
  readonly inMemory: number;
  readonly streamed: number;
}

/**
 * Predicts the memory of a run over all cells of a file.
 * @param stored - number of counts of the model's genes. Default: those of all genes, an upper bound
 */
export function predictMemory(
  matrix: CountsSize,
  need: ModelNeed,
  { values, stored = matrix.stored }: { values?: CountsPlace["values"]; stored?: number } = {},
): PredictedMemory {
  return runBytes(
    fixedBytes({ matrix }, need, matrix.rows),
    bytesPerCount(need.genes, values),
    stored,
    matrix.rows,
  );
}

function runBytes(fixed: number, countBytes: number, stored: number, cells: number): PredictedMemory {
  return {
    inMemory: fixed + countBytes * stored,
    streamed:
      fixed + countBytes * Math.min(stored, (stored / Math.max(1, cells)) * streamedBlocks * blockSizes.rows),
  };
}

/** Memory of a run besides its counts. */
function fixedBytes(
  { matrix }: { readonly matrix: CountsSize },
  { genes, parameters, minibatch, perCell = 0 }: ModelNeed,
  cells: number,
): number {
  return (
    bytes.base +
    (bytes.cell + perCell) * cells +
    bytes.parameter * parameters +
    bytes.minibatch * genes * minibatch +
    conversionBytes(matrix)
  );
}

/** A CSC matrix is converted to rows in memory. */
function conversionBytes({ format, stored }: CountsSize): number {
  return format === "csc" ? 8 * stored : 0;
}

/** @returns bytes that the run may use @throws ScPoliError "usage" if `memory` is not a number */
export function allowedMemory({ memory = share * machineMemory() }: Pick<MemoryOptions, "memory">): number {
  if (!(memory > 0))
    throw new ScPoliError("usage", `memory is ${memory}; expected a number of bytes.`, { memory });
  return memory;
}

function allowedText(options: Pick<MemoryOptions, "memory">): string {
  const limit =
    options.memory === undefined ? "is this run's share of the machine (--memory changes it)" : "is allowed";
  return `${gigabytes(allowedMemory(options))} ${limit}`;
}

/** @param how - continues "The run needs about X of memory" */
function tooLarge(
  needed: number,
  how: string,
  place: CountsPlace,
  advice: string,
  options: Pick<MemoryOptions, "memory">,
): ScPoliError {
  return new ScPoliError(
    "memory",
    `The run needs about ${gigabytes(needed)} of memory${how}, and ${allowedText(options)}. ` +
      (conversionBytes(place.matrix) > 0
        ? `${place.matrix.place} is stored by columns and has to be converted in memory. Save it by rows ` +
          "(adata.X = adata.X.tocsr()). "
        : "") +
      `${advice} --force tries anyway.`,
    { needed, memory: allowedMemory(options) },
  );
}

/**
 * Reports the memory of a run that passes through the counts once without keeping them.
 * @throws ScPoliError "memory" if that does not fit, unless `force`; "usage" if `memory` is not a number
 */
export function tellNeed(
  place: CountsPlace,
  need: ModelNeed,
  options: RunSettings & Pick<MemoryOptions, "memory">,
): void {
  const needed = fixedBytes(place, need, place.matrix.rows);
  if (needed > allowedMemory(options) && !options.force)
    throw tooLarge(needed, "", place, "Embed parts of the file one by one.", options);
  options.onNote?.({
    level: "info",
    message: `About ${gigabytes(needed)} of memory needed. Counts are read from the file as they are needed.`,
  });
}

/**
 * Opens the counts of a run, in memory if they fit.
 * @throws ScPoliError "memory" if not even streaming fits, unless `force`; "usage" if `memory` is not a
 * number; "counts", "interrupted"
 */
export async function openCounts(
  place: CountsPlace,
  need: CountsNeed,
  options: RunSettings & MemoryOptions,
): Promise<CountSource> {
  const { map, genes, keep, reader } = need;
  const { matrix } = place;
  const { onNote, onProgress, signal, stream = "auto" } = options;
  const memory = allowedMemory(options);
  const cells = keep?.length ?? matrix.rows;
  const countBytes = bytesPerCount(genes, place.values);
  const fixed = fixedBytes(place, need, cells);
  let stored = matrix.format === "dense" ? cells * genes : (matrix.stored * cells) / Math.max(1, matrix.rows);
  if (fixed + countBytes * stored > memory && conversionBytes(matrix) === 0)
    stored = cells * (await storedPerCell(place, map, genes));
  const { inMemory, streamed } = runBytes(fixed, countBytes, stored, cells);
  const isStreamed = stream === "always" || (stream === "auto" && inMemory > memory);
  const needed = isStreamed ? streamed : inMemory;
  if (needed > memory && stream !== "never" && !options.force)
    throw tooLarge(
      needed,
      isStreamed ? ", even with the counts left in the file" : "",
      place,
      "Fewer genes (--genes) or a smaller --minibatch need less;",
      options,
    );
  const comparison =
    stream === "auto" && isStreamed
      ? `; in memory they would need ${gigabytes(inMemory)}, and ${allowedText(options)}`
      : "";
  onNote?.({
    level: "info",
    message:
      `About ${gigabytes(needed)} of memory needed. ` +
      (isStreamed ? `Counts are streamed from the file${comparison}.` : "Counts are held in memory."),
  });

  const reading = {
    reader,
    keep,
    signal,
    onProgress: (done: number, total: number) => onProgress?.({ stage: "reading", done, total }),
  };
  const counts = isStreamed
    ? await openStreamedCounts(place, map, genes, reading)
    : new CountsInMemory(await loadCounts(place, map, genes, reading));
  noteEmptyCells(counts, onNote);
  return counts;
}

/** Number of counts of the model's genes per cell, estimated from rows spread over the file. */
async function storedPerCell(place: CountsPlace, map: Int32Array, genes: number): Promise<number> {
  const read = countsReader(place, map, genes);
  const { rows } = place.matrix;
  const size = Math.min(looks, rows);
  let [stored, seen] = [0, 0];
  for (let look = 0; look < looks; look++) {
    const start = Math.floor(((rows - size) * look) / (looks - 1));
    stored += (await read(start, start + size)).indptr[size]!;
    seen += size;
  }
  return Math.max(1, stored / seen);
}

/** Reports cells without counts, which are kept. */
function noteEmptyCells({ sizeFactors }: CountSource, note: RunSettings["onNote"]): void {
  const empty = sizeFactors.reduce((sum, total) => sum + (total === 0 ? 1 : 0), 0);
  if (empty > 0)
    note?.({
      level: "warning",
      message:
        `${empty} ${empty === 1 ? "cell has" : "cells have"} no counts in these genes; kept, but their ` +
        "latent representation is meaningless.",
    });
}

function gigabytes(n: number): string {
  return `${(n / 1e9).toFixed(n < 1e9 ? 2 : 1)} GB`;
}
