// Blosc and LZ4 decoders that check every length. numcodecs, the usual decoder, returns uninitialised memory
// for damaged buffers.
//
// Source: the header of Blosc 1 (README_HEADER of c-blosc) and the LZ4 block format.

/** Inflates a compressed buffer to `length` bytes. Throws if it is damaged. */
export type Inflate = (bytes: Uint8Array, length: number) => Promise<Uint8Array>;

const codecs = ["blosclz", "lz4", "snappy", "zlib", "zstd"] as const;
const headerLength = 16;
/** Some codecs split blocks of at least this many elements into one stream per byte of the element. */
const leastToSplit = 128;

/** A buffer after its header. */
interface BloscBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly flags: number;
  /** bytes per element */
  readonly typeSize: number;
  /** bytes of a block; the last block may be shorter */
  readonly blockSize: number;
  /** decoded bytes */
  readonly length: number;
}

/**
 * Decodes the Blosc buffer of one chunk.
 * @param expected - bytes it must decode to; null if only the buffer knows
 * @param inflaters - for the compressors it may use
 */
export async function decodeBlosc(
  bytes: Uint8Array,
  expected: number | null,
  inflaters: { readonly zlib: Inflate; readonly zstd: Inflate },
): Promise<Uint8Array> {
  const buffer = readHeader(bytes, expected);
  const { flags, blockSize, length } = buffer;
  if (flags & 2) {
    if (bytes.length !== length + headerLength)
      throw new Error("the length of the Blosc buffer does not match its content");
    return bytes.slice(headerLength);
  }
  if (length === 0) return new Uint8Array(0);
  const codec = codecs[flags >> 5];
  if (codec === undefined || codec === "blosclz" || codec === "snappy")
    throw new Error(
      `Unsupported compression: ${codec ?? "an unknown codec"} in Blosc. Write it with Blosc's lz4 or zstd`,
    );
  const inflate: Inflate =
    codec === "lz4" ? async (part, wanted) => decodeLz4(part, wanted) : inflaters[codec];
  if (blockSize === 0 || blockSize > length)
    throw new Error(`the Blosc header declares blocks of ${blockSize} bytes`);
  const blocks = Math.ceil(length / blockSize);
  if (headerLength + 4 * blocks > bytes.length)
    throw new Error("the Blosc buffer is too short for its blocks");
  const decoded = new Uint8Array(length);
  for (let block = 0; block < blocks; block++)
    await decodeBlock(buffer, block, inflate, decoded.subarray(block * blockSize, (block + 1) * blockSize));
  return decoded;
}

function readHeader(bytes: Uint8Array, expected: number | null): BloscBuffer {
  if (bytes.length < headerLength)
    throw new Error(`a Blosc header has ${headerLength} bytes, but there are ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [flags, typeSize] = [bytes[2]!, Math.max(1, bytes[3]!)];
  const [length, blockSize, stored] = [
    view.getUint32(4, true),
    view.getUint32(8, true),
    view.getUint32(12, true),
  ];
  if (stored !== bytes.length)
    throw new Error(`the Blosc header declares ${stored} bytes, but there are ${bytes.length}`);
  if (expected !== null && length !== expected)
    throw new Error(`the Blosc header declares ${length} bytes; ${expected} were expected`);
  return { bytes, view, flags, typeSize, blockSize, length };
}

/** Inflates the streams of a block, and undoes its shuffle. @param into - the block's bytes */
async function decodeBlock(
  { bytes, view, flags, typeSize, blockSize }: BloscBuffer,
  block: number,
  inflate: Inflate,
  into: Uint8Array,
): Promise<void> {
  const size = into.length;
  const isSplit =
    !(flags & 16) && typeSize <= 16 && blockSize / typeSize >= leastToSplit && size === blockSize;
  const streams = isSplit ? typeSize : 1;
  const isShuffled = (flags & 4) !== 0 || ((flags & 1) !== 0 && typeSize > 1);
  const unfiltered = isShuffled ? new Uint8Array(size) : into;
  let at = view.getUint32(headerLength + 4 * block, true);
  for (let stream = 0, filled = 0; stream < streams; stream++) {
    const wanted = Math.floor(size / streams);
    if (at + 4 > bytes.length) throw new Error("a Blosc block extends beyond the end");
    const streamLength = view.getInt32(at, true);
    at += 4;
    if (streamLength <= 0 || at + streamLength > bytes.length)
      throw new Error("a Blosc block extends beyond the end");
    const part = bytes.subarray(at, at + streamLength);
    const inflated = streamLength === wanted ? part : await inflate(part, wanted);
    if (inflated.length !== wanted)
      throw new Error(`a Blosc block has ${inflated.length} bytes; ${wanted} were expected`);
    unfiltered.set(inflated, filled);
    filled += wanted;
    at += streamLength;
  }
  if (isShuffled) (flags & 4 ? unshuffleBits : unshuffleBytes)(unfiltered, typeSize, into);
}

function unshuffleBytes(from: Uint8Array, typeSize: number, into: Uint8Array): void {
  const elements = Math.floor(from.length / typeSize);
  for (let byte = 0; byte < typeSize; byte++) {
    const first = byte * elements;
    for (let i = 0, at = byte; i < elements; i++, at += typeSize) into[at] = from[first + i]!;
  }
  into.set(from.subarray(elements * typeSize), elements * typeSize);
}

/**
 * Undoes the bit shuffle. Blocks whose number of elements is not a multiple of eight are stored unshuffled.
 */
function unshuffleBits(from: Uint8Array, typeSize: number, into: Uint8Array): void {
  const elements = Math.floor(from.length / typeSize);
  if (elements % 8 !== 0) return into.set(from);
  const row = elements / 8;
  into.fill(0);
  for (let byte = 0; byte < typeSize; byte++) {
    for (let bit = 0; bit < 8; bit++) {
      const plane = (byte * 8 + bit) * row;
      for (let i = 0; i < row; i++) {
        const packed = from[plane + i]!;
        if (packed === 0) continue;
        for (let k = 0; k < 8; k++) into[(8 * i + k) * typeSize + byte]! |= ((packed >> k) & 1) << bit;
      }
    }
  }
  into.set(from.subarray(elements * typeSize), elements * typeSize);
}

/** Decodes one LZ4 block. @throws Error if it does not decode to exactly `length` bytes */
export function decodeLz4(bytes: Uint8Array, length: number): Uint8Array {
  const decoded = new Uint8Array(length);
  const damaged = (): Error => new Error("an LZ4 block is damaged");
  let [at, filled] = [0, 0];
  const longer = (start: number): number => {
    let sum = start;
    for (let byte = 255; byte === 255; sum += byte) {
      if (at >= bytes.length) throw damaged();
      byte = bytes[at++]!;
    }
    return sum;
  };
  while (at < bytes.length) {
    const token = bytes[at++]!;
    const literals = token >> 4 === 15 ? longer(15) : token >> 4;
    if (at + literals > bytes.length || filled + literals > length) throw damaged();
    for (const end = at + literals; at < end;) decoded[filled++] = bytes[at++]!;
    if (at === bytes.length) break; // the last sequence has literals only
    if (at + 2 > bytes.length) throw damaged();
    const offset = bytes[at]! | (bytes[at + 1]! << 8);
    at += 2;
    const match = ((token & 15) === 15 ? longer(15) : token & 15) + 4;
    if (offset === 0 || offset > filled || filled + match > length) throw damaged();
    for (const end = filled + match; filled < end; filled++) decoded[filled] = decoded[filled - offset]!;
  }
  if (filled !== length) throw damaged();
  return decoded;
}
