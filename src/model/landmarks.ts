// Landmarks: a sample of the reference's cells that the model carries, as positions without names and counts. They hold the reference's UMAP, into which a query is
// placed, and tell whether the query lies where the reference has cells.
import type { LandmarksJson, StoredModel, StoredTensor } from "./checkpoint.js";
import { quantile } from "./classify.js";
import type { Dataset } from "../data/minibatches.js";
import { sampleRareFirst } from "../data/sampling.js";
import { KdTree, nearestNeighbors, weigh } from "./neighbors.js";
import { Random } from "../random.js";
import { umapLayout, umapNeighbors } from "./umap.js";

/** Landmarks at most, and cells that a rare type has among them where it has as many. */
const [mostLandmarks, rareCells] = [20_000, 100];
/** A cell nearer than this share of its neighbourhood's radius is the landmark itself, but for rounding. */
const sameCell = 1e-5;
/** Landmarks that a cell to be placed is compared with. */
const mostLookedAt = 200;

/** Landmarks as a model folder has them. */
export interface StoredLandmarks {
  readonly json: LandmarksJson;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Cells of a reference that become its landmarks, ascending: all, or a sample. */
export function chooseLandmarks(dataset: Dataset, seed: number): Int32Array {
  const cells = Int32Array.from({ length: dataset.counts.cells }, (_, cell) => cell);
  return cells.length <= mostLandmarks ? cells : sampleRareFirst(dataset, new Random(seed, "landmarks").shuffle(cells), mostLandmarks, rareCells);
}

/**
 * @param cells - of the data set @param latent - (cells, D) their mean latent
 */
export function makeLandmarks({ counts, conditions, labels, levels }: Dataset, cells: Int32Array, latent: Float32Array, D: number, seed: number): StoredLandmarks {
  const L = cells.length;
  const table = (columns: number, value: (cell: number, column: number) => number): StoredTensor => ({
    shape: [L, columns], data: Float32Array.from({ length: L * columns }, (_, at) => value(cells[Math.floor(at / columns)]!, at % columns)),
  });
  const { k, distances } = nearestNeighbors(latent, D, umapNeighbors);
  const furthest = Float64Array.from({ length: k > 0 ? L : 0 }, (_, i) => distances[(i + 1) * k - 1]!);
  const sizeFactor = (q: number): number => quantile(counts.sizeFactors, q);
  return {
    json: { cells: L, of: counts.cells, size_factors: [sizeFactor(0.05), sizeFactor(0.5), sizeFactor(0.95)], neighbor_distance: quantile(furthest, 0.95) },
    tensors: new Map([
      ["landmarks.latent", { shape: [L, D], data: latent }], ["landmarks.umap", { shape: [L, 2], data: umapLayout(latent, D, seed) }],
      ["landmarks.labels", table(levels, (cell, level) => labels[cell * levels + level]!)], ["landmarks.conditions", table(conditions.length, (cell, key) => conditions[key]![cell]!)],
    ]),
  };
}

/** The landmarks of a model, ready to be searched. */
export class Landmarks {
  readonly #tree: KdTree;
  readonly #squared: Float64Array;
  readonly #found: Int32Array;

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
  ) {
    this.#tree = new KdTree(latent, D);
    const k = Math.min(umapNeighbors, json.cells);
    [this.#squared, this.#found] = [new Float64Array(k), new Int32Array(k)];
  }

  /** @returns null where the model carries none */
  static of({ json, tensors }: StoredModel): Landmarks | null {
    if (!json.landmarks) return null;
    const data = (name: string): Float32Array => tensors.get(`landmarks.${name}`)!.data;
    return new Landmarks(json.landmarks, data("latent"), data("umap"), Int32Array.from(data("labels")), Int32Array.from(data("conditions")), json.model.latent_dim);
  }

  /**
   * Places cells into the reference's UMAP: each at the mean of its 15 nearest landmarks, weighted as UMAP weighs edges (the start of umap-learn's `transform`). A cell that is a landmark gets
   * the place that it has. Where there are many landmarks, those of the nearest boxes are looked at: for a picture that is near enough.
   * @param latent - (N, D) @returns (N, 2)
   */
  place(latent: Float32Array): Float32Array {
    const N = latent.length / this.D;
    const places = new Float32Array(2 * N);
    const k = this.#squared.length;
    const [distances, weights] = [new Float64Array(k), new Float64Array(k)];
    for (let i = 0; i < N; i++) {
      this.#search(latent, i, mostLookedAt);
      for (let rank = 0; rank < k; rank++) distances[rank] = Math.sqrt(this.#squared[rank]!);
      if (distances[0]! <= sameCell * distances[k - 1]!) weights.fill(0)[0] = 1;
      else weigh(distances, weights, k, 1e-3);
      let [sum, x, y] = [0, 0, 0];
      for (let rank = 0; rank < k; rank++) {
        const [weight, at] = [weights[rank]!, 2 * this.#found[rank]!];
        sum += weight;
        x += weight * this.umap[at]!;
        y += weight * this.umap[at + 1]!;
      }
      places[2 * i] = x / sum;
      places[2 * i + 1] = y / sum;
    }
    return places;
  }

  /** Distance of one of many points to its 15th nearest landmark. @param latent - (N, D) */
  neighborDistance(latent: Float32Array, i: number): number {
    this.#search(latent, i);
    return Math.sqrt(this.#squared.at(-1)!);
  }

  #search(latent: Float32Array, i: number, most?: number): void {
    this.#tree.search(latent.subarray(i * this.D, (i + 1) * this.D), -1, this.#squared, this.#found, most);
  }
}
