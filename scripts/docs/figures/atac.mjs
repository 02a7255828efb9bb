// Cells of the second donor, labelled by the first: the UMAP (2,000 cells drawn evenly), and labels beside
// the truth.
import { cellPlot, confusionPlot, readMapped, save } from "./drawing.mjs";

const { obs, umap } = await readMapped("D5-mapped.h5ad", ["cell_type", "cell_type_pred"]);
const step = Math.ceil(obs.cell_type.length / 2000);
const drawn = obs.cell_type.flatMap((_, cell) => (cell % step === 0 ? [cell] : []));
save(
  "cells",
  cellPlot({
    title: "Cells of donor D5 in the UMAP of donor D6, by predicted type",
    legend: "predicted type",
    umap: drawn.flatMap((cell) => [umap[2 * cell], umap[2 * cell + 1]]),
    groups: drawn.map((cell) => obs.cell_type_pred[cell]),
  }),
);
save(
  "confusion",
  confusionPlot({
    title: "Predicted types of each true type",
    truth: obs.cell_type,
    predicted: obs.cell_type_pred,
  }),
);
