// Blosc buffers: stored, LZ4 and shuffled ones are decoded; a header that does not match the buffer is an
// error, never a chunk of another length.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodeBlosc, type Inflate } from "../dist/anndata/blosc.js";

/** @param flags - 1: shuffled bytes, 2: stored, 32: LZ4 @param blocks - of the buffer, after the header */
function blosc(
  flags: number,
  length: number,
  blockSize: number,
  content: readonly number[],
  stored?: number,
) {
  const bytes = new Uint8Array(16 + content.length);
  const view = new DataView(bytes.buffer);
  bytes.set([2, 1, flags, 4]);
  view.setUint32(4, length, true);
  view.setUint32(8, blockSize, true);
  view.setUint32(12, stored ?? bytes.length, true);
  bytes.set(content, 16);
  return bytes;
}
const unused: Inflate = () => Promise.reject(new Error("not zlib or zstd"));
const decode = (bytes: Uint8Array, expected: number | null) =>
  decodeBlosc(bytes, expected, { zlib: unused, zstd: unused });
const int32 = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)];
const values = [1, 2, 3, 4, 5, 6, 7, 8];
/** One block at byte 20, of one stream that is not compressed. */
const block = [...int32(20), ...int32(8), ...values];

describe("a Blosc buffer", () => {
  test("is decoded, whether stored, in blocks or shuffled", async () => {
    assert.deepEqual([...(await decode(blosc(2, 8, 8, values), 8))], values);
    assert.deepEqual([...(await decode(blosc(32 | 16, 8, 8, block), 8))], values);
    assert.deepEqual([...(await decode(blosc(32 | 16 | 1, 8, 8, block), null))], [1, 3, 5, 7, 2, 4, 6, 8]);
    assert.equal((await decode(blosc(32, 0, 0, []), 0)).length, 0);
  });

  test("is refused if it declares other lengths than it has", async () => {
    const faults: readonly (readonly [Uint8Array, number | null, RegExp])[] = [
      [new Uint8Array(15), 8, /header has 16 bytes, but there are 15/],
      [blosc(2, 8, 8, values, 25), 8, /declares 25 bytes, but there are 24/],
      [blosc(2, 8, 8, values), 12, /declares 8 bytes; 12 were expected/],
      [blosc(2, 9, 9, values), 9, /does not match its content/],
      [blosc(32 | 16, 8, 0, block), 8, /blocks of 0 bytes/],
      [blosc(32 | 16, 8, 9, block), 8, /blocks of 9 bytes/],
      [blosc(32 | 16, 8, 1, []), 8, /too short for its blocks/],
      [blosc(32 | 16, 8, 8, [...int32(33), ...block.slice(4)]), 8, /extends beyond the end/],
      [blosc(32 | 16, 8, 8, [...int32(20), ...int32(0), ...values]), 8, /extends beyond the end/],
      [blosc(0, 8, 8, block), 8, /Unsupported compression: blosclz/],
    ];
    for (const [bytes, expected, message] of faults) await assert.rejects(decode(bytes, expected), message);
  });
});
