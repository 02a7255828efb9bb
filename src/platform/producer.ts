// Background workers that produce items in order, slightly ahead of the consumer: the code shared by Node and
// browsers.
//
// Typed arrays are transferred to the consumer and returned for reuse, so nothing is copied and memory does
// not grow with the number of items.
import { ScPoliError, type ErrorKind } from "../contract/errors.js";

/** Names of the background workers, by task. */
export type WorkName = "read-ahead" | "streamed-counts" | "background-work";

/** One end of the channel between a worker and its starter. */
export interface Port {
  post(message: unknown, moved: ArrayBuffer[]): void;
  /** Listens to messages from now on. */
  onMessage(listener: (message: unknown) => void): void;
  /** Ends the worker, or closes this end of the channel. */
  close(): Promise<void> | void;
}

/** A worker, as its starter sees it. */
export interface WorkThread extends Port {
  /** Listens to failures, including an unexpected end. */
  onFailure(listener: (error: Error) => void): void;
  /** Lets pending messages arrive. */
  turn(): Promise<void>;
}

/** Default number of finished items that wait to be taken. */
export const fewAhead = 2;

/** A serialised error of a worker. */
export interface ThreadError {
  readonly error: {
    readonly kind: ErrorKind | null;
    readonly message: string;
    readonly details: Readonly<Record<string, unknown>>;
  };
}
type Message = { readonly item: object } | { readonly end: true } | ThreadError;

/** A running producer. */
export interface Producer<Item> {
  /**
   * The next finished item, in order; null after the last.
   * @param waits - false: return null also if no item is finished yet
   * @throws ScPoliError as thrown in the worker
   */
  take(waits: boolean): Promise<Item | null>;
  /** Returns a used item for reuse. */
  recycle(item: Item): void;
  /** Ends the worker; required even after the last item. */
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
      // messages arrive when the event loop runs
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

/** The worker's side. */
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

/** The error of a worker that has ended unexpectedly. */
export function failedThread(failure: Error): ScPoliError {
  return new ScPoliError("memory", `A thread has failed: ${failure.message}.`, {}, { cause: failure });
}

/** Serialises an error for the starter, */
export function messageOfError(error: unknown): ThreadError {
  const { kind, details } = error instanceof ScPoliError ? error : { kind: null, details: {} };
  return { error: { kind, message: error instanceof Error ? error.message : String(error), details } };
}

/** and restores it. */
export function errorOfMessage({ error: { kind, message, details } }: ThreadError): Error {
  return kind ? new ScPoliError(kind, message, details) : new Error(message);
}

/** Buffers of an item's arrays that can be transferred. */
export function buffersOf(item: object): ArrayBuffer[] {
  return Object.values(item).flatMap((value: unknown) => {
    if (ArrayBuffer.isView(value)) return value.buffer instanceof ArrayBuffer ? [value.buffer] : [];
    return typeof value === "object" && value !== null ? buffersOf(value) : [];
  });
}
