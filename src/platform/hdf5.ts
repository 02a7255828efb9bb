// The HDF5 library as the rest of this library sees it, and a guard for it: every read of a file is looked
// at.
//
// HDF5 walks through a collection of texts (global heap) without a look at the lengths in it: a wrong one and
// it never ends. Here the lengths are checked as a collection is read, and a damaged one loses its signature,
// which HDF5 refuses with an error.
//
// Source: HDF5 File Format Specification 3.0, "Global Heap".

export type Hdf5 = typeof import("h5wasm");

/** The HDF5 library, and the compression filters that come with this package. */
export interface LoadedHdf5 {
  readonly library: Hdf5;
  /**
   * Whether data can be read that are compressed with a filter ("lzf", "zstd", ...), besides those that are
   * built in; it is ready for use then.
   */
  provideFilter(name: string): boolean;
}

const heapSignature = 0x4c4f4347; // "GCOL"
const heapHeader = 16;
const objectHeader = 16;
/** One text of a gigabyte has its own collection; there is no memory for longer ones. */
const mostHeapBytes = 2 ** 30 + 4096;

/** Reads from the file that the bytes come from; returns how many bytes were read. */
type Read = (position: number, into: Uint8Array) => number;

/** Length of reads that are counted, and how many there were. */
let [countedLength, counted] = [0, 0];

/** How many pieces of exactly `length` bytes HDF5 reads from files while `act` runs. */
export function countReads(length: number, act: () => void): number {
  [countedLength, counted] = [length, 0];
  act();
  return counted;
}

/** @param bytes - what HDF5 has just read from `position` on; it reads the rest of a long collection later */
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
    // object 0 is what is free, its header included
    const step = view.getUint16(at, true) === 0 ? length : objectHeader + 8 * Math.ceil(length / 8);
    if (step < objectHeader || at + step > size) return false;
    at += step;
  }
  return true;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
