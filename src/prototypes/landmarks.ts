// Landmarks: a sample of the reference's cells stored in the model, as positions without names and counts.
// They are used to place queries in the reference's UMAP, and to check whether the query lies where the
// reference has cells.
import type { LandmarksJson, StoredModel, StoredTensor } from "../model/stored-model.js";
import { quantile } from "../numerics/descriptive.js";
import type { Dataset } from "../data/minibatches.js";
import { sampleRareFirst } from "../data/sampling.js";
import { listsLookedAt, nearestNeighbors, umapNeighbors } from "../graph/neighbors.js";
import { UmapPlaces, type PlacedLandmarks } from "../graph/umap-places.js";
import { Random } from "../numerics/random.js";
import { umapLayout } from "../graph/umap.js";

/** Maximum number of landmarks, and minimum number of cells of each type if it has that many. */
const [mostLandmarks, rareCells] = [20_000, 100];
/** Validation cells among the landmarks from which their quantile of distances is taken, at least. */
const leastValidationCells = 50;
/** Landmarks in the form of a model folder. */
export interface StoredLandmarks {
  readonly json: LandmarksJson;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Selects the reference cells that become landmarks, ascending: all, or a sample. */
export function chooseLandmarks(dataset: Dataset, seed: number): Int32Array {
  const cells = Int32Array.from({ length: dataset.counts.cells }, (_, cell) => cell);
  return cells.length <= mostLandmarks
    ? cells
    : sampleRareFirst(dataset, new Random(seed, "landmarks").shuffle(cells), mostLandmarks, rareCells);
}

/**
 * @param cells - cells of the data set
 * @param latent - (cells, D) their mean latent
 * @param validation - cells of the data set that the training did not use
 */
export function makeLandmarks(
  { counts, conditions, labels, levels }: Dataset,
  cells: Int32Array,
  latent: Float32Array,
  D: number,
  seed: number,
  validation: Int32Array,
): StoredLandmarks {
  const L = cells.length;
  const table = (columns: number, value: (cell: number, column: number) => number): StoredTensor => ({
    shape: [L, columns],
    data: Float32Array.from({ length: L * columns }, (_, at) =>
      value(cells[Math.floor(at / columns)]!, at % columns),
    ),
  });
  const { k, distances } = nearestNeighbors(latent, D, umapNeighbors);
  const farthest = Float64Array.from({ length: k > 0 ? L : 0 }, (_, i) => distances[(i + 1) * k - 1]!);
  // cells that the training has drawn together are closer to each other than new cells will be
  const isValidation = new Set(validation);
  const ofValidation = farthest.filter((_, i) => isValidation.has(cells[i]!));
  const sizeFactor = (q: number): number => quantile(counts.sizeFactors, q);
  return {
    json: {
      cells: L,
      of: counts.cells,
      size_factors: [sizeFactor(0.05), sizeFactor(0.5), sizeFactor(0.95)],
      neighbor_distance: quantile(
        ofValidation.length >= leastValidationCells ? ofValidation : farthest,
        0.95,
      ),
    },
    tensors: new Map([
      ["landmarks.latent", { shape: [L, D], data: latent }],
      ["landmarks.umap", { shape: [L, 2], data: umapLayout(latent, D, seed) }],
      ["landmarks.labels", table(levels, (cell, level) => labels[cell * levels + level]!)],
      ["landmarks.conditions", table(conditions.length, (cell, key) => conditions[key]![cell]!)],
    ]),
  };
}

/** The landmarks of a model, with neighbour search. */
export class Landmarks implements PlacedLandmarks {
  #places: UmapPlaces | null = null;

  private constructor(
    readonly json: LandmarksJson,
    /** (L, D) */
    readonly latent: Float32Array,
    /** (L, 2) */
    readonly umap: Float32Array,
    /** (L, levels) row of `cell_types`, -1 without a label */
    readonly labels: Int32Array,
    /** (L, keys) code of the condition */
    readonly conditions: Int32Array,
    readonly D: number,
  ) {}

  get #nearest(): UmapPlaces {
    return (this.#places ??= new UmapPlaces(this));
  }

  /** @returns null if the model has none */
  static of({ json, tensors }: StoredModel): Landmarks | null {
    if (!json.landmarks) return null;
    const data = (name: string): Float32Array => tensors.get(`landmarks.${name}`)!.data;
    return new Landmarks(
      json.landmarks,
      data("latent"),
      data("umap"),
      Int32Array.from(data("labels")),
      Int32Array.from(data("conditions")),
      json.model.latent_dim,
    );
  }

  /** @param latent - (N, D) @returns (N, 2) positions in the reference's UMAP */
  place(latent: Float32Array): Float32Array {
    return this.#nearest.place(latent);
  }

  /** Distance of each point to its 15th nearest landmark, by approximate search. @param latent - (N, D) */
  neighborDistances(latent: Float32Array): Float64Array {
    const most = Math.min(umapNeighbors, this.json.cells);
    const { squared } = this.#nearest.rows.find(latent, most, listsLookedAt);
    return Float64Array.from({ length: latent.length / this.D }, (_, i) =>
      Math.sqrt(squared[(i + 1) * most - 1]!),
    );
  }
}
