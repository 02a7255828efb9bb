// Metrics of an integration: values of scib-metrics and scib for latent representations of the Python
// package, cases computed by hand, sampling, and undefined scores.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { allPairs } from "../dist/kernel-modules/pairs.js";
import { isolatedTypes, subsetOf, type LabelledCells } from "../dist/evaluation/cells.js";
import { agreement, isolatedLabelF1 } from "../dist/evaluation/clusters.js";
import { graphConnectivity } from "../dist/evaluation/graph-connectivity.js";
import { draws, scoreIntegration } from "../dist/evaluation/integration.js";
import { scibKMeans } from "../dist/numerics/scib-k-means.js";
import { lisi, weightedMedian } from "../dist/evaluation/lisi.js";
import { metricNames, scoresOf, type Metrics } from "../dist/evaluation/metrics.js";
import { pcRegression, varianceBetween } from "../dist/evaluation/pc-regression.js";
import { firstOfPermutation, keyOf, split } from "../dist/numerics/threefry.js";
import { Random } from "../dist/numerics/random.js";
import { bound, readScored, referencePath, scoredNames, type ReferenceNumbers } from "./scored.ts";

/**
 * Types around centres of their own, conditions shifted a little; the last type is in the first condition
 * only.
 */
function simulateCells(N: number, { D = 6, types = 4, conditions = 3, seed = 1 } = {}): LabelledCells {
  const random = new Random(seed, "cells to score");
  const centres = Array.from({ length: types * D }, () => 2 * random.normal());
  const shifts = Array.from({ length: conditions * D }, () => 0.5 * random.normal());
  const points = new Float32Array(N * D);
  const [ofType, ofCondition] = [new Int32Array(N), new Int32Array(N)];
  for (let cell = 0; cell < N; cell++) {
    const type = (ofType[cell] = random.below(types));
    const condition = (ofCondition[cell] = type === types - 1 ? 0 : random.below(conditions));
    for (let d = 0; d < D; d++)
      points[cell * D + d] = centres[type * D + d]! + shifts[condition * D + d]! + random.normal();
  }
  const names = (what: string, count: number): string[] =>
    Array.from({ length: count }, (_, code) => `${what} ${code}`);
  return {
    points,
    D,
    types: ofType,
    typeNames: names("type", types),
    conditions: ofCondition,
    conditionNames: names("condition", conditions),
  };
}

describe("against scib-metrics 0.5.10 and scib 1.1.7", () => {
  const reference = JSON.parse(readFileSync(referencePath, "utf8")) as Record<string, ReferenceNumbers>;
  for (const name of scoredNames) {
    test(`${name}: within 0.002, within 0.02 where clusters are made`, async (t) => {
      const scored = readScored(name);
      if (!scored) return t.skip("../shared/golden/metrics is not there");
      const { cells, before } = scored;
      const metrics = await scoreIntegration(cells, {
        before: {
          varianceBetween: varianceBetween(
            before.values,
            before.D,
            cells.conditions,
            cells.conditionNames.length,
          ),
        },
      });
      for (const metric of metricNames) {
        const { value, standard_error } = metrics[metric]!;
        assert.ok(
          Math.abs(value! - reference[name]![metric]) <= bound(metric),
          `${metric} is ${value}, the reference has ${reference[name]![metric]}`,
        );
        assert.equal(standard_error, null);
      }
      // k-means uses JAX's random numbers: results are equal, not only close
      for (const metric of ["kmeans_nmi", "kmeans_ari"] as const)
        assert.ok(Math.abs(metrics[metric]!.value! - reference[name]![metric]) < 1e-6);
    });
  }
});

describe("all pairs", () => {
  for (const [N, D] of [
    [203, 3],
    [1500, 10],
  ] as const) {
    test(`${N} points, ${D} dimensions: mean distances within 1e-6, exact neighbours`, async () => {
      const cells = simulateCells(N, { D });
      const rows = Int32Array.from([5, 0, N - 1, 17, 100, 3]);
      const k = 20;
      const [one, three] = [
        await allPairs({ ...cells, rows, nearest: k }, { threads: 1 }),
        await allPairs({ ...cells, rows, nearest: k }, { threads: 3 }),
      ];
      assert.deepEqual(one, three);
      rows.forEach((row, at) => {
        const distances = Array.from({ length: N }, (_, j) =>
          Math.hypot(
            ...Array.from({ length: D }, (_, d) => cells.points[row * D + d]! - cells.points[j * D + d]!),
          ),
        );
        const others = [...distances.keys()].filter((j) => j !== row);
        const nearest = others.sort((a, b) => distances[a]! - distances[b]!).slice(0, k);
        assert.deepEqual(Array.from(one.indices.subarray(at * k, (at + 1) * k)), nearest);
        const meanTo = (isMeant: (j: number) => boolean): number => {
          const meant = [...distances.keys()].filter((j) => j !== row && isMeant(j));
          return meant.length === 0 ? 0 : meant.reduce((sum, j) => sum + distances[j]!, 0) / meant.length;
        };
        const [type, condition] = [cells.types[row]!, cells.conditions[row]!];
        const nearestMean = (codes: Int32Array, itself: number, isMeant: (j: number) => boolean): number =>
          Math.min(
            ...[...new Set(codes)]
              .filter((code) => code !== itself)
              .map((code) => meanTo((j) => codes[j] === code && isMeant(j)))
              .filter((mean) => mean > 0),
          );
        const expected = [
          meanTo((j) => cells.types[j] === type),
          nearestMean(cells.types, type, () => true),
          meanTo((j) => cells.types[j] === type && cells.conditions[j] === condition),
          nearestMean(cells.conditions, condition, (j) => cells.types[j] === type),
        ];
        [one.ownType[at]!, one.otherType[at]!, one.ownCondition[at]!, one.otherCondition[at]!].forEach(
          (nearestOther, i) =>
            assert.ok(
              nearestOther === expected[i] || Math.abs(nearestOther - expected[i]!) < 1e-6 * expected[i]!,
              `${i}: ${nearestOther}, expected ${expected[i]}`,
            ),
        );
      });
    });
  }

  test("what onProgress throws ends the work and its threads", async () => {
    const cells = simulateCells(6000);
    await assert.rejects(
      allPairs(cells, {
        threads: 2,
        onProgress: () => {
          throw new Error("enough");
        },
      }),
      /enough/,
    );
  });
});

describe("definitions", () => {
  test("NMI and ARI of scikit-learn's examples", () => {
    const codes = (...values: number[]): Int32Array => Int32Array.from(values);
    assert.deepEqual(agreement(codes(0, 0, 1, 1), codes(1, 1, 0, 0)), { nmi: 1, ari: 1 });
    assert.deepEqual(agreement(codes(0, 0, 0, 0), codes(0, 1, 2, 3)), { nmi: 0, ari: 0 });
    const { nmi, ari } = agreement(codes(0, 0, 1, 2), codes(0, 0, 1, 1));
    assert.ok(Math.abs(ari - 0.5714285714285714) < 1e-12 && Math.abs(nmi - 0.8) < 1e-12, `${nmi} ${ari}`);
  });

  test("a component is strongly connected and within one type", () => {
    // 0 -> 1 -> 2 -> 0 is a circle; 3 is reached from none of its type; 4 and 5 know only each other, across
    // types
    const neighbors = { k: 1, indices: Int32Array.of(1, 2, 0, 0, 5, 4), distances: new Float64Array(6) };
    assert.equal(graphConnectivity(neighbors, Int32Array.of(0, 0, 0, 0, 1, 2), 3), (3 / 4 + 1 + 1) / 3);
    assert.equal(graphConnectivity(neighbors, Int32Array.of(0, 0, 0, 0, 1, 1), 2), (3 / 4 + 1) / 2);
  });

  test("LISI of neighbours at one distance is the inverse Simpson index", () => {
    const k = 8;
    const neighbors = {
      k,
      indices: Int32Array.from({ length: k }, (_, i) => i + 1),
      distances: new Float64Array(k).fill(1),
    };
    const [even, odd] = lisi(neighbors, [
      Int32Array.of(0, 0, 0, 1, 1, 2, 2, 3, 3),
      Int32Array.of(0, 0, 0, 0, 0, 0, 0, 1, 1),
    ]);
    assert.ok(Math.abs(even![0]! - 4) < 1e-9);
    assert.ok(Math.abs(odd![0]! - 1 / (0.75 ** 2 + 0.25 ** 2)) < 1e-9);
  });

  test("a weighted median is that of repeated values", () => {
    assert.equal(weightedMedian(Float64Array.of(3, 1, 2, 10)), 2.5);
    assert.equal(weightedMedian(Float64Array.of(3, 1, 2)), 2);
    assert.equal(weightedMedian(Float64Array.of(1, 5), Float64Array.of(1, 3)), 5);
    assert.equal(weightedMedian(Float64Array.of(1, 5), Float64Array.of(2, 2)), 3);
  });

  test("variance between conditions is rotation-invariant and equals regression's", () => {
    const { points, conditions } = simulateCells(300, { D: 2 });
    const turned = points.map((_, at) =>
      at % 2 === 0 ? 0.6 * points[at]! - 0.8 * points[at + 1]! : 0.8 * points[at - 1]! + 0.6 * points[at]!,
    );
    assert.ok(
      Math.abs(varianceBetween(points, 2, conditions, 3) - varianceBetween(turned, 2, conditions, 3)) < 1e-6,
    );
    assert.equal(varianceBetween([0, 0, 2, 2], 1, Int32Array.of(0, 0, 1, 1), 2), 1);
    assert.equal(varianceBetween([0, 2, 0, 2], 1, Int32Array.of(0, 0, 1, 1), 2), 0);
    assert.deepEqual([pcRegression(0.5, 0.1), pcRegression(0.1, 0.5), pcRegression(0, 0.5)], [0.8, 0, null]);
  });

  test("isolated types are in the fewest conditions; F1 is the best over clusters", () => {
    assert.deepEqual(isolatedTypes(simulateCells(400)), { types: [3], conditions: 1 });
    const types = Int32Array.of(0, 0, 0, 1, 1);
    const actual = [
      { resolution: 1, clusters: Int32Array.of(0, 0, 0, 0, 0) },
      { resolution: 2, clusters: Int32Array.of(0, 0, 0, 0, 1) },
    ];
    assert.equal(isolatedLabelF1(actual, types, [1]), 2 / 3);
  });

  test("JAX's keys and permutations", () => {
    // jax.random.split(jax.random.PRNGKey(0)) and the first of jax.random.permutation(PRNGKey(7), n) in JAX
    // 0.10.2
    assert.deepEqual(
      split(keyOf(0), 2).map((key) => key.map((word) => word >>> 0)),
      jaxNumbers.split,
    );
    for (const [n, first] of jaxNumbers.permutations) assert.equal(firstOfPermutation(keyOf(7), n!), first);
  });

  test("k-means with more clusters than different points ends", () => {
    assert.deepEqual(
      Array.from(scibKMeans(Float32Array.of(1, 1, 1, 5, 5), 1, 4, 0)).map((code, _, codes) =>
        codes.indexOf(code),
      ),
      [0, 0, 0, 3, 3],
    );
  });
});

const jaxNumbers = JSON.parse(
  readFileSync(new URL("./fixtures/metrics/jax.json", import.meta.url), "utf8"),
) as { split: number[][]; permutations: number[][] };

describe("sampling", () => {
  const cells = simulateCells(4000);
  const before = { varianceBetween: 0.5 };

  test("metrics of samples of many cells agree with exact ones within standard errors", async () => {
    const exact = await scoreIntegration(cells, { before });
    const sampled = await scoreIntegration(cells, { before, exactCells: 3000 });
    for (const metric of [
      "cell_type_silhouette",
      "isolated_label_silhouette",
      "condition_silhouette",
      "clisi",
      "ilisi",
    ] as const) {
      const { value, standard_error } = sampled[metric]!;
      assert.ok(standard_error! > 0 && standard_error! < 0.02, `${metric}: ${standard_error}`);
      assert.ok(
        Math.abs(value! - exact[metric]!.value!) <= 4 * standard_error! + 1e-6,
        `${metric}: ${value} ± ${standard_error}, exactly ${exact[metric]!.value}`,
      );
    }
    for (const metric of ["leiden_nmi", "leiden_ari", "graph_connectivity", "isolated_label_f1"] as const)
      assert.ok(
        Math.abs(sampled[metric]!.value! - exact[metric]!.value!) < 0.05,
        `${metric}: ${sampled[metric]!.value}, exactly ${exact[metric]!.value}`,
      );
    assert.deepEqual(sampled.pc_regression, exact.pc_regression);
  });

  test("one seed, one answer, whatever the threads; another seed, other draws", async () => {
    const metrics = ["cell_type_silhouette", "kmeans_nmi", "leiden_nmi"] as const;
    const run = (seed: number, threads: number): Promise<Metrics> =>
      scoreIntegration(cells, { metrics, exactCells: 1000, seed, threads });
    const [one, same, other] = [await run(1, 1), await run(1, 2), await run(2, 1)];
    assert.deepEqual(one, same);
    assert.notDeepEqual(one, other);
    assert.ok(draws >= 3);
  });
});

describe("undefined scores are reported", () => {
  const cells = simulateCells(300);
  test("one condition: only metrics of cell types, none of mixing", async () => {
    const one = { ...cells, conditions: new Int32Array(300), conditionNames: ["only"] };
    const metrics = await scoreIntegration(one);
    for (const name of ["condition_silhouette", "pc_regression", "ilisi", "isolated_label_f1"] as const)
      assert.deepEqual(metrics[name], {
        value: null,
        standard_error: null,
        reason: "there is one condition",
      });
    for (const name of [
      "cell_type_silhouette",
      "leiden_nmi",
      "kmeans_ari",
      "clisi",
      "graph_connectivity",
    ] as const)
      assert.ok(metrics[name]!.value! > 0.3);
    assert.deepEqual(scoresOf(metrics, "paper").without, [
      "isolated_label_f1",
      "isolated_label_silhouette",
      "condition_silhouette",
      "pc_regression",
    ]);
  });
  test("one cell type", async () => {
    const metrics = await scoreIntegration({ ...cells, types: new Int32Array(300), typeNames: ["only"] });
    assert.match(metrics.cell_type_silhouette!.reason!, /one cell type/);
    assert.ok(metrics.ilisi!.value! > 0);
    assert.equal(scoresOf(metrics, "paper").overall, null);
  });
  test("every type in every condition, nothing before integration, and a handful of cells", async () => {
    const shared = subsetOf(
      cells,
      Int32Array.from(cells.types.keys()).filter((cell) => cells.types[cell]! < 3),
    );
    const metrics = await scoreIntegration({ ...shared, typeNames: shared.typeNames.slice(0, 3) });
    assert.match(metrics.isolated_label_f1!.reason!, /every cell type occurs in every condition/);
    assert.ok(metrics.isolated_label_silhouette!.value! > 0);
    assert.match(metrics.pc_regression!.reason!, /before integration/);
    const few = await scoreIntegration(subsetOf(cells, Int32Array.of(0, 1, 2, 3)));
    for (const name of metricNames) assert.match(few[name]!.reason!, /there are 4 cells/);
  });
});
