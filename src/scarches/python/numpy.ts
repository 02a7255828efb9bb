// Arrays and scalars of numpy in a pickle, from numpy 1 on.
// Source: numpy's documentation of `ndarray.__reduce__`, `dtype` and the protocol 5 form `_frombuffer`.
import { bytesOf, PyName, PyObject, type PyValue } from "./pickle.js";

/** A value of a table; null: missing. */
export type Cell = string | number | boolean | null;

export interface NumpyArray {
  readonly shape: readonly number[];
  /** row-major */
  readonly values: readonly Cell[];
}

interface DType {
  /** numpy's letter: b, i, u, f, S, U, O, M, m */
  readonly kind: string;
  /** bytes of one value */
  readonly size: number;
  readonly littleEndian: boolean;
  /** of dates: ns, us, ms, s, D; null for others */
  readonly unit: string | null;
}

/** Reads an array; null if the value is not an array, of an unsupported kind, or inconsistent. */
export function numpyArray(value: PyValue | undefined): NumpyArray | null {
  if (!(value instanceof PyObject)) return null;
  if (/^numpy\.(_?core)\.multiarray\._reconstruct$/.test(value.name)) {
    if (!isList(value.state)) return null;
    const [, shape, dtype, fortran, data] = value.state;
    return decoded(shape, dtype, fortran === true, data);
  }
  if (/^numpy\.(_?core)\.numeric\._frombuffer$/.test(value.name)) {
    const [data, dtype, shape, order] = value.args;
    return decoded(shape, dtype, order === "F", data);
  }
  return null;
}

/** Reads a scalar of numpy, Python or pandas; undefined for other values. */
export function cellOf(value: PyValue | undefined): Cell | undefined {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isNaN(value) ? null : value;
  if (typeof value === "bigint") return Number(value);
  if (value instanceof PyName) return /^pandas\.(_libs\.missing\.)?NA$/.test(value.name) ? null : undefined;
  if (!(value instanceof PyObject)) return undefined;
  if (/^numpy\.(_?core)\.multiarray\.scalar$/.test(value.name))
    return decoded([], value.args[0], false, value.args[1])?.values[0];
  if (value.name.endsWith("._nat_unpickle") || value.name === "pandas._libs.missing.C_NAType") return null;
  if (value.name.endsWith("._unpickle_timestamp")) return dateText(Number(value.args[0]), "ns");
  return undefined;
}

function isList(value: PyValue | undefined): value is readonly PyValue[] {
  return Array.isArray(value);
}

function decoded(
  shape: PyValue | undefined,
  type: PyValue | undefined,
  isFortran: boolean,
  data: PyValue | undefined,
): NumpyArray | null {
  const dtype = dtypeOf(type);
  if (!dtype || !isList(shape) || !shape.every((n) => Number.isSafeInteger(n) && (n as number) >= 0))
    return null;
  const sizes = shape as readonly number[];
  const length = sizes.reduce((product, n) => product * n, 1);
  let values: readonly Cell[];
  if (dtype.kind === "O") {
    const items = isList(data) ? data : sizes.length === 0 ? [data ?? null] : [];
    if (items.length !== length) return null;
    const cells = items.map(cellOf);
    if (cells.includes(undefined)) return null;
    values = cells as Cell[];
  } else {
    const bytes = bytesOf(data);
    const read = readerOf(dtype);
    if (!bytes || !read || bytes.length !== length * dtype.size) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    values = Array.from({ length }, (_, i) => read(view, i * dtype.size));
  }
  return { shape: sizes, values: isFortran ? transposed(values, sizes) : values };
}

/** Column-major to row-major; arrays of up to two dimensions. */
function transposed(values: readonly Cell[], [rows = 1, columns = 1]: readonly number[]): readonly Cell[] {
  return values.map((_, i) => values[(i % columns) * rows + Math.floor(i / columns)]!);
}

/** `numpy.dtype('i4', False, True)` with its state (version, byte order, ..., metadata of dates last). */
function dtypeOf(value: PyValue | undefined): DType | null {
  if (!(value instanceof PyObject) || value.name !== "numpy.dtype") return null;
  const [code] = value.args;
  const parts = typeof code === "string" ? /^([biufSUOMm])(\d+)$/.exec(code) : null;
  if (!parts) return null;
  const state = isList(value.state) ? value.state : [];
  const kind = parts[1]!;
  // the size of texts is in the state where the code says 0
  const size = Number(parts[2]) || (typeof state[5] === "number" ? state[5] : 0);
  const metadata = state[8];
  const unit = isList(metadata) && isList(metadata[1]) ? bytesOf(metadata[1][0]) : null;
  return {
    kind,
    size: kind === "U" && Number(parts[2]) ? 4 * size : size,
    littleEndian: state[1] !== ">",
    unit: unit && new TextDecoder().decode(unit),
  };
}

/** Bytes of one text in an array of fixed width. */
const longestText = 65536;

type Read = (view: DataView, at: number) => Cell;

function readerOf({ kind, size, littleEndian, unit }: DType): Read | null {
  const float = (value: number): Cell => (Number.isNaN(value) ? null : value);
  switch (`${kind}${size}`) {
    case "b1":
      return (view, at) => view.getUint8(at) !== 0;
    case "i1":
      return (view, at) => view.getInt8(at);
    case "i2":
      return (view, at) => view.getInt16(at, littleEndian);
    case "i4":
      return (view, at) => view.getInt32(at, littleEndian);
    case "i8":
      return (view, at) => Number(view.getBigInt64(at, littleEndian));
    case "u1":
      return (view, at) => view.getUint8(at);
    case "u2":
      return (view, at) => view.getUint16(at, littleEndian);
    case "u4":
      return (view, at) => view.getUint32(at, littleEndian);
    case "u8":
      return (view, at) => Number(view.getBigUint64(at, littleEndian));
    case "f4":
      return (view, at) => float(view.getFloat32(at, littleEndian));
    case "f8":
      return (view, at) => float(view.getFloat64(at, littleEndian));
    case "M8":
      return (view, at) => dateText(Number(view.getBigInt64(at, littleEndian)), unit ?? "ns");
  }
  const trimmed = (codes: readonly number[]): string => String.fromCodePoint(...codes).replace(/\0+$/, "");
  if (size > longestText) return null;
  if (kind === "S" && size > 0)
    return (view, at) => trimmed(Array.from({ length: size }, (_, i) => view.getUint8(at + i)));
  if (kind === "U" && size > 0 && size % 4 === 0)
    return (view, at) =>
      trimmed(
        Array.from({ length: size / 4 }, (_, i) => view.getUint32(at + 4 * i, littleEndian)).map((code) =>
          code > 0x10ffff ? 0xfffd : code,
        ),
      );
  return null;
}

const milliseconds: Readonly<Record<string, number | undefined>> = {
  ns: 1e-6,
  us: 1e-3,
  ms: 1,
  s: 1000,
  D: 86_400_000,
};

/** A date in ISO form; null if missing or out of range. */
function dateText(value: number, unit: string): string | null {
  const date = new Date(value * (milliseconds[unit] ?? NaN));
  if (!Number.isFinite(value) || value <= -(2 ** 63) || Number.isNaN(date.getTime())) return null;
  return date
    .toISOString()
    .replace(/T00:00:00\.000Z$/, "")
    .replace(/\.000Z$/, "");
}
