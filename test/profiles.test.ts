// Profiles of types and conditions compared with plain sums, the mean expression that they explain,
// neighbours within a query, and conformal p-values.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SparseCells } from "../dist/kernel-modules/sparse-cells.js";
import { ConformalTable, type LeftOutCell } from "../dist/novelty/conformal.js";
import { queryNeighbors, queryParts, wantedNeighbors } from "../dist/novelty/novelty.js";
import { QueryOffsets, sureLabels } from "../dist/novelty/query-offsets.js";
import { profiledTypes, ProfileScorer, ProfileSpace } from "../dist/novelty/profiles.js";
import { Random } from "../dist/numerics/random.js";
import { LogisticRegression } from "../dist/labels/logistic.js";
import { ProfileSums } from "../dist/novelty/profile-training.js";

const [n, G, K] = [240, 12, 3];
const random = new Random(2, "profiles");
const types = Int32Array.from({ length: n }, (_, i) => (i % 17 === 0 ? -1 : random.below(K)));
const conditions = Int32Array.from({ length: n }, () => random.below(4));
const dense = Float32Array.from({ length: n * G }, (_, at) =>
  random.uniform() < 0.5 ? 0 : 1 + random.uniform() + (at % G === types[Math.floor(at / G)] ? 2 : 0),
);

function rowsOf(values: Float32Array): SparseCells {
  const [indptr, indices, stored] = [[0], [] as number[], [] as number[]];
  for (let at = 0; at < values.length; at++) {
    if (values[at] !== 0) {
      indices.push(at % G);
      stored.push(values[at]!);
    }
    if (at % G === G - 1) indptr.push(stored.length);
  }
  return {
    indptr: Int32Array.from(indptr),
    indices: Int32Array.from(indices),
    values: Float32Array.from(stored),
  };
}

const assertClose = (actual: number, expected: number, within = 1e-4): void =>
  assert.ok(Math.abs(actual - expected) < within, `${actual}, expected ${expected}`);

describe("profiles of types", () => {
  const sums = new ProfileSums(4, 4, K, G);
  sums.add(rowsOf(dense), types, conditions);
  const cellsOf = (type: number, condition: number): number[] =>
    Array.from(types.keys()).filter((cell) => types[cell] === type && conditions[cell] === condition);
  const mean = (cells: readonly number[], gene: number): number =>
    cells.reduce((sum, cell) => sum + dense[cell * G + gene]!, 0) / cells.length;

  for (const left of [null, 1])
    test(`means, displacements and variances ${left === null ? "of all" : "without one"}`, () => {
      const groups = [0, 1, 2, 3].filter((group) => group !== left);
      const { means, displacements, variances } = sums.profiles((group) => group !== left);
      const weight = (type: number, group: number): number =>
        cellsOf(type, group).length / (cellsOf(type, group).length + 10);
      const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
      for (let gene = 0; gene < G; gene++) {
        const mu = Array.from({ length: K }, (_, type) => {
          const all = total(groups.map((group) => weight(type, group)));
          return total(groups.map((group) => (weight(type, group) / all) * mean(cellsOf(type, group), gene)));
        });
        mu.forEach((value, type) => assertClose(means[type * G + gene]!, value));
        const squares = total(
          groups.flatMap((group) =>
            mu.map((_, type) => {
              const groupMean = mean(cellsOf(type, group), gene);
              return total(cellsOf(type, group).map((cell) => (dense[cell * G + gene]! - groupMean) ** 2));
            }),
          ),
        );
        const cells = total(groups.flatMap((group) => mu.map((_, type) => cellsOf(type, group).length)));
        const within = squares / (cells - K * groups.length);
        assertClose(variances[G + gene]!, within);
        const between = mu.map((_, type) => {
          const groupMeans = groups.map((group) => mean(cellsOf(type, group), gene));
          const middle = total(groupMeans) / groupMeans.length;
          return (
            total(groupMeans.map((value) => (value - middle) ** 2)) / (groupMeans.length - 1) -
            (within * total(groups.map((group) => 1 / cellsOf(type, group).length))) / groups.length
          );
        });
        assertClose(variances[gene]!, Math.max(0, total(between) / K));
        const size = (group: number): number => total(mu.map((_, type) => cellsOf(type, group).length));
        [...groups]
          .sort((a, b) => size(b) - size(a) || a - b)
          .forEach((group, c) => {
            const all = 0.5 + total(mu.map((_, type) => weight(type, group)));
            const moved = mu.map(
              (value, type) => weight(type, group) * (mean(cellsOf(type, group), gene) - value),
            );
            assertClose(displacements[c * G + gene]!, total(moved) / all);
          });
      }
    });

  test("mixtures of types shifted like a condition are explained; an extra gene is not, and is named", () => {
    const means = Float32Array.from({ length: K * G }, (_, at) => (at % G === Math.floor(at / G) ? 3 : 0));
    const displacements = Float32Array.from({ length: G }, (_, gene) => (gene === 5 ? 1 : 0));
    const profiles = { means, displacements, variances: new Float32Array(2 * G) };
    const rows = [
      [3, 0, 0, 0],
      [1.5, 1.5, 0, 0, 0, 2],
      [0, 0, 3, 3],
      [0, 0, 3, 0],
    ];
    const counts = Float32Array.from({ length: 4 * G }, (_, at) => rows[Math.floor(at / G)]![at % G] ?? 0);
    const space = new ProfileSpace(profiles, profiledTypes(profiles), 1);
    const none = new Float64Array(G);
    const moved = Float64Array.from({ length: G }, (_, gene) => (gene === 3 ? 1.5 : 0));
    const scorer = new ProfileScorer(rowsOf(counts), space, [none, moved]);
    const [pure, mixed, other] = [[0], [1], [2]].map((members) =>
      scorer.score(Int32Array.from(members), Int32Array.of(0)),
    );
    assert.ok(other!.span > pure!.span + 5 && other!.span > mixed!.span + 5);
    assert.ok(other!.distance > pure!.distance + 5 && mixed!.distance > pure!.distance + 5);
    // the mean of two, and the subtracted offset
    assert.ok(scorer.score(Int32Array.of(2, 3), Int32Array.of(1, 1)).span < other!.span - 5);
    const residual = space.residual(Float64Array.from(rows[2]!.concat(new Array(G - 4).fill(0))), none);
    residual.forEach((value, gene) => (gene === 3 ? assert.ok(value > 1) : assertClose(value, 0)));
  });
});

describe("a query's neighbours and offsets", () => {
  const kept = Int32Array.from(types.keys()).filter((i) => types[i]! >= 0);
  const values = Float32Array.from({ length: kept.length * G }, (_, at) => {
    const cell = kept[Math.floor(at / G)]!;
    return dense[cell * G + (at % G)]! + (at % G === types[cell] ? 6 : 0);
  });
  const position = kept.map((cell) => types[cell]!);

  test("neighbours are of the same kind, the same each time; few cells have few", () => {
    const { k, indices } = queryNeighbors(rowsOf(values), G, 15);
    assert.deepEqual(queryNeighbors(rowsOf(values), G, 15).indices, indices);
    const agree = indices.filter((j, at) => position[j] === position[Math.floor(at / k)]).length;
    assert.ok(agree / indices.length > 0.9, `same type ${agree / indices.length}`);
    assert.deepEqual([0, 1, 2, 3, 100, 10_000].map(wantedNeighbors), [0, 0, 0, 2, 10, 15]);
    assert.equal(queryNeighbors(rowsOf(new Float32Array(0)), G, 15).k, 0);
    assert.equal(queryNeighbors(rowsOf(dense.slice(0, G)), G, 15).k, 0);
    assert.deepEqual(queryNeighbors(rowsOf(dense.slice(0, 2 * G)), G, 15).indices, Int32Array.of(1, 0));
  });

  test("a query of many cells is divided into parts as large as a left-out donor", () => {
    const calibration = { neighborhoods: [0, 1, 3, 7, 15], units: 4 };
    assert.equal(queryParts(calibration, 5000), 1);
    assert.deepEqual(
      [10, 100, 149, 151, 2048].map((n) => queryParts({ ...calibration, donor_cells: 100 }, n)),
      [1, 1, 1, 2, 20],
    );
    const k = 5;
    const { indices } = queryNeighbors(rowsOf(values), G, k, 3);
    const n = position.length;
    assert.equal(indices.length, n * k);
    // neighbours are in the same part: no part is connected to another
    const part = Int32Array.from({ length: n }, (_, i) => i);
    const root = (i: number): number => (part[i] === i ? i : root(part[i]!));
    indices.forEach((j, at) => (part[root(j)] = root(Math.floor(at / k))));
    assert.ok(new Set(part.map((_, i) => root(i))).size >= 3);
    assert.ok(indices.every((j, at) => j !== Math.floor(at / k)));
  });

  test("a new type mistaken for a known one changes the offset little", () => {
    const many = 5;
    const means = new Float32Array(many * G);
    const profiles = { means, displacements: new Float32Array(0), variances: new Float32Array(2 * G) };
    const labels = Int32Array.from({ length: 40 * many }, (_, i) => i % many);
    // all have 1 more of gene 0; cells mistaken for type 4 have 50 more of gene 1
    const cells = Float32Array.from({ length: labels.length * G }, (_, at) =>
      at % G === 0 ? 1 : at % G === 1 && labels[Math.floor(at / G)] === 4 ? 50 : 0,
    );
    const isSure = new Uint8Array(labels.length).fill(1);
    const offsets = new QueryOffsets(
      { rows: rowsOf(cells), conditions: labels.map(() => 0), position: labels, isSure },
      profiles,
      [0, 1, 2, 3, 4],
      G,
    );
    const offset = offsets.table[offsets.of(0, 0)]!;
    assert.ok(offset[0]! > 0.6 && offset[0]! < 1, `${offset[0]}`);
    assert.equal(offset[1], 0);
  });

  test("a common difference of all types is an offset, estimated from the other types", () => {
    const means = Float32Array.from({ length: K * G }, (_, at) => {
      const typeRows = Array.from(position.keys()).filter((i) => position[i] === Math.floor(at / G));
      return typeRows.reduce((sum, i) => sum + values[i * G + (at % G)]!, 0) / typeRows.length;
    });
    const profiles = { means, displacements: new Float32Array(0), variances: new Float32Array(2 * G) };
    // all have 1 more of gene 0, type 2 has 9 more of gene 1
    const moved = values.map(
      (value, at) => value + (at % G === 0 ? 1 : at % G === 1 && position[Math.floor(at / G)] === 2 ? 9 : 0),
    );
    const offsetsOf = (cells: Int32Array, conditions: Int32Array, probability: number): QueryOffsets =>
      new QueryOffsets(
        {
          rows: rowsOf(some(cells)),
          conditions,
          position: cells.map((i) => position[i]!),
          isSure: sureLabels(new Float32Array(cells.length).fill(probability)),
        },
        profiles,
        [0, 1, 2],
        G,
      );
    const some = (cells: Int32Array): Float32Array =>
      Float32Array.from(
        { length: cells.length * G },
        (_, at) => moved[cells[Math.floor(at / G)]! * G + (at % G)]!,
      );
    const all = Int32Array.from(position.keys());
    const one = position.map(() => 7);
    const { table, inCompany } = offsetsOf(all, one, 0.9);
    assert.equal(table.length, 1 + K);
    assert.deepEqual(inCompany, [true, true, true]);
    assert.ok(table[3]![0]! > 0.5 && table[3]![0]! < 1);
    assertClose(table[3]![1]!, 0);
    const alone = all.filter((i) => position[i] === 2);
    const single = offsetsOf(
      alone,
      alone.map(() => 7),
      0.9,
    );
    assert.deepEqual(single.inCompany, [false, false, false]);
    assert.ok(single.table.length === 1 && single.table[0]!.every((value) => value === 0));
    assert.deepEqual(offsetsOf(all, one, 0.5).inCompany, [false, false, false]);
  });

  test("conditions of a query have separate offsets; small ones use that of the query", () => {
    const means = new Float32Array(K * G).fill(1);
    const profiles = { means, displacements: new Float32Array(0), variances: new Float32Array(2 * G) };
    // half of the cells have 3 of every gene, the others 1, three cells are of a third condition
    const conditions = position.map((_, i) => (i < 3 ? 9 : i % 2));
    const rows = rowsOf(
      Float32Array.from({ length: position.length * G }, (_, at) =>
        conditions[Math.floor(at / G)] === 1 ? 3 : 1,
      ),
    );
    const isSure = new Uint8Array(position.length).fill(1);
    const offsets = new QueryOffsets({ rows, conditions, position, isSure }, profiles, [0, 1, 2], G);
    const of = (condition: number): number => offsets.table[offsets.of(condition, 0)]![0]!;
    assert.equal(offsets.table.length, 1 + 3 * K);
    assert.ok(of(0) < of(9) && of(9) < of(1), `${of(0)} ${of(9)} ${of(1)}`);
    assert.equal(offsets.of(9, 2), 3);
  });
});

describe("conformal p-values", () => {
  const draw = new Random(4, "conformal");
  const cell = (unit: number, shift = 0): LeftOutCell => {
    const predicted = draw.below(3);
    return {
      unit,
      truth: predicted,
      predicted,
      parts: [draw.normal() + shift, draw.normal() + 2 * predicted + shift, draw.uniform()],
    };
  };
  const table = new ConformalTable(
    Array.from({ length: 1500 }, (_, i) => cell(i % 5)),
    3,
  );

  test("cells like the left-out ones are below a level at its nominal rate, per type", () => {
    const cells = Array.from({ length: 3000 }, () => cell(9));
    for (const type of [0, 1, 2]) {
      const typeCells = cells.filter(({ predicted }) => predicted === type);
      const share =
        typeCells.filter(({ predicted, parts }) => table.score(predicted, parts).p <= 0.05).length /
        typeCells.length;
      assert.ok(share > 0.02 && share < 0.08, `type ${type}: ${share}`);
    }
    const others = Array.from({ length: 300 }, () => cell(9, 6));
    assert.ok(others.every(({ predicted, parts }) => table.score(predicted, parts).p <= 0.05));
  });

  test("a value that all left-out cells reach says nothing; groups are judged by their medians", () => {
    assert.equal(table.score(0, [-1e9, -1e9, -1e9]).p, 1);
    assert.equal(table.groups, 15);
    assert.equal(table.groupP(-1), 1);
    assert.equal(table.groupP(1e9), 1 / 16);
  });

  test("a type without left-out cells is compared with all of them", () => {
    const two = new ConformalTable(
      Array.from({ length: 200 }, (_, i): LeftOutCell => ({
        unit: i % 2,
        truth: 0,
        predicted: 0,
        parts: [i, i, 0],
      })),
      2,
    );
    assert.ok(two.score(1, [500, 500, 0]).p < 0.05);
    assert.ok(two.score(1, [10, 10, 0]).p > 0.5);
  });
});

test("logistic regression: zero gradient, no effect of left-out cells, warm starts", () => {
  const labels = types.map((type) => type);
  const regression = new LogisticRegression({ rows: rowsOf(dense), genes: G, levels: [K], labels });
  const weights = Float64Array.from(labels, (label, i) => (label < 0 || i % 4 === 0 ? 0 : 1 + (i % 2)));
  const options = { inversePenalty: 0.5, weights, start: null, mostSteps: 500, tolerance: 1e-13 };
  const model = regression.fit(options);
  const scores = regression.scores(model, new Uint8Array(n).fill(1));
  const gradient = model.weight.map((weight) => weight / 0.5);
  const ofBias = new Float64Array(K);
  for (let i = 0; i < n; i++) {
    if (weights[i] === 0) continue;
    const probabilities = Array.from(scores.subarray(i * K, (i + 1) * K), Math.exp);
    const sum = probabilities.reduce((a, b) => a + b);
    probabilities.forEach((value, k) => {
      const residual = weights[i]! * (value / sum - Number(k === labels[i]));
      ofBias[k]! += residual;
      for (let gene = 0; gene < G; gene++) gradient[gene * K + k]! += residual * dense[i * G + gene]!;
    });
  }
  [...gradient, ...ofBias].forEach((value) => assertClose(value, 0, 3e-3)); // products are float32
  const other = regression.fit({ ...options, start: regression.fit({ ...options, inversePenalty: 0.01 }) });
  other.weight.forEach((value, at) => assertClose(value, model.weight[at]!, 1e-3));
  const changed = new LogisticRegression({
    rows: rowsOf(dense),
    genes: G,
    levels: [K],
    labels: labels.map((label, i) => (i % 4 === 0 ? (label + 1) % K : label)),
  });
  assert.deepEqual(changed.fit(options), model);
});
