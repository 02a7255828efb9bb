// Clusters cells in the latent space: communities of the neighbour graph (Leiden, Louvain), or k-means.
// Implemented here because available packages fall short: one splits simple blobs into hundreds of parts, the
// other needs gigabytes for the graph of a million cells.
import { nearestNeighbors, neighborGraph, type Graph } from "./neighbors.js";
import { kMeans } from "../numerics/k-means.js";
import { Random } from "../numerics/random.js";

/** Number of neighbours per cell in the graph. */
const graphNeighbors = 15;
/**
 * Maximum rounds of community detection, each starting from the previous communities; usually two or three.
 */
const mostRounds = 10;

/** How points are clustered. */
export interface Clustering {
  /** communities of the neighbour graph, or k-means */
  readonly method: "leiden" | "louvain" | "kmeans";
  /** resolution of the communities; higher values give more and smaller ones */
  readonly resolution: number;
  /** number of clusters of k-means */
  readonly clusters: number;
}

/**
 * Clusters points; the largest cluster is 0. The result is determined by the seed.
 * @param points - (N, D)
 * @returns (N) cluster of each point
 */
export function clusterPoints(
  points: Float32Array,
  D: number,
  { method, resolution, clusters }: Clustering,
  seed: number,
): Int32Array {
  const random = new Random(seed, "clusters");
  if (points.length === D) return Int32Array.of(0);
  const codes =
    method === "kmeans"
      ? kMeans(points, D, clusters, random)
      : communities(
          neighborGraph(nearestNeighbors(points, D, graphNeighbors)),
          { resolution, refine: method === "leiden" },
          random,
        );
  return bySize(codes);
}

/**
 * Renumbers clusters from the largest to the smallest; ties go to the cluster with the earlier first cell.
 */
function bySize(codes: Int32Array): Int32Array {
  const counts = new Map<number, number>();
  for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1);
  const ranks = new Map([...counts].sort(([, a], [, b]) => b - a).map(([code], rank) => [code, rank]));
  return codes.map((code) => ranks.get(code)!);
}

export interface CommunityOptions {
  /** Higher values give more and smaller communities */
  readonly resolution: number;
  /** true: Leiden, whose communities are connected; false: Louvain */
  readonly refine: boolean;
}

/** A graph at some level of aggregation. */
interface Level extends Graph {
  /** (nodes) sum of the edge weights of the cells in each node, with edges between them counted twice */
  readonly strength: Float64Array;
}

/**
 * Communities that maximise the modularity: the sum over communities of
 * (inner weight - resolution strength^2 / (4 m)) / m, with m the total edge weight. Source: Blondel et al.
 * 2008 (Louvain), Traag et al. 2019 (Leiden). Differs: the refinement takes the best merge, not a random one.
 * @returns (nodes) codes from 0
 */
export function communities(
  graph: Graph,
  { resolution, refine }: CommunityOptions,
  random: Random,
): Int32Array {
  const strength = new Float64Array(graph.nodes);
  for (let v = 0; v < graph.nodes; v++)
    for (let e = graph.indptr[v]!; e < graph.indptr[v + 1]!; e++) strength[v]! += graph.weights[e]!;
  const total = strength.reduce((sum, value) => sum + value, 0);
  const penalty = total > 0 ? resolution / total : 0;
  let codes: Int32Array = Int32Array.from({ length: graph.nodes }, (_, v) => v);
  for (let round = 0; round < mostRounds; round++) {
    const before = codes;
    let level: Level = { ...graph, strength };
    let levelCodes = codes;
    /** node of the level for each cell */
    let place: Int32Array = Int32Array.from({ length: graph.nodes }, (_, v) => v);
    for (;;) {
      levelCodes = compact(moveNodes(level, levelCodes, penalty, random));
      const parts = refine ? compact(refineCommunities(level, levelCodes, penalty, random)) : levelCodes;
      const nodes = count(parts);
      codes = place.map((node) => levelCodes[node]!);
      if (nodes === level.nodes) break;
      const above = new Int32Array(nodes);
      parts.forEach((part, node) => (above[part] = levelCodes[node]!));
      level = aggregate(level, parts, nodes);
      place = place.map((node) => parts[node]!);
      levelCodes = above;
    }
    codes = compact(codes);
    if (codes.every((code, v) => code === before[v])) break;
  }
  return codes;
}

function count(codes: Int32Array): number {
  return codes.reduce((most, code) => Math.max(most, code + 1), 0);
}

/** Codes in order of first use. */
function compact(codes: Int32Array): Int32Array {
  const names = new Int32Array(count(codes)).fill(-1);
  let next = 0;
  return codes.map((code) => (names[code]! < 0 ? (names[code] = next++) : names[code]!));
}

/** Edge weights from one node to each adjacent community. */
class CommunityWeights {
  readonly weight: Float64Array;
  readonly touched: number[] = [];

  constructor(communities: number) {
    this.weight = new Float64Array(communities);
  }

  update(
    { indptr, neighbors, weights }: Graph,
    node: number,
    codes: Int32Array,
    isCounted: (neighbor: number) => boolean,
  ): void {
    for (const community of this.touched) this.weight[community] = 0;
    this.touched.length = 0;
    for (let e = indptr[node]!; e < indptr[node + 1]!; e++) {
      const neighbor = neighbors[e]!;
      if (neighbor === node || !isCounted(neighbor)) continue;
      const community = codes[neighbor]!;
      if (this.weight[community] === 0) this.touched.push(community);
      this.weight[community]! += weights[e]!;
    }
  }
}

/**
 * Moves nodes to the community with the largest gain in modularity until no move improves it. A node is
 * queued again when a neighbour has moved.
 */
function moveNodes(level: Level, start: Int32Array, penalty: number, random: Random): Int32Array {
  const { nodes, indptr, neighbors, strength } = level;
  const codes = start.slice();
  const communityStrength = new Float64Array(nodes);
  const sizes = new Int32Array(nodes);
  codes.forEach((code, node) => {
    communityStrength[code]! += strength[node]!;
    sizes[code]!++;
  });
  const empty: number[] = [];
  for (let code = nodes - 1; code >= 0; code--) if (sizes[code] === 0) empty.push(code);
  const adjacent = new CommunityWeights(nodes);
  const queue = random.shuffle(Int32Array.from({ length: nodes }, (_, node) => node));
  const isWaiting = new Uint8Array(nodes).fill(1);
  let waiting = nodes;
  for (let head = 0; waiting > 0; head = (head + 1) % nodes) {
    const node = queue[head]!;
    isWaiting[node] = 0;
    waiting--;
    const current = codes[node]!;
    communityStrength[current]! -= strength[node]!;
    adjacent.update(level, node, codes, () => true);
    const gain = (community: number): number =>
      adjacent.weight[community]! - penalty * strength[node]! * communityStrength[community]!;
    let best = current;
    let most = gain(current);
    for (const community of adjacent.touched)
      if (gain(community) > most + 1e-12) [best, most] = [community, gain(community)];
    if (most < -1e-12 && sizes[current]! > 1) best = empty.pop()!;
    communityStrength[best]! += strength[node]!;
    if (best === current) continue;
    codes[node] = best;
    sizes[best]!++;
    if (--sizes[current]! === 0) empty.push(current);
    for (let e = indptr[node]!; e < indptr[node + 1]!; e++) {
      const neighbor = neighbors[e]!;
      if (isWaiting[neighbor] || codes[neighbor] === best) continue;
      isWaiting[neighbor] = 1;
      queue[(head + 1 + waiting++) % nodes] = neighbor;
    }
  }
  return codes;
}

/**
 * Splits each community into well-connected parts. Each node starts alone and joins the part of its community
 * with the largest gain.
 */
function refineCommunities(
  level: Level,
  communities: Int32Array,
  penalty: number,
  random: Random,
): Int32Array {
  const { nodes, strength } = level;
  const parts = Int32Array.from({ length: nodes }, (_, node) => node);
  const communityStrength = strength.slice();
  const isAlone = new Uint8Array(nodes).fill(1);
  const totalStrength = new Float64Array(nodes);
  communities.forEach((community, node) => (totalStrength[community]! += strength[node]!));
  const adjacent = new CommunityWeights(nodes);
  /** (nodes) weight from each part to the rest of its community */
  const outside = new Float64Array(nodes);
  for (let node = 0; node < nodes; node++) {
    adjacent.update(level, node, parts, (neighbor) => communities[neighbor] === communities[node]);
    outside[node] = adjacent.touched.reduce((sum, part) => sum + adjacent.weight[part]!, 0);
  }
  const isWellConnected = (part: number, community: number): boolean =>
    outside[part]! >=
    penalty * communityStrength[part]! * (totalStrength[community]! - communityStrength[part]!) - 1e-12;
  for (const node of random.shuffle(Int32Array.from({ length: nodes }, (_, v) => v))) {
    const community = communities[node]!;
    if (!isAlone[node] || !isWellConnected(node, community)) continue;
    adjacent.update(level, node, parts, (neighbor) => communities[neighbor] === community);
    let best = node;
    let most = 0;
    for (const part of adjacent.touched) {
      const gain = adjacent.weight[part]! - penalty * strength[node]! * communityStrength[part]!;
      if (part !== node && gain > most + 1e-12 && isWellConnected(part, community))
        [best, most] = [part, gain];
    }
    if (best === node) continue;
    outside[best]! += outside[node]! - 2 * adjacent.weight[best]!;
    communityStrength[best]! += strength[node]!;
    isAlone[best] = 0;
    isAlone[node] = 0;
    parts[node] = best;
  }
  return parts;
}

/**
 * The graph whose nodes are the parts. Weights within a part are kept only in its strength, since they do not
 * affect moves.
 */
function aggregate(
  { indptr, neighbors, weights, strength, nodes }: Level,
  parts: Int32Array,
  count: number,
): Level {
  const members = new Int32Array(nodes);
  const from = new Int32Array(count + 1);
  for (const part of parts) from[part + 1]!++;
  for (let part = 0; part < count; part++) from[part + 1]! += from[part]!;
  const next = from.slice();
  parts.forEach((part, node) => (members[next[part]!++] = node));
  const sums = new Float64Array(count);
  const newIndptr = new Int32Array(count + 1);
  const newNeighbors: number[] = [];
  const newWeights: number[] = [];
  const newStrength = new Float64Array(count);
  for (let part = 0; part < count; part++) {
    const touched: number[] = [];
    for (let m = from[part]!; m < from[part + 1]!; m++) {
      const node = members[m]!;
      newStrength[part]! += strength[node]!;
      for (let e = indptr[node]!; e < indptr[node + 1]!; e++) {
        const other = parts[neighbors[e]!]!;
        if (other === part) continue;
        if (sums[other] === 0) touched.push(other);
        sums[other]! += weights[e]!;
      }
    }
    for (const other of touched) {
      newNeighbors.push(other);
      newWeights.push(sums[other]!);
      sums[other] = 0;
    }
    newIndptr[part + 1] = newNeighbors.length;
  }
  return {
    nodes: count,
    indptr: newIndptr,
    neighbors: Int32Array.from(newNeighbors),
    weights: Float64Array.from(newWeights),
    strength: newStrength,
  };
}
