// Functions for pages and notebooks: finish a training early, find the model's genes in a file, read the
// expression of a gene.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AnnData, ScPoli, readExpression, type Progress } from "../dist/index.js";

const open = (name: string): Promise<AnnData> => AnnData.open(`data/kang_${name}.h5ad`);
const reference = await open("reference");
const quick = { conditionKeys: ["sample"], cellTypeKeys: ["cell_type"], hiddenLayerSizes: [16], threads: 1 };

test("training asked to finish stops after the current epoch and gives an ordinary model", async () => {
  const finish = new AbortController();
  const updates: Progress[] = [];
  const onProgress = (progress: Progress): void => {
    updates.push(progress);
    if (progress.epoch === 3) finish.abort();
  };
  const model = await ScPoli.train(reference, { ...quick, epochs: 50, finish: finish.signal, onProgress });
  assert.equal(model.stored.json.provenance["epochs_run"], 3);
  assert.ok(updates.every(({ epoch }) => epoch === undefined || epoch <= 3));
  const mapping = await model.map(await open("query"), { epochs: 2, threads: 1 });
  assert.equal(mapping.predictions[0]!.predicted.length, 720);
});

test("the model's genes that a file has are counted before anything is computed", async () => {
  const model = await ScPoli.train(reference, {
    ...quick,
    epochs: 1,
    genes: ["CD8A", "CD79A", "CST3", "LYZ", "NKG7", "TYROBP"],
  });
  const { found, share, missing, matched } = await model.coverage(await open("query"));
  assert.deepEqual(
    { found, share, missing, matched },
    { found: 6, share: 1, missing: [], matched: { name: 6 } },
  );
});

test("expression is log1p of counts per 10,000 of each cell, gene by gene", async () => {
  const data = await open("query");
  const [cst3, cd79a] = await readExpression(data, ["CST3", "CD79A"]);
  const names = await data.var.index();
  const { indptr, indices, values } = await data.X!.read(0, data.nObs);
  for (let cell = 0; cell < data.nObs; cell++) {
    const row = Array.from(indices.subarray(indptr[cell], indptr[cell + 1]), (gene, k) => ({
      gene: names[gene]!,
      value: values[indptr[cell]! + k]!,
    }));
    const total = row.reduce((sum, { value }) => sum + value, 0);
    const expected = (gene: string): number =>
      Math.fround(Math.log1p((1e4 * (row.find((entry) => entry.gene === gene)?.value ?? 0)) / total));
    assert.equal(cst3![cell], expected("CST3"));
    assert.equal(cd79a![cell], expected("CD79A"));
  }
  await assert.rejects(readExpression(data, ["CST3", "NOSUCH"]), {
    kind: "key",
    message: /no gene 'NOSUCH'/,
  });
});
