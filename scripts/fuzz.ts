// The long fuzz run over damaged .h5ad files (test/fuzz.ts). The files that are damaged come from the real anndata, as in the tests.
//
// usage: npm run fuzz -- [how many, default 10000] [seed, default 1]
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fuzz } from "../test/fuzz.js";
import { runPython } from "../test/python/environment.js";

const [count = "10000", seed = "1"] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "scpoli-fuzz-"));
try {
  runPython("anndata_files.py", "make", folder);
  const made = readdirSync(folder).filter((name) => name.endsWith(".h5ad")).map((name) => join(folder, name));
  const files = [...made, fileURLToPath(new URL("../test/fixtures/filters.h5ad", import.meta.url))].filter((path) => statSync(path).size > 1000);
  const failures = await fuzz(folder, files, Number(seed), 0, Number(count), (done) => {
    if (done % 500 === 0) console.error(`${done} files`);
  });
  for (const { number, what } of failures) console.log(`${number}: ${what}`);
  console.log(`${count} damaged files of ${files.length}, seed ${seed}: ${failures.length} failures.`);
  process.exitCode = failures.length > 0 ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
