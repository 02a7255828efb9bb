// A file of the browser's virtual file system: a Blob that stays where it is (a file on the user's disk, most
// often), and pages of it that have been changed.
//
// So a copy of a file takes no memory and no time, and what is added to it only its own pages. Reading is
// synchronous, as HDF5 needs it: FileReaderSync, which browsers have in workers only. Positions are numbers
// up to 2^53: files are not bounded by what 32 bits can address.
import { ScPoliError } from "../contract/errors.js";
import { FileReader } from "./worker-scope.js";

const pageBytes = 1 << 16;
/** Pages that were read and are kept: HDF5 comes back to its indices again and again. */
const keptPages = 64;
/**
 * Changed bytes that are held in this worker; more are handed to the browser, which moves them to its disk
 * when they are many.
 */
const mostChanged = 64 << 20;

let files = 0;

export class StoredFile {
  /** unlike that of any other file, also of one that has had the same name */
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

  /** The content as it is now; it stays what it is when the file is changed later. */
  blob(): Blob {
    if (this.#changed.size > 0 || this.#bytes !== this.#base.size) this.#compose();
    return this.#base;
  }

  /** Fills `into` from `position` on. @returns bytes read: fewer where the file ends before */
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

  /** Cuts the file off, or lengthens it by zeros. */
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

  /** Where the unchanged bytes from `page` on end, `end` at the latest. */
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
    this.#read.set(page, content); // the last one used is the last one dropped
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

  /** Makes one Blob of the unchanged parts and the changed pages. */
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

/** @throws what the browser throws: NotReadableError where the file on the disk has changed or gone */
export function readBlob(blob: Blob): Uint8Array<ArrayBuffer> {
  if (!FileReader)
    throw new ScPoliError(
      "usage",
      'Files are read in a worker: start one with new Worker(new URL("./worker.js", import.meta.url), { type: "module" }) and use scpoli there.',
    );
  reader ??= new FileReader();
  return new Uint8Array(reader.readAsArrayBuffer(blob));
}
