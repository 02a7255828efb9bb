// Shared by the figures of the tutorials: reading results of a mapped file, and writing files.
import { mkdirSync, writeFileSync } from "node:fs";
import { AnnData } from "../../../dist/index.js";
import { heatMap, scatterPlot, standaloneSvg } from "../../../dist/plots/index.js";

/** Writes figures/NAME.svg in the folder of the page. */
export function save(name, plot) {
  mkdirSync("figures", { recursive: true });
  writeFileSync(`figures/${name}.svg`, `${standaloneSvg(plot)}\n`);
}

/** Columns of obs, categories as texts. */
export async function readObs(path, columns) {
  const data = await AnnData.open(path);
  try {
    return await columnsOf(data, columns);
  } finally {
    data.close();
  }
}

/** Columns of obs, and the positions in the UMAP, of a file that `map` has written. */
export async function readMapped(path, columns) {
  const data = await AnnData.open(path);
  try {
    const { values: umap } = await data.obsm("X_umap_scpoli");
    return { obs: await columnsOf(data, columns), umap };
  } finally {
    data.close();
  }
}

async function columnsOf(data, names) {
  const obs = {};
  for (const name of names) {
    const column = await data.obs.column(name);
    obs[name] =
      column.kind === "categorical"
        ? Array.from(column.codes, (code) => (code < 0 ? "" : column.categories[code]))
        : Array.from(column.values);
  }
  return obs;
}

/** Cells in the UMAP by a text; "" is not known. */
export function cellPlot({ title, legend, umap, groups, names }) {
  const shown = names ?? [...new Set(groups)].filter((name) => name !== "").sort();
  return scatterPlot({
    title,
    x: "UMAP 1",
    y: "UMAP 2",
    legend,
    groups: shown,
    points: groups.map((name, cell) => ({
      name: "",
      x: umap[2 * cell],
      y: umap[2 * cell + 1],
      value: name === "" ? null : shown.indexOf(name),
    })),
  });
}

/** Share of each true type that gets each label. */
export function confusionPlot({
  title,
  truth,
  predicted,
  rowLabel = "true type",
  columnLabel = "label",
  legend = "share of the cells of the true type",
}) {
  const rows = [...new Set(truth)].sort();
  const columns = [...new Set(predicted)].sort();
  const values = rows.map((row) => {
    const labels = predicted.filter((_, cell) => truth[cell] === row);
    return columns.map((column) => labels.filter((label) => label === column).length / labels.length);
  });
  return heatMap({
    title,
    rows,
    columns,
    rowLabel,
    columnLabel,
    values,
    range: [0, 1],
    legend,
    write: (share) => `${(100 * share).toFixed(0)} %`,
  });
}
