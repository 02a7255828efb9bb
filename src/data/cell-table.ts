// Cells of a file that a text table names, as the page saves them: the first column has names of cells, the
// others can select rows of the table.
import type { DataFrame } from "../anndata/dataframe.js";
import { nearestNames } from "../contract/nearest-names.js";
import { ScPoliError } from "../contract/errors.js";
import { readHeadedTable, type HeadedTable } from "./headed-table.js";

/**
 * Rows of the cells that a table names.
 * @param obs - of the file with the cells
 * @param select - rows of the table that count: those with one of these values in each of these columns;
 * default: all
 * @returns rows of the file, ascending, each once
 * @throws ScPoliError "file" for a table that cannot be read, or a name that no cell or several cells have;
 * "key" for a column or value that the table does not have
 */
export async function cellsOfTable(
  path: string,
  obs: DataFrame,
  select: Readonly<Record<string, readonly string[]>> = {},
): Promise<Int32Array> {
  const table = await readHeadedTable(path, "cell");
  const selected = selectedRows(path, table, select);
  const index = await obs.index();
  const rowsByName = new Map<string, number>();
  const repeated = new Set<string>();
  index.forEach((name, row) => {
    if (rowsByName.has(name)) repeated.add(name);
    else rowsByName.set(name, row);
  });
  const cells = new Set<number>();
  for (const [name = ""] of selected) {
    const row = rowsByName.get(name);
    if (row === undefined) throw unknownCell(path, name, index);
    if (repeated.has(name))
      throw new ScPoliError(
        "file",
        `${path} names the cell '${name}', but several cells of the file have this name. Make the names ` +
          "unique (anndata's obs_names_make_unique).",
        { path, name },
      );
    cells.add(row);
  }
  return Int32Array.from(cells).sort();
}

function unknownCell(path: string, name: string, index: readonly string[]): ScPoliError {
  const similar = nearestNames(name, index.slice(0, 10_000));
  const examples = (similar.length > 0 ? similar : index).slice(0, 3);
  return new ScPoliError(
    "file",
    `${path} names the cell '${name}', which the file does not have; its cells are like ` +
      `${examples.map((one) => `'${one}'`).join(", ")}. The first column of the table has the names.`,
    { path, name },
  );
}

function selectedRows(
  path: string,
  { heading, rows }: HeadedTable,
  select: Readonly<Record<string, readonly string[]>>,
): readonly (readonly string[])[] {
  let selected = rows;
  for (const [key, values] of Object.entries(select)) {
    const column = heading.indexOf(key);
    if (column < 0)
      throw new ScPoliError("key", `${path} has no column '${key}'; it has ${quoted(heading)}.`, { key });
    const present = new Set(rows.map((fields) => fields[column]!));
    const absent = values.filter((value) => !present.has(value));
    if (absent.length > 0)
      throw new ScPoliError(
        "key",
        `${path} has no value ${quoted(absent)} in its column '${key}'; it has ${quoted([...present])}.`,
        { key, absent },
      );
    selected = selected.filter((fields) => values.includes(fields[column]!));
  }
  if (selected.length === 0)
    throw new ScPoliError("key", `No row of ${path} has all the selected values.`, { path });
  return selected;
}

const quoted = (names: readonly string[]): string =>
  names
    .slice(0, 20)
    .map((name) => `'${name}'`)
    .join(", ") + (names.length > 20 ? ", ..." : "");
