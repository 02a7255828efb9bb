// What the global object of a dedicated worker has and TypeScript's library for pages has not.

/** The scope of this module where it runs in a worker. */
export interface WorkerScope {
  postMessage(message: unknown, moved?: readonly Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent<unknown>) => void): void;
  close(): void;
}

export const workerScope = globalThis as unknown as WorkerScope;

/** Reads Blobs synchronously; undefined outside of workers. */
export const FileReader = (
  globalThis as { readonly FileReaderSync?: new () => { readAsArrayBuffer(blob: Blob): ArrayBuffer } }
).FileReaderSync;
