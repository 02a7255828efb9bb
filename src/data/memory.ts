// How much memory a run needs, told before it starts; counts that do not fit are streamed from the file.
import { machineMemory } from "#platform";
import type { BlockReader } from "../anndata/read-ahead.js";
import type { MemoryOptions, RunSettings } from "../config.js";
import { CountsInMemory, type CountSource } from "./count-source.js";
import type { CountsPlace } from "./count-places.js";
import { countsReader, loadCounts } from "./counts.js";
import { ScPoliError } from "../errors.js";
import { blockSizes, openStreamedCounts } from "./streamed-counts.js";

/** What a run takes besides counts; measured, rounded up. */
const bytes = {
  /** the runtime, the HDF5 library, and blocks under way from the file */
  base: 230e6,
  /** names, codes, orders and positions */
  cell: 200,
  /** value, both moments, the best epoch's, and a checkpoint while it is written */
  parameter: 32,
  /** per gene and cell of a minibatch */
  minibatch: 16,
} as const;
/** Share of the machine's memory that a run may take unless told otherwise. */
const share = 0.6;
/** Blocks of a streamed pass that are there at once: those in use and those read ahead; and the validation cells. */
const streamedBlocks = 3 * blockSizes.together;

/** Rows that are looked at to estimate how many counts there are: this many, at as many places. */
const looks = 32;

export interface CountsNeed {
  /** (columns of the file) model gene of each column, -1 drops it */
  readonly map: Int32Array;
  /** G */
  readonly genes: number;
  /** rows of the file to keep, ascending. Default: all */
  readonly keep?: Int32Array;
  /** values of all parameters of the model */
  readonly parameters: number;
  readonly minibatch: number;
  /** reads the place already */
  readonly reader?: BlockReader;
}

/**
 * The counts of a run, in memory where they fit.
 * @throws ScPoliError "memory" where not even streaming fits, unless `force`; "usage" for a memory that is no number; "counts", "interrupted"
 */
export async function openCounts(place: CountsPlace, need: CountsNeed, options: RunSettings & MemoryOptions): Promise<CountSource> {
  const { map, genes, keep, reader } = need;
  const { matrix } = place;
  const { onNote, onProgress, signal, stream = "auto", memory = share * machineMemory() } = options;
  if (!(memory > 0)) throw new ScPoliError("usage", `memory is ${memory}; expected a number of bytes.`, { memory });
  const cells = keep?.length ?? matrix.rows;
  const countBytes = (genes <= 65_536 ? 2 : 4) + (place.values === "numbers" ? 4 : 1);
  // a matrix by columns is turned round in memory, whatever comes then
  const turned = matrix.format === "csc" ? 8 * matrix.stored : 0;
  const fixed = bytes.base + bytes.cell * cells + bytes.parameter * need.parameters + bytes.minibatch * genes * need.minibatch + turned;
  let stored = matrix.format === "dense" ? cells * genes : (matrix.stored * cells) / Math.max(1, matrix.rows);
  if (fixed + countBytes * stored > memory && turned === 0) stored = cells * (await storedPerCell(place, map, genes));
  const inMemory = fixed + countBytes * stored;
  const isStreamed = stream === "always" || (stream === "auto" && inMemory > memory);
  const needed = isStreamed ? fixed + countBytes * Math.min(stored, (stored / cells) * streamedBlocks * blockSizes.rows) : inMemory;
  const allowed = `${gigabytes(memory)} ${options.memory === undefined ? "is this run's share of the machine (--memory changes it)" : "is allowed"}`;
  if (needed > memory && stream !== "never" && !options.force)
    throw new ScPoliError(
      "memory",
      `The run needs about ${gigabytes(needed)} of memory${isStreamed ? ", even with the counts left in the file" : ""}, and ${allowed}. ` +
        (turned > 0 ? `${matrix.place} is stored by columns and is turned round in memory: save it by rows (adata.X = adata.X.tocsr()). ` : "") +
        "Fewer genes (--genes) or a smaller --minibatch need less; --force tries all the same.",
      { needed, memory },
    );
  const saidOf = stream === "auto" && isStreamed ? `; in memory they would need ${gigabytes(inMemory)}, and ${allowed}` : "";
  onNote?.({ level: "info", message: `About ${gigabytes(needed)} of memory needed. ${isStreamed ? `Counts are streamed from the file${saidOf}.` : "Counts are held in memory."}` });

  const reading = { reader, keep, signal, onProgress: (done: number, total: number) => onProgress?.({ stage: "reading", done, total }) };
  const counts = isStreamed ? await openStreamedCounts(place, map, genes, reading) : new CountsInMemory(await loadCounts(place, map, genes, reading));
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
  if (empty > 0) note?.({ level: "warning", message: `${empty} ${empty === 1 ? "cell has" : "cells have"} no count at all in these genes; kept, but their positions mean nothing.` });
}

function gigabytes(n: number): string {
  return `${(n / 1e9).toFixed(n < 1e9 ? 2 : 1)} GB`;
}
