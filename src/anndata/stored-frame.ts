// Reads obs and var of a store in the column encodings of anndata 0.7 to 0.13, also if attributes are
// missing.
// Older files: stored-table.ts.
import { ScPoliError } from "../contract/errors.js";
import type { CategoricalColumn, Column, DataFrame } from "./dataframe.js";
import type { NumericArray } from "./matrix.js";
import { missingKey } from "../contract/nearest-names.js";
import type { Store, StoredArray } from "./store.js";

/** Opens the table at a path inside the file. @throws ScPoliError "format" if there is none */
export function openFrame(file: Store, path: string): FileFrame {
  const kind = file.kind(path);
  if (kind !== "group")
    throw new ScPoliError(
      "format",
      `${file.path} has no table ${path}, so it is not a complete AnnData file.`,
      { path: file.path, key: path },
    );
  return new FileFrame(file, path);
}

export class FileFrame implements DataFrame {
  readonly length: number;
  readonly columnNames: readonly string[];
  /** path of the row names */
  readonly indexPath: string;

  constructor(
    private readonly file: Store,
    readonly path: string,
  ) {
    const keys = file.keys(path);
    const index =
      file.text(path, "_index") ??
      ["_index", "index", "obs_names", "var_names"].find((name) => keys.includes(name)) ??
      "_index";
    if (!keys.includes(index)) {
      throw new ScPoliError("format", `${file.place(path)} has no row names ("${index}" is missing).`, {
        path: file.path,
        key: path,
      });
    }
    this.indexPath = `${path}/${index}`;
    this.length = columnLength(file, this.indexPath);
    const order = file.attribute(path, "column-order"); // an empty one is stored as numbers
    const listed = order === undefined || typeof order === "number" ? [] : [order].flat().map(String);
    this.columnNames =
      order === undefined
        ? keys.filter((key) => key !== index && key !== "__categories")
        : [...new Set(listed)];
  }

  async index(): Promise<readonly string[]> {
    return readNames(this.file, this.indexPath);
  }

  async column(name: string): Promise<Column> {
    if (!this.columnNames.includes(name)) {
      throw missingKey(`${this.file.place(this.path)} has no column "${name}".`, name, this.columnNames, {
        path: this.file.path,
      });
    }
    const path = `${this.path}/${name}`;
    const column = await readColumn(this.file, path);
    if (column.length !== this.length) {
      throw new ScPoliError(
        "format",
        `${this.file.place(path)} is damaged: it has ${column.length} entries for ${this.length} rows.`,
        { path: this.file.path, key: path },
      );
    }
    return column;
  }
}

/**
 * anndata 0.7: path of the categories of a column. HDF5 stores a reference, Zarr a path relative to the
 * column.
 */
function labelsOf(file: Store, path: string): string | undefined {
  const categories = file.text(path, "categories");
  return categories === undefined || categories.startsWith("/")
    ? categories
    : `${path.slice(0, path.lastIndexOf("/"))}/${categories}`;
}

/** Some writers have no booleans, or store scalars as one-element lists. */
function isOrdered(file: Store, path: string): boolean {
  const [ordered] = [file.attribute(path, "ordered")].flat();
  return ordered === true || ordered === 1;
}

function columnLength(file: Store, path: string): number {
  if (file.kind(path) === "dataset") return file.dataset(path).length;
  const part = ["values", "codes"].find((name) => file.kind(`${path}/${name}`) === "dataset");
  return part === undefined ? 0 : file.dataset(`${path}/${part}`).length;
}

/** Reads one column, or the row names. @throws ScPoliError "format" if the encoding is unknown */
export async function readColumn(file: Store, path: string): Promise<Column> {
  switch (file.kind(path)) {
    case "dataset": {
      const dataset = file.dataset(path);
      const categories = labelsOf(file, path);
      return categories === undefined
        ? plainColumn(dataset)
        : categoricalColumn(file, dataset, categories, isOrdered(file, categories));
    }
    case "group": {
      const encoding = file.text(path, "encoding-type");
      const has = (name: string): boolean => file.kind(`${path}/${name}`) === "dataset";
      if (
        encoding === "categorical" ||
        (encoding === undefined && has("codes") && file.kind(`${path}/categories`) !== null)
      ) {
        return categoricalColumn(
          file,
          file.dataset(`${path}/codes`),
          `${path}/categories`,
          isOrdered(file, path),
        );
      }
      if (encoding?.startsWith("nullable-") || (encoding === undefined && has("values") && has("mask"))) {
        const mask = file.dataset(`${path}/mask`);
        const values = await plainColumn(file.dataset(`${path}/values`));
        if (mask.length !== values.length)
          throw mask.error("format", `it has ${mask.length} entries for ${values.length} values`);
        return withMissing(values, await mask.numbers());
      }
      throw new ScPoliError(
        "format",
        `${file.place(path)} cannot be read: its encoding (${encoding ?? "none"}) is unknown.`,
        { path: file.path, key: path },
      );
    }
    default:
      throw new ScPoliError("format", `${file.place(path)} is missing, although the table lists it.`, {
        path: file.path,
        key: path,
      });
  }
}

async function plainColumn(dataset: StoredArray): Promise<Column> {
  if (dataset.shape === null) throw dataset.error("format", "it is empty (null)");
  if (dataset.width !== 1)
    throw dataset.error("format", `it has ${dataset.width} values per row; one was expected`);
  const { length, dtype } = dataset;
  if (dtype === "string") return { kind: "string", length, values: await dataset.strings() };
  if (dtype === "bool")
    return { kind: "boolean", length, values: Array.from(await dataset.numbers(), booleanOf) };
  const values = new Float64Array(length);
  await dataset.readInto(values, 0, 0, length);
  return { kind: "number", length, values, dtype };
}

async function categoricalColumn(
  file: Store,
  codes: StoredArray,
  categoriesPath: string,
  ordered: boolean,
): Promise<CategoricalColumn> {
  const categories = await readNames(file, categoriesPath);
  if (codes.width !== 1)
    throw codes.error("format", `it has ${codes.width} values per row; one was expected`);
  const stored = await codes.numbers();
  const values = new Int32Array(stored.length);
  for (let row = 0; row < stored.length; row++) {
    const code = stored[row]!;
    if (!(code >= -1 && code < categories.length && Number.isInteger(code)))
      throw codes.error(
        "format",
        `row ${row} has code ${code}, but there are ${categories.length} categories`,
      );
    values[row] = code;
  }
  return { kind: "categorical", length: values.length, codes: values, categories, ordered };
}

/** A stored boolean; R's third value means missing. */
export function booleanOf(value: number): boolean | null {
  return value === 0 ? false : value === 1 ? true : null;
}

function withMissing(column: Column, mask: NumericArray): Column {
  switch (column.kind) {
    case "number":
      return { ...column, values: column.values.map((value, row) => (mask[row] ? NaN : value)) };
    case "boolean":
      return { ...column, values: column.values.map((value, row) => (mask[row] ? null : value)) };
    case "string":
      return { ...column, values: column.values.map((value, row) => (mask[row] ? null : value)) };
    case "categorical":
      return column;
  }
}

/** Row names or categories as strings, in Python's spelling: "True", "1.0". */
export async function readNames(file: Store, path: string): Promise<string[]> {
  const column = await readColumn(file, path);
  switch (column.kind) {
    case "string":
      return column.values.map((name) => name ?? missingName);
    case "boolean":
      return column.values.map((name) => (name === null ? missingName : name ? "True" : "False"));
    case "categorical":
      return Array.from(column.codes, (code) => column.categories[code] ?? missingName);
    case "number":
      return numberNames(
        column.values,
        file.dataset(file.kind(path) === "group" ? `${path}/values` : path).dtype,
      );
  }
}

/** Numbers as Python prints them. */
export function numberNames(values: NumericArray, dtype: string): string[] {
  const isFloat = dtype.startsWith("float");
  return Array.from(values, (value) =>
    isFloat && Number.isInteger(value) ? value.toFixed(1) : Number.isNaN(value) ? missingName : String(value),
  );
}

const missingName = "nan";
