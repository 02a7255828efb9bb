// Threads of the wasm engine: types shared by Node and browsers.

/** Start data of a thread. */
export interface ThreadTask {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** from 1; 0 is the caller */
  readonly thread: number;
  /** memory word that the thread sets if it fails */
  readonly failedAddress: number;
}

export interface Threads {
  /** Resolves when the threads have ended, which they do once the kernels return. */
  ended(): Promise<void>;
}
