// Kernels outside the engine, each with a separate memory on the calling thread: compiled once, memory grown
// on demand.

const pageBytes = 65536;
const compiled = new Map<string, WebAssembly.Module>();

/** Exports of every such kernel. */
export interface LoneKernel {
  readonly memory: WebAssembly.Memory;
  /** first free byte */
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
 * Grows a memory to the required size, plus a quarter if available, as each growth triggers a garbage
 * collection.
 * @throws RangeError if there is not enough memory
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
