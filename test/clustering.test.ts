// Neighbours compared with a full search, communities and k-means with known clusters, and the guarantees
// that the authors of the algorithms give.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { clusterPoints, communities } from "../dist/graph/clustering.js";
import { expOfNegative } from "../dist/numerics/exponential.js";
import { nearestNeighbors, neighborGraph, type Graph } from "../dist/graph/neighbors.js";
import { Random } from "../dist/numerics/random.js";

/** Points around well-separated centres, as many around each as asked for. */
function blobs(sizes: readonly number[], D: number, distance = 8): { points: Float32Array; truth: number[] } {
  const random = new Random(7, "blobs");
  const centres = sizes.map(() => Array.from({ length: D }, () => distance * random.normal()));
  const truth = random.shuffle(sizes.flatMap((size, blob) => Array.from({ length: size }, () => blob)));
  return {
    points: Float32Array.from(
      truth.flatMap((blob) => centres[blob]!.map((centre) => centre + random.normal())),
    ),
    truth,
  };
}

/** Whether two labellings differ in names alone. */
function isSame(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  const pairs = new Set(Array.from(a, (code, i) => `${code},${b[i]}`));
  return pairs.size === new Set(Array.from(a)).size && pairs.size === new Set(Array.from(b)).size;
}

function graphOf(nodes: number, edges: readonly (readonly [number, number, number])[]): Graph {
  const rows = Array.from({ length: nodes }, (): [number, number][] => []);
  for (const [a, b, weight] of edges) {
    rows[a]!.push([b, weight]);
    rows[b]!.push([a, weight]);
  }
  const indptr = Int32Array.from(
    [0, ...rows].map((_, i) => rows.slice(0, i).reduce((sum, row) => sum + row.length, 0)),
  );
  return {
    nodes,
    indptr,
    neighbors: Int32Array.from(rows.flat(), ([node]) => node),
    weights: Float64Array.from(rows.flat(), ([, weight]) => weight),
  };
}

function modularity({ nodes, indptr, neighbors, weights }: Graph, codes: Int32Array): number {
  const held = new Map<number, number>();
  let [inside, total] = [0, 0];
  for (let v = 0; v < nodes; v++)
    for (let e = indptr[v]!; e < indptr[v + 1]!; e++) {
      total += weights[e]!;
      held.set(codes[v]!, (held.get(codes[v]!) ?? 0) + weights[e]!);
      if (codes[v] === codes[neighbors[e]!]) inside += weights[e]!;
    }
  return [...held.values()].reduce((sum, weight) => sum - (weight / total) ** 2, inside / total);
}

test("the host's exponential equals the engine's up to the last digit, down to underflow", () => {
  for (let x = 0; x > -760; x -= 0.01371) {
    const expected = Math.exp(x);
    assert.ok(Math.abs(expOfNegative(x) - expected) <= 4e-16 * expected + Number.MIN_VALUE, `${x}`);
  }
  assert.deepEqual([0, -Infinity, NaN].map(expOfNegative), [1, 0, NaN]);
});

describe("neighbours", () => {
  for (const [what, points, D] of [
    ["in ten dimensions", blobs([300, 60, 140], 10).points, 10],
    [
      "in two, on a grid of many ties",
      Float32Array.from({ length: 800 }, (_, i) => (i % 2 ? Math.floor(i / 40) : (i / 2) % 20)),
      2,
    ],
    ["all points the same", new Float32Array(90).fill(3), 3],
  ] as const)
    test(`as a full search finds them: ${what}`, () => {
      const N = points.length / D;
      const { indices, distances } = nearestNeighbors(points, D, 15);
      for (let i = 0; i < N; i++) {
        const all = Array.from({ length: N }, (_, j) =>
          Math.hypot(...Array.from({ length: D }, (__, d) => points[i * D + d]! - points[j * D + d]!)),
        );
        const expected = all
          .filter((_, j) => j !== i)
          .sort((a, b) => a - b)
          .slice(0, 15);
        const neighborsOfPoint = Array.from(indices.subarray(i * 15, (i + 1) * 15));
        assert.ok(
          !neighborsOfPoint.includes(i) && new Set(neighborsOfPoint).size === 15,
          `point ${i}: ${neighborsOfPoint.join()}`,
        );
        expected.forEach((distance, rank) => {
          assert.ok(Math.abs(distances[i * 15 + rank]! - distance) < 1e-5, `point ${i}, rank ${rank}`);
          assert.ok(
            Math.abs(all[neighborsOfPoint[rank]!]! - distance) < 1e-5,
            `point ${i} says ${neighborsOfPoint[rank]}`,
          );
        });
      }
    });

  test("fewer points than neighbours; the graph has every edge twice, with one weight in (0, 1]", () => {
    assert.deepEqual(
      nearestNeighbors(Float32Array.of(0, 1, 5), 1, 15).indices,
      Int32Array.of(1, 2, 0, 2, 1, 0),
    );
    const { indptr, neighbors, weights, nodes } = neighborGraph(
      nearestNeighbors(blobs([50, 30], 4).points, 4, 15),
    );
    assert.equal(nodes, 80);
    const edges = new Map<string, number>();
    for (let v = 0; v < nodes; v++)
      for (let e = indptr[v]!; e < indptr[v + 1]!; e++) edges.set(`${v}-${neighbors[e]}`, weights[e]!);
    assert.equal(edges.size, neighbors.length);
    for (const [edge, weight] of edges) {
      const [a, b] = edge.split("-");
      assert.ok(a !== b && weight > 0 && weight <= 1, `${edge}: ${weight}`);
      assert.equal(edges.get(`${b}-${a}`), weight);
    }
  });
});

describe("clusters", () => {
  const { points, truth } = blobs([200, 120, 80, 40, 20], 10);
  for (const method of ["leiden", "louvain", "kmeans"] as const)
    test(`${method} finds blobs of very different sizes, the largest first, the same each time`, () => {
      const codes = clusterPoints(
        points,
        10,
        { method, resolution: method === "kmeans" ? 1 : 0.3, clusters: 5 },
        0,
      );
      assert.ok(isSame(codes, truth), `${new Set(codes).size} clusters`);
      assert.deepEqual(
        [0, 1, 2, 3, 4].map((cluster) => codes.filter((code) => code === cluster).length),
        [200, 120, 80, 40, 20],
      );
      assert.deepEqual(
        clusterPoints(points, 10, { method, resolution: method === "kmeans" ? 1 : 0.3, clusters: 5 }, 0),
        codes,
      );
    });

  test("one point, two points, equal points, more clusters than points", () => {
    for (const method of ["leiden", "louvain", "kmeans"] as const) {
      assert.deepEqual(
        clusterPoints(Float32Array.of(1, 2), 2, { method, resolution: 1, clusters: 3 }, 0),
        Int32Array.of(0),
        method,
      );
      assert.equal(
        clusterPoints(Float32Array.of(1, 2, 3, 4), 2, { method, resolution: 1, clusters: 3 }, 0).length,
        2,
        method,
      );
      assert.ok(
        clusterPoints(new Float32Array(60).fill(1), 2, { method, resolution: 1, clusters: 3 }, 0).every(
          (code) => code < 30,
        ),
        method,
      );
    }
  });

  test("in a ring of cliques, each clique is a community; the resolution merges or splits them", () => {
    const [cliques, size] = [12, 6];
    const edges: [number, number, number][] = [];
    for (let c = 0; c < cliques; c++) {
      for (let i = 0; i < size; i++) for (let j = 0; j < i; j++) edges.push([c * size + i, c * size + j, 1]);
      edges.push([c * size, ((c + 1) % cliques) * size + 1, 1]);
    }
    const ring = graphOf(cliques * size, edges);
    const truth = Array.from({ length: cliques * size }, (_, v) => Math.floor(v / size));
    const number = (resolution: number, refine: boolean): number =>
      new Set(communities(ring, { resolution, refine }, new Random(1, "test"))).size;
    for (const refine of [true, false]) {
      assert.ok(
        isSame(communities(ring, { resolution: 1, refine }, new Random(1, "test")), truth),
        `refine ${refine}`,
      );
      assert.ok(
        number(0.05, refine) < cliques && number(20, refine) > cliques,
        `refine ${refine}: ${number(0.05, refine)}, ${number(20, refine)}`,
      );
    }
  });

  test("Leiden's modularity is near or above Louvain's; communities are connected", () => {
    const random = new Random(3, "noisy");
    const nodes = 400;
    const planted = Int32Array.from({ length: nodes }, (_, v) => v % 8);
    const edges: [number, number, number][] = [];
    for (let v = 0; v < nodes; v++)
      for (let w = 0; w < v; w++)
        if (random.uniform() < (planted[v] === planted[w] ? 0.16 : 0.02))
          edges.push([v, w, 0.5 + random.uniform()]);
    const graph = graphOf(nodes, edges);
    for (let seed = 0; seed < 5; seed++) {
      const leiden = communities(graph, { resolution: 1, refine: true }, new Random(seed, "test"));
      const louvain = communities(graph, { resolution: 1, refine: false }, new Random(seed, "test"));
      const [l, v] = [modularity(graph, leiden), modularity(graph, louvain)];
      assert.ok(
        l >= v - 0.01 && l >= modularity(graph, planted) - 0.005,
        `seed ${seed}: Leiden ${l}, Louvain ${v}, planted ${modularity(graph, planted)}`,
      );
      for (const community of new Set(leiden)) {
        const members = Array.from(leiden.keys()).filter((node) => leiden[node] === community);
        const reached = new Set([members[0]!]);
        for (const node of reached)
          for (let e = graph.indptr[node]!; e < graph.indptr[node + 1]!; e++)
            if (leiden[graph.neighbors[e]!] === community) reached.add(graph.neighbors[e]!);
        assert.equal(reached.size, members.length, `community ${community} of seed ${seed} hangs together`);
      }
    }
  });
});
