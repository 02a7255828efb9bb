// Columns of obs in the form that the page takes.
import type { Column } from "scpoli";
import type { CellColumn } from "../protocol.js";

/** A column as conditions; numbers are named as the library names them. */
export function asGroups(column: CellColumn): Extract<CellColumn, { kind: "groups" }> {
  if (column.kind === "groups") return column;
  const distinct = [...new Set(column.values)].sort((a, b) => a - b);
  const codeOf = new Map(distinct.map((value, code) => [value, code]));
  return {
    kind: "groups",
    codes: Int32Array.from(column.values, (value) => codeOf.get(value)!),
    names: distinct.map(String),
  };
}

/** A column as the page takes it: numbers, or codes into names in their order. */
export function plainColumn(column: Column): CellColumn {
  if (column.kind === "number") return { kind: "numbers", values: Float32Array.from(column.values) };
  if (column.kind === "categorical") return { kind: "groups", codes: column.codes, names: column.categories };
  const text = column.values.map((value) =>
    value === null ? null : typeof value === "boolean" ? (value ? "True" : "False") : value,
  );
  const names = [...new Set(text.filter((value) => value !== null))].sort();
  const codeOf = new Map(names.map((name, code) => [name, code]));
  return {
    kind: "groups",
    codes: Int32Array.from(text, (value) => (value === null ? -1 : codeOf.get(value)!)),
    names,
  };
}
