// Loads raw counts of an AnnData file, with every value checked, in the model's gene order. `loadCounts`
// keeps them in memory in a compact sparse form, for training; `streamCounts` yields them in blocks, for
// embedding. Differs: scArches checks neither counts nor genes, and densifies each sparse row in Python.
import { type NumericArray, rowsPerBlock, type SparseRows } from "../anndata/matrix.js";
import { readAhead, type BlockReader } from "../anndata/read-ahead.js";
import type { CountsPlace, ValueKind } from "./count-places.js";
import { describeProblem, problemOf } from "./place-look.js";
import { RowSums } from "../kernel-modules/rows.js";
import { ScPoliError } from "../contract/errors.js";

/** Counts in memory, CSR. */
export interface Counts {
  /** N */
  readonly cells: number;
  /** G */
  readonly genes: number;
  /** (N + 1) */
  readonly indptr: Uint32Array | Float64Array;
  /** model gene of each value, ascending within a cell; 16 bits where G <= 65,536 */
  readonly indices: Uint16Array | Uint32Array;
  /** 8 or 16 bits if the counts fit */
  readonly values: Uint8Array | Uint16Array | Float32Array;
  /** (N) total of each cell over the model's genes */
  readonly sizeFactors: Float32Array;
}

/**
 * A block of cells in the model's gene order. Its arrays are reused: they are valid until the next block is
 * requested.
 */
export interface CountBlock {
  /** first cell of the block */
  readonly start: number;
  readonly rows: number;
  /** (rows + 1), starts at 0 */
  readonly indptr: Int32Array;
  /** model genes, ascending within a cell; values beyond indptr[rows] are undefined */
  readonly indices: Int32Array;
  readonly counts: Float32Array;
  /** (rows) total of each cell over the model's genes */
  readonly sizeFactors: Float32Array;
}

export interface ReadCountsOptions {
  /** an existing reader of the matrix; its creator closes it. Default: a new reader */
  readonly reader?: BlockReader;
  readonly signal?: AbortSignal;
  /** receives the number of cells read, and the total */
  readonly onProgress?: (done: number, total: number) => void;
}
export interface LoadCountsOptions extends ReadCountsOptions {
  /** rows of the file to keep, ascending. Default: all */
  readonly keep?: Int32Array;
}

/**
 * Yields all cells of a file in order, in blocks, with every value checked.
 *
 * @param map - (columns of the file) model gene of each column; -1 drops it; no gene twice
 * @param genes - G
 * @param blockRows - cells per block. Default: about half a million stored values
 * @throws ScPoliError "counts" at the first value that is not a count; "interrupted"
 */
export async function* streamCounts(
  place: CountsPlace,
  map: Int32Array,
  genes: number,
  blockRows = rowsPerBlock(place.matrix),
  options: ReadCountsOptions = {},
): AsyncGenerator<CountBlock> {
  const arrange = arrangement(map, genes, place.values);
  const cells = place.matrix.rows;
  const reader = options.reader ?? readAhead(place, blockRows);
  let lastPause = performance.now();
  try {
    for await (const { start, block } of reader.blocks()) {
      if (performance.now() - lastPause > pauseMs) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        lastPause = performance.now();
      }
      if (options.signal?.aborted) throw new ScPoliError("interrupted", "Stopped while reading counts.");
      const arranged = arrange(block);
      if (!arranged) throw await badValue(place, start, block);
      yield { start, rows: block.rows, ...arranged };
      options.onProgress?.(start + block.rows, cells);
    }
  } finally {
    if (!options.reader) await reader.close();
  }
}

/**
 * Reads arbitrary ranges of rows, with every value checked, in the model's gene order. A block is valid until
 * the next read.
 * @throws ScPoliError "counts" at a value that is not a count
 */
export function countsReader(
  place: CountsPlace,
  map: Int32Array,
  genes: number,
): (start: number, end: number) => Promise<CountBlock> {
  const arrange = arrangement(map, genes, place.values);
  return async (start, end) => {
    const block = await place.matrix.read(start, end);
    const arranged = arrange(block);
    if (!arranged) throw await badValue(place, start, block);
    return { start, rows: block.rows, ...arranged };
  };
}

/** Reading blocks the thread; every so many rows, it yields to the event loop (signals, progress bars). */
const pauseMs = 100;

type Arranged = Pick<CountBlock, "indptr" | "indices" | "counts" | "sizeFactors">;
/** Rearranges a block into the model's gene order; null if a value is not a count. */
type Arrange = (block: SparseRows) => Arranged | null;

/**
 * Picks the cheapest rearrangement from columns to model genes: none, dropping columns in order, or sorting
 * each row.
 */
function arrangement(map: Int32Array, genes: number, values: ValueKind = "counts"): Arrange {
  const isNumbers = values === "numbers";
  const arrange = orderOf(map, genes, isNumbers);
  return values === "reads" ? asFragments(arrange) : arrange;
}

/** Converts read counts to fragment counts: floor((x + 1) / 2). */
function asFragments(arrange: Arrange): Arrange {
  const fragments = new Grown(Float32Array);
  return (block) => {
    const arranged = arrange(block);
    if (!arranged) return null;
    const { indptr, counts, sizeFactors } = arranged;
    const halved = fragments.get(indptr[block.rows]!);
    for (let row = 0, k = 0; row < block.rows; row++) {
      let total = 0;
      for (const end = indptr[row + 1]!; k < end; k++) total += halved[k] = Math.floor((counts[k]! + 1) / 2);
      sizeFactors[row] = total;
    }
    return { ...arranged, counts: halved };
  };
}

function orderOf(map: Int32Array, genes: number, isNumbers: boolean): Arrange {
  const mappedGenes = map.filter((gene) => gene >= 0);
  const isAscending = mappedGenes.every((gene, i) => i === 0 || gene > mappedGenes[i - 1]!);
  if (isAscending && mappedGenes.length === map.length && mappedGenes.every((gene, i) => gene === i))
    return asIs(isNumbers);
  return mapped(map, isAscending ? filterRows(map, isNumbers) : sortRows(map, genes, isNumbers));
}

function asIs(isNumbers: boolean): Arrange {
  const counts = new Grown(Float32Array);
  const sizeFactors = new Grown(Float32Array);
  const sums = new RowSums();
  return ({ rows, indptr, indices, values }) => {
    const totals = sizeFactors.get(rows);
    // nearly every file has float32; other types are checked before the conversion, because rounding could
    // turn an invalid value into a count
    const isTakenWhole =
      values instanceof Float32Array && !isNumbers
        ? sums.sum(values, indptr, rows, totals)
        : sumRows(values, indptr, rows, totals, isNumbers);
    if (!isTakenWhole) return null;
    if (values instanceof Float32Array) return { indptr, indices, counts: values, sizeFactors: totals };
    const used = counts.get(indptr[rows]!);
    used.set(values.length === used.length ? values : values.subarray(0, used.length));
    return { indptr, indices, counts: used, sizeFactors: totals };
  };
}

/** Kept small so that it is inlined into the loops below. */
function isValid(value: number, isNumbers: boolean): boolean {
  return isNumbers ? value - value === 0 : value >= 0 && Math.trunc(value) === value && value < Infinity;
}

/** Total of each row. @returns false if a value is not a count */
function sumRows(
  values: NumericArray,
  indptr: Int32Array,
  rows: number,
  totals: Float32Array,
  isNumbers: boolean,
): boolean {
  for (let row = 0, k = 0; row < rows; row++) {
    let total = 0;
    for (const end = indptr[row + 1]!; k < end; k++) {
      const value = values[k]!;
      if (!isValid(value, isNumbers)) return false;
      total += value;
    }
    totals[row] = total;
  }
  return true;
}

/**
 * Writes a block's mapped values into `out`. Totals cover the mapped values; the check covers all values.
 * @returns false if a value is not a count
 */
type MapRows = (block: SparseRows, out: Arranged) => boolean;

function mapped(map: Int32Array, mapRows: MapRows): Arrange {
  const buffers = {
    indptr: new Grown(Int32Array),
    indices: new Grown(Int32Array),
    counts: new Grown(Float32Array),
    sizeFactors: new Grown(Float32Array),
  };
  return (block) => {
    if (block.columns !== map.length)
      throw new RangeError(`the map has ${map.length} columns, the matrix ${block.columns}`);
    const stored = block.indptr[block.rows]!;
    const out = {
      indptr: buffers.indptr.get(block.rows + 1),
      indices: buffers.indices.get(stored),
      counts: buffers.counts.get(stored),
      sizeFactors: buffers.sizeFactors.get(block.rows),
    };
    return mapRows(block, out) ? out : null;
  };
}

function filterRows(map: Int32Array, isNumbers: boolean): MapRows {
  return ({ rows, indptr, indices, values }, out) => {
    const { indptr: starts, indices: genes, counts, sizeFactors } = out;
    let used = 0;
    starts[0] = 0;
    for (let row = 0, k = 0; row < rows; row++) {
      let total = 0;
      for (const end = indptr[row + 1]!; k < end; k++) {
        const value = values[k]!;
        if (!isValid(value, isNumbers)) return false;
        const gene = map[indices[k]!]!;
        if (gene < 0) continue;
        genes[used] = gene;
        counts[used++] = value;
        total += value;
      }
      sizeFactors[row] = total;
      starts[row + 1] = used;
    }
    return true;
  };
}

/**
 * Sorts each row by scattering it over all genes, with one bit per gene, and collecting the bits in order.
 * Linear in the number of stored values.
 */
function sortRows(map: Int32Array, genes: number, isNumbers: boolean): MapRows {
  const spread = new Float32Array(genes);
  const bits = new Int32Array((genes + 31) >>> 5);
  return ({ rows, indptr, indices, values }, out) => {
    const { indptr: starts, indices: sorted, counts, sizeFactors } = out;
    let used = 0;
    starts[0] = 0;
    for (let row = 0, k = 0; row < rows; row++) {
      let total = 0;
      for (const end = indptr[row + 1]!; k < end; k++) {
        const value = values[k]!;
        if (!isValid(value, isNumbers)) return false;
        const gene = map[indices[k]!]!;
        if (gene < 0) continue;
        spread[gene] = value;
        bits[gene >> 5]! |= 1 << (gene & 31);
        total += value;
      }
      for (let word = 0; word < bits.length; word++) {
        let left = bits[word]!;
        bits[word] = 0;
        while (left !== 0) {
          const gene = (word << 5) + 31 - Math.clz32(left & -left);
          left &= left - 1;
          sorted[used] = gene;
          counts[used++] = spread[gene]!;
        }
      }
      sizeFactors[row] = total;
      starts[row + 1] = used;
    }
    return true;
  };
}

/** A buffer that is reused between blocks and reallocated when a block needs more. */
class Grown<T extends Float32Array | Int32Array> {
  #buffer: T;
  constructor(private readonly type: new (length: number) => T) {
    this.#buffer = new type(0);
  }
  get(length: number): T {
    if (this.#buffer.length < length) this.#buffer = new this.type(length);
    return this.#buffer.subarray(0, length) as T;
  }
}

/** The error for a block that contains a value that is not a count. */
export async function badValue(
  { name, matrix, obs, var: genes, values: kind }: CountsPlace,
  start: number,
  { rows, indptr, indices, values }: SparseRows,
): Promise<ScPoliError> {
  const last = indptr[rows]!;
  let at = 0;
  while (
    at < last - 1 &&
    (kind === "numbers" ? Number.isFinite(values[at]!) : problemOf(values[at]!) === null)
  )
    at++;
  const value = values[at]!;
  const row = start + indptr.subarray(1).findIndex((end) => end > at);
  const [cell, gene] = [(await obs.index())[row]!, (await genes.index())[indices[at]!]!];
  return new ScPoliError(
    "counts",
    `${matrix.place} holds ${describeProblem(value)} in cell '${cell}' (row ${row}), gene '${gene}'. ` +
      (kind === "numbers"
        ? "Finite numbers are needed. "
        : "Raw counts are needed: non-negative whole numbers. ") +
      "Correct the file, or name another matrix with --layer" +
      (kind !== "numbers" && problemOf(value) === "fractional"
        ? "; --round-counts rounds fractional counts."
        : "."),
    { place: name, row, cell, gene, value },
  );
}

/**
 * Loads all counts, or those of selected rows, into memory: 3 bytes per non-zero value for at most 65,536
 * genes and counts up to 255. Cells without counts are kept.
 *
 * @param map - (columns of the file) model gene of each column; -1 drops it; no gene twice
 * @param genes - G
 * @throws ScPoliError "counts" at the first value that is not a count; "memory"; "interrupted"
 */
export async function loadCounts(
  place: CountsPlace,
  map: Int32Array,
  genes: number,
  options: LoadCountsOptions = {},
): Promise<Counts> {
  const { keep } = options;
  const compact = new CompactRows(keep?.length ?? place.matrix.rows, genes);
  let next = 0;
  for await (const block of streamCounts(place, map, genes, undefined, options)) {
    if (!keep) compact.append(block, 0, block.rows);
    else
      while (next < keep.length && keep[next]! < block.start + block.rows) {
        const first = keep[next]! - block.start;
        let end = first + 1;
        while (++next < keep.length && end < block.rows && keep[next] === block.start + end) end++;
        compact.append(block, first, end);
      }
  }
  return compact.finish();
}

/** Appends rows to one growing CSR matrix of the narrowest types. */
export class CompactRows {
  #cells = 0;
  #stored = 0;
  #indptr: Float64Array;
  #indices: Uint16Array | Uint32Array;
  #values: Uint8Array | Uint16Array | Float32Array = new Uint8Array(0);
  #sizeFactors: Float32Array;

  constructor(
    private readonly cells: number,
    private readonly genes: number,
  ) {
    this.#indptr = new Float64Array(cells + 1);
    this.#indices = genes <= 65_536 ? new Uint16Array(0) : new Uint32Array(0);
    this.#sizeFactors = new Float32Array(cells);
  }

  /** Appends rows [first, end) of a block. */
  append({ indptr, indices, counts, sizeFactors }: CountBlock, first: number, end: number): void {
    const [from, to] = [indptr[first]!, indptr[end]!];
    this.#widen(largestCount(counts, from, to));
    this.#reserve(this.#stored + to - from, this.#cells + end - first);
    narrowGenes(indices, from, to, this.#indices, this.#stored);
    narrowCounts(counts, from, to, this.#values, this.#stored);
    this.#sizeFactors.set(sizeFactors.subarray(first, end), this.#cells);
    const shift = this.#stored - from;
    for (let row = first; row < end; row++) this.#indptr[++this.#cells] = shift + indptr[row + 1]!;
    this.#stored += to - from;
  }

  #widen(largestCount: number): void {
    const bytes = largestCount < 2 ** 8 ? 1 : largestCount < 2 ** 16 ? 2 : 4;
    if (bytes <= this.#values.BYTES_PER_ELEMENT) return;
    const capacity = this.#values.length;
    this.#values =
      bytes === 2
        ? this.#copy(this.#values, Uint16Array, capacity)
        : this.#copy(this.#values, Float32Array, capacity);
  }

  /**
   * Makes room for more values, extrapolated to all cells from those seen. Untouched pages take no physical
   * memory.
   */
  #reserve(stored: number, cells: number): void {
    if (stored <= this.#indices.length) return;
    const expected = Math.max(stored, Math.ceil((stored / cells) * this.cells * 1.05));
    this.#indices = this.#copy(this.#indices, this.#indices.constructor as Uint16ArrayConstructor, expected);
    this.#values = this.#copy(this.#values, this.#values.constructor as Uint8ArrayConstructor, expected);
  }

  #copy<T extends NumericArray>(from: NumericArray, type: new (length: number) => T, length: number): T {
    try {
      const to = new type(length);
      to.set(from.subarray(0, this.#stored));
      return to;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new ScPoliError(
        "memory",
        `The counts of ${this.cells} cells x ${this.genes} genes do not fit into memory (about ${length} ` +
          `non-zero values, ${(length * 3e-9).toFixed(1)} GB or more). Train on fewer genes (--genes) or ` +
          "fewer cells (--exclude).",
        { cells: this.cells, genes: this.genes, stored: length },
        { cause: error },
      );
    }
  }

  finish(): Counts {
    return {
      cells: this.cells,
      genes: this.genes,
      indptr: this.#stored < 2 ** 32 ? Uint32Array.from(this.#indptr) : this.#indptr,
      indices: this.#indices.subarray(0, this.#stored),
      values: this.#values.subarray(0, this.#stored),
      sizeFactors: this.#sizeFactors,
    };
  }
}

/**
 * Copies genes [from, to) into a narrower type. Faster than `set`, which converts each value by a call. One
 * function per source type, so that the loop stays monomorphic.
 */
function narrowGenes(
  genes: Int32Array,
  from: number,
  to: number,
  into: Uint16Array | Uint32Array,
  at: number,
): void {
  for (let k = from; k < to; k++) into[at++] = genes[k]!;
}
function narrowCounts(
  counts: Float32Array,
  from: number,
  to: number,
  into: Uint8Array | Uint16Array | Float32Array,
  at: number,
): void {
  for (let k = from; k < to; k++) into[at++] = counts[k]!;
}

/** Largest of values [from, to); Infinity if one is not a count. */
function largestCount(values: NumericArray, from: number, to: number): number {
  let most = 0;
  for (let k = from; k < to; k++) {
    const value = values[k]!;
    if (value < 0 || Math.trunc(value) !== value) return Infinity;
    if (value > most) most = value;
  }
  return most;
}
