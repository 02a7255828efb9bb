// Reads values from the chunks of a dataset, straight from the file. Deflated chunks are inflated one by one;
// of uncompressed chunks, only the requested rows are read.
import type { DirectFile } from "#platform";
import { arrays, copyNumbers } from "./hdf5-types.js";
import type { ChunkIndex } from "./hdf5-chunk-index.js";
import type { NumericArray } from "./matrix.js";

/** Bytes read at a time when values are converted. */
const bytesPerPiece = 1 << 20;

/** A request for rows [start, end) of a dataset. */
interface Wanted {
  readonly file: DirectFile;
  readonly index: ChunkIndex;
  readonly start: number;
  readonly end: number;
  readonly target: NumericArray;
  /** position in the target of the first value */
  readonly offset: number;
}

/**
 * Copies rows [start, end) into the target, converted to its type.
 * @returns "damaged" if a chunk does not inflate to its length or the file is too short, "beyond" if a 64-bit
 * integer exceeds 2^53; the target is invalid then
 */
export function readChunks(wanted: Wanted): Result {
  const { index, start, end } = wanted;
  const [tall, wide] = index.chunk;
  const isPlain = !index.stored && wide === index.width;
  const [first, last] = [Math.floor(start / tall), Math.ceil(end / tall)];
  let result: Result = "read";
  if (isPlain)
    for (let band = first; band < last && result === "read"; band++) result = readPlain(wanted, band);
  else
    for (let number = first * index.across; number < last * index.across && result === "read"; number++) {
      const bytes = chunkBytes(wanted, number);
      result = bytes ? copyChunk(wanted, number, bytes) : "damaged";
    }
  return result;
}

type Result = "read" | "damaged" | "beyond";

function lengthOf({ chunk, size }: ChunkIndex): number {
  return chunk[0] * chunk[1] * size;
}

/** The requested rows of a band of chunks. */
function rowsOf({ index, start, end }: Wanted, band: number): readonly [number, number] {
  const tall = index.chunk[0];
  return [Math.max(start, band * tall), Math.min(end, (band + 1) * tall)];
}

/** Reads the requested rows of an uncompressed chunk that is as wide as the dataset. */
function readPlain(wanted: Wanted, band: number): Result {
  const { file, index, start, target, offset } = wanted;
  const { dtype, size, width, chunk } = index;
  const [from, to] = rowsOf(wanted, band);
  const position = index.positions[band]! + (from - band * chunk[0]) * width * size;
  const at = offset + (from - start) * width;
  const length = (to - from) * width;
  // 64-bit integers and half precision always need conversion
  if (target.BYTES_PER_ELEMENT === size && target.constructor === arrays[dtype] && !/int64/.test(dtype))
    return file.read(position, new Uint8Array(target.buffer, target.byteOffset + at * size, length * size))
      ? "read"
      : "damaged";
  const step = Math.floor(bytesPerPiece / size);
  const piece = new Uint8Array(Math.min(step, length) * size);
  for (let done = 0; done < length; done += step) {
    const count = Math.min(step, length - done);
    if (!file.read(position + done * size, piece.subarray(0, count * size))) return "damaged";
    if (!copyNumbers(piece.buffer, 0, count, dtype, target, at + done)) return "beyond";
  }
  return "read";
}

/** The bytes of a whole chunk, aligned in their buffer; null if it does not match the index. */
function chunkBytes({ file, index }: Wanted, number: number): Uint8Array | null {
  const length = lengthOf(index);
  const stored = new Uint8Array(index.stored ? index.stored[number]! : length);
  if (!file.read(index.positions[number]!, stored)) return null;
  if (!index.stored) return stored;
  const bytes = file.inflate(stored, length);
  if (!bytes) return null;
  if (index.isShuffled) return unshuffled(bytes, index.size);
  return bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
}

/** Undoes the shuffle filter. */
function unshuffled(bytes: Uint8Array, size: number): Uint8Array {
  const values = new Uint8Array(bytes.length);
  const count = bytes.length / size;
  for (let k = 0; k < size; k++)
    for (let i = 0, at = k, from = k * count; i < count; i++, at += size) values[at] = bytes[from + i]!;
  return values;
}

/** Copies the requested rows of a chunk: at once if it is as wide as the dataset, otherwise row by row. */
function copyChunk(wanted: Wanted, number: number, bytes: Uint8Array): Result {
  const { index, start, target, offset } = wanted;
  const { dtype, size, width, across } = index;
  const [tall, wide] = index.chunk;
  const band = Math.floor(number / across);
  const column = (number % across) * wide;
  const [from, to] = rowsOf(wanted, band);
  const rows = wide === width ? to - from : 1;
  const length = wide === width ? rows * width : Math.min(wide, width - column);
  for (let row = from; row < to; row += rows) {
    const pointer = bytes.byteOffset + (row - band * tall) * wide * size;
    if (!copyNumbers(bytes.buffer, pointer, length, dtype, target, offset + (row - start) * width + column))
      return "beyond";
  }
  return "read";
}
