// Human cells labelled by a reference of gorilla and macaque: labels beside the truth, and the UMAP.
import { cellPlot, confusionPlot, readMapped, save } from "./drawing.mjs";

const { obs, umap } = await readMapped("human-mapped.h5ad", ["cell_type", "cell_type_pred"]);
save(
  "confusion",
  confusionPlot({
    title: "Human cells labelled by gorilla and macaque",
    truth: obs.cell_type,
    predicted: obs.cell_type_pred,
  }),
);
save(
  "cells",
  cellPlot({
    title: "Human cells in the UMAP of gorilla and macaque, by true type",
    legend: "true type",
    umap,
    groups: obs.cell_type,
  }),
);
