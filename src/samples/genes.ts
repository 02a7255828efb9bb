// Genes correlated with the components of the samples' embedding: Pearson correlation of a gene's mean
// expression per sample with the samples' positions, and gene sets over-represented among them.
// Source: De Donno et al. 2023 ("scPoli scales to datasets with thousands of samples"): P < 0.01 and |r| >
// 0.3.
import { checkNumber } from "../contract/options.js";
import type { Components } from "../numerics/principal-components.js";
import { pearson } from "../statistics/correlation.js";
import { loadDistributions } from "../statistics/distributions.js";
import { benjaminiHochberg } from "../statistics/multiple-testing.js";
import { enrichGeneSets, type GeneSet, type GeneSetEnrichment } from "../statistics/gene-sets.js";
import type { SampleExpression } from "./expression.js";

/** One gene against one component. */
export interface GeneCorrelation {
  /** Name of the gene in the index of var */
  readonly gene: string;
  /** Symbol of the gene, or its name where var has none */
  readonly symbol: string;
  /** from 1 */
  readonly component: number;
  /** Pearson correlation with the component */
  readonly r: number;
  /** Two-sided P value */
  readonly p: number;
  /** P corrected by Benjamini-Hochberg over the genes of the component */
  readonly p_adjusted: number;
  /** whether P is below and |r| above the limits */
  readonly is_correlated: boolean;
}

export interface GeneLimits {
  /** default 0.01 */
  readonly maxP?: number;
  /** default 0.3 */
  readonly minR?: number;
}

/** Correlations of all genes that vary with each component; samples without cells are left out. */
export async function correlateGenes(
  { genes, symbols, means, cells }: SampleExpression,
  { scores }: Pick<Components, "scores">,
  limits: GeneLimits = {},
): Promise<GeneCorrelation[]> {
  const maxP = checkNumber("maxP", limits.maxP ?? 0.01, 0, 1);
  const minR = checkNumber("minR", limits.minR ?? 0.3, 0, 1);
  const distributions = await loadDistributions();
  const rows = Int32Array.from(cells.keys()).filter((sample) => cells[sample]! > 0);
  const positions = Array.from({ length: scores.columns }, (_, k) =>
    Float64Array.from(rows, (row) => scores.values[row * scores.columns + k]!),
  );
  const byComponent: GeneCorrelation[][] = positions.map(() => []);
  const expression = new Float64Array(rows.length);
  genes.forEach((gene, g) => {
    rows.forEach((row, at) => (expression[at] = means.values[row * genes.length + g]!));
    positions.forEach((position, k) => {
      const { r, p } = pearson(expression, position, distributions);
      if (!Number.isNaN(p))
        byComponent[k]!.push({
          gene,
          symbol: symbols[g]!,
          component: k + 1,
          r,
          p,
          p_adjusted: NaN,
          is_correlated: p < maxP && Math.abs(r) > minR,
        });
    });
  });
  return byComponent.flatMap((ofComponent) => {
    const corrected = benjaminiHochberg(ofComponent.map(({ p }) => p));
    return ofComponent
      .map((row, i) => ({ ...row, p_adjusted: corrected[i]! }))
      .sort((a, b) => a.p - b.p || (a.gene < b.gene ? -1 : 1));
  });
}

/** Numbers of correlated genes per component. */
export interface GeneCounts {
  /** Number of the component, from 0 */
  readonly component: number;
  /** numbers of genes with r above 0 and below 0 */
  readonly positive: number;
  /** Genes with a negative correlation */
  readonly negative: number;
  /** number of these whose corrected P is also below the limit */
  readonly after_correction: number;
}

export function countCorrelated(
  correlations: readonly GeneCorrelation[],
  { maxP = 0.01 }: GeneLimits = {},
): GeneCounts[] {
  const components = [...new Set(correlations.map(({ component }) => component))].sort((a, b) => a - b);
  return components.map((component) => {
    const correlated = correlations.filter((row) => row.component === component && row.is_correlated);
    return {
      component,
      positive: correlated.filter(({ r }) => r > 0).length,
      negative: correlated.filter(({ r }) => r < 0).length,
      after_correction: correlated.filter(({ p_adjusted }) => p_adjusted < maxP).length,
    };
  });
}

/** A gene set among the genes correlated with a component; P corrected over the sets of its direction. */
export interface OverRepresentation extends GeneSetEnrichment {
  /** Number of the component, from 0 */
  readonly component: number;
  /** genes with r above 0, or below 0 */
  readonly direction: "positive" | "negative";
}

/** @param symbols - all measured genes: the background */
export async function overRepresentation(
  correlations: readonly GeneCorrelation[],
  sets: readonly GeneSet[],
  symbols: readonly string[],
): Promise<OverRepresentation[]> {
  const components = [...new Set(correlations.map(({ component }) => component))].sort((a, b) => a - b);
  const enriched: OverRepresentation[] = [];
  for (const component of components)
    for (const direction of ["positive", "negative"] as const) {
      const chosen = correlations.filter(
        (row) =>
          row.component === component &&
          row.is_correlated &&
          (direction === "positive" ? row.r > 0 : row.r < 0),
      );
      const rows = await enrichGeneSets(
        chosen.map(({ symbol }) => symbol),
        symbols,
        sets,
      );
      enriched.push(...rows.map((row) => ({ component, direction, ...row })));
    }
  return enriched;
}
