// HDF5 as it is shipped beside the compiled library: its compression filters as WebAssembly (h5wasm-plugins)
// with their licences, and h5wasm for browsers as one file, which a page can load once more after a failure.
// Filters are copied, not depended on: their package asks for an older h5wasm, which npm would install as a
// second one, and its files are all that is needed. One thing is changed in them: their memory is zeroed when
// they ask for it, so that what a damaged stream leaves out of a block reads as zeros and not as whatever was
// there before.
import binaryen from "binaryen";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const source = dirname(fileURLToPath(import.meta.resolve("h5wasm-plugins")));
const target = fileURLToPath(new URL("../dist/hdf5/", import.meta.url));
const filters = join(target, "filters");
/**
 * For pictures; and where data are damaged, zfp gives memory that it never filled, and bzip2 waits for ever
 * for the end of a stream that has none.
 */
const left = new Set(["libH5Zjpeg.so", "libH5Zzfp.so", "libH5Zbz2.so"]);

rmSync(target, { recursive: true, force: true });
mkdirSync(filters, { recursive: true });
for (const name of readdirSync(join(source, "plugins")))
  if (!left.has(name))
    writeFileSync(join(filters, name), withZeroedMemory(readFileSync(join(source, "plugins", name))));
for (const name of ["LICENSE", "COPYING"]) copyFileSync(join(source, name), join(filters, name));

/** A filter whose calls of malloc(n) are calls of calloc(1, n). */
function withZeroedMemory(bytes) {
  const module = binaryen.readBinary(bytes);
  module.setFeatures(binaryen.Features.All);
  const { i32 } = binaryen;
  const imported = Array.from({ length: module.getNumFunctions() }, (_, i) =>
    binaryen.getFunctionInfo(module.getFunctionByIndex(i)),
  ).filter(({ module: from }) => from === "env");
  const nameOf = (base) => imported.find((own) => own.base === base)?.name;
  const malloc = nameOf("malloc");
  if (malloc === undefined)
    throw new Error("a filter does not import malloc: look at where its memory comes from");
  const calloc = nameOf("calloc") ?? "calloc";
  if (nameOf("calloc") === undefined)
    module.addFunctionImport(calloc, "env", "calloc", binaryen.createType([i32, i32]), i32);
  module.removeFunction(malloc);
  module.addFunction(
    malloc,
    i32,
    i32,
    [],
    module.call(calloc, [module.i32.const(1), module.local.get(0, i32)], i32),
  );
  return module.emitBinary();
}

/** `text` without a piece that must be in it once. */
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
writeFileSync(join(target, "h5wasm.js"), `const ModuleFactory = (() => {${module}})();\n${interfaces}`);
copyFileSync(join(library, "..", "..", "LICENSE.txt"), join(target, "LICENSE.txt"));
