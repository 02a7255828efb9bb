// obs and var as anndata 0.5 and 0.6 wrote them: one compound dataset with the index as first field. A
// categorical column holds codes; its labels are in uns, as "<column>_categories", with no indication of
// whether they belong to obs or var.
import { ScPoliError } from "../contract/errors.js";
import type { Column, DataFrame } from "./dataframe.js";
import { booleanOf, numberNames, readNames } from "./stored-frame.js";
import type { NumericArray } from "./matrix.js";
import { missingKey } from "../contract/nearest-names.js";
import type { Store, StoredArray } from "./store.js";

export class TableFrame implements DataFrame {
  readonly length: number;
  readonly columnNames: readonly string[];
  private readonly table: StoredArray;
  /** name of the first field */
  readonly indexName: string;

  /** @param labels - group with the labels of categorical columns; null if there are none */
  constructor(
    private readonly file: Store,
    path: string,
    private readonly labels: string | null,
  ) {
    this.table = file.dataset(path);
    const [index, ...columns] = this.table.fields ?? [];
    if (index === undefined || this.table.shape?.length !== 1)
      throw new ScPoliError(
        "format",
        `${this.table.place} is not a table, so this is not a complete AnnData file.`,
        { path: file.path, key: path },
      );
    this.indexName = index;
    this.columnNames = columns;
    this.length = this.table.length;
  }

  async index(): Promise<readonly string[]> {
    const { dtype, values } = await this.table.field!(this.indexName);
    return Array.isArray(values) ? values : numberNames(values, dtype);
  }

  async column(name: string): Promise<Column> {
    if (!this.columnNames.includes(name))
      throw missingKey(`${this.table.place} has no column "${name}".`, name, this.columnNames, {
        path: this.file.path,
      });
    const { dtype, width, values } = await this.table.field!(name);
    const { length } = this;
    if (width !== 1)
      throw this.table.error("format", `its field "${name}" has ${width} values per row; one was expected`);
    if (Array.isArray(values)) return { kind: "string", length, values };
    if (dtype === "bool") return { kind: "boolean", length, values: Array.from(values, booleanOf) };
    const categories = /^u?int/.test(dtype) ? await this.categoriesOf(name) : null;
    // the labels may belong to a column of the other table, which their number reveals
    if (categories !== null && values.every((code) => code >= -1 && code < categories.length))
      return { kind: "categorical", length, codes: Int32Array.from(values), categories, ordered: false };
    return { kind: "number", length, values: Float64Array.from(values) };
  }

  /** A column with the type to write: the stored type. */
  async asWritten(name: string): Promise<Column | NumericArray | BigInt64Array> {
    const column = await this.column(name);
    if (column.kind !== "number") return column;
    const { dtype, values } = await this.table.field!(name);
    return /64$/.test(dtype) && dtype !== "float64"
      ? BigInt64Array.from(values as NumericArray, BigInt)
      : (values as NumericArray);
  }

  /** Entries of uns that hold the labels of columns of this table. */
  async usedLabels(): Promise<string[]> {
    const used: string[] = [];
    for (const name of this.columnNames) {
      if ((await this.categoriesOf(name)) !== null && (await this.column(name)).kind === "categorical")
        used.push(labelsName(name));
    }
    return used;
  }

  private async categoriesOf(name: string): Promise<string[] | null> {
    const path = `${this.labels}/${labelsName(name)}`;
    return this.labels !== null && !name.includes("/") && this.file.kind(path) === "dataset"
      ? readNames(this.file, path)
      : null;
  }
}

function labelsName(column: string): string {
  return `${column}_categories`;
}
