// Growing a model without retraining it: unlabelled prototypes, a query that brings labels, half-labelled
// references.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { AnnData, ScPoli, type Mapping, type Note } from "../dist/index.js";
import { formatVersion } from "../dist/model/stored-model.js";
import { folder, makeAtlas, texts } from "./atlas.ts";

const keys = { conditionKeys: ["donor"], cellTypeKeys: ["cell_type", "lineage"] };
const quick = { hiddenLayerSizes: [32], epochs: 60, alphaEpochAnneal: 20, eta: 5 };
const at = (name: string): string => join(folder, name);

const reference = await makeAtlas("reference", { cells: 500, conditions: ["d1", "d2", "d3"] });
const withPlatelets = { types: ["B", "NK", "T", "Platelet"], seed: 2 };
const query = await makeAtlas("labelled-query", { cells: 240, conditions: ["q1", "q2"], ...withPlatelets });
const model = await ScPoli.train(reference, { ...keys, ...quick });
const epochs = { epochs: 10 };

/** Share of the cells of a true type that are called by it at the first level. */
async function recall(mapped: Mapping<ScPoli>, data: AnnData, type: string): Promise<number> {
  const truth = await texts(data, "truth");
  const names = mapped.model.stored.json.cell_types;
  const typeCells = truth.flatMap((name, cell) =>
    name === type ? [names[mapped.predictions[0]!.predicted[cell]!] === type] : [],
  );
  return typeCells.filter(Boolean).length / typeCells.length;
}

describe("a query with labels", () => {
  test("new cell types get prototypes, known ones do not change, later queries use both", async () => {
    const notes: Note[] = [];
    const mapped = await model.map(query, {
      ...epochs,
      cellTypeKeys: { cell_type: "truth" },
      output: at("labelled.h5ad"),
      onNote: (note) => notes.push(note),
    });
    const [before, after] = [model.stored, mapped.model.stored];
    assert.deepEqual(after.json.cell_types, [...before.json.cell_types, "Platelet"]);
    assert.deepEqual(after.json.levels, [
      [...before.json.levels[0]!, before.json.cell_types.length],
      before.json.levels[1],
    ]);
    for (const name of ["prototypes", "prototype_covariances"])
      assert.deepEqual(
        after.tensors.get(name)!.data.subarray(0, before.tensors.get(name)!.data.length),
        before.tensors.get(name)!.data,
        name,
      );
    for (const name of ["encoder.FC.L0.expr_L.weight", "decoder.mean_decoder.0.weight"])
      assert.deepEqual(after.tensors.get(name), before.tensors.get(name));
    assert.deepEqual(after.json.prototype_counts.slice(0, -1), before.json.prototype_counts);

    const truth = await texts(query, "truth");
    const cells = (type: string): number => truth.filter((name) => name === type).length;
    const [level] = mapped.summary().labels!;
    assert.deepEqual(level, {
      key: "cell_type",
      column: "truth",
      known: { B: cells("B"), NK: cells("NK"), T: cells("T") },
      new: { Platelet: cells("Platelet") },
      unlabeled: 0,
      similar: [],
    });
    assert.equal(after.json.prototype_counts.at(-1), cells("Platelet"));
    assert.ok(
      notes.some(({ message }) => /New cell types of 'cell_type'.*'Platelet' \(\d+\)/.test(message)),
      notes.map(({ message }) => message).join("; "),
    );
    const uns = (await (await AnnData.open(at("labelled.h5ad"))).uns("scpoli")) as {
      new_cell_types: readonly string[];
    };
    assert.deepEqual([...uns.new_cell_types], ["cell_type: Platelet"]);
    assert.deepEqual(await texts(await AnnData.open(at("labelled.h5ad")), "cell_type_completed"), truth);

    await mapped.model.save(at("grown"));
    const grown = await ScPoli.load(at("grown"));
    const later = await makeAtlas("later", {
      cells: 160,
      conditions: ["r1"],
      ...withPlatelets,
      seed: 5,
      label: () => null,
    });
    const again = await grown.map(later, epochs);
    for (const type of withPlatelets.types)
      assert.ok((await recall(again, later, type)) > 0.8, `${type}: ${await recall(again, later, type)}`);
    assert.equal(await recall(await model.map(later, epochs), later, "Platelet"), 0);
  });

  test("also where nothing is to be learnt, and for a type that is known at another level only", async () => {
    const known = await makeAtlas("known", {
      cells: 120,
      conditions: ["d1"],
      types: ["B", "Platelet"],
      seed: 3,
      label: (type, cell) => (cell % 3 === 0 ? "Unknown" : type === "B" ? "T/NK lineage" : type),
    });
    const mapped = await model.map(known, {
      cellTypeKeys: { cell_type: "cell_type" },
      labelMap: [["Platelet", "Thrombocyte"]],
    });
    const { json } = mapped.model.stored;
    assert.equal(mapped.report.epochs, 0);
    assert.deepEqual(json.cell_types, [...model.stored.json.cell_types, "Thrombocyte"]);
    assert.deepEqual(
      json.levels[0]!.map((row) => json.cell_types[row]),
      ["B", "NK", "T", "T/NK lineage", "Thrombocyte"],
    );
    assert.equal(mapped.report.labels![0]!.unlabeled, 40);
    assert.deepEqual(mapped.report.label_map, { renamed: 1, kept: ["T/NK lineage", "Unknown"], absent: [] });
    assert.equal(mapped.model.summary().prototypes.at(-1)!.name, "Thrombocyte");
  });

  test("known types only: the model's cell types are as before", async () => {
    const mapped = await model.map(query, { ...epochs, cellTypeKeys: { lineage: "lineage" } });
    assert.deepEqual(mapped.model.stored.json.cell_types, model.stored.json.cell_types);
    assert.deepEqual(mapped.model.stored.tensors.get("prototypes"), model.stored.tensors.get("prototypes"));
  });

  test("embed keeps types unknown to the model in the completed column", async () => {
    const known = await makeAtlas("half-known", {
      cells: 60,
      conditions: ["d2"],
      types: ["B", "Platelet"],
      seed: 8,
      label: (type, cell) => (cell % 2 ? type : null),
    });
    const {
      model: same,
      report,
      predictions,
    } = await model.embed(known, {
      output: at("half-known-embedded.h5ad"),
      cellTypeKeys: { cell_type: "cell_type" },
    });
    assert.equal(same, model);
    assert.equal(report.labels![0]!.unlabeled, 30);
    const truth = await texts(known, "truth");
    const expected = truth.map((type, cell) =>
      cell % 2 ? type : model.stored.json.cell_types[predictions[0]!.predicted[cell]!],
    );
    assert.deepEqual(
      await texts(await AnnData.open(at("half-known-embedded.h5ad")), "cell_type_completed"),
      expected,
    );
  });

  test("a level that the model does not have", () =>
    assert.rejects(model.map(query, { cellTypeKeys: { subtype: "truth" } }), {
      kind: "key",
      message: /no annotation level 'subtype'; its levels are 'cell_type', 'lineage'/,
    }));
});

describe("unlabelled prototypes", () => {
  test("of a query: clusters per cell, stored in the model; the unknown type is a cluster", async () => {
    const mapped = await model.map(query, {
      ...epochs,
      unlabeledPrototypes: "leiden",
      resolution: 0.3,
      output: at("clustered.h5ad"),
    });
    const { json, tensors } = mapped.model.stored;
    const truth = await texts(query, "truth");
    const clusters = Array.from(mapped.clusters!);
    const most = (type: string): number => {
      const typeClusters = clusters.filter((_, cell) => truth[cell] === type);
      return Math.max(
        ...json.unlabeled_prototypes.map(
          (_, row) => typeClusters.filter((cluster) => cluster === row).length / typeClusters.length,
        ),
      );
    };
    assert.ok(most("Platelet") > 0.9, `platelets together: ${most("Platelet")}`);
    assert.equal(
      json.unlabeled_prototypes.reduce((sum, { cells }) => sum + cells, 0),
      query.nObs,
    );
    assert.deepEqual(
      json.unlabeled_prototypes.map(({ cluster }) => cluster),
      json.unlabeled_prototypes.map((_, i) => i),
    );
    assert.deepEqual(tensors.get("prototypes"), model.stored.tensors.get("prototypes"));
    const column = await texts(await AnnData.open(at("clustered.h5ad")), "scpoli_cluster");
    assert.deepEqual(column, clusters.map(String));
    assert.equal(
      mapped.summary().clusters!.reduce((sum, { cells }) => sum + cells, 0),
      query.nObs,
    );

    await mapped.model.save(at("clustered"));
    const loaded = await ScPoli.load(at("clustered"));
    assert.deepEqual(
      loaded.stored.tensors.get("unlabeled_prototype_covariances"),
      tensors.get("unlabeled_prototype_covariances"),
    );
    const rows = loaded.summary().prototypes;
    assert.deepEqual(
      rows.filter(({ cluster }) => cluster !== undefined).map(({ name, cells }) => [name, cells]),
      json.unlabeled_prototypes.map(({ cluster, cells }) => [`cluster ${cluster}`, cells]),
    );
    assert.ok(
      rows.every(({ spread, distance }) => spread > 0 && distance! > 0),
      JSON.stringify(rows),
    );
    assert.deepEqual((await loaded.embed(query)).clusters, mapped.clusters);

    const more = await loaded.map(await makeAtlas("more", { cells: 60, conditions: ["q3"], seed: 6 }), {
      ...epochs,
      unlabeledPrototypes: { kmeans: 3 },
    });
    const count = json.unlabeled_prototypes.length;
    assert.deepEqual(more.model.stored.json.unlabeled_prototypes.slice(0, count), json.unlabeled_prototypes);
    assert.deepEqual(
      more.model.stored.json.unlabeled_prototypes.slice(count).map(({ cluster }) => cluster),
      [count, count + 1, count + 2],
    );
  });

  test("of a reference: from unlabelled cells only; without any, none and a warning", async () => {
    const half = await makeAtlas("half", {
      cells: 200,
      conditions: ["d1", "d2"],
      label: (type, cell) => (cell % 2 ? type : "unassigned"),
    });
    const options = { ...quick, epochs: 12, conditionKeys: ["donor"], cellTypeKeys: ["cell_type"] };
    const { json } = (await ScPoli.train(half, { ...options, unlabeledPrototypes: "louvain" })).stored;
    assert.equal(
      json.unlabeled_prototypes.reduce((sum, { cells }) => sum + cells, 0),
      100,
    );
    const notes: Note[] = [];
    const labelled = await ScPoli.train(reference, {
      ...options,
      epochs: 2,
      unlabeledPrototypes: "leiden",
      onNote: (note) => notes.push(note),
    });
    assert.deepEqual(labelled.stored.json.unlabeled_prototypes, []);
    assert.ok(
      notes.some(({ level, message }) => level === "warning" && message.includes("Every cell has a label")),
      notes.map(({ message }) => message).join("; "),
    );
    const { json: plain } = (
      await ScPoli.train(half, {
        ...options,
        epochs: 4,
        cellTypeKeys: [],
        unlabeledPrototypes: { kmeans: 4 },
      })
    ).stored;
    assert.equal(
      plain.unlabeled_prototypes.reduce((sum, { cells }) => sum + cells, 0),
      200,
    );
  });

  for (const [what, options] of Object.entries({
    "a method": { unlabeledPrototypes: "dbscan" as "leiden" },
    "no clusters": { unlabeledPrototypes: { kmeans: 0 } },
    "a resolution": { unlabeledPrototypes: "leiden", resolution: 0 },
  } as const))
    test(`refused: ${what} that is not to be had`, async () => {
      await assert.rejects(async () => model.map(query, options), { kind: "usage" });
    });
});

test("half of the labels missing: one run writes them, of fine types from coarse ones too", async () => {
  // donor d3 carries the coarse level alone
  const data = await makeAtlas("half-labelled", {
    cells: 450,
    conditions: ["d1", "d2", "d3"],
    condition: (cell) => `d${1 + (cell % 3)}`,
    label: (type, cell) => (cell % 3 === 2 ? null : type),
  });
  const trained = await ScPoli.train(data, { ...keys, ...quick, epochs: 120 });
  const completed = await trained.embed(data, {
    output: at("completed.h5ad"),
    cellTypeKeys: { cell_type: "cell_type" },
  });
  const file = await AnnData.open(at("completed.h5ad"));
  const [truth, called, labels] = [
    await texts(data, "truth"),
    await texts(file, "cell_type_pred"),
    await texts(file, "cell_type"),
  ];
  const missing = Array.from(truth.keys()).filter((cell) => cell % 3 === 2);
  const right = missing.filter((cell) => called[cell] === truth[cell]).length / missing.length;
  assert.ok(right > 0.85, `${right} of the cells without a fine label`);
  assert.ok(
    labels.every((label, cell) => cell % 3 === 2 || label === truth[cell]),
    "the given labels stay in their column",
  );
  assert.deepEqual(
    await texts(file, "cell_type_completed"),
    labels.map((label, cell) => (cell % 3 === 2 ? called[cell] : label)),
  );
  assert.equal(completed.predictions.length, 2);
  assert.ok(!file.obs.columnNames.includes("lineage_completed"), "only where the labels were named");
});

test("a model folder of format 1, without unlabelled prototypes, still loads", async () => {
  await model.save(at("old"));
  const path = join(at("old"), "model.json");
  const { unlabeled_prototypes: none, ...json } = JSON.parse(readFileSync(path, "utf8")) as Record<
    string,
    unknown
  >;
  assert.deepEqual(none, []);
  writeFileSync(path, JSON.stringify({ ...json, format_version: 1 }));
  const loaded = await ScPoli.load(at("old"));
  assert.deepEqual(loaded.stored.json.unlabeled_prototypes, []);
  assert.deepEqual((await loaded.embed(reference)).latent, (await model.embed(reference)).latent);
  await loaded.save(at("new"));
  assert.equal(
    (JSON.parse(readFileSync(join(at("new"), "model.json"), "utf8")) as { format_version: number })
      .format_version,
    formatVersion,
  );
});
