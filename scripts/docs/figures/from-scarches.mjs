// Labels of the model trained by scpoli (rows) and of the same model exchanged with scArches (columns).
import { confusionPlot, readObs, save } from "./drawing.mjs";

const here = await readObs("mapped.h5ad", ["cell_type_pred"]);
const imported = await readObs("mapped-imported.h5ad", ["cell_type_pred"]);
save(
  "labels",
  confusionPlot({
    title: "Labels of the query by the two models",
    truth: here.cell_type_pred,
    predicted: imported.cell_type_pred,
    rowLabel: "trained here",
    columnLabel: "imported",
    legend: "share of the cells of the row",
  }),
);
