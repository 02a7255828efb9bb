// Compression codecs for Zarr chunks in zarrita's interface. The length of each chunk is checked before
// memory is allocated and after decoding. Gives the same bytes as numcodecs, but without code generated at
// run time, which the security policy of a page forbids.
import { compress, decompress, init } from "@bokuweb/zstd-wasm";
import { registry } from "zarrita";
import { decodeBlosc, decodeLz4, type Inflate } from "./blosc.js";

/** What zarrita passes to a codec about the chunk. */
interface ChunkMetadata {
  readonly dataType: string;
  readonly shape: readonly number[];
}

const level = 1;
let zstd: Promise<void> | null = null;
/** Size limit for chunks of unknown length (strings). */
const mostBytes = 2 ** 30;

/** Compresses as Zarr's "zstd" codec. */
export async function encodeZstd(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  await (zstd ??= init());
  return Uint8Array.from(compress(bytes, level));
}

const decodeZstd = async (bytes: Uint8Array, expected: number | null): Promise<Uint8Array> => {
  const length = zstdLength(bytes);
  if (expected !== null && length !== expected)
    throw new Error(`the zstd frame declares ${length} bytes; ${expected} were expected`);
  if (length > mostBytes) throw new Error(`the zstd frame declares ${length} bytes`);
  if (length === 0) return new Uint8Array(0);
  await (zstd ??= init());
  const decoded = decompress(bytes);
  if (decoded.length !== length)
    throw new Error(`a zstd frame gave ${decoded.length} bytes; ${length} were expected`);
  return decoded;
};

/** Content size declared by a zstd frame (RFC 8878, 3.1.1.1). */
function zstdLength(bytes: Uint8Array): number {
  if (bytes.length < 6) throw new Error("a zstd frame is truncated");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== 0xfd2fb528) throw new Error("it is not a zstd frame");
  const descriptor = bytes[4]!;
  const isSingle = (descriptor & 32) !== 0;
  const size = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  const at = 5 + (isSingle ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!;
  if (size === 0) throw new Error("a zstd frame does not declare its length");
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

/** Uncompressed bytes of a chunk; null for strings. */
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
    throw new Error(`the LZ4 buffer declares ${length} bytes; ${expected ?? "fewer"} were expected`);
  return decodeLz4(bytes.subarray(4), length);
});

/** Replaces zarrita's codecs with these. Call once. */
export function registerCodecs(): void {
  for (const prefix of ["", "numcodecs."]) {
    for (const [name, codec] of Object.entries({ blosc, lz4, zstd: checked(decodeZstd) }))
      registry.set(prefix + name, async () => codec);
  }
}
