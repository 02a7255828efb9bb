// Compressions of Zarr chunks as zarrita sees them, with the lengths that a chunk must have checked before
// memory is taken and after it is filled.
// as numcodecs, byte for byte, and without code made of texts, which a page's security policy forbids
import { compress, decompress, init } from "@bokuweb/zstd-wasm";
import { registry } from "zarrita";
import { decodeBlosc, decodeLz4, type Inflate } from "./blosc.js";

/** What zarrita tells a codec of the chunk. */
interface ChunkMetadata {
  readonly dataType: string;
  readonly shape: readonly number[];
}

const level = 1;
let zstd: Promise<void> | null = null;
/** A chunk that does not tell its length, one of texts, holds less than this. */
const mostBytes = 2 ** 30;

/** Compresses as Zarr's "zstd" codec. */
export async function encodeZstd(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  await (zstd ??= init());
  return Uint8Array.from(compress(bytes, level));
}

const decodeZstd = async (bytes: Uint8Array, expected: number | null): Promise<Uint8Array> => {
  const length = zstdLength(bytes);
  if (expected !== null && length !== expected)
    throw new Error(`the zstd frame tells of ${length} bytes, ${expected} were expected`);
  if (length > mostBytes) throw new Error(`the zstd frame tells of ${length} bytes`);
  if (length === 0) return new Uint8Array(0);
  await (zstd ??= init());
  const decoded = decompress(bytes);
  if (decoded.length !== length)
    throw new Error(`a zstd frame gave ${decoded.length} bytes, ${length} were expected`);
  return decoded;
};

/** Bytes that a zstd frame tells it holds (RFC 8878, 3.1.1.1). */
function zstdLength(bytes: Uint8Array): number {
  if (bytes.length < 6) throw new Error("a zstd frame is truncated");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== 0xfd2fb528) throw new Error("it is no zstd frame");
  const descriptor = bytes[4]!;
  const isSingle = (descriptor & 32) !== 0;
  const size = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  const at = 5 + (isSingle ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!;
  if (size === 0) throw new Error("a zstd frame does not tell its length");
  if (at + size > bytes.length) throw new Error("a zstd frame is truncated");
  if (size === 1) return bytes[at]!;
  if (size === 2) return view.getUint16(at, true) + 256;
  return size === 4 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
}

const inflateZlib: Inflate = async (bytes) => {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

function checked(decode: (bytes: Uint8Array, expected: number | null) => Promise<Uint8Array>) {
  return {
    fromConfig: (_: unknown, chunk: ChunkMetadata) => ({
      kind: "bytes_to_bytes" as const,
      encode: (): never => {
        throw new Error("chunks are written by zarr-write.ts");
      },
      decode: (bytes: Uint8Array) => decode(bytes, bytesOf(chunk)),
    }),
  };
}

/** Bytes of a chunk that is not compressed; null for texts. */
function bytesOf({ dataType, shape }: ChunkMetadata): number | null {
  const width = dataType === "bool" ? 8 : Number(/^u?(?:int|float)(\d+)$/.exec(dataType)?.[1]);
  return Number.isNaN(width) ? null : shape.reduce((product, length) => product * length, width / 8);
}

const blosc = checked((bytes, expected) =>
  decodeBlosc(bytes, expected, { zlib: inflateZlib, zstd: decodeZstd }),
);
const lz4 = checked(async (bytes, expected) => {
  const length = bytes.length < 4 ? -1 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (length < 0 || length > mostBytes || (expected !== null && length !== expected))
    throw new Error(`the LZ4 buffer tells of ${length} bytes, ${expected ?? "fewer"} were expected`);
  return decodeLz4(bytes.subarray(4), length);
});

/** Puts these codecs in the place of zarrita's; once is enough. */
export function registerCodecs(): void {
  for (const prefix of ["", "numcodecs."]) {
    for (const [name, codec] of Object.entries({ blosc, lz4, zstd: checked(decodeZstd) }))
      registry.set(prefix + name, async () => codec);
  }
}
