// Background workers under Node.
import { parentPort, Worker, workerData } from "node:worker_threads";
import { backgroundThreads } from "./background-threads.js";
import { execArgv, moduleExtension } from "./module-kind-node.js";
import type { Port, WorkName, WorkThread } from "./producer.js";

const modules: Readonly<Record<WorkName, URL>> = {
  "read-ahead": new URL(`../anndata/read-ahead-thread${moduleExtension}`, import.meta.url),
  "streamed-counts": new URL(`../data/streamed-counts-thread${moduleExtension}`, import.meta.url),
  "background-work": new URL(`../mapping/background-work-thread${moduleExtension}`, import.meta.url),
};

function startThread(name: WorkName, task: unknown): WorkThread {
  const worker = new Worker(modules[name], { workerData: task, execArgv });
  return {
    post: (message, moved) => worker.postMessage(message, moved),
    onMessage: (listener) => worker.on("message", listener),
    onFailure: (listener) =>
      void worker
        .on("error", listener)
        .on("exit", (code) => listener(new Error(`it ended with code ${code}`))),
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    close: async () => void (await worker.terminate()),
  };
}

/** The message port to the starter of this worker. */
function ownPort(): Port {
  const port = parentPort!;
  return {
    post: (message, moved) => port.postMessage(message, moved),
    onMessage: (listener) => port.on("message", listener),
    close: () => {
      port.removeAllListeners("message");
      port.close();
    },
  };
}

export const { startProducer, startRequestWorker, produceItems, answerRequests } = backgroundThreads(
  startThread,
  async () => ({ task: workerData as unknown, port: ownPort() }),
);
