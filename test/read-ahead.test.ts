// A matrix read by a thread and the caller together: the same blocks as without, and errors as without.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openDescribed } from "../dist/anndata/described-matrix.js";
import { readAhead } from "../dist/anndata/read-ahead.js";
import { AnnData, ScPoliError, writeH5ad, type SparseRows } from "../dist/index.js";
import { Random } from "../dist/numerics/random.js";

const folder = mkdtempSync(join(tmpdir(), "scpoli-read-ahead-"));
const path = join(folder, "counts.h5ad");
after(() => rmSync(folder, { recursive: true, force: true }));

const [cells, genes] = [1000, 60];
const random = new Random(3, "read-ahead");
const indptr = new Int32Array(cells + 1);
const indices: number[] = [];
for (let cell = 0; cell < cells; cell++) {
  for (let gene = 0; gene < genes; gene++) if (random.uniform() < 0.3) indices.push(gene);
  indptr[cell + 1] = indices.length;
}
const X: SparseRows = {
  rows: cells,
  columns: genes,
  indptr,
  indices: Int32Array.from(indices),
  values: Float32Array.from(indices, (gene, k) => 1 + ((gene + k) % 7)),
};
const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`);
await writeH5ad(
  path,
  { X, obs: { index: names("c", cells) }, var: { index: names("g", genes) } },
  { compression: 4 },
);

for (const rows of [1000, 333, 100, 7])
  test(`blocks of ${rows} cells come in order, each value once`, async () => {
    const data = await AnnData.open(path);
    const reader = readAhead({ path, name: "X", matrix: data.X! }, rows, 0);
    let next = 0;
    for await (const { start, block } of reader.blocks()) {
      assert.equal(start, next);
      next += block.rows;
      const [from, to] = [indptr[start]!, indptr[next]!];
      assert.deepEqual(
        Array.from(block.indptr),
        Array.from(indptr.subarray(start, next + 1), (position) => position - from),
      );
      assert.deepEqual(block.indices, X.indices.subarray(from, to));
      assert.deepEqual(block.values, X.values.subarray(from, to));
      if (start % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 1)); // let the thread get ahead
    }
    assert.equal(next, cells);
    await reader.close();
    data.close();
  });

test("a reader that is closed early ends its thread", async () => {
  const data = await AnnData.open(path);
  const reader = readAhead({ path, name: "X", matrix: data.X! }, 10, 0);
  for await (const { start } of reader.blocks()) if (start > 50) break;
  await reader.close();
  data.close();
});

test("read errors of the worker are passed on", async () => {
  const data = await AnnData.open(path);
  const gone = join(folder, "gone.h5ad");
  writeFileSync(gone, "nothing");
  const { describe: _, ...matrix } = {
    ...data.X!,
    rows: cells,
    columns: genes,
    format: "csr" as const,
    stored: indices.length,
    read: (start: number, end: number) => data.X!.read(start, end),
  };
  const reader = readAhead({ path: gone, name: "X", matrix }, 1, 0);
  await assert.rejects(
    async () => {
      // the thread has time to fail before all blocks are read
      for await (const _ of reader.blocks()) await new Promise((resolve) => setTimeout(resolve, 100));
    },
    (error) => error instanceof ScPoliError && error.kind === "file" && /gone\.h5ad/.test(error.message),
  );
  await reader.close();
  data.close();
});

test("a file replaced since it was opened is not read by the old index", async () => {
  const replaced = join(folder, "replaced.h5ad");
  copyFileSync(path, replaced);
  const data = await AnnData.open(replaced);
  const described = (await data.X!.describe!())!;
  const opened = openDescribed(described);
  assert.ok(opened);
  assert.deepEqual((await opened.matrix.read(3, 50)).values, (await data.X!.read(3, 50)).values);
  opened.close();
  writeFileSync(replaced, readFileSync(path).fill(1, 3000));
  assert.equal(openDescribed(described), null);
  rmSync(replaced);
  assert.equal(openDescribed(described), null);
  data.close();
});
