// Landmarks: the UMAP of the reference that a model carries, places of queries in it, and the verdict on a
// mapping.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  AnnData,
  judgeMapping,
  ScPoli,
  ScPoliError,
  withUnknownShare,
  type VerdictMeasures,
} from "../dist/index.js";
import { nearestNeighbors } from "../dist/graph/neighbors.js";
import { umapLayout } from "../dist/graph/umap.js";
import { Random } from "../dist/numerics/random.js";
import { folder, makeAtlas, texts } from "./atlas.ts";
import { scpoli } from "./command.ts";

const quick = {
  hiddenLayerSizes: [32],
  epochs: 60,
  alphaEpochAnneal: 20,
  eta: 5,
  conditionKeys: ["donor"],
  cellTypeKeys: ["cell_type"],
};
const reference = await makeAtlas("reference", { cells: 400, conditions: ["d1", "d2"] });
const query = await makeAtlas("query", { cells: 200, conditions: ["q1"], seed: 2, label: () => null });
const model = await ScPoli.train(reference, quick);

/** Share of points whose nearest neighbour in the plane is of the same group. */
function purity(plane: Float32Array, groups: readonly (string | number)[]): number {
  const { indices } = nearestNeighbors(plane, 2, 1);
  return indices.reduce((sum, j, i) => sum + (groups[i] === groups[j] ? 1 : 0), 0) / groups.length;
}

test("UMAP keeps five separate groups of 10 dimensions apart, and one seed gives one picture", () => {
  const [N, D] = [600, 10];
  const random = new Random(3, "points");
  const groups = Array.from({ length: N }, (_, i) => i % 5);
  const points = Float32Array.from(
    { length: N * D },
    (_, at) => (groups[Math.floor(at / D)] === at % D ? 8 : 0) + random.normal(),
  );
  const layout = umapLayout(points, D, 1);
  assert.ok(layout.every(Number.isFinite));
  assert.equal(purity(layout, groups), 1);
  assert.deepEqual(umapLayout(points, D, 1), layout);
  assert.notDeepEqual(umapLayout(points, D, 2), layout);
});

test("equal points, and fewer points than neighbours, have places", () => {
  for (const N of [1, 2, 3, 5, 40])
    assert.ok(umapLayout(new Float32Array(N * 4).fill(1.5), 4, 0).every(Number.isFinite), `${N} points`);
});

test("landmarks have positions, labels and conditions, but neither cell names nor counts", async () => {
  const { json, tensors } = model.stored;
  assert.deepEqual({ cells: json.landmarks!.cells, of: json.landmarks!.of }, { cells: 400, of: 400 });
  assert.deepEqual([...tensors.keys()].filter((name) => name.startsWith("landmarks.")).sort(), [
    "landmarks.conditions",
    "landmarks.labels",
    "landmarks.latent",
    "landmarks.umap",
  ]);
  const labels = await texts(reference, "cell_type");
  assert.deepEqual(
    Array.from(tensors.get("landmarks.labels")!.data, (row) => json.cell_types[row]),
    labels,
  );
  assert.deepEqual(
    Array.from(tensors.get("landmarks.conditions")!.data, (code) => json.conditions[0]![code]),
    await texts(reference, "donor"),
  );
  assert.ok(purity(tensors.get("landmarks.umap")!.data, labels) > 0.9);
  await model.save(join(folder, "model"));
  for (const file of ["model.json", "model.safetensors"])
    assert.ok(
      !readFileSync(join(folder, "model", file), "latin1").includes("reference-1"),
      `${file} names a cell`,
    );
  assert.deepEqual(
    (await ScPoli.load(join(folder, "model"))).stored.tensors.get("landmarks.umap"),
    tensors.get("landmarks.umap"),
  );
});

test("query cells are placed among their types; reference cells keep their positions", async () => {
  const output = join(folder, "mapped.h5ad");
  const mapping = await model.map(query, { epochs: 10, output });
  const landmarks = model.stored.tensors.get("landmarks.umap")!.data;
  const both = Float32Array.from([...landmarks, ...mapping.umap!]);
  const types = [...(await texts(reference, "cell_type")), ...(await texts(query, "truth"))];
  assert.ok(purity(both, types) > 0.9, `${purity(both, types)}`);
  const file = await AnnData.open(output);
  assert.deepEqual((await file.obsm("X_umap_scpoli")).values, mapping.umap);
  file.close();
  const referencePositions = (await model.embed(reference)).umap!;
  assert.ok(referencePositions.every((value, at) => Math.abs(value - landmarks[at]!) < 1e-3));
});

test("train --no-landmarks leaves them out, and so does a query's file; threads change nothing", async () => {
  const bare = await ScPoli.train(reference, { ...quick, epochs: 5, landmarks: false });
  assert.equal(bare.stored.json.landmarks, null);
  assert.ok([...bare.stored.tensors.keys()].every((name) => !name.startsWith("landmarks.")));
  const mapping = await bare.map(query, { epochs: 2 });
  assert.equal(mapping.umap, null);
  assert.deepEqual(Object.keys(mapping.additions().obsm!), ["X_scpoli"]);
  assert.deepEqual(
    mapping.verdict.reasons.map(({ criterion }) => criterion),
    ["genes", "distance", "unknown", "agreement"],
  );
  const bytes = await Promise.all(
    [1, 2].map(async (threads) => {
      const path = join(folder, `threads-${threads}`);
      await (await ScPoli.train(reference, { ...quick, epochs: 5, threads })).save(path);
      return readFileSync(join(path, "model.safetensors"));
    }),
  );
  assert.ok(bytes[0]!.equals(bytes[1]!));
  const { code } = await scpoli([
    "train",
    reference.path,
    "-o",
    join(folder, "bare"),
    "--condition-key",
    "donor",
    "--epochs",
    "1",
    "--hidden",
    "8",
    "--no-landmarks",
  ]);
  assert.equal(code, 0);
  assert.equal(
    (JSON.parse(readFileSync(join(folder, "bare", "model.json"), "utf8")) as { landmarks: unknown })
      .landmarks,
    null,
  );
});

test("damaged landmarks are an error that names them", async () => {
  const path = join(folder, "damaged");
  await model.save(path);
  const text = readFileSync(join(path, "model.json"), "utf8");
  writeFileSync(join(path, "model.json"), text.replace('"neighbor_distance":', '"neighbour":'));
  await assert.rejects(
    ScPoli.load(path),
    (error) =>
      error instanceof ScPoliError &&
      error.kind === "model" &&
      /landmarks\.neighbor_distance is missing/.test(error.message),
  );
});

test("verdict: green for a query like the reference; not with missing genes or new types", async () => {
  // of six donors, as two say little of how another one may differ
  const wide = await makeAtlas("wide", { cells: 1200, conditions: ["d1", "d2", "d3", "d4", "d5", "d6"] });
  const alike = (await (await ScPoli.train(wide, quick)).map(query, { epochs: 10 })).verdict;
  assert.equal(alike.light, "green", JSON.stringify(alike));
  const strange = await makeAtlas("strange", {
    cells: 200,
    conditions: ["q2"],
    types: ["Platelet"],
    seed: 3,
    label: () => null,
  });
  const unknown = (await model.map(strange, { epochs: 10 })).verdict;
  assert.notEqual(unknown.light, "green", JSON.stringify(unknown));
  const partial = await makeAtlas("partial", {
    cells: 200,
    conditions: ["q3"],
    seed: 4,
    geneOrder: (genes) => genes.slice(0, 80),
  });
  const missing = (await model.map(partial, { epochs: 10 })).verdict.reasons;
  assert.equal(missing.find(({ criterion }) => criterion === "genes")!.light, "amber");
});

test("each number has its light, and the worst of them is the verdict", () => {
  const good: VerdictMeasures = {
    cells: 100,
    geneCoverage: 0.9,
    depth: { query: 1000, reference: [500, 1000, 2000] },
    distantShare: 0.05,
    unknownShare: 0.05,
    isUnlike: false,
    clusters: [
      { cluster: 0, cells: 80, isNovel: false },
      { cluster: 3, cells: 20, isNovel: false },
    ],
    disagreeingShare: 0.1,
    apartShare: 0.05,
    mixing: 0.9,
  };
  assert.equal(judgeMapping(good).light, "green");
  const changes: [Partial<VerdictMeasures>, string][] = [
    [{ geneCoverage: 0.6 }, "amber"],
    [{ geneCoverage: 0.4 }, "red"],
    [{ depth: { query: 400, reference: [500, 1000, 2000] } }, "amber"],
    [{ depth: { query: 7000, reference: [500, 1000, 2000] } }, "red"],
    [{ distantShare: 0.3 }, "amber"],
    [{ unknownShare: 0.6 }, "red"],
    [{ apartShare: 0.6 }, "red"],
    [{ disagreeingShare: 0.4 }, "amber"],
    [{ unknownShare: null, isUnlike: true }, "red"],
    [{ clusters: [{ cluster: 3, cells: 20, isNovel: true }] }, "amber"],
    [{ clusters: [{ cluster: 3, cells: 60, isNovel: true }] }, "red"],
    [{ clusters: null, disagreeingShare: null }, "green"],
    [{ cells: 1, distantShare: 1 }, "amber"],
    [{ mixing: 0.3 }, "amber"],
    [{ mixing: null, depth: null }, "green"],
  ];
  for (const [change, light] of changes)
    assert.equal(judgeMapping({ ...good, ...change }).light, light, JSON.stringify(change));
  const [, few] = judgeMapping({ ...good, cells: 1, distantShare: 1 }).reasons;
  assert.match(few!.text, /^Too few cells to judge: 1/);
});

test("a moved threshold moves the verdict's reason and its light with it", () => {
  const measures: VerdictMeasures = {
    cells: 100,
    geneCoverage: 0.9,
    depth: null,
    distantShare: 0.05,
    unknownShare: 0.05,
    isUnlike: false,
    clusters: null,
    disagreeingShare: null,
    apartShare: 0.05,
    mixing: 0.9,
  };
  const before = judgeMapping(measures);
  assert.deepEqual(withUnknownShare(before, 0.6), judgeMapping({ ...measures, unknownShare: 0.6 }));
  assert.deepEqual(withUnknownShare(withUnknownShare(before, 0.6), 0.05), before);
  assert.deepEqual(withUnknownShare(before, null), judgeMapping({ ...measures, unknownShare: null }));
  const unlike = judgeMapping({ ...measures, unknownShare: null, isUnlike: true });
  assert.deepEqual(withUnknownShare(unlike, 0.3), judgeMapping({ ...measures, unknownShare: 0.3 }));
  const few = judgeMapping({ ...measures, cells: 3 });
  assert.deepEqual(withUnknownShare(few, 0.9), few);
});
