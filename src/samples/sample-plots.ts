// Plots of an analysis of samples: components coloured by covariates or genes, associations, what
// explains the embedding, distances, numbers of genes.
import { writeTexts } from "../anndata/output-file.js";
import type { DenseMatrix } from "../anndata/matrix.js";
import { scatterPlot, type ScatterPoint } from "../plots/scatter-plots.js";
import { heatMap } from "../plots/heat-map.js";
import { barChart } from "../plots/bar-charts.js";
import { standaloneSvg, type Plot } from "../plots/svg.js";
import type { SampleAnalysis } from "./analysis.js";
import type { Covariate } from "./covariates.js";
import { projectedCovariance, type SampleUncertainty } from "./sample-uncertainty.js";
import type { Replacing } from "./sample-file.js";

/** Number of components in the heatmap of associations. */
const mostComponents = 10;
/** Maximum number of samples in the plot of distances. */
const mostSamples = 120;

/**
 * The samples on two components.
 * @param values - per sample a number, or a row of `groups`; null if unknown
 * @param components - from 0
 */
function samplePlane(
  { samples, uncertainty, components: { scores, loadings, varianceRatio } }: SampleAnalysis,
  title: string,
  values: readonly (number | null)[],
  groups?: readonly string[],
  [across, up]: readonly [number, number] = [0, 1],
  openMeans: string | undefined = "sample of the query",
): Plot {
  const axis = (component: number): string =>
    `PC${component + 1} (${(100 * varianceRatio[component]!).toFixed(1)} % of variance)`;
  return scatterPlot({
    title: `Samples (${samples.key}) by ${title}`,
    x: axis(across),
    y: axis(up),
    groups,
    legend: title,
    openMeans,
    spreadMeans: "95 % of positions with other cells",
    points: samples.names.map((name, row) => ({
      name,
      x: scores.values[row * scores.columns + across]!,
      y: scores.values[row * scores.columns + up]!,
      value: values[row]!,
      isOpen: !samples.isReference[row],
      spread: spreadOf(uncertainty?.[row] ?? null, loadings, across, up),
    })),
  });
}

/** Covariance of a sample's position on two components. */
function spreadOf(
  uncertainty: SampleUncertainty | null,
  loadings: DenseMatrix,
  across: number,
  up: number,
): ScatterPoint["spread"] {
  if (!uncertainty) return undefined;
  const { columns, values } = projectedCovariance(uncertainty, loadings);
  return {
    xx: values[across * columns + across]!,
    yy: values[up * columns + up]!,
    xy: values[across * columns + up]!,
  };
}

/** The samples on their first components, those of mapped queries as rings. */
export function originPlane(analysis: SampleAnalysis): Plot {
  return samplePlane(
    analysis,
    "reference or query",
    analysis.samples.isReference.map((isReference) => (isReference ? 0 : 1)),
    ["reference", "query"],
    undefined,
    "",
  );
}

/** The samples on two components, coloured by a covariate. */
export function covariatePlane(
  analysis: SampleAnalysis,
  { name, kind, values, levels }: Covariate,
  components?: readonly [number, number],
): Plot {
  const isNumber = kind === "number";
  return samplePlane(
    analysis,
    name,
    values.map((value) =>
      value === null ? null : isNumber ? (value as number) : levels.indexOf(value as string),
    ),
    isNumber ? undefined : levels,
    components,
  );
}

/** Mean expression of a gene per sample, null for those without cells; null where it was not measured. */
export function geneMeans({ genes, samples }: SampleAnalysis, gene: string): (number | null)[] | null {
  if (!genes) return null;
  const {
    expression: { means, cells, genes: names, symbols },
  } = genes;
  const column = Math.max(names.indexOf(gene), symbols.indexOf(gene));
  return column < 0
    ? null
    : samples.names.map((_, row) => (cells[row]! > 0 ? means.values[row * means.columns + column]! : null));
}

/**
 * The samples on their first components, coloured by their mean expression of a gene; null where the gene was
 * not measured, or there are no components.
 * @param means - per sample, null where not known
 */
export function genePlane(
  analysis: SampleAnalysis,
  gene: string,
  means: readonly (number | null)[] | null = geneMeans(analysis, gene),
): Plot | null {
  return means && analysis.components.variance.length >= 2
    ? samplePlane(analysis, `mean expression of ${gene} (log1p per 10,000)`, means)
    : null;
}

/** Adjusted R2 of every covariate with the first components; null if no covariate varies. */
export function associationMap({ samples, associations, components }: SampleAnalysis): Plot | null {
  const covariates = [
    ...new Set(
      associations
        .filter(({ adjusted_r2 }) => Number.isFinite(adjusted_r2))
        .map(({ covariate }) => covariate),
    ),
  ];
  if (covariates.length === 0) return null;
  const shown = Math.min(mostComponents, components.variance.length);
  const of = (row: number, column: number) =>
    associations.find(
      ({ covariate, component }) => covariate === covariates[row] && component === column + 1,
    );
  return heatMap({
    title: `Association of covariates with components (${samples.key})`,
    rows: covariates,
    columns: Array.from({ length: shown }, (_, c) => `PC${c + 1}`),
    rowLabel: "covariate",
    columnLabel: "component of the samples",
    values: covariates.map((_, row) =>
      Array.from({ length: shown }, (_, column) => Math.max(0, of(row, column)?.adjusted_r2 ?? NaN)),
    ),
    range: [0, 1],
    legend: "adjusted R\u00b2 of a linear model (below 0: 0)",
    tell: (row, column) => {
      const association = of(row, column);
      return association
        ? `${covariates[row]}, PC${column + 1}: adjusted R\u00b2 ${association.adjusted_r2.toFixed(3)}, F ` +
            `${association.f.toPrecision(3)}, P ${association.p.toPrecision(2)}, corrected ` +
            association.p_adjusted.toPrecision(2)
        : "not known";
    },
  });
}

/** Number of genes correlated with each component; null without expression, or if no gene varies. */
export function geneCountsChart({ samples, genes }: SampleAnalysis): Plot | null {
  if (!genes || genes.counts.length === 0) return null;
  return barChart({
    title: `Genes correlated with each component (${samples.key})`,
    rows: genes.counts.map(({ component }) => `PC${component}`),
    rowLabel: "component",
    label: "genes",
    legend: "correlation",
    parts: [
      { name: "positive", values: genes.counts.map(({ positive }) => positive) },
      { name: "negative", values: genes.counts.map(({ negative }) => negative) },
    ],
  });
}

/**
 * All plots of an analysis by name.
 * @param genes - also plots the samples by the mean expression of these; default: the gene most correlated
 * with each of the first two components
 */
export function samplePlots(
  analysis: SampleAnalysis,
  genes: readonly string[] = leadingGenes(analysis),
): Readonly<Record<string, Plot>> {
  const plots: Record<string, Plot | null> = {
    ...(analysis.components.variance.length >= 2 && componentPlots(analysis, genes)),
    distances: distanceMap(analysis),
    gene_counts: geneCountsChart(analysis),
    ...Object.fromEntries(
      analysis.classifications.map((classification) => [
        `classification_of_${classification.covariate}`,
        classificationChart(analysis, classification),
      ]),
    ),
  };
  return Object.fromEntries(
    Object.entries(plots).filter((entry): entry is [string, Plot] => entry[1] !== null),
  );
}

/** The samples on their components, coloured by covariates and genes, and associations of the components. */
function componentPlots(
  analysis: SampleAnalysis,
  genes: readonly string[],
): Readonly<Record<string, Plot | null>> {
  const varying = new Set(analysis.guidance.covariates.map(({ covariate }) => covariate));
  return Object.fromEntries([
    ...analysis.covariates
      .filter(({ name }) => varying.has(name))
      .map((covariate) => [`pca_by_${covariate.name}`, covariatePlane(analysis, covariate)] as const),
    ["associations", associationMap(analysis)] as const,
    ["components", varianceChart(analysis)] as const,
    ["explained", explainedChart(analysis)] as const,
    ...genes.map((gene) => [`gene_${gene}`, genePlane(analysis, gene)] as const),
  ]);
}

function varianceChart({ samples: { key }, components }: SampleAnalysis): Plot {
  return barChart({
    title: `Variance of the samples' components (${key})`,
    rows: Array.from(components.variance, (_, k) => `PC${k + 1}`),
    rowLabel: "component",
    label: "share of the variance, %",
    legend: "component",
    parts: [{ name: "share", values: Array.from(components.varianceRatio, (share) => 100 * share) }],
  });
}

/** Null if no covariate explains anything. */
function explainedChart({ samples: { key }, guidance }: SampleAnalysis): Plot | null {
  const explained = guidance.covariates.filter(({ adjusted_r2 }) => adjusted_r2 > 0);
  if (explained.length === 0) return null;
  return barChart({
    title: `What explains the embedding (${key})`,
    rows: explained.map(({ covariate }) => covariate),
    rowLabel: "covariate",
    label: "adjusted R\u00b2 of all components, %",
    legend: "covariate",
    parts: [{ name: "adjusted R\u00b2", values: explained.map(({ adjusted_r2 }) => 100 * adjusted_r2) }],
  });
}

/** Null for one sample, or too many to read. */
function distanceMap({ samples: { key, names }, distances }: SampleAnalysis): Plot | null {
  if (names.length < 2 || names.length > mostSamples) return null;
  const { order, distances: matrix } = distances;
  const inOrder = Array.from(order, (row) => names[row]!);
  const values = Array.from(order, (row) =>
    Array.from(order, (column) => matrix.values[row * names.length + column]!),
  );
  return heatMap({
    title: `Distances of samples (${key}), like ones together`,
    rows: inOrder,
    columns: inOrder,
    rowLabel: "sample",
    columnLabel: "sample",
    values,
    range: [0, Math.max(...values.flat(), Number.MIN_VALUE)],
    legend: "Euclidean distance of embeddings",
  });
}

function classificationChart(
  { samples: { key } }: SampleAnalysis,
  { covariate, scores }: SampleAnalysis["classifications"][number],
): Plot {
  return barChart({
    title: `Classification of samples by ${covariate} (${key})`,
    rows: scores.map(({ features, classifier }) =>
      features === "none" ? "majority" : `${features}, ${classifier}`,
    ),
    rowLabel: "features",
    label: "weighted F1, cross-validated, %",
    legend: covariate,
    parts: [{ name: "weighted F1", values: scores.map(({ weighted_f1 }) => 100 * weighted_f1) }],
  });
}

/** The gene most correlated with each of the first two components. */
export function leadingGenes({ genes }: SampleAnalysis): string[] {
  return [
    ...new Set(
      [1, 2].flatMap((component) =>
        (genes?.correlations ?? [])
          .filter((row) => row.component === component)
          .slice(0, 1)
          .map(({ gene }) => gene),
      ),
    ),
  ];
}

/**
 * Writes the plots of analyses into a folder as SVG: NAME.svg, or KEY.NAME.svg where there are several
 * condition keys.
 * @returns the paths
 * @throws ScPoliError "refused" if the folder already has SVG files, unless `force`; "output"
 */
export async function writePlots(
  folder: string,
  analyses: readonly SampleAnalysis[],
  genes?: readonly string[],
  { force = false }: Replacing = {},
): Promise<string[]> {
  const texts = new Map<string, string>();
  for (const analysis of analyses) {
    for (const [name, plot] of Object.entries(samplePlots(analysis, genes))) {
      const whole = `${analyses.length > 1 ? `${analysis.samples.key}.` : ""}${name}`;
      texts.set(whole.replace(/[/\\:*?"<>|]/g, "_"), `${standaloneSvg(plot)}\n`);
    }
  }
  return writeTexts(folder, texts, { kind: "picture", ending: ".svg", force });
}
