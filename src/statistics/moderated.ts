// Linear models of many responses with one design, and empirical Bayes shrinkage of their variances: limma's
// moderated t test.
// Source: Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression";
// Phipson et al. 2016. test/comparison.test.ts compares with limma.
import { ScPoliError } from "../contract/errors.js";
import { median } from "../numerics/descriptive.js";
import { norm } from "../numerics/linear-algebra.js";
import type { Distributions, GammaDerivatives } from "./distributions.js";

/** A design matrix: n observations, p columns. */
export interface Design {
  readonly rows: number;
  /** p columns of n values; the first is usually the intercept */
  readonly columns: readonly Float64Array[];
}

/** Least-squares fit of one response. */
export interface RowFit {
  /** (p) */
  readonly coefficients: Float64Array;
  /** standard error of the tested coefficient, in units of the residual standard deviation */
  readonly unscaledError: number;
  /** residual standard deviation; NaN without residual degrees of freedom */
  readonly sigma: number;
}

/** @returns index of the first column that depends linearly on earlier ones; -1 if none does */
export function dependentColumn({ rows, columns }: Design): number {
  const basis: Float64Array[] = [];
  for (const [place, column] of columns.entries()) {
    const rest = column.slice();
    const size = norm(rest);
    for (const direction of [...basis, ...basis]) {
      let along = 0;
      for (let i = 0; i < rows; i++) along += direction[i]! * rest[i]!;
      for (let i = 0; i < rows; i++) rest[i]! -= along * direction[i]!;
    }
    const left = norm(rest);
    if (!(left > 1e-8 * size)) return place;
    basis.push(rest.map((value) => value / left));
  }
  return -1;
}

/**
 * Weighted least squares by the normal equations, for a design of full rank.
 * @param response - (n) @param weights - (n), or null for ones @param tested - column whose standard error is
 * computed
 */
export function fitRow(
  { rows, columns }: Design,
  response: ArrayLike<number>,
  weights: ArrayLike<number> | null,
  tested: number,
): RowFit {
  const p = columns.length;
  const products = new Float64Array(p * p);
  const right = new Float64Array(p);
  for (let a = 0; a < p; a++) {
    const columnA = columns[a]!;
    for (let i = 0; i < rows; i++) {
      const weighted = columnA[i]! * (weights ? weights[i]! : 1);
      if (weighted === 0) continue;
      right[a]! += weighted * response[i]!;
      for (let b = 0; b <= a; b++) products[a * p + b]! += weighted * columns[b]![i]!;
    }
  }
  const factor = cholesky(products, p);
  const coefficients = solve(factor, right, p);
  const unit = new Float64Array(p);
  unit[tested] = 1;
  const unscaledError = Math.sqrt(solve(factor, unit, p)[tested]!);
  let squares = 0;
  for (let i = 0; i < rows; i++) {
    let residual = response[i]!;
    for (let a = 0; a < p; a++) residual -= coefficients[a]! * columns[a]![i]!;
    squares += residual * residual * (weights ? weights[i]! : 1);
  }
  return { coefficients, unscaledError, sigma: rows > p ? Math.sqrt(squares / (rows - p)) : NaN };
}

/** Lower triangle L with L L' the matrix whose lower triangle is given. */
function cholesky(matrix: Float64Array, p: number): Float64Array {
  const L = new Float64Array(p * p);
  for (let a = 0; a < p; a++) {
    for (let b = 0; b <= a; b++) {
      let sum = matrix[a * p + b]!;
      for (let k = 0; k < b; k++) sum -= L[a * p + k]! * L[b * p + k]!;
      L[a * p + b] = a === b ? Math.sqrt(sum) : sum / L[b * p + b]!;
    }
  }
  return L;
}

function solve(L: Float64Array, right: Float64Array, p: number): Float64Array {
  const x = right.slice();
  for (let a = 0; a < p; a++) {
    for (let k = 0; k < a; k++) x[a]! -= L[a * p + k]! * x[k]!;
    x[a]! /= L[a * p + a]!;
  }
  for (let a = p - 1; a >= 0; a--) {
    for (let k = a + 1; k < p; k++) x[a]! -= L[k * p + a]! * x[k]!;
    x[a]! /= L[a * p + a]!;
  }
  return x;
}

/** Prior of the variances: a scaled inverse chi-squared distribution. */
export interface VariancePrior {
  /** prior variance s0^2 */
  readonly variance: number;
  /** prior degrees of freedom; Infinity if variances differ no more than by chance */
  readonly df: number;
}

/**
 * Fits the prior to residual variances by the moments of their logarithms.
 * @param variances - residual variances @param df - residual degrees of freedom, the same for all
 * @throws ScPoliError "usage" without a finite variance
 */
function variancePrior(
  variances: Float64Array,
  df: number,
  { digamma, trigamma }: GammaDerivatives,
): VariancePrior {
  const finite = variances.filter((variance) => Number.isFinite(variance) && variance > -1e-15);
  if (finite.length === 0) throw new ScPoliError("usage", "There are no residual variances to moderate.");
  if (finite.length === 1) return { variance: finite[0]!, df: 0 };
  const least = 1e-5 * (median(finite) || 1);
  const logs = finite.map(
    (variance) => Math.log(Math.max(variance, least)) - digamma(df / 2) + Math.log(df / 2),
  );
  const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length;
  const spread =
    logs.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (logs.length - 1) - trigamma(df / 2);
  if (!(spread > 0)) {
    const average = finite.reduce((sum, value) => sum + Math.max(value, least), 0) / finite.length;
    return { variance: average, df: Infinity };
  }
  const half = inverseTrigamma(spread, { trigamma });
  return { variance: Math.exp(mean + digamma(half) - Math.log(half)), df: 2 * half };
}

/** x with trigamma(x) = value > 0, by Newton's method on 1 / trigamma, which is nearly linear. */
function inverseTrigamma(value: number, { trigamma }: Pick<GammaDerivatives, "trigamma">): number {
  if (value > 1e7) return 1 / Math.sqrt(value);
  if (value < 1e-6) return 1 / value;
  let x = 0.5 + 1 / value;
  for (let step = 0; step < 50; step++) {
    const trigammaX = trigamma(x);
    const slope = (trigamma(x * (1 + 1e-6)) - trigamma(x * (1 - 1e-6))) / (2e-6 * x);
    const change = (trigammaX * (1 - trigammaX / value)) / slope;
    x += change;
    if (Math.abs(change) < 1e-9 * x) break;
  }
  return x;
}

/** A moderated t test of one coefficient. */
export interface ModeratedTest {
  /** estimated coefficient */
  readonly effect: number;
  readonly error: number;
  readonly t: number;
  readonly p: number;
}

/**
 * @param fits - fits of all responses
 * @param tested - index of the coefficient
 * @param residualDf - residual degrees of freedom of each fit
 */
export function moderatedTests(
  fits: readonly RowFit[],
  tested: number,
  residualDf: number,
  gamma: GammaDerivatives,
  { tTwoSided, normalTwoSided }: Pick<Distributions, "tTwoSided" | "normalTwoSided">,
): { readonly prior: VariancePrior; readonly tests: ModeratedTest[] } {
  const variances = Float64Array.from(fits, ({ sigma }) => sigma * sigma);
  const prior = variancePrior(variances, residualDf, gamma);
  const df = Math.min(residualDf + prior.df, residualDf * fits.length);
  const tests = fits.map(({ coefficients, unscaledError, sigma }): ModeratedTest => {
    const variance =
      prior.df === Infinity
        ? prior.variance
        : (residualDf * sigma * sigma + prior.df * prior.variance) / (residualDf + prior.df);
    const effect = coefficients[tested]!;
    const error = unscaledError * Math.sqrt(variance);
    const t = effect / error;
    return { effect, error, t, p: df > 1e10 ? normalTwoSided(t) : tTwoSided(t, df) };
  });
  return { prior, tests };
}
