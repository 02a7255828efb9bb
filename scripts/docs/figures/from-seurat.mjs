// The composition of the samples by predicted type.
import { barChart } from "../../../dist/plots/index.js";
import { readObs, save } from "./drawing.mjs";

const obs = await readObs("query-mapped.h5ad", ["sample", "cell_type_pred"]);
const samples = [...new Set(obs.sample)].sort();
const types = [...new Set(obs.cell_type_pred)].sort();
save(
  "composition",
  barChart({
    title: "Predicted types of each sample",
    rows: samples,
    rowLabel: "sample",
    label: "share of the sample's cells",
    legend: "predicted type",
    isShare: true,
    parts: types.map((name) => ({
      name,
      values: samples.map(
        (sample) =>
          obs.sample.filter((one, cell) => one === sample && obs.cell_type_pred[cell] === name).length,
      ),
    })),
  }),
);
