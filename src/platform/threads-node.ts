// Worker threads of the wasm engine under Node: each runs one instance of the kernels on the shared memory
// until it is stopped.
import { Worker } from "node:worker_threads";
import { ScPoliError } from "../contract/errors.js";
import { execArgv, moduleExtension } from "./module-kind-node.js";
import type { Threads, ThreadTask } from "./threads.js";

/** Whether memory can be shared with other threads. */
export function canShareMemory(): boolean {
  return true;
}

/**
 * Starts threads 1 to `count` (0 is the caller).
 * @param failedAddress - memory word that a thread sets if it fails later
 * @throws ScPoliError "memory" if one cannot be started
 */
export async function startThreads(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  count: number,
  failedAddress: number,
): Promise<Threads> {
  const workers = Array.from({ length: count }, (_, i) => {
    const workerData: ThreadTask = { module, memory, thread: i + 1, failedAddress };
    return new Worker(new URL(`./thread-node${moduleExtension}`, import.meta.url), { workerData, execArgv });
  });
  const exits = workers.map((worker) => new Promise<void>((resolve) => worker.once("exit", () => resolve())));
  try {
    await Promise.all(workers.map(started));
  } catch (error) {
    await Promise.all(workers.map((worker) => worker.terminate()));
    const reason = error instanceof Error ? error.message : String(error);
    throw new ScPoliError(
      "memory",
      `${count} more threads cannot be started: ${reason}. Use fewer threads.`,
      { threads: count + 1 },
      { cause: error },
    );
  }
  // idle threads do not keep a finished process alive
  for (const worker of workers) worker.unref();
  return {
    ended: async () => {
      for (const worker of workers) worker.ref();
      await Promise.all(exits);
    },
  };
}

function started(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once("message", () => resolve());
    // after the start, errors are reported through `failedAddress`
    worker.on("error", reject);
    worker.once("exit", (code) => reject(new Error(`it ended with code ${code}`)));
  });
}
