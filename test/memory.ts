// AnnData in memory, for tests of the layers above files.
import type { UnsValue } from "../dist/anndata/reader.js";
import type { AnnData } from "../dist/anndata/anndata.js";
import type { Column, DataFrame } from "../dist/anndata/dataframe.js";
import { sparseMatrix, type Matrix, type NumericArray } from "../dist/anndata/matrix.js";
import { ScPoliError } from "../dist/contract/errors.js";

/** A matrix of the rows given. */
export function matrix(
  rows: readonly (readonly number[])[],
  type: new (values: ArrayLike<number>) => NumericArray = Float32Array,
  place = "memory: X",
): Matrix {
  const columns = rows[0]?.length ?? 0;
  const indptr = [0];
  const indices: number[] = [];
  const values: number[] = [];
  for (const row of rows) {
    row.forEach((value, column) => {
      if (value === 0) return;
      indices.push(column);
      values.push(value);
    });
    indptr.push(values.length);
  }
  return sparseMatrix(
    {
      rows: rows.length,
      columns,
      indptr: Int32Array.from(indptr),
      indices: Int32Array.from(indices),
      values: new type(values),
    },
    place,
  );
}

export function frame(index: readonly string[], columns: Readonly<Record<string, Column>> = {}): DataFrame {
  return {
    length: index.length,
    columnNames: Object.keys(columns),
    index: async () => index,
    column: async (name) => columns[name] ?? Promise.reject(new ScPoliError("key", `no column ${name}`)),
  };
}

export function strings(values: readonly (string | null)[]): Column {
  return { kind: "string", length: values.length, values };
}
export function numbers(values: readonly number[]): Column {
  return { kind: "number", length: values.length, values: Float64Array.from(values) };
}
export function booleans(values: readonly (boolean | null)[]): Column {
  return { kind: "boolean", length: values.length, values };
}
export function categorical(codes: readonly number[], categories: readonly string[]): Column {
  return {
    kind: "categorical",
    length: codes.length,
    codes: Int32Array.from(codes),
    categories,
    ordered: false,
  };
}

export const names = (prefix: string, n: number): string[] =>
  Array.from({ length: n }, (_, i) => `${prefix}${i}`);

export interface Parts {
  readonly X?: Matrix | null;
  readonly raw?: { readonly X: Matrix; readonly var: DataFrame } | null;
  readonly layers?: Readonly<Record<string, Matrix>>;
  readonly obs?: DataFrame;
  readonly var?: DataFrame;
  readonly uns?: Readonly<Record<string, UnsValue>>;
}

/** The parts as the class shows them; cells are c0, c1, ... and genes g0, g1, ... unless given. */
export function annData({ X = null, raw = null, layers = {}, obs, var: genes, uns = {} }: Parts): AnnData {
  const some = X ?? raw?.X ?? Object.values(layers)[0]!;
  const surface = {
    path: "memory",
    X,
    raw,
    layers: Object.keys(layers),
    layer: (name: string) => layers[name] ?? fail(name),
    obs: obs ?? frame(names("c", some.rows)),
    var: genes ?? frame(names("g", some.columns)),
    nObs: some.rows,
    nVars: some.columns,
    unsKeys: Object.keys(uns),
    uns: async (name: string) => uns[name],
  };
  return surface as unknown as AnnData;
}

function fail(name: string): never {
  throw new ScPoliError("key", `no layer ${name}`);
}
