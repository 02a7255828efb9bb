// Markers of the cell types of kang16, compared with well-known marker genes.
import { AnnData, findMarkers, markerTable } from "../../dist/index.js";
import { data as dataFile, markdownTable, percent, small, type Section } from "./section.ts";

/** Genes that the literature uses to name these types (Seurat's and scanpy's PBMC tutorials). */
const markersFromLiterature: Readonly<Record<string, readonly string[]>> = {
  "B cells": ["CD79A", "MS4A1", "CD19", "CD79B"],
  "CD14+ Monocytes": ["S100A8", "S100A9", "CD14", "LYZ"],
  "CD4 T cells": ["CD3D", "IL7R", "LTB", "CD3E"],
  "CD8 T cells": ["CD8A", "CD8B", "GZMH", "CCL5"],
  "Dendritic cells": ["FCER1A", "CLEC10A", "CD1C", "HLA-DQA1"],
  "FCGR3A+ Monocytes": ["FCGR3A", "MS4A7", "VMO1", "CDKN1C"],
  Megakaryocytes: ["PF4", "PPBP", "GNG11", "SDPR"],
  "NK cells": ["GNLY", "NKG7", "PRF1", "KLRD1"],
};

export async function markersOnRealData(): Promise<Section> {
  const data = await AnnData.open(dataFile("kang16"));
  const markers = await findMarkers(data, { groups: "cell_type" });
  data.close();
  const rows = markerTable(markers);
  const types = markers.groups.map(({ name, cells }) => {
    const groupRows = rows.filter(({ group }) => group === name);
    const expected = (markersFromLiterature[name] ?? []).flatMap((gene) => {
      const row = groupRows.find((marker) => marker.gene === gene);
      return row ? [{ gene, rank: row.rank as number, p: row.p_adjusted as number }] : [];
    });
    return { name, cells, first: groupRows.slice(0, 6), expected };
  });
  return {
    paragraphs: [
      "## Markers of cell types: kang16",
      `\`scpoli markers kang16.h5ad --groups cell_type\`: ${markers.genes.length.toLocaleString("en-US")} ` +
        "genes, each type against all other cells. The first genes by score, and where genes stand by " +
        "which these types are usually known (rank among all genes).",
      markdownTable(
        ["cell type", "cells", "first genes (AUC; share of the type, of others)", "known genes: rank"],
        types.map(({ name, cells, first, expected }) => [
          name,
          cells,
          first
            .map(
              (row) =>
                `${row.gene} (${(row.auc as number).toFixed(2)}; ${percent(row.share as number)}, ` +
                `${percent(row.other_share as number)})`,
            )
            .join(", "),
          expected
            .map(({ gene, rank, p }) => `${gene}: ${rank}${p < 0.05 ? "" : ` (P ${small(p)})`}`)
            .join(", "),
        ]),
      ),
    ],
    numbers: types.map(({ name, cells, first, expected }) => ({
      name,
      cells,
      first: first.map(({ gene, auc }) => ({ gene, auc })),
      expected,
    })),
  };
}
