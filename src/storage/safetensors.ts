// The safetensors format: 8 bytes of header length, a JSON header (name -> dtype, shape, byte range), then
// the tensors' bytes, little-endian. Nothing in a file is trusted: every range is checked before it is read.
// The same tensors give the same bytes. Source: format of huggingface/safetensors (README, "Format").
import { ScPoliError } from "../contract/errors.js";

type TensorData = Float32Array | Float64Array | Int32Array | Uint8Array;
type TensorType = "F32" | "F64" | "I32" | "I64" | "U8";
export interface Tensor {
  readonly dtype: TensorType;
  readonly shape: readonly number[];
  /** row-major; I64 is a Float64Array of integers within +-2^53 */
  readonly data: TensorData;
}

const bytesOf: Readonly<Record<TensorType, number>> = { F32: 4, F64: 8, I32: 4, I64: 8, U8: 1 };
/** Header size limit of the format. */
const headerLimit = 100_000_000;

/**
 * Parses a safetensors file.
 * @param name - of the file, for error messages
 * @throws ScPoliError "model" if the bytes are not a safetensors file, are truncated, or hold an unsupported
 * type
 */
export function readSafetensors(bytes: Uint8Array, name: string): Map<string, Tensor> {
  const { header, data } = readHeader(bytes, name);
  const entries = Object.entries(header)
    .filter(([key]) => key !== "__metadata__")
    .map(([key, entry]) => readEntry(key, entry, name));
  let end = 0;
  for (const { key, range } of [...entries].sort(
    (a, b) => a.range[0] - b.range[0] || a.range[1] - b.range[1],
  )) {
    if (range[0] !== end)
      throw broken(name, `tensor '${key}' starts at byte ${range[0]} of the data, expected ${end}`);
    end = range[1];
  }
  if (data.length < end)
    throw broken(
      name,
      `it is truncated: the header declares ${end} bytes of data, but there are ${data.length}`,
    );
  if (data.length > end) throw broken(name, `${data.length - end} bytes follow the last tensor`);
  return new Map(
    entries.map(({ key, dtype, shape, range }) => [
      key,
      { dtype, shape, data: decode(dtype, data.subarray(...range), key, name) },
    ]),
  );
}

function readHeader(bytes: Uint8Array, name: string): { header: object; data: Uint8Array } {
  if (bytes.length < 8) throw broken(name, `it has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > headerLimit)
    throw broken(name, `its first bytes give a header of ${length} bytes, which is not a safetensors header`);
  if (length > bytes.length - 8)
    throw broken(name, `it is truncated: the header has ${length} bytes, the file ${bytes.length}`);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length)));
  } catch (error) {
    throw broken(name, "its header is not JSON", error);
  }
  if (typeof header !== "object" || header === null || Array.isArray(header))
    throw broken(name, "its header is not a JSON object");
  return { header, data: bytes.subarray(8 + length) };
}

interface Entry {
  readonly key: string;
  readonly dtype: TensorType;
  readonly shape: readonly number[];
  readonly range: readonly [number, number];
}

function readEntry(key: string, entry: unknown, name: string): Entry {
  const {
    dtype,
    shape,
    data_offsets: range,
  } = (typeof entry === "object" && entry !== null ? entry : {}) as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(bytesOf, dtype))
    throw broken(
      name,
      `tensor '${key}' has type ${JSON.stringify(dtype)}; ${Object.keys(bytesOf).join(", ")} can be read`,
    );
  if (!isSizes(shape)) throw broken(name, `tensor '${key}' has shape ${JSON.stringify(shape)}`);
  if (!isSizes(range) || range.length !== 2)
    throw broken(name, `tensor '${key}' has byte range ${JSON.stringify(range)}`);
  const size = shape.reduce((product, n) => product * n, bytesOf[dtype as TensorType]);
  if (range[1]! - range[0]! !== size)
    throw broken(
      name,
      `tensor '${key}' of shape [${shape.join(", ")}] needs ${size} bytes, its range has ` +
        `${range[1]! - range[0]!}`,
    );
  return { key, dtype: dtype as TensorType, shape, range: [range[0]!, range[1]!] };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function decode(dtype: TensorType, source: Uint8Array, key: string, name: string): TensorData {
  const bytes = new Uint8Array(source); // a copy is aligned and lets the file's buffer be freed
  switch (dtype) {
    case "F32":
      return new Float32Array(bytes.buffer);
    case "F64":
      return new Float64Array(bytes.buffer);
    case "I32":
      return new Int32Array(bytes.buffer);
    case "U8":
      return bytes;
    case "I64": {
      const values = Float64Array.from(new BigInt64Array(bytes.buffer), Number);
      if (!values.every(Number.isSafeInteger))
        throw broken(name, `tensor '${key}' has a 64-bit integer beyond 2^53`);
      return values;
    }
  }
}

/**
 * Serialises tensors, widest types first (so that each is aligned), then by name.
 * @throws RangeError if data and shape disagree
 */
export function writeSafetensors(tensors: ReadonlyMap<string, Tensor>): Uint8Array {
  const entries = [...tensors].sort(
    ([a, { dtype: s }], [b, { dtype: t }]) => bytesOf[t] - bytesOf[s] || (a < b ? -1 : 1),
  );
  let end = 0;
  const header = entries.map(([key, { dtype, shape, data }]): [string, unknown] => {
    const length = shape.reduce((product, n) => product * n, 1);
    if (data.length !== length)
      throw new RangeError(`tensor '${key}' of shape [${shape.join(", ")}] has ${data.length} values`);
    const start = end;
    end += length * bytesOf[dtype];
    return [key, { dtype, shape, data_offsets: [start, end] }];
  });
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerLength = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + headerLength + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true);
  bytes.fill(0x20, 8, 8 + headerLength).set(json, 8);
  let position = 8 + headerLength;
  for (const [, { dtype, data }] of entries) {
    const source = dtype === "I64" ? BigInt64Array.from(data as Float64Array, BigInt) : data;
    bytes.set(new Uint8Array(source.buffer, source.byteOffset, source.byteLength), position);
    position += source.byteLength;
  }
  return bytes;
}

function broken(name: string, what: string, cause?: unknown): ScPoliError {
  return new ScPoliError(
    "model",
    `${name} is damaged or not a safetensors file: ${what}.`,
    { name },
    { cause },
  );
}
