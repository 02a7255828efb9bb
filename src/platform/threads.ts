// Threads of the wasm engine: what is the same under Node and in a browser.

/** What a thread is given. */
export interface ThreadTask {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** from 1; 0 is the caller */
  readonly thread: number;
  /** word of the memory that the thread sets when it fails */
  readonly failedAddress: number;
}

export interface Threads {
  /** Resolves when the threads have ended; they do so by themselves once the kernels return. */
  ended(): Promise<void>;
}
