// In-memory representation of HDF5 types: numbers of any width, strings, and fields of compound types.
import type { Hdf5 } from "#platform";
import type { NumericArray } from "./matrix.js";

/** A type as h5wasm describes it. */
export type TypeMetadata = Omit<
  InstanceType<Hdf5["Dataset"]>["metadata"],
  "chunks" | "maxshape" | "shape"
> & { readonly shape?: number[] | null };
type Module = Hdf5["Module"];

/**
 * Type in NumPy's notation, or "string", "bool", "table" (compound), "array" (several values per entry, in a
 * table) or "unknown".
 */
export function dtypeOf(type: TypeMetadata, { H5T_class_t: classes }: Module): string {
  switch (type.type) {
    case classes.H5T_INTEGER.value:
      return `${type.signed ? "int" : "uint"}${8 * type.size}`;
    case classes.H5T_FLOAT.value:
      return `float${8 * type.size}`;
    case classes.H5T_STRING.value:
      return "string";
    case classes.H5T_COMPOUND.value:
      return "table";
    case classes.H5T_ARRAY.value:
      return "array";
    case classes.H5T_BITFIELD.value: // Julia's booleans
      return type.size === 1 ? "bool" : "unknown";
    case classes.H5T_ENUM.value: {
      const { FALSE, TRUE } = type.enum_type?.members ?? {};
      return type.size === 1 && FALSE === 0 && TRUE === 1 ? "bool" : "unknown";
    }
    default:
      return "unknown";
  }
}

type ArrayConstructor = new (
  ...args: [length: number] | [buffer: ArrayBufferLike, offset: number, length: number]
) => NumericArray;
/** Typed array for each type; 64-bit integers as float64, half precision as float32. */
export const arrays: Readonly<Record<string, ArrayConstructor | undefined>> = {
  bool: Int8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: Float64Array,
  uint64: Float64Array,
  float16: Float32Array,
  float32: Float32Array,
  float64: Float64Array,
};

/**
 * Copies numbers stored contiguously in HDF5's memory.
 * @returns false if a 64-bit integer exceeds 2^53
 */
export function copyNumbers(
  buffer: ArrayBufferLike,
  pointer: number,
  length: number,
  dtype: string,
  target: NumericArray,
  offset: number,
): boolean {
  if (dtype === "int64" || dtype === "uint64")
    return copyLong(new Int32Array(buffer, pointer, 2 * length), dtype === "int64", target, offset);
  if (dtype === "float16") {
    const halves = new Uint16Array(buffer, pointer, length);
    for (let i = 0; i < length; i++) target[offset + i] = fromHalf(halves[i]!);
  } else target.set(new arrays[dtype]!(buffer, pointer, length), offset);
  return true;
}

/**
 * Copies 64-bit integers given as pairs of words. Values that do not fit an Int32Array become -1.
 * @returns false if one exceeds 2^53
 */
function copyLong(words: Int32Array, signed: boolean, target: NumericArray, offset: number): boolean {
  const narrow = target instanceof Int32Array;
  for (let i = 0; i < words.length; i += 2, offset++) {
    const high = signed ? words[i + 1]! : words[i + 1]! >>> 0;
    if (high >= 0x200000 || high < -0x200000) return false;
    const value = high * 0x100000000 + (words[i]! >>> 0);
    target[offset] = narrow && value !== (value | 0) ? -1 : value;
  }
  return true;
}

/** IEEE 754 half precision. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** Reader of one number inside a table. @returns null if the type is not numeric */
export function numberReader(
  dtype: string,
  little: boolean,
): ((memory: DataView, position: number) => number) | null {
  switch (dtype) {
    case "bool":
    case "int8":
      return (memory, at) => memory.getInt8(at);
    case "uint8":
      return (memory, at) => memory.getUint8(at);
    case "int16":
      return (memory, at) => memory.getInt16(at, little);
    case "uint16":
      return (memory, at) => memory.getUint16(at, little);
    case "int32":
      return (memory, at) => memory.getInt32(at, little);
    case "uint32":
      return (memory, at) => memory.getUint32(at, little);
    case "int64":
      return (memory, at) => Number(memory.getBigInt64(at, little));
    case "uint64":
      return (memory, at) => Number(memory.getBigUint64(at, little));
    case "float16":
      return (memory, at) => fromHalf(memory.getUint16(at, little));
    case "float32":
      return (memory, at) => memory.getFloat32(at, little);
    case "float64":
      return (memory, at) => memory.getFloat64(at, little);
    default:
      return null;
  }
}

/**
 * Reader of one string: always UTF-8, of which ASCII is a subset, whatever the type declares. Fixed-length
 * strings are padded with zeros, or by Fortran with spaces.
 */
export function textReader(
  { vlen, size, strpad }: TypeMetadata,
  module: Module,
): (position: number) => string {
  const decoder = new TextDecoder();
  if (vlen) {
    return (position) => {
      const memory = module.HEAPU8;
      const start = new DataView(memory.buffer).getUint32(position, true);
      return start === 0 ? "" : decoder.decode(memory.subarray(start, memory.indexOf(0, start)));
    };
  }
  return (position) => {
    const bytes = module.HEAPU8.subarray(position, position + size);
    const end = bytes.indexOf(0);
    const text = decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
    return strpad === spacePadded ? text.replace(/ +$/, "") : text;
  };
}
const spacePadded = 2;

/** Approximate number of string bytes that are decoded together. */
const decodedBytes = 1 << 20;

/**
 * Appends many variable-length strings, each as `textReader` reads it. They are decoded together: decoding
 * one by one dominates the read time.
 * @param step - bytes between consecutive strings
 */
export function readTexts(
  { HEAPU8: memory }: Module,
  position: number,
  step: number,
  count: number,
  into: string[],
): void {
  const pointers = new DataView(memory.buffer);
  let bytes = new Uint8Array(2 * decodedBytes);
  let length = 0;
  const decode = (): void => {
    const texts = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, length)).split("\0");
    for (let i = 0; i < texts.length - 1; i++)
      into.push(texts[i]!.charCodeAt(0) === byteOrderMark ? texts[i]!.slice(1) : texts[i]!);
    length = 0;
  };
  for (let i = 0; i < count; i++) {
    let at = pointers.getUint32(position + i * step, true);
    for (let byte = at === 0 ? 0 : memory[at]; byte; byte = memory[++at]) {
      bytes[length++] = byte;
      if (length === bytes.length) bytes = longer(bytes);
    }
    bytes[length++] = 0;
    if (length > decodedBytes) decode();
  }
  decode();
}
const byteOrderMark = 0xfeff;

function longer(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const twice = new Uint8Array(2 * bytes.length);
  twice.set(bytes);
  return twice;
}

/** Filters built into HDF5, by number: deflate (gzip), shuffle, fletcher32, nbit, scaleoffset. */
const builtIn: ReadonlySet<number> = new Set([1, 2, 3, 5, 6]);
const filterNames: Readonly<Record<number, string>> = {
  4: "szip",
  307: "bz2",
  32000: "lzf",
  32001: "blosc",
  32004: "lz4",
  32008: "bshuf",
  32013: "zfp",
  32015: "zstd",
  32017: "sz",
  32022: "bitgroom",
  32023: "bitround",
  32026: "blosc2",
};

/** Blosc compressors that are not available, by number (the seventh parameter of the Blosc filter). */
const missingCompressors: Readonly<Record<number, string>> = { 3: "snappy", 4: "zlib" };

/** A filter of a dataset. */
export interface Filter {
  readonly id: number;
  readonly name: string;
  readonly cd_values: readonly number[];
}

/**
 * The first filter that is needed to read the data but not available; null if all are.
 * @param provide - whether a filter that is not built in can be loaded
 */
export function missingFilter(filters: readonly Filter[], provide: (name: string) => boolean): string | null {
  for (const { id, name, cd_values: parameters } of filters) {
    const filterName = filterNames[id];
    const compressor = filterName?.startsWith("blosc") ? missingCompressors[parameters[6] ?? 0] : undefined;
    if (compressor !== undefined) return `${filterName} (${compressor})`;
    if (!builtIn.has(id) && !(filterName !== undefined && provide(filterName)))
      return filterName ?? (name ? `${name} (filter ${id})` : `filter ${id}`);
  }
  return null;
}
