// Training a model: it can be paused, ended early with what it has learnt, or thrown away.
import { begin, report, reportNote, reportProgress, setJob } from "./job-status.js";
import { startSession, type Session } from "./jobs.js";
import { useModel } from "./opening.js";
import type { ModelInfo, TrainRequest } from "./protocol.js";
import { announcement, isUnsaved, job, work } from "./state.js";
import { lastTraining } from "./training-request.js";
import { JobError } from "./worker/errors.js";

let training: Session | null = null;

/** Whether a training goes on or is paused. */
export const isTraining = (): boolean => training !== null;

export async function train(request: TrainRequest): Promise<void> {
  const { reference } = work.value;
  if (!reference || job.value) return;
  training = startSession({ onProgress: reportProgress, onNote: reportNote });
  const name = `${reference.info.name.replace(/\.(h5ad|zarr|zip|h5)$/g, "")}-model`;
  const { jobs, listener } = training;
  begin("Training");
  lastTraining.value = { file: reference.info.name, request };
  await untilTrained(() => jobs.trainModel(reference.files, name, request, listener));
}

/** Waits for the training; one that was paused stays, with its worker. */
async function untilTrained(start: () => Promise<ModelInfo>): Promise<void> {
  try {
    const model = await start();
    endTraining();
    isUnsaved.value = true;
    await useModel(model, "train a model");
  } catch (error) {
    if (error instanceof JobError && error.kind === "interrupted" && job.value?.status === "pausing") {
      setJob({ status: "paused" });
      announcement.value = "Training is paused.";
      return;
    }
    const wasStopped = training === null;
    endTraining();
    if (!wasStopped) report("Training stopped", error);
  }
}

export async function pauseTraining(): Promise<void> {
  setJob({ status: "pausing" });
  await training?.jobs.pauseTraining();
}

export async function continueTraining(): Promise<void> {
  const session = training;
  if (!session) return;
  setJob({ status: "running" });
  await untilTrained(() => session.jobs.continueTraining());
}

/** Ends the training after this epoch and keeps the model. */
export async function finishTraining(): Promise<void> {
  const session = training;
  if (!session) return;
  const wasPaused = job.value?.status === "paused";
  setJob({ status: "finishing" });
  await session.jobs.finishTraining();
  if (wasPaused) await untilTrained(() => session.jobs.continueTraining());
}

/** Ends the training; nothing is kept. */
export function discardTraining(): void {
  const session = training;
  training = null;
  session?.end();
  job.value = null;
}

function endTraining(): void {
  training?.end();
  training = null;
  job.value = null;
}
