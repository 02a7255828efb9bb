// node scripts/make_demo_model.mjs: writes data/models, the index in the package, with a model of the
// demo's reference cells. The card says how well the model labels the demo's query. The same version writes
// the same bytes.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "scpoli-demo-model-"));
const file = join(root, "data/models/demo-blood-1.zip");
const scpoli = (...args) =>
  execFileSync(process.execPath, [join(root, "dist/cli.js"), ...args], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });

try {
  const model = join(folder, "model");
  const keys = ["--condition-key", "sample", "--cell-type-key", "cell_type"];
  scpoli("train", "data/kang_reference.h5ad", "-o", model, ...keys, "--quiet");
  fillInQuality(join(model, "card.md"), labelsOfQuery(model));
  const about = {
    name: "demo-blood",
    release: "1",
    organism: "Homo sapiens",
    tissue: "blood",
    licence: "MIT",
    doi: "10.1038/nbt.4042",
    description: "Blood cells of five lupus patients (Kang et al. 2018), without B cells, to try things out",
  };
  const flags = Object.entries(about).flatMap(([name, value]) => [`--${name}`, value]);
  scpoli("models", "pack", model, "-o", file, "--index", "data/models/index.json", ...flags, "--force");
  console.log(scpoli("models", "info", file));
} finally {
  rmSync(folder, { recursive: true });
}

/** How well the model labels the three patients of the query, as Markdown. */
function labelsOfQuery(model) {
  const mapped = join(folder, "mapped.h5ad");
  scpoli("map", "data/kang_query.h5ad", "--reference", model, "-o", mapped, "--quiet");
  const scored = ["--cell-type-key", "cell_type", "--pred", "cell_type_pred"];
  const { label_transfer: scores } = JSON.parse(scpoli("evaluate", mapped, ...scored, "--json", "--quiet"));
  const known = scores.types.filter((type) => type.known);
  const recall = known.reduce((sum, type) => sum + type.recall, 0) / known.length;
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const { flags, cells, cells_of_unknown_types: unknown } = scores;
  return [
    "Labels of other data, three patients of the same study (data/kang_query.h5ad), mapped by the defaults:",
    "",
    `- cell_type: ${percent(scores.accuracy)} of the cells of known types right, ` +
      `${percent(recall)} averaged over the types (${cells - unknown} cells)`,
    `- flagged unknown: ${flags.of_unknown_types} of ${unknown} B cells, which the reference lacks, ` +
      `and ${flags.flagged - flags.of_unknown_types} of ${cells - unknown} cells of known types`,
  ].join("\n");
}

/** Replaces the card's last line, which the author fills in. */
function fillInQuality(path, text) {
  const card = readFileSync(path, "utf8");
  const filled = card.replace(/^Labels of other data: \(fill in\).*$/m, text);
  if (filled === card) throw new Error("The card has no line for the labels of other data.");
  writeFileSync(path, filled);
}
