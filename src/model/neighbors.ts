// Nearest neighbours of every cell in the latent space, exactly, by a k-d tree; and the weighted graph over them that communities are found in.
// A tree serves the 10 dimensions of a latent space well: with 50,000 cells a search looks at a few percent of them.

/** The k nearest other points of each point, nearest first. */
export interface Neighbors {
  readonly k: number;
  /** (N, k) */
  readonly indices: Int32Array;
  /** (N, k) Euclidean, ascending */
  readonly distances: Float64Array;
}

/** An undirected graph: of each node, its neighbours and the weights of the edges to them. Every edge is there twice. */
export interface Graph {
  readonly nodes: number;
  /** (nodes + 1) */
  readonly indptr: Int32Array;
  readonly neighbors: Int32Array;
  readonly weights: Float64Array;
}

const leafSize = 12;

/** Points in a tree of boxes, split at the median of the widest dimension. */
export class KdTree {
  /** points in the order of the leaves, and which they are */
  readonly #points: Float32Array;
  readonly #order: Int32Array;
  /** per node: split dimension (-1: a leaf), its value, the two children or the range of a leaf */
  readonly #dimension: number[] = [];
  readonly #split: number[] = [];
  readonly #first: number[] = [];
  readonly #second: number[] = [];
  // of the search that is going on
  readonly #query: Float64Array;
  readonly #offset: Float64Array;
  #k = 0;
  #except = -1;
  #left = Infinity;
  #squared: Float64Array = new Float64Array(0);
  #found: Int32Array = new Int32Array(0);

  /** @param points - (N, D) */
  constructor(points: Float32Array, readonly D: number) {
    const N = points.length / D;
    this.#order = Int32Array.from({ length: N }, (_, i) => i);
    this.#query = new Float64Array(D);
    this.#offset = new Float64Array(D);
    this.#build(points, 0, N);
    this.#points = new Float32Array(points.length);
    this.#order.forEach((point, place) => this.#points.set(points.subarray(point * D, (point + 1) * D), place * D));
  }

  /**
   * The k points nearest to one; of equally near ones any, the same each time.
   * @param point - (D) @param except - a point of the tree that is not meant, -1 for none
   * @param most - points to look at, those of the nearest boxes first, whose best are taken; Infinity: the search is exact
   * @param squared - (k) receives squared distances, ascending; Infinity where there are fewer points @param found - (k) receives the points
   */
  search(point: ArrayLike<number>, except: number, squared: Float64Array, found: Int32Array, most = Infinity): void {
    for (let d = 0; d < this.D; d++) this.#query[d] = point[d]!;
    this.#offset.fill(0);
    this.#except = except;
    this.#k = squared.length;
    this.#squared = squared.fill(Infinity);
    this.#found = found.fill(-1);
    this.#left = Math.max(most, this.#k + leafSize);
    this.#visit(0, 0);
  }

  #build(points: Float32Array, from: number, to: number): number {
    const { D } = this;
    const node = this.#dimension.push(-1) - 1;
    this.#split.push(0);
    this.#first.push(from);
    this.#second.push(to);
    if (to - from <= leafSize) return node;
    const own = this.#order.subarray(from, to);
    let widest = 0;
    let width = -1;
    for (let d = 0; d < D; d++) {
      let [low, high] = [Infinity, -Infinity];
      for (const point of own) {
        const value = points[point * D + d]!;
        if (value < low) low = value;
        if (value > high) high = value;
      }
      if (high - low > width) [widest, width] = [d, high - low];
    }
    own.sort((a, b) => points[a * D + widest]! - points[b * D + widest]! || a - b);
    const middle = (from + to) >> 1;
    this.#dimension[node] = widest;
    this.#split[node] = points[this.#order[middle]! * D + widest]!;
    this.#first[node] = this.#build(points, from, middle);
    this.#second[node] = this.#build(points, middle, to);
    return node;
  }

  /** @param least - squared distance from the query to the node's box */
  #visit(node: number, least: number): void {
    const dimension = this.#dimension[node]!;
    if (dimension < 0) return this.#scan(this.#first[node]!, this.#second[node]!);
    const difference = this.#query[dimension]! - this.#split[node]!;
    const [near, far] = difference < 0 ? [this.#first[node]!, this.#second[node]!] : [this.#second[node]!, this.#first[node]!];
    this.#visit(near, least);
    const before = this.#offset[dimension]!;
    const further = least - before * before + difference * difference;
    if (further >= this.#squared[this.#k - 1]! || this.#left <= 0) return;
    this.#offset[dimension] = difference;
    this.#visit(far, further);
    this.#offset[dimension] = before;
  }

  #scan(from: number, to: number): void {
    const { D } = this;
    this.#left -= to - from;
    const [points, query, squared, found, last] = [this.#points, this.#query, this.#squared, this.#found, this.#k - 1];
    for (let place = from; place < to; place++) {
      let sum = 0;
      for (let d = 0, at = place * D; d < D; d++, at++) sum += (points[at]! - query[d]!) ** 2;
      if (sum >= squared[last]! || this.#order[place] === this.#except) continue;
      let rank = last;
      for (; rank > 0 && squared[rank - 1]! > sum; rank--) {
        squared[rank] = squared[rank - 1]!;
        found[rank] = found[rank - 1]!;
      }
      squared[rank] = sum;
      found[rank] = this.#order[place]!;
    }
  }
}

/** @param points - (N, D) @param k - at most N - 1 are found */
export function nearestNeighbors(points: Float32Array, D: number, k: number): Neighbors {
  const N = points.length / D;
  const most = Math.max(0, Math.min(k, N - 1));
  const indices = new Int32Array(N * most);
  const distances = new Float64Array(N * most);
  if (most === 0) return { k: most, indices, distances };
  const tree = new KdTree(points, D);
  for (let i = 0; i < N; i++)
    tree.search(points.subarray(i * D, (i + 1) * D), i, distances.subarray(i * most, (i + 1) * most), indices.subarray(i * most, (i + 1) * most));
  return { k: most, indices, distances: distances.map(Math.sqrt) };
}

/**
 * The graph of neighbours. Weights fall with the distance, on the scale of each point's own neighbourhood: w = exp(-(d - nearest) / sigma), sigma such that a point's
 * weights add up to log2(perplexity); of the two directions the union, w + w' - w w'.
 * Source: McInnes et al. 2018 (UMAP), section 3.1; what scanpy's `pp.neighbors` calls connectivities.
 * @param perplexity - default k; scanpy counts a point as its own neighbour: k + 1
 */
export function neighborGraph({ k, indices, distances }: Neighbors, perplexity = k): Graph {
  const nodes = k === 0 ? 0 : indices.length / k;
  const directed = new Float64Array(indices.length);
  for (let i = 0; i < nodes; i++) weigh(distances.subarray(i * k, (i + 1) * k), directed.subarray(i * k, (i + 1) * k), perplexity);
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
        if (other >= 0 && j < i) continue; // told from the other side
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

/** Weights of one point's neighbours from their distances, ascending. @param tolerance - of their sum, which is a logarithm of the perplexity */
export function weigh(distances: Float64Array, weights: Float64Array, perplexity = distances.length, tolerance = 0): void {
  const k = distances.length;
  const nearest = distances.find((d) => d > 0) ?? 0;
  const sumWith = (sigma: number): number => {
    let sum = 0;
    for (let rank = 0; rank < k; rank++) sum += distances[rank]! > nearest ? Math.exp((nearest - distances[rank]!) / sigma) : 1;
    return sum;
  };
  const target = Math.log2(Math.max(2, perplexity));
  const mean = distances.reduce((sum, d) => sum + d, 0) / k;
  let [low, high] = [0, Infinity];
  let sigma = mean || 1;
  for (let i = 0; i < 64; i++) {
    const sum = sumWith(sigma);
    if (Math.abs(sum - target) < tolerance) break;
    if (sum > target) high = sigma;
    else low = sigma;
    sigma = high === Infinity ? 2 * sigma : (low + high) / 2;
  }
  sigma = Math.max(sigma, 1e-3 * mean) || 1;
  for (let rank = 0; rank < k; rank++) weights[rank] = distances[rank]! > nearest ? Math.exp((nearest - distances[rank]!) / sigma) : 1;
}
