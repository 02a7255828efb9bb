// The shared memory that kernels and host work on: allocation, and the layouts of parameters in it.
//
// Widths are padded to a multiple of 4 or 8 with zeros that stay zero, so that no kernel has a tail. What a
// layout is for stands in kernels/linear.ts, sparse-linear.ts, lookup.ts and negative-binomial.ts.
import { ScPoliError } from "../errors.js";
import type { Role } from "./engine.js";

const pageBytes = 65536;
/** 4 GiB, as the kernels declare it */
const maximumPages = 65536;
/** everything lies on lines of the cache of its own */
const alignment = 64;
/** the first bytes belong to the run record, see wasm-run.ts */
const reservedBytes = 2048;

export class KernelMemory {
  readonly memory: WebAssembly.Memory;
  #used = reservedBytes;

  constructor() {
    try {
      this.memory = new WebAssembly.Memory({ initial: 1, maximum: maximumPages, shared: true });
    } catch (error) {
      throw new ScPoliError(
        "memory",
        "no address space for the engine's memory (4 GiB are reserved, not used). Raise the limit on virtual memory.",
        {},
        { cause: error },
      );
    }
  }

  /** Zeroed bytes; never given back before the engine ends. @throws ScPoliError "memory" */
  allocate(bytes: number): number {
    const start = this.#used;
    const end = start + Math.ceil(bytes / alignment) * alignment;
    const missing = Math.ceil(end / pageBytes) - this.memory.buffer.byteLength / pageBytes;
    if (missing > 0) {
      try {
        this.memory.grow(missing);
      } catch (error) {
        const gigabytes = (n: number): string => (n / 2 ** 30).toFixed(2);
        throw new ScPoliError(
          "memory",
          `the engine needs ${gigabytes(end)} GiB; ${gigabytes(this.memory.buffer.byteLength)} GiB are taken and no more can be had (4 GiB at most). Use fewer genes, a smaller hidden layer or a smaller minibatch.`,
          { bytes: end },
          { cause: error },
        );
      }
    }
    this.#used = end;
    return start;
  }

  floats(pointer: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, pointer, length);
  }
  doubles(pointer: number, length: number): Float64Array {
    return new Float64Array(this.memory.buffer, pointer, length);
  }
  integers(pointer: number, length: number): Int32Array {
    return new Int32Array(this.memory.buffer, pointer, length);
  }
  shorts(pointer: number, length: number): Uint16Array {
    return new Uint16Array(this.memory.buffer, pointer, length);
  }
  bytes(pointer: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, pointer, length);
  }
}

/** `n` rounded up to a multiple. */
export function padded(n: number, multiple: number): number {
  return Math.ceil(n / multiple) * multiple;
}

/**
 * Where element (i, j) of the published shape lies: floor(i / 8) * tile + (i mod 8) * row + j * column, in
 * floats.
 */
export interface Layout {
  readonly rows: number;
  readonly columns: number;
  readonly tile: number;
  readonly row: number;
  readonly column: number;
  /** floats in all */
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
