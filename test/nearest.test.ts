// The kernel of nearest rows against comparing everything in float64, and what is made of it: neighbours, the
// profiles of types.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { NearestRows } from "../dist/engine/nearest.js";
import { listCentres, listsLookedAt, nearestNeighbors } from "../dist/model/neighbors.js";
import type { SparseCells } from "../dist/engine/profiles.js";
import { overNeighborhoods, ownNeighbors, unexplainedProfiles } from "../dist/model/profiles.js";
import { Random } from "../dist/random.js";
import { ProfileSums } from "../dist/training/profile-training.js";

/** Points (n, D) in groups, as cells lie. */
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
          const own = ascending(point, table.subarray(row * D, (row + 1) * D), D)[0]!;
          assert.ok(
            Math.abs(own - expected[rank]!) <= 1e-5 * own + 1e-6,
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

  test("in lists: as many as are asked for, also where the lists looked at have fewer, and nearly all of the nearest", () => {
    const [M, D, k] = [6000, 10, 15];
    const table = grouped(M, D, 12, "listed");
    // lists of a single far row each, the nearest ones of a far point
    for (let row = 0; row < 20; row++) table.fill(1000 + 10 * row, row * D, (row + 1) * D);
    const rows = new NearestRows(table, D, [
      ...Array.from({ length: 20 }, (_, row) => row),
      ...listCentres(M),
    ]);
    const far = new Float32Array(D).fill(1050);
    const found = rows.find(far, k, 2);
    assert.ok(found.indices.every((row) => row >= 0 && row < 20));
    assert.deepEqual(found.squared, rows.find(far, k).squared);
    const points = table.subarray(1000 * D, 1300 * D);
    const [some, all] = [rows.find(points, k, listsLookedAt).indices, rows.find(points, k).indices];
    let same = 0;
    for (let i = 0; i < 300; i++) {
      const own = new Set(some.subarray(i * k, (i + 1) * k));
      for (const row of all.subarray(i * k, (i + 1) * k)) same += own.has(row) ? 1 : 0;
    }
    assert.ok(same / all.length > 0.98, `${same / all.length} of the nearest rows are found`);
  });

  test("neighbours among more points than are all compared: none missing, none its own", () => {
    const [N, D, k] = [20_500, 4, 10];
    const points = grouped(N, D, 6, "many");
    points.fill(7, 0, 30 * D); // more equal points than neighbours
    const { indices, distances } = nearestNeighbors(points, D, k);
    indices.forEach((other, at) => assert.ok(other >= 0 && other !== Math.floor(at / k), `place ${at}`));
    assert.ok(distances.subarray(0, 30 * k).every((distance) => distance === 0));
    assert.ok(distances.every(Number.isFinite));
  });
});

describe("profiles of types", () => {
  const [n, G, K] = [240, 12, 3];
  const random = new Random(2, "profiles");
  const types = Int32Array.from({ length: n }, (_, i) => (i % 17 === 0 ? -1 : random.below(K)));
  const conditions = Int32Array.from({ length: n }, () => random.below(4));
  const folds = conditions.map((condition) => condition % 2);
  const dense = Float32Array.from({ length: n * G }, (_, at) =>
    random.uniform() < 0.5 ? 0 : 1 + random.uniform() + (at % G === types[Math.floor(at / G)] ? 2 : 0),
  );
  const rowsOf = (values: Float32Array): SparseCells => {
    const [indptr, indices, stored] = [[0], [] as number[], [] as number[]];
    for (let at = 0; at < values.length; at++) {
      if (values[at] !== 0) (indices.push(at % G), stored.push(values[at]!));
      if (at % G === G - 1) indptr.push(stored.length);
    }
    return {
      indptr: Int32Array.from(indptr),
      indices: Int32Array.from(indices),
      values: Float32Array.from(stored),
    };
  };
  const sums = new ProfileSums(2, [0, 1, 0, 1], K, G);
  sums.add(rowsOf(dense), types, folds, conditions);
  const mean = (cells: readonly number[], gene: number): number =>
    cells.reduce((sum, cell) => sum + dense[cell * G + gene]!, 0) / cells.length;
  const cellsOf = (type: number, isIn: (cell: number) => boolean): number[] =>
    Array.from(types.keys()).filter((cell) => types[cell] === type && isIn(cell));

  for (const left of [null, 0, 1])
    test(`means and variances ${left === null ? "of all cells" : `without part ${left}`}`, () => {
      const { means, variances } = sums.without(left);
      const near = (found: number, expected: number): void =>
        assert.ok(Math.abs(found - expected) < 1e-4, `${found}, expected ${expected}`);
      for (let gene = 0; gene < G; gene++) {
        let [between, within] = [0, 0];
        for (let type = 0; type < K; type++) {
          const cells = cellsOf(type, (cell) => folds[cell] !== left);
          const own = mean(cells, gene);
          near(means[type * G + gene]!, own);
          within +=
            cells.reduce((sum, cell) => sum + (dense[cell * G + gene]! - own) ** 2, 0) / cells.length / K;
          const ofConditions = [0, 1, 2, 3]
            .filter((condition) => condition % 2 !== left)
            .map((condition) =>
              mean(
                cellsOf(type, (cell) => conditions[cell] === condition),
                gene,
              ),
            );
          const middle = ofConditions.reduce((a, b) => a + b) / ofConditions.length;
          between +=
            ofConditions.reduce((sum, value) => sum + (value - middle) ** 2, 0) / ofConditions.length / K;
        }
        near(variances[gene]!, between);
        near(variances[G + gene]!, within);
      }
    });

  const known = Int32Array.from({ length: K }, (_, type) => cellsOf(type, () => true).length);
  const cells = Array.from(types.keys()).filter((cell) => types[cell]! >= 0);

  test("neighbourhoods that lack genes of their type, and have one of none, are explained by no mixture of types; mixtures are", () => {
    const own = Float32Array.from(
      { length: cells.length * G },
      (_, at) => dense[cells[Math.floor(at / G)]! * G + (at % G)]!,
    );
    const position = Int32Array.from(cells, (cell) => types[cell]!);
    // a tenth of the cells, of a type that has the last gene sevenfold and lacks the first three
    const isNew = position.map((_, i) => (i % 10 === 0 ? 1 : 0));
    isNew.forEach((yes, i) => yes && own.subarray(i * G, i * G + 3).fill(0) && (own[i * G + G - 1] = 7));
    const k = 8;
    const same = (i: number): number[] =>
      Array.from(position.keys())
        .filter((j) => j !== i && isNew[j] === isNew[i] && (isNew[i] === 1 || position[j] === position[i]))
        .slice(0, k);
    const indices = Int32Array.from(Array.from(position.keys()).flatMap(same));
    const near = { k, indices, distances: new Float64Array(indices.length) };
    const unexplained = unexplainedProfiles(
      rowsOf(own),
      near,
      position.map(() => 0),
      position,
      sums.without(null),
      known,
    );
    const [least, most] = [
      Math.min(...unexplained.filter((_, i) => isNew[i] === 1)),
      Math.max(...unexplained.filter((_, i) => isNew[i] === 0)),
    ];
    assert.ok(least > most + 0.5, `new from ${least}, known up to ${most}`);
  });

  test("a profile within the span of the types is explained whole, one outside it is not", () => {
    // three types by genes 0 to 2, one cell each: the first as type 0, the second between types 0 and 1, the
    // third as type 2 but with a gene that no type has
    const means = Float32Array.from({ length: K * G }, (_, at) => (at % G === Math.floor(at / G) ? 3 : 0));
    const rows = [
      [3, 0, 0, 0],
      [1.5, 1.5, 0, 0],
      [0, 0, 3, 3],
    ];
    const counts = Float32Array.from({ length: 3 * G }, (_, at) => rows[Math.floor(at / G)]![at % G] ?? 0);
    const alone = { k: 0, indices: new Int32Array(0), distances: new Float64Array(0) };
    // a part of what the second and third lack goes as the conditions' shift, so that nothing is explained to
    // the last digit
    const [pure, mixed, other] = unexplainedProfiles(
      rowsOf(counts),
      alone,
      Int32Array.of(0, 1, 2),
      Int32Array.of(0, 1, 2),
      { means, variances: new Float32Array(2 * G) },
      Int32Array.of(1, 1, 1),
    );
    assert.ok(other! > pure! + 0.7 && other! > mixed! + 0.7, `${pure} ${mixed} ${other}`);
  });

  test("own neighbours: of the same kind, whatever their conditions have more; the same each time", () => {
    const values = dense.map(
      (value, at) =>
        value +
        (at % G === types[Math.floor(at / G)] ? 6 : 0) +
        (at % G >= G - 4 && conditions[Math.floor(at / G)]! % 2 === 1 ? 30 : 0),
    );
    const own = Float32Array.from(
      { length: cells.length * G },
      (_, at) => values[cells[Math.floor(at / G)]! * G + (at % G)]!,
    );
    const ownConditions = Int32Array.from(cells, (cell) => conditions[cell]! % 2);
    const { k, indices } = ownNeighbors(rowsOf(own), ownConditions, G, 20);
    assert.equal(k, 20);
    assert.deepEqual(ownNeighbors(rowsOf(own), ownConditions, G, 20).indices, indices);
    const agree = (of: (i: number) => number): number =>
      indices.reduce((sum, j, at) => sum + (of(j) === of(Math.floor(at / k)) ? 1 : 0), 0) / indices.length;
    assert.ok(agree((i) => types[cells[i]!]!) > 0.9, `same type ${agree((i) => types[cells[i]!]!)}`);
    const sameCondition = agree((i) => ownConditions[i]!);
    assert.ok(
      sameCondition > 0.35 && sameCondition < 0.75,
      `same condition ${sameCondition}, by chance a half`,
    );
  });

  test("few cells: none and one have no neighbours, two have each other", () => {
    assert.equal(ownNeighbors(rowsOf(new Float32Array(0)), new Int32Array(0), G, 20).k, 0);
    assert.equal(ownNeighbors(rowsOf(dense.slice(0, G)), Int32Array.of(0), G, 20).k, 0);
    const pair = ownNeighbors(rowsOf(dense.slice(0, 2 * G)), Int32Array.of(0, 0), G, 20);
    assert.deepEqual(pair.indices, Int32Array.of(1, 0));
    assert.deepEqual(overNeighborhoods(Float32Array.of(1, 4), pair), Float32Array.of(2.5, 2.5));
  });
});
