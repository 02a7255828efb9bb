// The kernel of nearest rows compared with a full search in float64, and the neighbours computed with it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { NearestRows } from "../dist/kernel-modules/nearest.js";
import { listCentres, listsLookedAt, nearestNeighbors } from "../dist/graph/neighbors.js";
import { Random } from "../dist/numerics/random.js";

/** Points (n, D) in clusters, like cells. */
function grouped(n: number, D: number, groups: number, purpose: string): Float32Array {
  const random = new Random(1, purpose);
  const centres = Float64Array.from({ length: groups * D }, () => 3 * random.normal());
  return Float32Array.from(
    { length: n * D },
    (_, at) => centres[(Math.floor(at / D) % groups) * D + (at % D)]! + random.normal(),
  );
}

/** Squared distances of one point to all rows, ascending. */
function ascending(point: Float32Array, table: Float32Array, D: number): number[] {
  return Array.from({ length: table.length / D }, (_, row) =>
    point.reduce((sum, value, d) => sum + (value - table[row * D + d]!) ** 2, 0),
  ).sort((a, b) => a - b);
}

describe("the nearest rows", () => {
  for (const [M, N, D, k] of [
    [1, 3, 2, 1],
    [7, 5, 3, 4],
    [100, 40, 10, 15],
    [333, 5000, 37, 6],
  ] as const)
    test(`exactly: ${k} of ${M} rows for ${N} points in ${D} dimensions`, () => {
      const [table, points] = [grouped(M, D, 4, `table ${M}`), grouped(N, D, 4, `points ${N}`)];
      const { indices, squared } = new NearestRows(table, D).find(points, k);
      for (let i = 0; i < N; i += Math.ceil(N / 50)) {
        const point = points.subarray(i * D, (i + 1) * D);
        const expected = ascending(point, table, D);
        for (let rank = 0; rank < k; rank++) {
          const row = indices[i * k + rank]!;
          assert.ok(
            Math.abs(squared[i * k + rank]! - expected[rank]!) <= 1e-5 * expected[rank]! + 1e-6,
            `point ${i}, rank ${rank}`,
          );
          const distance = ascending(point, table.subarray(row * D, (row + 1) * D), D)[0]!;
          assert.ok(
            Math.abs(distance - expected[rank]!) <= 1e-5 * distance + 1e-6,
            `point ${i}, rank ${rank}: row ${row}`,
          );
        }
        assert.equal(new Set(indices.subarray(i * k, (i + 1) * k)).size, k, "no row twice");
      }
    });

  test("of a table that has fewer than are asked for", () => {
    const { indices, squared } = new NearestRows(Float32Array.of(0, 5), 1).find(Float32Array.of(4), 3);
    assert.deepEqual(
      [[...indices], [...squared]],
      [
        [1, 0, -1],
        [1, 16, Infinity],
      ],
    );
  });

  test("in lists: k rows even if the probed lists have fewer, and nearly all of the true neighbours", () => {
    const [M, D, k] = [6000, 10, 15];
    const table = grouped(M, D, 12, "listed");
    // lists of a single far row each, the nearest ones of a far point
    for (let row = 0; row < 20; row++) table.fill(1000 + 10 * row, row * D, (row + 1) * D);
    const rows = new NearestRows(table, D, [
      ...Array.from({ length: 20 }, (_, row) => row),
      ...listCentres(M),
    ]);
    const far = new Float32Array(D).fill(1050);
    const actual = rows.find(far, k, 2);
    assert.ok(actual.indices.every((row) => row >= 0 && row < 20));
    assert.deepEqual(actual.squared, rows.find(far, k).squared);
    const points = table.subarray(1000 * D, 1300 * D);
    const [some, all] = [rows.find(points, k, listsLookedAt).indices, rows.find(points, k).indices];
    let same = 0;
    for (let i = 0; i < 300; i++) {
      const neighborsOfRow = new Set(some.subarray(i * k, (i + 1) * k));
      for (const row of all.subarray(i * k, (i + 1) * k)) same += neighborsOfRow.has(row) ? 1 : 0;
    }
    assert.ok(same / all.length > 0.98, `${same / all.length} of the nearest rows are found`);
  });

  test("neighbours among many points: none missing, no point its own neighbour", () => {
    const [N, D, k] = [20_500, 4, 10];
    const points = grouped(N, D, 6, "many");
    points.fill(7, 0, 30 * D); // more equal points than neighbours
    const { indices, distances } = nearestNeighbors(points, D, k);
    indices.forEach((other, at) => assert.ok(other >= 0 && other !== Math.floor(at / k), `place ${at}`));
    assert.ok(distances.subarray(0, 30 * k).every((distance) => distance === 0));
    assert.ok(distances.every(Number.isFinite));
  });
});
