// The data that can be written (columns, tables, dictionaries) and their encoding in anndata 0.8 and later,
// independent of the file format. h5ad-elements.ts and zarr-write.ts write the primitives.
//
// Source: anndata's "On-disk format" page.
import { ScPoliError } from "../contract/errors.js";
import type { Column } from "./dataframe.js";
import type { DenseMatrix, NumericArray } from "./matrix.js";

/** A column to write. Numbers keep their type; a boolean column also accepts 0 and 1. */
export type NewColumn =
  | Column
  | { readonly kind: "number"; readonly values: NumericArray }
  | { readonly kind: "boolean"; readonly values: Uint8Array }
  | { readonly kind: "string"; readonly values: readonly string[] }
  | {
      readonly kind: "categorical";
      readonly codes: Int8Array | Int16Array | Int32Array;
      readonly categories: readonly string[];
      readonly ordered?: boolean;
    };

/**
 * NumPy's structured array for uns: named fields of strings or numbers, one entry per row, as in scanpy's
 * `rank_genes_groups`.
 */
export class StructuredArray {
  /** Number of rows */
  readonly rows: number;

  /** @param fields - in order; all of the same length, with unique names */
  constructor(
    readonly fields: readonly (readonly [string, readonly string[] | Float32Array | Float64Array])[],
  ) {
    this.rows = fields[0]?.[1].length ?? 0;
  }

  /** Length of the longest string of each field, in characters; 0 for numeric fields. */
  textWidths(): number[] {
    return this.fields.map(([, values]) =>
      ArrayBuffer.isView(values) ? 0 : values.reduce((most, text) => Math.max(most, [...text].length), 1),
    );
  }
}

/** A data frame for uns. */
export class NewTable {
  constructor(
    /** names of the rows */
    readonly index: readonly string[],
    /** Columns by name, all of one length */
    readonly columns: Readonly<Record<string, NewColumn>>,
  ) {}
}

/** A value of uns to write: integers as int64, other numbers as float64. */
export type NewUns =
  | number
  | string
  | boolean
  | NumericArray
  | readonly string[]
  | readonly number[]
  | StructuredArray
  | NewTable
  | { readonly [key: string]: NewUns };

/** What a copy adds to the file. */
export interface Additions {
  /** columns of obs, each of N cells */
  readonly obs?: Readonly<Record<string, NewColumn>>;
  /** (N, columns) each */
  readonly obsm?: Readonly<Record<string, DenseMatrix>>;
  /** Entries of `uns` by key */
  readonly uns?: Readonly<Record<string, NewUns>>;
  /** entries of an earlier run that this one does not write: dropped from the copy */
  readonly removed?: AdditionNames;
}

/** Names of added or removed entries. */
export interface AdditionNames {
  readonly obs?: readonly string[];
  readonly obsm?: readonly string[];
  readonly uns?: readonly string[];
}

/** Names of the file's existing entries that the copy drops: those that are replaced, and those removed. */
export function namesOfReplaced({ obs = {}, obsm = {}, uns = {}, removed = {} }: Additions) {
  return {
    obs: [...Object.keys(obs), ...(removed.obs ?? [])],
    obsm: [...Object.keys(obsm), ...(removed.obsm ?? [])],
    uns: [...Object.keys(uns), ...(removed.uns ?? [])],
  };
}

/** Columns of obs in a copy, in order. @param kept - existing columns @param removed - see `Additions` */
export function columnOrder(
  kept: readonly string[],
  { obs = {}, removed = {} }: Additions,
): readonly string[] {
  const names = [...new Set([...kept, ...Object.keys(obs)])];
  return names.filter((name) => Object.hasOwn(obs, name) || !removed.obs?.includes(name));
}

/** Writes the primitives that every element consists of. */
export interface ElementWriter {
  group(path: string, encoding: string, version: string): void;
  attribute(path: string, name: string, value: string | readonly string[] | Int8Array): void;
  /** a numeric array with its encoding */
  array(path: string, values: NumericArray): void;
  strings(path: string, values: readonly string[]): void;
  booleanArray(path: string, values: ArrayLike<unknown>): void;
  scalar(path: string, value: string | number | boolean): void;
  structured(path: string, array: StructuredArray): void;
}

export function writeColumn(writer: ElementWriter, path: string, column: NewColumn): void {
  switch (column.kind) {
    case "number":
      return writer.array(path, column.values);
    case "string": {
      const { values } = column;
      return hasNoNull(values)
        ? writer.strings(path, values)
        : writeColumn(writer, path, categoricalOf(values));
    }
    case "boolean": {
      const { values } = column;
      if (values instanceof Uint8Array || !values.includes(null)) return writer.booleanArray(path, values);
      writer.group(path, "nullable-boolean", "0.1.0");
      writer.booleanArray(`${path}/values`, values);
      return writer.booleanArray(
        `${path}/mask`,
        values.map((value) => value === null),
      );
    }
    case "categorical": {
      const { codes, categories } = column;
      const type =
        categories.length <= 127 ? Int8Array : categories.length <= 32767 ? Int16Array : Int32Array;
      writer.group(path, "categorical", "0.2.0");
      writer.attribute(path, "ordered", Int8Array.of(column.ordered === true ? 1 : 0));
      writer.array(`${path}/codes`, new type(codes));
      return writer.strings(`${path}/categories`, categories);
    }
  }
}

/** Writes the group and index of a table; the caller then writes its columns. */
export function writeIndex(
  writer: ElementWriter,
  path: string,
  index: readonly string[],
  columns: readonly string[],
  indexName = "_index",
): void {
  writer.group(path, "dataframe", "0.2.0");
  writer.attribute(path, "_index", indexName);
  writer.attribute(path, "column-order", columns);
  writer.strings(`${path}/${indexName}`, index);
}

/** Writes scalars, strings, arrays and dictionaries of them. */
export function writeUns(writer: ElementWriter, path: string, value: NewUns): void {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    writer.scalar(path, value);
  else if (ArrayBuffer.isView(value)) writer.array(path, value);
  else if (value instanceof StructuredArray) writer.structured(path, value);
  else if (value instanceof NewTable) {
    writeIndex(writer, path, value.index, Object.keys(value.columns));
    for (const [name, column] of Object.entries(value.columns))
      writeColumn(writer, `${path}/${checkKey(name)}`, column);
  } else if (isList(value)) {
    if (value.some((item) => typeof item === "string")) writer.strings(path, value.map(String));
    else writer.array(path, Float64Array.from(value as readonly number[]));
  } else {
    writer.group(path, "dict", "0.1.0");
    for (const [key, item] of Object.entries(value)) writeUns(writer, `${path}/${checkKey(key)}`, item);
  }
}

/** Checks a key of uns, obs or obsm. @throws ScPoliError "key" if HDF5 cannot store it */
export function checkKey(key: string): string {
  if (key !== "" && key !== "." && key !== ".." && !/[/\0]/.test(key)) return key;
  throw new ScPoliError(
    "key",
    `"${key}" cannot be a name in an .h5ad file: a name has at least one character and no "/".`,
    { key },
  );
}

function categoricalOf(values: readonly (string | null)[]): NewColumn {
  const categories = [...new Set(values)].filter((value): value is string => value !== null).sort();
  const codes = new Map<string | null, number>(categories.map((name, code) => [name, code]));
  return {
    kind: "categorical",
    codes: Int32Array.from(values, (value) => codes.get(value) ?? -1),
    categories,
  };
}

/** String arrays cannot hold missing values; categoricals can. */
function hasNoNull(values: readonly (string | null)[]): values is readonly string[] {
  return !values.includes(null);
}

function isList(value: NewUns): value is readonly string[] | readonly number[] {
  return Array.isArray(value);
}
