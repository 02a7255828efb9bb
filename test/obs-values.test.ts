// The meaning of obs values: all forms of missing values, equivalent names, columns that cannot be keys,
// files with one sample, duplicated cell names. In the library and the command line.
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import {
  AnnData,
  convert,
  evaluate,
  ScPoli,
  ScPoliError,
  writeH5ad,
  type NewAnnData,
} from "../dist/index.js";
import type { Column } from "../dist/anndata/dataframe.js";
import { readQueryConditions, withConditionValues } from "../dist/data/condition-values.js";
import { checkGroups, noGroups } from "../dist/data/key-columns.js";
import { factorize, keptCells, readConditions, readLabels } from "../dist/data/labels.js";
import { isMissing, isUnlabeled } from "../dist/data/missing-values.js";
import { similarNames } from "../dist/data/same-names.js";
import type { Note } from "../dist/contract/options.js";
import { scpoli, temporaryFolder, type Outcome } from "./command.ts";
import { booleans, categorical, frame, names, numbers, strings } from "./memory.ts";
import { simulate } from "./simulate.ts";
import { writeCounts10x } from "./tenx.ts";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const [cells, genes] = [120, 30];
const good = simulate({ cells, genes });
const quick = ["--epochs", "2", "--threads", "1"];
const obs = (columns: Record<string, Column>) =>
  frame(names("c", Object.values(columns)[0]!.length), columns);

/** The simulated cells with columns replaced, or removed (null). */
function withColumns(columns: Record<string, Column | null>, index = good.data.obs.index): NewAnnData {
  const all = { ...good.data.obs.columns, ...columns };
  const kept = Object.entries(all).filter((entry): entry is [string, Column] => entry[1] !== null);
  return { ...good.data, obs: { index, columns: Object.fromEntries(kept) } };
}
const every = (step: number, value: string | null, others: readonly string[]): Column =>
  strings(others.map((name, cell) => (cell % step === 0 ? value : name)));

async function works(args: readonly string[], ...says: RegExp[]): Promise<Outcome> {
  const outcome = await scpoli(args);
  assert.equal(outcome.code, 0, outcome.stderr);
  for (const pattern of says) assert.match(outcome.stderr, pattern);
  return outcome;
}
async function fails(args: readonly string[], code: number, ...says: RegExp[]): Promise<void> {
  const outcome = await scpoli(args);
  assert.equal(outcome.code, code, outcome.stderr);
  for (const pattern of says) assert.match(outcome.stderr, pattern);
  const output = args[args.indexOf("-o") + 1]!;
  assert.ok(!existsSync(output), `${output} must not be there`);
}
async function rejects(promise: Promise<unknown>, kind: string, ...says: RegExp[]): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof ScPoliError, String(error));
    assert.equal(error.kind, kind);
    for (const pattern of says) assert.match(error.message, pattern);
    return true;
  });
}
const train = (file: string, key = "donor", ...more: string[]): string[] => [
  ...["train", at(file), "-o", at(`model of ${file}`), "--condition-key", key, ...quick, ...more],
];
const map = (file: string, ...more: string[]): string[] => [
  ...[
    "map",
    at(file),
    "--reference",
    at("model"),
    "-o",
    at(file.endsWith(".zarr") ? `mapped ${file}` : `mapped ${file}.h5ad`),
  ],
  ...["--no-training", "--threads", "1", ...more],
];

before(async () => {
  await writeH5ad(at("good.h5ad"), good.data);
  await works([
    ...["train", at("good.h5ad"), "-o", at("model"), "--condition-key", "donor"],
    ...["--cell-type-key", "cell_type", ...quick],
  ]);
});

describe("missing values", () => {
  const spellings = [
    ...["None", "<NA>", "NaT", "null", "N/A", "n/a", "#N/A", "nan", "NaN", "-", "", " ", "NA", "  NONE "],
    ...["NULL", "<na>", "pd.NA", "np.nan", "NA_character_", "-nan", "#NA", "."],
  ];

  test("in any case and with blanks around; names that only begin so are names", () => {
    for (const text of spellings) assert.ok(isMissing(text) && isUnlabeled(text), JSON.stringify(text));
    for (const text of ["nanog", "none of these", "n", "0", "NK", "null mutant", "-1", "N"])
      assert.ok(!isMissing(text) && !isUnlabeled(text), text);
    for (const text of ["Unknown", "none"])
      assert.ok(isUnlabeled(text) && !isMissing(text), `a condition may be called ${text}`);
  });

  const columns: Record<string, Column> = {
    strings: strings(["a", "None", null, "b"]),
    categories: categorical([0, 1, -1, 2], ["a", "<NA>", "b"]),
    "categories of numbers": categorical([0, 1, 1, 2], ["1.0", "nan", "2.0"]),
    numbers: numbers([1, NaN, NaN, 2]),
    booleans: booleans([true, null, null, false]),
  };
  for (const [kind, column] of Object.entries(columns))
    test(`of ${kind}: no label, an error as condition`, async () => {
      const notes: Note[] = [];
      const labels = await readLabels(obs({ key: column }), ["key"], [], {
        note: (note) => notes.push(note),
      });
      assert.deepEqual(
        Array.from(labels.codes, (code) => code < 0),
        [false, true, true, false],
      );
      assert.equal(labels.names.length, 2);
      assert.match(notes[0]!.message, /obs\['key'\]: 2 cells without a label \(.*\), of 4\./);
      await rejects(readConditions(obs({ key: column }), "key"), "key", /2 of 4 cells/, /--exclude key=NA/);
      assert.deepEqual([...(await keptCells(obs({ key: column }), { key: ["NA"] }))!], [0, 3]);
    });

  test("unusual spellings of missing values are reported", async () => {
    const file = obs({ key: strings(["a", "None", "None", "<NA>", null, "unknown"]) });
    const notes: Note[] = [];
    await readLabels(file, ["key"], [], { note: (note) => notes.push(note) });
    assert.match(notes[0]!.message, /5 cells without a label \('None', .*'<NA>'.*\)/);
    await rejects(readConditions(file, "key"), "key", /4 of 6 cells: row 1.*'None', .*'<NA>'/);
  });

  test("as a user calls it", async () => {
    await writeH5ad(at("none.h5ad"), withColumns({ cell_type: every(5, "None", good.types) }));
    const outcome = await works(
      [...train("none.h5ad", "donor", "--cell-type-key", "cell_type"), "--json"],
      /24 cells without a label \('None'\)/,
    );
    const summary = JSON.parse(outcome.stdout) as { cell_types: Record<string, Record<string, number>> };
    assert.deepEqual(Object.keys(summary.cell_types["cell_type"]!), ["B cell", "T cell", "monocyte"]);
    await writeH5ad(at("no-donor.h5ad"), withColumns({ donor: every(4, "<NA>", good.conditions) }));
    await fails(train("no-donor.h5ad"), 3, /30 of 120 cells/, /'<NA>'/, /--exclude donor=NA/);
    await works(train("no-donor.h5ad", "donor", "--exclude", "donor=NA"), /90 cells/);
    await fails(map("no-donor.h5ad"), 3, /30 of 120 cells/, /fill the column\./);
  });
});

describe("names that are the same to a person", () => {
  test("1, 1.0 and '1' are one, and so are True and TRUE", () => {
    const whole = [
      ["1", "2"],
      [0, 1, 0],
    ];
    for (const column of [
      numbers([1, 2, 1]),
      strings(["1.0", "2", "1"]),
      categorical([0, 1, 0], ["1.0", "2.0"]),
      categorical([0, 1, 2], ["1.0", "2", "1"]),
    ]) {
      const { codes, names: factorNames } = factorize(column);
      assert.deepEqual([factorNames, [...codes]], whole);
    }
    assert.deepEqual(factorize(strings(["TRUE", "true", "F"])).names, ["F", "True"]);
    assert.deepEqual(factorize(booleans([true, false])).names, ["False", "True"]);
    assert.deepEqual(factorize(strings(["1.10", "1.1", "v1.0", "01"])).names, ["01", "1.1", "1.10", "v1.0"]);
  });

  test("1.0 in a model matches 1 in a file; differences in case are reported", async () => {
    const notes: Note[] = [];
    const read = (column: Column, known: readonly string[]) =>
      readQueryConditions(obs({ run: column }), ["run"], [known], {}, (note) => notes.push(note));
    const [conditions] = await read(numbers([1, 2]), ["1.0", "x"]);
    assert.deepEqual(conditions!.names, ["1.0", "2"]);
    assert.equal(notes.length, 0);
    await read(strings(["Donor 1", "d2"]), ["donor1", "d2"]);
    assert.match(notes[0]!.message, /'Donor 1' and 'donor1'/);
  });

  test("differences in case and blanks, and others", () => {
    const known = ["B cell", "CD8- T", "type 1.2"];
    const pairs = similarNames(["b  cell", "B_cell", "B.cell ", "CD8 T", "type 12", "B cell"], known);
    assert.deepEqual(pairs, [
      ["b  cell", "B cell"],
      ["B_cell", "B cell"],
      ["B.cell ", "B cell"],
    ]);
  });

  test("labels of a query: a warning with the pairs and a ready label map", async () => {
    const types = good.types.map((name) =>
      name === "B cell" ? "b cell" : name === "T cell" ? "T cell " : name,
    );
    await writeH5ad(at("case.h5ad"), withColumns({ cell_type: strings(types) }));
    const labelled = ["--cell-type-key", "cell_type"];
    const first = await works(
      map("case.h5ad", ...labelled),
      /warning: .*'T cell ' and 'T cell'/,
      /'b cell' and 'B cell'/,
    );
    const path = at("mapped case.h5ad-label-map.tsv");
    assert.match(first.stdout, /--label-map/);
    assert.equal(readFileSync(path, "utf8"), '"T cell "\tT cell\nb cell\tB cell\n');
    const second = await works([...map("case.h5ad", ...labelled, "--label-map", path, "--force", "--json")]);
    const { labels } = JSON.parse(second.stdout) as { labels: { new: object; known: object }[] };
    assert.deepEqual(labels[0]!.new, {});
    assert.deepEqual(Object.keys(labels[0]!.known), ["B cell", "T cell", "monocyte"]);
  });

  test("cell types of a reference that differ in case alone are warned of", async () => {
    const notes: Note[] = [];
    await readLabels(obs({ type: strings(["T cell", "t cell", "B"]) }), ["type"], [], {
      note: (note) => notes.push(note),
    });
    assert.match(notes[0]!.message, /'t cell' and 'T cell'/);
    assert.equal(notes[0]!.level, "warning");
  });

  test("repeated names of cells: every step takes rows", async () => {
    const index = good.data.obs.index.map((_, cell) => `AAAC${cell % 60}-1`);
    await writeH5ad(at("twins.h5ad"), withColumns({}, index));
    await works(
      train(
        "twins.h5ad",
        "donor",
        "--cell-type-key",
        "cell_type",
        "--embed",
        at("embedded.h5ad"),
        "--report",
        at("twins.html"),
      ),
    );
    await works(map("twins.h5ad", "--report", at("mapped.html")));
    const data = await AnnData.open(at("mapped twins.h5ad.h5ad"));
    assert.deepEqual(await data.obs.index(), index);
    const scored = await evaluate(data, {
      cellTypeKey: "cell_type",
      predictionKey: "cell_type_pred",
      conditionKey: "donor",
    });
    assert.equal(scored.cells, cells);
    data.close();
  });
});

test("a condition for the whole file does not overwrite a column with other values", async () => {
  const file = obs({ donor: strings(["d1", "d1"]), sample: strings(["a", "b"]) });
  const names = async (values: Record<string, string>, key: string, force = false) =>
    factorize(await (await withConditionValues(file, values, { force })).column(key)).names;
  await rejects(names({ sample: "a" }, "sample"), "refused", /'sample' \(.*\), but 'a'.*--force/);
  await rejects(names({ sample: " " }, "sample"), "usage", /'sample' is empty/);
  assert.deepEqual(await names({ sample: "a" }, "sample", true), ["a"]);
  assert.deepEqual(await names({ donor: "d1" }, "donor"), ["d1"]);
  assert.deepEqual(await names({ batch: "x" }, "batch"), ["x"]);
  const both = { conditionKeys: { donor: "sample" }, conditionValues: { donor: "d1" } };
  await rejects(
    readQueryConditions(file, ["donor"], [["d1"]], both, () => undefined),
    "usage",
    /both a column \(sample\) and a value \(d1\)/,
  );
});

describe("columns that cannot be keys", () => {
  const code = (values: readonly (string | number)[]) =>
    factorize(typeof values[0] === "number" ? numbers(values as number[]) : strings(values as string[]));
  const many = (n: number, value: (i: number) => string | number) =>
    code(Array.from({ length: n }, (_, i) => value(i)));

  test("barcodes, scores, totals, clones; with ties too", () => {
    const no: Record<string, [string, ReturnType<typeof code>, RegExp]> = {
      barcodes: ["barcode", many(300, (i) => `AAAC${i}-1`), /different value for each of the 300 cells/],
      "of two samples": [
        "barcode",
        many(300, (i) => `AAAC${i % 150}-1`),
        /150 different values for 300 cells/,
      ],
      score: ["S_score", many(3000, (i) => ((i * 7919) % 3000) / 3000), /different value for each/],
      "score of two digits": ["x", many(3000, (i) => (i % 101) / 100), /101 different numbers.*continuous/],
      "score as text": ["x", many(3000, (i) => String((i % 101) / 100)), /continuous/],
      "few cells": ["x", many(30, (i) => (i % 18) / 7), /18 different values for 30 cells/],
      totals: ["total_counts", many(20_000, (i) => 500 + (i % 2000)), /measurement per cell/],
      clones: ["clone", many(2000, (i) => (i < 1600 ? "c0" : `c${i}`)), /most of them in a single cell/],
    };
    for (const [what, [key, factor, says]] of Object.entries(no))
      assert.match(noGroups(key, factor)!, says, what);
    const yes = {
      donors: many(300, (i) => `d${i % 6}`),
      "many samples": many(100_000, (i) => i % 4000),
      doses: many(300, (i) => (i % 6) / 10),
      "few cells each": many(24, (i) => `d${i % 6}`),
      types: many(3000, (i) => (i < 160 ? `type${i % 80}` : "T cell")),
      one: many(1, () => "a"),
    };
    for (const [what, factor] of Object.entries(yes)) assert.equal(noGroups("sample", factor), null, what);
  });

  test("the likeliest column is named", async () => {
    const columns = {
      score: numbers(Array.from({ length: 60 }, (_, i) => i / 7)),
      donor_id: strings(Array.from({ length: 60 }, (_, i) => `d${i % 3}`)),
      cell_type: strings(Array.from({ length: 60 }, (_, i) => `t${i % 4}`)),
    };
    const factor = factorize(columns.score);
    for (const [role, name] of [
      ["condition", "donor_id"],
      ["cell type", "cell_type"],
    ] as const) {
      const check = checkGroups(obs(columns), "score", factor, role);
      await rejects(check, "refused", new RegExp(`each of the 60 cells.*obs\\['${name}'\\].*--force`));
    }
    await checkGroups(obs(columns), "score", factor, "condition", { force: true });
  });

  test("as a user calls it: at once, in train, map and evaluate", async () => {
    const score = numbers(good.types.map((_, cell) => cell / 7));
    await writeH5ad(at("score.h5ad"), withColumns({ score }));
    const says = [/120 cells/, /obs\['cell_type'\]/, /--force/];
    await fails(train("score.h5ad", "donor", "--cell-type-key", "score"), 4, ...says);
    await fails(train("score.h5ad", "score"), 4, /120 cells/, /obs\['donor'\]/);
    await fails(map("score.h5ad", "--condition-key", "score"), 4, /120 cells/);
    await fails(map("score.h5ad", "--cell-type-key", "score"), 4, ...says);
    const scored = await scpoli([
      "evaluate",
      at("score.h5ad"),
      "--cell-type-key",
      "score",
      "--pred",
      "cell_type",
    ]);
    assert.equal(scored.code, 4, scored.stderr);
    await works(
      train("score.h5ad", "donor", "--cell-type-key", "score", "--force"),
      /No classifier is trained/,
    );
  });

  test('a key with "/" is refused before any work, by an old model too', async () => {
    await writeH5ad(at("slash.h5ad"), withColumns({ "cell type": strings(good.types) }));
    const data = await AnnData.open(at("good.h5ad"));
    await rejects(
      ScPoli.train(data, { conditionKeys: ["donor"], cellTypeKeys: ["cell/type"] }),
      "key",
      /"\/".*"cell\/type": "cell_type"/,
    );
    const model = await ScPoli.load(at("model"));
    Object.assign(model.stored.json, { cell_type_keys: ["cell/type"] });
    const stages: string[] = [];
    await rejects(
      model.map(data, { output: at("never.h5ad"), onProgress: ({ stage }) => stages.push(stage) }),
      "key",
      /"cell\/type_pred" cannot be a name/,
    );
    assert.deepEqual(stages, []);
    data.close();
    assert.ok(!readdirSync(folder).some((name) => name.includes("never")));
  });
});

describe("one sample without a column", () => {
  const formats: Record<string, string> = {
    h5ad: "sample.h5ad",
    zarr: "sample.zarr",
    "10x h5": "sample.h5",
    "10x folder": "sample-mtx",
  };
  before(async () => {
    await writeH5ad(at("sample.h5ad"), withColumns({ donor: null, cell_type: null }));
    const data = await AnnData.open(at("sample.h5ad"));
    await convert(data, at("sample.zarr"));
    data.close();
    await writeCounts10x(at("sample.h5"), at("sample-mtx"), {
      ...good,
      names: good.data.var.index,
      types: undefined,
    });
  });

  for (const [format, name] of Object.entries(formats))
    test(format, async () => {
      await fails(train(name, "sample"), 3, /'?sample'?/, /--condition-value NAME/);
      await works(
        train(
          name,
          "sample",
          "--condition-value",
          "s1",
          "--embed",
          at(`embedded ${name}${format === "zarr" ? "" : ".h5ad"}`),
        ),
        /one value, 's1'/,
      );
      await fails(map(name), 3, /--condition-value NAME/);
      const mapped = map(name, "--condition-value", "patient 1", "--report", at(`${name}.html`));
      await works(mapped);
      const output = mapped[mapped.indexOf("-o") + 1]!;
      const data = await AnnData.open(output);
      assert.deepEqual(factorize(await data.obs.column("donor")).names, ["patient 1"]);
      data.close();
      const embedded = format === "zarr" ? at("known.zarr") : at(`known ${name}.h5ad`);
      const embed = ["embed", at(name), "--model", at("model"), "-o", embedded, "--threads", "1"];
      await fails([...embed, "--condition-value", "new"], 3, /'new'/, /scpoli map/);
      await works([...embed, "--condition-value", "donor=a"]);
      await works(["samples", at("model"), "--data", at(name), "--condition-value", "a"]);
      await works([
        ...["label", at("model"), "--cells", at(name), "--condition-value", "a", "--name", "new type"],
        ...["-o", at(`labelled ${name}`)],
      ]);
    });

  test("in the library, for several keys", async () => {
    const data = await AnnData.open(at("sample.h5ad"));
    const options = { conditionKeys: ["donor", "assay"], epochs: 1, threads: 1 };
    await rejects(ScPoli.train(data, { ...options, conditionValues: { donor: "a" } }), "key", /assay/);
    await rejects(ScPoli.train(data, { ...options, conditionValues: { sample: "a" } }), "usage", /'sample'/);
    const model = await ScPoli.train(data, { ...options, conditionValues: { donor: "a", assay: "10x" } });
    assert.deepEqual(model.stored.json.conditions, [["a"], ["10x"]]);
    const mapping = await model.map(data, {
      training: false,
      threads: 1,
      conditionValues: { donor: "b", assay: "10x" },
    });
    assert.deepEqual(
      mapping.report.conditions.map(({ condition, kind }) => [condition, kind]),
      [
        ["b", "new"],
        ["10x", "known"],
      ],
    );
    data.close();
  });

  test("a column that is there is not overridden in silence", async () => {
    await fails(map("good.h5ad", "--condition-value", "x"), 4, /column 'donor' \('a', 'b'\)/, /--force/);
    await fails(map("good.h5ad", "--condition-value", "x", "--condition-key", "donor"), 2, /both/);
    await works(map("good.h5ad", "--condition-value", "x", "--force"));
  });
});
