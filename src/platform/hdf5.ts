// The interface of the HDF5 library, and a guard that inspects every read of a file.
//
// HDF5 walks through a collection of strings (global heap) without checking the lengths in it: a wrong length
// causes an endless loop. Here the lengths are checked as a collection is read, and the signature of a
// damaged one is erased, so that HDF5 rejects it with an error.
//
// Source: HDF5 File Format Specification 3.0, "Global Heap".

export type Hdf5 = typeof import("h5wasm");

/** The HDF5 library with the compression filters of this package. */
export interface LoadedHdf5 {
  readonly library: Hdf5;
  /** Loads a filter that is not built in ("lzf", "zstd", ...). Returns whether it is available. */
  provideFilter(name: string): boolean;
}

const heapSignature = 0x4c4f4347; // "GCOL"
const heapHeader = 16;
const objectHeader = 16;
/** A string of a gigabyte has its own collection; longer strings do not fit into memory. */
const mostHeapBytes = 2 ** 30 + 4096;

/** Reads from the same file; returns the number of bytes read. */
type Read = (position: number, into: Uint8Array) => number;

/** Length of the reads to count, and their number. */
let [countedLength, counted] = [0, 0];

/** Number of reads of exactly `length` bytes by HDF5 while `act` runs. */
export function countReads(length: number, act: () => void): number {
  [countedLength, counted] = [length, 0];
  act();
  return counted;
}

/** @param bytes - what HDF5 has just read at `position`; it reads the rest of a long collection later */
export function lookAtRead(bytes: Uint8Array, position: number, read: Read): void {
  if (bytes.length === countedLength) counted++;
  refuseDamagedHeap(bytes, position, read);
}

function refuseDamagedHeap(bytes: Uint8Array, position: number, read: Read): void {
  if (bytes.length < heapHeader || viewOf(bytes).getUint32(0, true) !== heapSignature) return;
  if (!isSoundHeap(bytes, position, read)) bytes.fill(0, 0, 4);
}

function isSoundHeap(start: Uint8Array, position: number, read: Read): boolean {
  const size = Number(viewOf(start).getBigUint64(8, true));
  if (size > mostHeapBytes) return false;
  let bytes = start;
  if (size > start.length) {
    bytes = new Uint8Array(size);
    if (read(position, bytes) < size) return false;
  }
  const view = viewOf(bytes);
  for (let at = heapHeader; at + objectHeader <= size;) {
    const length = Number(view.getBigUint64(at + 8, true));
    // object 0 is the free space, including its header
    const step = view.getUint16(at, true) === 0 ? length : objectHeader + 8 * Math.ceil(length / 8);
    if (step < objectHeader || at + step > size) return false;
    at += step;
  }
  return true;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
