// Kernels with a memory and a thread of their own, for what is computed beside the engine: compiled once,
// grown as they need it.

const pageBytes = 65536;
const compiled = new Map<string, WebAssembly.Module>();

/** What every such kernel has. */
export interface LoneKernel {
  readonly memory: WebAssembly.Memory;
  /** first byte that is free */
  freeFrom(): number;
}

/** A new instance. @param bytes - the module, in base64 */
export function instantiate<Kernel extends LoneKernel>(bytes: string): Kernel {
  const module =
    compiled.get(bytes) ??
    new WebAssembly.Module(Uint8Array.from(atob(bytes), (character) => character.charCodeAt(0)));
  compiled.set(bytes, module);
  return new WebAssembly.Instance(module).exports as unknown as Kernel;
}

/**
 * Makes a memory as long as it has to be, and a quarter longer where that is to be had: each growth sets off
 * a garbage collection.
 * @throws RangeError where there is no such memory
 */
export function reach({ memory }: LoneKernel, bytes: number): void {
  const missing = Math.ceil((bytes - memory.buffer.byteLength) / pageBytes);
  if (missing <= 0) return;
  try {
    memory.grow(Math.max(missing, Math.ceil(memory.buffer.byteLength / 4 / pageBytes)));
  } catch {
    memory.grow(missing);
  }
}
