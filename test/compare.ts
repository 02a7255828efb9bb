// Compares what anndata found in a file with what scpoli reads: matrices, columns and errors.
import assert from "node:assert/strict";
import type { AnnData } from "../dist/anndata/anndata.js";
import type { Column } from "../dist/anndata/dataframe.js";
import { blocks, type Matrix, type SparseRows } from "../dist/anndata/matrix.js";
import { ScPoliError, type ErrorKind } from "../dist/contract/errors.js";

export interface ExpectedMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: readonly (number | null)[];
  readonly dtype: string;
}

/** What anndata found in its fullest file. */
export interface ExpectedContents {
  readonly obs: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly obsNames: readonly string[];
  readonly varNames: readonly string[];
  readonly rawNames: readonly string[];
  readonly X: ExpectedMatrix;
  readonly raw: ExpectedMatrix;
  readonly layers: Readonly<Record<string, ExpectedMatrix>>;
  readonly obsm: Readonly<Record<string, ExpectedMatrix>>;
}

/** Checks the form of a block and writes it into a dense array. */
export function fill(
  dense: (number | null)[],
  start: number,
  { rows, columns, indptr, indices, values }: SparseRows,
): void {
  assert.equal(indptr[0], 0);
  assert.equal(indptr.length, rows + 1);
  assert.equal(indices.length, indptr[rows]);
  assert.equal(values.length, indptr[rows]);
  assert.ok(!values.includes(0), "a zero is stored");
  for (let row = 0; row < rows; row++) {
    assert.deepEqual(
      indices.slice(indptr[row], indptr[row + 1]).sort(),
      indices.slice(indptr[row], indptr[row + 1]),
      "indices do not rise",
    );
    for (let k = indptr[row]!; k < indptr[row + 1]!; k++) {
      dense[(start + row) * columns + indices[k]!] = Number.isNaN(values[k]) ? null : values[k]!;
    }
  }
}

export async function assertMatrix(matrix: Matrix, wanted: ExpectedMatrix): Promise<void> {
  assert.equal(matrix.rows, wanted.rows);
  assert.equal(matrix.columns, wanted.columns);
  for (const rows of [7, 1, wanted.rows]) {
    const dense = new Array<number | null>(wanted.rows * wanted.columns).fill(0);
    for await (const { start, block } of blocks(matrix, rows)) fill(dense, start, block);
    assert.deepEqual(dense, wanted.values, `in blocks of ${rows} rows`);
  }
  const dense = new Array<number | null>(wanted.rows * wanted.columns).fill(0);
  for (const [start, end] of [
    [30, 40],
    [0, 3],
    [20, 30],
    [3, 20],
    [9, 12],
    [0, 0],
    [39, 40],
  ] as const)
    fill(dense, start, await matrix.read(start, end));
  assert.deepEqual(dense, wanted.values, "out of order");
}

export async function fails(run: () => unknown, kind: ErrorKind, ...says: RegExp[]): Promise<void> {
  await assert.rejects(
    async () => run(),
    (error) => {
      if (!(error instanceof ScPoliError)) throw error;
      for (const pattern of says) assert.match(error.message, pattern);
      assert.equal(error.kind, kind, error.message);
      return true;
    },
  );
}

export const plainColumn = (column: Column): unknown => {
  const list = (values: Iterable<unknown>): unknown[] =>
    Array.from(values, (value) => (Number.isNaN(value) ? null : value));
  const { kind } = column;
  if (kind !== "categorical") return { kind, values: list(column.values) };
  return { kind, codes: [...column.codes], categories: [...column.categories], ordered: column.ordered };
};

/** Everything that anndata found in its fullest file. */
export async function assertContents(data: AnnData, wanted: ExpectedContents): Promise<void> {
  assert.deepEqual(data.obs.columnNames, Object.keys(wanted.obs));
  for (const [name, column] of Object.entries(wanted.obs))
    assert.deepEqual(plainColumn(await data.obs.column(name)), column, name);
  assert.deepEqual(await data.obs.index(), wanted.obsNames);
  assert.deepEqual(await data.var.index(), wanted.varNames);
  assert.deepEqual(await data.raw!.var.index(), wanted.rawNames);
  await assertMatrix(data.X!, wanted.X);
  await assertMatrix(data.raw!.X, wanted.raw);
  assert.deepEqual([...data.layers].sort(), Object.keys(wanted.layers).sort());
  for (const [name, matrix] of Object.entries(wanted.layers)) await assertMatrix(data.layer(name), matrix);
  for (const [name, { rows, columns, values }] of Object.entries(wanted.obsm)) {
    const actual = await data.obsm(name);
    assert.deepEqual([actual.rows, actual.columns, Array.from(actual.values)], [rows, columns, values]);
  }
}
