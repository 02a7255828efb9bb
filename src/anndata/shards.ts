// Writes a long one-dimensional array as Zarr 3 shards: files of many separately compressed chunks, with an
// index at the end.
//
// Source: Zarr 3, codec "sharding_indexed".
import { joinPath, writePart } from "#platform";
import type { NumericArray } from "./matrix.js";
import { encodeZstd } from "./zarr-codecs.js";
import { arrayV3, bytesCodec, toJson, typeOf, zstdV3 } from "./zarr-write.js";

/** Values per chunk (the unit of reading) and per shard (a file). */
export interface ShardSizes {
  readonly chunk: number;
  readonly shard: number;
}
export const shardSizes: ShardSizes = { chunk: 1 << 15, shard: 1 << 24 };

/** Takes the values of an array in order and writes a file whenever a shard is complete. */
export class ShardWriter {
  private readonly chunk: NumericArray;
  private filled = 0;
  private chunks: Uint8Array[] = [];

  /**
   * @param folder - of the array
   * @param like - an array of the element type
   * @param shard - number of the shard that starts with the next value
   */
  constructor(
    private readonly folder: string,
    like: NumericArray,
    private readonly sizes: ShardSizes,
    private shard: number,
  ) {
    this.chunk = new (like.constructor as new (length: number) => NumericArray)(sizes.chunk);
  }

  async append(values: NumericArray): Promise<void> {
    for (let at = 0; at < values.length;) {
      const part = values.subarray(at, at + this.chunk.length - this.filled);
      this.chunk.set(part, this.filled);
      this.filled += part.length;
      at += part.length;
      if (this.filled === this.chunk.length) await this.endChunk();
    }
  }

  /** Writes the last shard and the metadata. @param length - of the complete array */
  async close(length: number): Promise<void> {
    if (this.filled > 0) await this.endChunk();
    if (this.chunks.length > 0) await this.endShard();
    const dtype = typeOf(this.chunk);
    const sharding = {
      name: "sharding_indexed",
      configuration: {
        chunk_shape: [this.sizes.chunk],
        codecs: [...bytesCodec(dtype), zstdV3],
        index_codecs: [{ name: "bytes", configuration: { endian: "little" } }, { name: "crc32c" }],
        index_location: "end",
      },
    };
    await writePart(
      joinPath(this.folder, "zarr.json"),
      toJson(
        arrayV3(dtype, [length], [this.sizes.shard], [sharding], {
          "encoding-type": "array",
          "encoding-version": "0.2.0",
        }),
      ),
    );
  }

  private async endChunk(): Promise<void> {
    this.chunk.fill(0, this.filled);
    this.filled = 0;
    this.chunks.push(await encodeZstd(new Uint8Array(this.chunk.buffer, 0, this.chunk.byteLength)));
    if (this.chunks.length === this.sizes.shard / this.sizes.chunk) await this.endShard();
  }

  private async endShard(): Promise<void> {
    const count = this.sizes.shard / this.sizes.chunk;
    const index = new BigUint64Array(2 * count).fill(2n ** 64n - 1n); // marks an absent chunk
    let at = 0;
    for (const [i, { length }] of this.chunks.entries()) {
      index.set([BigInt(at), BigInt(length)], 2 * i);
      at += length;
    }
    const bytes = new Uint8Array(at + index.byteLength + 4);
    this.chunks.reduce((position, chunk) => (bytes.set(chunk, position), position + chunk.length), 0);
    const indexBytes = new Uint8Array(index.buffer);
    bytes.set(indexBytes, at);
    new DataView(bytes.buffer).setUint32(at + indexBytes.length, crc32c(indexBytes), true);
    this.chunks = [];
    await writePart(joinPath(this.folder, "c", String(this.shard++)), bytes);
  }
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

/** CRC-32C, the Castagnoli checksum (RFC 3720). */
function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = crcTable[(value ^ byte) & 255]! ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
