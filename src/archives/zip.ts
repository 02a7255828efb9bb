// Lists and extracts files of zip files, and writes small zip files. Declared sizes are not trusted, and
// checksums are verified. Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
import { inflateSync, zipSync } from "fflate";

/** Reads bytes [position, position + length) of a file; fewer if the file ends before that. */
export type ReadBytes = (position: number, length: number) => Promise<Uint8Array>;

/** A file inside a zip file. */
export interface ZipEntry {
  readonly name: string;
  readonly isEncrypted: boolean;
  /** 0: stored, 8: deflate */
  readonly method: number;
  readonly crc: number;
  /** compressed bytes */
  readonly packed: number;
  /** uncompressed bytes, as declared */
  readonly size: number;
  /** position of its local header */
  readonly position: number;
}

/** Maximum bytes of the end record: 22, and a comment of up to 65,535. */
const longestEnd = 22 + 65_535;
const mostEntries = 100_000;
const longestDirectory = 64 << 20;

/** Maximum compression ratio of deflate; a larger declared size is false. */
const largestRatio = 1032;

/**
 * Lists the files in a zip file, without folders.
 * @throws Error that describes the problem; RangeError if there are too many files
 */
export async function listZip(read: ReadBytes, bytes: number): Promise<ZipEntry[]> {
  const { position, length, count } = await directoryOf(read, bytes);
  if (position + length > bytes) throw new Error("its list of files is damaged");
  if (length > longestDirectory || count > mostEntries)
    throw new RangeError("it has more files than a model can have");
  const view = viewOf(await read(position, length));
  const entries: ZipEntry[] = [];
  for (let at = 0, n = 0; n < count; n++) {
    if (at + 46 > view.byteLength || view.getUint32(at, true) !== 0x02014b50)
      throw new Error("its list of files is damaged");
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((o) => view.getUint16(at + o, true));
    const end = at + 46 + nameLength! + extraLength! + commentLength!;
    if (end > view.byteLength) throw new Error("its list of files is damaged");
    const name = textOf(view, at + 46, nameLength!);
    const [size, packed, start] = wideNumbers(view, at, at + 46 + nameLength!, extraLength!);
    if (!name.endsWith("/"))
      entries.push({
        name,
        isEncrypted: (view.getUint16(at + 8, true) & 1) === 1,
        method: view.getUint16(at + 10, true),
        crc: view.getUint32(at + 16, true),
        packed: packed!,
        size: size!,
        position: start!,
      });
    at = end;
  }
  return entries;
}

interface Directory {
  readonly position: number;
  readonly length: number;
  readonly count: number;
}

async function directoryOf(read: ReadBytes, bytes: number): Promise<Directory> {
  const tailStart = Math.max(0, bytes - longestEnd);
  const view = viewOf(await read(tailStart, bytes - tailStart));
  let at = view.byteLength - 22;
  while (at >= 0 && view.getUint32(at, true) !== 0x06054b50) at--;
  if (at < 0) throw new Error("it is not a zip file, or it is truncated");
  const directory = {
    count: view.getUint16(at + 10, true),
    length: view.getUint32(at + 12, true),
    position: view.getUint32(at + 16, true),
  };
  if (directory.count < 0xffff && directory.length < 0xffffffff && directory.position < 0xffffffff)
    return directory;
  // sizes beyond 32 bits are in a separate record (4.3.14)
  if (at < 20 || view.getUint32(at - 20, true) !== 0x07064b50) return directory;
  const wide = viewOf(await read(Number(view.getBigUint64(at - 12, true)), 56));
  if (wide.byteLength < 56 || wide.getUint32(0, true) !== 0x06064b50)
    throw new Error("its list of files is damaged");
  const [count, length, position] = [32, 40, 48].map((o) => Number(wide.getBigUint64(o, true)));
  return { count: count!, length: length!, position: position! };
}

/** Size, packed size and position of an entry; values beyond 32 bits are in extra field 1. */
function wideNumbers(view: DataView, at: number, extra: number, extraLength: number): number[] {
  const numbers = [24, 20, 42].map((o) => view.getUint32(at + o, true));
  if (!numbers.includes(0xffffffff)) return numbers;
  for (let field = extra; field + 4 <= extra + extraLength;) {
    const length = view.getUint16(field + 2, true);
    if (view.getUint16(field, true) === 1) {
      let place = field + 4;
      return numbers.map((number) => {
        if (number !== 0xffffffff || place + 8 > field + 4 + length) return number;
        place += 8;
        return Number(view.getBigUint64(place - 8, true));
      });
    }
    field += 4 + length;
  }
  return numbers;
}

/**
 * Extracts one file of a zip file.
 * @param limit - maximum uncompressed bytes
 * @throws Error that describes the problem
 */
export async function readZipEntry(read: ReadBytes, entry: ZipEntry, limit: number): Promise<Uint8Array> {
  const { name, isEncrypted, method, crc, packed, size, position } = entry;
  if (isEncrypted) throw new Error(`'${name}' is encrypted`);
  if (method !== 0 && method !== 8) throw new Error(`'${name}' uses an unsupported compression`);
  if (size > limit || size > packed * largestRatio + 64 || (method === 0 && size !== packed))
    throw new Error(`the size of '${name}' is not plausible (${size} bytes from ${packed})`);
  const header = viewOf(await read(position, 30));
  if (header.byteLength < 30 || header.getUint32(0, true) !== 0x04034b50)
    throw new Error(`'${name}' is not where its list of files says`);
  const start = position + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  const content = await read(start, packed);
  if (content.length < packed) throw new Error(`'${name}' is truncated`);
  let unpacked = content;
  if (method === 8)
    try {
      unpacked = inflateSync(content, { out: new Uint8Array(size) });
    } catch (error) {
      throw new Error(`'${name}' cannot be unpacked (${(error as Error).message})`, { cause: error });
    }
  if (unpacked.length !== size || crc32(unpacked) !== crc)
    throw new Error(`'${name}' is damaged: its checksum does not match`);
  return unpacked;
}

/** The earliest date of the format in any time zone, so that entries do not depend on the clock. */
const noDate = new Date(1980, 0, 1);

/**
 * Writes a zip file of files in memory, deterministically. Text is compressed, numbers are stored.
 * @param files - in the order in which they are written
 */
export function writeZip(files: Readonly<Record<string, Uint8Array | string>>): Uint8Array {
  return zipSync(
    Object.fromEntries(
      Object.entries(files).map(([name, content]) => [
        name,
        typeof content === "string"
          ? [new TextEncoder().encode(content), { level: 6 as const }]
          : [content, { level: 0 as const }],
      ]),
    ),
    { mtime: noDate },
  );
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) value = (value >>> 8) ^ table[(value ^ bytes[i]!) & 255]!;
  return ~value >>> 0;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function textOf(view: DataView, at: number, length: number): string {
  return new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at, length));
}
