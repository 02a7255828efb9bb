// Direct file access, without HDF5, under Node.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { inflateSync } from "node:zlib";
import type { DirectFile } from "./direct-file.js";

/** Opens a file for reading; null if that is not possible. */
export function openDirect(path: string): DirectFile | null {
  let descriptor: number | null = null;
  try {
    descriptor = openSync(path, "r");
    const { dev, ino, size, mtimeNs } = fstatSync(descriptor, { bigint: true });
    return directFile(descriptor, Number(size), [dev, ino, size, mtimeNs].join());
  } catch {
    if (descriptor !== null) closeSync(descriptor);
    return null;
  }
}

function directFile(descriptor: number, bytes: number, identity: string): DirectFile {
  let isOpen = true;
  return {
    bytes,
    identity,
    // synchronous: the data are mostly in the system's cache, and nobody can close the file meanwhile
    read(position, into) {
      if (!isOpen) throw new Error("the file is closed");
      for (let done = 0; done < into.length;) {
        const count = readSync(descriptor, into, done, into.length - done, position + done);
        if (count === 0) return false;
        done += count;
      }
      return true;
    },
    // on this thread and not in Node's pool: several workers already read whole blocks. The buffer is
    // slightly larger than expected, so that one allocation suffices and excess output is detected
    inflate(stream, length) {
      try {
        const content = inflateSync(stream, { chunkSize: length + 64, maxOutputLength: length + 64 });
        return content.length === length ? content : null;
      } catch {
        return null;
      }
    },
    close() {
      if (isOpen) closeSync(descriptor);
      isOpen = false;
    },
  };
}
