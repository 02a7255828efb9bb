// Background workers: the side that starts a worker, and the worker's side. See producer.ts and
// request-worker.ts; background-threads-node.ts and -browser.ts say how a worker is started and reached.
import {
  fewAhead,
  producerOf,
  produceThrough,
  type Port,
  type Producer,
  type WorkName,
  type WorkThread,
} from "./producer.js";
import { answerThrough, requestWorkerOf, type RequestWorker } from "./request-worker.js";

/**
 * @param startThread - starts the worker of a name with a task
 * @param connect - in a worker: its task, and the port to its starter
 */
export function backgroundThreads(
  startThread: (name: WorkName, task: unknown) => WorkThread,
  connect: () => Promise<{ readonly task: unknown; readonly port: Port }>,
) {
  return {
    /**
     * Starts a worker that produces items; it works as soon as it is loaded.
     * @param task - passed to `produceItems` in its module
     */
    startProducer: <Task, Item extends object>(name: WorkName, task: Task): Producer<Item> =>
      producerOf(startThread(name, task)),

    /**
     * Starts a worker that answers requests.
     * @param task - passed to `answerRequests` in its module
     */
    startRequestWorker: <Task, Request, Answer>(name: WorkName, task: Task): RequestWorker<Request, Answer> =>
      requestWorkerOf(startThread(name, task)),

    /**
     * The worker's side of `startProducer`.
     * @param produce - yields the items; `spare` returns used items for reuse
     * @param ahead - maximum number of finished items that wait to be taken
     */
    produceItems: async <Task, Item extends object>(
      produce: (task: Task, spare: () => Item | undefined) => AsyncIterable<Item>,
      ahead = fewAhead,
    ): Promise<void> => {
      const { task, port } = await connect();
      await produceThrough<Item>(port, (spare) => produce(task as Task, spare), ahead);
    },

    /** The worker's side of `startRequestWorker`. @param start - returns the function that answers */
    answerRequests: async <Task, Request, Answer>(
      start: (task: Task) => (request: Request) => Answer,
    ): Promise<void> => {
      const { task, port } = await connect();
      answerThrough(port, start(task as Task));
    },
  };
}
