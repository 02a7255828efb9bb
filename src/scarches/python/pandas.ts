// Data frames of pandas in a pickle, from pandas 0.24 on, as columns of plain values. Columns of unsupported
// kinds are left out and listed. Source: the `__reduce__` and `__getstate__` methods of pandas' DataFrame,
// BlockManager, Index and extension arrays.
import { cellOf, numpyArray, type Cell } from "./numpy.js";
import { bytesOf, PyName, PyObject, type PyDict, type PyValue } from "./pickle.js";

export interface PandasFrame {
  /** names of the rows, per level of the index */
  readonly index: readonly (readonly Cell[])[];
  /** of the index's levels; null for one without a name */
  readonly indexNames: readonly (string | null)[];
  readonly columns: ReadonlyMap<string, readonly Cell[]>;
  /** columns that cannot be read */
  readonly unreadable: readonly string[];
}

/** Maximum depth of nested objects, as a pickle can contain a cycle. */
const deepest = 12;

/** Reads a data frame; null if the value is not a frame, or its rows and columns cannot be determined. */
export function pandasFrame(value: PyValue | undefined): PandasFrame | null {
  if (!(value instanceof PyObject) || !/^pandas\.(core\.frame\.)?DataFrame$/.test(value.name)) return null;
  const state = dictOf(value.state);
  if (!state) return frameFromCall(value);
  const manager = state.get("_mgr") ?? state.get("_data");
  if (!(manager instanceof PyObject)) return null;
  const parts = managerParts(manager);
  if (!parts) return null;
  const [columnAxis, rowAxis] = parts.axes;
  const names = indexValues(columnAxis)?.[0];
  const index = indexValues(rowAxis);
  if (!names || !index) return null;
  const rows = index[0]!.length;
  const columns = new Map<string, readonly Cell[]>();
  for (const { values, places } of parts.blocks) {
    const items = places && blockItems(values, places.length, rows);
    places?.forEach((place, i) => {
      if (items && place < names.length) columns.set(String(names[place]), items[i]!);
    });
  }
  const ordered = names.map(String);
  return {
    index,
    indexNames: indexNames(rowAxis, index.length),
    columns: new Map(ordered.filter((name) => columns.has(name)).map((name) => [name, columns.get(name)!])),
    unreadable: ordered.filter((name) => !columns.has(name)),
  };
}

/** `DataFrame(dict of lists, Index)`: the form that every version of pandas can read. */
function frameFromCall({ args: [data, rowAxis] }: PyObject): PandasFrame | null {
  const [dict, index] = [dictOf(data), indexValues(rowAxis)];
  if (!dict || !index) return null;
  const columns = new Map<string, readonly Cell[]>();
  const unreadable: string[] = [];
  for (const [name, values] of dict) {
    const cells = cellsOf(values);
    if (cells && cells.length === index[0]!.length) columns.set(String(name), cells);
    else unreadable.push(String(name));
  }
  return { index, indexNames: indexNames(rowAxis, index.length), columns, unreadable };
}

function dictOf(value: PyValue | undefined): PyDict | null {
  return value instanceof Map ? (value as PyDict) : null;
}
function listOf(value: PyValue | undefined): readonly PyValue[] | null {
  return Array.isArray(value) ? (value as PyValue[]) : null;
}

interface Block {
  readonly values: PyValue | undefined;
  /** columns that the block holds */
  readonly places: readonly number[] | null;
}

/** Blocks and axes (columns, rows): arguments since pandas 1.3, before that in the state. */
function managerParts(
  manager: PyObject,
): { readonly blocks: readonly Block[]; readonly axes: readonly PyValue[] } | null {
  const state = listOf(manager.state);
  const dict = dictOf(dictOf(state?.[3])?.get("0.14.1"));
  const axes = listOf(dict ? dict.get("axes") : manager.args[1]);
  const blocks = listOf(dict ? dict.get("blocks") : manager.args[0]);
  if (!axes || axes.length !== 2 || !blocks) return null;
  return {
    axes,
    blocks: blocks.map((block) => {
      if (block instanceof PyObject) return { values: block.args[0], places: placesOf(block.args[1]) };
      const entries = dictOf(block);
      return { values: entries?.get("values"), places: placesOf(entries?.get("mgr_locs")) };
    }),
  };
}

/** `slice(start, stop, step)`, or an array of numbers. */
function placesOf(value: PyValue | undefined): readonly number[] | null {
  if (value instanceof PyObject && value.name === "builtins.slice")
    return span(value.args[0], value.args[1], value.args[2] ?? 1);
  const numbers = numpyArray(value)?.values;
  return numbers?.every((n): n is number => Number.isSafeInteger(n) && (n as number) >= 0) ? numbers : null;
}

/** Maximum number of entries of a range. */
const longestRange = 10_000_000;

function span(
  start: PyValue | undefined,
  stop: PyValue | undefined,
  step: PyValue | undefined,
): readonly number[] | null {
  if (
    !Number.isSafeInteger(start) ||
    !Number.isSafeInteger(stop) ||
    !Number.isSafeInteger(step) ||
    step === 0
  )
    return null;
  const [from, to, by] = [start as number, stop as number, step as number];
  const length = Math.max(0, Math.ceil((to - from) / by));
  return length > longestRange ? null : Array.from({ length }, (_, i) => from + by * i);
}

/** A block's values, (columns, rows), as one list per column. */
function blockItems(
  values: PyValue | undefined,
  columns: number,
  rows: number,
): readonly (readonly Cell[])[] | null {
  const array = numpyArray(values);
  if (array?.shape.length === 2) {
    if (array.shape[0] !== columns || array.shape[1] !== rows) return null;
    return Array.from({ length: columns }, (_, item) => array.values.slice(item * rows, (item + 1) * rows));
  }
  const cells = cellsOf(values);
  return cells && cells.length === rows * columns
    ? Array.from({ length: columns }, (_, item) => cells.slice(item * rows, (item + 1) * rows))
    : null;
}

/** Values of a list, a numpy array or an extension array. */
function cellsOf(value: PyValue | undefined, depth = 0): readonly Cell[] | null {
  if (depth > deepest) return null;
  const list = listOf(value);
  if (list) {
    const cells = list.map(cellOf);
    return cells.includes(undefined) ? null : (cells as Cell[]);
  }
  if (!(value instanceof PyObject)) return null;
  const array = numpyArray(value);
  if (array) return array.values;
  const type =
    value.name.endsWith("__pyx_unpickle_NDArrayBacked") && value.args[0] instanceof PyName
      ? value.args[0].name
      : value.name;
  if (type.endsWith(".Categorical")) return categoricalCells(value, depth);
  if (/\.ArrowStringArray(Numpy)?$|\.ArrowExtensionArray$/.test(type))
    return arrowCells(dictOf(value.state)?.get("_pa_array") ?? dictOf(value.state)?.get("_data"));
  const entries = dictOf(value.state);
  const mask = entries?.has("_mask") ? numpyArray(entries.get("_mask"))?.values : undefined;
  if (entries?.has("_mask")) {
    const data = numpyArray(entries.get("_data"))?.values;
    return data && mask?.length === data.length
      ? data.map((cell, i) => (mask[i] === true ? null : cell))
      : null;
  }
  // an array in a wrapper: dates, strings, or pandas' NumpyExtensionArray
  const wrapped = entries
    ? (entries.get("_ndarray") ?? entries.get("_data"))
    : listOf(value.state)?.find((part) => numpyArray(part) !== null);
  return cellsOf(wrapped, depth + 1);
}

function categoricalCells(value: PyObject, depth: number): readonly Cell[] | null {
  const entries = dictOf(value.state);
  const parts = entries
    ? [entries.get("_dtype"), entries.get("_codes") ?? entries.get("_ndarray")]
    : (listOf(value.state) ?? []);
  const dtype = parts.find(
    (part): part is PyObject => part instanceof PyObject && part.name.endsWith(".CategoricalDtype"),
  );
  const codes = parts.map(numpyArray).find((array) => array !== null)?.values;
  const categories = indexValues(dictOf(dtype?.state)?.get("categories") ?? dtype?.args[0], depth + 1)?.[0];
  if (!codes || !categories) return null;
  return codes.every((code) => typeof code === "number" && code >= -1 && code < categories.length)
    ? codes.map((code) => (code === -1 ? null : categories[code as number]!))
    : null;
}

/**
 * Texts of an Arrow array, whole or in chunks: `_restore_array((type, length, nulls, offset, buffers, ...))`.
 */
function arrowCells(value: PyValue | undefined): readonly Cell[] | null {
  if (!(value instanceof PyObject)) return null;
  if (value.name.endsWith("._restore_array")) return arrowChunk(listOf(value.args[0]));
  const chunks = value.name.endsWith(".chunked_array") ? listOf(value.args[0]) : null;
  const cells = chunks?.map((chunk) =>
    chunk instanceof PyObject && chunk.name.endsWith("._restore_array")
      ? arrowChunk(listOf(chunk.args[0]))
      : null,
  );
  return !cells || cells.includes(null) ? null : (cells as (readonly Cell[])[]).flat();
}

function arrowChunk(parts: readonly PyValue[] | null): readonly Cell[] | null {
  const [type, length, , offset, buffers] = parts ?? [];
  const typeName = type instanceof PyObject && type.name.endsWith("type_for_alias") ? type.args[0] : null;
  const width = typeName === "string" ? 4 : typeName === "large_string" ? 8 : 0;
  const [validity, offsets, data] = (listOf(buffers) ?? []).map((buffer) =>
    buffer instanceof PyObject && buffer.name.endsWith("py_buffer") ? bytesOf(buffer.args[0]) : null,
  );
  if (width === 0 || !offsets || !Number.isSafeInteger(length) || !Number.isSafeInteger(offset)) return null;
  const [count, first] = [length as number, offset as number];
  if (
    count < 0 ||
    first < 0 ||
    (first + count + 1) * width > offsets.length ||
    (validity && (first + count) / 8 > validity.length)
  )
    return null;
  const view = new DataView(offsets.buffer, offsets.byteOffset, offsets.byteLength);
  const at = (i: number): number =>
    width === 4 ? view.getInt32(i * 4, true) : Number(view.getBigInt64(i * 8, true));
  const text = new TextDecoder();
  return Array.from({ length: count }, (_, i) => {
    const row = first + i;
    return validity && !((validity[row >> 3]! >> (row & 7)) & 1)
      ? null
      : text.decode((data ?? new Uint8Array()).subarray(at(row), at(row + 1)));
  });
}

/** Values of an index, per level (one for all but a MultiIndex). */
function indexValues(value: PyValue | undefined, depth = 0): readonly (readonly Cell[])[] | null {
  if (depth > deepest || !(value instanceof PyObject)) return null;
  const entries = dictOf(value.name.endsWith("._new_Index") ? value.args[1] : value.state);
  // Index(data, dtype, copy, name)
  if (!entries)
    return /^pandas\.(core\.indexes\.base\.)?Index$/.test(value.name)
      ? single(cellsOf(value.args[0], depth + 1))
      : null;
  if (entries.has("start"))
    return single(span(entries.get("start"), entries.get("stop"), entries.get("step")));
  if (!entries.has("levels")) return single(cellsOf(entries.get("data"), depth + 1));
  const levels = frozen(entries.get("levels"))?.map((level) => indexValues(level, depth + 1)?.[0]);
  const codes = frozen(entries.get("codes") ?? entries.get("labels"))?.map((level) =>
    cellsOf(level, depth + 1),
  );
  if (!levels || !codes || levels.length !== codes.length || levels.length === 0) return null;
  const columns = levels.map((names, level) =>
    codes[level]?.map((code) => (typeof code === "number" && code >= 0 ? (names?.[code] ?? null) : null)),
  );
  return columns.every((column) => column && column.length === columns[0]!.length)
    ? (columns as Cell[][])
    : null;
}

function single(cells: readonly Cell[] | null): readonly (readonly Cell[])[] | null {
  return cells && [cells];
}

/** A list, or pandas' FrozenList. */
function frozen(value: PyValue | undefined): readonly PyValue[] | null {
  return (
    listOf(value) ??
    (value instanceof PyObject && value.name.endsWith("FrozenList")
      ? (listOf(value.args[0]) ?? value.items)
      : null)
  );
}

function indexNames(value: PyValue | undefined, levels: number): (string | null)[] {
  const entries =
    value instanceof PyObject
      ? dictOf(value.name.endsWith("._new_Index") ? value.args[1] : value.state)
      : null;
  const given = entries
    ? (frozen(entries.get("names")) ?? [entries.get("name") ?? null])
    : value instanceof PyObject
      ? [value.args[3] ?? null]
      : [];
  return Array.from({ length: levels }, (_, level) =>
    typeof given[level] === "string" ? given[level] : null,
  );
}
