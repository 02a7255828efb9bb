// A file whose bytes are read without HDF5, and the inflating that goes with it: see
// anndata/hdf5-chunk-index.ts.

export interface DirectFile {
  /** length of the file when it was opened */
  readonly bytes: number;
  /** the same for the same content: of a file that has been changed or replaced it is another */
  readonly identity: string;
  /**
   * Fills `into` with the bytes from `position` on; false where the file ends before.
   * @throws Error where it is closed or cannot be read
   */
  read(position: number, into: Uint8Array): boolean;
  /** What a zlib stream holds; null where it is damaged or not of exactly `length` bytes. */
  inflate(stream: Uint8Array, length: number): Uint8Array | null;
  close(): void;
}
