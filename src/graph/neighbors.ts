// Nearest neighbours of cells in the latent space, and the weighted neighbour graph for community detection.
import { NearestRows } from "../kernel-modules/nearest.js";
import { expOfNegative } from "../numerics/exponential.js";
import { Random } from "../numerics/random.js";

/** The k nearest other points of each point, nearest first. */
export interface Neighbors {
  readonly k: number;
  /** (N, k) */
  readonly indices: Int32Array;
  /** (N, k) Euclidean, ascending */
  readonly distances: Float64Array;
}

/**
 * An undirected graph: for each node, its neighbours and edge weights. Each edge is stored in both
 * directions.
 */
export interface Graph {
  readonly nodes: number;
  /** (nodes + 1) */
  readonly indptr: Int32Array;
  readonly neighbors: Int32Array;
  readonly weights: Float64Array;
}

/** Maximum number of points for exact search. */
const mostCompared = 20_000;
/** Number of neighbours for UMAP. */
export const umapNeighbors = 15;
/**
 * Number of lists searched instead of all rows. They contain nearly all neighbours, since cells form groups.
 */
export const listsLookedAt = 12;

/**
 * Nearest neighbours of every point among the others. Exact for up to 20,000 points; for more, the search is
 * limited to the lists of the 12 nearest of about sqrt(N) centres, which contain nearly all neighbours if
 * points form groups, as cells do.
 * @param points - (N, D)
 * @param k - number of neighbours, limited to N - 1
 */
export function nearestNeighbors(points: Float32Array, D: number, k: number): Neighbors {
  const N = points.length / D;
  const most = Math.max(0, Math.min(k, N - 1));
  const indices = new Int32Array(N * most);
  const distances = new Float64Array(N * most);
  if (most === 0) return { k: most, indices, distances };
  const nearest = new NearestRows(points, D, N > mostCompared ? listCentres(N) : []).find(
    points,
    most + 1,
    listsLookedAt,
  );
  for (let i = 0; i < N; i++)
    // skip the point itself, which may not come first among duplicates
    for (let rank = 0, to = i * most; to < (i + 1) * most; rank++) {
      const at = i * (most + 1) + rank;
      if (nearest.indices[at] === i) continue;
      indices[to] = nearest.indices[at]!;
      distances[to++] = Math.sqrt(nearest.squared[at]!);
    }
  return { k: most, indices, distances };
}

/** Selected rows (rows, D) of a table (M, D). */
export function rowsOf(table: Float32Array, rows: ArrayLike<number>, D: number): Float32Array {
  const selected = new Float32Array(rows.length * D);
  for (let i = 0; i < rows.length; i++) selected.set(table.subarray(rows[i]! * D, (rows[i]! + 1) * D), i * D);
  return selected;
}

/**
 * Rows that serve as centres of search lists: about sqrt(M), drawn at random with a fixed seed.
 */
export function listCentres(M: number): Int32Array {
  return new Random(0, "lists").sample(M, Math.ceil(Math.sqrt(M)));
}

/**
 * The neighbour graph. Weights decay with the distance on the scale of each point's neighbourhood: w
 * = exp(-(d - nearest) / sigma), with sigma such that a point's weights sum to log2(perplexity). The two
 * directions are combined as w + w' - w w'. Source: McInnes et al. 2018 (UMAP), section 3.1; scanpy's
 * `pp.neighbors` calls these weights connectivities.
 * @param perplexity - default k; k + 1 as in scanpy, which counts a point as its own neighbour
 */
export function neighborGraph({ k, indices, distances }: Neighbors, perplexity = k): Graph {
  const nodes = k === 0 ? 0 : indices.length / k;
  const directed = new Float64Array(indices.length);
  for (let i = 0; i < nodes; i++)
    weigh(distances.subarray(i * k, (i + 1) * k), directed.subarray(i * k, (i + 1) * k), perplexity);
  const back = (i: number, j: number): number => {
    for (let at = j * k; at < (j + 1) * k; at++) if (indices[at] === i) return at;
    return -1;
  };
  const indptr = new Int32Array(nodes + 1);
  const eachEdge = (visit: (i: number, j: number, weight: number) => void): void => {
    for (let i = 0; i < nodes; i++)
      for (let at = i * k; at < (i + 1) * k; at++) {
        const j = indices[at]!;
        const other = back(i, j);
        if (other >= 0 && j < i) continue; // edge already emitted by j
        const reverse = other < 0 ? 0 : directed[other]!;
        visit(i, j, directed[at]! + reverse - directed[at]! * reverse);
      }
  };
  eachEdge((i, j) => {
    indptr[i + 1]!++;
    indptr[j + 1]!++;
  });
  for (let i = 0; i < nodes; i++) indptr[i + 1]! += indptr[i]!;
  const neighbors = new Int32Array(indptr[nodes]!);
  const weights = new Float64Array(indptr[nodes]!);
  const next = indptr.slice();
  const put = (from: number, to: number, weight: number): void => {
    neighbors[next[from]!] = to;
    weights[next[from]!++] = weight;
  };
  eachEdge((i, j, weight) => {
    put(i, j, weight);
    put(j, i, weight);
  });
  return { nodes, indptr, neighbors, weights };
}

/**
 * Weights of one point's neighbours from their ascending distances. The weights sum to log2(perplexity).
 */
function weigh(distances: Float64Array, weights: Float64Array, perplexity: number): void {
  const k = distances.length;
  const nearest = distances.find((d) => d > 0) ?? 0;
  const sumWith = (sigma: number): number => {
    let sum = 0;
    for (let rank = 0; rank < k; rank++)
      sum += distances[rank]! > nearest ? expOfNegative((nearest - distances[rank]!) / sigma) : 1;
    return sum;
  };
  // rounded, since the last digits depend on the JavaScript engine
  const target = Math.fround(Math.log2(Math.max(2, perplexity)));
  const mean = distances.reduce((sum, d) => sum + d, 0) / k;
  let [low, high] = [0, Infinity];
  let sigma = mean || 1;
  for (let i = 0; i < 64; i++) {
    const sum = sumWith(sigma);
    if (sum > target) high = sigma;
    else low = sigma;
    sigma = high === Infinity ? 2 * sigma : (low + high) / 2;
  }
  sigma = Math.max(sigma, 1e-3 * mean) || 1;
  for (let rank = 0; rank < k; rank++)
    weights[rank] = distances[rank]! > nearest ? expOfNegative((nearest - distances[rank]!) / sigma) : 1;
}
