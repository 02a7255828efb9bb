// Genes in a report: mean expression on the samples' components beside the cells' expression in the UMAP.
// Source: De Donno et al. 2023, Fig. 6h, i.
import { pointCloud } from "../plots/scatter-plots.js";
import type { Plot } from "../plots/svg.js";
import type { SampleAnalysis } from "../samples/analysis.js";
import { genePlane } from "../samples/sample-plots.js";
import type { QueryCells, ReferenceCells } from "./cells.js";
import type { GeneValues } from "./gene-values.js";
import { figures } from "./html.js";

/**
 * Cells of such a picture, evenly spread over the query and the reference; the view of the cells has all of
 * them.
 */
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
    ? ", and its expression in the cells, which the view above can be coloured by, too"
    : "";
  return plots.length === 0
    ? ""
    : `<p>Mean expression of a gene in each sample, on the samples' components${onCells}.</p>${figures(plots)}`;
}

/** null where no cell has both a place and a value */
function cellPlane(
  { gene, reference: own, query: others }: GeneValues,
  reference: ReferenceCells | null,
  query: QueryCells | null,
): Plot | null {
  const sides = [
    [reference?.umap, own],
    [query?.umap, others],
  ].flatMap(([umap, values]) => (umap && values ? [{ umap, values }] : []));
  const cells = sides.reduce((sum, { values }) => sum + values.length, 0);
  const step = Math.max(1, cells / mostCells);
  const points = sides.flatMap(({ umap, values }) =>
    Array.from({ length: Math.floor(values.length / step) }, (_, i) => Math.floor(i * step)).flatMap(
      (cell): [number, number, number][] =>
        Number.isFinite(values[cell]!) ? [[umap[2 * cell]!, umap[2 * cell + 1]!, values[cell]!]] : [],
    ),
  );
  if (points.length === 0) return null;
  const of = sides.length > 1 ? "reference and query" : own && reference ? "reference" : "query";
  return pointCloud({
    title: `Cells of the ${of} by expression of ${gene}${points.length < cells ? ` (${points.length.toLocaleString("en-US")} of ${cells.toLocaleString("en-US")})` : ""}`,
    x: "UMAP 1 (no units)",
    y: "UMAP 2 (no units)",
    points,
    legend: `${gene} (log1p of counts per 10,000)`,
  });
}
