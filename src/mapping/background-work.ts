// Runs independent parts of a mapping in a background worker if there are many cells.
import { processorCount, startRequestWorker, type RequestWorker } from "#platform";
import type { RunSettings } from "../contract/options.js";
import type { StoredModel } from "../model/stored-model.js";
import { nearestCompared, queryNeighbors } from "../novelty/novelty.js";
import { UmapPlaces, type PlacedLandmarks } from "../graph/umap-places.js";

/** Number of cells from which starting a thread pays off. */
const leastCellsForThread = 20_000;

export interface BackgroundTask {
  /** landmarks of the reference; null if the model has none */
  readonly landmarks: PlacedLandmarks | null;
}

/** Functions that a request can name. */
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

/** Returns the function that answers requests, in the thread or on the caller's side. */
export function answering(task: BackgroundTask): (request: BackgroundRequest) => unknown {
  const functions = functionsOf(task) as Readonly<Record<Name, (...values: readonly unknown[]) => unknown>>;
  return ({ name, values }) => functions[name](...values);
}

/** Background work for embedding cells with a model. @param cells - N */
export function backgroundWorkFor(
  { json, tensors }: StoredModel,
  cells: number,
  { threads = processorCount() }: Pick<RunSettings, "threads">,
): BackgroundWork {
  // copy: the tensors may be views of a buffer with the whole model, which would be sent to the thread as
  // well
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

  /** @param cells - N @param threads - threads the run may use, including the caller's */
  constructor(task: BackgroundTask, cells: number, threads: number, least = leastCellsForThread) {
    this.#thread =
      cells >= least && threads > 1
        ? startRequestWorker<BackgroundTask, BackgroundRequest, unknown>("background-work", task)
        : null;
    this.#answer = answering(task);
  }

  /**
   * Runs a function in the background thread, or at once if there is none. The result is the same. If the
   * result is never awaited, errors are ignored.
   */
  compute<N extends Name>(name: N, ...values: Parameters<Functions[N]>): Promise<ReturnType<Functions[N]>> {
    const request = { name, values };
    const answer = this.#thread
      ? this.#thread.call(request)
      : new Promise((resolve) => resolve(this.#answer(request)));
    answer.catch(() => undefined);
    return answer as Promise<ReturnType<Functions[N]>>;
  }

  /** Whether work runs in a background thread. */
  get hasThread(): boolean {
    return this.#thread !== null;
  }

  /** Runs a function in the caller's thread. */
  computeHere<N extends Name>(name: N, ...values: Parameters<Functions[N]>): ReturnType<Functions[N]> {
    return this.#answer({ name, values }) as ReturnType<Functions[N]>;
  }

  async close(): Promise<void> {
    await this.#thread?.close();
  }
}
