// HDF5's compression filters as WebAssembly (h5wasm-plugins) and their licences, copied beside the compiled library. Copied, not depended on: the package
// asks for an older h5wasm, which npm would install as a second one, and its files are all that is needed, in Node and in a browser.
import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const source = dirname(fileURLToPath(import.meta.resolve("h5wasm-plugins")));
const target = fileURLToPath(new URL("../dist/hdf5-filters/", import.meta.url));
/** For pictures. */
const left = new Set(["libH5Zjpeg.so"]);

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const name of readdirSync(join(source, "plugins"))) if (!left.has(name)) copyFileSync(join(source, "plugins", name), join(target, name));
for (const name of ["LICENSE", "COPYING"]) copyFileSync(join(source, name), join(target, name));
