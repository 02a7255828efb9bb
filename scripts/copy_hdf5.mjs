// HDF5 as shipped with the compiled library: its compression filters as WebAssembly (h5wasm-plugins)
// with their licences, and h5wasm for browsers as one file, which a page can load again after a failure.
// Filters are copied instead of being a dependency: their package requires an older h5wasm, which npm would
// install in addition, and only its files are needed. Changes to them: hdf5_filters.mjs.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stamp } from "./generated.mjs";
import { adaptedFilter } from "./hdf5_filters.mjs";

const source = dirname(fileURLToPath(import.meta.resolve("h5wasm-plugins")));
const target = fileURLToPath(new URL("../dist/hdf5/", import.meta.url));
const filters = join(target, "filters");
/**
 * Not shipped: filters for images; zfp, which returns uninitialised memory for damaged data; bzip2, which
 * loops forever on truncated streams.
 */
const left = new Set(["libH5Zjpeg.so", "libH5Zzfp.so", "libH5Zbz2.so"]);

rmSync(target, { recursive: true, force: true });
mkdirSync(filters, { recursive: true });
for (const name of readdirSync(join(source, "plugins")))
  if (!left.has(name))
    writeFileSync(join(filters, name), adaptedFilter(name, readFileSync(join(source, "plugins", name))));
for (const name of ["LICENSE", "COPYING"]) copyFileSync(join(source, name), join(filters, name));

/** Removes a piece that must occur exactly once in `text`. */
function cut(text, piece, put = "") {
  const parts = text.split(piece);
  if (parts.length !== 2)
    throw new Error(`h5wasm has changed: ${JSON.stringify(piece)} is in it ${parts.length - 1} times`);
  return parts.join(put);
}
const library = dirname(fileURLToPath(import.meta.resolve("h5wasm")));
const module = cut(
  readFileSync(join(library, "hdf5_util.js"), "utf8"),
  "export default Module;",
  "return Module;",
);
const interfaces = cut(
  readFileSync(join(library, "hdf5_hl.js"), "utf8"),
  "import ModuleFactory from './hdf5_util.js';",
);
writeFileSync(
  join(target, "h5wasm.js"),
  `${stamp("copy_hdf5.mjs")}\nconst ModuleFactory = (() => {${module}})();\n${interfaces}`,
);
copyFileSync(join(library, "..", "..", "LICENSE.txt"), join(target, "LICENSE.txt"));
