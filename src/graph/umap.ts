// UMAP layout of the neighbour graph (neighbors.ts, the same graph as scanpy's). Source: McInnes et al. 2018,
// section 3.2 and algorithm 5, with 200 epochs and 5 negative samples. Differs: similarity 1 / (1 + d^2),
// without the two parameters that umap-learn fits to a minimum distance (Boehm et al. 2022, JMLR 23:95, show
// that layouts hardly differ, and no power is needed); it starts from the first two principal components,
// which preserve large distances; it runs on one thread, so that a seed determines the layout. umap-js is not
// used: it is slower for 20,000 points and starts at random (bench/umap.ts).
import { nearestNeighbors, neighborGraph, umapNeighbors, type Graph } from "./neighbors.js";
import { principalPlane } from "../numerics/principal-plane.js";
import { Random } from "../numerics/random.js";

const [epochs, negativeSamples] = [200, 5];
/** Longest step of one update, in units of the layout. */
const longestStep = 4;
/**
 * Half width of the initial layout: as umap-learn for many points, less for few, whose groups would otherwise
 * end as dots far apart.
 */
const startWidth = (points: number): number => Math.min(10, Math.sqrt(points) / 10);

/**
 * Computes a two-dimensional layout.
 * @param points - (N, D)
 * @returns (N, 2)
 */
export function umapLayout(points: Float32Array, D: number, seed: number): Float32Array {
  const N = points.length / D;
  const random = new Random(seed, "umap");
  const layout = startingLayout(points, D, random);
  const graph = neighborGraph(nearestNeighbors(points, D, Math.min(umapNeighbors, N - 1)));
  if (N > 3) optimizeLayout(layout, graph, random);
  return Float32Array.from(layout);
}

/** Attracts neighbours and repels random points, with a frequency proportional to the edge's weight. */
function optimizeLayout(
  layout: Float64Array,
  { nodes, indptr, neighbors, weights }: Graph,
  random: Random,
): void {
  const heaviest = weights.reduce((most, w) => Math.max(most, w), 0);
  const period = weights.map((w) => (w < heaviest / epochs ? Infinity : heaviest / w));
  const next = period.slice();
  const nextNegative = period.map((p) => p / negativeSamples);
  for (let epoch = 0; epoch < epochs; epoch++) {
    const rate = 1 - epoch / epochs;
    for (let i = 0; i < nodes; i++)
      for (let edge = indptr[i]!; edge < indptr[i + 1]!; edge++) {
        if (next[edge]! > epoch) continue;
        next[edge]! += period[edge]!;
        attract(layout, 2 * i, 2 * neighbors[edge]!, rate);
        const between = period[edge]! / negativeSamples;
        const samples = Math.floor((epoch - nextNegative[edge]!) / between);
        for (let s = 0; s < samples; s++) repel(layout, 2 * i, 2 * (random.bits() % nodes), rate);
        nextNegative[edge]! += samples * between;
      }
  }
}

/**
 * Moves both ends of an edge towards each other, by the gradient of log(1 / (1 + d^2)).
 * @param i, j - offsets of the points in the layout
 */
function attract(layout: Float64Array, i: number, j: number, rate: number): void {
  const x = layout[i]! - layout[j]!;
  const y = layout[i + 1]! - layout[j + 1]!;
  const force = -2 / (1 + x * x + y * y);
  const dx = rate * clip(force * x);
  const dy = rate * clip(force * y);
  layout[i]! += dx;
  layout[i + 1]! += dy;
  layout[j]! -= dx;
  layout[j + 1]! -= dy;
}

/** Moves one point away from another, by the gradient of log(1 - 1 / (1 + d^2)). */
function repel(layout: Float64Array, i: number, j: number, rate: number): void {
  if (i === j) return;
  const x = layout[i]! - layout[j]!;
  const y = layout[i + 1]! - layout[j + 1]!;
  const squared = x * x + y * y;
  const force = 2 / ((0.001 + squared) * (1 + squared));
  layout[i]! += rate * clip(force * x);
  layout[i + 1]! += rate * clip(force * y);
}

function clip(value: number): number {
  return value > longestStep ? longestStep : value < -longestStep ? -longestStep : value;
}

/**
 * Scores on the first two principal components, scaled to the initial width, with a little noise to separate
 * equal points.
 */
function startingLayout(points: Float32Array, D: number, random: Random): Float64Array {
  const plane = principalPlane(points, D);
  const widest = plane.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const width = startWidth(points.length / D);
  return plane.map((value) => (width * value) / widest + 2e-4 * (random.uniform() - 0.5));
}
