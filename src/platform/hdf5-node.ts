// The HDF5 library under Node.
import { readSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

export type Hdf5 = typeof import("h5wasm");

/** The HDF5 library and the names of the compression filters that came with it ("lzf", "zstd", ...), besides those that are built in. */
export interface LoadedHdf5 {
  readonly library: Hdf5;
  readonly filters: ReadonlySet<string>;
}

let hdf5: Promise<LoadedHdf5> | null = null;
let hdf5Copies = 0;

/** The HDF5 library, loaded at the first call. Its errors are thrown, not printed. */
export function loadHdf5(): Promise<LoadedHdf5> {
  hdf5 ??= (async () => {
    const address = import.meta.resolve("h5wasm/node");
    const library = (await import(hdf5Copies++ === 0 ? address : `${address}?copy=${hdf5Copies}`)) as Hdf5;
    const module = await library.ready;
    module.activate_throwing_error_handler();
    refuseDamagedHeaps((module as unknown as { FS: FileAccess }).FS);
    const folder = fileURLToPath(new URL("../hdf5-filters", import.meta.url));
    module.insert_plugin_search_path(folder, 0);
    const names = await readdir(folder).catch(() => []);
    return { library, filters: new Set(names.flatMap((name) => /^libH5Z(\w+)\.so$/.exec(name)?.[1] ?? [])) };
  })();
  return hdf5;
}

/** After a failure inside the library its memory and its open files cannot be trusted: the next file gets a fresh copy. */
export function abandonHdf5(): void {
  hdf5 = null;
}

/** What h5wasm calls to read a file. */
interface FileAccess {
  read(stream: { readonly nfd: number }, buffer: Int8Array, offset: number, length: number, position: number): number;
}

/**
 * HDF5 walks through a collection of texts (global heap) without a look at the lengths in it: a wrong one and it never ends. Here the lengths are checked as a
 * collection is read, and a damaged one loses its signature, which HDF5 refuses with an error.
 *
 * Source: HDF5 File Format Specification 3.0, "Global Heap".
 */
function refuseDamagedHeaps(access: FileAccess): void {
  const read = access.read;
  access.read = (stream, buffer, offset, length, position) => {
    const done = read(stream, buffer, offset, length, position);
    const start = Buffer.from(buffer.buffer, buffer.byteOffset + offset, Math.max(0, done));
    if (done >= heapHeader && start.readUInt32LE(0) === heapSignature && !isSoundHeap(start, stream.nfd, position)) buffer.fill(0, offset, offset + 4);
    return done;
  };
}

const heapSignature = 0x4c4f4347; // "GCOL"
const heapHeader = 16;
const objectHeader = 16;

/** @param start - the first bytes of the collection, which lies at `position` of the file: HDF5 reads the rest of a long one later */
function isSoundHeap(start: Buffer, file: number, position: number): boolean {
  const size = Number(start.readBigUInt64LE(8));
  if (size > mostHeapBytes) return false;
  let bytes = start;
  if (size > start.length) {
    bytes = Buffer.alloc(size);
    if (readSync(file, bytes, 0, size, position) < size) return false;
  }
  for (let at = heapHeader; at + objectHeader <= size; ) {
    const length = Number(bytes.readBigUInt64LE(at + 8));
    // object 0 is what is free, its header included
    const step = bytes.readUInt16LE(at) === 0 ? length : objectHeader + 8 * Math.ceil(length / 8);
    if (step < objectHeader || at + step > size) return false;
    at += step;
  }
  return true;
}

/** One text of a gigabyte has its own collection; there is no memory for longer ones. */
const mostHeapBytes = 2 ** 30 + 4096;
