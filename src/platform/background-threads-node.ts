// Background workers under Node; see producer.ts and request-worker.ts.
import { parentPort, Worker, workerData } from "node:worker_threads";
import { answerThrough, requestWorkerOf, type RequestWorker } from "./request-worker.js";
import {
  fewAhead,
  producerOf,
  produceThrough,
  type Producer,
  type Port,
  type WorkName,
  type WorkThread,
} from "./producer.js";
import { execArgv, moduleExtension } from "./module-kind-node.js";

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

/**
 * Starts a worker that produces items; it works at once.
 * @param task - passed to `produceItems` in its module
 */
export function startProducer<Task, Item extends object>(name: WorkName, task: Task): Producer<Item> {
  return producerOf(startThread(name, task));
}

/**
 * Starts a worker that answers requests.
 * @param task - passed to `answerRequests` in its module
 */
export function startRequestWorker<Task, Request, Answer>(
  name: WorkName,
  task: Task,
): RequestWorker<Request, Answer> {
  return requestWorkerOf(startThread(name, task));
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

/**
 * The worker's side of `startProducer`.
 * @param produce - yields the items; `spare` returns used items for reuse
 * @param ahead - maximum number of finished items that wait to be taken
 */
export async function produceItems<Task, Item extends object>(
  produce: (task: Task, spare: () => Item | undefined) => AsyncIterable<Item>,
  ahead = fewAhead,
): Promise<void> {
  await produceThrough<Item>(ownPort(), (spare) => produce(workerData as Task, spare), ahead);
}

/** The worker's side of `startRequestWorker`. @param start - returns the function that answers requests */
export async function answerRequests<Task, Request, Answer>(
  start: (task: Task) => (request: Request) => Answer,
): Promise<void> {
  answerThrough(ownPort(), start(workerData as Task));
}
