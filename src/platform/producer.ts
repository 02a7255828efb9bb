// Work in a thread of its own that hands out items one after the other, a little ahead of whoever takes them:
// what is the same under Node and in a browser.
//
// Typed arrays are moved to the taker and come back to be filled again: nothing is copied, and memory does
// not grow with the number of items.
import { ScPoliError, type ErrorKind } from "../contract/errors.js";

/** Threads at work; what each is for stands in the module that it runs. */
export type WorkName = "read-ahead" | "streamed-counts" | "background-work";

/** One end of the line between a thread and whoever started it. */
export interface Port {
  post(message: unknown, moved: ArrayBuffer[]): void;
  /** Messages from now on. */
  onMessage(listener: (message: unknown) => void): void;
  /** Ends the thread, or this end of the line. */
  close(): Promise<void> | void;
}

/** A thread, seen by whoever started it. */
export interface WorkThread extends Port {
  /** It has failed, or ended before it was told to. */
  onFailure(listener: (error: Error) => void): void;
  /** Lets messages come in that have been sent. */
  turn(): Promise<void>;
}

/** Items that are finished and not yet taken, unless a thread is told otherwise. */
export const fewAhead = 2;

/** What a thread has thrown. */
export interface ThreadError {
  readonly error: {
    readonly kind: ErrorKind | null;
    readonly message: string;
    readonly details: Readonly<Record<string, unknown>>;
  };
}
type Message = { readonly item: object } | { readonly end: true } | ThreadError;

/** A thread at work. */
export interface Producer<Item> {
  /**
   * An item that is finished, in the order of their making; null after the last.
   * @param waits - false: null also where none is finished now
   * @throws ScPoliError as the thread threw it
   */
  take(waits: boolean): Promise<Item | null>;
  /** An item that is no longer needed, to be filled again. */
  recycle(item: Item): void;
  /** Ends the thread; needed also where all items have been taken. */
  close(): Promise<void>;
}

export function producerOf<Item extends object>(thread: WorkThread): Producer<Item> {
  const messages: Message[] = [];
  let wake = (): void => undefined;
  let failure: Error | null = null;
  thread.onMessage((message) => (messages.push(message as Message), wake()));
  thread.onFailure((error) => ((failure ??= error), wake()));
  return {
    async take(waits) {
      // messages come in when the event loop has its turn
      if (messages.length === 0) await thread.turn();
      while (messages.length === 0) {
        if (failure) throw failedThread(failure);
        if (!waits) return null;
        await new Promise<void>((resolve) => (wake = resolve));
      }
      const message = messages[0]!;
      if ("end" in message) return null;
      messages.shift();
      if ("item" in message) {
        thread.post(null, []);
        return message.item as Item;
      }
      throw errorOfMessage(message);
    },
    recycle: (item) => thread.post(item, buffersOf(item)),
    close: async () => {
      await thread.close();
    },
  };
}

/** The other side, in the thread. */
export async function produceThrough<Item extends object>(
  port: Port,
  produce: (spare: () => Item | undefined) => AsyncIterable<Item>,
  ahead: number,
): Promise<void> {
  const spares: Item[] = [];
  let untaken = 0;
  let wake = (): void => undefined;
  port.onMessage((message) => {
    if (message) spares.push(message as Item);
    else untaken--;
    wake();
  });
  const give = (message: Message): void =>
    port.post(message, "item" in message ? buffersOf(message.item) : []);
  try {
    for await (const item of produce(() => spares.pop())) {
      while (untaken >= ahead) await new Promise<void>((resolve) => (wake = resolve));
      untaken++;
      give({ item });
    }
    give({ end: true });
  } catch (error) {
    give(messageOfError(error));
  } finally {
    await port.close();
  }
}

/** The error of a thread that has ended by itself. */
export function failedThread(failure: Error): ScPoliError {
  return new ScPoliError("memory", `A thread has failed: ${failure.message}.`, {}, { cause: failure });
}

/** An error on its way from a thread, */
export function messageOfError(error: unknown): ThreadError {
  const { kind, details } = error instanceof ScPoliError ? error : { kind: null, details: {} };
  return { error: { kind, message: error instanceof Error ? error.message : String(error), details } };
}

/** and as it was. */
export function errorOfMessage({ error: { kind, message, details } }: ThreadError): Error {
  return kind ? new ScPoliError(kind, message, details) : new Error(message);
}

/** Buffers of an item's arrays that can be moved to another thread. */
export function buffersOf(item: object): ArrayBuffer[] {
  return Object.values(item).flatMap((value: unknown) => {
    if (ArrayBuffer.isView(value)) return value.buffer instanceof ArrayBuffer ? [value.buffer] : [];
    return typeof value === "object" && value !== null ? buffersOf(value) : [];
  });
}
