// Statistics compared with R, SciPy and scikit-learn: linear models, tails, correlation, correction,
// components. Expected values are stored, together with the scripts that computed them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Matrix } from "ml-matrix";
import { weightedF1 } from "../dist/samples/classification.js";
import { shrunkCovariance } from "../dist/samples/classifiers.js";
import { covariateOf, knownSamples, predictorsOf, type CovariateKinds } from "../dist/samples/covariates.js";
import { principalComponents } from "../dist/numerics/principal-components.js";
import { pearson } from "../dist/statistics/correlation.js";
import { loadDistributions } from "../dist/statistics/distributions.js";
import { linearModel } from "../dist/statistics/linear-model.js";
import { benjaminiHochberg } from "../dist/statistics/multiple-testing.js";
import { fails } from "./compare.ts";

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), "utf8"));
const r = read("statistics-r") as {
  models: {
    name: string;
    kind: "categorical" | "ordinal" | "number";
    y: number[];
    x: (number | string | null)[];
    n: number;
    r2: number;
    adjusted_r2: number;
    f: number;
    p: number;
  }[];
  p: (number | null)[];
  benjamini_hochberg: (number | null)[];
};
const scipy = read("statistics-scipy");
const distributions = await loadDistributions();

/** Relative to what was expected, so that small P values count as much as large ones. */
function close(actual: number, expected: number, what: string, bound = 1e-8): void {
  assert.ok(
    Math.abs(actual - expected) <= bound * Math.max(Math.abs(expected), Number.MIN_VALUE),
    `${what}: ${actual}, expected ${expected}`,
  );
}

for (const { name, kind, y, x, n, r2, adjusted_r2, f, p } of r.models)
  test(`a linear model as R's lm: ${name}`, () => {
    const kinds: CovariateKinds = kind === "categorical" ? { categorical: ["x"] } : {};
    const covariate = covariateOf("x", x, kinds);
    const known = knownSamples(covariate);
    const fit = linearModel(
      Float64Array.from(known, (row) => y[row]!),
      predictorsOf(covariate, known),
      distributions,
    );
    assert.equal(fit.n, n);
    close(fit.r2, r2, "R2");
    assert.ok(
      Math.abs(fit.adjustedR2 - adjusted_r2) < 1e-8,
      `adjusted R2: ${fit.adjustedR2}, expected ${adjusted_r2}`,
    );
    close(fit.f, f, "F");
    close(fit.p, p, "P");
  });

test("ordered levels are ranks; an unlisted level is reported", () => {
  const ordinal = r.models.find(({ kind }) => kind === "ordinal")!;
  const words = ["none", "mild", "moderate", "severe"];
  const covariate = covariateOf(
    "x",
    ordinal.x.map((rank) => words[rank as number]!),
    { ordinal: { x: words } },
  );
  assert.equal(covariate.kind, "ordinal");
  const fit = linearModel(
    Float64Array.from(ordinal.y),
    predictorsOf(covariate, knownSamples(covariate)),
    distributions,
  );
  close(fit.p, ordinal.p, "P");
  return fails(
    () => covariateOf("x", ["mild", "fatal"], { ordinal: { x: words } }),
    "usage",
    /'x' has the value 'fatal'/,
    /'severe'/,
  );
});

test("undefined results are NaN: as many parameters as samples, a constant response", () => {
  const fit = linearModel(Float64Array.of(1, 2), [Float64Array.of(0, 1)], distributions);
  assert.deepEqual([fit.r2, fit.adjustedR2, fit.p].map(Number.isNaN), [false, true, true]);
  assert.ok(
    Number.isNaN(linearModel(Float64Array.of(3, 3, 3, 3), [Float64Array.of(0, 1, 2, 3)], distributions).r2),
  );
  assert.ok(Number.isNaN(pearson([1, 1, 1], [1, 2, 3], distributions).r));
});

test("tails of F, t and the hypergeometric distribution as SciPy's", () => {
  for (const [x, a, b, p] of scipy.f as number[][])
    close(distributions.fUpperTail(x!, a!, b!), p!, `F(${x}; ${a}, ${b})`);
  for (const [x, df, p] of scipy.t as number[][])
    close(distributions.tTwoSided(x!, df!), p!, `t(${x}; ${df})`);
  for (const [z, p] of scipy.normal as number[][])
    close(distributions.normalTwoSided(z!), p!, `normal at ${z}`, 1e-10);
  assert.equal(distributions.normalTwoSided(50), 0);
  for (const [hits, total, marked, drawn, p] of scipy.hypergeometric as number[][])
    close(
      distributions.hypergeometricUpperTail(hits!, total!, marked!, drawn!),
      p!,
      `hypergeometric(${hits}; ${total}, ${marked}, ${drawn})`,
    );
  return fails(() => distributions.hypergeometricUpperTail(1, 10, 11, 2), "usage", /marked is 11/);
});

test("Pearson's correlation as SciPy's", () => {
  for (const { x, y, r: expected, p } of scipy.pearson as {
    x: number[];
    y: number[];
    r: number;
    p: number;
  }[]) {
    const actual = pearson(x, y, distributions);
    close(actual.r, expected, "r");
    close(actual.p, p, "P");
  }
});

test("Benjamini-Hochberg correction equals SciPy's and R's; NaN is ignored", () => {
  benjaminiHochberg(scipy.p as number[]).forEach((p, i) =>
    close(p, scipy.benjamini_hochberg[i], `P ${i}`, 1e-12),
  );
  benjaminiHochberg(r.p.map((p) => p ?? NaN)).forEach((p, i) =>
    r.benjamini_hochberg[i] === null
      ? assert.ok(Number.isNaN(p))
      : close(p, r.benjamini_hochberg[i]!, `P ${i}`, 1e-12),
  );
});

test("principal components as scikit-learn's, whichever side is longer", () => {
  const table = scipy.pca.table as number[][];
  const actual = principalComponents({
    rows: table.length,
    columns: table[0]!.length,
    values: Float64Array.from(table.flat()),
  });
  actual.variance.forEach((variance, k) => close(variance, scipy.pca.variance[k], `variance ${k}`));
  actual.varianceRatio.forEach((share, k) => close(share, scipy.pca.ratio[k], `share ${k}`));
  (scipy.pca.scores as number[][])
    .flat()
    .forEach((score, i) => close(Math.abs(actual.scores.values[i]!), score, `score ${i}`));
  const transposed = table[0]!.map((_, column) => table.map((row) => row[column]!));
  const wide = principalComponents({ rows: 5, columns: 12, values: Float64Array.from(transposed.flat()) });
  assert.equal(wide.scores.columns, 4);
  const back = Array.from(
    { length: 5 * 12 },
    (_, i) =>
      wide.means[i % 12]! +
      [0, 1, 2, 3].reduce(
        (sum, k) =>
          sum + wide.scores.values[Math.floor(i / 12) * 4 + k]! * wide.loadings.values[(i % 12) * 4 + k]!,
        0,
      ),
  );
  back.forEach((value, i) => assert.ok(Math.abs(value - transposed.flat()[i]!) < 1e-10, `entry ${i}`));
});

test("the shrunk covariance as scikit-learn's ledoit_wolf, the weighted F1 as its f1_score", () => {
  const covariance = shrunkCovariance(new Matrix(scipy.ledoit_wolf.rows)).to2DArray().flat();
  (scipy.ledoit_wolf.covariance as number[][])
    .flat()
    .forEach((value, i) =>
      assert.ok(Math.abs(value - covariance[i]!) < 1e-10, `entry ${i}: ${covariance[i]}, expected ${value}`),
    );
  close(
    weightedF1(Int32Array.from(scipy.weighted_f1.labels), Int32Array.from(scipy.weighted_f1.predicted), 4),
    scipy.weighted_f1.value,
    "F1",
  );
});
