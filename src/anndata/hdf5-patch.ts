// Patches the bytes of a closed HDF5 file for two features that h5wasm lacks: booleans, and dropping an entry
// from a group.
//
// Source: HDF5 File Format Specification 3.0, "Superblock", "The Datatype Message".
import { patchFile, readBytes } from "#platform";
import {
  messageTypes,
  readMessages,
  readSuperblock,
  viewOf,
  type ReadAt,
  type Superblock,
} from "./hdf5-format.js";

export interface Patch {
  /** addresses of datasets written with `placeholderType`, which become booleans as h5py stores them */
  readonly booleans: readonly number[];
  /** address of the group that becomes the root; null to keep the root */
  readonly root: number | null;
}

/**
 * Type that stands in for a boolean until `patchHdf5`: same bytes per value, and a datatype message long
 * enough to be overwritten.
 */
export const placeholderType: [[string, "<b"]] = [["becomes an enumeration of FALSE and TRUE", "<b"]];

export async function patchHdf5(path: string, { booleans, root }: Patch): Promise<void> {
  if (booleans.length === 0 && root === null) return;
  const read: ReadAt = (position, length) => readBytes(path, position, length);
  const superblock = await readSuperblock(read);
  const edits = await Promise.all(
    booleans.map(async (address) => {
      const { position, length } = await findDatatype(read, superblock.base, address);
      const bytes = new Uint8Array(length);
      bytes.set(booleanType);
      return { position, bytes };
    }),
  );
  const rootEdits =
    root === null ? [] : [{ position: superblock.position, bytes: withRoot(superblock, root) }];
  await patchFile(path, [...edits, ...rootEdits]);
}

/**
 * Datatype message of an int8 enumeration: class and version, 2 members, size 1; the integer type; names
 * padded to 8 bytes; values 0 and 1.
 */
const booleanType = Uint8Array.from([
  ...[0x18, 2, 0, 0, 1, 0, 0, 0],
  ...[0x10, 8, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0],
  ...new TextEncoder().encode("FALSE\0\0\0TRUE\0\0\0\0"),
  ...[0, 1],
]);

/** Position in the file of the datatype message of an object header (version 1). */
async function findDatatype(
  read: ReadAt,
  base: number,
  address: number,
): Promise<{ position: number; length: number }> {
  const message = (await readMessages(read, base, address)).find(
    ({ type }) => type === messageTypes.datatype,
  );
  if (message === undefined) throw new Error(`no datatype in the object header at ${address}`);
  return { position: message.position, length: message.content.byteLength };
}

/** The superblock with a new root group. */
function withRoot({ version, bytes }: Superblock, address: number): Uint8Array {
  const fields = viewOf(bytes);
  if (version < 2) {
    const shift = version === 1 ? 4 : 0;
    fields.setBigUint64(64 + shift, BigInt(address), true);
    bytes.fill(0, 72 + shift, 96 + shift); // cached fields of the old root
    return bytes.slice(0, 96 + shift);
  }
  fields.setBigUint64(36, BigInt(address), true);
  fields.setUint32(44, lookup3(bytes.subarray(0, 44)), true);
  return bytes.slice(0, 48);
}

/** Checksum of HDF5 metadata: hashlittle() of Bob Jenkins' lookup3 (public domain), initial value 0. */
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
    a = ((a - c) ^ rotate(c, 4)) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ rotate(a, 6)) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ rotate(b, 8)) | 0;
    b = (b + a) | 0;
    a = ((a - c) ^ rotate(c, 16)) | 0;
    c = (c + b) | 0;
    b = ((b - a) ^ rotate(a, 19)) | 0;
    a = (a + c) | 0;
    c = ((c - b) ^ rotate(b, 4)) | 0;
    b = (b + a) | 0;
  }
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  return ((c ^ b) - rotate(b, 24)) >>> 0;
}
