// Which covariates go with which components of the samples' embedding, each by a linear model of its own:
// adjusted R2 and F test. Source: De Donno et al. 2023, Methods ("Association with PCs").
import { loadDistributions } from "../statistics/distributions.js";
import { linearModel } from "../statistics/linear-model.js";
import { benjaminiHochberg } from "../statistics/multiple-testing.js";
import type { Components } from "../statistics/components.js";
import {
  knownSamples,
  predictorsOf,
  uselessBecause,
  type Covariate,
  type CovariateKind,
} from "./covariates.js";

/** One covariate against one component. */
export interface Association {
  /** Name of the covariate */
  readonly covariate: string;
  /** How its values are taken */
  readonly kind: CovariateKind;
  /** from 1 */
  readonly component: number;
  /** samples whose value is known */
  readonly samples: number;
  /** predictors that the covariate takes: its levels less one, or 1 */
  readonly predictors: number;
  /** Share of the variance explained, R2 */
  readonly r2: number;
  /** NaN where there are no more samples than parameters */
  readonly adjusted_r2: number;
  /** F statistic */
  readonly f: number;
  /** P value of the F test */
  readonly p: number;
  /** P after Benjamini and Hochberg, over all covariates and components */
  readonly p_adjusted: number;
}

/**
 * Every covariate that varies against every component. Samples whose value is not known are left out of its
 * models, as R's `lm` does.
 */
export async function associate(
  { scores }: Pick<Components, "scores">,
  covariates: readonly Covariate[],
): Promise<Association[]> {
  const distributions = await loadDistributions();
  const rows: Omit<Association, "p_adjusted">[] = [];
  for (const covariate of covariates) {
    const samples = knownSamples(covariate);
    if (uselessBecause(covariate, samples) !== null) continue;
    const predictors = predictorsOf(covariate, samples);
    for (let component = 1; component <= scores.columns; component++) {
      const response = Float64Array.from(
        samples,
        (sample) => scores.values[sample * scores.columns + component - 1]!,
      );
      const { n, r2, adjustedR2, f, p } = linearModel(response, predictors, distributions);
      rows.push({
        covariate: covariate.name,
        kind: covariate.kind,
        component,
        samples: n,
        predictors: predictors.length,
        r2,
        adjusted_r2: adjustedR2,
        f,
        p,
      });
    }
  }
  const corrected = benjaminiHochberg(rows.map(({ p }) => p));
  return rows.map((row, i) => ({ ...row, p_adjusted: corrected[i]! }));
}
