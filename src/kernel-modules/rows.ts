// Checks and sums stored counts row by row, and stores rows compactly to gather them in any order: several
// times faster than loops in JavaScript. The kernel is kernels/rows.ts; memory holds one block, or the stored
// rows.
import { instantiate, reach, type LoneKernel } from "./kernel-module.js";
import { rows as bytes } from "./rows.generated.js";

interface RowsKernel extends LoneKernel {
  sumRows(values: number, indptr: number, rows: number, totals: number): number;
  findLarge(counts: number, indptr: number, rows: number, largeFrom: number): number;
  narrowGenes(genes: number, n: number, to: number): void;
  narrowCounts(counts: number, n: number, to: number): void;
  copyLarge(counts: number, indptr: number, rows: number, largeFrom: number, to: number): void;
  gather(from: number, bytes: number, n: number, to: number): void;
}

/** The kernel reads and writes up to a multiple of eight values. */
const padding = 32;

/** A region of a kernel's memory. */
interface Area {
  readonly pointer: number;
  readonly bytes: number;
}

class RowsMemory {
  readonly kernel = instantiate<RowsKernel>(bytes);
  #end = this.kernel.freeFrom();

  /**
   * The area if it is large enough, else a new one, larger than needed so that this is rare; the memory of
   * the old one is lost.
   */
  room(area: Area | undefined, needed: number): Area {
    if (area && area.bytes >= needed + padding) return area;
    const pointer = Math.ceil(this.#end / 16) * 16;
    const allocated = { pointer, bytes: Math.ceil(1.25 * needed) + padding };
    this.#end = pointer + allocated.bytes;
    reach(this.kernel, this.#end);
    return allocated;
  }

  write({ pointer }: Area, values: Int32Array | Float32Array): void {
    new (values.constructor as Int32ArrayConstructor)(this.kernel.memory.buffer, pointer, values.length).set(
      values,
    );
  }

  integers(pointer: number, length: number): Int32Array {
    return new Int32Array(this.kernel.memory.buffer, pointer, length);
  }
}

/** Checks and sums blocks of counts. */
export class RowSums {
  readonly #memory = new RowsMemory();
  #values?: Area;
  #indptr?: Area;
  #totals?: Area;

  /**
   * @param values - counts of all rows
   * @param indptr - (rows + 1)
   * @param totals - (rows) receives the total of each
   * @returns false if a value is negative, not whole, or not finite
   */
  sum(values: Float32Array, indptr: Int32Array, rows: number, totals: Float32Array): boolean {
    const memory = this.#memory;
    const stored = values.subarray(0, indptr[rows]);
    this.#values = memory.room(this.#values, stored.byteLength);
    this.#indptr = memory.room(this.#indptr, 4 * (rows + 1));
    this.#totals = memory.room(this.#totals, 4 * rows);
    memory.write(this.#values, stored);
    memory.write(this.#indptr, indptr.subarray(0, rows + 1));
    if (memory.kernel.sumRows(this.#values.pointer, this.#indptr.pointer, rows, this.#totals.pointer) === 0)
      return false;
    totals.set(new Float32Array(memory.kernel.memory.buffer, this.#totals.pointer, rows));
    return true;
  }
}

/** Rows with their counts, in a compact form. */
export interface SmallRows {
  /** (rows + 1) */
  readonly indptr: Int32Array;
  /** genes; 16 bits if all are below 65,536 */
  readonly indices: Uint16Array | Uint32Array;
  /** counts of rows without counts above 255; undefined values for other rows */
  readonly small: Uint8Array;
  /** (rows) start of a row's counts in `large`; -1: they are in `small` */
  readonly largeFrom: Int32Array;
  readonly large: Float32Array;
}

/** A block of rows in a store. */
export interface KeptRows {
  readonly indptr: Int32Array;
  readonly largeFrom: Int32Array;
  readonly area: Area;
  /** in the kernel's memory */
  readonly indices: number;
  readonly small: number;
  readonly large: number;
}

type AreaName = "genes" | "counts" | "indptr" | "largeFrom" | "from" | "bytes" | "out";

/** Stores blocks of rows, and gathers rows in any order. */
export class RowStore {
  readonly #memory = new RowsMemory();
  readonly #geneBytes: 2 | 4;
  readonly #free: Area[] = [];
  readonly #areas: Partial<Record<AreaName, Area>> = {};

  /** @param genes - G */
  constructor(genes: number) {
    this.#geneBytes = genes <= 65_536 ? 2 : 4;
  }

  /** @param indptr - (rows + 1) @param indices - below G @param counts - numbers of any kind */
  keep({
    rows,
    indptr,
    indices,
    counts,
  }: {
    readonly rows: number;
    readonly indptr: Int32Array;
    readonly indices: Int32Array;
    readonly counts: Float32Array;
  }): KeptRows {
    const stored = indptr[rows]!;
    const { kernel } = this.#memory;
    const starts = this.#put("indptr", indptr.subarray(0, rows + 1));
    const values = this.#put("counts", counts.subarray(0, stored));
    const largeFrom = this.#room("largeFrom", 4 * rows);
    const storedLarge = kernel.findLarge(values, starts, rows, largeFrom);
    const [geneBytes, smallBytes] = [this.#geneBytes * stored + padding, stored + padding].map(
      (length) => 16 * Math.ceil(length / 16),
    ) as [number, number];
    const area = this.#takeFree(geneBytes + smallBytes + 4 * storedLarge);
    const kept = {
      area,
      indptr: indptr.slice(0, rows + 1),
      largeFrom: this.#memory.integers(largeFrom, rows).slice(),
      indices: area.pointer,
      small: area.pointer + geneBytes,
      large: area.pointer + geneBytes + smallBytes,
    };
    if (this.#geneBytes === 2)
      kernel.narrowGenes(this.#put("genes", indices.subarray(0, stored)), stored, kept.indices);
    else this.#memory.integers(kept.indices, stored).set(indices.subarray(0, stored));
    kernel.narrowCounts(values, stored, kept.small);
    kernel.copyLarge(values, starts, rows, largeFrom, kept.large);
    return kept;
  }

  /** Frees a block of rows. */
  drop({ area }: KeptRows): void {
    this.#free.push(area);
  }

  /**
   * Gathers rows of stored blocks in the given order; the result is valid until the next call.
   * @param rows - row within each block
   */
  gather(rows: Int32Array, blocks: readonly KeptRows[]): SmallRows {
    const indptr = new Int32Array(rows.length + 1);
    const largeFrom = new Int32Array(rows.length).fill(-1);
    let storedLarge = 0;
    rows.forEach((row, i) => {
      const block = blocks[i]!;
      const count = block.indptr[row + 1]! - block.indptr[row]!;
      indptr[i + 1] = indptr[i]! + count;
      if (block.largeFrom[row]! < 0) return;
      largeFrom[i] = storedLarge;
      storedLarge += count;
    });
    const stored = indptr[rows.length]!;
    const [geneBytes, smallBytes] = [this.#geneBytes * stored, stored].map(
      (length) => 16 * Math.ceil(length / 16),
    ) as [number, number];
    const out = this.#room("out", geneBytes + smallBytes + 4 * storedLarge);
    const [smallAt, largeAt] = [out + geneBytes, out + geneBytes + smallBytes];
    this.#copy(
      rows,
      blocks,
      out,
      this.#geneBytes,
      (block, row) => block.indices + this.#geneBytes * block.indptr[row]!,
    );
    this.#copy(rows, blocks, smallAt, 1, (block, row) => block.small + block.indptr[row]!);
    const largeRows = rows.filter((_, i) => largeFrom[i]! >= 0);
    this.#copy(
      largeRows,
      blocks.filter((_, i) => largeFrom[i]! >= 0),
      largeAt,
      4,
      (block, row) => block.large + 4 * block.largeFrom[row]!,
    );
    const { buffer } = this.#memory.kernel.memory;
    const Genes = this.#geneBytes === 2 ? Uint16Array : Uint32Array;
    return {
      indptr,
      indices: new Genes(buffer, out, stored),
      small: new Uint8Array(buffer, smallAt, stored),
      largeFrom,
      large: new Float32Array(buffer, largeAt, storedLarge),
    };
  }

  #copy(
    rows: Int32Array,
    blocks: readonly KeptRows[],
    to: number,
    size: number,
    pointerOf: (block: KeptRows, row: number) => number,
  ): void {
    const n = rows.length;
    const [from, lengths] = [this.#room("from", 4 * n), this.#room("bytes", 4 * n)];
    const [pointers, bytesOf] = [this.#memory.integers(from, n), this.#memory.integers(lengths, n)];
    for (let i = 0; i < n; i++) {
      const [block, row] = [blocks[i]!, rows[i]!];
      pointers[i] = pointerOf(block, row);
      bytesOf[i] = size * (block.indptr[row + 1]! - block.indptr[row]!);
    }
    this.#memory.kernel.gather(from, lengths, n, to);
  }

  #room(name: AreaName, length: number): number {
    return (this.#areas[name] = this.#memory.room(this.#areas[name], length)).pointer;
  }

  #put(name: "genes" | "counts" | "indptr", values: Int32Array | Float32Array): number {
    const pointer = this.#room(name, values.byteLength);
    this.#memory.write(this.#areas[name]!, values);
    return pointer;
  }

  /** The first free area that is large enough. */
  #takeFree(needed: number): Area {
    const at = this.#free.findIndex(({ bytes }) => bytes >= needed);
    return at < 0 ? this.#memory.room(undefined, needed) : this.#free.splice(at, 1)[0]!;
  }
}
