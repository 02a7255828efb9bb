// Marker genes of the query's unknown clusters: the same genes and numbers as from `scpoli markers --groups
// scpoli_cluster` and on the web page.
import type { AnnData } from "../anndata/anndata.js";
import type { Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { findMarkers } from "../markers/markers.js";
import { markerTable } from "../markers/markers-file.js";
import { escapeText } from "../plots/svg.js";
import type { QueryCells } from "./cells.js";
import { foldedTable } from "./html.js";

const clusterColumn = "scpoli_cluster";
/** At most this many clusters are shown: novel ones, and those with more than this share of unknown cells. */
const [maxClusters, minUnknownShare] = [12, 0.3];
/** Number of genes in the text of a cluster, and in its table. */
const [genesInText, genesInTable] = [10, 25];

/** @returns HTML; empty without unknown clusters, or without counts in the file (then with a note) */
export async function markersHtml(
  mapped: AnnData,
  clusters: QueryCells["clusters"],
  {
    onNote,
    signal,
  }: { readonly onNote?: ((note: Note) => void) | undefined; readonly signal?: AbortSignal | undefined },
): Promise<string> {
  const wanted = clusters
    .filter(
      ({ cells, unknown, is_novel: isNovel }) => cells > 1 && (isNovel || unknown > minUnknownShare * cells),
    )
    .sort((a, b) => Number(b.is_novel) - Number(a.is_novel) || b.unknown / b.cells - a.unknown / a.cells)
    .slice(0, maxClusters);
  if (wanted.length === 0 || !mapped.obs.columnNames.includes(clusterColumn)) return "";
  try {
    const only = wanted.map(({ cluster }) => String(cluster));
    const rows = markerTable(await findMarkers(mapped, { groups: clusterColumn, only, signal }), {
      top: genesInTable,
    }).filter((row) => Number(row["log2_fold_change"]) > 0);
    const parts = wanted.map(({ cluster, cells, unknown }) => {
      const clusterRows = rows.filter((row) => row["group"] === String(cluster));
      const leading = clusterRows.slice(0, genesInText).map((row) => String(row["symbol"]));
      const table = {
        columns: [
          "gene",
          "log2 fold change",
          "share of cluster",
          "share of other cells",
          "AUC",
          "score",
          "P corrected",
        ],
        rows: clusterRows.map((row) =>
          ["symbol", "log2_fold_change", "share", "other_share", "auc", "score", "p_adjusted"].map((name) =>
            name === "symbol" ? String(row[name]) : Number(row[name]),
          ),
        ),
      };
      const [total, flagged] = [cells.toLocaleString("en-US"), unknown.toLocaleString("en-US")];
      return (
        `<h3>Cluster ${cluster}: ${total} cells, ${flagged} unknown</h3>` +
        `<p>${escapeText(leading.join(", ")) || "No gene is higher in this cluster."}</p>` +
        (clusterRows.length > 0 ? foldedTable(`Marker genes of cluster ${cluster}`, table) : "")
      );
    });
    return (
      "<p>Genes with higher expression in an unknown cluster than in all other cells, by the Wilcoxon " +
      "rank-sum test with cells as units. They characterise these cells; they are no test of differences " +
      `between samples.</p>${parts.join("")}`
    );
  } catch (error) {
    if (!(error instanceof ScPoliError) || error.kind === "interrupted") throw error;
    onNote?.({ level: "info", message: `The report has no marker genes of clusters. ${error.message}` });
    return "";
  }
}
