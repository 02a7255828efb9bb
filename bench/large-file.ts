// An .h5ad file of more than 4.3 GB mapped in Chromium: beyond 32-bit addresses, without memory of that size.
// The file is the demo's query after an unwritten dataset of 4.4 GB (a hole), so that its counts are beyond
// 2^32 bytes. Prints the result and the memory of the browser's processes.
//
// npm run bench:large-file
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openBenchPage } from "./browser-page.ts";
import { runPython } from "../test/python/environment.ts";

const repository = fileURLToPath(new URL("..", import.meta.url));
const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

const bench = await openBenchPage();
try {
  const { page, folder } = bench;
  const [large, model] = [join(folder, "large.h5ad"), join(folder, "model")];
  runPython("large_file.py", join(repository, "data/kang_query.h5ad"), large, String(4.4e9));
  const bytes = statSync(large).size;
  assert.ok(bytes > 4.3e9);
  execFileSync(process.execPath, [
    join(repository, "dist/cli.js"),
    "train",
    join(repository, "data/kang_reference.h5ad"),
    "-o",
    model,
    "--condition-key",
    "sample",
    "--cell-type-key",
    "cell_type",
    "--epochs",
    "20",
    "--quiet",
  ]);
  await page.register(
    [large, join(model, "model.json"), join(model, "model.safetensors")],
    ["large.h5ad", "model/model.json", "model/model.safetensors"],
  );
  bench.peak();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const before = bench.peak();
  const opened = await page.job<{ cells: number; genes: number }>("open", { path: "large.h5ad" });
  const { summary, seconds } = await page.job<{ summary: { cells: number }; seconds: number }>("map", {
    path: "large.h5ad",
    model: "model",
    output: "mapped.h5ad",
    epochs: 20,
  });
  const peak = bench.peak();
  const mapped = await page.job<{ cells: number; bytes: number }>("size", { path: "mapped.h5ad" });
  assert.equal(summary.cells, opened.cells);
  assert.equal(mapped.cells, opened.cells);
  assert.ok(mapped.bytes >= bytes);
  process.stdout.write(
    `file ${gigabytes(bytes)}, ${opened.cells} cells x ${opened.genes} genes; mapped in ` +
      `${seconds.toFixed(1)} s; result ${gigabytes(mapped.bytes)}\n`,
  );
  process.stdout.write(
    `memory of all of Chromium's processes: ${gigabytes(before)} before, ${gigabytes(peak)} at most\n`,
  );
} finally {
  await bench.close();
}
