// Novelty of cells of known types and of the type that the reference lacks, and the same in the UMAP.
import { histogram, pointCloud } from "../../../dist/plots/index.js";
import { readMapped, save } from "./drawing.mjs";

const { obs, umap } = await readMapped("mapped.h5ad", ["cell_type", "cell_type_novelty"]);
const novelty = Array.from(obs.cell_type_novelty);
const ofB = (isB) => novelty.filter((_, cell) => (obs.cell_type[cell] === "B cells") === isB);
save(
  "novelty",
  histogram({
    title: "Novelty of the query's cells",
    x: "novelty",
    range: [0, 1],
    bins: 40,
    unit: "cells",
    legend: "truth, which the mapping did not see",
    groups: [
      { name: "types of the reference", values: ofB(false) },
      { name: "B cells, not in the reference", values: ofB(true) },
    ],
    mark: { at: 0.95, text: "flagged above 0.95" },
  }),
);
save(
  "novelty-umap",
  pointCloud({
    title: "Novelty in the reference's UMAP",
    x: "UMAP 1",
    y: "UMAP 2",
    legend: "novelty",
    range: [0, 1],
    points: novelty.map((value, cell) => [umap[2 * cell], umap[2 * cell + 1], value]),
  }),
);
