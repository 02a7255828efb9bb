// The storage interface of the AnnData readers: a tree of groups and arrays with attributes. HDF5 (hdf5.ts)
// and Zarr (zarr.ts) implement it.
import type { ErrorKind, ScPoliError } from "../contract/errors.js";
import type { ArrayDescription } from "./hdf5-chunk-index.js";
import type { NumericArray } from "./matrix.js";

export type StoreAttribute = number | string | boolean | readonly (number | string | boolean)[];

/** An open file or store folder. */
export interface Store {
  readonly path: string;
  readonly format: "h5ad" | "zarr";
  /** location for error messages: "query.h5ad: obs/cell_type" */
  place(path: string): string;
  /** Kind of object at a path; null if there is none. */
  kind(path: string): "group" | "dataset" | "other" | null;
  /** Names in a group; empty if there is no such group. */
  keys(path: string): string[];
  /**
   * Value of an attribute; undefined if it is missing or empty. A reference is returned as the path it points
   * to.
   */
  attribute(path: string, name: string): StoreAttribute | undefined;
  /** Value of an attribute if it is a string. */
  text(path: string, name: string): string | undefined;
  /** @throws ScPoliError if the array cannot be opened */
  dataset(path: string): StoredArray;
  close(): void;
}

/** An array of numbers, read in blocks along its first dimension. */
export interface NumberArray {
  readonly place: string;
  /** in NumPy's notation, or "string", "bool", "table" (compound) or "unknown" */
  readonly dtype: string;
  /** Length of the first dimension; 1 for a scalar. */
  readonly length: number;
  /** values per row, the product of all dimensions but the first */
  readonly width: number;
  /** Rows that are compressed together; 1 if nothing is compressed. */
  readonly rowsPerChunk: number;
  /**
   * An array for `length` values of this one; 64-bit integers become Float64Array.
   * @throws ScPoliError "format" if they are not numbers
   */
  array(length: number): NumericArray;
  /**
   * Copies rows [start, end) into `target` at `offset`, converted to its type. Values that do not fit an
   * Int32Array become -1.
   * @throws ScPoliError "format" if the compression is unknown or a 64-bit integer exceeds 2^53, "file" if
   * the data are damaged
   */
  readInto(target: NumericArray, offset: number, start: number, end: number): Promise<void>;
  /**
   * Describes the array for a thread that reads it without the store. Null or absent if that is not possible.
   */
  describe?(): Promise<ArrayDescription | null>;
}

/** An array of a store: its type, its values and blocks along its first dimension. */
export interface StoredArray extends NumberArray {
  /** null if the array is declared empty */
  readonly shape: readonly number[] | null;
  /** All values. */
  numbers(): Promise<NumericArray>;
  /** All values of a string array. */
  strings(): Promise<(string | null)[]>;
  /** Names of the columns of a table (compound type), in order; absent if the store has no tables. */
  readonly fields?: readonly string[];
  /** One column of a table, all rows: strings, or numbers with `width` values per row. */
  field?(
    name: string,
  ): Promise<{ readonly dtype: string; readonly width: number; readonly values: NumericArray | string[] }>;
  error(kind: ErrorKind, problem: string, cause?: unknown): ScPoliError;
}
