// UMAP of 20,000 landmarks, compared with umap-js on the same exact neighbours: processor seconds, and the
// share of the 15 nearest neighbours that are among the 15 nearest in the UMAP.
//   npm run bench:umap
import { UMAP } from "umap-js";
import { nearestNeighbors, umapNeighbors as k } from "../dist/graph/neighbors.js";
import { umapLayout } from "../dist/graph/umap.js";
import { Random } from "../dist/numerics/random.js";

const [N, D, types] = [Number(process.argv[2] ?? 20_000), 10, 20];
const random = new Random(0, "bench");
const centres = Float64Array.from({ length: types * D }, () => 2 * random.normal());
const points = Float32Array.from(
  { length: N * D },
  (_, at) => centres[(Math.floor(at / D) % types) * D + (at % D)]! + random.normal(),
);

function timed<T>(work: () => T): { result: T; seconds: number } {
  const before = process.cpuUsage();
  const result = work();
  return { result, seconds: process.cpuUsage(before).user / 1e6 };
}

/** Share of neighbours that are also neighbours in the UMAP, over 1,000 points. */
function sharedNeighbors(layout: Float32Array): number {
  const [high, low] = [nearestNeighbors(points, D, k).indices, nearestNeighbors(layout, 2, k).indices];
  const sampled = Array.from({ length: Math.min(N, 1000) }, (_, i) =>
    Math.floor((i * N) / Math.min(N, 1000)),
  );
  return (
    sampled.reduce(
      (sum, i) =>
        sum +
        low.subarray(i * k, (i + 1) * k).filter((j) => high.subarray(i * k, (i + 1) * k).includes(j)).length /
          k,
      0,
    ) / sampled.length
  );
}

const ours = timed(() => umapLayout(points, D, 0));
const umapJs = timed(() => {
  const { indices, distances } = nearestNeighbors(points, D, k - 1);
  const rows = <T>(values: ArrayLike<T>, self: T, i: number): T[] => [
    self,
    ...Array.from({ length: k - 1 }, (_, j) => values[i * (k - 1) + j]!),
  ];
  const umap = new UMAP({ random: () => random.uniform(), nNeighbors: k });
  umap.setPrecomputedKNN(
    Array.from({ length: N }, (_, i) => rows(indices, i, i)),
    Array.from({ length: N }, (_, i) => rows(distances, 0, i)),
  );
  return Float32Array.from(
    umap.fit(Array.from({ length: N }, (_, i) => Array.from(points.subarray(i * D, (i + 1) * D)))).flat(),
  );
});
console.log(`implementation,points,cpu_seconds,neighbors_kept`);
for (const [name, { result, seconds }] of [
  ["scpoli", ours],
  ["umap-js", umapJs],
] as const)
  console.log(`${name},${N},${seconds.toFixed(2)},${sharedNeighbors(result).toFixed(4)}`);
console.log(`ratio,,${(umapJs.seconds / ours.seconds).toFixed(2)},`);
