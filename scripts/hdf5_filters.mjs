// Patches the compression filters of h5wasm-plugins, on the level of WebAssembly.
import binaryen from "binaryen";

const { i32, none } = binaryen;

/**
 * Patches a filter: zeroes its allocations, so that missing parts of a block of a damaged stream read as
 * zeros and not as stale memory; and adds an `errno`, which h5wasm does not export and whose absence aborts
 * the library.
 * @param name - name of its file
 */
export function adaptedFilter(name, bytes) {
  const module = binaryen.readBinary(bytes);
  module.setFeatures(binaryen.Features.All);
  const imports = functionsOf(module).filter(({ module: from }) => from === "env");
  const nameOf = (base) => imports.find((entry) => entry.base === base)?.name;
  const malloc = nameOf("malloc");
  if (malloc === undefined)
    throw new Error(`${name} does not import malloc: look at where its memory comes from`);
  const calloc = nameOf("calloc") ?? "calloc";
  if (nameOf("calloc") === undefined)
    module.addFunctionImport(calloc, "env", "calloc", binaryen.createType([i32, i32]), i32);
  const zeroed = (size) => module.call(calloc, [module.i32.const(1), size], i32);
  module.removeFunction(malloc);
  module.addFunction(malloc, i32, i32, [], zeroed(module.local.get(0, i32)));
  const errno = nameOf("__errno_location");
  if (errno !== undefined) addErrno(module, errno, zeroed);
  if (name === "libH5Zlzf.so") replaceLzf(module, zeroed, nameOf("free"));
  return module.emitBinary();
}

function functionsOf(module) {
  return Array.from({ length: module.getNumFunctions() }, (_, i) =>
    binaryen.getFunctionInfo(module.getFunctionByIndex(i)),
  );
}

function addErrno(module, name, zeroed) {
  const place = "errno";
  module.addGlobal(place, i32, true, module.i32.const(0));
  module.removeFunction(name);
  const known = () => module.global.get(place, i32);
  const make = module.global.set(place, zeroed(module.i32.const(4)));
  module.addFunction(
    name,
    none,
    i32,
    [],
    module.block(null, [module.if(module.i32.eqz(known()), make), known()], i32),
  );
}

/**
 * The LZF filter allocates the size recorded at writing, or the compressed size, and fails if that is too
 * small:
 * always for variable-length strings, whose recorded size is wrong. Here the length is computed from the
 * stream.
 * Only decompression is kept, as it is not used for writing.
 */
function replaceLzf(module, zeroed, free) {
  const segments = Array.from({ length: module.getNumElementSegments() }, (_, i) =>
    binaryen.getElementSegmentInfo(module.getElementSegmentByIndex(i)),
  );
  const [{ name, table, offset, data }, ...others] = segments;
  if (others.length > 0 || data.join() !== "H5Z_lzf_filter")
    throw new Error("the filter LZF has changed: look at its table of functions");
  addLzfLength(module);
  // flags, number of parameters, parameters, compressed bytes, bytes allocated (pointer), block (pointer)
  const [count, parameters, length, allocated, block] = [1, 2, 3, 4, 5].map(
    (i) => () => module.local.get(i, i32),
  );
  const [wanted, size, made] = [6, 7, 8];
  const get = (i) => module.local.get(i, i32);
  const { load, store, const: number, ge_u, and, eqz, gt_u } = module.i32;
  const larger = (a, b) => module.select(gt_u(a(), b()), a(), b());
  const hasLength = ge_u(count(), number(3));
  const lengthParameter = module.if(hasLength, load(8, 4, parameters()), number(0));
  module.addFunction(
    "decompress",
    binaryen.createType([i32, i32, i32, i32, i32, i32]),
    i32,
    [i32, i32, i32],
    module.block("done", [
      module.if(eqz(and(get(0), number(reverse))), module.return(number(0))),
      module.local.set(wanted, module.call("lzf_length", [load(0, 4, block()), length()], i32)),
      module.local.set(size, lengthParameter),
      module.local.set(
        size,
        larger(
          () => get(size),
          () => get(wanted),
        ),
      ),
      module.local.set(
        size,
        larger(
          () => get(size),
          () => load(0, 4, allocated()),
        ),
      ),
      module.local.set(made, zeroed(get(size))),
      module.if(eqz(get(made)), module.return(number(0))),
      module.local.set(
        wanted,
        module.call("lzf_decompress", [load(0, 4, block()), length(), get(made), get(size)], i32),
      ),
      module.if(
        eqz(get(wanted)),
        module.block(null, [module.call(free, [get(made)], none), module.return(number(0))]),
      ),
      module.call(free, [load(0, 4, block())], none),
      store(0, 4, block(), get(made)),
      store(0, 4, allocated(), get(size)),
      module.return(get(wanted)),
    ]),
  );
  module.removeElementSegment(name);
  module.addActiveElementSegment(table, name, ["decompress"], module.copyExpression(offset));
}
/** HDF5's flag for the reverse direction of a filter (decompression). */
const reverse = 0x100;

/**
 * Decompressed size of an LZF stream, from its position and length. A control byte starts either n + 1
 * literals, or a copy of n + 2 bytes, with n in its upper bits; if they are 7, the next byte is added.
 */
function addLzfLength(module) {
  const [end, bytes, control] = [1, 2, 3];
  const get = (i) => module.local.get(i, i32);
  const { const: number, add, load8_u, lt_u, ge_u, shr_u } = module.i32;
  const advance = (held, read) =>
    module.block(null, [
      module.local.set(bytes, add(get(bytes), held)),
      module.local.set(0, add(get(0), read)),
    ]);
  const literals = advance(add(get(control), number(1)), add(get(control), number(2)));
  const short = advance(add(shr_u(get(control), number(5)), number(2)), number(2));
  const long = advance(add(load8_u(1, 1, get(0)), number(9)), number(3));
  module.addFunction(
    "lzf_length",
    binaryen.createType([i32, i32]),
    i32,
    [i32, i32],
    module.block(null, [
      module.local.set(end, add(get(0), get(end))),
      module.loop(
        "next",
        module.if(
          lt_u(get(0), get(end)),
          module.block(null, [
            module.local.set(control, load8_u(0, 1, get(0))),
            module.if(
              lt_u(get(control), number(32)),
              literals,
              module.if(ge_u(get(control), number(224)), long, short),
            ),
            module.br("next"),
          ]),
        ),
      ),
      module.return(get(bytes)),
    ]),
  );
}
