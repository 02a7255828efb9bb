// Zarr stores of version 2 and 3, sharded or not. zarrita decodes the chunks; this file checks their lengths
// and assembles rows. Every failure is an error that names the store and array. Consolidated metadata are
// ignored: they duplicate the metadata of the nodes.
import { open, type Array as ZarrLibraryArray, type DataType } from "zarrita";
import { ScPoliError, type ErrorKind } from "../contract/errors.js";
import type { NumericArray } from "./matrix.js";
import type { Store, StoreAttribute, StoredArray } from "./store.js";
import { registerCodecs } from "./zarr-codecs.js";
import { openZarrFiles, type ByteRange, type ZarrFiles } from "./zarr-files.js";
import { readNodes, type ZarrArrayInfo, type ZarrNode } from "./zarr-metadata.js";

/** Chunks read and decoded together. */
const chunksAtOnce = 16;
/** Most values in one array. */
const mostValues = 2 ** 32 - 1;

export class ZarrStore implements Store {
  readonly format = "zarr";
  private readonly arrays = new Map<string, ZarrArray>();

  private constructor(
    readonly path: string,
    readonly files: ZarrFiles,
    readonly nodes: ReadonlyMap<string, ZarrNode>,
  ) {}

  /**
   * @param path - a folder, or a zip file of one
   * @throws ScPoliError "file" if there is no Zarr store, "format" if its metadata are damaged
   */
  static async open(path: string): Promise<ZarrStore> {
    registerCodecs();
    const files = await openZarrFiles(path);
    return new ZarrStore(path, files, await readNodes(files, path));
  }

  get version(): 2 | 3 {
    return this.nodes.get("")!.version;
  }

  place(path: string): string {
    return `${this.path}: ${path}`;
  }

  kind(path: string): "group" | "dataset" | null {
    const node = this.node(path);
    return node === undefined ? null : node.array === null ? "group" : "dataset";
  }

  keys(path: string): string[] {
    return [...(this.node(path)?.children ?? [])];
  }

  attribute(path: string, name: string): StoreAttribute | undefined {
    const attributes = this.node(path)?.attributes ?? {};
    const value = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
    const isPlain = (item: unknown): item is number | string | boolean =>
      ["number", "string", "boolean"].includes(typeof item);
    return isPlain(value) || (Array.isArray(value) && value.every(isPlain)) ? value : undefined;
  }

  text(path: string, name: string): string | undefined {
    const value = this.attribute(path, name);
    return typeof value === "string" ? value : undefined;
  }

  dataset(path: string): ZarrArray {
    const key = keyOf(path);
    const node = this.node(path);
    if (!node?.array)
      throw new ScPoliError("format", `${this.place(path)} is missing.`, { path: this.path, key: path });
    let array = this.arrays.get(key);
    if (!array) this.arrays.set(key, (array = new ZarrArray(this, key, node, node.array)));
    return array;
  }

  close(): void {
    this.arrays.clear();
  }

  private node(path: string): ZarrNode | undefined {
    return this.nodes.get(keyOf(path));
  }
}

function keyOf(path: string): string {
  return path.replace(/^\/+|\/+$/g, "");
}

/** Values of a chunk; booleans and fixed-width strings have an accessor. */
type Decoded = ArrayLike<unknown> | { readonly length: number; get(position: number): unknown };
interface Chunk {
  readonly data: Decoded;
  readonly stride: readonly number[];
}

class ZarrArray implements StoredArray {
  readonly place: string;
  readonly shape: readonly number[] | null;
  readonly dtype: string;
  readonly width: number;
  private library: Promise<ZarrLibraryArray<DataType>> | null = null;

  constructor(
    private readonly store: ZarrStore,
    private readonly path: string,
    private readonly node: ZarrNode,
    private readonly info: ZarrArrayInfo,
  ) {
    this.place = store.place(path);
    this.shape = node.attributes["encoding-type"] === "null" ? null : info.shape;
    this.dtype = info.dtype;
    this.width = info.shape.slice(1).reduce((product, length) => product * length, 1);
  }

  get length(): number {
    return this.shape === null ? 0 : (this.shape[0] ?? 1);
  }

  get rowsPerChunk(): number {
    return this.info.chunks[0] ?? 1;
  }

  array(length: number): NumericArray {
    const constructor = arrays[this.dtype];
    if (constructor === undefined)
      throw this.error("format", `numbers were expected, but the values are of type ${this.dtype}`);
    if (length > mostValues) throw this.error("memory", `not enough memory for ${length} values`);
    try {
      return new constructor(length);
    } catch (error) {
      throw this.error("memory", `not enough memory for ${length} values`, error);
    }
  }

  async numbers(): Promise<NumericArray> {
    const values = this.array(this.length * this.width);
    await this.readInto(values, 0, 0, this.length);
    return values;
  }

  async readInto(target: NumericArray, offset: number, start: number, end: number): Promise<void> {
    this.array(0);
    const isLong = this.dtype === "int64" || this.dtype === "uint64";
    const isNarrow = target instanceof Int32Array && ["int64", "uint64", "uint32"].includes(this.dtype);
    await this.eachRun(start, end, (data, from, step, count, at) => {
      if (step === 1 && !isLong && !isNarrow && ArrayBuffer.isView(data)) {
        target.set((data as unknown as NumericArray).subarray(from, from + count), offset + at);
        return;
      }
      for (let i = 0; i < count; i++) {
        const value = Number(valueAt(data, from + i * step));
        if (isLong && !Number.isSafeInteger(value))
          throw this.error("format", "it holds integers beyond 2^53, which cannot be read exactly");
        target[offset + at + i] = isNarrow && value !== (value | 0) ? -1 : value;
      }
    });
  }

  async strings(): Promise<(string | null)[]> {
    if (this.dtype !== "string")
      throw this.error("format", `strings were expected, but the values are of type ${this.dtype}`);
    const length = this.length * this.width;
    if (length > 2 ** 31) throw this.error("memory", `not enough memory for ${length} strings`);
    const texts: (string | null)[] = [];
    await this.eachRun(0, this.length, (data, from, step, count, at) => {
      for (let i = 0; i < count; i++) {
        const value = valueAt(data, from + i * step);
        texts[at + i] = typeof value === "string" ? value : null;
      }
    });
    return texts;
  }

  error(kind: ErrorKind, problem: string, cause?: unknown): ScPoliError {
    return new ScPoliError(
      kind,
      `${this.place} cannot be read: ${problem}.`,
      { path: this.store.path, key: this.path },
      { cause },
    );
  }

  /**
   * Passes rows [start, end) as runs of neighbouring values.
   * @param copy - `count` values of `data` at `from`, `from + step`, ... belong at position `at` of the
   * result
   */
  private async eachRun(
    start: number,
    end: number,
    copy: (data: Decoded, from: number, step: number, count: number, at: number) => void,
  ): Promise<void> {
    const { shape, chunks } = this.info;
    if (end <= start || this.width === 0) return;
    const rank = shape.length;
    // chunk coordinates that the rows touch
    const first = shape.map((_, i) => (i === 0 ? Math.floor(start / chunks[0]!) : 0));
    const last = shape.map((length, i) => Math.ceil((i === 0 ? end : length) / chunks[i]!));
    const coordinates = cartesian(first, last);
    for (let done = false; !done;) {
      const wanted: number[][] = [];
      while (wanted.length < chunksAtOnce && !done) {
        const next = coordinates.next();
        if (next.done) done = true;
        else wanted.push(next.value);
      }
      // if several fail, always report the same one
      const decoded = (await Promise.allSettled(wanted.map((at) => this.chunk(at)))).map((chunk) => {
        if (chunk.status === "rejected") throw chunk.reason;
        return chunk.value;
      });
      decoded.forEach(({ data, stride }, k) => {
        if (rank === 0) return copy(data, 0, 1, 1, 0);
        // intersection of the chunk with the requested rows, in array coordinates
        const low = shape.map((_, i) => Math.max(i === 0 ? start : 0, wanted[k]![i]! * chunks[i]!));
        const high = shape.map((length, i) =>
          Math.min(i === 0 ? end : length, (wanted[k]![i]! + 1) * chunks[i]!),
        );
        const inner = rank - 1;
        const count = high[inner]! - low[inner]!;
        const outer = cartesian(low.slice(0, inner), high.slice(0, inner));
        for (const position of outer) {
          let from = (low[inner]! - wanted[k]![inner]! * chunks[inner]!) * stride[inner]!;
          let at = 0;
          for (let i = 0; i < inner; i++) {
            from += (position[i]! - wanted[k]![i]! * chunks[i]!) * stride[i]!;
            at = at * shape[i]! + (position[i]! - (i === 0 ? start : 0));
          }
          copy(
            data,
            from,
            stride[inner]!,
            count,
            inner === 0 ? low[0]! - start : at * shape[inner]! + low[inner]!,
          );
        }
      });
    }
  }

  private async chunk(coordinates: number[]): Promise<Chunk> {
    const wanted = this.info.chunks.reduce((product, length) => product * length, 1);
    try {
      const library = await (this.library ??= this.open());
      const { data, stride } = await library.getChunk(coordinates);
      if (data.length !== wanted)
        throw new Error(`a chunk has ${data.length} values, ${wanted} were expected`);
      return { data: data as Decoded, stride };
    } catch (error) {
      if (error instanceof ScPoliError) throw error;
      if (error instanceof TypeError)
        throw this.error("format", "its metadata are damaged or of an unknown kind", error);
      const reason =
        error instanceof Error
          ? ((error.cause as Error | undefined)?.message ?? error.message)
          : String(error);
      const isUnknown =
        error instanceof Error && /Unknown|Unsupported/.test(error.name + error.message + reason);
      throw this.error(
        isUnknown ? "format" : "file",
        isUnknown
          ? reason.replace("undefined", "not given")
          : `chunk ${coordinates.join(", ")} is damaged (${reason}). Copy or download it again`,
        error,
      );
    }
  }

  /** Opens a zarrita store rooted at the array; otherwise group names would have to be valid in URLs. */
  private async open(): Promise<ZarrLibraryArray<DataType>> {
    const { files } = this.store;
    const store = {
      get: (key: string) => files.get(this.path + key),
      getRange: (key: string, range: ByteRange) => files.getRange(this.path + key, range),
    };
    return (await (this.node.version === 3 ? open.v3 : open.v2)(store as never, {
      kind: "array",
    })) as ZarrLibraryArray<DataType>;
  }
}

/** All coordinates from `low` (inclusive) to `high` (exclusive), the last dimension fastest. */
function* cartesian(low: readonly number[], high: readonly number[]): Generator<number[], void> {
  if (low.some((value, i) => value >= high[i]!)) return;
  const at = [...low];
  for (;;) {
    yield [...at];
    let i = at.length - 1;
    while (i >= 0 && ++at[i]! >= high[i]!) at[i] = low[i--]!;
    if (i < 0) return;
  }
}

function valueAt(data: Decoded, position: number): unknown {
  return "get" in data ? data.get(position) : data[position];
}

type ArrayConstructor = new (length: number) => NumericArray;
const arrays: Readonly<Record<string, ArrayConstructor>> = {
  bool: Int8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: Float64Array,
  uint64: Float64Array,
  float32: Float32Array,
  float64: Float64Array,
};
