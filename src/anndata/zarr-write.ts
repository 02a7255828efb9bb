// Writes Zarr version 2 and 3: groups with attributes, and whole arrays of one or a few chunks (sharded
// arrays: shards.ts). zarrita writes neither version 2 nor anndata's encodings. Metadata and arrays are kept
// in memory until `close`, which also rewrites the consolidated metadata if there are any.
import { ScPoliError } from "../contract/errors.js";
import { joinPath, listFolder, readText, removeFile, writePart, fileStatus } from "#platform";
import {
  writeColumn,
  writeIndex,
  writeUns,
  type ElementWriter,
  type NewColumn,
  type NewUns,
  type StructuredArray,
} from "./elements.js";
import type { DenseMatrix, NumericArray } from "./matrix.js";
import { encodeZstd } from "./zarr-codecs.js";

type Json = Record<string, unknown>;
type Values = NumericArray | BigInt64Array | readonly string[];

interface PendingArray {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly values: Values;
}

/** Target bytes per chunk. */
const bytesPerChunk = 1 << 22;

export class ZarrWriter implements ElementWriter {
  private readonly attributes = new Map<string, Json>();
  private readonly arrays = new Map<string, PendingArray>();
  private readonly structuredArrays = new Map<string, StructuredArray>();

  /** @param folder - of the store; existing content is kept */
  constructor(
    readonly folder: string,
    readonly version: 2 | 3,
  ) {}

  group(path: string, encoding: string, version: string): void {
    this.attributes.set(keyOf(path), { "encoding-type": encoding, "encoding-version": version });
  }

  attribute(
    path: string,
    name: string,
    value: string | readonly string[] | readonly number[] | Int8Array,
  ): void {
    const key = keyOf(path);
    // anndata stores `ordered`, its only boolean attribute, as a JSON boolean
    this.attributes.get(key)![name] = value instanceof Int8Array ? value[0] === 1 : value;
  }

  array(
    path: string,
    values: NumericArray | BigInt64Array,
    shape: readonly number[] = [values.length],
  ): void {
    this.add(path, { dtype: typeOf(values), shape, values }, "array");
  }

  strings(path: string, values: readonly string[]): void {
    this.add(path, { dtype: "string", shape: [values.length], values }, "string-array");
  }

  booleanArray(path: string, values: ArrayLike<unknown>): void {
    this.add(
      path,
      { dtype: "bool", shape: [values.length], values: Uint8Array.from(values, (value) => (value ? 1 : 0)) },
      "array",
    );
  }

  scalar(path: string, value: string | number | boolean): void {
    if (typeof value === "string")
      return this.add(path, { dtype: "string", shape: [], values: [value] }, "string");
    const values =
      typeof value === "boolean"
        ? Uint8Array.of(Number(value))
        : Number.isSafeInteger(value)
          ? BigInt64Array.of(BigInt(value))
          : Float64Array.of(value);
    this.add(
      path,
      { dtype: typeof value === "boolean" ? "bool" : typeOf(values), shape: [], values },
      "numeric-scalar",
    );
  }

  structured(path: string, array: StructuredArray): void {
    this.group(path, "rec-array", "0.2.0");
    this.structuredArrays.set(keyOf(path), array);
  }

  column(path: string, column: NewColumn): void {
    writeColumn(this, path, column);
  }

  frame(path: string, index: readonly string[], columns: readonly string[]): void {
    writeIndex(this, path, index, columns);
  }

  uns(path: string, value: NewUns): void {
    writeUns(this, path, value);
  }

  matrix(path: string, { rows, columns, values }: DenseMatrix): void {
    this.array(path, values, [rows, columns]);
  }

  /** Changes one attribute of an existing node. */
  async change(path: string, name: string, value: unknown): Promise<void> {
    const file = joinPath(this.folder, path, this.version === 3 ? "zarr.json" : ".zattrs");
    const json = (await fileStatus(file)) ? (JSON.parse(await readText(file)) as Json) : {};
    if (this.version === 3)
      json["attributes"] = { ...(json["attributes"] as Json | undefined), [name]: value };
    else json[name] = value;
    await writePart(file, toJson(json));
  }

  /** Removes a node and everything below it. */
  async remove(path: string): Promise<void> {
    await removeFile(joinPath(this.folder, path));
  }

  /**
   * Writes all pending nodes and rewrites the consolidated metadata.
   * @param always - also if the store had no consolidated metadata
   */
  async close(always: boolean): Promise<void> {
    await this.flush();
    await this.consolidate(always);
  }

  /** Writes all pending nodes. */
  async flush(): Promise<void> {
    for (const [path, attributes] of this.attributes) {
      const array = this.arrays.get(path);
      const structured = this.structuredArrays.get(path);
      if (array) await this.writeArray(path, array, attributes);
      else if (structured) await this.writeStructured(path, structured, attributes);
      else if (this.version === 3)
        await this.put(path, "zarr.json", toJson({ attributes, zarr_format: 3, node_type: "group" }));
      else {
        await this.put(path, ".zgroup", toJson({ zarr_format: 2 }));
        await this.put(path, ".zattrs", toJson(attributes));
      }
    }
    this.attributes.clear();
    this.arrays.clear();
    this.structuredArrays.clear();
  }

  private add(path: string, array: PendingArray, encoding: string): void {
    this.group(path, encoding, "0.2.0");
    this.arrays.set(keyOf(path), array);
  }

  private async writeArray(
    path: string,
    { dtype, shape, values }: PendingArray,
    attributes: Json,
  ): Promise<void> {
    const width = shape.slice(1).reduce((product, length) => product * length, 1);
    const rowBytes = Math.max(1, width) * (ArrayBuffer.isView(values) ? values.BYTES_PER_ELEMENT : 32);
    const rows =
      shape.length === 0 ? 1 : Math.max(1, Math.min(shape[0]!, Math.floor(bytesPerChunk / rowBytes)));
    const chunks = shape.length === 0 ? [] : [rows, ...shape.slice(1).map((length) => Math.max(1, length))];
    if (this.version === 3)
      await this.put(
        path,
        "zarr.json",
        toJson(arrayV3(dtype, shape, chunks, [...bytesCodec(dtype), zstdV3], attributes)),
      );
    else {
      const object = dtype === "string";
      await this.put(
        path,
        ".zarray",
        toJson({
          chunks,
          compressor: zstdV2,
          dimension_separator: ".",
          dtype: numpyTypes[dtype],
          fill_value: object ? "" : dtype === "bool" ? false : 0,
          filters: object ? [{ id: "vlen-utf8" }] : null,
          order: "C",
          shape,
          zarr_format: 2,
        }),
      );
      await this.put(path, ".zattrs", toJson(attributes));
    }
    const count = shape.length === 0 ? 1 : width === 0 ? 0 : Math.ceil(shape[0]! / rows);
    const tail = shape.slice(1).map(() => 0);
    for (let chunk = 0; chunk < count; chunk++) {
      const at = shape.length === 0 ? [] : [chunk, ...tail];
      const key = this.version === 3 ? ["c", ...at].join("/") : at.join(".") || "0";
      await this.put(path, key, await encodeZstd(chunkBytes(values, chunk * rows * width, rows * width)));
    }
  }

  /**
   * Writes a structured array as one chunk. Strings have a fixed length, in UTF-32: neither Zarr version
   * supports variable-length fields.
   */
  private async writeStructured(path: string, array: StructuredArray, attributes: Json): Promise<void> {
    const widths = array.textWidths();
    const { bytes, bytesPerRow } = structuredBytes(array, widths);
    const shape = [array.rows];
    const chunks = [Math.max(1, array.rows)];
    const fill = btoa("\0".repeat(bytesPerRow));
    const isDouble = (i: number): boolean => array.fields[i]![1] instanceof Float64Array;
    if (this.version === 3) {
      const fields = array.fields.map(([name], i) => [
        name,
        widths[i]! > 0
          ? { name: "fixed_length_utf32", configuration: { length_bytes: 4 * widths[i]! } }
          : isDouble(i)
            ? "float64"
            : "float32",
      ]);
      const json = arrayV3("", shape, chunks, [{ name: "bytes" }, zstdV3], attributes);
      await this.put(
        path,
        "zarr.json",
        toJson({ ...json, data_type: { name: "structured", configuration: { fields } }, fill_value: fill }),
      );
    } else {
      const dtype = array.fields.map(([name], i) => [
        name,
        widths[i]! > 0 ? `<U${widths[i]}` : isDouble(i) ? "<f8" : "<f4",
      ]);
      await this.put(
        path,
        ".zarray",
        toJson({
          chunks,
          compressor: zstdV2,
          dimension_separator: ".",
          dtype,
          fill_value: fill,
          filters: null,
          order: "C",
          shape,
          zarr_format: 2,
        }),
      );
      await this.put(path, ".zattrs", toJson(attributes));
    }
    if (array.rows > 0) await this.put(path, this.version === 3 ? "c/0" : "0", await encodeZstd(bytes));
  }

  private put(path: string, name: string, content: Uint8Array | string): Promise<void> {
    return writePart(joinPath(this.folder, path, name), content);
  }

  private async consolidate(always: boolean): Promise<void> {
    const root = joinPath(this.folder, this.version === 3 ? "zarr.json" : ".zmetadata");
    const had = this.version === 3 ? await readJson(root) : {};
    if (!always && (this.version === 3 ? !had["consolidated_metadata"] : !(await fileStatus(root)))) return;
    const metadata: Json = {};
    const visit = async (path: string): Promise<void> => {
      const names = await listFolder(joinPath(this.folder, path));
      const metadataFiles = names.filter((name) =>
        this.version === 3 ? path !== "" && name === "zarr.json" : /^\.z(array|attrs|group)$/.test(name),
      );
      for (const name of metadataFiles)
        metadata[this.version === 3 ? path : path === "" ? name : `${path}/${name}`] = await readJson(
          joinPath(this.folder, path, name),
        );
      const isArray =
        names.includes(".zarray") ||
        (this.version === 3 && metadataFiles.length > 0 && (metadata[path] as Json)["node_type"] === "array");
      if (isArray || (path !== "" && metadataFiles.length === 0)) return;
      for (const name of names) {
        const child = path === "" ? name : `${path}/${name}`;
        if (
          !/^\.z|^zarr\.json$/.test(name) &&
          (await fileStatus(joinPath(this.folder, child)))?.kind === "folder"
        )
          await visit(child);
      }
    };
    await visit("");
    if (this.version === 3)
      await writePart(
        root,
        toJson({ ...had, consolidated_metadata: { kind: "inline", must_understand: false, metadata } }),
      );
    else await writePart(root, toJson({ metadata, zarr_consolidated_format: 1 }));
  }
}

async function readJson(path: string): Promise<Json> {
  const text = await readText(path);
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new ScPoliError("format", `${path} is damaged: it is not valid JSON.`, { path }, { cause: error });
  }
}

const zstdV2 = { id: "zstd", level: 1 } as const;
export const zstdV3 = { name: "zstd", configuration: { level: 1, checksum: false } } as const;

export function bytesCodec(dtype: string): readonly object[] {
  if (dtype === "string") return [{ name: "vlen-utf8", configuration: {} }];
  return [
    dtype.endsWith("8") || dtype === "bool"
      ? { name: "bytes" }
      : { name: "bytes", configuration: { endian: "little" } },
  ];
}

/** The zarr.json of an array. @param grid - shape of what one file holds */
export function arrayV3(
  dtype: string,
  shape: readonly number[],
  grid: readonly number[],
  codecs: readonly object[],
  attributes: object,
): Json {
  return {
    shape,
    data_type: dtype,
    chunk_grid: { name: "regular", configuration: { chunk_shape: grid } },
    chunk_key_encoding: { name: "default", configuration: { separator: "/" } },
    fill_value: dtype === "string" ? "" : dtype === "bool" ? false : 0,
    codecs,
    attributes,
    zarr_format: 3,
    node_type: "array",
    storage_transformers: [],
  };
}

export function typeOf(values: NumericArray | BigInt64Array): string {
  return values.constructor.name.replace("Array", "").replace("Big", "").toLowerCase();
}

export function toJson(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

/** Bytes of `length` values starting at `from`; a chunk that extends beyond the array is padded. */
function chunkBytes(values: Values, from: number, length: number): Uint8Array {
  if (!ArrayBuffer.isView(values)) {
    const texts = Array.from({ length }, (_, i) => new TextEncoder().encode(values[from + i] ?? ""));
    const bytes = new Uint8Array(4 + texts.reduce((sum, text) => sum + 4 + text.length, 0));
    const view = new DataView(bytes.buffer);
    view.setUint32(0, length, true);
    let at = 4;
    for (const text of texts) {
      view.setUint32(at, text.length, true);
      bytes.set(text, at + 4);
      at += 4 + text.length;
    }
    return bytes;
  }
  const size = values.BYTES_PER_ELEMENT;
  const bytes = new Uint8Array(length * size);
  bytes.set(
    new Uint8Array(
      values.buffer,
      values.byteOffset + from * size,
      Math.min(length, values.length - from) * size,
    ),
  );
  return bytes;
}

/** Rows concatenated, with their fields in order and without gaps. @param widths - characters of strings */
function structuredBytes(
  { fields, rows }: StructuredArray,
  widths: readonly number[],
): { readonly bytes: Uint8Array; readonly bytesPerRow: number } {
  const sizes = fields.map(([, values], i) =>
    ArrayBuffer.isView(values) ? values.BYTES_PER_ELEMENT : 4 * widths[i]!,
  );
  const bytesPerRow = sizes.reduce((sum, size) => sum + size, 0);
  const bytes = new Uint8Array(bytesPerRow * rows);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  fields.forEach(([, values], i) => {
    for (let row = 0; row < rows; row++) {
      const at = row * bytesPerRow + offset;
      if (values instanceof Float64Array) view.setFloat64(at, values[row]!, true);
      else if (values instanceof Float32Array) view.setFloat32(at, values[row]!, true);
      else
        [...values[row]!].forEach((character, k) =>
          view.setUint32(at + 4 * k, character.codePointAt(0)!, true),
        );
    }
    offset += sizes[i]!;
  });
  return { bytes, bytesPerRow };
}

function keyOf(path: string): string {
  return path.replace(/^\/+|\/+$/g, "");
}

const numpyTypes: Readonly<Record<string, string>> = {
  bool: "|b1",
  int8: "|i1",
  uint8: "|u1",
  int16: "<i2",
  uint16: "<u2",
  int32: "<i4",
  uint32: "<u4",
  int64: "<i8",
  float32: "<f4",
  float64: "<f8",
  string: "|O",
};
