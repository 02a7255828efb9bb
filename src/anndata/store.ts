// What the readers of an AnnData see of the file it lies in: a tree of groups and arrays with attributes.
// HDF5 (hdf5.ts) and Zarr (zarr.ts) each make one.
import type { ErrorKind, ScPoliError } from "../contract/errors.js";
import type { ArrayDescription } from "./hdf5-chunk-index.js";
import type { NumericArray } from "./matrix.js";

export type StoreAttribute = number | string | boolean | readonly (number | string | boolean)[];

/** An open file, or folder. */
export interface Store {
  readonly path: string;
  readonly format: "h5ad" | "zarr";
  /** "query.h5ad: obs/cell_type", for error texts */
  place(path: string): string;
  /** What lies at a path inside, null where there is nothing. */
  kind(path: string): "group" | "dataset" | "other" | null;
  /** Names in a group, none where there is no such group. */
  keys(path: string): string[];
  /**
   * Value of an attribute, undefined where there is none or it is empty. A reference comes as the path that
   * it points to.
   */
  attribute(path: string, name: string): StoreAttribute | undefined;
  /** Value of an attribute where it is a text. */
  text(path: string, name: string): string | undefined;
  /** @throws ScPoliError where what lies there cannot be read at all */
  dataset(path: string): StoredArray;
  close(): void;
}

/** An array of numbers, read in blocks along its first dimension. */
export interface NumberArray {
  readonly place: string;
  /** as NumPy names it; "string", "bool", "table" (compound) and "unknown" besides */
  readonly dtype: string;
  /** Length of the first dimension; 1 for a scalar. */
  readonly length: number;
  /** values per row, the product of all dimensions but the first */
  readonly width: number;
  /** Rows that are stored, and so inflated, together; 1 where nothing is compressed. */
  readonly rowsPerChunk: number;
  /**
   * An array that takes `length` values of this one; 64-bit integers as Float64Array.
   * @throws ScPoliError "format" where they are no numbers
   */
  array(length: number): NumericArray;
  /**
   * Copies rows [start, end) into `target` from `offset` on, converted to its type; what an Int32Array cannot
   * hold becomes -1.
   * @throws ScPoliError "format" where the compression is unknown or a 64-bit integer is beyond 2^53, "file"
   * where the data are damaged
   */
  readInto(target: NumericArray, offset: number, start: number, end: number): Promise<void>;
  /** How another thread reads it without the store; null, and missing, where it cannot. */
  describe?(): Promise<ArrayDescription | null>;
}

/** An array of a store: its type, and reads of blocks along its first dimension. */
export interface StoredArray extends NumberArray {
  /** null where the array is declared empty */
  readonly shape: readonly number[] | null;
  /** All values. */
  numbers(): Promise<NumericArray>;
  /** All values of an array of texts. */
  strings(): Promise<(string | null)[]>;
  /** Names of the columns of a table (compound type), in order; missing where the store has no tables. */
  readonly fields?: readonly string[];
  /** One column of a table, all rows: texts, or numbers with `width` of them per row. */
  field?(
    name: string,
  ): Promise<{ readonly dtype: string; readonly width: number; readonly values: NumericArray | string[] }>;
  error(kind: ErrorKind, found: string, cause?: unknown): ScPoliError;
}
