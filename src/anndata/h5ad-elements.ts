// Writes the elements of an .h5ad file (columns, arrays, dictionaries) as anndata 0.8 and later encode them.
//
// Source: anndata's "On-disk format" page. The bytes depend on the content alone: HDF5 stamps every object
// with the time, so the clock is frozen during each write.
import { abandonHdf5, type Hdf5 } from "#platform";
import { ScPoliError } from "../contract/errors.js";
import {
  writeColumn,
  writeIndex,
  writeUns,
  type StructuredArray,
  type ElementWriter,
  type NewColumn,
  type NewUns,
} from "./elements.js";
import type { Hdf5File } from "./hdf5.js";
import { patchHdf5, placeholderType } from "./hdf5-patch.js";
import type { DenseMatrix, NumericArray } from "./matrix.js";

/** Storage layout of a dataset. Chunked datasets can grow. */
export interface Layout {
  /** rows per chunk */
  readonly chunk?: number;
  /** gzip level, 0 for none */
  readonly compression?: number;
}

type Dtype = NonNullable<Parameters<InstanceType<Hdf5["File"]>["create_dataset"]>[0]["dtype"]>;
type Data = Parameters<InstanceType<Hdf5["File"]>["create_dataset"]>[0]["data"];

export class H5adWriter implements ElementWriter {
  private readonly booleans: number[] = [];
  /** group that will become the root; "" for the root itself */
  private root = "";

  constructor(readonly file: Hdf5File) {}

  has(path: string): boolean {
    return this.file.kind(this.at(path)) !== null;
  }

  /** Current path in the file of a path in the final file. */
  at(path: string): string {
    return this.root + path || "/";
  }

  group(path: string, encoding: string, version: string): void {
    withFrozenClock(() => this.file.module.create_group(this.file.root.file_id, this.root + path, false));
    this.encode(path, encoding, version);
  }

  attribute(
    path: string,
    name: string,
    value: string | readonly string[] | NumericArray | BigInt64Array,
  ): void {
    withFrozenClock(() => {
      const group = new this.file.library.Group(this.file.root.file_id, this.at(path));
      if (this.file.attributeNames(this.at(path)).includes(name)) group.delete_attribute(name);
      // for an empty list, anndata stores an attribute of float64, the type of an empty NumPy array
      group.create_attribute(
        name,
        (Array.isArray(value) && value.length === 0 ? new Float64Array(0) : value) as Data,
      );
    });
  }

  encode(path: string, encoding: string, version: string): void {
    this.attribute(path, "encoding-type", encoding);
    this.attribute(path, "encoding-version", version);
  }

  array(
    path: string,
    values: NumericArray | BigInt64Array,
    shape: readonly number[] = [values.length],
    layout: Layout = {},
  ): void {
    this.dataset(path, values, shape, undefined, layout);
    this.encode(path, "array", "0.2.0");
  }

  strings(path: string, values: readonly string[]): void {
    this.dataset(path, values, [values.length], "S");
    this.encode(path, "string-array", "0.2.0");
  }

  booleanArray(path: string, values: ArrayLike<unknown>): void {
    const bytes = new Uint8Array(values.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = values[i] ? 1 : 0;
    this.booleanDataset(path, bytes, [bytes.length]);
    this.encode(path, "array", "0.2.0");
  }

  column(path: string, column: NewColumn): void {
    writeColumn(this, path, column);
  }

  /** Writes the group and index of a table; the caller then writes its columns. */
  frame(path: string, index: readonly string[], columns: readonly string[], indexName = "_index"): void {
    writeIndex(this, path, index, columns, indexName);
  }

  matrix(path: string, { rows, columns, values }: DenseMatrix, layout: Layout = {}): void {
    this.array(path, values, [rows, columns], layout);
  }

  uns(path: string, value: NewUns): void {
    writeUns(this, path, value);
  }

  scalar(path: string, value: string | number | boolean): void {
    if (typeof value === "string") this.dataset(path, value, [], "S");
    else if (typeof value === "number")
      this.dataset(
        path,
        Number.isSafeInteger(value) ? BigInt64Array.of(BigInt(value)) : Float64Array.of(value),
        [],
      );
    else this.booleanDataset(path, Uint8Array.of(Number(value)), []);
    this.encode(path, typeof value === "string" ? "string" : "numeric-scalar", "0.2.0");
  }

  /**
   * Writes a structured array. Strings have variable length, as in h5py. h5wasm cannot write them inside a
   * compound type, so the rows are laid out in its memory here.
   */
  structured(path: string, { fields, rows }: StructuredArray): void {
    const { module, library, root } = this.file;
    const types = fields.map(([, values]) =>
      ArrayBuffer.isView(values)
        ? library.dtype_to_metadata(values instanceof Float32Array ? "<f" : "<d")
        : { ...library.dtype_to_metadata("S"), size: bytesPerPointer },
    );
    let size = 0;
    const members = types.map((type, i) => {
      const member = { ...type, name: fields[i]![0], offset: size };
      size += type.size;
      return member;
    });
    const pointers: number[] = [];
    const allocate = (bytes: number): number => {
      const pointer = module._malloc(Math.max(1, bytes));
      pointers.push(pointer);
      return pointer;
    };
    try {
      const start = allocate(size * rows);
      fields.forEach(([, values], i) => {
        const { offset } = members[i]!;
        if (ArrayBuffer.isView(values)) {
          const memory = new DataView(module.HEAPU8.buffer);
          const set = values instanceof Float32Array ? memory.setFloat32 : memory.setFloat64;
          values.forEach((value, row) => set.call(memory, start + row * size + offset, value, true));
          return;
        }
        const { bytes, starts } = joinTexts(values);
        const texts = allocate(bytes.length);
        module.HEAPU8.set(bytes, texts);
        const memory = new DataView(module.HEAPU8.buffer);
        starts.forEach((at, row) => memory.setUint32(start + row * size + offset, texts + at, true));
      });
      const extent = [BigInt(rows)];
      const metadata = {
        ...library.dtype_to_metadata({ compound_type: { members, nmembers: members.length } }),
        shape: extent,
        maxshape: extent,
        chunks: null,
      };
      withFrozenClock(() => module.create_dataset(root.file_id, this.root + path, BigInt(start), metadata));
    } finally {
      pointers.forEach((pointer) => module._free(pointer));
    }
    this.encode(path, "rec-array", "0.2.0");
  }

  /** Creates an empty, growable dataset without encoding attributes; `append` extends it. */
  growing(path: string, type: NumericArray, layout: Required<Layout>): void {
    this.dataset(path, type.subarray(0, 0), [0], undefined, layout);
  }

  /** Creates an empty, growable matrix; `appendRows` extends it. */
  growingMatrix(path: string, columns: number, layout: Required<Layout>): void {
    this.dataset(path, new Float32Array(0), [0, columns], undefined, layout);
    this.encode(path, "array", "0.2.0");
  }

  appendRows(path: string, { rows, columns, values }: DenseMatrix): void {
    withFrozenClock(() => {
      const dataset = new this.file.library.Dataset(this.file.root.file_id, this.root + path);
      const length = dataset.shape![0]!;
      dataset.resize([length + rows, columns]);
      dataset.write_slice(
        [
          [length, length + rows],
          [0, columns],
        ],
        values,
      );
    });
  }

  append(path: string, values: NumericArray): void {
    withFrozenClock(() => {
      const dataset = new this.file.library.Dataset(this.file.root.file_id, this.root + path);
      const length = dataset.shape![0]!;
      dataset.resize([length + values.length]);
      dataset.write_slice([[length, length + values.length]], values);
    });
  }

  /**
   * Drops entries from groups, which h5wasm cannot do: the affected groups and the root are recreated with
   * links to everything else. All later writes go to the new root.
   * @param entries - names to drop, by group; "all" drops the group itself
   */
  leaveOut(entries: ReadonlyMap<string, readonly string[] | "all">): void {
    const root = "/scpoli-new-root";
    const { file } = this;
    const link = (target: string, name: string) =>
      withFrozenClock(() => file.module.create_hard_link(file.root.file_id, target, root + name));
    const copyGroup = (path: string) => {
      withFrozenClock(() => file.module.create_group(file.root.file_id, root + path, false));
      for (const name of file.attributeNames(path || "/")) this.copyAttribute(path || "/", root + path, name);
    };
    const keys = file.keys("/");
    copyGroup("");
    for (const key of keys) {
      const dropped = entries.get(key);
      if (dropped === undefined) {
        link(`/${key}`, `/${key}`);
        continue;
      }
      if (dropped === "all") continue;
      copyGroup(`/${key}`);
      for (const child of file.keys(`/${key}`))
        if (!dropped.includes(child)) link(`/${key}/${child}`, `/${key}/${child}`);
    }
    this.root = root;
  }

  /** Closes the file and applies the patches that h5wasm cannot make. */
  async close(): Promise<void> {
    const { path } = this.file;
    const root = this.root === "" ? null : this.address("");
    withFrozenClock(() => this.file.close());
    await patchHdf5(path, { booleans: this.booleans, root });
  }

  /** Closes a file that will be discarded. */
  abandon(): void {
    try {
      this.file.close();
    } catch {
      // the file is discarded, so failed writes do not matter
    }
    abandonHdf5();
  }

  private dataset(
    path: string,
    data: unknown,
    shape: readonly number[],
    dtype?: Dtype,
    { chunk, compression }: Layout = {},
  ): void {
    const chunks =
      chunk && shape.every((length, i) => i === 0 || length > 0)
        ? [Math.max(1, chunk), ...shape.slice(1)]
        : null;
    withFrozenClock(() =>
      this.file.root.create_dataset({
        name: this.root + path,
        data: data as Data,
        shape: [...shape],
        dtype: dtype ?? null,
        ...(chunks && { chunks, maxshape: [null, ...shape.slice(1)] }),
        ...(chunks && compression && { compression: "gzip", compression_opts: compression }),
      }),
    );
  }

  private booleanDataset(path: string, values: Uint8Array, shape: readonly number[]): void {
    const { module, library, root } = this.file;
    const extent = shape.map(BigInt);
    const metadata = {
      ...library.dtype_to_metadata(placeholderType),
      shape: extent,
      maxshape: extent,
      chunks: null,
    };
    const pointer = module._malloc(Math.max(1, values.length));
    module.HEAPU8.set(values, pointer);
    try {
      withFrozenClock(() => module.create_dataset(root.file_id, this.root + path, BigInt(pointer), metadata));
    } finally {
      module._free(pointer);
    }
    this.booleans.push(this.address(path));
  }

  /** Address of an object's header; see `Hdf5File`. */
  address(path: string): number {
    return this.file.address(this.at(path));
  }

  private copyAttribute(from: string, to: string, name: string): void {
    const { value, dtype, shape } = new this.file.library.Attribute(this.file.root.file_id, from, name);
    if (value === null || dtype === "unknown") {
      throw new ScPoliError(
        "output",
        `${this.file.place(from)} has an attribute "${name}" of a type that cannot be preserved when ` +
          "entries are replaced. Write to new names instead.",
      );
    }
    withFrozenClock(() =>
      new this.file.library.Group(this.file.root.file_id, to).create_attribute(
        name,
        value as Data,
        shape,
        dtype,
      ),
    );
  }
}

/** h5wasm's memory has 32-bit addresses. */
const bytesPerPointer = 4;

/** Zero-terminated strings, concatenated, and the start of each. */
function joinTexts(texts: readonly string[]): { readonly bytes: Uint8Array; readonly starts: Int32Array } {
  const encoded = texts.map((text) => new TextEncoder().encode(text));
  const starts = new Int32Array(texts.length);
  const bytes = new Uint8Array(encoded.reduce((sum, text) => sum + text.length + 1, 0));
  let at = 0;
  encoded.forEach((text, row) => {
    starts[row] = at;
    bytes.set(text, at);
    at += text.length + 1;
  });
  return { bytes, starts };
}

/**
 * Runs `write` with the clock frozen, so that no time stamp reaches the file. Nothing else runs meanwhile:
 * HDF5 is synchronous.
 */
function withFrozenClock<T>(write: () => T): T {
  const { now } = Date;
  Date.now = () => 0;
  try {
    return write();
  } finally {
    Date.now = now;
  }
}
