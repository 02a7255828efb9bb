// The HDF5 library under Node.
import { existsSync, readSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { builtFiles } from "./module-kind-node.js";
import { lookAtRead, type Hdf5, type LoadedHdf5 } from "./hdf5.js";

let hdf5: Promise<LoadedHdf5> | null = null;
let hdf5Copies = 0;

/** The HDF5 library, loaded at the first call. It throws its errors instead of printing them. */
export function loadHdf5(): Promise<LoadedHdf5> {
  hdf5 ??= (async () => {
    const address = import.meta.resolve("h5wasm/node");
    const library = (await import(hdf5Copies++ === 0 ? address : `${address}?copy=${hdf5Copies}`)) as Hdf5;
    const module = await library.ready;
    module.activate_throwing_error_handler();
    lookAtReads((module as unknown as { FS: FileAccess }).FS);
    const folder = fileURLToPath(new URL(`${builtFiles}/hdf5/filters`, import.meta.url));
    module.insert_plugin_search_path(folder, 0);
    return { library, provideFilter: (name) => existsSync(join(folder, `libH5Z${name}.so`)) };
  })();
  return hdf5;
}

/**
 * After a failure inside the library, its memory and open files cannot be trusted: the next file gets a fresh
 * instance.
 */
export function abandonHdf5(): void {
  hdf5 = null;
}

/** What h5wasm calls to read a file. */
interface FileAccess {
  read(
    stream: { readonly nfd: number },
    buffer: Int8Array,
    offset: number,
    length: number,
    position: number,
  ): number;
}

function lookAtReads(access: FileAccess): void {
  const read = access.read;
  access.read = (stream, buffer, offset, length, position) => {
    const done = read(stream, buffer, offset, length, position);
    lookAtRead(
      new Uint8Array(buffer.buffer, buffer.byteOffset + offset, Math.max(0, done)),
      position,
      (from, into) => readSync(stream.nfd, into, 0, into.length, from),
    );
    return done;
  };
}
