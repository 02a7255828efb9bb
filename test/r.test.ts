// R reads outputs of the command line: embeddings, categories and labels, with rhdf5 only, as in
// docs/how-to/read-results.md. Needs R and rhdf5 (Debian: apt-get install r-base-core r-bioc-rhdf5); skipped
// with a message otherwise.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { AnnData } from "../dist/anndata/anndata.js";
import { scpoli, temporaryFolder } from "./command.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const rscript = process.env["RSCRIPT"] ?? "Rscript";
const isThere = spawnSync(rscript, ["-e", 'stopifnot(requireNamespace("rhdf5"))']).status === 0;
const skip = isThere ? false : "R with rhdf5 is not installed (r-base-core, r-bioc-rhdf5)";

const sum = (values: Iterable<number | boolean | null>): number =>
  [...values].reduce<number>((total, value) => total + Number(value), 0);

async function textColumn(data: AnnData, name: string): Promise<string[]> {
  const column = await data.obs.column(name);
  assert.ok(column.kind === "categorical");
  return Array.from(column.codes, (code) => column.categories[code]!);
}

test("R reads positions, categories and labels of a mapped file, and samples", { skip }, async () => {
  const folder = temporaryFolder();
  const at = (name: string): string => join(folder, name);
  const model = join(root, "data/models/demo-blood-1.zip");
  const query = join(root, "data/kang_query.h5ad");
  for (const args of [
    ["map", query, "--reference", model, "-o", at("mapped.h5ad"), "--no-training", "--quiet"],
    ["samples", model, "-o", at("samples.h5ad"), "--quiet"],
  ]) {
    const { code, stderr } = await scpoli(args);
    assert.equal(code, 0, stderr);
  }
  const script = fileURLToPath(new URL("read_results.R", import.meta.url));
  const text = execFileSync(rscript, [script, at("mapped.h5ad"), at("samples.h5ad")], { encoding: "utf8" });
  const valuesByName = new Map(
    text
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t"))
      .map(([name, ...values]) => [name!, values]),
  );
  const values = (name: string): string[] =>
    valuesByName.get(name) ?? assert.fail(`R printed no ${name}:\n${text}`);
  const numbers = (name: string): number[] => values(name).map(Number);

  const mapped = await AnnData.open(at("mapped.h5ad"));
  const samples = await AnnData.open(at("samples.h5ad"));
  try {
    const cells = mapped.obs.length;
    const positions = Float64Array.from((await mapped.obsm("X_scpoli")).values);
    const D = positions.length / cells;
    assert.deepEqual(numbers("dimensions"), [cells, D]);
    assert.deepEqual(numbers("position of the first cell"), [...positions.subarray(0, D)]);
    assert.ok(Math.abs(numbers("sum of the positions")[0]! - sum(positions)) < 1e-6 * cells);
    const predicted = await textColumn(mapped, "cell_type_pred");
    assert.deepEqual(values("types"), [...new Set(predicted)].sort());
    assert.deepEqual(
      numbers("cells of the types"),
      values("types").map((type) => predicted.filter((other) => other === type).length),
    );
    assert.deepEqual(values("given types"), [...new Set(await textColumn(mapped, "cell_type"))].sort());
    const uncertainty = await mapped.obs.column("cell_type_uncert");
    assert.ok(uncertainty.kind === "number");
    assert.ok(Math.abs(numbers("sum of the uncertainties")[0]! - sum(uncertainty.values)) < 1e-6 * cells);
    const unknown = await mapped.obs.column("cell_type_unknown");
    assert.ok(unknown.kind === "boolean");
    assert.deepEqual(numbers("unknown cells"), [sum(unknown.values)]);
    const names = await mapped.obs.index();
    assert.deepEqual(values("first and last name"), [names[0], names.at(-1)]);
    assert.deepEqual(values("samples"), await samples.obs.index());
    const first = await samples.X!.read(0, 1);
    assert.deepEqual(numbers("embedding of the samples"), [...first.values]);
  } finally {
    mapped.close();
    samples.close();
  }
});

test("docs/how-to/read-results.md names places that a mapped file has", () => {
  const text = readFileSync(join(root, "docs/how-to/read-results.md"), "utf8");
  for (const place of ["obsm/X_scpoli", "obs/cell_type_pred/codes", "obs/cell_type_pred/categories"])
    assert.ok(text.includes(place), place);
});
