// HDF5 access for the reader and writer of .h5ad: a safe wrapper of h5wasm.
//
// h5wasm returns uninitialised memory if a filter is missing, decodes UTF-8 as ASCII if the type declares
// ASCII, and returns 64-bit integers as BigInt. Here every read checks the filters first, numbers come as
// typed arrays, and every failure, including that of a malicious file, is an error that names the file and
// dataset.
import {
  abandonHdf5,
  countReads,
  fileStatus,
  loadHdf5,
  openDirect,
  readBytes,
  type DirectFile,
  type Hdf5,
  type LoadedHdf5,
} from "#platform";
import { ScPoliError } from "../contract/errors.js";
import { DirectArray, Hdf5Array } from "./hdf5-array.js";
import { findChunks, type ArrayDescription } from "./hdf5-chunk-index.js";
import { messageTypes, readMessageTypes, readSuperblock, signature } from "./hdf5-format.js";
import { describeLink, describeSources, elsewhere, Links } from "./hdf5-links.js";
import { plainChunk } from "./hdf5-plain-chunk.js";
import {
  arrays,
  copyNumbers,
  dtypeOf,
  missingFilter,
  numberReader,
  readTexts,
  textReader,
  type TypeMetadata,
} from "./hdf5-types.js";
import type { NumericArray } from "./matrix.js";
import type { Store, StoreAttribute, StoredArray } from "./store.js";

/** An open HDF5 file. */
export class Hdf5File implements Store {
  readonly format = "h5ad";

  private constructor(
    readonly path: string,
    readonly root: InstanceType<Hdf5["File"]>,
    readonly library: Hdf5,
    readonly provideFilter: LoadedHdf5["provideFilter"],
    /** the same file for reads without HDF5; null if HDF5 reads everything */
    readonly direct: DirectFile | null,
  ) {
    this.links = new Links(root.file_id, library.Module);
  }
  private readonly links: Links;

  /**
   * Opens an HDF5 file.
   * @param mode - "r" to read, "a" to change an existing file, "w" to create a new one
   * @throws ScPoliError "file" if it is missing, truncated or not HDF5, "output" if it cannot be written
   */
  static async open(path: string, mode: "r" | "a" | "w"): Promise<Hdf5File> {
    if (mode === "r") await checkSignature(path);
    const { library, provideFilter } = await loadHdf5();
    try {
      // Create objects in the oldest format: every HDF5 version opens them, and their headers have no
      // checksums, which hdf5-patch.ts relies on.
      const root = new library.File(path, mode, mode === "r" ? {} : { libver: ["earliest", "v200"] });
      return new Hdf5File(path, root, library, provideFilter, mode === "r" ? openDirect(path) : null);
    } catch (error) {
      abandonHdf5();
      const sizes = /truncated file: eof = (\d+).*stored_eof = (\d+)/.exec(String(error));
      const problem = sizes
        ? `the file is truncated: it has ${sizes[1]} of ${sizes[2]} bytes`
        : "HDF5 cannot read it; the file is damaged";
      if (mode === "r" && (await isBeingWritten(path)))
        throw new ScPoliError(
          "file",
          `${path} cannot be opened: another program is writing it, or stopped before it had closed it. ` +
            "Wait for that program to end. If none is running, clear the mark left in the file with the " +
            `HDF5 tools: h5clear -s ${path}`,
          { path },
          { cause: error },
        );
      if (mode === "r")
        throw new ScPoliError(
          "file",
          `${path} cannot be opened: ${problem}. Copy or download it again.`,
          { path },
          { cause: error },
        );
      throw new ScPoliError("output", `${path} cannot be written.`, { path }, { cause: error });
    }
  }

  get module(): Hdf5["Module"] {
    return this.library.Module;
  }

  /**
   * Kind of object at a path inside the file; null if there is none.
   * @throws ScPoliError "format" if a link leads into another file
   */
  kind(path: string): "group" | "dataset" | "other" | null {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    if (parent !== "" && this.kind(parent) !== "group") return null; // HDF5 fails below a dataset
    this.checkLinks(path);
    const type = this.attempt(path, () => this.root.get_type(path));
    if (type === this.module.H5G_GROUP) return "group";
    if (type === this.module.H5G_DATASET) return "dataset";
    return type < 0 ? null : "other";
  }

  /**
   * Names in a group; empty if there is no such group. In a damaged file, a name may end within a UTF-8
   * character and be read past its end. No object has such a name, so it is skipped.
   */
  keys(path: string): string[] {
    if (this.kind(path) !== "group") return [];
    const names = this.attempt(path, () => this.module.get_names(this.root.file_id, path, false));
    return names.filter((name) => /^[\x20-\x7e]*$/.test(name) || this.kind(`${path}/${name}`) !== null);
  }

  private checkLinks(path: string): void {
    const link = this.attempt(path, () => this.links.follow(path));
    if (link !== null) throw elsewhere(this.place(path), this.path, path, describeLink(link));
  }

  /** Whether the path is a broken soft link. */
  isBrokenLink(path: string): boolean {
    return (
      this.kind(path) === "other" &&
      this.attempt(path, () => this.module.get_symbolic_link(this.root.file_id, path) as string | null) !==
        null
    );
  }

  attributeNames(path: string): string[] {
    return this.attempt(path, () => this.module.get_attribute_names(this.root.file_id, path));
  }

  /**
   * Value of an attribute; undefined if it is missing or empty. An object reference is returned as the path
   * it points to.
   */
  attribute(path: string, name: string): StoreAttribute | undefined {
    if (!this.attributeNames(path).includes(name)) return undefined;
    return this.attempt(path, () => {
      const attribute = new this.library.Attribute(this.root.file_id, path, name);
      if (attribute.dtype === "Reference") {
        const [reference] = [attribute.value].flat();
        return reference instanceof this.library.Reference
          ? this.module.get_referenced_name(this.root.file_id, reference.ref_data, true)
          : undefined;
      }
      if (dtypeOf(attribute.metadata, this.module) === "string")
        return this.attributeText(path, name, attribute.metadata);
      return (attribute.json_value as StoreAttribute | null) ?? undefined;
    });
  }

  /** Value of an attribute if it is a string. */
  text(path: string, name: string): string | undefined {
    const value = this.attribute(path, name);
    return typeof value === "string" ? value : undefined;
  }

  dataset(path: string): Hdf5Dataset {
    this.checkLinks(path);
    return this.attempt(path, () => new Hdf5Dataset(this, path));
  }

  /**
   * Address of an object's header, relative to the superblock: the content of an object reference. It
   * identifies the object.
   */
  address(path: string): number {
    const bytes = Uint8Array.from(this.module.create_object_reference(this.root.file_id, path));
    return Number(new DataView(bytes.buffer).getBigUint64(0, true));
  }

  /** Types of the messages of an object's header; empty if it cannot be parsed. */
  async messageTypes(path: string): Promise<ReadonlySet<number>> {
    const address = this.attempt(path, () => this.address(path));
    try {
      return await readMessageTypes(
        (position, length) => this.read(position, length),
        await this.base(),
        address,
      );
    } catch {
      return new Set(); // HDF5 hits the same problem and reports it
    }
  }
  private base(): Promise<number> {
    return (this.#base ??= readSuperblock((position, length) => this.read(position, length)).then(
      ({ base }) => base,
    ));
  }
  #base: Promise<number> | null = null;

  private read(position: number, length: number): Promise<Uint8Array> | Uint8Array {
    if (!this.direct) return readBytes(this.path, position, length);
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.direct.bytes - position)));
    return this.direct.read(position, bytes) ? bytes : bytes.subarray(0, 0);
  }

  /** Location for error messages: "query.h5ad: obs/cell_type". */
  place(path: string): string {
    return `${this.path}: ${path}`;
  }

  /**
   * Closes the file.
   * @throws ScPoliError "output" if not everything could be written; files opened for reading lose nothing
   */
  close(): void {
    this.direct?.close();
    try {
      this.root.close();
    } catch (error) {
      abandonHdf5();
      if (this.root.mode !== "r")
        throw new ScPoliError(
          "output",
          `${this.path} cannot be written.`,
          { path: this.path },
          { cause: error },
        );
    }
  }

  /**
   * Runs an HDF5 query about a path. After an error, HDF5 may still hold the file open: the next file then
   * gets a fresh instance of the library.
   * @throws ScPoliError "file" if the query fails
   */
  attempt<T>(path: string, ask: () => T): T {
    try {
      return ask();
    } catch (error) {
      if (error instanceof ScPoliError) throw error;
      abandonHdf5();
      throw new ScPoliError(
        "file",
        `${this.place(path)} cannot be read: it is damaged. Copy or download the file again.`,
        { path: this.path, key: path },
        { cause: error },
      );
    }
  }

  /**
   * Runs `use` on a block of HDF5's memory. The block is zeroed, so values that HDF5 skips are not stale
   * memory.
   */
  withMemory<T>(bytes: number, use: (pointer: number) => T): T {
    const pointer = bytes < mostBytes ? this.module._malloc(bytes) : 0;
    if (pointer === 0) throw new RangeError(`${bytes} bytes`);
    try {
      this.module.HEAPU8.fill(0, pointer, pointer + bytes);
      return use(pointer);
    } finally {
      this.module._free(pointer);
    }
  }

  private attributeText(path: string, name: string, type: TypeMetadata): string | string[] | undefined {
    if (type.shape === null || type.shape === undefined) return undefined;
    const length = type.shape.reduce((product, n) => product * n, 1);
    if (length === 0) return [];
    return this.withMemory(length * type.size, (pointer) => {
      if (this.module.get_attribute_data(this.root.file_id, path, name, BigInt(pointer)) < 0)
        throw new Error("status");
      const read = textReader(type, this.module);
      const texts = Array.from({ length }, (_, i) => read(pointer + i * type.size));
      if (type.vlen) this.module.reclaim_vlen_memory(this.root.file_id, path, name, BigInt(pointer));
      return type.shape!.length === 0 ? texts[0] : texts;
    });
  }
}

/** Most bytes that one read may take of HDF5's memory, which has 2 GB. */
const mostBytes = 2 ** 30;

/** A dataset: its type, and reads of blocks along its first dimension. */
export class Hdf5Dataset extends Hdf5Array implements StoredArray {
  /** null if the dataset is declared empty */
  readonly shape: readonly number[] | null;
  /** in NumPy's notation, or "string", "bool", "table" (compound) or "unknown" */
  readonly dtype: string;
  /** values per row, the product of all dimensions but the first */
  readonly width: number;
  private readonly metadata: InstanceType<Hdf5["Dataset"]>["metadata"];
  private readonly filters: ReturnType<Hdf5["Module"]["get_dataset_filters"]>;
  private direct: Promise<DirectArray | null> | null = null;

  constructor(
    private readonly file: Hdf5File,
    path: string,
  ) {
    super(file.place(path), file.path, path);
    this.metadata = file.module.get_dataset_metadata(file.root.file_id, path);
    this.filters = this.metadata.chunks ? file.module.get_dataset_filters(file.root.file_id, path) : [];
    this.shape = this.metadata.shape;
    this.dtype = dtypeOf(this.metadata, file.module);
    this.width = (this.shape ?? []).slice(1).reduce((product, length) => product * length, 1);
    if (!Number.isSafeInteger(this.length * this.width * this.metadata.size))
      throw this.error("file", "its declared size is impossible");
    const { virtual_sources: sources } = this.metadata;
    if (sources) throw elsewhere(this.place, file.path, path, describeSources(sources));
  }

  /** Length of the first dimension; 1 for a scalar. */
  get length(): number {
    return this.shape === null ? 0 : (this.shape[0] ?? 1);
  }

  /** Rows that are compressed together; 1 if the dataset is not compressed. */
  get rowsPerChunk(): number {
    return this.filters.length > 0 ? (this.metadata.chunks?.[0] ?? 1) : 1;
  }

  get isVariableText(): boolean {
    return this.dtype === "string" && this.metadata.vlen;
  }

  /** Names of the columns of a table (compound type), in order. */
  get fields(): readonly string[] {
    return (this.metadata.compound_type?.members ?? []).map(({ name }) => name);
  }

  /** All values. */
  async numbers(): Promise<NumericArray> {
    const values = this.array(this.length * this.width);
    await this.readInto(values, 0, 0, this.length);
    return values;
  }

  /**
   * Copies rows [start, end) into `target` at `offset`, converted to its type.
   * @throws ScPoliError "format" if a filter is missing or a 64-bit integer exceeds 2^53, "file" if the data
   * are damaged
   */
  async readInto(target: NumericArray, offset: number, start: number, end: number): Promise<void> {
    const length = (end - start) * this.width;
    if (length <= 0) return;
    this.array(0);
    await this.checkStorage();
    const direct = await (this.direct ??= this.findDirect());
    if (direct) return direct.readInto(target, offset, start, end);
    this.withRows(start, end, (pointer) => {
      if (!copyNumbers(this.file.module.HEAPU8.buffer, pointer, length, this.dtype, target, offset))
        throw this.beyond();
    });
  }

  async describe(): Promise<ArrayDescription | null> {
    return (await (this.direct ??= this.findDirect()))?.description ?? null;
  }

  /** All values of a string dataset. */
  async strings(): Promise<string[]> {
    if (this.dtype !== "string")
      throw this.error("format", `strings were expected, but the values are of type ${this.dtype}`);
    await this.checkStorage();
    return this.texts(this.metadata, 0);
  }

  /**
   * One column of a table, all rows.
   * @returns texts, or numbers with `width` of them per row
   */
  async field(
    name: string,
  ): Promise<{ readonly dtype: string; readonly width: number; readonly values: NumericArray | string[] }> {
    await this.checkStorage();
    const { module } = this.file;
    const members = this.metadata.compound_type?.members ?? [];
    const member = members.find((candidate) => candidate.name === name);
    if (member === undefined) throw this.error("format", `it has no field "${name}"`);
    const type: TypeMetadata = member.array_type ?? member;
    const dtype = dtypeOf(type, module);
    const width = member.array_type
      ? (member.array_type.shape ?? []).reduce((product, n) => product * n, 1)
      : 1;
    if (dtype === "string" && width === 1) return { dtype, width, values: this.texts(type, member.offset) };
    const isNumber = (candidate: TypeMetadata) => /^(u?int|float)/.test(dtypeOf(candidate, module));
    // HDF5 swaps the bytes of a table only if all fields are big-endian; otherwise it leaves each field as it
    // is
    const read = numberReader(
      dtype,
      type.littleEndian || members.every((candidate) => !candidate.littleEndian || !isNumber(candidate)),
    );
    const constructor = arrays[dtype];
    if (read === null || constructor === undefined)
      throw this.error("format", `its field "${name}" has an unknown type`);
    const values = this.allocate(constructor, this.length * width);
    this.inBatches((pointer, start, end) => {
      const memory = new DataView(module.HEAPU8.buffer, pointer, (end - start) * this.metadata.size);
      for (let row = start, at = start * width; row < end; row++)
        for (let k = 0; k < width; k++)
          values[at++] = read(memory, (row - start) * this.metadata.size + member.offset + k * type.size);
    });
    return { dtype, width, values };
  }

  /**
   * Checks that the values are in this file. HDF5 would look for external files in the working directory and
   * read zeros beyond their ends.
   * @throws ScPoliError "format" if they are in other files
   */
  checkStorage(): Promise<void> {
    return (this.#storage ??= (async () => {
      if (this.metadata.chunks || this.length === 0) return;
      if ((await this.file.messageTypes(this.path)).has(messageTypes.externalFiles))
        throw elsewhere(
          this.place,
          this.file.path,
          this.path,
          "its values are in other files (external storage)",
        );
    })());
  }
  #storage: Promise<void> | null = null;

  /** The string at `offset` of each value. */
  private texts(type: TypeMetadata, offset: number): string[] {
    const texts: string[] = [];
    const step = this.metadata.size;
    const read = textReader(type, this.file.module);
    this.inBatches((pointer, start, end) => {
      const count = (end - start) * this.width;
      if (type.vlen) readTexts(this.file.module, pointer + offset, step, count, texts);
      else for (let i = 0; i < count; i++) texts.push(read(pointer + i * step + offset));
    });
    return texts;
  }

  /** Passes all rows through HDF5's memory in batches. */
  private inBatches(use: (pointer: number, start: number, end: number) => void): void {
    const step = Math.max(1, Math.floor(bytesPerPiece / Math.max(1, this.metadata.size * this.width)));
    for (let start = 0; start < this.length && this.width > 0; start += step) {
      const end = Math.min(this.length, start + step);
      this.withRows(start, end, (pointer) => use(pointer, start, end));
    }
  }

  /** Rows [start, end) in HDF5's memory, at a pointer that is valid while `use` runs. */
  private withRows(start: number, end: number, use: (pointer: number) => void): void {
    const missing = missingFilter(this.filters, this.file.provideFilter);
    if (missing !== null)
      throw this.error(
        "format",
        `it is compressed with ${missing}, which is not installed here. Save the file with gzip from ` +
          `Python: adata.write_h5ad(path, compression="gzip")`,
      );
    const { module, root } = this.file;
    const { metadata } = this;
    const shape = this.shape!;
    const bytes = (end - start) * this.width * metadata.size;
    const count = shape.length === 0 ? null : [end - start, ...shape.slice(1)].map(BigInt);
    try {
      this.file.withMemory(bytes, (pointer) => {
        let status = 0;
        const read = (): void => {
          status = module.get_dataset_data(
            root.file_id,
            this.path,
            count,
            count && [BigInt(start), ...count.slice(1).map(() => 0n)],
            count && count.map(() => 1n),
            BigInt(pointer),
          );
        };
        const chunk =
          holdsPointers(metadata) || this.filters.length > 0 ? null : plainChunk(metadata, this.width);
        const chunksRead = chunk ? countReads(chunk.bytes, read) : (read(), 0);
        if (status < 0) throw new Error(`status ${status}`);
        if (
          chunk &&
          !chunk.areThere(start, end, chunksRead, module.HEAPU8.subarray(pointer, pointer + bytes))
        )
          throw new Error("chunks are missing");
        use(pointer);
        if (!holdsPointers(metadata)) return;
        if (count) module.reclaim_vlen_memory_count(root.file_id, this.path, "", BigInt(pointer), count);
        else module.reclaim_vlen_memory(root.file_id, this.path, "", BigInt(pointer));
      });
    } catch (error) {
      if (error instanceof ScPoliError) throw error;
      abandonHdf5();
      if (error instanceof RangeError)
        throw this.error("memory", `not enough memory for a read of ${bytes} bytes`, error);
      throw this.damaged(error);
    }
  }

  /** The same array read without HDF5; null if only HDF5 can read it. */
  private async findDirect(): Promise<DirectArray | null> {
    const { file, path, metadata, shape, dtype, filters, place, length, rowsPerChunk } = this;
    const { direct } = file;
    const dimensions = shape?.length ?? 0;
    if (!direct || !metadata.littleEndian || (dimensions !== 1 && dimensions !== 2)) return null;
    const address = file.attempt(path, () => file.address(path));
    const chunk = metadata.chunks && ([metadata.chunks[0]!, metadata.chunks[1] ?? 1] as const);
    const index = await findChunks(direct, address, {
      shape: [length, this.width],
      dimensions,
      dtype,
      size: metadata.size,
      chunk,
      filters,
    });
    return (
      index &&
      new DirectArray(direct, {
        place,
        filePath: file.path,
        path,
        identity: direct.identity,
        length,
        rowsPerChunk,
        index,
      })
    );
  }
}

const bytesPerPiece = 8 << 20;

/** Whether HDF5 allocates memory besides the values themselves: variable-length strings. */
function holdsPointers(type: TypeMetadata): boolean {
  return (
    type.vlen ||
    type.vlen_type !== undefined ||
    (type.compound_type?.members ?? []).some(holdsPointers) ||
    (type.array_type !== undefined && holdsPointers(type.array_type))
  );
}

async function isBeingWritten(path: string): Promise<boolean> {
  try {
    return (await readSuperblock((position, length) => readBytes(path, position, length))).isBeingWritten;
  } catch {
    return false;
  }
}

async function checkSignature(path: string): Promise<void> {
  const status = await fileStatus(path);
  if (status?.kind === "folder")
    throw new ScPoliError("file", `${path} is a folder; an .h5ad file was expected.`, { path });
  const bytes = status?.bytes ?? 1;
  for (let position = 0; position < bytes; position = position === 0 ? 512 : 2 * position) {
    const start = await readBytes(path, position, 8);
    if (signature.every((byte, i) => start[i] === byte)) return;
    if (position > 1 << 20) break;
  }
  const start = await readBytes(path, 0, 4);
  const problem =
    bytes === 0
      ? "it is empty"
      : start[0] === 0x1f && start[1] === 0x8b
        ? describeGzip(path)
        : (packed.find(({ bytes: mark }) => mark.every((byte, i) => start[i] === byte))?.says ??
          (isText(await readBytes(path, 0, 512))
            ? "it is not an HDF5 file but a text file"
            : "it is not an HDF5 file"));
  throw new ScPoliError("file", `${path} cannot be opened: ${problem}. An .h5ad file was expected.`, {
    path,
  });
}

function describeGzip(path: string): string {
  return /\.rds$/i.test(path)
    ? "it is an R data file. Save it as .h5ad from R (zellkonverter::writeH5AD for a SingleCellExperiment)"
    : "it is compressed with gzip. Unpack it first: gunzip -k " +
        (/\.gz$/i.test(path) ? path : `-c ${path} > unpacked.h5ad`);
}

/** First bytes of archives and R data files. */
const packed: readonly { readonly bytes: readonly number[]; readonly says: string }[] = [
  { bytes: [0x50, 0x4b], says: "it is a zip file; unpack it first" },
  { bytes: [0x42, 0x5a, 0x68], says: "it is compressed with bzip2. Unpack it first: bunzip2 -k" },
  { bytes: [0xfd, 0x37, 0x7a, 0x58], says: "it is compressed with xz. Unpack it first: unxz -k" },
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], says: "it is compressed with zstd. Unpack it first: unzstd" },
  { bytes: [0x52, 0x44, 0x58], says: "it is an R data file. Save it as .h5ad from R" },
];

function isText(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 9 || byte === 10 || byte === 13 || byte >= 32);
}
