// The parts of a report that are about samples: their components coloured by any covariate, associations, and genes.
import { extent } from "../plots/axes.js";
import { barChart, heatMap, scatterPlot } from "../plots/charts.js";
import { escapeText, type Plot } from "../plots/svg.js";
import type { SampleAnalysis } from "../samples/analysis.js";
import type { SampleExpression } from "../samples/expression.js";
import { choice, figure, foldedTable } from "./html.js";

/** Components in a heat map, and genes in a table. */
const [mostComponents, mostGenes] = [10, 100];

export function samplesHtml(analyses: readonly SampleAnalysis[]): string {
  return analyses.map((analysis, k) => analysisHtml(analysis, k)).join("");
}

function analysisHtml(analysis: SampleAnalysis, k: number): string {
  const { samples, components, guidance, associations, covariates } = analysis;
  const head = `<h3>${escapeText(samples.key)}: ${samples.names.length} samples</h3>`;
  if (components.variance.length < 2) return `${head}<p>Too few samples for components: at least three are needed.</p>`;
  const plots: { name: string; plot: Plot }[] = [{ name: "reference or query", plot: plane(analysis, "reference or query", samples.isReference.map((own) => (own ? 0 : 1)), ["reference", "mapped query"]) }];
  for (const { name, kind, values, levels } of covariates)
    plots.push({ name, plot: kind === "number" ? plane(analysis, name, values.map((value) => (typeof value === "number" ? value : null))) : plane(analysis, name, values.map((value) => (value === null ? null : levels.indexOf(String(value)))), levels) });
  const tested = [...new Set(associations.filter(({ adjusted_r2 }) => Number.isFinite(adjusted_r2)).map(({ covariate }) => covariate))];
  return `${head}<p>${escapeText(guidance.reason)}</p>${choice(`samples-${k}`, "Colour samples by", plots)}${tested.length > 0 ? figure(associationMap(analysis, tested)) : "<p>No covariate of the samples varies: nothing to associate. Give a table of metadata (<code>--metadata</code>).</p>"}${genesHtml(analysis)}`;
}

function plane({ samples, components }: SampleAnalysis, title: string, values: readonly (number | null)[], groups?: readonly string[]): Plot {
  const { scores, varianceRatio } = components;
  const axis = (component: number): string => `PC${component + 1} (${(100 * varianceRatio[component]!).toFixed(1)} % of variance)`;
  return scatterPlot({
    title: `Samples (${samples.key}) by ${title}`, x: axis(0), y: axis(1), groups, legend: title, openMeans: "sample of a mapped query",
    points: samples.names.map((name, row) => ({ name, x: scores.values[row * scores.columns]!, y: scores.values[row * scores.columns + 1]!, value: values[row]!, isOpen: !samples.isReference[row] })),
  });
}

function associationMap({ samples, associations, components }: SampleAnalysis, covariates: readonly string[]): Plot {
  const shown = Math.min(mostComponents, components.variance.length);
  const of = (covariate: string, component: number) => associations.find((own) => own.covariate === covariate && own.component === component);
  return heatMap({
    title: `Association of covariates with components (${samples.key})`, rows: covariates, columns: Array.from({ length: shown }, (_, c) => `PC${c + 1}`), rowLabel: "covariate", columnLabel: "component of the samples",
    values: covariates.map((name) => Array.from({ length: shown }, (_, c) => Math.max(0, of(name, c + 1)?.adjusted_r2 ?? NaN))), range: [0, 1], legend: "adjusted R\u00b2 of a linear model (below 0: 0)",
    tell: (row, c) => {
      const own = of(covariates[row]!, c + 1);
      return own ? `${covariates[row]}, PC${c + 1}: adjusted R\u00b2 ${own.adjusted_r2.toFixed(3)}, F ${own.f.toPrecision(3)}, P ${own.p.toPrecision(2)}, corrected ${own.p_adjusted.toPrecision(2)}` : "not known";
    },
  });
}

function genesHtml({ samples, genes }: SampleAnalysis): string {
  if (!genes) return "";
  const found = genes.correlations.filter(({ is_correlated }) => is_correlated);
  const counts = barChart({
    title: `Genes correlated with each component (${samples.key})`, rows: genes.counts.map(({ component }) => `PC${component}`), rowLabel: "component", label: "genes (P < 0.01, |r| > 0.3)", legend: "correlation",
    parts: [{ name: "positive", values: genes.counts.map(({ positive }) => positive) }, { name: "negative", values: genes.counts.map(({ negative }) => negative) }],
  });
  const rows = found.slice().sort((a, b) => a.component - b.component || Math.abs(b.r) - Math.abs(a.r));
  const best = rows.filter(({ component }, i) => rows.slice(0, i).filter((own) => own.component === component).length < mostGenes / 5).slice(0, mostGenes);
  return `${genes.counts.length > 0 ? figure(counts) : ""}${foldedTable(`Table: genes that correlate most with the components (${samples.key})`, { columns: ["component", "gene", "r", "P", "P corrected"], rows: best.map(({ component, symbol, r, p, p_adjusted }) => [`PC${component}`, symbol, r, p, p_adjusted]) })}`;
}

/** Mean expression of genes on the plane of samples. */
export function geneOnSamples(analysis: SampleAnalysis, gene: string): Plot | null {
  const { genes, samples, components } = analysis;
  if (!genes || components.variance.length < 2) return null;
  const { expression } = genes;
  const column = Math.max(expression.genes.indexOf(gene), expression.symbols.indexOf(gene));
  if (column < 0) return null;
  const { columns, values } = expression.means;
  return plane(analysis, `mean expression of ${gene} (log1p per 10,000)`, samples.names.map((_, row) => (expression.cells[row]! > 0 ? values[row * columns + column]! : null)));
}

/** The genes that go best with the first components, or where samples are too few for that, differ most among them: what is shown where none is asked for. */
export function leadingGenes(analyses: readonly SampleAnalysis[], most: number): string[] {
  const rows = analyses.flatMap(({ genes }) => [1, 2].flatMap((component) => (genes?.correlations ?? []).filter((row) => row.component === component && Number.isFinite(row.r)).sort((a, b) => a.p - b.p || Math.abs(b.r) - Math.abs(a.r)).slice(0, 1)));
  const found = rows.length > 0 ? rows.map(({ gene }) => gene) : analyses.flatMap(({ genes }) => (genes ? varyingGenes(genes.expression, most) : []));
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
