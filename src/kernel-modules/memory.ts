// Shared memory of multi-threaded kernels: allocation and views.
import { ScPoliError } from "../contract/errors.js";

const pageBytes = 65536;

/** 4 GiB, as declared by the kernels */
const maximumPages = 65536;

/** allocations are aligned to cache lines */
const alignment = 64;

/** bytes reserved for the run record, see wasm-run.ts */
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
        "no address space for the engine's memory (4 GiB are reserved, not used). Raise the limit on " +
          "virtual memory.",
        {},
        { cause: error },
      );
    }
  }

  /** Allocates zeroed bytes, which are never freed before the engine ends. @throws ScPoliError "memory" */
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
          `the engine needs ${gigabytes(end)} GiB; ${gigabytes(this.memory.buffer.byteLength)} GiB are ` +
            "in use and no more can be allocated (4 GiB at most). Use fewer genes, a smaller hidden layer " +
            "or a smaller minibatch.",
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
