// Tensors of PyTorch, in its files (a zip since 1.6, a sequence of pickles before) and in other pickles. Read
// as data; written as a zip for `torch.load`. Source: torch/serialization.py and torch/_utils.py
// (`_rebuild_tensor_v2`), which define the format.
import { unzipSync, zipSync } from "fflate";
import { ScPoliError } from "../../contract/errors.js";
import { numpyArray } from "./numpy.js";
import { PyCall, PyReference, PyTuple, writePickle, type Writable } from "./pickle-writer.js";
import { bytesOf, PyName, PyObject, readPickle, type PyValue } from "./pickle.js";

export interface TorchTensor {
  readonly shape: readonly number[];
  /** row-major */
  readonly data: Float32Array;
}

export interface TorchFile {
  readonly value: PyValue;
  /** bytes of the storages that the value refers to, by their key */
  readonly storages: Storages;
}
type Storages = ReadonlyMap<string, Uint8Array>;

/** Bytes of one element, and how it is read. */
interface ElementType {
  readonly size: number;
  readonly read: (view: DataView, at: number) => number;
}

const elementTypes: Readonly<Record<string, ElementType | undefined>> = {
  FloatStorage: { size: 4, read: (view, at) => view.getFloat32(at, true) },
  DoubleStorage: { size: 8, read: (view, at) => view.getFloat64(at, true) },
  HalfStorage: { size: 2, read: (view, at) => halfFloat(view.getUint16(at, true)) },
  BFloat16Storage: { size: 2, read: (view, at) => brainFloat(view.getUint16(at, true)) },
  LongStorage: { size: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
  IntStorage: { size: 4, read: (view, at) => view.getInt32(at, true) },
  ShortStorage: { size: 2, read: (view, at) => view.getInt16(at, true) },
  CharStorage: { size: 1, read: (view, at) => view.getInt8(at) },
  ByteStorage: { size: 1, read: (view, at) => view.getUint8(at) },
  BoolStorage: { size: 1, read: (view, at) => view.getUint8(at) },
};

function halfFloat(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}
function brainFloat(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
}

/** Maximum nesting of a tensor: in a parameter, in a subclass, in a file inside the pickle. */
const deepest = 6;

/** @throws ScPoliError "model" if the bytes are not a PyTorch file, or damaged */
export function readTorchFile(bytes: Uint8Array, where: string): TorchFile {
  if (bytes[0] === 0x50 && bytes[1] === 0x4b) return readZip(bytes, where);
  return readRow(bytes, where);
}

function damaged(where: string, what: string, cause?: unknown): ScPoliError {
  return new ScPoliError(
    "model",
    `${where} is damaged or not a PyTorch file: ${what}.`,
    { path: where },
    { cause },
  );
}

/** PyTorch writes uncompressed files; repacked ones may be compressed, but weights compress little. */
const largestRatio = 100;
const mostEntries = 100_000;

function readZip(bytes: Uint8Array, where: string): TorchFile {
  let files: Record<string, Uint8Array>;
  let [entries, packed, unpacked] = [0, 0, 0];
  try {
    files = unzipSync(bytes, {
      filter: ({ size, originalSize, compression }) => {
        // sizes in the file are not trusted: implausible ones must not be allocated
        packed += size;
        unpacked += compression === 0 ? size : originalSize;
        if (++entries > mostEntries || packed > bytes.length || unpacked > largestRatio * bytes.length)
          throw new Error("the sizes of its parts do not fit its own");
        return true;
      },
    });
  } catch (error) {
    throw damaged(where, `it cannot be unpacked (${(error as Error).message})`, error);
  }
  const pickle = Object.keys(files).find((name) => /(^|\/)data\.pkl$/.test(name));
  if (pickle === undefined) throw damaged(where, "it has no data.pkl");
  const prefix = pickle.slice(0, -"data.pkl".length);
  const order = files[`${prefix}byteorder`];
  if (order && new TextDecoder().decode(order) === "big")
    throw damaged(where, "its numbers are big-endian, which is not read");
  const storages = new Map(
    Object.entries(files)
      .filter(([name]) => name.startsWith(`${prefix}data/`))
      .map(([name, content]) => [name.slice(prefix.length + "data/".length), content]),
  );
  return { value: readPickle(files[pickle]!, `${where} (data.pkl)`).value, storages };
}

/** Magic number of PyTorch files before 1.6. */
const magic = 0x1950a86a20f9469cfc6cn;

/**
 * Layout: magic number, protocol, description of the machine, the value, the keys of its storages, then the
 * length and the numbers of each storage.
 */
function readRow(bytes: Uint8Array, where: string): TorchFile {
  const first = readPickle(bytes, where);
  if (first.value !== magic) throw damaged(where, "it does not begin like one");
  const protocol = readPickle(bytes, where, first.end);
  const machine = readPickle(bytes, where, protocol.end);
  if (machine.value instanceof Map && machine.value.get("little_endian") === false)
    throw damaged(where, "its numbers are big-endian, which is not read");
  const { value, references, end } = readPickle(bytes, where, machine.end);
  const sizes = new Map<string, number>();
  for (const reference of references) {
    const storage = storageOf(reference);
    if (storage) sizes.set(storage.key, storage.type.size);
  }
  const keys = readPickle(bytes, where, end);
  if (!Array.isArray(keys.value)) throw damaged(where, "it has no list of storages");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const storages = new Map<string, Uint8Array>();
  let position = keys.end;
  for (const key of keys.value as PyValue[]) {
    const size = typeof key === "string" ? sizes.get(key) : undefined;
    if (size === undefined) throw damaged(where, `nothing refers to its storage '${String(key)}'`);
    const length = position + 8 <= bytes.length ? Number(view.getBigInt64(position, true)) * size : -1;
    if (!(length >= 0 && length <= bytes.length - position - 8))
      throw damaged(where, `storage '${String(key)}' is cut short`);
    storages.set(key as string, bytes.subarray(position + 8, position + 8 + length));
    position += 8 + length;
  }
  return { value, storages };
}

interface StorageReference {
  readonly type: ElementType;
  readonly key: string;
  /** first element and number of elements, if it is a view of a part of the storage */
  readonly part: readonly [number, number] | null;
}

/** ("storage", type, key, device, length, part) */
function storageOf({ args: [id] }: PyObject): StorageReference | null {
  if (!Array.isArray(id)) return null;
  const [kind, type, key, , , part] = id as PyValue[];
  const element =
    type instanceof PyName ? elementTypes[type.name.replace(/^torch\.(cuda\.)?/, "")] : undefined;
  if (kind !== "storage" || typeof key !== "string" || !element) return null;
  const [, offset, length] = Array.isArray(part) ? (part as PyValue[]) : [];
  return {
    type: element,
    key,
    part: typeof offset === "number" && typeof length === "number" ? [offset, length] : null,
  };
}

interface Elements {
  readonly type: ElementType;
  readonly bytes: Uint8Array;
}

function elementsOf(value: PyValue | undefined, storages: Storages, depth: number): Elements | null {
  if (!(value instanceof PyObject) || depth > deepest) return null;
  if (value.name === "torch.storage._load_from_bytes") {
    const content = bytesOf(value.args[0]);
    if (!content) return null;
    const file = readTorchFile(content, "a tensor inside it");
    return elementsOf(file.value, file.storages, depth + 1);
  }
  if (value.name !== "persistent id") return null;
  const storage = storageOf(value);
  const bytes = storage && storages.get(storage.key);
  if (!bytes) return null;
  const { type, part } = storage;
  return { type, bytes: part ? bytes.subarray(part[0] * type.size, (part[0] + part[1]) * type.size) : bytes };
}

/**
 * Reads a tensor of a pickle as 32-bit floats.
 * @param storages - storages of the file; not needed for a pickle that contains them
 * @returns null if the value is not a tensor of plain numbers, or exceeds its storage
 */
export function torchTensor(
  value: PyValue | undefined,
  storages: Storages = new Map(),
  depth = 0,
): TorchTensor | null {
  if (!(value instanceof PyObject) || depth > deepest) return null;
  const { name, args } = value;
  if (name === "torch._utils._rebuild_parameter") return torchTensor(args[0], storages, depth + 1);
  if (name === "torch._tensor._rebuild_from_type_v2" && args[0] instanceof PyName && Array.isArray(args[2]))
    return torchTensor(new PyObject(args[0].name, args[2] as PyValue[]), storages, depth + 1);
  if (name === "torch._utils._rebuild_device_tensor_from_numpy") {
    const array = numpyArray(args[0]);
    return array && array.values.every((cell) => typeof cell === "number")
      ? { shape: array.shape, data: Float32Array.from(array.values as number[]) }
      : null;
  }
  if (name === "torch.tensor") return nested(args[0]);
  return /^torch\._utils\._rebuild_tensor(_v[23])?$/.test(name) ? strided(args, storages, depth) : null;
}

/** Nested lists of numbers. */
function nested(value: PyValue | undefined): TorchTensor | null {
  const shape: number[] = [];
  let level = [value];
  while (Array.isArray(level[0]) && shape.length < deepest) {
    const [length, parts] = [(level[0] as PyValue[]).length, level];
    if (!parts.every((part) => Array.isArray(part) && part.length === length)) return null;
    // repeated references must not be expanded without limit
    if (parts.length * length > longest) return null;
    shape.push(length);
    level = parts.flat() as PyValue[];
  }
  return level.every((number) => typeof number === "number")
    ? { shape, data: Float32Array.from(level) }
    : null;
}

/** Maximum number of values in nested lists. */
const longest = 5_000_000;

function isSizes(value: PyValue | undefined): value is readonly number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && (n as number) >= 0);
}

function strided(
  [storage, offset, shape, strides]: readonly PyValue[],
  storages: Storages,
  depth: number,
): TorchTensor | null {
  const elements = elementsOf(storage, storages, depth + 1);
  if (
    !elements ||
    typeof offset !== "number" ||
    !(offset >= 0) ||
    !isSizes(shape) ||
    !isSizes(strides) ||
    shape.length !== strides.length
  )
    return null;
  const {
    type: { size, read },
    bytes,
  } = elements;
  const available = Math.floor(bytes.length / size);
  const length = shape.reduce((product, n) => product * n, 1);
  const last = length === 0 ? -1 : shape.reduce((sum, n, axis) => sum + (n - 1) * strides[axis]!, offset);
  if (length > available || last >= available) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data = new Float32Array(length);
  const place = shape.map(() => 0);
  let from = offset;
  for (let i = 0; i < length; i++) {
    data[i] = read(view, from * size);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++place[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      place[axis] = 0;
    }
  }
  return { shape, data };
}

/** Date of the files in a zip: the earliest that the format can store. */
const noDate = new Date(1980, 0, 1);

/**
 * Writes a dict of tensors like `torch.save(model.state_dict(), ...)`.
 * @param name - name of the folder inside the file
 */
export function writeTorchFile(tensors: ReadonlyMap<string, TorchTensor>, name: string): Uint8Array {
  const text = (content: string): Uint8Array => new TextEncoder().encode(content);
  const files: Record<string, Uint8Array> = {};
  const entries = [...tensors].map(([key, { shape, data }], storage): [string, Writable] => {
    files[`${name}/data/${storage}`] = littleEndian(data);
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, n) => product * n, 1));
    const reference = new PyReference(
      "storage",
      new PyName("torch.FloatStorage"),
      String(storage),
      "cpu",
      data.length,
    );
    return [
      key,
      new PyCall("torch._utils._rebuild_tensor_v2", [
        reference,
        0,
        new PyTuple(shape),
        new PyTuple(strides),
        false,
        new PyCall("collections.OrderedDict", []),
      ]),
    ];
  });
  const pickle = writePickle(new PyCall("collections.OrderedDict", [], new Map(entries)), 2);
  return zipSync(
    {
      [`${name}/data.pkl`]: pickle,
      [`${name}/byteorder`]: text("little"),
      ...files,
      [`${name}/version`]: text("3\n"),
    },
    { level: 0, mtime: noDate },
  );
}

function littleEndian(data: Float32Array): Uint8Array {
  const bytes = new Uint8Array(4 * data.length);
  const view = new DataView(bytes.buffer);
  data.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return bytes;
}
