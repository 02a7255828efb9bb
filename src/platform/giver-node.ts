// Threads that read, under Node; see giver.ts.
import { parentPort, Worker, workerData } from "node:worker_threads";
import { giverOf, giveThrough, type Giver, type ReaderName } from "./giver.js";

const modules: Readonly<Record<ReaderName, URL>> = {
  "read-ahead": new URL("../anndata/read-ahead-thread.js", import.meta.url),
  "streamed-counts": new URL("../data/streamed-counts-thread.js", import.meta.url),
};

/**
 * Starts a thread; it works at once.
 * @param task - what its module gives to `giveItems`
 */
export function startGiver<Task, Item extends object>(name: ReaderName, task: Task): Giver<Item> {
  // no loaders: the thread is plain JavaScript
  const worker = new Worker(modules[name], { workerData: task, execArgv: [] });
  return giverOf({
    post: (message, moved) => worker.postMessage(message, moved),
    onMessage: (listener) => worker.on("message", listener),
    onFailure: (listener) => void worker.on("error", listener).on("exit", (code) => listener(new Error(`it ended with code ${code}`))),
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    close: async () => void (await worker.terminate()),
  });
}

/**
 * The other side, in the thread.
 * @param produce - gives the items; `spare` is one that the taker is done with, to be filled again
 */
export async function giveItems<Task, Item extends object>(produce: (task: Task, spare: () => Item | undefined) => AsyncIterable<Item>): Promise<void> {
  const port = parentPort!;
  await giveThrough<Item>(
    {
      post: (message, moved) => port.postMessage(message, moved),
      onMessage: (listener) => port.on("message", listener),
      close: () => {
        port.removeAllListeners("message");
        port.close();
      },
    },
    (spare) => produce(workerData as Task, spare),
  );
}
