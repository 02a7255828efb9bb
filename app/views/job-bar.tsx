// What is being computed, on every page: stage, progress, time left, and a way to stop it.
import { stopJob } from "../actions.js";
import { job } from "../state.js";
import { count, duration } from "../text.js";

const stages: Readonly<Record<string, string>> = {
  reading: "reading counts",
  "variable genes": "choosing variable genes",
  pretraining: "pretraining",
  "fine-tuning": "fine-tuning with prototypes",
  mapping: "learning the new conditions",
  embedding: "embedding and labelling cells",
  sorting: "sorting",
  writing: "writing",
};

export function JobBar() {
  const current = job.value;
  if (!current) return null;
  const { verb, progress, status } = current;
  const share = progress && progress.total > 0 ? progress.done / progress.total : null;
  const stage =
    status === "paused" ? "paused" : progress ? (stages[progress.stage] ?? progress.stage) : "starting";
  return (
    <div class="job" role="group" aria-label="What is being computed">
      <span class="what">
        <strong>{verb}</strong>, {stage}
      </span>
      <progress aria-label={verb} max={1} value={share ?? undefined} />
      <span class="numbers">
        {progress?.epoch !== undefined && (
          <span>
            epoch {progress.epoch} of {progress.epochs}
          </span>
        )}
        {progress?.cellsPerSecond !== undefined && <span>{count(progress.cellsPerSecond)} cells/s</span>}
        {progress?.secondsLeft !== undefined && status === "running" && (
          <span>{duration(progress.secondsLeft)} left</span>
        )}
      </span>
      {status !== "paused" && (
        <button class="quiet" onClick={stopJob}>
          Cancel
        </button>
      )}
    </div>
  );
}
