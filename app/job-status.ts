// Status of jobs: what is being computed, and errors as messages.
import { runJob, type Session } from "./jobs.js";
import { announcement, dismissErrors, job, tell, type JobState } from "./state.js";
import { pageWords } from "./words.js";
import { JobError } from "./worker/errors.js";

export function begin(verb: string): void {
  job.value = { verb, progress: null, losses: [], notes: [], status: "running" };
}

export function setJob(next: Partial<JobState>): void {
  if (job.value) job.value = { ...job.value, ...next };
}

export function reportProgress(progress: NonNullable<JobState["progress"]>): void {
  const current = job.value;
  if (!current) return;
  const { epoch, done, losses } = progress;
  const isEndOfEpoch = epoch !== undefined && losses && done === epoch;
  // an epoch may be reported twice: by its last minibatch, with the losses of the epoch before, and at its
  // end
  setJob({
    progress,
    ...(isEndOfEpoch && {
      losses: [...current.losses.filter((entry) => entry.epoch < epoch), { epoch, losses }],
    }),
  });
}

export function reportNote(note: JobState["notes"][number]): void {
  setJob({ notes: [...(job.value?.notes ?? []), { ...note, message: pageWords(note.message) }] });
}

let stopWorking: (() => void) | null = null;

/** Cancels the running short job. @returns whether there is one */
export function cancelWorking(): boolean {
  stopWorking?.();
  return stopWorking !== null;
}

/**
 * Runs a short job and shows its name meanwhile; a paused training stays paused.
 * @throws JobError "interrupted" where it was cancelled
 */
export async function working<T>(verb: string, run: (session: Session) => Promise<T>): Promise<T> {
  const before = job.value;
  const cancelled = new Promise<never>(
    (_, reject) => (stopWorking = () => reject(new JobError("interrupted", `${verb} was cancelled.`))),
  );
  begin(verb);
  try {
    return await runJob((session) => Promise.race([run(session), cancelled]), {
      onProgress: reportProgress,
      onNote: reportNote,
    });
  } finally {
    job.value = before;
    stopWorking = null;
  }
}

/** Runs something that may fail; errors become messages. */
export async function guarded(title: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
    dismissErrors();
  } catch (error) {
    if (error instanceof JobError && error.kind === "interrupted") announcement.value = error.message;
    else report(title, error);
  }
}

export function report(title: string, error: unknown): void {
  tell("error", title, pageWords(error instanceof Error ? error.message : String(error)));
}
