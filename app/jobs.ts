// Jobs in workers. Each job has its own worker, which ends with it, so that all its memory is released. Files
// are passed as File objects, which are not copied.
import { proxy, wrap, type Remote } from "comlink";
import type { Note, Progress } from "scpoli";
import type { Jobs } from "./worker.js";
import { carryErrors } from "./worker/errors.js";

carryErrors();

export interface JobCallbacks {
  readonly onProgress?: (progress: Progress) => void;
  readonly onNote?: (note: Note) => void;
}

/** A running worker. */
export interface Session {
  readonly jobs: Remote<Jobs>;
  readonly listener: { progress(progress: Progress): void; note(note: Note): void };
  end(): void;
}

export function startSession({ onProgress, onNote }: JobCallbacks = {}): Session {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "scpoli" });
  const listener = proxy({
    progress: (progress: Progress) => onProgress?.(progress),
    note: (note: Note) => onNote?.(note),
  });
  return { jobs: wrap<Jobs>(worker), listener, end: () => worker.terminate() };
}

/** Runs one job in its own worker. */
export async function runJob<Result>(
  job: (session: Session) => Promise<Result>,
  callbacks: JobCallbacks = {},
): Promise<Result> {
  const session = startSession(callbacks);
  try {
    return await job(session);
  } finally {
    session.end();
  }
}
