// Training a reference. Pausing stops at a checkpoint in this worker's file system; continuing resumes from
// it, to the same bytes.
import { ScPoli, type AnnData, type Progress } from "scpoli";
import type { Listener, LocalFile, ModelInfo, TrainRequest } from "../protocol.js";
import { openData, packModel } from "./disk.js";
import { modelInfo } from "./result.js";

interface Run {
  readonly data: AnnData;
  readonly name: string;
  readonly request: TrainRequest;
  readonly listener: Listener;
  stop: AbortController;
  readonly finish: AbortController;
}
let run: Run | null = null;
const checkpoint = "training.checkpoint";

/** @throws ScPoliError as `ScPoli.train`; "interrupted" where it was paused */
export async function trainModel(
  files: readonly LocalFile[],
  name: string,
  request: TrainRequest,
  listener: Listener,
): Promise<ModelInfo> {
  run = {
    data: await openData(files),
    name,
    request,
    listener,
    stop: new AbortController(),
    finish: new AbortController(),
  };
  return goOn(run, false);
}

export async function continueTraining(): Promise<ModelInfo> {
  if (!run) throw new Error("Nothing is paused.");
  run.stop = new AbortController();
  return goOn(run, true);
}

export function pauseTraining(): void {
  run?.stop.abort();
}

/** Ends the training after the running epoch and keeps the model. */
export function finishTraining(): void {
  run?.finish.abort();
}

async function goOn(
  { data, name, request, listener, stop, finish }: Run,
  resume: boolean,
): Promise<ModelInfo> {
  const model = await ScPoli.train(data, {
    ...request,
    checkpoint,
    resume,
    checkpointSeconds: 3600,
    signal: stop.signal,
    finish: finish.signal,
    onProgress: throttled((progress) => listener.progress(progress)),
    onNote: (note) => listener.note(note),
  });
  return modelInfo(model, name, await packModel(model, name), "trained here");
}

/** Passes on what matters: the end of each epoch, a new stage, and one message in a while. */
export function throttled(pass: (progress: Progress) => void, everyMs = 100): (progress: Progress) => void {
  let [last, stage, epoch] = [-Infinity, "", 0];
  return (progress) => {
    const now = performance.now();
    if (
      now - last < everyMs &&
      progress.stage === stage &&
      progress.epoch === epoch &&
      progress.done < progress.total &&
      !(progress.epoch && Number.isInteger(progress.done))
    )
      return;
    [last, stage, epoch] = [now, progress.stage, progress.epoch ?? 0];
    pass(progress);
  };
}
