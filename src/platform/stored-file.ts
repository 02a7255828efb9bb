// A file of the browser's virtual file system: an unchanged Blob (usually a file on the user's disk) and
// modified pages.
//
// A copy therefore takes neither memory nor time, and additions only take their pages. Reading is
// synchronous, as HDF5 requires: FileReaderSync, which exists only in workers. Positions are numbers up to
// 2^53, so files may exceed the 32-bit address space.
import { ScPoliError } from "../contract/errors.js";
import { FileReader } from "./worker-scope.js";

const pageBytes = 1 << 16;
/** Number of cached pages: HDF5 reads its indices repeatedly. */
const keptPages = 64;
/**
 * Modified bytes held in this worker; beyond that, they are handed to the browser as a Blob, which may move
 * them to disk.
 */
const mostChanged = 64 << 20;

let files = 0;

export class StoredFile {
  /** unique, even among files that have had the same name */
  readonly id = ++files;
  #base: Blob;
  #bytes: number;
  readonly #changed = new Map<number, Uint8Array<ArrayBuffer>>();
  readonly #read = new Map<number, Uint8Array<ArrayBuffer>>();

  constructor(content: Blob = new Blob([])) {
    this.#base = content;
    this.#bytes = content.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A snapshot of the content; later changes do not affect it. */
  blob(): Blob {
    if (this.#changed.size > 0 || this.#bytes !== this.#base.size) this.#compose();
    return this.#base;
  }

  /** Fills `into` from `position`. @returns bytes read: fewer if the file ends before */
  read(position: number, into: Uint8Array): number {
    const length = Math.max(0, Math.min(into.length, this.#bytes - position));
    for (let done = 0; done < length;) {
      const at = position + done;
      const page = Math.floor(at / pageBytes);
      const offset = at - page * pageBytes;
      const changed = this.#changed.get(page);
      const rest = length - done;
      if (!changed && rest >= pageBytes) {
        const end = this.#nextChanged(page, position + length);
        this.#readBase(at, into.subarray(done, end - position));
        done = end - position;
        continue;
      }
      const part = (changed ?? this.#page(page)).subarray(offset, offset + rest);
      into.set(part, done);
      done += part.length;
    }
    return length;
  }

  write(position: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const at = position + done;
      const page = Math.floor(at / pageBytes);
      const offset = at - page * pageBytes;
      const part = bytes.subarray(done, done + pageBytes - offset);
      this.#changeable(page).set(part, offset);
      done += part.length;
    }
    this.#bytes = Math.max(this.#bytes, position + bytes.length);
    if (this.#changed.size * pageBytes > mostChanged) this.#compose();
  }

  /** Truncates the file, or extends it with zeros. */
  truncate(bytes: number): void {
    if (bytes < this.#bytes) {
      const last = Math.floor(bytes / pageBytes);
      if (bytes % pageBytes > 0) this.#changeable(last).fill(0, bytes - last * pageBytes);
      for (const page of this.#changed.keys()) if (page * pageBytes >= bytes) this.#changed.delete(page);
      this.#read.clear();
      if (this.#base.size > bytes) this.#base = this.#base.slice(0, bytes);
    }
    this.#bytes = bytes;
  }

  /** End of the unchanged bytes that start at `page`; at most `end`. */
  #nextChanged(page: number, end: number): number {
    if (this.#changed.size === 0) return end;
    let next = page + 1;
    while (next * pageBytes < end && !this.#changed.has(next)) next++;
    return Math.min(end, next * pageBytes);
  }

  /** An unchanged page. */
  #page(page: number): Uint8Array<ArrayBuffer> {
    let content = this.#read.get(page);
    if (content) this.#read.delete(page);
    else {
      content = new Uint8Array(pageBytes);
      this.#readBase(page * pageBytes, content);
      if (this.#read.size >= keptPages) this.#read.delete(this.#read.keys().next().value!);
    }
    this.#read.set(page, content); // least recently used pages are dropped first
    return content;
  }

  #changeable(page: number): Uint8Array<ArrayBuffer> {
    let content = this.#changed.get(page);
    if (!content) {
      content = this.#page(page);
      this.#read.delete(page);
      this.#changed.set(page, content);
    }
    return content;
  }

  /** Unchanged bytes; zeros beyond the end. */
  #readBase(position: number, into: Uint8Array): void {
    const content = readBlob(this.#base.slice(position, position + into.length));
    into.set(content);
    into.fill(0, content.length);
  }

  /** Composes one Blob of the unchanged parts and the modified pages. */
  #compose(): void {
    const parts: BlobPart[] = [];
    const base = this.#base;
    let at = 0;
    const unchanged = (end: number): void => {
      if (at < Math.min(end, base.size)) parts.push(base.slice(at, end));
      at = Math.max(at, Math.min(end, base.size));
      for (; at < end; at += zeros.size) parts.push(end - at < zeros.size ? zeros.slice(0, end - at) : zeros);
      at = end;
    };
    for (const [page, content] of [...this.#changed].sort(([a], [b]) => a - b)) {
      unchanged(page * pageBytes);
      parts.push(content.subarray(0, this.#bytes - at));
      at += Math.min(pageBytes, this.#bytes - at);
    }
    unchanged(this.#bytes);
    this.#base = new Blob(parts);
    this.#changed.clear();
    this.#read.clear();
  }
}

const zeros = new Blob([new Uint8Array(1 << 20)]);

let reader: InstanceType<NonNullable<typeof FileReader>> | null = null;

/** @throws the browser's error: NotReadableError if the file on disk has changed or is gone */
export function readBlob(blob: Blob): Uint8Array<ArrayBuffer> {
  if (!FileReader)
    throw new ScPoliError(
      "usage",
      'Files are read in a worker: start one with new Worker(new URL("./worker.js", import.meta.url), ' +
        '{ type: "module" }) and use scpoli there.',
    );
  reader ??= new FileReader();
  return new Uint8Array(reader.readAsArrayBuffer(blob));
}
