// Guidance for an integration: how much of the samples' embedding each covariate explains, and which
// covariate to integrate on. The adjusted R2 over all components, weighted by their variance, is that of a
// redundancy analysis of the embedding; P is by permutation of the samples. Source: De Donno et al. 2023
// ("scPoli supports experimental design in integration workflows"); Legendre and Legendre, Numerical Ecology
// (redundancy analysis).
import type { DenseMatrix } from "../anndata/matrix.js";
import { Random } from "../numerics/random.js";
import { benjaminiHochberg } from "../statistics/multiple-testing.js";
import { codesOf, knownSamples, uselessBecause, type Covariate, type CovariateKind } from "./covariates.js";

/** How much a covariate explains of the embedding. */
export interface Explained {
  /** Name of the covariate */
  readonly covariate: string;
  /** How its values enter a model */
  readonly kind: CovariateKind;
  /** number of levels that occur; 0 for numbers */
  readonly levels: number;
  /** number of samples with a known value */
  readonly samples: number;
  /** an earlier covariate with the same groups of samples; null if there is none */
  readonly same_as: string | null;
  /** R2 of the components, weighted by their variance */
  readonly r2: number;
  /**
   * adjusted R2 of the components, weighted by their variance; NaN where there are no more samples than
   * parameters
   */
  readonly adjusted_r2: number;
  /**
   * share of permutations of the samples that explain as much, this order among them: at least 1 /
   * (permutations + 1)
   */
  readonly p: number;
  /** P corrected by Benjamini-Hochberg over the covariates */
  readonly p_adjusted: number;
}

/** Which covariates explain the embedding, and which to integrate on. */
export interface Guidance {
  /** covariate to integrate on; null: none explains the embedding, so keep the samples as condition */
  readonly condition: string | null;
  /** explanation with the numbers */
  readonly reason: string;
  /** all covariates that vary, by decreasing adjusted R2 */
  readonly covariates: readonly Explained[];
}

export interface PermutationOptions {
  /** default 999 */
  readonly permutations?: number;
  readonly seed?: number;
}

/** Maximum corrected P for a covariate to explain the embedding. */
const significance = 0.05;

/** Tests each covariate. @param embedding - (S, E) */
export function explainEmbedding(
  embedding: DenseMatrix,
  covariates: readonly Covariate[],
  { permutations = 999, seed = 0 }: PermutationOptions = {},
): Explained[] {
  const rows: Omit<Explained, "p_adjusted">[] = [];
  const divisions = new Map<string, string>();
  for (const covariate of covariates) {
    const samples = knownSamples(covariate);
    if (uselessBecause(covariate, samples) !== null) continue;
    const codes = codesOf(covariate, samples);
    const n = samples.length;
    const isCategorical = covariate.kind === "categorical";
    const levels = new Set(codes).size;
    const predictors = isCategorical ? levels - 1 : 1;
    const { values, total } = centred(embedding, samples);
    const share = (sampleCodes: Float64Array): number =>
      (isCategorical
        ? betweenLevels(values, sampleCodes, covariate.levels.length, embedding.columns)
        : alongNumber(values, sampleCodes, embedding.columns)) / total;
    const r2 = share(codes);
    const random = new Random(seed, `permutations of ${covariate.name}`);
    let asMuch = 1;
    const order = Int32Array.from(codes.keys());
    for (let i = 0; i < permutations; i++)
      if (
        share(
          random
            .shuffle(order)
            .reduce((shuffled, from, at) => ((shuffled[at] = codes[from]!), shuffled), new Float64Array(n)),
        ) >=
        r2 * (1 - 1e-12)
      )
        asMuch++;
    const division = `${samples.join()}: ${firstUses(codes)}`;
    const same = divisions.get(division) ?? null;
    if (same === null && isCategorical) divisions.set(division, covariate.name);
    rows.push({
      covariate: covariate.name,
      kind: covariate.kind,
      levels: covariate.kind === "number" ? 0 : levels,
      samples: n,
      same_as: isCategorical ? same : null,
      r2,
      adjusted_r2: n - predictors - 1 > 0 ? 1 - ((1 - r2) * (n - 1)) / (n - predictors - 1) : NaN,
      p: asMuch / (permutations + 1),
    });
  }
  const corrected = benjaminiHochberg(rows.map(({ p }) => p));
  const size = (value: number): number => (Number.isNaN(value) ? -Infinity : value);
  return rows
    .map((row, i) => ({ ...row, p_adjusted: corrected[i]! }))
    .sort((a, b) => size(b.adjusted_r2) - size(a.adjusted_r2));
}

/**
 * The condition to integrate on: of the covariates that divide the samples into groups (fewer than half as
 * many as there are samples, each sample in one), the one that explains most of the embedding, if any does at
 * all.
 * @param key - condition key of the samples
 */
export function guide(key: string, samples: number, covariates: readonly Explained[]): Guidance {
  const groups = covariates.filter(
    (row) =>
      row.kind !== "number" && row.same_as === null && row.levels <= samples / 2 && row.samples === samples,
  );
  const best = groups.find(({ adjusted_r2, p_adjusted }) => adjusted_r2 > 0 && p_adjusted <= significance);
  const shown = ({ covariate, adjusted_r2, p_adjusted }: Explained): string =>
    `${covariate} (adjusted R2 ${adjusted_r2.toFixed(2)}, corrected P ${p_adjusted.toPrecision(2)})`;
  if (!best) {
    const most = groups[0];
    const why = most
      ? `of the covariates that divide the samples into groups of several, ${shown(most)} explains most, ` +
        "and no more than chance"
      : "no covariate divides the samples into groups of several";
    return { condition: null, reason: `Keep ${key} as condition: ${why}.`, covariates };
  }
  const next = groups.find((row) => row !== best && row.adjusted_r2 > 0 && row.p_adjusted <= significance);
  const same = covariates
    .filter(({ same_as }) => same_as === best.covariate)
    .map(({ covariate }) => covariate);
  const reason =
    `${shown(best)}${same.length > 0 ? `, the same groups as ${same.join(", ")},` : ""} explains most of ` +
    `the embedding of ${key}: ${best.levels} conditions in place of ` +
    `${samples}${next ? `; then ${shown(next)}` : ""}. ` +
    `Integrate on ${best.covariate} where it is technical; keep ${key} where it is what you want to see.`;
  return { condition: best.covariate, reason, covariates };
}

/** Codes in order of first use, so that equal groupings have equal codes. */
function firstUses(codes: Float64Array): string {
  const seen = new Map<number, number>();
  return Array.from(codes, (code) => seen.get(code) ?? (seen.set(code, seen.size), seen.size - 1)).join();
}

/** Centred rows of the samples, and their sum of squares. */
function centred(
  { columns, values }: DenseMatrix,
  samples: Int32Array,
): { values: Float64Array; total: number } {
  const centredValues = new Float64Array(samples.length * columns);
  let total = 0;
  for (let column = 0; column < columns; column++) {
    let mean = 0;
    for (const sample of samples) mean += values[sample * columns + column]! / samples.length;
    samples.forEach((sample, row) => {
      const value = (centredValues[row * columns + column] = values[sample * columns + column]! - mean);
      total += value * value;
    });
  }
  return { values: centredValues, total };
}

/** Sum of squares between levels. */
function betweenLevels(values: Float64Array, codes: Float64Array, levels: number, columns: number): number {
  const sums = new Float64Array(levels * columns);
  const sizes = new Float64Array(levels);
  codes.forEach((code, row) => {
    sizes[code]!++;
    for (let column = 0; column < columns; column++)
      sums[code * columns + column]! += values[row * columns + column]!;
  });
  return sums.reduce(
    (sum, value, i) => (value === 0 ? sum : sum + (value * value) / sizes[Math.floor(i / columns)]!),
    0,
  );
}

/** Sum of squares explained by a number in a linear regression. */
function alongNumber(values: Float64Array, x: Float64Array, columns: number): number {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const squares = x.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  let explained = 0;
  for (let column = 0; column < columns; column++) {
    let product = 0;
    for (let row = 0; row < x.length; row++) product += (x[row]! - mean) * values[row * columns + column]!;
    explained += (product * product) / squares;
  }
  return explained;
}
