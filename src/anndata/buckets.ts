// Reorders the rows of a matrix in bounded memory (external bucket sort): each row goes to the bucket file of
// its destination, and each bucket is small enough to be sorted in memory.
import { appendToFile, fileStatus, joinPath, readFile, removeFile, truncateFile } from "#platform";
import type { SparseRows } from "./matrix.js";
import { ScPoliError } from "../contract/errors.js";

/** Counts of rows in their new order. */
export interface OrderedRows {
  readonly indices: Uint16Array | Uint32Array;
  readonly values: Uint32Array;
}

/** Bytes buffered in memory before they are written to the bucket files. */
const mostBuffered = 32 << 20;
/**
 * Header of a stored row: destination row, number of values, bytes per value. Indices and values follow, each
 * padded to whole words.
 */
const headerWords = 3;

export class Buckets {
  private readonly buffers: Uint8Array[][];
  private buffered = 0;

  /**
   * @param folder - for the bucket files
   * @param rows - per bucket
   * @param isWide - whether indices take 32 bits instead of 16
   * @param bytes - length of each file
   */
  constructor(
    private readonly folder: string,
    private readonly rows: number,
    private readonly isWide: boolean,
    readonly bytes: number[],
  ) {
    this.buffers = bytes.map(() => []);
  }

  /** Truncates the files to their recorded lengths, to resume after an interruption. */
  async restore(): Promise<void> {
    for (const [bucket, length] of this.bytes.entries()) {
      const path = this.path(bucket);
      const bytes = (await fileStatus(path))?.bytes ?? 0;
      if (bytes < length)
        throw new ScPoliError(
          "file",
          `${path} is damaged: it has ${bytes} bytes; ${length} were expected. Convert again without ` +
            "resuming.",
          { path },
        );
      if (length === 0) await removeFile(path);
      else if (bytes > length) await truncateFile(path, length);
    }
  }

  /** @param places - destination row of each row of the block */
  async append({ rows, indptr, indices, values }: SparseRows, places: Int32Array): Promise<void> {
    for (let row = 0; row < rows; row++) {
      const [start, end] = [indptr[row]!, indptr[row + 1]!];
      let most = 0;
      for (let k = start; k < end; k++) most = Math.max(most, values[k]!);
      const width = most < 256 ? 1 : most < 65536 ? 2 : 4;
      const count = end - start;
      const indexBytes = padded(count * (this.isWide ? 4 : 2));
      const record = new Uint8Array(4 * headerWords + indexBytes + padded(count * width));
      new Uint32Array(record.buffer).set([places[row]!, count, width]);
      (this.isWide
        ? new Uint32Array(record.buffer, 4 * headerWords, count)
        : new Uint16Array(record.buffer, 4 * headerWords, count)
      ).set(indices.subarray(start, end));
      valuesOf(record.buffer, 4 * headerWords + indexBytes, count, width).set(values.subarray(start, end));
      this.buffers[Math.floor(places[row]! / this.rows)]!.push(record);
      this.buffered += record.length;
    }
    if (this.buffered > mostBuffered) await this.flush();
  }

  async flush(): Promise<void> {
    for (const [bucket, records] of this.buffers.entries()) {
      if (records.length === 0) continue;
      const together = new Uint8Array(records.reduce((sum, { length }) => sum + length, 0));
      records.reduce((at, record) => (together.set(record, at), at + record.length), 0);
      await appendToFile(this.path(bucket), together);
      this.bytes[bucket]! += together.length;
      this.buffers[bucket] = [];
    }
    this.buffered = 0;
  }

  /**
   * All rows of a bucket, in order.
   * @param starts - offset of each row of the bucket, and the end of the last
   */
  async read(bucket: number, starts: Float64Array): Promise<OrderedRows> {
    const length = starts[starts.length - 1]! - starts[0]!;
    const rows = {
      indices: this.isWide ? new Uint32Array(length) : new Uint16Array(length),
      values: new Uint32Array(length),
    };
    if (this.bytes[bucket] === 0) return rows;
    const file = await readFile(this.path(bucket));
    const { buffer, byteOffset: offset } = file.byteOffset % 4 === 0 ? file : Uint8Array.from(file);
    for (let at = 0; at < file.length;) {
      const [place, count, width] = new Uint32Array(buffer, offset + at, headerWords) as unknown as [
        number,
        number,
        number,
      ];
      at += 4 * headerWords;
      const to = starts[place - bucket * this.rows]! - starts[0]!;
      rows.indices.set(
        this.isWide
          ? new Uint32Array(buffer, offset + at, count)
          : new Uint16Array(buffer, offset + at, count),
        to,
      );
      at += padded(count * (this.isWide ? 4 : 2));
      rows.values.set(valuesOf(buffer, offset + at, count, width), to);
      at += padded(count * width);
    }
    return rows;
  }

  private path(bucket: number): string {
    return joinPath(this.folder, `bucket-${bucket}`);
  }
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

function valuesOf(
  buffer: ArrayBufferLike,
  at: number,
  count: number,
  width: number,
): Uint8Array | Uint16Array | Uint32Array {
  return width === 1
    ? new Uint8Array(buffer, at, count)
    : width === 2
      ? new Uint16Array(buffer, at, count)
      : new Uint32Array(buffer, at, count);
}
