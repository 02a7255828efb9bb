// UMAP: points of the latent space in two dimensions. The graph of neighbours is ours (neighbors.ts, the same
// as scanpy's); this is the layout of it. Source: McInnes et al. 2018, section 3.2 and algorithm 5, with 200
// epochs and 5 negative samples. Differs: similarity 1 / (1 + d^2), without the two exponents that umap-learn
// fits to a minimal distance (Boehm et al. 2022, JMLR 23:95, show that the pictures hardly differ; no power
// is to be taken); it starts from the two first principal components, which keep the large distances; one
// thread, so that a seed gives one picture. Our own and not umap-js, which takes longer for 20,000 points and
// starts at random (bench/umap.ts).
import { nearestNeighbors, neighborGraph, umapNeighbors, type Graph } from "./neighbors.js";
import { Random } from "../numerics/random.js";

const [epochs, negativeSamples] = [200, 5];
/** Longest step of one update, in units of the picture. */
const longestStep = 4;
/**
 * Half width of the start: that of umap-learn for many points, less for few, whose groups would end as dots
 * in a wide void.
 */
const startWidth = (points: number): number => Math.min(10, Math.sqrt(points) / 10);

/**
 * @param points - (N, D)
 * @returns (N, 2)
 */
export function umapLayout(points: Float32Array, D: number, seed: number): Float32Array {
  const N = points.length / D;
  const random = new Random(seed, "umap");
  const layout = principalPlane(points, D, random);
  const graph = neighborGraph(nearestNeighbors(points, D, Math.min(umapNeighbors, N - 1)));
  if (N > 3) optimizeLayout(layout, graph, random);
  return Float32Array.from(layout);
}

/** Attracts neighbours and repels random points, each edge as often as its weight says. */
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
 * Both ends of an edge towards each other: the gradient of log(1 / (1 + d^2)).
 * @param i, j - places of the points in the layout
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

/** One point away from another: the gradient of log(1 - 1 / (1 + d^2)). */
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
 * Scores on the two first principal components, scaled to the width of the start, with a little noise so that
 * equal points part.
 */
function principalPlane(points: Float32Array, D: number, random: Random): Float64Array {
  const N = points.length / D;
  const mean = new Float64Array(D);
  for (let at = 0; at < points.length; at++) mean[at % D]! += points[at]! / N;
  const covariance = new Float64Array(D * D);
  for (let i = 0; i < N; i++)
    for (let d = 0; d < D; d++)
      for (let e = 0; e < D; e++)
        covariance[d * D + e]! += ((points[i * D + d]! - mean[d]!) * (points[i * D + e]! - mean[e]!)) / N;
  const axes = [leadingAxis(covariance, D)];
  if (D > 1) axes.push(leadingAxis(deflated(covariance, axes[0]!, D), D));
  const layout = new Float64Array(2 * N);
  for (let i = 0; i < N; i++)
    axes.forEach(
      (axis, c) =>
        (layout[2 * i + c] = axis.reduce(
          (sum, weight, d) => sum + weight * (points[i * D + d]! - mean[d]!),
          0,
        )),
    );
  const widest = layout.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  return layout.map((value) => (startWidth(N) * value) / widest + 2e-4 * (random.uniform() - 0.5));
}

/** Leading eigenvector of a symmetric matrix by power iteration, its largest entry positive. */
function leadingAxis(matrix: Float64Array, D: number): Float64Array {
  let axis = Float64Array.from({ length: D }, (_, d) => 1 + d / D);
  for (let step = 0; step < 200; step++) {
    const image = axis.map((_, d) => axis.reduce((sum, weight, e) => sum + matrix[d * D + e]! * weight, 0));
    const length = Math.hypot(...image);
    if (length === 0) break;
    axis = image.map((value) => value / length);
  }
  const largest = axis.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
  return largest < 0 ? axis.map((value) => -value) : axis;
}

function deflated(matrix: Float64Array, axis: Float64Array, D: number): Float64Array {
  const value = axis.reduce(
    (sum, weight, d) => sum + weight * axis.reduce((own, other, e) => own + matrix[d * D + e]! * other, 0),
    0,
  );
  return matrix.map((entry, at) => entry - value * axis[Math.floor(at / D)]! * axis[at % D]!);
}
