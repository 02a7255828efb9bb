// The genes that differ most between treatments, in the cell type with the most tested genes.
import { readFileSync } from "node:fs";
import Papa from "papaparse";
import { heatMap } from "../../../dist/plots/index.js";
import { save } from "./drawing.mjs";

const { data } = Papa.parse(readFileSync("stim-vs-ctrl/genes.csv", "utf8"), {
  header: true,
  skipEmptyLines: true,
});
const types = [...new Set(data.map((row) => row.type))].sort();
const change = new Map(data.map((row) => [`${row.type}/${row.gene}`, Number(row.log2_fold_change)]));
const perGene = new Map();
for (const { gene, p_adjusted: p } of data)
  if (Number(p) < 0.05) perGene.set(gene, (perGene.get(gene) ?? 0) + 1);
// genes that are significant in the most types; of these, those with the largest mean change
const meanChange = (gene) =>
  types.reduce((sum, type) => sum + Math.abs(change.get(`${type}/${gene}`) ?? 0), 0) / types.length;
const genes = [...perGene.keys()]
  .sort((a, b) => perGene.get(b) - perGene.get(a) || meanChange(b) - meanChange(a))
  .slice(0, 16);
const values = genes.map((gene) => types.map((type) => change.get(`${type}/${gene}`) ?? NaN));
const most = Math.max(...values.flat().filter(Number.isFinite).map(Math.abs));
save(
  "stimulated",
  heatMap({
    title: "Interferon-beta against control: genes that differ in the most cell types",
    rows: genes,
    columns: types,
    rowLabel: "gene",
    columnLabel: "cell type",
    values,
    range: [-most, most],
    legend: "log2 fold change",
    isDiverging: true,
    write: (value) => value.toFixed(1),
  }),
);
