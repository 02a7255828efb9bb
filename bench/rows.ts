// Parts of AnnData files, for benches.
import { AnnData, writeH5ad, type Column, type SparseRows } from "../dist/index.js";

/**
 * A new file of some rows of another.
 * @param nameOf - name of a row in the new file. Default: as it was
 * @param added - columns of obs, which may replace others
 */
export async function writeRows(
  data: AnnData,
  rows: Int32Array,
  path: string,
  nameOf: (name: string, i: number) => string = (name) => name,
  added: Readonly<Record<string, readonly string[]>> = {},
): Promise<void> {
  const all = await data.X!.read(0, data.nObs);
  const length = rows.reduce((sum, row) => sum + all.indptr[row + 1]! - all.indptr[row]!, 0);
  const X: SparseRows = {
    rows: rows.length,
    columns: all.columns,
    indptr: new Int32Array(rows.length + 1),
    indices: new Int32Array(length),
    values: new Float32Array(length),
  };
  rows.forEach((row, i) => {
    const [start, end] = [all.indptr[row]!, all.indptr[row + 1]!];
    X.indices.set(all.indices.subarray(start, end), X.indptr[i]!);
    X.values.set(all.values.subarray(start, end), X.indptr[i]!);
    X.indptr[i + 1] = X.indptr[i]! + end - start;
  });
  const names = await data.obs.index();
  const columns: Record<string, Column> = {};
  for (const name of data.obs.columnNames) {
    const texts = await labels(data, name);
    columns[name] = { kind: "string", length: rows.length, values: Array.from(rows, (row) => texts[row]!) };
  }
  for (const [name, values] of Object.entries(added))
    columns[name] = { kind: "string", length: rows.length, values: [...values] };
  await writeH5ad(
    path,
    {
      X,
      obs: { index: Array.from(rows, (row, i) => nameOf(names[row]!, i)), columns },
      var: { index: await data.var.index() },
    },
    { force: true },
  );
}

/** A column of obs as text. */
export async function labels(data: AnnData, key: string): Promise<string[]> {
  const column = await data.obs.column(key);
  if (column.kind === "categorical") return Array.from(column.codes, (code) => column.categories[code] ?? "");
  return Array.from<unknown, string>(column.values, String);
}
