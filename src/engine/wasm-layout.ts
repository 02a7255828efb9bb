// Layouts of parameters in the memory shared by kernels and host.
//
// Widths are padded with permanent zeros to a multiple of 4 or 8, so that kernels need no tail handling. The
// purpose of each layout is explained in kernels/linear.ts, sparse-linear.ts, lookup.ts and
// negative-binomial.ts.
import type { Role } from "./engine.js";
import { padded } from "../kernel-modules/memory.js";

/**
 * Position of element (i, j) of the published shape, in floats: floor(i / 8) * tile + (i mod 8) * row +
 * j * column.
 */
export interface Layout {
  readonly rows: number;
  readonly columns: number;
  readonly tile: number;
  readonly row: number;
  readonly column: number;
  /** total number of floats */
  readonly size: number;
}

export function layoutOf(role: Role, shape: readonly number[]): Layout {
  const [rows, columns] = [shape[0]!, shape[1] ?? 1];
  switch (role) {
    case "bias":
      return { rows, columns, tile: 8, row: 1, column: 0, size: padded(rows, 8) };
    case "sparse": // [G][H]
    case "theta": // [C][G]
      return { rows, columns, tile: 8, row: 1, column: padded(rows, 8), size: columns * padded(rows, 8) };
    case "embedding":
    case "one-hot": {
      const row = padded(columns, 4);
      return { rows, columns, tile: 8 * row, row, column: 1, size: rows * row };
    }
    case "linear":
    case "output": {
      // 64 bytes after each tile: see kernels/linear.ts
      const tile = padded(columns, 4) * 8 + 16;
      return { rows, columns, tile, row: 1, column: 8, size: (padded(rows, 8) / 8) * tile };
    }
  }
}

export function toLayout(
  { rows, columns, tile, row, column }: Layout,
  published: ArrayLike<number>,
  stored: Float32Array,
): void {
  for (let i = 0, from = 0; i < rows; i++) {
    let to = (i >> 3) * tile + (i & 7) * row;
    for (let j = 0; j < columns; j++, to += column) stored[to] = published[from++]!;
  }
}

export function fromLayout({ rows, columns, tile, row, column }: Layout, stored: Float32Array): Float32Array {
  const published = new Float32Array(rows * columns);
  for (let i = 0, to = 0; i < rows; i++) {
    let from = (i >> 3) * tile + (i & 7) * row;
    for (let j = 0; j < columns; j++, from += column) published[to++] = stored[from]!;
  }
  return published;
}

/**
 * Bytes of a group of 4 rows of the logits (kernels/linear.ts): an odd number of cache lines, so that groups
 * do not map to the same cache sets.
 */
export function logitsStride(genes: number): number {
  return 16 * padded(genes, 8) + 64;
}
