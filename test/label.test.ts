// `scpoli label`: unlabelled prototypes and chosen cells become cell types of a trained model, in the library
// and on the command line.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import { ScPoli, type LabelOptions } from "../dist/index.js";
import { folder, makeAtlas, texts } from "./atlas.ts";
import { scpoli } from "./command.ts";

const at = (name: string): string => join(folder, name);
const quick = { hiddenLayerSizes: [32], epochs: 60, alphaEpochAnneal: 20, eta: 5 };
const types = ["B", "NK", "T", "Platelet"];
const reference = await makeAtlas("reference", { cells: 400, conditions: ["d1", "d2"] });
const query = await makeAtlas("query", { cells: 200, conditions: ["q1"], types, seed: 2, label: () => null });
const model = await ScPoli.train(reference, {
  ...quick,
  conditionKeys: ["donor"],
  cellTypeKeys: ["cell_type", "lineage"],
});
const mapped = await model.map(query, { epochs: 10, unlabeledPrototypes: "leiden", resolution: 0.3 });
const truth = await texts(query, "truth");
await mapped.model.save(at("model"));

/** Share of the true platelets that are called so. */
async function recall(grown: ScPoli, name: string): Promise<number> {
  const { predictions } = await grown.embed(query);
  const row = grown.stored.json.cell_types.indexOf(name);
  const typeCells = truth.flatMap((type, cell) =>
    type === "Platelet" ? [predictions[0]!.predicted[cell] === row] : [],
  );
  return typeCells.filter(Boolean).length / typeCells.length;
}
/** Numbers of the unlabelled prototypes that are mostly platelets. */
function plateletClusters(): number[] {
  return mapped.model.stored.json.unlabeled_prototypes.flatMap(({ cluster }, row) => {
    const clusterTypes = truth.filter((_, cell) => mapped.clusters![cell] === row);
    return clusterTypes.filter((type) => type === "Platelet").length > clusterTypes.length / 2
      ? [cluster]
      : [];
  });
}

test("an unlabelled prototype becomes a cell type; known types keep their rows", async () => {
  const clusters = plateletClusters();
  const before = mapped.model.stored;
  const grown = await mapped.model.label({ name: "Platelet", clusters });
  const { json, tensors } = grown.stored;
  assert.deepEqual(json.cell_types, [...before.json.cell_types, "Platelet"]);
  assert.deepEqual(json.levels, [
    [...before.json.levels[0]!, before.json.cell_types.length],
    before.json.levels[1],
  ]);
  assert.deepEqual(
    json.unlabeled_prototypes,
    before.json.unlabeled_prototypes.filter(({ cluster }) => !clusters.includes(cluster)),
  );
  assert.deepEqual(
    tensors.get("prototypes")!.data.subarray(0, before.tensors.get("prototypes")!.data.length),
    before.tensors.get("prototypes")!.data,
  );
  assert.deepEqual(json.calibration, before.json.calibration);
  assert.ok((await recall(grown, "Platelet")) > 0.9, `${await recall(grown, "Platelet")}`);
  assert.deepEqual(json.provenance["labelled"], [
    {
      name: "Platelet",
      level: "cell_type",
      cells: json.prototype_counts.at(-1),
      from: `unlabelled prototype ${clusters.join(", ")}`,
    },
  ]);
  const last = Math.max(...before.json.unlabeled_prototypes.map(({ cluster }) => cluster));
  const { model: named } = await (
    await mapped.model.label({ name: "last", clusters: [last] })
  ).map(query, { unlabeledPrototypes: { kmeans: 1 } });
  assert.equal(
    named.stored.json.unlabeled_prototypes.at(-1)!.cluster,
    last + 1,
    "its number is not given again",
  );
  assert.equal(
    mapped.model.stored.json.cell_types.length,
    before.json.cell_types.length,
    "the model itself stays",
  );
});

test("several unlabelled prototypes are pooled as if their cells had been one cluster", async () => {
  const { model: two } = await model.map(query, { epochs: 10, unlabeledPrototypes: { kmeans: 2 } });
  const { model: one } = await model.map(query, { epochs: 10, unlabeledPrototypes: { kmeans: 1 } });
  const pooled = (await two.label({ name: "all", clusters: [0, 1] })).stored;
  const whole = (await one.label({ name: "all", clusters: [0] })).stored;
  for (const name of ["prototypes", "prototype_covariances"]) {
    const expected = whole.tensors.get(name)!.data;
    pooled.tensors
      .get(name)!
      .data.forEach((value, i) =>
        assert.ok(Math.abs(value - expected[i]!) < 1e-5, `${name}[${i}]: ${value}, ${expected[i]}`),
      );
  }
  assert.equal(pooled.json.prototype_counts.at(-1), 200);
  assert.ok(!pooled.tensors.has("unlabeled_prototypes"), "none is left");
});

test("cells of a file become a cell type: the mean of their latent positions", async () => {
  const grown = await mapped.model.label({
    name: "Thrombocyte",
    cells: query,
    select: { truth: ["Platelet"], donor: ["q1"] },
  });
  const platelets = Array.from(truth.keys()).filter((cell) => truth[cell] === "Platelet");
  const D = grown.stored.json.model.latent_dim;
  const mean = Array.from(
    { length: D },
    (_, d) => platelets.reduce((sum, cell) => sum + mapped.latent[cell * D + d]!, 0) / platelets.length,
  );
  const { data } = grown.stored.tensors.get("prototypes")!;
  mean.forEach((value, d) =>
    assert.ok(Math.abs(value - data[data.length - D + d]!) < 1e-5, `dimension ${d}`),
  );
  assert.ok((await recall(grown, "Thrombocyte")) > 0.9, `${await recall(grown, "Thrombocyte")}`);
  assert.deepEqual(grown.stored.json.unlabeled_prototypes, mapped.model.stored.json.unlabeled_prototypes);
});

test("cells may be selected by rows; invalid rows are reported", async () => {
  const rows = truth.flatMap((type, cell) => (type === "Platelet" ? [cell] : []));
  const grown = await mapped.model.label({ name: "Platelet", cells: query, rows });
  assert.deepEqual(grown.stored.json.provenance["labelled"], [
    { name: "Platelet", level: "cell_type", cells: rows.length, from: "rows of the file" },
  ]);
  assert.ok((await recall(grown, "Platelet")) > 0.9);
  await assert.rejects(mapped.model.label({ name: "x", cells: query, rows: [0, 200] }), {
    kind: "key",
    message: /no cell in row 200/,
  });
  await assert.rejects(mapped.model.label({ name: "x", cells: query, rows: [] }), {
    kind: "key",
    message: /rows is empty/,
  });
  await assert.rejects(
    mapped.model.label({ name: "x", cells: query, rows: [1], select: { donor: ["q1"] } }),
    { kind: "usage" },
  );
});

test("a model without cell types gets a level, then labels its cells and flags distant ones", async () => {
  const plain = await ScPoli.train(reference, { ...quick, conditionKeys: ["donor"] });
  let grown = plain;
  for (const type of ["B", "NK", "T"])
    grown = await grown.label({ name: type, cells: reference, select: { truth: [type] } });
  await grown.save(at("levelled"));
  const loaded = await ScPoli.load(at("levelled"));
  assert.deepEqual(
    [loaded.stored.json.cell_type_keys, loaded.stored.json.cell_types],
    [["cell_type"], ["B", "NK", "T"]],
  );
  const [level] = (await loaded.embed(reference)).predictions;
  const names = await texts(reference, "truth");
  const right =
    names.filter((name, cell) => loaded.stored.json.cell_types[level!.predicted[cell]!] === name).length /
    names.length;
  assert.ok(right > 0.9, `${right}`);
  const unknown = level!.unknown.reduce((sum, flag) => sum + flag, 0) / names.length;
  assert.ok(unknown < 0.15, `${unknown} of the cells that it was made from are unknown`);
});

describe("refused", () => {
  const wrong: Readonly<Record<string, readonly [LabelOptions, string, RegExp]>> = {
    "a name that is taken": [
      { name: "NK", clusters: [0] },
      "key",
      /already has a cell type 'NK' \('cell_type'\)/,
    ],
    "a name that is taken at another level": [
      { name: "B lineage", clusters: [0] },
      "key",
      /already has a cell type 'B lineage' \('lineage'\)/,
    ],
    "a name that means no label": [{ name: "Unknown", clusters: [0] }, "usage", /'Unknown' means "no label"/],
    "a level that is not there": [
      { name: "x", level: "subtype", clusters: [0] },
      "key",
      /no annotation level 'subtype'; its levels are 'cell_type', 'lineage'/,
    ],
    "an unlabelled prototype that is not there": [
      { name: "x", clusters: [0, 77] },
      "key",
      /no unlabelled prototype 77; it has 0, 1/,
    ],
    "no cells": [{ name: "x" }, "usage", /which cells get the name/],
    "cells and clusters": [{ name: "x", clusters: [0], cells: query }, "usage", /which cells get the name/],
    "a value that is not there": [
      { name: "x", cells: query, select: { truth: ["Basophil"] } },
      "key",
      /obs\['truth'\] has no value 'Basophil'; it has 'B'/,
    ],
    "values that no cell has together": [
      { name: "x", cells: reference, select: { truth: ["B"], lineage: ["T/NK lineage"] } },
      "key",
      /None of the 400 cells has truth=B lineage=T\/NK lineage/,
    ],
  };
  for (const [what, [options, kind, says]] of Object.entries(wrong))
    test(what, () => assert.rejects(mapped.model.label(options), { kind, message: says }));
});

describe("on the command line", () => {
  test("a cluster; the model is whole afterwards", async () => {
    const clusters = plateletClusters().join(",");
    const { code, stdout, stderr } = await scpoli([
      "label",
      at("model"),
      "--cluster",
      clusters,
      "--name",
      "Platelet, activated",
      "-o",
      at("by-cluster"),
      "--json",
    ]);
    assert.equal(code, 0, stderr);
    const { cell_types, prototypes } = JSON.parse(stdout) as {
      cell_types: Record<string, Record<string, number>>;
      prototypes: { name: string; cluster?: number }[];
    };
    assert.ok("Platelet, activated" in cell_types["cell_type"]!, stdout);
    assert.ok(
      prototypes.every(
        ({ cluster }) => cluster === undefined || !clusters.split(",").includes(String(cluster)),
      ),
      stdout,
    );
    assert.ok(
      (await recall(await ScPoli.load(at("by-cluster")), "Platelet, activated")) > 0.9,
      "platelets are called so",
    );
  });

  test("cells, at a level; the table of prototypes is shown", async () => {
    const { code, stdout, stderr } = await scpoli([
      "label",
      at("model"),
      "--cells",
      query.path,
      "--select",
      "truth=Platelet",
      "--name",
      "Megakaryocyte lineage",
      "--level",
      "lineage",
      "-o",
      at("by-cells"),
    ]);
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /prototype +level +cells +spread +nearest +distance[^]*Megakaryocyte lineage +lineage +\d+/,
    );
    assert.match(stderr, /'Megakaryocyte lineage' is the mean of \d+ cells \(truth=Platelet\)/);
    const { json } = (await ScPoli.load(at("by-cells"))).stored;
    assert.deepEqual(
      json.levels[1]!.map((row) => json.cell_types[row]),
      ["B lineage", "T/NK lineage", "Megakaryocyte lineage"],
    );
  });

  test("cells that a table names, by a column of the table", async () => {
    const names = await query.obs.index();
    const rows = truth.flatMap((type, cell) =>
      type === "Platelet" ? [`${names[cell]!},"Platelet, activated"`] : [`${names[cell]!},B`],
    );
    // a cell of two types, as after two corrections on the page
    const platelet = truth.indexOf("Platelet");
    writeFileSync(at("cells.csv"), ["cell,added_type", `${names[platelet]!},B`, ...rows, ""].join("\n"));
    const { code, stderr } = await scpoli([
      ...["label", at("model"), "--cells", query.path, "--cell-table", at("cells.csv")],
      ...["--select", "added_type=Platelet\\, activated", "--name", "Platelet", "-o", at("by-table")],
    ]);
    assert.equal(code, 0, stderr);
    const bySelect = await mapped.model.label({
      name: "Platelet",
      cells: query,
      select: { truth: ["Platelet"] },
    });
    const prototypes = (grown: ScPoli) => grown.stored.tensors.get("prototypes")!.data;
    assert.deepEqual(prototypes(await ScPoli.load(at("by-table"))), prototypes(bySelect));
  });

  const table = (name: string, text: string): string => {
    writeFileSync(at(name), text);
    return at(name);
  };
  const named = ["--name", "x", "--cells", query.path, "--cell-table"];
  for (const [args, exit, says] of [
    [[...named, at("absent.csv")], 3, /There is no file .*absent\.csv/],
    [[...named, table("header.csv", "cell,type\n")], 3, /header\.csv has no rows.*a row per cell/],
    [[...named, table("other.csv", "cell\nnone-such-cell\n")], 3, /names the cell 'none-such-cell', which/],
    [
      [...named, table("column.csv", "cell,type\nc,B\n"), "--select", "kind=B"],
      3,
      /has no column 'kind'; it has 'cell', 'type'/,
    ],
    [
      [...named, table("value.csv", "cell,type\nc,B\n"), "--select", "type=NK"],
      3,
      /has no value 'NK' in its column 'type'; it has 'B'/,
    ],
    [
      ["--name", "x", "--cluster", "1", "--cell-table", at("cells.csv")],
      2,
      /--cell-table selects cells of a file/,
    ],
    [["--name", "x"], 2, /either --cluster NUMBER, or --cells FILE/],
    [["--name", "x", "--cluster", "1", "--select", "a=b"], 2, /give the file with --cells/],
    [["--name", "x", "--cluster", "77"], 3, /no unlabelled prototype 77/],
    [["--cluster", "0"], 2, /--name/],
  ] as const)
    test(`${args.map((one) => basename(one)).join(" ")}: exit ${exit}, nothing written`, async () => {
      const { code, stderr } = await scpoli(["label", at("model"), "-o", at("none"), ...args]);
      assert.equal(code, exit, stderr);
      assert.match(stderr, says);
      assert.ok(!existsSync(at("none")), "nothing is written");
    });
});
