// Two things that HDF5 has and h5wasm cannot do, done to the bytes of a closed file: booleans, and leaving an entry out of a group.
//
// Source: HDF5 File Format Specification 3.0, "Superblock", "Object Headers: version 1", "The Datatype Message". Addresses come from h5wasm's object references.
import { patchFile, readBytes } from "#platform";

export interface Patch {
  /** addresses of datasets written by `placeholder` type: they become booleans, as h5py stores them */
  readonly booleans: readonly number[];
  /** address of the group that becomes the root, null to leave it */
  readonly root: number | null;
}

/** Type that stands in for a boolean until `patchHdf5`: as many bytes per value, and a description that is long enough to hold the other. */
export const placeholderType: [[string, "<b"]] = [["becomes an enumeration of FALSE and TRUE", "<b"]];

export async function patchHdf5(path: string, { booleans, root }: Patch): Promise<void> {
  if (booleans.length === 0 && root === null) return;
  const superblock = await readSuperblock(path);
  const edits = await Promise.all(booleans.map(async (address) => {
    const { position, length } = await findDatatype(path, superblock.base, address);
    const bytes = new Uint8Array(length);
    bytes.set(booleanType);
    return { position, bytes };
  }));
  const rootEdits = root === null ? [] : [{ position: superblock.position, bytes: superblock.withRoot(root) }];
  await patchFile(path, [...edits, ...rootEdits]);
}

/** An enumeration of int8: class and version, 2 members, size 1; the integer type; names padded to 8 bytes; values 0 and 1. */
const booleanType = Uint8Array.from([
  ...[0x18, 2, 0, 0, 1, 0, 0, 0],
  ...[0x10, 8, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0],
  ...new TextEncoder().encode("FALSE\0\0\0TRUE\0\0\0\0"),
  ...[0, 1],
]);

const datatypeMessage = 3;
const continuationMessage = 16;

/** Where the datatype message of an object header (version 1) lies in the file. */
async function findDatatype(path: string, base: number, address: number): Promise<{ position: number; length: number }> {
  const prefix = await readBytes(path, base + address, 16);
  if (prefix[0] !== 1) throw new Error(`object header of version ${prefix[0]} at ${address}`);
  const blocks = [{ position: base + address + 16, length: view(prefix).getUint32(8, true) }];
  for (let block = blocks.shift(); block !== undefined; block = blocks.shift()) {
    const messages = view(await readBytes(path, block.position, block.length));
    for (let at = 0; at + 8 <= block.length; ) {
      const type = messages.getUint16(at, true);
      const length = messages.getUint16(at + 2, true);
      at += 8;
      if (type === datatypeMessage) return { position: block.position + at, length };
      if (type === continuationMessage) blocks.push({ position: base + readLong(messages, at), length: readLong(messages, at + 8) });
      at += length;
    }
  }
  throw new Error(`no datatype in the object header at ${address}`);
}

interface Superblock {
  /** where addresses count from */
  readonly base: number;
  readonly position: number;
  /** its bytes with another root group */
  withRoot(address: number): Uint8Array;
}

async function readSuperblock(path: string): Promise<Superblock> {
  let position = 0;
  let bytes = await readBytes(path, 0, 104);
  while (bytes.length > 0 && bytes[0] !== 0x89) {
    position = position === 0 ? 512 : 2 * position;
    bytes = await readBytes(path, position, 104);
  }
  const version = bytes[8]!;
  const fields = view(bytes);
  const shift = version === 1 ? 4 : 0;
  const sizes = version < 2 ? bytes.subarray(13, 15) : bytes.subarray(9, 11);
  if (version > 3 || sizes[0] !== 8 || sizes[1] !== 8) throw new Error(`superblock of version ${version} with ${sizes[0]}-byte addresses`);
  return {
    base: readLong(fields, version < 2 ? 24 + shift : 12),
    position,
    withRoot(address) {
      if (version < 2) {
        fields.setBigUint64(64 + shift, BigInt(address), true);
        bytes.fill(0, 72 + shift, 96 + shift); // what is cached about the old root
        return bytes.slice(0, 96 + shift);
      }
      fields.setBigUint64(36, BigInt(address), true);
      fields.setUint32(44, lookup3(bytes.subarray(0, 44)), true);
      return bytes.slice(0, 48);
    },
  };
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readLong(fields: DataView, at: number): number {
  return Number(fields.getBigUint64(at, true));
}

/** Checksum of HDF5's metadata: hashlittle() of Bob Jenkins' lookup3 (public domain), start value 0. */
function lookup3(bytes: Uint8Array): number {
  const rotate = (x: number, k: number) => (x << k) | (x >>> (32 - k));
  const words = new DataView(new ArrayBuffer(12 * Math.ceil(bytes.length / 12)));
  bytes.forEach((byte, i) => words.setUint8(i, byte));
  let a = (0xdeadbeef + bytes.length) | 0;
  let b = a;
  let c = a;
  for (let at = 0; at < words.byteLength; at += 12) {
    a = (a + words.getInt32(at, true)) | 0;
    b = (b + words.getInt32(at + 4, true)) | 0;
    c = (c + words.getInt32(at + 8, true)) | 0;
    if (at + 12 >= words.byteLength) break;
    a = ((a - c) ^ rotate(c, 4)) | 0; c = (c + b) | 0;
    b = ((b - a) ^ rotate(a, 6)) | 0; a = (a + c) | 0;
    c = ((c - b) ^ rotate(b, 8)) | 0; b = (b + a) | 0;
    a = ((a - c) ^ rotate(c, 16)) | 0; c = (c + b) | 0;
    b = ((b - a) ^ rotate(a, 19)) | 0; a = (a + c) | 0;
    c = ((c - b) ^ rotate(b, 4)) | 0; b = (b + a) | 0;
  }
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  return ((c ^ b) - rotate(b, 24)) >>> 0;
}
