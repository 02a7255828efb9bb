// Marker genes of the query's unknown clusters: the same genes and numbers as `scpoli markers --groups
// scpoli_cluster` and the page's.
import type { AnnData } from "../anndata/anndata.js";
import type { Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { findMarkers } from "../markers/markers.js";
import { markerTable } from "../markers/markers-file.js";
import { escapeText } from "../plots/svg.js";
import type { QueryCells } from "./cells.js";
import { foldedTable } from "./html.js";

const clusterColumn = "scpoli_cluster";
/** Clusters that are looked at: those that look like no known type, or have many unknown cells. */
const [mostClusters, unknownShare] = [12, 0.3];
/** Genes in the line of a cluster, and in its table. */
const [fewGenes, mostGenes] = [10, 25];

/** @returns nothing without unknown clusters, or where the file has no counts (told by a note) */
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
      ({ cells, unknown, is_novel: isNovel }) => cells > 1 && (isNovel || unknown > unknownShare * cells),
    )
    .sort((a, b) => Number(b.is_novel) - Number(a.is_novel) || b.unknown / b.cells - a.unknown / a.cells)
    .slice(0, mostClusters);
  if (wanted.length === 0 || !mapped.obs.columnNames.includes(clusterColumn)) return "";
  try {
    const only = wanted.map(({ cluster }) => String(cluster));
    const rows = markerTable(await findMarkers(mapped, { groups: clusterColumn, only, signal }), {
      top: mostGenes,
    }).filter((row) => Number(row["log2_fold_change"]) > 0);
    const parts = wanted.map(({ cluster, cells, unknown }) => {
      const own = rows.filter((row) => row["group"] === String(cluster));
      const line = own.slice(0, fewGenes).map((row) => String(row["symbol"]));
      const table = {
        columns: [
          "gene",
          "log2 fold change",
          "share of its cells",
          "share of others",
          "AUC",
          "score",
          "P corrected",
        ],
        rows: own.map((row) =>
          ["symbol", "log2_fold_change", "share", "other_share", "auc", "score", "p_adjusted"].map((name) =>
            name === "symbol" ? String(row[name]) : Number(row[name]),
          ),
        ),
      };
      return `<h3>Cluster ${cluster}: ${cells.toLocaleString("en-US")} cells, ${unknown.toLocaleString("en-US")} unknown</h3><p>${escapeText(line.join(", ")) || "No gene has more in it."}</p>${own.length > 0 ? foldedTable(`Marker genes of cluster ${cluster}`, table) : ""}`;
    });
    return `<p>Genes that unknown clusters have more of than all other cells, by the Wilcoxon rank-sum test with cells as units: they say what marks these cells, not what differs between samples.</p>${parts.join("")}`;
  } catch (error) {
    if (!(error instanceof ScPoliError) || error.kind === "interrupted") throw error;
    onNote?.({ level: "info", message: `The report has no marker genes of clusters: ${error.message}` });
    return "";
  }
}
