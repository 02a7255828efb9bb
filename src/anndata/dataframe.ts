// obs and var: named columns over one index, read column by column when asked for.

/** A categorical column: codes into categories, -1 where missing. */
export interface CategoricalColumn {
  readonly kind: "categorical";
  readonly length: number;
  readonly codes: Int32Array;
  /** as text, whatever their stored type */
  readonly categories: readonly string[];
  readonly ordered: boolean;
}
/** Text, null where missing. */
export interface StringColumn {
  readonly kind: "string";
  readonly length: number;
  readonly values: readonly (string | null)[];
}
/** Numbers of any stored type, NaN where missing. */
export interface NumberColumn {
  readonly kind: "number";
  readonly length: number;
  readonly values: Float64Array;
  /** stored type, as NumPy names it, where none is missing */
  readonly dtype?: string;
}
/** Booleans, null where missing. */
export interface BooleanColumn {
  readonly kind: "boolean";
  readonly length: number;
  readonly values: readonly (boolean | null)[];
}
/** A column of obs or var, by the kind of its values. */
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
   * @throws ScPoliError "key" where there is no such column (the nearest names are offered), "format" where
   * it cannot be read
   */
  column(name: string): Promise<Column>;
}
