// Numeric arrays in an HDF5 file: the base class shared by arrays that HDF5 reads and arrays that are read
// directly, and the latter.
import type { DirectFile } from "#platform";
import { ScPoliError, type ErrorKind } from "../contract/errors.js";
import type { ArrayDescription } from "./hdf5-chunk-index.js";
import { readChunks } from "./hdf5-chunks.js";
import { arrays } from "./hdf5-types.js";
import type { NumericArray } from "./matrix.js";
import type { NumberArray } from "./store.js";

/** An array with its location in a file, and its errors. */
export abstract class Hdf5Array {
  abstract readonly dtype: string;

  /**
   * @param place - "query.h5ad: X/data", for error texts
   * @param filePath - the file
   * @param path - inside it
   */
  constructor(
    readonly place: string,
    readonly filePath: string,
    readonly path: string,
  ) {}

  /**
   * An array for `length` values of this dataset; 64-bit integers become Float64Array.
   * @throws ScPoliError "format" if they are not numbers, "memory" if allocation fails
   */
  array(length: number): NumericArray {
    const constructor = arrays[this.dtype];
    if (constructor === undefined)
      throw this.error("format", `numbers were expected, but the values are of type ${this.dtype}`);
    return this.allocate(constructor, length);
  }

  error(kind: ErrorKind, problem: string, cause?: unknown): ScPoliError {
    return new ScPoliError(
      kind,
      `${this.place} cannot be read: ${problem}.`,
      { path: this.filePath, key: this.path },
      { cause },
    );
  }

  protected damaged(cause?: unknown): ScPoliError {
    return this.error("file", "its data are damaged. Copy or download the file again", cause);
  }

  protected beyond(): ScPoliError {
    return this.error("format", "it holds integers beyond 2^53, which cannot be read exactly");
  }

  protected allocate(constructor: NonNullable<(typeof arrays)[string]>, length: number): NumericArray {
    try {
      return new constructor(length);
    } catch (error) {
      throw this.error("memory", `not enough memory for its ${length} values`, error);
    }
  }
}

/** An array that is read directly, without HDF5. */
export class DirectArray extends Hdf5Array implements NumberArray {
  constructor(
    private readonly file: DirectFile,
    readonly description: ArrayDescription,
  ) {
    super(description.place, description.filePath, description.path);
  }

  get dtype() {
    return this.description.index.dtype;
  }
  get length() {
    return this.description.length;
  }
  get width() {
    return this.description.index.width;
  }
  get rowsPerChunk() {
    return this.description.rowsPerChunk;
  }

  async readInto(target: NumericArray, offset: number, start: number, end: number): Promise<void> {
    if (end <= start) return;
    const { index } = this.description;
    const result = this.#attempt(() => readChunks({ file: this.file, index, start, end, target, offset }));
    if (result === "beyond") throw this.beyond();
    if (result === "damaged") throw this.damaged();
  }

  #attempt<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw this.damaged(error);
    }
  }
}
