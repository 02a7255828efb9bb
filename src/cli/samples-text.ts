// The analysis of samples as the command line prints it: text and JSON.
import { median } from "../numerics/descriptive.js";
import type { GeneAnalysis, SampleAnalysis } from "../samples/analysis.js";
import type { Classification } from "../samples/classification.js";
import { sampleTables } from "../samples/sample-file.js";
import { counted, listed, percent, table } from "./text.js";

/** Number of genes per component on stdout; the files hold all. */
const shownGenes = 20;

/** The analysis as JSON, with top genes instead of the long tables, which the files hold. */
export function samplesJson(analysis: SampleAnalysis): object {
  const {
    gene_correlations: genes = [],
    gene_sets: sets = [],
    distances: _,
    ...tables
  } = sampleTables(analysis);
  const first = (rows: typeof genes): typeof genes => {
    const rowsByComponent = new Map<unknown, number>();
    return rows.filter(({ component }) => {
      const rank = (rowsByComponent.get(component) ?? 0) + 1;
      rowsByComponent.set(component, rank);
      return rank <= shownGenes;
    });
  };
  return {
    ...tables,
    top_genes: first(genes.filter((row) => row.is_correlated === true)),
    top_gene_sets: first(sets),
    guidance: { condition: analysis.guidance.condition, reason: analysis.guidance.reason },
  };
}

/** Number of rows shown of a table. */
const shownRows = 12;

/** The analysis of one condition key as text: samples, covariates, classifications, predictions, genes. */
export function samplesText(analysis: SampleAnalysis): string {
  const { classifications, predictions, genes } = analysis;
  const paragraphs = [
    overviewText(analysis),
    covariatesText(analysis),
    `  ${analysis.guidance.reason}`,
    ...classifications.map(classificationText),
    ...predictions.map(predictionText),
    genes ? geneCountsText(genes) : null,
    genes ? geneSetsText(genes) : null,
  ];
  return paragraphs.filter((paragraph) => paragraph !== null).join("\n\n");
}

/** Number of samples, variance of the components, and uncertainty of the embeddings. */
function overviewText(analysis: SampleAnalysis): string {
  const {
    samples: { key, names, isReference },
    components: { varianceRatio },
  } = analysis;
  const added = isReference.filter((is) => !is).length;
  const shares = Array.from(varianceRatio.subarray(0, 5), (share) => percent(share, 0));
  if (varianceRatio.length > 5) shares.push("...");
  const overview =
    `${key}: ${counted(names.length, "sample")}${added > 0 ? ` (${added} by mapping)` : ""}, ` +
    `${counted(varianceRatio.length, "component")}: ${shares.join(", ")} of the variance`;
  const uncertainty = uncertaintyText(analysis);
  return uncertainty ? `${overview}\n${uncertainty}` : overview;
}

/** Adjusted R2 of each covariate with all components and with the first three; null without covariates. */
function covariatesText({ components, associations, guidance }: SampleAnalysis): string | null {
  const { covariates } = guidance;
  if (covariates.length === 0) return null;
  const shown = covariates.slice(0, shownRows);
  const firstComponents = [1, 2, 3].filter((component) => component <= components.varianceRatio.length);
  const association = (name: string, component: number): string => {
    const row = associations.find(({ covariate, component: k }) => covariate === name && k === component);
    return row === undefined || Number.isNaN(row.adjusted_r2)
      ? "-"
      : `${row.adjusted_r2.toFixed(2)}${row.p_adjusted < 0.05 ? "*" : ""}`;
  };
  const rows = shown.map((row) => [
    row.covariate,
    row.kind === "number" ? "number" : counted(row.levels, "level"),
    row.adjusted_r2.toFixed(2),
    row.p_adjusted.toPrecision(2),
    ...firstComponents.map((component) => association(row.covariate, component)),
  ]);
  const componentNames = firstComponents.map((component) => `PC${component}`);
  const lines = [table(rows, ["covariate", "kind", "adjusted R2", "P", ...componentNames])];
  if (covariates.length > shown.length) lines.push(`  and ${covariates.length - shown.length} more`);
  lines.push(
    "  (adjusted R2 of all components weighted by their variance, with P by permutation; then of single " +
      "components; *: corrected P below 0.05)",
  );
  return lines.join("\n");
}

/** The spread of the embeddings' sampling error, and the samples where it is largest. */
function uncertaintyText({ uncertainty, samples }: SampleAnalysis): string | null {
  const known = (uncertainty ?? []).flatMap((sample, row) =>
    sample ? [{ name: samples.names[row]!, ...sample }] : [],
  );
  if (known.length === 0) return null;
  const sorted = [...known].sort((a, b) => b.deviation - a.deviation);
  const typical = median(known.map(({ deviation }) => deviation));
  const most = sorted
    .slice(0, 3)
    .map(({ name, deviation, cells }) => `${name} ${deviation.toFixed(2)} (${counted(cells, "cell")})`);
  return `  standard deviation of the embeddings: median ${typical.toFixed(2)}, largest ${most.join(", ")}`;
}

function classificationText({
  covariate,
  classes,
  left_out: leftOut,
  folds,
  repeats,
  permutations,
  scores,
}: Classification): string {
  const rows = scores.map(({ features, classifier, weighted_f1: f1, weighted_f1_sd: sd, accuracy, p }) => [
    features === "none" ? "(majority)" : features,
    features === "none" ? "" : classifier,
    `${f1.toFixed(2)} +- ${sd.toFixed(2)}`,
    accuracy.toFixed(2),
    p === null ? "-" : p.toPrecision(2),
  ]);
  const classSizes = Object.entries(classes)
    .map(([name, samples]) => `${name} ${samples}`)
    .join(", ");
  return (
    `${table(rows, [covariate, "classifier", "weighted F1", "accuracy", "P"])}\n` +
    `  ${classSizes}; ${folds} folds, ${repeats} repeats, ${permutations} permutations` +
    (leftOut.length > 0 ? `; left out, one sample each: ${listed(leftOut)}` : "")
  );
}

function predictionText({ covariate, samples }: SampleAnalysis["predictions"][number]): string {
  return table(
    samples.map((row) => [row.sample, row.classifier, row.predicted, percent(row.share, 0), row.known ?? ""]),
    ["sample", "classifier", covariate, "share", "known"],
  );
}

/** Number of genes correlated with each component, and the first of them; null without components. */
function geneCountsText({ counts, correlations }: GeneAnalysis): string | null {
  if (counts.length === 0) return null;
  const topGenes = (component: number): string =>
    listed(
      correlations
        .filter((row) => row.component === component && row.is_correlated)
        .map(({ symbol }) => symbol),
      5,
    );
  return table(
    counts.map(({ component, positive, negative, after_correction }) => [
      `PC${component}`,
      positive,
      negative,
      after_correction,
      topGenes(component),
    ]),
    ["genes with", "r > 0", "r < 0", "corrected", "top genes"],
  );
}

/** Gene sets over-represented among the correlated genes; null if there are none. */
function geneSetsText({ sets }: GeneAnalysis): string | null {
  const enriched = sets.filter(({ p_adjusted }) => p_adjusted < 0.05);
  if (enriched.length === 0) return null;
  return table(
    enriched
      .slice(0, shownRows)
      .map((row) => [
        `PC${row.component} ${row.direction}`,
        row.set,
        `${row.overlap} of ${row.size}`,
        row.p_adjusted.toPrecision(2),
      ]),
    ["genes of", "set", "overlap", "P"],
  );
}
