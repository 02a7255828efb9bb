// Errors of workers: comlink passes message and stack, this adds the kind.
import { transferHandlers } from "comlink";
import type { ScPoliError } from "scpoli";
import type { PlainError } from "../protocol.js";

/** An error of the library or of the machine, on the page's side. */
export class JobError extends Error {
  override readonly name = "JobError";
  constructor(
    readonly kind: PlainError["kind"],
    message: string,
  ) {
    super(message);
  }
}

/** What a user reads of any error. */
function plainError(error: unknown): PlainError {
  // by its name: the page, which shares this file, does not load the library
  if (error instanceof JobError || (error instanceof Error && error.name === "ScPoliError"))
    return { kind: (error as ScPoliError).kind, message: error.message };
  const message = error instanceof Error ? error.message : String(error);
  if (/out of memory|Array buffer allocation failed|Invalid typed array length/i.test(message))
    return {
      kind: "memory",
      message:
        `The browser has no memory left for this (${message}). Close other tabs, take fewer genes, ` +
        "or use the command line for a file of this size.",
    };
  return { kind: "unexpected", message };
}

interface Thrown {
  readonly value: unknown;
}

/** To be called once on both sides. */
export function carryErrors(): void {
  const original = transferHandlers.get("throw")!;
  transferHandlers.set("throw", {
    canHandle: original.canHandle,
    serialize: (thrown) => [plainError((thrown as Thrown).value), []],
    deserialize: (error) => {
      const { kind, message } = error as PlainError;
      throw new JobError(kind, message);
    },
  });
}
