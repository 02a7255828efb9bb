// obs and var of a store: the column encodings of anndata 0.7 to 0.12.
import { ScPoliError } from "../errors.js";
import type { CategoricalColumn, Column, DataFrame } from "./dataframe.js";
import type { NumericArray } from "./matrix.js";
import { missingKey } from "./nearest-names.js";
import type { Store, StoredArray } from "./store.js";

/** The table at a path inside the file. @throws ScPoliError "format" where there is none */
export function openFrame(file: Store, path: string): FileFrame {
  const kind = file.kind(path);
  if (kind === "dataset") {
    throw new ScPoliError("format", `${file.place(path)} is a table of anndata 0.6 or older. Open the file with a current anndata and save it again.`, { path: file.path, key: path });
  }
  if (kind === null) throw new ScPoliError("format", `${file.path} has no ${path}: this is not a complete AnnData file.`, { path: file.path, key: path });
  return new FileFrame(file, path);
}

export class FileFrame implements DataFrame {
  readonly length: number;
  readonly columnNames: readonly string[];
  /** path of the names of the rows */
  readonly indexPath: string;

  constructor(
    private readonly file: Store,
    readonly path: string,
  ) {
    const keys = file.keys(path);
    const index = file.text(path, "_index") ?? "_index";
    if (!keys.includes(index)) {
      throw new ScPoliError("format", `${file.place(path)} has no row names ("${index}" is missing).`, { path: file.path, key: path });
    }
    this.indexPath = `${path}/${index}`;
    this.length = columnLength(file, this.indexPath);
    const order = file.attribute(path, "column-order"); // an empty one is stored as numbers
    this.columnNames =
      order === undefined ? keys.filter((key) => key !== index && key !== "__categories")
      : Array.isArray(order) ? order.map(String)
      : [String(order)];
  }

  async index(): Promise<readonly string[]> {
    return readNames(this.file, this.indexPath);
  }

  async column(name: string): Promise<Column> {
    if (!this.columnNames.includes(name)) {
      throw missingKey(`${this.file.place(this.path)} has no column "${name}".`, name, this.columnNames, { path: this.file.path });
    }
    const path = `${this.path}/${name}`;
    const column = await readColumn(this.file, path);
    if (column.length !== this.length) {
      throw new ScPoliError("format", `${this.file.place(path)} is damaged: it has ${column.length} entries for ${this.length} rows.`, { path: this.file.path, key: path });
    }
    return column;
  }
}

function columnLength(file: Store, path: string): number {
  if (file.kind(path) === "dataset") return file.dataset(path).length;
  const part = ["values", "codes"].find((name) => file.kind(`${path}/${name}`) === "dataset");
  return part === undefined ? 0 : file.dataset(`${path}/${part}`).length;
}

/** One column, or the row names. @throws ScPoliError "format" where its encoding is not known */
export async function readColumn(file: Store, path: string): Promise<Column> {
  switch (file.kind(path)) {
    case "dataset": {
      const dataset = file.dataset(path);
      const categories = file.text(path, "categories"); // anndata 0.7: a reference to the labels
      return categories === undefined ? plainColumn(dataset) : categoricalColumn(file, dataset, categories, file.attribute(categories, "ordered") === true);
    }
    case "group": {
      const encoding = file.text(path, "encoding-type");
      if (encoding === "categorical") {
        return categoricalColumn(file, file.dataset(`${path}/codes`), `${path}/categories`, file.attribute(path, "ordered") === true);
      }
      if (encoding?.startsWith("nullable-")) {
        return withMissing(await plainColumn(file.dataset(`${path}/values`)), await file.dataset(`${path}/mask`).numbers());
      }
      throw new ScPoliError("format", `${file.place(path)} cannot be read: its encoding (${encoding ?? "none"}) is not known.`, { path: file.path, key: path });
    }
    default:
      throw new ScPoliError("format", `${file.place(path)} is missing, though the table lists it.`, { path: file.path, key: path });
  }
}

async function plainColumn(dataset: StoredArray): Promise<Column> {
  if (dataset.width !== 1) throw dataset.error("format", `it has ${dataset.width} values per row, one was expected`);
  const { length, dtype } = dataset;
  if (dtype === "string") return { kind: "string", length, values: await dataset.strings() };
  if (dtype === "bool") return { kind: "boolean", length, values: Array.from(await dataset.numbers(), Boolean) };
  const values = new Float64Array(length);
  await dataset.readInto(values, 0, 0, length);
  return { kind: "number", length, values };
}

async function categoricalColumn(file: Store, codes: StoredArray, categoriesPath: string, ordered: boolean): Promise<CategoricalColumn> {
  const categories = await readNames(file, categoriesPath);
  const values = new Int32Array(codes.length);
  await codes.readInto(values, 0, 0, codes.length);
  for (const [row, code] of values.entries()) {
    if (code < -1 || code >= categories.length) throw codes.error("format", `row ${row} has code ${code}, but there are ${categories.length} categories`);
  }
  return { kind: "categorical", length: values.length, codes: values, categories, ordered };
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

/** Names of rows or of categories as text, in Python's spelling: "True", "1.0". */
async function readNames(file: Store, path: string): Promise<string[]> {
  const column = await readColumn(file, path);
  switch (column.kind) {
    case "string":
      return column.values.map((name) => name ?? missingName);
    case "boolean":
      return column.values.map((name) => (name === null ? missingName : name ? "True" : "False"));
    case "categorical":
      return Array.from(column.codes, (code) => column.categories[code] ?? missingName);
    case "number": {
      const { dtype } = file.dataset(file.kind(path) === "group" ? `${path}/values` : path);
      const isFloat = dtype.startsWith("float");
      return Array.from(column.values, (value) => (isFloat && Number.isInteger(value) ? value.toFixed(1) : Number.isNaN(value) ? missingName : String(value)));
    }
  }
}

const missingName = "nan";
