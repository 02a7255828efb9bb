// HDF5 files as the reader and the writer of .h5ad see them: h5wasm with its traps closed.
//
// h5wasm hands out uninitialised memory where a filter is missing, and 64-bit integers as BigInt. Here every read checks the filters first, numbers come as
// typed arrays, and every failure is an error that names file and dataset.
import { fileStatus, loadHdf5, readBytes, type Hdf5 } from "#platform";
import { ScPoliError, type ErrorKind } from "../errors.js";
import type { NumericArray } from "./matrix.js";
import type { Store, StoreAttribute, StoredArray } from "./store.js";

/** An open HDF5 file. */
export class Hdf5File implements Store {
  private constructor(
    readonly path: string,
    readonly root: InstanceType<Hdf5["File"]>,
    readonly library: Hdf5,
  ) {}

  /**
   * @param mode - "r" to read, "a" to change a file that is there, "w" to make a new one
   * @throws ScPoliError "file" where it is missing, truncated or no HDF5 file, "output" where it cannot be written
   */
  static async open(path: string, mode: "r" | "a" | "w"): Promise<Hdf5File> {
    if (mode === "r") await checkSignature(path);
    const library = await loadHdf5();
    try {
      // New objects in the oldest format: any HDF5 opens them, and their headers have no checksums (hdf5-patch.ts needs that).
      return new Hdf5File(path, new library.File(path, mode, mode === "r" ? {} : { libver: ["earliest", "v200"] }), library);
    } catch (error) {
      const sizes = /truncated file: eof = (\d+).*stored_eof = (\d+)/.exec(String(error));
      const found = sizes ? `the file is truncated, ${sizes[1]} of ${sizes[2]} bytes are there` : "HDF5 cannot read it, the file is damaged";
      if (mode === "r") throw new ScPoliError("file", `${path} cannot be opened: ${found}. Copy or download it again.`, { path }, { cause: error });
      throw new ScPoliError("output", `${path} cannot be written.`, { path }, { cause: error });
    }
  }

  get module(): Hdf5["Module"] {
    return this.library.Module;
  }

  /** What lies at a path inside the file, null where there is nothing. */
  kind(path: string): "group" | "dataset" | "other" | null {
    const type = this.root.get_type(path);
    if (type === this.module.H5G_GROUP) return "group";
    if (type === this.module.H5G_DATASET) return "dataset";
    return type < 0 ? null : "other";
  }

  /** Names in a group, none where there is no such group. */
  keys(path: string): string[] {
    return this.kind(path) === "group" ? this.module.get_names(this.root.file_id, path, false) : [];
  }

  attributeNames(path: string): string[] {
    return this.module.get_attribute_names(this.root.file_id, path);
  }

  /** Value of an attribute, undefined where there is none or it is empty. An object reference comes as the path that it points to. */
  attribute(path: string, name: string): StoreAttribute | undefined {
    if (!this.attributeNames(path).includes(name)) return undefined;
    const attribute = new this.library.Attribute(this.root.file_id, path, name);
    if (attribute.dtype === "Reference") {
      const [reference] = [attribute.value].flat();
      return reference instanceof this.library.Reference ? this.module.get_referenced_name(this.root.file_id, reference.ref_data, true) : undefined;
    }
    return (attribute.json_value as StoreAttribute | null) ?? undefined;
  }

  /** Value of an attribute where it is a text. */
  text(path: string, name: string): string | undefined {
    const value = this.attribute(path, name);
    return typeof value === "string" ? value : undefined;
  }

  dataset(path: string): Hdf5Dataset {
    return new Hdf5Dataset(this, path);
  }

  /** "query.h5ad: obs/cell_type", for error texts. */
  place(path: string): string {
    return `${this.path}: ${path}`;
  }

  close(): void {
    this.root.close();
  }
}

/** A dataset: its type, and reads of blocks along its first dimension. */
export class Hdf5Dataset implements StoredArray {
  /** null where the dataset is declared empty */
  readonly shape: readonly number[] | null;
  /** as NumPy names it; "string", "bool", "table" (compound) and "unknown" besides */
  readonly dtype: string;
  /** values per row, the product of all dimensions but the first */
  readonly width: number;
  readonly place: string;
  private readonly metadata: InstanceType<Hdf5["Dataset"]>["metadata"];
  private readonly filters: readonly { readonly id: number; readonly name: string }[];

  constructor(
    private readonly file: Hdf5File,
    readonly path: string,
  ) {
    this.place = file.place(path);
    this.metadata = file.module.get_dataset_metadata(file.root.file_id, path);
    this.filters = this.metadata.chunks ? file.module.get_dataset_filters(file.root.file_id, path) : [];
    this.shape = this.metadata.shape;
    this.dtype = dtypeOf(this.metadata, file.module);
    this.width = (this.shape ?? []).slice(1).reduce((product, length) => product * length, 1);
  }

  /** Length of the first dimension; 1 for a scalar. */
  get length(): number {
    return this.shape === null ? 0 : (this.shape[0] ?? 1);
  }

  /** Rows that are stored, and so inflated, together; 1 where the dataset is not compressed. */
  get rowsPerChunk(): number {
    return this.filters.length > 0 ? (this.metadata.chunks?.[0] ?? 1) : 1;
  }

  /** An array that takes `length` values of this dataset; 64-bit integers as Float64Array. @throws ScPoliError "format" where they are no numbers */
  array(length: number): NumericArray {
    const constructor = arrays[this.dtype];
    if (constructor === undefined) throw this.error("format", `numbers were expected, but the values are of type ${this.dtype}`);
    return new constructor(length);
  }

  /** All values. */
  async numbers(): Promise<NumericArray> {
    const values = this.array(this.length * this.width);
    await this.readInto(values, 0, 0, this.length);
    return values;
  }

  /**
   * Copies rows [start, end) into `target` from `offset` on, converted to its type.
   * @throws ScPoliError "format" where the filter is unknown or a 64-bit integer is beyond 2^53, "file" where the data are damaged
   */
  async readInto(target: NumericArray, offset: number, start: number, end: number): Promise<void> {
    const length = (end - start) * this.width;
    if (length <= 0) return;
    this.array(0);
    this.checkFilters();
    const { module, root } = this.file;
    const { shape, metadata } = this;
    const count = shape!.length === 0 ? null : [end - start, ...shape!.slice(1)].map(BigInt);
    const pointer = module._malloc(length * metadata.size);
    if (pointer === 0) throw this.error("memory", `there is no memory for ${length * metadata.size} bytes; read fewer rows at once`);
    try {
      const from = count && [BigInt(start), ...count.slice(1).map(() => 0n)];
      const status = module.get_dataset_data(root.file_id, this.path, count, from, count && count.map(() => 1n), BigInt(pointer));
      if (status < 0) throw new Error(`status ${status}`);
      const { buffer } = module.HEAPU8;
      if (metadata.size === 8 && this.dtype !== "float64") {
        if (!copyLong(new Int32Array(buffer, pointer, 2 * length), metadata.signed, target, offset)) {
          throw this.error("format", "it holds integers beyond 2^53, which cannot be read exactly");
        }
      } else {
        target.set(new arrays[this.dtype]!(buffer, pointer, length), offset);
      }
    } catch (error) {
      if (error instanceof ScPoliError) throw error;
      throw this.error("file", "its data are damaged. Copy or download the file again", error);
    } finally {
      module._free(pointer);
    }
  }

  /** All values of a text dataset. */
  async strings(): Promise<string[]> {
    if (this.dtype !== "string") throw this.error("format", `texts were expected, but the values are of type ${this.dtype}`);
    if (this.length === 0) return [];
    this.checkFilters();
    try {
      const { value } = new this.file.library.Dataset(this.file.root.file_id, this.path);
      return (typeof value === "string" ? [value] : value) as string[];
    } catch (error) {
      throw this.error("file", "its data are damaged. Copy or download the file again", error);
    }
  }

  error(kind: ErrorKind, found: string, cause?: unknown): ScPoliError {
    return new ScPoliError(kind, `${this.place} cannot be read: ${found}.`, { path: this.file.path, key: this.path }, { cause });
  }

  private checkFilters(): void {
    for (const { id, name } of this.filters) {
      if (knownFilters.has(id)) continue;
      const filter = filterNames[id] ?? (name || `filter ${id}`);
      throw this.error("format", `it is compressed with ${filter}. Save the file with gzip from Python: adata.write_h5ad(path, compression="gzip")`);
    }
  }
}

/** Filters that h5wasm has, by HDF5's number: deflate (gzip), shuffle, fletcher32, nbit, scaleoffset. */
const knownFilters: ReadonlySet<number> = new Set([1, 2, 3, 5, 6]);
const filterNames: Readonly<Record<number, string>> = {
  4: "szip", 307: "bzip2", 32000: "lzf", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp", 32015: "zstd", 32026: "blosc2",
};

type ArrayConstructor = new (...args: [length: number] | [buffer: ArrayBufferLike, offset: number, length: number]) => NumericArray;
const arrays: Readonly<Record<string, ArrayConstructor>> = {
  bool: Int8Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array,
  int64: Float64Array, uint64: Float64Array, float32: Float32Array, float64: Float64Array,
};

function dtypeOf(metadata: InstanceType<Hdf5["Dataset"]>["metadata"], { H5T_class_t: classes }: Hdf5["Module"]): string {
  switch (metadata.type) {
    case classes.H5T_INTEGER.value:
      return `${metadata.signed ? "int" : "uint"}${8 * metadata.size}`;
    case classes.H5T_FLOAT.value:
      return `float${8 * metadata.size}`;
    case classes.H5T_STRING.value:
      return "string";
    case classes.H5T_COMPOUND.value:
      return "table";
    case classes.H5T_ENUM.value: {
      const { FALSE, TRUE } = metadata.enum_type?.members ?? {};
      return metadata.size === 1 && FALSE === 0 && TRUE === 1 ? "bool" : "unknown";
    }
    default:
      return "unknown";
  }
}

/** Copies 64-bit integers given as pairs of words. What an Int32Array cannot hold becomes -1. @returns false where one is beyond 2^53 */
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

/** HDF5 files start with eight fixed bytes, at 0 or at a power of two from 512 on. */
async function checkSignature(path: string): Promise<void> {
  const status = await fileStatus(path);
  if (status?.kind === "folder") throw new ScPoliError("file", `${path} is a folder; an .h5ad file was expected.`, { path });
  const bytes = status?.bytes ?? 1;
  for (let position = 0; position < bytes; position = position === 0 ? 512 : 2 * position) {
    const start = await readBytes(path, position, 8);
    if (signature.every((byte, i) => start[i] === byte)) return;
    if (position > 1 << 20) break;
  }
  const start = await readBytes(path, 0, 4);
  const found =
    bytes === 0 ? "it is empty"
    : start[0] === 0x1f && start[1] === 0x8b ? "it is a gzip file; unpack it first"
    : start[0] === 0x50 && start[1] === 0x4b ? "it is a zip file; unpack it first"
    : "it is not an HDF5 file";
  throw new ScPoliError("file", `${path} cannot be opened: ${found}. An .h5ad file was expected.`, { path });
}

const signature = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
