// What is being computed, on every page: stage, progress, time left, and a way to stop it.
import { cancelWorking } from "../job-status.js";
import { stopMapping } from "../mapping.js";
import { discardTraining, isTraining } from "../training.js";
import { job, type JobState } from "../state.js";
import { count, duration } from "../text.js";

/** Stages as the library calls them, in words. */
const stages: Readonly<Record<string, string>> = {
  reading: "reading counts",
  "variable genes": "choosing variable genes",
  pretraining: "pretraining",
  "fine-tuning": "fine-tuning with prototypes",
  mapping: "learning new samples",
  embedding: "placing and labelling cells",
  sorting: "sorting",
  writing: "writing",
};
/** After the last epoch: what is left has no epochs to count. */
const finishing = "finishing: classifier, novelty, positions";

function stop(): void {
  if (cancelWorking()) return;
  if (isTraining()) {
    if (confirm("Throw away this training? What it has learnt is lost.")) discardTraining();
  } else stopMapping();
}

export function JobBar() {
  const current = job.value;
  if (!current) return null;
  const { verb, progress, status } = current;
  const isLast = isAfterEpochs(current);
  const share = progress && progress.total > 0 && !isLast ? progress.done / progress.total : null;
  return (
    <div class="job" role="group" aria-label="What is being computed">
      <span class="what">
        <strong>{verb}</strong>, {stageName(current)}
      </span>
      <progress aria-label={verb} max={1} value={share ?? undefined} />
      <span class="numbers">
        {progress?.epoch !== undefined && !isLast && (
          <span>
            epoch {progress.epoch} of {progress.epochs}
          </span>
        )}
        {progress?.cellsPerSecond !== undefined && <span>{count(progress.cellsPerSecond)} cells/s</span>}
        {progress?.secondsLeft !== undefined && status === "running" && !isLast && (
          <span>{duration(progress.secondsLeft)} left</span>
        )}
      </span>
      {status !== "paused" && (
        <button class="quiet" onClick={stop}>
          Cancel
        </button>
      )}
    </div>
  );
}

/** What is being done, in words. */
export function stageName(current: JobState): string {
  const { status, progress } = current;
  if (status === "paused" || status === "pausing") return status;
  if (status === "finishing") return "ending with this epoch";
  if (isAfterEpochs(current)) return finishing;
  return progress ? (stages[progress.stage] ?? progress.stage) : "starting";
}

/** Whether all epochs are done, and the model or the labels are being finished. */
function isAfterEpochs({ progress, status }: JobState): boolean {
  return (
    status === "running" &&
    progress?.epoch !== undefined &&
    progress.epochs !== undefined &&
    progress.epoch >= progress.epochs &&
    progress.done >= progress.total
  );
}
