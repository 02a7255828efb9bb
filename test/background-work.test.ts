// Work done in a background worker during embedding: the same results as without one, and errors as thrown.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, test } from "node:test";
import { ScPoli } from "../dist/index.js";
import { predictCells } from "../dist/mapping/predictions.js";
import { embedCells } from "../dist/mapping/embed-query.js";
import { BackgroundWork } from "../dist/mapping/background-work.js";
import { Random } from "../dist/numerics/random.js";
import { folder, makeAtlas } from "./atlas.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

const [L, D, N] = [500, 4, 1000];
const random = new Random(7, "side work");
const normal = (length: number): Float32Array => Float32Array.from({ length }, () => random.normal());
const task = { landmarks: { latent: normal(L * D), umap: normal(2 * L), D } };
const latent = normal(N * D);
const cells = Int32Array.from({ length: 60 }, (_, i) => 16 * i);
const genes = 30;
const rows = {
  indptr: Int32Array.from({ length: 61 }, (_, i) => 5 * i),
  indices: Int32Array.from({ length: 300 }, (_, k) => 6 * (k % 5) + (k % 3)),
  values: normal(300),
};

test("a worker gives the same results as the caller, in order", async () => {
  const [here, there] = [new BackgroundWork(task, N, 2), new BackgroundWork(task, N, 2, 0)];
  try {
    const ask = (worker: BackgroundWork) =>
      Promise.all([
        worker.compute("place", latent),
        worker.compute("queryNeighbors", rows, genes, 5),
        worker.compute("nearestCompared", latent, cells, N),
        worker.compute("place", latent.slice(0, 8)),
      ]);
    const [actual, expected] = await Promise.all([ask(here), ask(there)]);
    assert.deepEqual(expected, actual);
    assert.equal(actual[0].length, 2 * N);
    assert.equal(actual[2].length, 3 * N);
  } finally {
    await Promise.all([here.close(), there.close()]);
  }
});

test("errors of a worker are passed on and do not end it; unawaited errors are harmless", async () => {
  for (const least of [0, Infinity]) {
    const worker = new BackgroundWork({ landmarks: null }, N, 2, least);
    try {
      const unawaited = worker.compute("place", latent);
      await assert.rejects(worker.compute("place", latent), Error);
      assert.equal((await worker.compute("nearestCompared", latent, cells, N)).length, 3 * N);
      assert.ok(unawaited instanceof Promise);
    } finally {
      await worker.close();
    }
  }
});

test("with one thread, all is computed by the caller", async () => {
  const worker = new BackgroundWork(task, N, 1, 0);
  assert.deepEqual(
    await worker.compute("nearestCompared", latent, cells, N),
    await new BackgroundWork(task, N, 2).compute("nearestCompared", latent, cells, N),
  );
  await worker.close();
});

test("labels and places are the same, whoever computes their parts", async () => {
  const reference = await makeAtlas("side", { cells: 2300, conditions: ["d1", "d2"] });
  const { stored } = await ScPoli.train(reference, {
    conditionKeys: ["donor"],
    cellTypeKeys: ["cell_type", "lineage"],
    hiddenLayerSizes: [16],
    epochs: 10,
  });
  // more cells than are compared with each other, so that the others take after these
  const { conditions, ...cells } = await embedCells(stored, reference, {});
  assert.ok(cells.compared!.cells.length < cells.sizeFactors.length);
  const noveltyTask = {
    landmarks: {
      latent: stored.tensors.get("landmarks.latent")!.data,
      umap: stored.tensors.get("landmarks.umap")!.data,
      D: stored.json.model.latent_dim,
    },
  };
  const results = [];
  for (const least of [Infinity, 0]) {
    const worker = new BackgroundWork(noveltyTask, cells.sizeFactors.length, 2, least);
    try {
      assert.equal(worker.hasThread, least === 0);
      const { predictions, umap } = await predictCells(stored, { ...cells, conditions }, {}, worker);
      results.push({ predictions, umap: await umap() });
    } finally {
      await worker.close();
    }
  }
  assert.deepEqual(results[1], results[0]);
  assert.equal(results[0]!.umap!.length, 2 * cells.sizeFactors.length);
  // landmark cells have the coordinates of the landmarks, also the last ones, placed by the caller
  assert.ok(results[0]!.umap!.every((place, at) => Math.abs(place - noveltyTask.landmarks.umap[at]!) < 1e-3));
});
