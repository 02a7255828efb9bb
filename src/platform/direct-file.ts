// Interface of a file that is read without HDF5, with zlib inflation: see anndata/hdf5-chunk-index.ts.

export interface DirectFile {
  /** length of the file when it was opened */
  readonly bytes: number;
  /** identifies the content: changes when the file is modified or replaced */
  readonly identity: string;
  /**
   * Fills `into` with the bytes at `position`; false if the file ends before.
   * @throws Error if it is closed or cannot be read
   */
  read(position: number, into: Uint8Array): boolean;
  /** Inflates a zlib stream; null if it is damaged or does not give exactly `length` bytes. */
  inflate(stream: Uint8Array, length: number): Uint8Array | null;
  close(): void;
}
