// Associations of covariates with components of the samples' embedding, by a separate linear model each:
// adjusted R2 and F test. Source: De Donno et al. 2023, Methods ("Association with PCs"). Differs: where the
// uncertainty of the embeddings is known, samples are weighted by the precision of their positions.
import { loadDistributions } from "../statistics/distributions.js";
import { linearModel } from "../statistics/linear-model.js";
import { benjaminiHochberg } from "../statistics/multiple-testing.js";
import type { Components } from "../numerics/principal-components.js";
import { precisionWeights, projectedDeviations, type SampleUncertainty } from "./sample-uncertainty.js";
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
  /** How its values enter a model */
  readonly kind: CovariateKind;
  /** from 1 */
  readonly component: number;
  /** number of samples with a known value */
  readonly samples: number;
  /** number of predictors: levels minus one, or 1 for numbers */
  readonly predictors: number;
  /** Share of the variance explained, R2 */
  readonly r2: number;
  /** NaN if there are no more samples than parameters */
  readonly adjusted_r2: number;
  /** F statistic */
  readonly f: number;
  /** P value of the F test */
  readonly p: number;
  /** P corrected by Benjamini-Hochberg over all covariates and components */
  readonly p_adjusted: number;
}

/**
 * Tests every covariate that varies against every component. Samples with unknown values are left out of its
 * models, as R's `lm` does.
 * @param uncertainty - of each sample, for weights; without it all samples count the same
 */
export async function associate(
  { scores, loadings }: Pick<Components, "scores" | "loadings">,
  covariates: readonly Covariate[],
  uncertainty: readonly (SampleUncertainty | null)[] | null = null,
): Promise<Association[]> {
  const distributions = await loadDistributions();
  const deviations = uncertainty?.map((sample) => sample && projectedDeviations(sample, loadings));
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
      const weights =
        deviations &&
        precisionWeights(
          response,
          Array.from(samples, (sample) => deviations[sample]?.[component - 1] ?? null),
        );
      const { n, r2, adjustedR2, f, p } = linearModel(response, predictors, distributions, weights);
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
