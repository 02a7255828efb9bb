// Reads selected files from tar files, gzipped or not, in one forward pass; other files take no memory.
// Source: POSIX.1-2001, "pax interchange format", and GNU tar's long names.
import { Gunzip } from "fflate";

/** The selected files of a tar file, by name, and the names of all files. */
export interface TarFiles {
  readonly names: readonly string[];
  readonly files: ReadonlyMap<string, Uint8Array>;
}

const block = 512;
const mostEntries = 100_000;
/** Maximum size of a header with a long name. */
const longestHeader = 1 << 20;

/** The part being read: a header, or the content of an entry. */
interface Content {
  readonly kind: "file" | "name" | "attributes";
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Parses a tar file incrementally. Throws Errors that describe what is wrong. */
export class TarReader {
  readonly #names: string[] = [];
  readonly #files = new Map<string, Uint8Array>();
  readonly #header = new Uint8Array(block);
  #headerBytes = 0;
  #content: Content | null = null;
  #filled = 0;
  /** bytes to skip: content of other files, and padding to the next block */
  #skip = 0;
  #nextName: string | null = null;
  #kept = 0;
  #isEnd = false;

  /**
   * @param wants - whether to keep a file
   * @param limit - maximum bytes to keep
   */
  constructor(
    private readonly wants: (name: string) => boolean,
    private readonly limit: number,
  ) {}

  push(piece: Uint8Array): void {
    for (let at = 0; at < piece.length && !this.#isEnd;) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, piece.length - at);
        this.#skip -= passed;
        at += passed;
      } else if (this.#content) {
        const { bytes } = this.#content;
        const part = piece.subarray(at, at + bytes.length - this.#filled);
        bytes.set(part, this.#filled);
        this.#filled += part.length;
        at += part.length;
        if (this.#filled === bytes.length) this.#finishContent(this.#content);
      } else {
        const part = piece.subarray(at, at + block - this.#headerBytes);
        this.#header.set(part, this.#headerBytes);
        this.#headerBytes += part.length;
        at += part.length;
        if (this.#headerBytes === block) this.#readHeader();
      }
    }
  }

  end(): TarFiles {
    if (!this.#isEnd && (this.#headerBytes > 0 || this.#content || this.#skip > 0))
      throw new Error("it is truncated");
    return { names: this.#names, files: this.#files };
  }

  #readHeader(): void {
    this.#headerBytes = 0;
    const header = this.#header;
    if (header.every((byte) => byte === 0)) {
      this.#isEnd = true;
      return;
    }
    let sum = 0;
    header.forEach((byte, i) => (sum += i >= 148 && i < 156 ? 32 : byte));
    if (sum !== number(header, 148, 8)) throw new Error("it is not a tar file, or it is damaged");
    const size = number(header, 124, 12);
    if (!Number.isSafeInteger(size) || size < 0) throw new Error("the size of one of its files is damaged");
    const type = String.fromCharCode(header[156]!);
    const prefix = text(header, 257, 5) === "ustar" ? text(header, 345, 155) : "";
    const shortName = text(header, 0, 100);
    const name = this.#nextName ?? (prefix === "" ? shortName : `${prefix}/${shortName}`);
    const padding = (block - (size % block)) % block;
    if (type === "L" || type === "x") {
      if (size > longestHeader) throw new Error("one of its names is too long");
      this.#start({ kind: type === "L" ? "name" : "attributes", name, bytes: new Uint8Array(size) }, padding);
      return;
    }
    this.#nextName = null;
    const isFile = type === "0" || type === "\0" || type === "7";
    if (isFile) this.#names.push(name);
    if (this.#names.length > mostEntries) throw new Error("it has more files than a model can have");
    if (isFile && this.wants(name)) {
      this.#kept += size;
      if (this.#kept > this.limit) throw new Error(`the size of '${name}' is not plausible (${size} bytes)`);
      this.#start({ kind: "file", name, bytes: new Uint8Array(size) }, padding);
    } else this.#skip = size + padding;
  }

  #padding = 0;

  #start(content: Content, padding: number): void {
    this.#content = content;
    this.#filled = 0;
    this.#padding = padding;
    if (content.bytes.length === 0) this.#finishContent(content);
  }

  #finishContent({ kind, name, bytes }: Content): void {
    this.#content = null;
    this.#skip = this.#padding;
    if (kind === "file") this.#files.set(name, bytes);
    else if (kind === "name") this.#nextName = text(bytes, 0, bytes.length);
    else this.#nextName = paxPath(bytes) ?? this.#nextName;
  }
}

/** Decompresses gzip incrementally. @throws Error from `push` if it is damaged */
export class GzipReader {
  readonly #gunzip: Gunzip;

  constructor(take: (piece: Uint8Array) => void) {
    this.#gunzip = new Gunzip((piece) => take(piece));
  }

  push(piece: Uint8Array, isLast: boolean): void {
    this.#gunzip.push(piece, isLast);
  }
}

/** A zero-terminated string. */
function text(bytes: Uint8Array, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

/** A number in octal digits or, if the first bit is set, big-endian bytes. NaN if invalid. */
function number(bytes: Uint8Array, at: number, length: number): number {
  if (bytes[at]! & 0x80)
    return bytes
      .subarray(at, at + length)
      .reduce((value, byte, i) => value * 256 + (i === 0 ? byte & 0x7f : byte), 0);
  const digits = text(bytes, at, length).trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || "0", 8) : NaN;
}

/** `path` of a pax header, whose records are "LENGTH key=value\n" with the length of the whole record. */
function paxPath(bytes: Uint8Array): string | null {
  let path: string | null = null;
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(32, at);
    const length = space < 0 ? NaN : Number(text(bytes, at, space - at));
    if (!(length > space - at) || at + length > bytes.length) return path;
    const record = text(bytes, space + 1, at + length - space - 2);
    if (record.startsWith("path=")) path = record.slice("path=".length);
    at += length;
  }
  return path;
}
