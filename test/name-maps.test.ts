// Maps of gene and cell type names: renamed and unchanged names, ambiguous maps, and a mapping between two
// vocabularies.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { AnnData, ScPoli, writeH5ad, type NameMap, type Note } from "../dist/index.js";
import { readLabels } from "../dist/data/labels.js";
import { renameGenes, renameLabels } from "../dist/data/name-maps.js";
import { scpoli, temporaryFolder } from "./command.js";
import { frame, strings } from "./memory.js";
import { simulate } from "./simulate.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);

describe("genes", () => {
  const genes = frame(["Actb", "Cd3e", "Ighm", "mt-Co1"]);
  const rename = async (map: NameMap) => {
    const notes: Note[] = [];
    const { genes: renamed, report } = await renameGenes(genes, map, (note) => notes.push(note));
    return { names: await renamed.index(), report, notes };
  };

  test("genes in the map are renamed, others keep their names; both are reported", async () => {
    const { names, report, notes } = await rename([
      ["mouse", "human"],
      ["Actb", "ACTB"],
      ["Cd3e", "CD3E"],
      ["Ighm", ""],
      ["Lyz2", "LYZ"],
    ]);
    assert.deepEqual(names, ["ACTB", "CD3E", "Ighm", "mt-Co1"]);
    assert.deepEqual(report, { renamed: 2, kept: ["Ighm", "mt-Co1"], absent: ["mouse", "Lyz2"] });
    assert.match(
      notes[0]!.message,
      /2 genes of the file renamed; 2 not in the map and unchanged: 'Ighm', 'mt-Co1'; 2 of the map not in the file: 'mouse', 'Lyz2'/,
    );
  });

  const wrong: Readonly<Record<string, readonly [NameMap, RegExp]>> = {
    "two genes to one name": [
      [
        ["Actb", "ACTB"],
        ["Cd3e", "ACTB"],
      ],
      /not one-to-one.*'Actb' and 'Cd3e' to 'ACTB'/,
    ],
    "a gene to the name of another": [[["Actb", "Cd3e"]], /'Actb' and 'Cd3e' \(not in the map\) to 'Cd3e'/],
    "one gene to two names": [
      [
        ["Actb", "ACTB"],
        ["Actb", "ACTG1"],
      ],
      /more than one new name: 'Actb' \('ACTB', 'ACTG1'\)/,
    ],
    "columns the wrong way round": [
      [
        ["ACTB", "Actb"],
        ["CD3E", "Cd3e"],
      ],
      /None of the 2 names.*2 of them are in the second column.*swapped/,
    ],
    "another species": [[["CG4027", "ACTB"]], /'CG4027'.*'Actb'.*first column/],
  };
  for (const [what, [map, says]] of Object.entries(wrong))
    test(`refused: ${what}`, () => assert.rejects(rename(map), { kind: "format", message: says }));

  test("two genes may swap their names, and the same pair may come twice", async () => {
    const { names } = await rename([
      ["Actb", "Cd3e"],
      ["Cd3e", "Actb"],
      ["Cd3e", "Actb"],
    ]);
    assert.deepEqual(names, ["Cd3e", "Actb", "Ighm", "mt-Co1"]);
  });
});

test("cell type maps merge types; empty names are no label; unmapped types stay", async () => {
  const obs = frame(["c0", "c1", "c2", "c3", "c4"], {
    type: strings(["CD4 T", "CD8 T", "B", "debris", null]),
    donor: strings(["CD4 T", "d", "d", "d", "d"]),
  });
  const notes: Note[] = [];
  const { obs: renamed, report } = await renameLabels(
    obs,
    ["type"],
    [
      ["CD4 T", "T"],
      ["CD8 T", "T"],
      ["debris", ""],
      ["NK", "ILC"],
    ],
    (note) => notes.push(note),
  );
  const { names, codes } = await readLabels(renamed, ["type"]);
  assert.deepEqual(
    [names, [...codes]],
    [
      ["B", "T"],
      [1, 1, 0, -1, -1],
    ],
  );
  assert.deepEqual(report, { renamed: 3, kept: ["B"], absent: ["NK"] });
  assert.equal(notes[0]!.level, "warning");
  assert.deepEqual(await renamed.column("donor"), await obs.column("donor"));
  await assert.rejects(
    renameLabels(obs, ["type"], [["NK", "ILC"]], () => undefined),
    { kind: "format", message: /None of the 1 names of the label map is a cell type/ },
  );
});

test("a reference and a query in two vocabularies: the same answer as in one", async () => {
  const other = (name: string): string => name.replace("gene", "Gene, mouse ");
  const [reference, query] = [
    simulate({ conditions: ["a", "b"], seed: 1 }).data,
    simulate({ cells: 90, conditions: ["c"], seed: 2 }).data,
  ];
  const renamed = { ...query, var: { index: query.var.index.map(other) } };
  await writeH5ad(at("reference.h5ad"), reference);
  await writeH5ad(at("query.h5ad"), query);
  await writeH5ad(at("mouse.h5ad"), renamed);
  const map = [["mouse", "human"], ...renamed.var.index.map((name, g) => [name, query.var.index[g]!])] as [
    string,
    string,
  ][];
  writeFileSync(at("orthologs.csv"), map.map(([name, newName]) => `"${name}",${newName}\r\n`).join(""));
  writeFileSync(at("harmonised.tsv"), "T cell\tlymphocyte\nB cell\tlymphocyte\n");

  const trained = await scpoli([
    "train",
    at("reference.h5ad"),
    "-o",
    at("model"),
    "--condition-key",
    "donor",
    "--cell-type-key",
    "cell_type",
    "--label-map",
    at("harmonised.tsv"),
    "--epochs",
    "3",
    "--json",
  ]);
  assert.equal(trained.code, 0, trained.stderr);
  const { cell_types, provenance } = JSON.parse(trained.stdout) as {
    cell_types: Record<string, Record<string, number>>;
    provenance: Record<string, unknown>;
  };
  assert.deepEqual(Object.keys(cell_types["cell_type"]!), ["lymphocyte", "monocyte"]);
  assert.deepEqual(provenance["label_map"], { renamed: 2, kept: ["monocyte"], absent: [] });

  const mapped = await scpoli([
    "map",
    at("mouse.h5ad"),
    "--reference",
    at("model"),
    "-o",
    at("mapped.h5ad"),
    "--gene-map",
    at("orthologs.csv"),
    "--epochs",
    "2",
    "--json",
  ]);
  assert.equal(mapped.code, 0, mapped.stderr);
  const { genes, gene_map } = JSON.parse(mapped.stdout) as { genes: { found: number }; gene_map: object };
  assert.equal(genes.found, 60);
  assert.deepEqual(gene_map, { renamed: 60, kept: [], absent: ["mouse"] });
  const model = await ScPoli.load(at("model"));
  const plain = await model.map(await AnnData.open(at("query.h5ad")), { epochs: 2 });
  const file = await AnnData.open(at("mapped.h5ad"));
  assert.deepEqual(Float32Array.from((await file.obsm("X_scpoli")).values), plain.latent);
  assert.equal(((await file.uns("scpoli")) as { genes_renamed: number }).genes_renamed, 60);
  await assert.rejects(model.map(await AnnData.open(at("mouse.h5ad"))), {
    kind: "format",
    message: /None of the model's 60 genes is in the file/,
  });
});

describe("files", () => {
  const broken: Readonly<Record<string, readonly [string, RegExp]>> = {
    "three-columns.csv": ["a,b\nc,d,e\n", /line 2: 'c,d,e' has 3 columns\. Expected two columns/],
    "one-column.tsv": ["a\n", /line 1: 'a' has 1 column\./],
    "no-name.csv": ['"",b\n', /line 1.*no first name/],
    "empty.csv": ["\n", /is empty/],
    "absent.csv": ["", /There is no file/],
  };
  for (const [name, [text, says]] of Object.entries(broken))
    test(name, async () => {
      if (text !== "") writeFileSync(at(name), text);
      if (!existsSync(at("any.h5ad"))) await writeH5ad(at("any.h5ad"), simulate({ cells: 20 }).data);
      const { code, stderr } = await scpoli([
        "train",
        at("any.h5ad"),
        "-o",
        at("none"),
        "--condition-key",
        "donor",
        "--gene-map",
        at(name),
      ]);
      assert.equal(code, 3, stderr);
      assert.match(stderr, says);
      assert.ok(!existsSync(at("none")), "nothing is written");
    });
});
