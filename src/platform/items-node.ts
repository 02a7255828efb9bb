// Work in a thread of its own that hands out items one after the other, a little ahead of whoever takes them, under Node.
//
// Typed arrays are moved to the taker and come back to be filled again: nothing is copied, and memory does not grow with the number of items.
import { once } from "node:events";
import { parentPort, Worker, workerData } from "node:worker_threads";
import { ScPoliError, type ErrorKind } from "../errors.js";

/** Items that are finished and not yet taken. */
const ahead = 2;

type Message = { readonly item: object } | { readonly end: true } | { readonly error: { readonly kind: ErrorKind | null; readonly message: string; readonly details: Readonly<Record<string, unknown>> } };

/** A thread at work. */
export interface Giver<Item> {
  /**
   * An item that is finished, in the order of their making; null after the last.
   * @param waits - false: null also where none is finished now
   * @throws ScPoliError as the thread threw it
   */
  take(waits: boolean): Promise<Item | null>;
  /** An item that is no longer needed, to be filled again. */
  giveBack(item: Item): void;
  /** Instead of `giveBack`: the last item taken is kept, the thread makes new ones. */
  keep(): void;
  /** Ends the thread; needed also where all items have been taken. */
  close(): Promise<void>;
}

/**
 * Starts a thread; it works at once.
 * @param module - a module that calls `giveItems`
 * @param task - what it is given
 */
export function startGiver<Task, Item extends object>(module: URL, task: Task): Giver<Item> {
  const worker = new Worker(module, { workerData: task, execArgv: [] });
  const messages: Message[] = [];
  let wake = (): void => undefined;
  let failure: Error | null = null;
  worker.on("message", (message: Message) => (messages.push(message), wake()));
  worker.on("error", (error) => ((failure = error), wake()));
  worker.on("exit", (code) => ((failure ??= new Error(`it ended with code ${code}`)), wake()));
  return {
    async take(waits) {
      // messages come in when the event loop has its turn
      if (messages.length === 0) await new Promise((resolve) => setImmediate(resolve));
      while (messages.length === 0) {
        if (failure) throw new ScPoliError("memory", `A thread that reads the file has failed: ${failure.message}.`, {}, { cause: failure });
        if (!waits) return null;
        await new Promise<void>((resolve) => (wake = resolve));
      }
      const message = messages[0]!;
      if ("end" in message) return null;
      messages.shift();
      if ("item" in message) return message.item as Item;
      const { kind, message: text, details } = message.error;
      throw kind ? new ScPoliError(kind, text, details) : new Error(text);
    },
    giveBack: (item) => worker.postMessage(item, buffersOf(item)),
    keep: () => worker.postMessage(null),
    close: async () => void (await worker.terminate()),
  };
}

/**
 * The other side, in the thread.
 * @param produce - gives the items; `spare` is one that the taker is done with, to be filled again
 */
export async function giveItems<Task, Item extends object>(produce: (task: Task, spare: () => Item | undefined) => AsyncIterable<Item>): Promise<void> {
  const port = parentPort!;
  const spares: Item[] = [];
  let given = 0;
  port.on("message", (item: Item | null) => {
    if (item) spares.push(item);
    given--;
  });
  try {
    for await (const item of produce(workerData as Task, () => spares.pop())) {
      while (given >= ahead) await once(port, "message");
      given++;
      port.postMessage({ item }, buffersOf(item));
    }
    port.postMessage({ end: true });
  } catch (error) {
    const { kind, details } = error instanceof ScPoliError ? error : { kind: null, details: {} };
    port.postMessage({ error: { kind, message: error instanceof Error ? error.message : String(error), details } });
  } finally {
    port.removeAllListeners("message");
    port.close();
  }
}

function buffersOf(item: object): ArrayBuffer[] {
  return Object.values(item).flatMap((value: unknown) => {
    if (ArrayBuffer.isView(value)) return value.buffer instanceof ArrayBuffer ? [value.buffer] : [];
    return typeof value === "object" && value !== null ? buffersOf(value) : [];
  });
}
