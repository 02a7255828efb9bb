// Damaged files end in a named error or a valid answer: a few of the many that `npm run fuzz` reads.
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "./command.js";
import { fuzz } from "./fuzz.js";
import { runPython } from "./python/environment.js";

test("100 damaged .h5ad files", async () => {
  const folder = temporaryFolder();
  runPython("anndata_files.py", "make", folder);
  const files = readdirSync(folder).filter((name) => name.endsWith(".h5ad")).map((name) => join(folder, name)).filter((path) => statSync(path).size > 1000);
  assert.deepEqual(await fuzz(folder, files, 1, 0, 100), []);
});
