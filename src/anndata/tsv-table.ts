// Tables of text beside a matrix (features, barcodes), as CellRanger and others write them: with quotes, a
// column of row numbers or a header row, which are taken off.
import { readLines } from "#platform";

export interface TextTable {
  readonly rows: readonly (readonly string[])[];
  /** what was taken off, in words */
  readonly notes: readonly string[];
}

/**
 * @param count - rows that the matrix has; null where it does not tell
 */
export async function readTextTable(path: string, count: number | null): Promise<TextTable> {
  const lines: string[][] = [];
  for await (const line of readLines(path)) if (line !== "") lines.push(line.split("\t").map(unquoted));
  const notes: string[] = [];
  const hasHeader = count !== null && lines.length === count + 1;
  const [header, ...others] = lines;
  const rows = hasHeader ? others : lines;
  if (hasHeader) notes.push(`The first line of ${path} is taken for a header: ${header!.join(", ")}.`);
  if (!isNumbered(rows)) return { rows, notes };
  notes.push(`The first column of ${path} holds row numbers and is left out.`);
  return { rows: rows.map(([, ...fields]) => fields), notes };
}

/** Quotes around a field, as R writes them. */
function unquoted(field: string): string {
  return field.length > 1 && field.startsWith('"') && field.endsWith('"')
    ? field.slice(1, -1).replaceAll('""', '"')
    : field;
}

/** Whether the first column counts the rows, from 0 or from 1, and there are others. */
function isNumbered(rows: readonly (readonly string[])[]): boolean {
  const first = Number(rows[0]?.[0]);
  return (
    rows.length > 1 &&
    (first === 0 || first === 1) &&
    rows.every((fields, row) => fields.length > 1 && fields[0] === String(first + row))
  );
}
