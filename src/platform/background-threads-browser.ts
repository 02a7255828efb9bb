// Background workers in a browser; see producer.ts and request-worker.ts. They get the files of the worker
// that starts them.
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
import { install, snapshot } from "./virtual-folder.js";
import { workerScope } from "./worker-scope.js";

/** Starters of the workers, set by work-threads-browser.ts, which the workers themselves must not import. */
let starts: Readonly<Record<WorkName, () => Worker>> | null = null;

export function useWorkThreads(given: Readonly<Record<WorkName, () => Worker>>): void {
  starts = given;
}

interface Start<Task> {
  readonly task: Task;
  readonly files: ReadonlyMap<string, Blob>;
}

function startThread<Task>(name: WorkName, task: Task): WorkThread {
  if (!starts) throw new Error("provideWorkThreads() must be called before a worker is started");
  const worker = starts[name]();
  const start: Start<Task> = { task, files: snapshot() };
  const { port1: here, port2: there } = new MessageChannel();
  // the first message signals that the worker listens; earlier messages could be lost
  let early: { readonly message: unknown; readonly moved: ArrayBuffer[] }[] | null = [];
  const begin = (): void => {
    worker.postMessage(start);
    for (const { message, moved } of early ?? []) worker.postMessage(message, moved);
    early = null;
  };
  return {
    post: (message, moved) =>
      early ? void early.push({ message, moved }) : worker.postMessage(message, moved),
    onMessage: (listener) =>
      worker.addEventListener("message", ({ data }: MessageEvent<unknown>) =>
        data === listens ? begin() : listener(data),
      ),
    onFailure: (listener) =>
      worker.addEventListener(
        "error",
        (event) => (
          event.preventDefault(),
          listener(new Error(event.message || "its module cannot be loaded"))
        ),
      ),
    turn: () =>
      new Promise((resolve) => {
        here.onmessage = () => resolve();
        there.postMessage(null);
      }),
    close: () => {
      here.close();
      worker.terminate();
    },
  };
}

/**
 * Starts a worker that produces items; it works as soon as it is loaded.
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

const listens = "listens";

/** The task and message port from the starter of this worker. */
async function ownStart<Task>(): Promise<{ readonly task: Task; readonly port: Port }> {
  const early: unknown[] = [];
  let listener = (message: unknown): void => void early.push(message);
  const started = new Promise<Start<Task>>((resolve) => {
    let isFirst = true;
    workerScope.addEventListener("message", ({ data }) => {
      if (!isFirst) return listener(data);
      isFirst = false;
      resolve(data as Start<Task>);
    });
  });
  workerScope.postMessage(listens);
  const { task, files } = await started;
  install(files);
  const port: Port = {
    post: (message, moved) => workerScope.postMessage(message, moved),
    onMessage: (added) => {
      listener = added;
      early.splice(0).forEach(added);
    },
    close: () => undefined, // whoever started the thread ends it
  };
  return { task, port };
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
  const { task, port } = await ownStart<Task>();
  await produceThrough<Item>(port, (spare) => produce(task, spare), ahead);
}

/** The worker's side of `startRequestWorker`. @param start - returns the function that answers requests */
export async function answerRequests<Task, Request, Answer>(
  start: (task: Task) => (request: Request) => Answer,
): Promise<void> {
  const { task, port } = await ownStart<Task>();
  answerThrough(port, start(task));
}
