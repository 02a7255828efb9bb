// A background worker that answers requests in order: the code shared by Node and browsers.
import {
  buffersOf,
  failedThread,
  errorOfMessage,
  messageOfError,
  type Port,
  type ThreadError,
  type WorkThread,
} from "./producer.js";

/** A worker that answers requests. */
export interface RequestWorker<Request, Answer> {
  /**
   * Sends a request.
   * @param request - is copied
   * @throws errors of the worker; ScPoliError "memory" if the worker has ended
   */
  call(request: Request): Promise<Answer>;
  /** Ends the worker; pending requests are never answered. */
  close(): Promise<void>;
}

type Reply<Answer> = { readonly answer: Answer } | ThreadError;

export function requestWorkerOf<Request, Answer>(thread: WorkThread): RequestWorker<Request, Answer> {
  const waiting: { readonly resolve: (answer: Answer) => void; readonly reject: (error: Error) => void }[] =
    [];
  let failure: Error | null = null;
  thread.onMessage((message) => {
    const reply = message as Reply<Answer>;
    const { resolve, reject } = waiting.shift()!;
    if ("answer" in reply) resolve(reply.answer);
    else reject(errorOfMessage(reply));
  });
  thread.onFailure((error) => {
    failure ??= error;
    for (const { reject } of waiting.splice(0)) reject(failedThread(failure));
  });
  return {
    call: (request) =>
      new Promise((resolve, reject) => {
        if (failure) return reject(failedThread(failure));
        waiting.push({ resolve, reject });
        thread.post(request, []);
      }),
    async close() {
      waiting.length = 0;
      await thread.close();
    },
  };
}

/** The worker's side. The buffers of an answer are transferred. */
export function answerThrough<Request, Answer>(
  port: Pick<Port, "post" | "onMessage">,
  answer: (request: Request) => Answer,
): void {
  port.onMessage((request) => {
    try {
      const reply = { answer: answer(request as Request) };
      port.post(reply, buffersOf(reply));
    } catch (error) {
      port.post(messageOfError(error), []);
    }
  });
}
