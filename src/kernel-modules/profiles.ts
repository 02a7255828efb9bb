// Sparse cells times dense tables (float32), and squared norms of means of cells (float64). The kernel is
// kernels/profiles.ts; memory holds the cells and the tables.
import { instantiate, reach, type LoneKernel } from "./kernel-module.js";
import { profiles as bytes } from "./profiles.generated.js";
import type { SparseCells } from "./sparse-cells.js";

interface ProfilesKernel extends LoneKernel {
  project(
    indptr: number,
    indices: number,
    values: number,
    n: number,
    table: number,
    width: number,
    out: number,
    used: number,
  ): void;
  addBack(
    indptr: number,
    indices: number,
    values: number,
    n: number,
    perCell: number,
    width: number,
    table: number,
    used: number,
  ): void;
  squareOfMean(
    indptr: number,
    indices: number,
    values: number,
    genes: number,
    members: number,
    count: number,
    shiftRows: number,
    cells: number,
    shiftCount: number,
    shifts: number,
    centre: number,
    scale: number,
    row: number,
  ): number;
}

/** Cells in a kernel's memory, with buffers for results. */
class KernelCells {
  readonly kernel = instantiate<ProfilesKernel>(bytes);
  readonly n: number;
  readonly rows: readonly [indptr: number, indices: number, values: number];
  #end = this.kernel.freeFrom();

  constructor({ indptr, indices, values }: SparseCells) {
    this.n = indptr.length - 1;
    const stored = indptr[this.n]!;
    this.rows = [
      this.put(indptr),
      this.put(indices.subarray(0, stored)),
      this.put(values.subarray(0, stored)),
    ];
  }

  allocate(length: number): number {
    const pointer = Math.ceil(this.#end / 16) * 16;
    this.#end = pointer + length;
    reach(this.kernel, this.#end);
    return pointer;
  }

  /** @returns offset of the values */
  put(values: Int32Array | Float32Array): number {
    const pointer = this.allocate(values.byteLength);
    this.write(pointer, values);
    return pointer;
  }

  write(pointer: number, values: Int32Array | Float32Array | Uint8Array): void {
    new (values.constructor as Int32ArrayConstructor)(this.kernel.memory.buffer, pointer, values.length).set(
      values,
    );
  }

  doubles(pointer: number, length: number): Float64Array {
    return new Float64Array(this.kernel.memory.buffer, pointer, length);
  }

  floats(pointer: number, length: number): Float32Array {
    return new Float32Array(this.kernel.memory.buffer, pointer, length);
  }

  /** Copies a table row by row between strides. */
  static copy(
    from: Float64Array | Float32Array,
    fromStride: number,
    to: Float64Array | Float32Array,
    toStride: number,
    rows: number,
  ): void {
    if (fromStride === toStride) return to.set(from);
    const width = Math.min(fromStride, toStride);
    for (let row = 0; row < rows; row++)
      for (let at = row * fromStride, end = at + width, toAt = row * toStride; at < end; at++, toAt++)
        to[toAt] = from[at]!;
  }
}

function even(n: number): number {
  return n + (n & 1);
}

/** Columns of a float32 table in memory. */
function padded(P: number): number {
  return Math.ceil(P / 4) * 4;
}

/**
 * Products of the cells (n, G) with tables of P columns, in float32. Sums run in the order of the cells.
 */
export class SparseProducts {
  readonly #cells: KernelCells;
  readonly #table: number;
  readonly #perCell: number;
  readonly #used: number;

  constructor(
    cells: SparseCells,
    private readonly genes: number,
    private readonly P: number,
  ) {
    this.#cells = new KernelCells(cells);
    this.#used = this.#cells.allocate(this.#cells.n);
    this.use(new Uint8Array(this.#cells.n).fill(1));
    this.#table = this.#cells.allocate(4 * genes * padded(P));
    this.#perCell = this.#cells.allocate(4 * this.#cells.n * padded(P));
  }

  /** @param used - (n) 1 for the cells to use in products from now on. Initially all */
  use(used: Uint8Array): void {
    this.#cells.write(this.#used, used);
  }

  /** cells (n, G) x table (G, P); zeros for unused cells */
  along(table: Float64Array): Float64Array {
    const { kernel, rows, n } = this.#cells;
    const { P, genes } = this;
    const width = padded(P);
    KernelCells.copy(table, P, this.#cells.floats(this.#table, genes * width), width, genes);
    kernel.project(...rows, n, this.#table, width, this.#perCell, this.#used);
    const product = new Float64Array(n * P);
    KernelCells.copy(this.#cells.floats(this.#perCell, n * width), width, product, P, n);
    return product;
  }

  /** cells transposed (G, n) x perCell (n, P) */
  back(perCell: Float64Array): Float64Array {
    const { kernel, rows, n } = this.#cells;
    const { P, genes } = this;
    const width = padded(P);
    KernelCells.copy(perCell, P, this.#cells.floats(this.#perCell, n * width), width, n);
    this.#cells.floats(this.#table, genes * width).fill(0);
    kernel.addBack(...rows, n, this.#perCell, width, this.#table, this.#used);
    const product = new Float64Array(genes * P);
    KernelCells.copy(this.#cells.floats(this.#table, genes * width), width, product, P, genes);
    return product;
  }
}

/** Shifts subtracted from a mean of cells, and the scale of its genes. */
export interface MeanScale {
  /** each (G): shifts that can be subtracted from a mean */
  readonly shifts: readonly Float64Array[];
  /** (G) shift subtracted from the mean */
  readonly centre: Float64Array;
  /** (G) scale of each gene */
  readonly scale: Float64Array;
}

/** Squared norms of scaled means of cells. */
export class MeanSquares {
  readonly #cells: KernelCells;
  readonly #genes: number;
  readonly #lists: { readonly members: number; readonly shiftRows: number; readonly counts: number };
  readonly #tables: {
    readonly shifts: number;
    readonly centre: number;
    readonly scale: number;
    readonly row: number;
  };

  /** @param most - maximum number of cells of a mean */
  constructor(cells: SparseCells, { shifts, centre, scale }: MeanScale, most: number) {
    const kernelCells = (this.#cells = new KernelCells(cells));
    const genes = (this.#genes = even(centre.length));
    const table = (...rows: readonly Float64Array[]): number => {
      const pointer = kernelCells.allocate(8 * genes * rows.length);
      rows.forEach((row, i) => kernelCells.doubles(pointer + 8 * genes * i, row.length).set(row));
      return pointer;
    };
    this.#tables = {
      shifts: table(...shifts),
      centre: table(centre),
      scale: table(scale),
      row: kernelCells.allocate(8 * genes),
    };
    this.#lists = {
      members: kernelCells.allocate(4 * most),
      shiftRows: kernelCells.allocate(4 * most),
      counts: kernelCells.allocate(4 * most),
    };
  }

  /**
   * @param members - cells
   * @param shiftRows - shifts to subtract
   * @param counts - number of members from which each shift is subtracted
   */
  square(members: Int32Array, shiftRows: Int32Array, counts: Int32Array): number {
    const cells = this.#cells;
    const { shifts, centre, scale, row } = this.#tables;
    const lists = this.#lists;
    cells.write(lists.members, members);
    cells.write(lists.shiftRows, shiftRows);
    cells.write(lists.counts, counts);
    return cells.kernel.squareOfMean(
      ...cells.rows,
      this.#genes,
      lists.members,
      members.length,
      lists.shiftRows,
      lists.counts,
      shiftRows.length,
      shifts,
      centre,
      scale,
      row,
    );
  }
}
