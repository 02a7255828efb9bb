// obs and var: named columns over one index, read one column at a time, on demand.

/** A categorical column: codes into categories, -1 where missing. */
export interface CategoricalColumn {
  readonly kind: "categorical";
  readonly length: number;
  readonly codes: Int32Array;
  /** as strings, whatever their stored type */
  readonly categories: readonly string[];
  readonly ordered: boolean;
}
/** Strings, null where missing. */
export interface StringColumn {
  readonly kind: "string";
  readonly length: number;
  readonly values: readonly (string | null)[];
}
/** Numbers of any stored type, NaN where missing. */
interface NumberColumn {
  readonly kind: "number";
  readonly length: number;
  readonly values: Float64Array;
  /** stored type, in NumPy's notation, if no value is missing */
  readonly dtype?: string;
}
/** Booleans, null where missing. */
interface BooleanColumn {
  readonly kind: "boolean";
  readonly length: number;
  readonly values: readonly (boolean | null)[];
}
/** A column of obs or var, discriminated by `kind`. */
export type Column = CategoricalColumn | StringColumn | NumberColumn | BooleanColumn;

/** Named columns over one index. */
export interface DataFrame {
  /** Number of rows */
  readonly length: number;
  /** Names of the columns, without the index */
  readonly columnNames: readonly string[];
  /** names of the rows */
  index(): Promise<readonly string[]>;
  /**
   * Reads one column.
   * @throws ScPoliError "key" if there is no such column (the message suggests similar names), "format" if it
   * cannot be read
   */
  column(name: string): Promise<Column>;
}
