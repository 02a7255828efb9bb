// How much memory a run needs, told before it starts; counts that do not fit are streamed from the file.
import { machineMemory } from "#platform";
import type { Matrix } from "../anndata/matrix.js";
import type { BlockReader } from "../anndata/read-ahead.js";
import type { MemoryOptions, RunSettings } from "../contract/options.js";
import { CountsInMemory, type CountSource } from "./count-source.js";
import type { CountsPlace } from "./count-places.js";
import { countsReader, loadCounts } from "./counts.js";
import { ScPoliError } from "../contract/errors.js";
import { blockSizes, openStreamedCounts } from "./streamed-counts.js";

/** What a run takes besides counts; measured, rounded up. */
const bytes = {
  /** the runtime, the HDF5 library, and blocks under way from the file */
  base: 230e6,
  /** names, codes, orders, positions, and copies of these for the thread beside */
  cell: 320,
  /** value, both moments, the best epoch's, and a checkpoint while it is written */
  parameter: 32,
  /** per gene and cell of a minibatch */
  minibatch: 16,
} as const;
/** Share of the machine's memory that a run may take unless told otherwise. */
const share = 0.6;
/**
 * Blocks of a streamed pass that are there at once: those in use and those read ahead; and the validation
 * cells.
 */
const streamedBlocks = 3 * blockSizes.together;

/** Rows that are looked at to estimate how many counts there are: this many, at as many places. */
const looks = 32;

/** What of a model takes memory. */
interface ModelNeed {
  /** G */
  readonly genes: number;
  /** values of all parameters of the model */
  readonly parameters: number;
  /** cells that are computed together */
  readonly minibatch: number;
  /** bytes of what is kept of each cell, besides names, codes and positions. Default 0 */
  readonly perCell?: number;
}

export interface CountsNeed extends ModelNeed {
  /** (columns of the file) model gene of each column, -1 drops it */
  readonly map: Int32Array;
  /** rows of the file to keep, ascending. Default: all */
  readonly keep?: Int32Array;
  /** reads the place already */
  readonly reader?: BlockReader;
}

/**
 * Bytes of a level's results of a cell: two types, distance, uncertainty, probability, flag; and columns of
 * codes while they are written.
 */
const bytesPerLevel = 40;

/** Bytes of the results of a cell. @param scores - R, of the head */
export function resultBytes(scores: number, levels: number): number {
  return 4 * scores + bytesPerLevel * levels;
}

/** What a run takes besides the counts that it holds. */
function fixedBytes(
  { matrix }: CountsPlace,
  { genes, parameters, minibatch, perCell = 0 }: ModelNeed,
  cells: number,
): number {
  return (
    bytes.base +
    (bytes.cell + perCell) * cells +
    bytes.parameter * parameters +
    bytes.minibatch * genes * minibatch +
    turnedBytes(matrix)
  );
}

/** A matrix by columns is turned round in memory, whatever comes then. */
function turnedBytes({ format, stored }: Matrix): number {
  return format === "csc" ? 8 * stored : 0;
}

/** @returns bytes that the run may take @throws ScPoliError "usage" for a memory that is no number */
function allowedMemory({ memory = share * machineMemory() }: Pick<MemoryOptions, "memory">): number {
  if (!(memory > 0))
    throw new ScPoliError("usage", `memory is ${memory}; expected a number of bytes.`, { memory });
  return memory;
}

function allowedText(options: Pick<MemoryOptions, "memory">): string {
  return `${gigabytes(allowedMemory(options))} ${options.memory === undefined ? "is this run's share of the machine (--memory changes it)" : "is allowed"}`;
}

/** @param how - which reads on from "The run needs about X of memory" */
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
      (turnedBytes(place.matrix) > 0
        ? `${place.matrix.place} is stored by columns and is turned round in memory: save it by rows (adata.X = adata.X.tocsr()). `
        : "") +
      `${advice} --force tries all the same.`,
    { needed, memory: allowedMemory(options) },
  );
}

/**
 * Tells what a run needs that passes through the counts once and holds none of them.
 * @throws ScPoliError "memory" where that does not fit, unless `force`; "usage" for a memory that is no
 * number
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
 * The counts of a run, in memory where they fit.
 * @throws ScPoliError "memory" where not even streaming fits, unless `force`; "usage" for a memory that is no
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
  const countBytes = (genes <= 65_536 ? 2 : 4) + (place.values === "numbers" ? 4 : 1);
  const fixed = fixedBytes(place, need, cells);
  let stored = matrix.format === "dense" ? cells * genes : (matrix.stored * cells) / Math.max(1, matrix.rows);
  if (fixed + countBytes * stored > memory && turnedBytes(matrix) === 0)
    stored = cells * (await storedPerCell(place, map, genes));
  const inMemory = fixed + countBytes * stored;
  const isStreamed = stream === "always" || (stream === "auto" && inMemory > memory);
  const needed = isStreamed
    ? fixed + countBytes * Math.min(stored, (stored / cells) * streamedBlocks * blockSizes.rows)
    : inMemory;
  if (needed > memory && stream !== "never" && !options.force)
    throw tooLarge(
      needed,
      isStreamed ? ", even with the counts left in the file" : "",
      place,
      "Fewer genes (--genes) or a smaller --minibatch need less;",
      options,
    );
  const saidOf =
    stream === "auto" && isStreamed
      ? `; in memory they would need ${gigabytes(inMemory)}, and ${allowedText(options)}`
      : "";
  onNote?.({
    level: "info",
    message: `About ${gigabytes(needed)} of memory needed. ${isStreamed ? `Counts are streamed from the file${saidOf}.` : "Counts are held in memory."}`,
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

/** Counts of the model's genes in a cell, estimated from rows all over the file. */
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

/** Cells without a count are kept; a user should know of them. */
function noteEmptyCells({ sizeFactors }: CountSource, note: RunSettings["onNote"]): void {
  const empty = sizeFactors.reduce((sum, total) => sum + (total === 0 ? 1 : 0), 0);
  if (empty > 0)
    note?.({
      level: "warning",
      message: `${empty} ${empty === 1 ? "cell has" : "cells have"} no count at all in these genes; kept, but their positions mean nothing.`,
    });
}

function gigabytes(n: number): string {
  return `${(n / 1e9).toFixed(n < 1e9 ? 2 : 1)} GB`;
}
