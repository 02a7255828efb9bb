// Threads that read, in a browser; see giver.ts. They get the files of the worker that starts them.
import { giverOf, giveThrough, type Giver, type ReaderName } from "./giver.js";
import { install, snapshot } from "./virtual-folder.js";
import { workerScope } from "./worker-scope.js";

/** How each thread is started: given by reader-threads-browser.ts, which the threads themselves must not import. */
let starts: Readonly<Record<ReaderName, () => Worker>> | null = null;

export function useReaderThreads(given: Readonly<Record<ReaderName, () => Worker>>): void {
  starts = given;
}

interface Start<Task> {
  readonly task: Task;
  readonly files: ReadonlyMap<string, Blob>;
}

/**
 * Starts a thread; it works as soon as it has been loaded.
 * @param task - what its module gives to `giveItems`
 */
export function startGiver<Task, Item extends object>(name: ReaderName, task: Task): Giver<Item> {
  if (!starts) throw new Error("a reader's thread is started before reader-threads-browser.ts has told how");
  const worker = starts[name]();
  const start: Start<Task> = { task, files: snapshot() };
  const { port1: here, port2: there } = new MessageChannel();
  return giverOf({
    post: (message, moved) => worker.postMessage(message, moved),
    onMessage: (listener) =>
      // the first message tells that the thread listens: one that is sent before that may be lost
      worker.addEventListener("message", ({ data }: MessageEvent<unknown>) => (data === listens ? worker.postMessage(start) : listener(data))),
    onFailure: (listener) => worker.addEventListener("error", (event) => (event.preventDefault(), listener(new Error(event.message || "its module cannot be loaded")))),
    turn: () =>
      new Promise((resolve) => {
        here.onmessage = () => resolve();
        there.postMessage(null);
      }),
    close: () => {
      here.close();
      worker.terminate();
    },
  });
}

const listens = "listens";

/**
 * The other side, in the thread.
 * @param produce - gives the items; `spare` is one that the taker is done with, to be filled again
 */
export async function giveItems<Task, Item extends object>(produce: (task: Task, spare: () => Item | undefined) => AsyncIterable<Item>): Promise<void> {
  let listener: ((message: unknown) => void) | null = null;
  const started = new Promise<Start<Task>>((resolve) =>
    workerScope.addEventListener("message", ({ data }) => (listener ? listener(data) : resolve(data as Start<Task>))),
  );
  workerScope.postMessage(listens);
  const { task, files } = await started;
  install(files);
  await giveThrough<Item>(
    {
      post: (message, moved) => workerScope.postMessage(message, moved),
      onMessage: (added) => (listener = added),
      close: () => undefined, // whoever started the thread ends it
    },
    (spare) => produce(task, spare),
  );
}
