// The mapped cells in the reference's UMAP by label, and the labels beside the truth, which the query
// carries.
import { cellPlot, confusionPlot, readMapped, save } from "./drawing.mjs";

const { obs, umap } = await readMapped("mapped.h5ad", ["cell_type", "cell_type_pred", "cell_type_unknown"]);
save(
  "cells",
  cellPlot({
    title: "The patients' cells by predicted type (grey: flagged unknown)",
    legend: "predicted type",
    umap,
    groups: obs.cell_type_pred.map((type, cell) => (obs.cell_type_unknown[cell] ? "" : type)),
  }),
);
save(
  "confusion",
  confusionPlot({
    title: "Predicted types of each true type",
    truth: obs.cell_type,
    predicted: obs.cell_type_pred.map((type, cell) => (obs.cell_type_unknown[cell] ? "unknown" : type)),
  }),
);
