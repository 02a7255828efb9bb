// Parts of a mapping that do not depend on the rest of it, computed in a background thread where there are many
// cells.
import { processorCount, startRequestWorker, type RequestWorker } from "#platform";
import type { RunSettings } from "../contract/options.js";
import type { StoredModel } from "../model/stored-model.js";
import { nearestCompared, queryNeighbors } from "../novelty/novelty.js";
import { UmapPlaces, type PlacedLandmarks } from "../graph/umap-places.js";

/** Cells from which a thread is worth its start. */
const worthAThread = 20_000;

export interface BackgroundTask {
  /** of the reference; null where the model carries none */
  readonly landmarks: PlacedLandmarks | null;
}

/** What can be asked for. */
function functionsOf({ landmarks }: BackgroundTask) {
  let places: UmapPlaces | null = null;
  return {
    place: (latent: Float32Array) => (places ??= new UmapPlaces(landmarks!)).place(latent),
    queryNeighbors,
    nearestCompared,
  };
}

type Functions = ReturnType<typeof functionsOf>;
type Name = keyof Functions;

export interface BackgroundRequest {
  readonly name: Name;
  readonly values: readonly unknown[];
}

/** Computes what a request asks for: what the thread does. */
export function answering(task: BackgroundTask): (request: BackgroundRequest) => unknown {
  const functions = functionsOf(task) as Readonly<Record<Name, (...values: readonly unknown[]) => unknown>>;
  return ({ name, values }) => functions[name](...values);
}

/** For cells that a model embeds. @param cells - N */
export function backgroundWorkFor(
  { json, tensors }: StoredModel,
  cells: number,
  { threads = processorCount() }: Pick<RunSettings, "threads">,
): BackgroundWork {
  // copied: their tensors may be views of the whole model, all of which would go to the thread
  const tensor = (name: string): Float32Array => tensors.get(`landmarks.${name}`)!.data.slice();
  return new BackgroundWork(
    {
      landmarks: json.landmarks
        ? { latent: tensor("latent"), umap: tensor("umap"), D: json.model.latent_dim }
        : null,
    },
    cells,
    threads,
  );
}

export class BackgroundWork {
  readonly #thread: RequestWorker<BackgroundRequest, unknown> | null;
  readonly #answer: (request: BackgroundRequest) => unknown;

  /** @param cells - N @param threads - that the run may have, the caller among them */
  constructor(task: BackgroundTask, cells: number, threads: number, least = worthAThread) {
    this.#thread =
      cells >= least && threads > 1
        ? startRequestWorker<BackgroundTask, BackgroundRequest, unknown>("background-work", task)
        : null;
    this.#answer = answering(task);
  }

  /**
   * Computes it now, or beside the caller. The result is the same; one that is never awaited fails in
   * silence.
   */
  compute<N extends Name>(name: N, ...values: Parameters<Functions[N]>): Promise<ReturnType<Functions[N]>> {
    const request = { name, values };
    const answer = this.#thread
      ? this.#thread.call(request)
      : new Promise((resolve) => resolve(this.#answer(request)));
    answer.catch(() => undefined);
    return answer as Promise<ReturnType<Functions[N]>>;
  }

  /** Whether there is a thread. */
  get isBeside(): boolean {
    return this.#thread !== null;
  }

  /** Computes it now. */
  computeHere<N extends Name>(name: N, ...values: Parameters<Functions[N]>): ReturnType<Functions[N]> {
    return this.#answer({ name, values }) as ReturnType<Functions[N]>;
  }

  async close(): Promise<void> {
    await this.#thread?.close();
  }
}
