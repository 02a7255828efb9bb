// Result tables, row by row, as CSV or as data frames of an .h5ad file.
import Papa from "papaparse";
import type { NewColumn } from "./elements.js";
import type { NewFrame } from "./write.js";

type Cell = string | number | boolean | null | readonly string[];
/** Rows of a table: fields by name, the same in each row. */
export type Rows = readonly Readonly<Record<string, Cell>>[];

/** A valid column name for obs or a data frame: "/" is the path separator of HDF5. */
export function columnName(name: string): string {
  return name.replaceAll("/", "_");
}

/** @param rows - at least one */
export function frameOf(rows: Rows): NewFrame {
  const names = Object.keys(rows[0]!);
  return {
    index: rows.map((_, row) => String(row)),
    columns: Object.fromEntries(
      names.map((name) => [columnName(name), typedColumn(rows.map((row) => row[name] ?? null))]),
    ),
  };
}

function typedColumn(cells: readonly Cell[]): NewColumn {
  if (cells.every((cell) => cell === null || typeof cell === "number"))
    return {
      kind: "number",
      values: Float64Array.from(cells, (cell) => (cell === null ? NaN : cell)),
    };
  if (cells.every((cell) => typeof cell === "boolean"))
    return { kind: "boolean", values: Uint8Array.from(cells, Number) };
  return { kind: "string", values: cells.map((cell) => (cell === null ? "" : textOf(cell))) };
}

function textOf(cell: Exclude<Cell, null>): string {
  return Array.isArray(cell) ? cell.join(" ") : String(cell);
}

/**
 * Rows as CSV with a header row; unknown values are empty fields.
 * @param options - `fields`: columns, default those of the first row; `delimiter`: default a comma
 */
export function csvOf(
  rows: Rows,
  {
    fields = Object.keys(rows[0] ?? {}),
    delimiter = ",",
  }: { readonly fields?: readonly string[]; readonly delimiter?: string } = {},
): string {
  const shown = (cell: Cell): string => (cell === null || Number.isNaN(cell) ? "" : textOf(cell));
  const data = rows.map((row) => fields.map((field) => shown(row[field] ?? null)));
  return `${Papa.unparse({ fields: [...fields], data }, { newline: "\n", delimiter })}\n`;
}
