// Jobs in workers. Each job gets a worker of its own, which is ended with it, so that all its memory is given
// back; files go in and out as File objects, which are not copied.
import { proxy, wrap, type Remote } from "comlink";
import type { Note, Progress } from "scpoli";
import type { Jobs } from "./worker.js";
import { carryErrors } from "./worker/errors.js";

carryErrors();

export interface Told {
  readonly onProgress?: (progress: Progress) => void;
  readonly onNote?: (note: Note) => void;
}

/** A worker at work. */
export interface Session {
  readonly jobs: Remote<Jobs>;
  readonly listener: { progress(progress: Progress): void; note(note: Note): void };
  end(): void;
}

export function startSession({ onProgress, onNote }: Told = {}): Session {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "scpoli" });
  const listener = proxy({
    progress: (progress: Progress) => onProgress?.(progress),
    note: (note: Note) => onNote?.(note),
  });
  return { jobs: wrap<Jobs>(worker), listener, end: () => worker.terminate() };
}

/** Runs one job in a worker of its own. */
export async function runJob<Result>(
  job: (session: Session) => Promise<Result>,
  told: Told = {},
): Promise<Result> {
  const session = startSession(told);
  try {
    return await job(session);
  } finally {
    session.end();
  }
}
