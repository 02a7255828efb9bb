// The sections of a report on samples: their components coloured by any covariate, associations, and genes.
import { extent } from "../plots/axes.js";
import { escapeText, type Plot } from "../plots/svg.js";
import type { SampleAnalysis } from "../samples/analysis.js";
import type { Covariate } from "../samples/covariates.js";
import type { SampleExpression } from "../samples/expression.js";
import {
  associationMap,
  covariatePlane,
  geneCountsChart,
  leadingGenes as leadingGenesOf,
  originPlane,
} from "../samples/sample-plots.js";
import { choice, figure, foldedTable } from "./html.js";

/** Maximum number of genes in the table. */
const mostGenes = 100;
/** Maximum number of genes of one component in the table. */
const mostGenesPerComponent = 20;

export function samplesHtml(analyses: readonly SampleAnalysis[]): string {
  return analyses.map((analysis, k) => analysisHtml(analysis, k)).join("");
}

function analysisHtml(analysis: SampleAnalysis, k: number): string {
  const { samples, components, guidance, covariates } = analysis;
  const head = `<h3>${escapeText(samples.key)}: ${samples.names.length} samples</h3>`;
  if (components.variance.length < 2)
    return `${head}<p>Too few samples for components: at least three are needed.</p>`;
  const hasQuerySamples = samples.isReference.some((isReference) => !isReference);
  // the covariate that explains most of the embedding comes first
  const rankOf = new Map(guidance.covariates.map(({ covariate }, i) => [covariate, i]));
  const rank = ({ name }: Covariate): number => rankOf.get(name) ?? rankOf.size;
  const plots: { name: string; plot: Plot }[] = [...covariates]
    .sort((a, b) => rank(a) - rank(b))
    .map((covariate) => ({ name: covariate.name, plot: covariatePlane(analysis, covariate) }));
  if (hasQuerySamples || plots.length === 0)
    plots.unshift({ name: "reference or query", plot: originPlane(analysis) });
  const map = associationMap(analysis);
  return [
    `${head}<p>${escapeText(guidance.reason)}</p>`,
    choice(`samples-${k}`, "Colour samples by", plots),
    ellipseNote(analysis),
    map
      ? figure(map)
      : "<p>No covariate varies between the samples, so there are no associations to test. " +
        "Give a table of metadata (<code>--metadata</code>).</p>",
    genesHtml(analysis),
  ].join("");
}

function ellipseNote({ uncertainty }: SampleAnalysis): string {
  if (!uncertainty) return "";
  const withoutCells = uncertainty.some((sample) => sample === null)
    ? " Samples without an ellipse have no cells in these data, so that their uncertainty is not known."
    : "";
  return (
    "<p>An ellipse holds 95 % of the positions that a sample would take if other cells of it had been " +
    `measured.${withoutCells}</p>`
  );
}

function genesHtml(analysis: SampleAnalysis): string {
  const { samples, genes } = analysis;
  if (!genes) return "";
  const correlated = genes.correlations.filter(({ is_correlated }) => is_correlated);
  const counts = geneCountsChart(analysis);
  const rows = correlated.slice().sort((a, b) => a.component - b.component || Math.abs(b.r) - Math.abs(a.r));
  const best = rows
    .filter(
      ({ component }, i) =>
        rows.slice(0, i).filter((row) => row.component === component).length < mostGenesPerComponent,
    )
    .slice(0, mostGenes);
  const table = {
    columns: ["component", "gene", "r", "P", "P corrected"],
    rows: best.map(({ component, symbol, r, p, p_adjusted }) => [`PC${component}`, symbol, r, p, p_adjusted]),
  };
  const title = `Table: genes that correlate most with the components (${samples.key})`;
  return (counts ? figure(counts) : "") + (best.length > 0 ? foldedTable(title, table) : "");
}

/**
 * The default genes of a report: those that correlate most with the first components; with too few samples
 * for that, those that vary most between samples.
 */
export function leadingGenes(analyses: readonly SampleAnalysis[], most: number): string[] {
  const leading = analyses.flatMap(leadingGenesOf);
  const candidates =
    leading.length > 0
      ? leading
      : analyses.flatMap(({ genes }) => (genes ? varyingGenes(genes.expression, most) : []));
  return [...new Set(candidates)].slice(0, most);
}

/** Genes whose mean expression has the widest range over the samples with cells. */
function varyingGenes({ genes, means, cells }: SampleExpression, most: number): string[] {
  const rows = Array.from(cells.keys()).filter((row) => cells[row]! > 0);
  if (rows.length < 2) return [];
  const span = (column: number): number => {
    const [low, high] = extent(rows.map((row) => means.values[row * means.columns + column]!));
    return high - low;
  };
  const ranked = genes.map((gene, column) => ({ gene, span: span(column) })).sort((a, b) => b.span - a.span);
  return ranked.slice(0, most).map(({ gene }) => gene);
}
