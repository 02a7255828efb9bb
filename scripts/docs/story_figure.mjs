// Draws docs/public/story.svg from the demo's cells: left the query's cells in the reference's UMAP, right
// the samples by their embeddings; in story-narrow.svg one above the other. Needs the build.
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { AnnData, ScPoli } from "../../dist/index.js";
import { scatterPlot, standaloneSvg } from "../../dist/plots/index.js";

const path = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const reference = await AnnData.open(path("data/kang_reference.h5ad"));
const query = await AnnData.open(path("data/kang_query.h5ad"));
const model = await ScPoli.train(reference, {
  conditionKeys: ["sample"],
  cellTypeKeys: ["cell_type"],
  simd: "plain",
});
const mapping = await model.map(query, { simd: "plain" });

const { cell_types: types } = mapping.model.stored.json;
const [level] = mapping.predictions;
const groups = [...types, "unknown (flagged)"];
const cells = scatterPlot({
  title: "Cells of new patients, labelled",
  x: "UMAP 1",
  y: "UMAP 2",
  legend: "cell type",
  groups,
  points: Array.from(level.predicted, (type, cell) => ({
    name: "",
    x: mapping.umap[2 * cell],
    y: mapping.umap[2 * cell + 1],
    value: level.unknown[cell] ? types.length : type,
  })),
});

const [{ samples, components }] = await mapping.model.samples();
const column = samples.metadata.columns.indexOf("condition");
const treatments = ["ctrl", "stim"];
const { columns, values } = components.scores;
const drawnSamples = scatterPlot({
  title: "Samples, by their embeddings",
  x: "component 1",
  y: "component 2",
  legend: "treatment (unknown to the model)",
  groups: ["control", "stimulated"],
  openMeans: "reference",
  points: samples.names.map((name, row) => ({
    name,
    x: values[row * columns],
    y: values[row * columns + 1],
    value: treatments.indexOf(String(samples.metadata.samples[name]?.[column])),
    isOpen: samples.isReference[row],
  })),
});

/** Both pictures in one, the second to the right of the first or below it. */
function joined(first, second, isBelow) {
  const [, width, height] = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(first).map(Number);
  const [x, y] = isBelow ? [0, height] : [width, 0];
  // a plot has its width and height already
  const placed = (svg, left, top) => svg.replace("<svg ", `<svg x="${left}" y="${top}" `);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width + x} ${height + y}">` +
    `${placed(first, 0, 0)}${placed(second, x, y)}</svg>\n`
  );
}

mkdirSync(path("docs/public"), { recursive: true });
const plots = [standaloneSvg(cells), standaloneSvg(drawnSamples)];
for (const [name, isBelow] of [
  ["story", false],
  ["story-narrow", true],
]) {
  writeFileSync(path(`docs/public/${name}.svg`), joined(...plots, isBelow));
  console.log(`docs/public/${name}.svg`);
}
