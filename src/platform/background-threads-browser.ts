// Background workers in a browser. They get the files of the worker that starts them.
import { backgroundThreads } from "./background-threads.js";
import type { Port, WorkName, WorkThread } from "./producer.js";
import { install, snapshot } from "./virtual-folder.js";
import { workerScope } from "./worker-scope.js";

/** Starters of the workers, set by work-threads-browser.ts, which the workers themselves must not import. */
let starts: Readonly<Record<WorkName, () => Worker>> | null = null;

export function useWorkThreads(given: Readonly<Record<WorkName, () => Worker>>): void {
  starts = given;
}

interface Start {
  readonly task: unknown;
  readonly files: ReadonlyMap<string, Blob>;
}

function startThread(name: WorkName, task: unknown): WorkThread {
  if (!starts) throw new Error("provideWorkThreads() must be called before a worker is started");
  const worker = starts[name]();
  const start: Start = { task, files: snapshot() };
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

const listens = "listens";

/** The task and message port from the starter of this worker. */
async function ownStart(): Promise<{ readonly task: unknown; readonly port: Port }> {
  const early: unknown[] = [];
  let listener = (message: unknown): void => void early.push(message);
  const started = new Promise<Start>((resolve) => {
    let isFirst = true;
    workerScope.addEventListener("message", ({ data }) => {
      if (!isFirst) return listener(data);
      isFirst = false;
      resolve(data as Start);
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

export const { startProducer, startRequestWorker, produceItems, answerRequests } = backgroundThreads(
  startThread,
  ownStart,
);
