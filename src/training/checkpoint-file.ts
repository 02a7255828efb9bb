// The checkpoint of a training run: where it is read from and written to, and the run that it belongs to.
import { fileStatus } from "#platform";
import type { TrainOptions } from "../contract/options.js";
import type { Fingerprint } from "../storage/fingerprint.js";
import { loadCheckpoint, saveCheckpoint, type Snapshot } from "../storage/training-checkpoint.js";

/** The checkpoint of one run; does nothing if no path is given. */
export class CheckpointFile {
  #owner: Promise<Fingerprint> | null = null;

  constructor(
    private readonly options: TrainOptions,
    private readonly owner: () => Promise<Fingerprint>,
  ) {}

  async load(): Promise<Snapshot | undefined> {
    const { checkpoint, resume, onNote } = this.options;
    if (!checkpoint || !resume) return undefined;
    if (!(await fileStatus(checkpoint))) {
      onNote?.({
        level: "warning",
        message: `There is no checkpoint ${checkpoint}; training starts from the beginning.`,
      });
      return undefined;
    }
    const snapshot = await loadCheckpoint(checkpoint, await this.#fingerprint());
    onNote?.({ level: "info", message: `Resuming from ${checkpoint}, epoch ${snapshot.state.epoch + 1}.` });
    return snapshot;
  }

  async save(snapshot: Snapshot): Promise<void> {
    if (this.options.checkpoint)
      await saveCheckpoint(this.options.checkpoint, snapshot, await this.#fingerprint());
  }

  #fingerprint(): Promise<Fingerprint> {
    return (this.#owner ??= this.owner());
  }
}
