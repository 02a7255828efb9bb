// The global object of a dedicated worker, which TypeScript's DOM library does not describe.

/** The global scope, if this module runs in a worker. */
export interface WorkerScope {
  postMessage(message: unknown, moved?: readonly Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent<unknown>) => void): void;
  close(): void;
}

export const workerScope = globalThis as unknown as WorkerScope;

/** Reads Blobs synchronously; undefined outside workers. */
export const FileReader = (
  globalThis as { readonly FileReaderSync?: new () => { readAsArrayBuffer(blob: Blob): ArrayBuffer } }
).FileReaderSync;
