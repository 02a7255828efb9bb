// Locates the values of a dataset in its file. Covers the common storage of large datasets: contiguous, or
// chunks listed in a version 1 B-tree, uncompressed or deflated. Everything else, and anything unexpected, is
// left to HDF5, which reports damage in detail.
//
// HDF5 opens and describes every file; only the bytes of such chunks are read without it (hdf5-chunks.ts).
// Node's zlib inflates faster than h5wasm, which is WebAssembly, and uncompressed values need no extra copy.
//
// Source: HDF5 File Format Specification 3.0, "Version 1 B-trees", "The Data Layout Message", "The Datatype
// Message".
import type { DirectFile } from "#platform";
import {
  messageTypes,
  noAddress,
  readLong,
  readMessages,
  readSuperblock,
  viewOf,
  type ReadAt,
} from "./hdf5-format.js";

/** A dataset of one or two dimensions, as HDF5 describes it. */
export interface DescribedDataset {
  /** rows, and values per row */
  readonly shape: readonly [number, number];
  readonly dimensions: number;
  readonly dtype: string;
  /** bytes per value */
  readonly size: number;
  /** rows and columns of a chunk; null if the dataset is contiguous */
  readonly chunk: readonly [number, number] | null;
  readonly filters: readonly { readonly id: number; readonly cd_values: readonly number[] }[];
}

/** Chunks in row-major order. Edge chunks have the full size. A contiguous dataset is one chunk. */
export interface ChunkIndex {
  readonly dtype: string;
  readonly size: number;
  /** values per row of the dataset */
  readonly width: number;
  /** rows and columns of a chunk */
  readonly chunk: readonly [number, number];
  /** chunks per band of rows */
  readonly across: number;
  /** positions in the file */
  readonly positions: Float64Array;
  /** compressed bytes of each chunk; null if the values are uncompressed */
  readonly stored: Uint32Array | null;
  /** shuffle filter: the first bytes of all values come first, then the second bytes, and so on */
  readonly isShuffled: boolean;
}

/** An array that another thread can read without HDF5. Transferable between threads. */
export interface ArrayDescription {
  /** "query.h5ad: X/data", for error texts */
  readonly place: string;
  readonly filePath: string;
  /** inside the file */
  readonly path: string;
  /** identity of the file */
  readonly identity: string;
  readonly length: number;
  readonly rowsPerChunk: number;
  readonly index: ChunkIndex;
}

/** Chunks larger than this are not read in one piece. */
const mostChunkBytes = 1 << 28;

/**
 * Indexes the chunks of a dataset.
 * @param address - of the dataset's object header
 * @returns null if HDF5 must read it
 */
export async function findChunks(
  file: DirectFile,
  address: number,
  dataset: DescribedDataset,
): Promise<ChunkIndex | null> {
  const filters = dataset.filters.map(({ id }) => id).join();
  const shuffled = dataset.filters.find(({ id }) => id === shuffle);
  if (!["", "1", "2,1"].includes(filters) || (shuffled && shuffled.cd_values[0] !== dataset.size))
    return null;
  const read: ReadAt = (position, length) => {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, file.bytes - position)));
    return file.read(position, bytes) ? bytes : bytes.subarray(0, 0);
  };
  try {
    const { base, position, extension } = await readSuperblock(read);
    if (base !== position || extension !== noAddress) return null;
    const messages = await readMessages(read, base, address);
    const only = (type: number): DataView | null => {
      const matches = messages.filter((message) => message.type === type);
      return matches.length === 1 && (matches[0]!.flags & isShared) === 0 ? matches[0]!.content : null;
    };
    const [datatype, layout] = [only(messageTypes.datatype), only(messageTypes.layout)];
    if (!datatype || !layout || messages.some(({ type }) => type === messageTypes.externalFiles)) return null;
    if (!isPlainType(datatype, dataset) || layout.getUint8(0) !== 3) return null;
    const index = dataset.chunk
      ? await indexOfTree(read, base, layout, dataset, filters !== "")
      : indexOfPiece(base, layout, dataset);
    return index && isInside(index, file.bytes) ? { ...index, isShuffled: shuffled !== undefined } : null;
  } catch {
    return null; // HDF5 hits the same problem and reports it
  }
}

const shuffle = 2;
const isShared = 2;

/** Whether the type matches the processor's: little-endian, all bits used, IEEE 754. */
function isPlainType(type: DataView, { dtype, size }: DescribedDataset): boolean {
  const [, kind, bits] = /^(u?int|float)(\d+)$/.exec(dtype) ?? [];
  const [order, sign] = [type.getUint8(1), type.getUint8(2)];
  if (
    kind === undefined ||
    Number(bits) !== 8 * size ||
    type.getUint32(4, true) !== size ||
    type.getUint16(8, true) !== 0 ||
    type.getUint16(10, true) !== 8 * size
  )
    return false;
  const isFloat = kind === "float";
  if ((type.getUint8(0) & 15) !== (isFloat ? 1 : 0)) return false;
  if (!isFloat) return order === (kind === "int" ? 8 : 0);
  const { exponent, bias } = floats[size]!;
  const fraction = 8 * size - 1 - exponent;
  return (
    order === 0x20 &&
    sign === 8 * size - 1 &&
    [fraction, exponent, 0, fraction].every((value, i) => type.getUint8(12 + i) === value) &&
    type.getUint32(16, true) === bias
  );
}

/** by size in bytes */
const floats: Readonly<Record<number, { readonly exponent: number; readonly bias: number }>> = {
  2: { exponent: 5, bias: 15 },
  4: { exponent: 8, bias: 127 },
  8: { exponent: 11, bias: 1023 },
};

type Positions = Omit<ChunkIndex, "isShuffled">;

function indexOfPiece(
  base: number,
  layout: DataView,
  { shape, dtype, size }: DescribedDataset,
): Positions | null {
  const [rows, width] = shape;
  if (layout.getUint8(1) !== 1 || readLong(layout, 10) !== rows * width * size) return null;
  return {
    dtype,
    size,
    width,
    chunk: shape,
    across: 1,
    positions: Float64Array.of(base + readLong(layout, 2)),
    stored: null,
  };
}

/** A B-tree of chunks while it is read. */
interface ChunkTree {
  readonly read: ReadAt;
  readonly base: number;
  /** rows, columns and bytes per value of a chunk; only rows and bytes with one dimension */
  readonly chunkShape: readonly number[];
  readonly isDeflated: boolean;
  /** bytes of a chunk that is not compressed */
  readonly chunkBytes: number;
  /** chunks per band of rows */
  readonly across: number;
  /** positions in the file, and stored bytes, of each chunk; 0 bytes if the chunk was not listed yet */
  readonly positions: Float64Array;
  readonly stored: Uint32Array;
}

/** Indexes a B-tree. Every chunk must be listed exactly once: HDF5 fills chunks that were never written. */
async function indexOfTree(
  read: ReadAt,
  base: number,
  layout: DataView,
  { shape, dimensions, dtype, size, chunk }: DescribedDataset,
  isDeflated: boolean,
): Promise<Positions | null> {
  const [[rows, width], [tall, wide]] = [shape, chunk!];
  const chunkBytes = tall * wide * size;
  const chunkShape = [tall, wide].slice(0, dimensions).concat(size);
  if (
    layout.getUint8(1) !== 2 ||
    layout.getUint8(2) !== dimensions + 1 ||
    chunkShape.some((length, i) => layout.getUint32(11 + 4 * i, true) !== length)
  )
    return null;
  const across = Math.ceil(width / wide);
  const count = Math.ceil(rows / tall) * across;
  if (!(chunkBytes > 0 && chunkBytes <= mostChunkBytes) || !(count > 0 && count <= mostChunks)) return null;
  const [positions, stored] = [new Float64Array(count), new Uint32Array(count)];
  const tree: ChunkTree = { read, base, chunkShape, isDeflated, chunkBytes, across, positions, stored };
  const root = readLong(layout, 3);
  if (root === noAddress || (await indexNode(tree, root, null)) !== count) return null;
  return { dtype, size, width, chunk: [tall, wide], across, positions, stored: isDeflated ? stored : null };
}

/**
 * Indexes the chunks of a node and of the nodes below. Levels decrease with depth, so the recursion ends.
 * @param level - expected level; null for the root
 * @returns the number of chunks; null if anything is unexpected
 */
async function indexNode(tree: ChunkTree, address: number, level: number | null): Promise<number | null> {
  const start = await tree.read(tree.base + address, nodeHeader);
  const fields = viewOf(start);
  const nodeLevel = fields.getUint8(5);
  const entries = fields.getUint16(6, true);
  if (
    treeSignature.some((byte, i) => start[i] !== byte) ||
    fields.getUint8(4) !== 1 ||
    nodeLevel !== (level ?? nodeLevel) ||
    nodeLevel > mostLevels ||
    entries === 0
  )
    return null;
  const keyBytes = 8 + 8 * tree.chunkShape.length;
  const node = viewOf(await tree.read(tree.base + address + nodeHeader, entries * (keyBytes + 8)));
  let chunks = 0;
  for (let at = 0; at < node.byteLength; at += keyBytes + 8) {
    const child = readLong(node, at + keyBytes);
    if (nodeLevel > 0) {
      const below = await indexNode(tree, child, nodeLevel - 1);
      if (below === null) return null;
      chunks += below;
      continue;
    }
    if (!indexChunk(tree, node, at, child)) return null;
    chunks++;
  }
  return chunks;
}

/** @param at - of the chunk's key in its node @returns false if anything is unexpected */
function indexChunk(
  { base, chunkShape, isDeflated, chunkBytes, across, positions, stored }: ChunkTree,
  node: DataView,
  at: number,
  address: number,
): boolean {
  const [length, filtersLeftOut] = [node.getUint32(at, true), node.getUint32(at + 4, true)];
  const offset = chunkShape.map((_, i) => readLong(node, at + 8 + 8 * i));
  const [row, column] = [
    offset[0]! / chunkShape[0]!,
    chunkShape.length === 3 ? offset[1]! / chunkShape[1]! : 0,
  ];
  const number = row * across + column;
  if (
    offset.at(-1) !== 0 ||
    !Number.isInteger(row) ||
    !Number.isInteger(column) ||
    column >= across ||
    number >= positions.length ||
    stored[number] !== 0
  )
    return false;
  if (
    filtersLeftOut !== 0 ||
    (isDeflated ? !(length > 0 && length <= 2 * chunkBytes + 1024) : length !== chunkBytes)
  )
    return false;
  positions[number] = base + address;
  stored[number] = length;
  return true;
}

const treeSignature = [...new TextEncoder().encode("TREE")];
const nodeHeader = 24;
/** Each level has at least 64 branches, so no file needs more levels. */
const mostLevels = 8;
const mostChunks = 1 << 26;

function isInside({ positions, stored, size, chunk }: Positions, bytes: number): boolean {
  const chunkBytes = size * chunk[0] * chunk[1];
  return positions.every(
    (position, i) => position > 0 && position + (stored ? stored[i]! : chunkBytes) <= bytes,
  );
}
