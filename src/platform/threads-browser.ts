// Threads of the wasm engine in a browser, as under Node (threads-node.ts), if the page is cross-origin
// isolated.
import { ScPoliError } from "../contract/errors.js";
import type { Threads, ThreadTask } from "./threads.js";

/** Whether memory can be shared with other threads: only if the page is cross-origin isolated. */
export function canShareMemory(): boolean {
  return globalThis.crossOriginIsolated;
}

/**
 * Starts threads 1 to `count` (0 is the caller).
 * @param failedAddress - memory word that a thread sets if it fails later
 * @throws ScPoliError "memory" if one cannot be started, "usage" if the page is not cross-origin isolated
 */
export async function startThreads(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  count: number,
  failedAddress: number,
): Promise<Threads> {
  if (!canShareMemory())
    throw new ScPoliError(
      "usage",
      `${count + 1} threads are not available: this page is not cross-origin isolated. Use one thread, ` +
        "or serve the page with the headers in docs/how-to/browser.md.",
      { threads: count + 1 },
    );
  const workers = Array.from(
    { length: count },
    () => new Worker(new URL("./thread-browser.js", import.meta.url), { type: "module" }),
  );
  // later failures are reported through `failedAddress`
  const ends = workers.map((worker) => message(worker, "ended").catch(() => undefined));
  try {
    await Promise.all(
      workers.map(async (worker, i) => {
        await message(worker, "listens");
        const task: ThreadTask = { module, memory, thread: i + 1, failedAddress };
        worker.postMessage(task);
        await message(worker, "started");
      }),
    );
  } catch (error) {
    for (const worker of workers) worker.terminate();
    const reason = error instanceof Error ? error.message : String(error);
    throw new ScPoliError(
      "memory",
      `${count} more threads cannot be started: ${reason}. Use fewer threads.`,
      { threads: count + 1 },
      { cause: error },
    );
  }
  return {
    ended: async () => {
      await Promise.all(ends);
      for (const worker of workers) worker.terminate();
    },
  };
}

function message(worker: Worker, expected: string): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
      if (data === expected) resolve();
    });
    worker.addEventListener("error", (event) =>
      reject(new Error(event.message || "its module cannot be loaded")),
    );
  });
}
