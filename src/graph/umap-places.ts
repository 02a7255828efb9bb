// Places cells in the reference's UMAP.
import { NearestRows } from "../kernel-modules/nearest.js";
import { listCentres, umapNeighbors } from "./neighbors.js";

/**
 * A cell closer to a landmark than this share of its neighbourhood's radius is that landmark, up to rounding.
 */
const sameCell = 1e-5;
/** Number of lists of landmarks searched per cell; accurate enough for a plot. */
const listsToPlace = 2;

/** Landmarks with their positions in the UMAP. */
export interface PlacedLandmarks {
  /** (L, D) */
  readonly latent: Float32Array;
  /** (L, 2) */
  readonly umap: Float32Array;
  readonly D: number;
}

/**
 * Places each cell at the mean of its 15 nearest landmarks (searched in two lists, see neighbors.ts),
 * weighted by exp(-(d - nearest) / mean of (d - nearest)), like the initial positions of umap-learn's
 * `transform`. A cell that is a landmark keeps its position. Positions do not depend on other cells of the
 * query.
 */
export class UmapPlaces {
  readonly rows: NearestRows;

  constructor(private readonly landmarks: PlacedLandmarks) {
    this.rows = new NearestRows(
      landmarks.latent,
      landmarks.D,
      listCentres(landmarks.latent.length / landmarks.D),
    );
  }

  /** @param latent - (N, D) @returns (N, 2) */
  place(latent: Float32Array): Float32Array {
    const { umap, D } = this.landmarks;
    const N = latent.length / D;
    const places = new Float32Array(2 * N);
    const k = Math.min(umapNeighbors, umap.length / 2);
    const { indices, squared } = this.rows.find(latent, k, listsToPlace);
    const distances = new Float64Array(k);
    for (let i = 0; i < N; i++) {
      let total = 0;
      for (let rank = 0; rank < k; rank++) total += distances[rank] = Math.sqrt(squared[i * k + rank]!);
      const nearest = distances[0]!;
      const scale = Math.max(total / k - nearest, Number.MIN_VALUE);
      let [sum, x, y] = [0, 0, 0];
      for (let rank = 0; rank < k; rank++) {
        const weight =
          nearest <= sameCell * distances[k - 1]!
            ? Number(rank === 0)
            : Math.exp((nearest - distances[rank]!) / scale);
        const at = 2 * indices[i * k + rank]!;
        sum += weight;
        x += weight * umap[at]!;
        y += weight * umap[at + 1]!;
      }
      places[2 * i] = x / sum;
      places[2 * i + 1] = y / sum;
    }
    return places;
  }
}
