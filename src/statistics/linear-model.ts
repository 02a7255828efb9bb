// Least squares as R's `lm`, weighted or not: R2, adjusted R2, and the F test of all predictors together.
// Source: De Donno et al. 2023, Methods ("Association with PCs"); R's summary.lm.
import { Matrix, QrDecomposition } from "ml-matrix";
import { ScPoliError } from "../contract/errors.js";
import type { Distributions } from "./distributions.js";

/** A fitted linear model with an intercept. */
export interface LinearFit {
  /** number of observations */
  readonly n: number;
  /** number of predictors without the intercept: degrees of freedom of the model */
  readonly predictors: number;
  /** n - predictors - 1 */
  readonly residualDf: number;
  readonly r2: number;
  /** 1 - (1 - R2) (n - 1) / (n - p - 1); NaN without residual degrees of freedom */
  readonly adjustedR2: number;
  /** NaN without residual degrees of freedom, Infinity for a perfect fit */
  readonly f: number;
  readonly p: number;
}

/** Sums of squared deviations below this share of the sum of squares count as zero. */
const nothing = 1e-24;

/**
 * Design columns of a factor as in R's model.matrix: one per level except the first, treatment
 * contrasts.
 * @param codes - 0..levels-1, all of which occur
 */
export function dummies(codes: ArrayLike<number>, levels: number): Float64Array[] {
  return Array.from({ length: levels - 1 }, (_, level) =>
    Float64Array.from(codes, (code) => (code === level + 1 ? 1 : 0)),
  );
}

/**
 * Regresses a response on predictors and an intercept, by QR.
 * @param response - (n)
 * @param predictors - columns of n values each, linearly independent of each other and of the intercept
 * @param weights - (n) inverse variances of the observations, up to a common factor. Default: all equal
 * @throws ScPoliError "usage" if lengths differ or there is no predictor
 */
export function linearModel(
  response: Float64Array,
  predictors: readonly Float64Array[],
  { fUpperTail }: Pick<Distributions, "fUpperTail">,
  weights?: Float64Array,
): LinearFit {
  const n = response.length;
  const p = predictors.length;
  if (p === 0) throw new ScPoliError("usage", "A linear model needs a predictor.");
  for (const column of predictors)
    if (column.length !== n)
      throw new ScPoliError("usage", `A predictor has ${column.length} values, but the response has ${n}.`);
  const residualDf = n - p - 1;
  const roots = weights?.map(Math.sqrt);
  const weighted = (values: Float64Array): Float64Array => {
    const centred = withoutMean(values, weights);
    return roots ? centred.map((value, i) => value * roots[i]!) : centred;
  };
  const centred = Matrix.columnVector(weighted(response));
  const total = sumOfSquares(centred);
  if (residualDf < 0 || total <= nothing * sumOfSquares(Matrix.columnVector(response)))
    return { n, predictors: p, residualDf, r2: NaN, adjustedR2: NaN, f: NaN, p: NaN };
  const design = new Matrix(predictors.map((column) => Array.from(weighted(column)))).transpose();
  const residual = Matrix.sub(centred, design.mmul(new QrDecomposition(design).solve(centred)));
  const unexplained = sumOfSquares(residual);
  const r2 = 1 - unexplained / total;
  if (residualDf === 0) return { n, predictors: p, residualDf, r2, adjustedR2: NaN, f: NaN, p: NaN };
  const f = (total - unexplained) / p / (unexplained / residualDf);
  return {
    n,
    predictors: p,
    residualDf,
    r2,
    adjustedR2: 1 - ((1 - r2) * (n - 1)) / residualDf,
    f,
    p: fUpperTail(f, p, residualDf),
  };
}

function withoutMean(values: Float64Array, weights?: Float64Array): Float64Array {
  const weight = weights ? weights.reduce((sum, value) => sum + value, 0) : values.length;
  const mean = values.reduce((sum, value, i) => sum + value * (weights?.[i] ?? 1), 0) / weight;
  return values.map((value) => value - mean);
}

function sumOfSquares(column: Matrix): number {
  return column.to1DArray().reduce((sum, value) => sum + value * value, 0);
}
