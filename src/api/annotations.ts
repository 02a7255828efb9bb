// Annotations of a file without its counts, for all rows or in another order: what a conversion writes beside
// the counts.
import type { AnnData } from "../anndata/anndata.js";
import type { Column, DataFrame } from "../anndata/dataframe.js";
import { checkKey, type NewColumn, type NewUns } from "../anndata/elements.js";
import type { DenseMatrix, NumericArray } from "../anndata/matrix.js";
import type { NewFrame } from "../anndata/write.js";
import { ScPoliError } from "../contract/errors.js";
import type { ConvertOptions } from "../contract/options.js";
import type { CountsPlace } from "../data/count-places.js";

/** Annotations without the counts, for all rows or in a given order. */
export interface Annotations {
  readonly obs: NewFrame;
  readonly var: NewFrame;
  readonly obsm: Readonly<Record<string, DenseMatrix>>;
  readonly uns: Readonly<Record<string, NewUns>>;
}

/** Reads a part; what cannot be read is left out and named. */
type Tolerate = (what: string, read: () => Promise<void>) => Promise<void>;

/** @param order - source row of each row; null: unchanged */
export async function readAnnotations(
  data: AnnData,
  place: CountsPlace,
  order: Int32Array | null,
  { onNote }: Pick<ConvertOptions, "onNote">,
): Promise<Annotations> {
  const left: string[] = [];
  const tolerate: Tolerate = async (what, read) => {
    try {
      await read();
    } catch (error) {
      if (!(error instanceof ScPoliError)) throw error;
      left.push(what);
    }
  };
  const annotations = {
    obs: await readFrame("obs", data.obs, order, tolerate),
    var: await readFrame("var", place.var, null, tolerate),
    obsm: {} as Record<string, DenseMatrix>,
    uns: {} as Record<string, NewUns>,
  };
  for (const key of data.obsmKeys)
    await tolerate(
      `obsm["${key}"]`,
      async () => void (annotations.obsm[key] = reorderedRows(await data.obsm(key), order)),
    );
  for (const key of data.unsKeys) {
    await tolerate(`uns["${key}"]`, async () => {
      const value = await data.uns(key);
      if (value === undefined) left.push(`uns["${key}"]`);
      else annotations.uns[key] = value as NewUns;
    });
  }
  const places = ["X", "raw.X", ...data.layers.map((layer) => `layers/${layer}`)].filter(
    (name) => name !== place.name && isThere(data, name),
  );
  left.push(...places);
  if (left.length > 0)
    onNote?.({
      level: "info",
      message:
        `Left out: ${left.slice(0, 10).join(", ")}` +
        (left.length > 10 ? ` and ${left.length - 10} more.` : "."),
    });
  return annotations;
}

async function readFrame(
  name: string,
  from: DataFrame,
  rows: Int32Array | null,
  tolerate: Tolerate,
): Promise<NewFrame> {
  const index = await from.index();
  const columns: Record<string, NewColumn> = {};
  for (const key of from.columnNames)
    await tolerate(
      `${name}["${key}"]`,
      async () => void (columns[checkKey(key)] = reordered(await from.column(key), rows)),
    );
  return { index: rows ? Array.from(rows, (row) => index[row]!) : index, columns };
}

/** Whether there is a matrix at this location; an unreadable one counts. */
function isThere(data: AnnData, name: string): boolean {
  try {
    return data.matrix(name) !== null;
  } catch (error) {
    if (error instanceof ScPoliError) return true;
    throw error;
  }
}

function reordered(column: Column, order: Int32Array | null): NewColumn {
  const row = (i: number): number => (order ? order[i]! : i);
  const length = order?.length ?? column.length;
  switch (column.kind) {
    case "categorical":
      return { ...column, codes: Int32Array.from({ length }, (_, i) => column.codes[row(i)]!) };
    case "number": {
      const type = integerTypes[column.dtype ?? ""];
      const values = Float64Array.from({ length }, (_, i) => column.values[row(i)]!);
      if (column.dtype === "float32") return { kind: "number", values: Float32Array.from(values) };
      return {
        kind: "number",
        values:
          type &&
          values.every((value) => (type === Uint32Array ? Number.isInteger(value) : value === (value | 0)))
            ? type.from(values)
            : values,
      };
    }
    case "boolean":
      return { kind: "boolean", length, values: Array.from({ length }, (_, i) => column.values[row(i)]!) };
    case "string":
      return { kind: "string", length, values: Array.from({ length }, (_, i) => column.values[row(i)]!) };
  }
}

/** Converts 64-bit integers to 32 bits if they fit. */
const integerTypes: Readonly<Record<string, { from(values: Float64Array): NumericArray } | undefined>> = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: Int32Array,
  uint64: Int32Array,
};

function reorderedRows({ rows, columns, values }: DenseMatrix, order: Int32Array | null): DenseMatrix {
  if (!order) return { rows, columns, values };
  const moved = values.slice(0, order.length * columns);
  order.forEach((row, i) => moved.set(values.subarray(row * columns, (row + 1) * columns), i * columns));
  return { rows: order.length, columns, values: moved };
}
