// Text tables that accompany a matrix (features, barcodes), as written by CellRanger and others. Quotes, a
// column of row numbers and a header row are removed.
import { readLines } from "#platform";

export interface TextTable {
  readonly rows: readonly (readonly string[])[];
  /** messages about what was removed */
  readonly notes: readonly string[];
}

/** @param count - number of rows of the matrix; null if unknown */
export async function readTextTable(path: string, count: number | null): Promise<TextTable> {
  const lines: string[][] = [];
  for await (const line of readLines(path)) if (line !== "") lines.push(line.split("\t").map(unquoted));
  const notes: string[] = [];
  const hasHeader = count !== null && lines.length === count + 1;
  const [header, ...others] = lines;
  const rows = hasHeader ? others : lines;
  if (hasHeader) notes.push(`The first line of ${path} was read as a header: ${header!.join(", ")}.`);
  if (!isNumbered(rows)) return { rows, notes };
  notes.push(`The first column of ${path} holds row numbers and was ignored.`);
  return { rows: rows.map(([, ...fields]) => fields), notes };
}

/** Quotes around a field, as R writes them. */
function unquoted(field: string): string {
  return field.length > 1 && field.startsWith('"') && field.endsWith('"')
    ? field.slice(1, -1).replaceAll('""', '"')
    : field;
}

/** Whether the first of several columns counts the rows, from 0 or from 1. */
function isNumbered(rows: readonly (readonly string[])[]): boolean {
  const first = Number(rows[0]?.[0]);
  return (
    rows.length > 1 &&
    (first === 0 || first === 1) &&
    rows.every((fields, row) => fields.length > 1 && fields[0] === String(first + row))
  );
}
