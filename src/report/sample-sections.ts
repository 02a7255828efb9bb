// The parts of a report that are about samples: their components coloured by any covariate, associations, and
// genes.
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

/** Genes in a table. */
const mostGenes = 100;

export function samplesHtml(analyses: readonly SampleAnalysis[]): string {
  return analyses.map((analysis, k) => analysisHtml(analysis, k)).join("");
}

function analysisHtml(analysis: SampleAnalysis, k: number): string {
  const { samples, components, guidance, covariates } = analysis;
  const head = `<h3>${escapeText(samples.key)}: ${samples.names.length} samples</h3>`;
  if (components.variance.length < 2)
    return `${head}<p>Too few samples for components: at least three are needed.</p>`;
  const hasBoth = samples.isReference.some((own) => !own);
  // what explains the embedding most comes first
  const placeOf = new Map(guidance.covariates.map(({ covariate }, i) => [covariate, i]));
  const place = ({ name }: Covariate): number => placeOf.get(name) ?? placeOf.size;
  const plots: { name: string; plot: Plot }[] = [...covariates]
    .sort((a, b) => place(a) - place(b))
    .map((covariate) => ({ name: covariate.name, plot: covariatePlane(analysis, covariate) }));
  if (hasBoth || plots.length === 0)
    plots.unshift({ name: "reference or query", plot: originPlane(analysis) });
  const map = associationMap(analysis);
  return `${head}<p>${escapeText(guidance.reason)}</p>${choice(`samples-${k}`, "Colour samples by", plots)}${map ? figure(map) : "<p>No covariate of the samples varies: nothing to associate. Give a table of metadata (<code>--metadata</code>).</p>"}${genesHtml(analysis)}`;
}

function genesHtml(analysis: SampleAnalysis): string {
  const { samples, genes } = analysis;
  if (!genes) return "";
  const found = genes.correlations.filter(({ is_correlated }) => is_correlated);
  const counts = geneCountsChart(analysis);
  const rows = found.slice().sort((a, b) => a.component - b.component || Math.abs(b.r) - Math.abs(a.r));
  const best = rows
    .filter(
      ({ component }, i) =>
        rows.slice(0, i).filter((own) => own.component === component).length < mostGenes / 5,
    )
    .slice(0, mostGenes);
  return `${counts ? figure(counts) : ""}${best.length === 0 ? "" : foldedTable(`Table: genes that correlate most with the components (${samples.key})`, { columns: ["component", "gene", "r", "P", "P corrected"], rows: best.map(({ component, symbol, r, p, p_adjusted }) => [`PC${component}`, symbol, r, p, p_adjusted]) })}`;
}

/**
 * The genes that go best with the first components, or where samples are too few for that, differ most among
 * them: what is shown where none is asked for.
 */
export function leadingGenes(analyses: readonly SampleAnalysis[], most: number): string[] {
  const leading = analyses.flatMap(leadingGenesOf);
  const found =
    leading.length > 0
      ? leading
      : analyses.flatMap(({ genes }) => (genes ? varyingGenes(genes.expression, most) : []));
  return [...new Set(found)].slice(0, most);
}

/** Genes whose mean expression spans the widest range among the samples with cells. */
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
