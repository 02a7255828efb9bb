// Genes in a report: mean expression on the samples' components, and the cells' expression in the UMAP.
// Source: De Donno et al. 2023, Fig. 6h, i.
import { pointCloud } from "../plots/scatter-plots.js";
import type { Plot } from "../plots/svg.js";
import type { SampleAnalysis } from "../samples/analysis.js";
import { genePlane } from "../samples/sample-plots.js";
import type { QueryCells, ReferenceCells } from "./cells.js";
import type { GeneValues } from "./gene-values.js";
import { figures } from "./html.js";

/** Maximum number of cells in a figure, spread evenly over query and reference. The cell view shows all. */
const mostCells = 5000;

export function geneHtml(
  genes: readonly GeneValues[],
  samples: readonly SampleAnalysis[],
  reference: ReferenceCells | null,
  query: QueryCells | null,
): string {
  const clouds = genes.map((gene) => cellPlane(gene, reference, query));
  const plots = genes.flatMap((gene, i): Plot[] => [
    ...samples.flatMap((analysis, k) => genePlane(analysis, gene.gene, gene.samples[k]) ?? []),
    ...(clouds[i] ? [clouds[i]] : []),
  ]);
  const onCells = clouds.some((plot) => plot !== null)
    ? ", and its expression in the cells; the view above can be coloured by it, too"
    : "";
  if (plots.length === 0) return "";
  return (
    `<p>Mean expression of a gene in each sample, on the samples' components${onCells}.</p>` + figures(plots)
  );
}

/** @returns null if no cell has both UMAP coordinates and a value */
function cellPlane(
  { gene, reference: referenceValues, query: queryValues }: GeneValues,
  reference: ReferenceCells | null,
  query: QueryCells | null,
): Plot | null {
  const parts = [
    [reference?.umap, referenceValues],
    [query?.umap, queryValues],
  ].flatMap(([umap, values]) => (umap && values ? [{ umap, values }] : []));
  const cells = parts.reduce((sum, { values }) => sum + values.length, 0);
  const step = Math.max(1, cells / mostCells);
  const points = parts.flatMap(({ umap, values }) =>
    Array.from({ length: Math.floor(values.length / step) }, (_, i) => Math.floor(i * step)).flatMap(
      (cell): [number, number, number][] =>
        Number.isFinite(values[cell]!) ? [[umap[2 * cell]!, umap[2 * cell + 1]!, values[cell]!]] : [],
    ),
  );
  if (points.length === 0) return null;
  const source =
    parts.length > 1 ? "reference and query" : referenceValues && reference ? "reference" : "query";
  const [drawn, all] = [points.length.toLocaleString("en-US"), cells.toLocaleString("en-US")];
  const sampled = points.length < cells ? ` (${drawn} of ${all})` : "";
  return pointCloud({
    title: `Cells of the ${source} by expression of ${gene}${sampled}`,
    x: "UMAP 1 (no units)",
    y: "UMAP 2 (no units)",
    points,
    legend: `${gene} (log1p of counts per 10,000)`,
  });
}
