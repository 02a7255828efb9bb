// Nearest neighbours of many points among the rows of a table: exact, or approximate from the inverted lists
// of the nearest centres, which is much faster. The kernel is kernels/nearest.ts; memory holds the table and
// a block of points.
import { instantiate, reach, type LoneKernel } from "./kernel-module.js";
import { nearest as bytes } from "./nearest.generated.js";

/** Nearest rows of points. */
export interface FoundRows {
  readonly k: number;
  /** (N, k) rows of the table, nearest first; -1 if it has fewer */
  readonly indices: Int32Array;
  /** (N, k) squared Euclidean distances, ascending; Infinity if there are fewer rows */
  readonly squared: Float32Array;
}

interface NearestKernel extends LoneKernel {
  configure(
    D: number,
    lists: number,
    probes: number,
    k: number,
    centres: number,
    listStart: number,
    tiles: number,
    scratch: number,
  ): void;
  scratchBytes(probes: number): number;
  search(points: number, rows: number, neighbors: number, squared: number): void;
}

/** Number of points in the kernel's memory at a time. */
const blockRows = 4096;

export class NearestRows {
  readonly #kernel: NearestKernel;
  /** row of the table at each place of the kernel's tiles */
  readonly #rowAt: Int32Array;
  readonly #layout: {
    readonly lists: number;
    readonly centres: number;
    readonly listStart: number;
    readonly tiles: number;
    readonly free: number;
  };

  /**
   * @param table - (M, D) finite, M >= 1
   * @param centres - (lists) rows of the table that define the inverted lists; none: a single list, which
   *   makes
   *   every answer exact
   */
  constructor(
    table: Float32Array,
    readonly D: number,
    centres: ArrayLike<number> = [],
  ) {
    this.#kernel = instantiate(bytes);
    const M = table.length / D;
    const lists = Math.max(1, centres.length);
    const centreRows = new Float32Array(lists * D);
    for (let list = 0; list < centres.length; list++)
      centreRows.set(table.subarray(centres[list]! * D, (centres[list]! + 1) * D), list * D);
    const listOf =
      centres.length > 1 ? new NearestRows(centreRows, D).find(table, 1).indices : new Int32Array(M);
    const starts = new Int32Array(lists + 1);
    for (const list of listOf) starts[list + 1]!++;
    for (let list = 0; list < lists; list++)
      starts[list + 1] = starts[list]! + Math.ceil(starts[list + 1]! / 8);
    this.#rowAt = new Int32Array(8 * starts[lists]!).fill(-1);
    const next = starts.map((tile) => 8 * tile);
    listOf.forEach((list, row) => (this.#rowAt[next[list]!++] = row));

    const centresAt = Math.ceil(this.#kernel.freeFrom() / 16) * 16;
    const centrePlaces = 8 * Math.ceil(lists / 8);
    const tilesAt = centresAt + 4 * D * centrePlaces;
    const listStart = tilesAt + 4 * D * this.#rowAt.length;
    const free = Math.ceil((listStart + 4 * (lists + 1)) / 16) * 16;
    this.#layout = { lists, centres: centresAt, listStart, tiles: tilesAt, free };
    reach(this.#kernel, free);
    const { buffer } = this.#kernel.memory;
    fillTiles(
      new Float32Array(buffer, centresAt, D * centrePlaces),
      centreRows,
      Int32Array.from({ length: centrePlaces }, (_, list) => (list < lists ? list : -1)),
      D,
    );
    fillTiles(new Float32Array(buffer, tilesAt, D * this.#rowAt.length), table, this.#rowAt, D);
    new Int32Array(buffer, listStart, lists + 1).set(starts);
  }

  /**
   * The k nearest rows of each point. Ties are broken arbitrarily but reproducibly.
   * @param points - (N, D)
   * @param k - at least 1
   * @param probes - number of lists to search, those of the nearest centres; all if these have fewer than k
   *   rows. Default: all, which is exact
   */
  find(points: Float32Array, k: number, probes = Infinity): FoundRows {
    const { D } = this;
    const { lists, centres, listStart, tiles, free } = this.#layout;
    const N = points.length / D;
    const most = Math.min(probes, lists);
    const rows = Math.min(N, blockRows);
    const scratch = free;
    const pointsAt = Math.ceil((scratch + this.#kernel.scratchBytes(most)) / 16 + 1) * 16;
    const [neighborsAt, squaredAt] = [pointsAt + 4 * D * rows, pointsAt + 4 * (D + k) * rows];
    reach(this.#kernel, squaredAt + 4 * k * rows);
    this.#kernel.configure(D, lists, most, k, centres, listStart, tiles, scratch);
    const result = { k, indices: new Int32Array(N * k), squared: new Float32Array(N * k) };
    const { buffer } = this.#kernel.memory;
    for (let start = 0; start < N; start += blockRows) {
      const rows = Math.min(blockRows, N - start);
      new Float32Array(buffer, pointsAt, rows * D).set(points.subarray(start * D, (start + rows) * D));
      this.#kernel.search(pointsAt, rows, neighborsAt, squaredAt);
      const positions = new Int32Array(buffer, neighborsAt, rows * k);
      for (let i = 0; i < positions.length; i++)
        result.indices[start * k + i] = positions[i]! < 0 ? -1 : this.#rowAt[positions[i]!]!;
      result.squared.set(new Float32Array(buffer, squaredAt, rows * k), start * k);
    }
    return result;
  }
}

/** Packs rows of a table into tiles of eight; missing rows (-1) are placed at infinity. */
function fillTiles(tiles: Float32Array, table: Float32Array, rowAt: Int32Array, D: number): void {
  rowAt.forEach((row, place) => {
    const at = (place >> 3) * 8 * D + (place & 7);
    for (let d = 0; d < D; d++) tiles[at + 8 * d] = row < 0 ? Infinity : table[row * D + d]!;
  });
}
