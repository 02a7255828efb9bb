// Damaged files end in a named error or a valid answer: a few of the many that `npm run fuzz` reads.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { temporaryFolder } from "./command.js";
import { fuzz } from "./fuzz.js";
import { makeFuzzSources, type FuzzSources } from "./fuzz-sources.js";

const folder = temporaryFolder();
let sources: FuzzSources;
before(async () => {
  sources = await makeFuzzSources(folder);
});

for (const [kind, what, count] of [
  ["h5ad", ".h5ad files", 30],
  ["zarr", "Zarr stores, folders and zip files", 30],
  ["tenx", "files and folders of CellRanger", 30],
] as const)
  test(`${count} damaged ${what}`, async () =>
    assert.deepEqual(await fuzz(folder, sources[kind], 1, 0, count), []));
