// Parts of the HDF5 file format that h5wasm does not expose: the superblock and object header messages.
//
// Source: HDF5 File Format Specification 3.0, "Superblock", "Object Headers: version 1" and "2". Object
// addresses come from h5wasm's object references.

/** Bytes [position, position + length) of a file; fewer if the file ends before that. */
export type ReadAt = (position: number, length: number) => Promise<Uint8Array> | Uint8Array;

export interface Superblock {
  readonly version: number;
  /** position in the file */
  readonly position: number;
  /** base address that other addresses are relative to */
  readonly base: number;
  /**
   * address of rarely used data before the root group: a driver information block (versions 0 and 1) or a
   * superblock extension
   */
  readonly extension: number;
  /** whether a writer has the file open or did not close it; unknown before version 3 */
  readonly isBeingWritten: boolean;
  readonly bytes: Uint8Array;
}

/** HDF5 signature, at offset 0 or at a power of two from 512. */
export const signature: readonly number[] = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
/** The undefined address (2^64 - 1, rounded to float64). */
export const noAddress = 2 ** 64;

/** @throws Error if there is no superblock or its version is not supported */
export async function readSuperblock(read: ReadAt): Promise<Superblock> {
  let position = 0;
  let bytes = await read(0, 104);
  while (bytes.length > 0 && !signature.every((byte, i) => bytes[i] === byte)) {
    position = position === 0 ? 512 : 2 * position;
    bytes = await read(position, 104);
  }
  const version = bytes[8]!;
  const fields = viewOf(bytes);
  const sizes = version < 2 ? bytes.subarray(13, 15) : bytes.subarray(9, 11);
  if (version > 3 || sizes[0] !== 8 || sizes[1] !== 8)
    throw new Error(`superblock of version ${version} with ${sizes[0]}-byte addresses`);
  const base = version < 2 ? 24 + (version === 1 ? 4 : 0) : 12;
  return {
    version,
    position,
    base: readLong(fields, base),
    extension: readLong(fields, version < 2 ? base + 24 : base + 8),
    isBeingWritten: version === 3 && (bytes[11]! & beingWritten) !== 0,
    bytes,
  };
}
/** Status flags: open for writing, or for single-writer/multiple-reader (SWMR). */
const beingWritten = 1 | 4;

/** A message of an object header. */
export interface HeaderMessage {
  readonly type: number;
  readonly flags: number;
  /** position in the file */
  readonly position: number;
  readonly content: DataView;
}
export const messageTypes = { datatype: 3, externalFiles: 7, layout: 8, continuation: 16 } as const;

/** Limits on the bytes and blocks of a header: blocks of a damaged file may form a cycle. */
const [maxHeaderBytes, maxBlocks] = [1 << 24, 1000];

/**
 * All messages of the object header (version 1) at an address.
 * @throws Error if it has another version or is damaged
 */
export async function readMessages(read: ReadAt, base: number, address: number): Promise<HeaderMessage[]> {
  const prefix = await read(base + address, 16);
  if (prefix[0] !== 1) throw new Error(`object header of version ${prefix[0]} at ${address}`);
  const blocks = [{ position: base + address + 16, length: viewOf(prefix).getUint32(8, true) }];
  const messages: HeaderMessage[] = [];
  let bytes = 0;
  for (let block = 0; block < blocks.length; block++) {
    const { position, length } = blocks[block]!;
    bytes += length;
    if (block === maxBlocks || !(bytes <= maxHeaderBytes))
      throw new Error(`unterminated object header at ${address}`);
    const fields = viewOf(await read(position, length));
    for (let at = 0; at + 8 <= length;) {
      const [type, size] = [fields.getUint16(at, true), fields.getUint16(at + 2, true)];
      const content = new DataView(fields.buffer, fields.byteOffset + at + 8, size);
      messages.push({ type, flags: fields.getUint8(at + 4), position: position + at + 8, content });
      if (type === messageTypes.continuation)
        blocks.push({ position: base + readLong(content, 0), length: readLong(content, 8) });
      at += 8 + size;
    }
  }
  return messages;
}

/**
 * Types of the messages of the object header at an address, of any version.
 * @throws Error if it is damaged
 */
export async function readMessageTypes(read: ReadAt, base: number, address: number): Promise<Set<number>> {
  const start = await read(base + address, 32);
  if (!hasSignature(start, "OHDR")) {
    const messages = await readMessages(read, base, address);
    return new Set(messages.map(({ type }) => type));
  }
  const flags = start[5]!;
  const sizeAt = 6 + (flags & hasTimes ? 16 : 0) + (flags & hasPhases ? 4 : 0);
  const sizeBytes = 1 << (flags & 3);
  const size = Number(
    [...start.subarray(sizeAt, sizeAt + sizeBytes)].reduceRight((n, byte) => 256 * n + byte, 0),
  );
  const blocks = [{ position: base + address + sizeAt + sizeBytes, length: size }];
  const header = flags & hasOrder ? 6 : 4;
  const types = new Set<number>();
  for (let block = 0; block < blocks.length; block++) {
    const { position, length } = blocks[block]!;
    if (block === maxBlocks || !(length <= maxHeaderBytes))
      throw new Error(`unterminated object header at ${address}`);
    const fields = viewOf(await read(position, length));
    for (let at = 0; at + header <= length;) {
      const [type, bytes] = [fields.getUint8(at), fields.getUint16(at + 1, true)];
      types.add(type);
      if (type === messageTypes.continuation)
        blocks.push({
          position: base + readLong(fields, at + header) + signatureBytes,
          length: readLong(fields, at + header + 8) - signatureBytes - checksumBytes,
        });
      at += header + bytes;
    }
  }
  return types;
}
/** Flags of an object header of version 2. */
const [hasOrder, hasPhases, hasTimes] = [4, 16, 32];
const [signatureBytes, checksumBytes] = [4, 4];

function hasSignature(bytes: Uint8Array, text: string): boolean {
  return [...text].every((character, i) => bytes[i] === character.charCodeAt(0));
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function readLong(fields: DataView, at: number): number {
  return Number(fields.getBigUint64(at, true));
}
