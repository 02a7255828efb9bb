// Models from and to the Python package scArches: its folders (test/fixtures/scarches, by make_scarches.py)
// give the same results here, exports contain the imported values, and damage gives either a named error or a
// valid model.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { AnnData } from "../dist/anndata/anndata.js";
import { blocks, type SparseRows } from "../dist/anndata/matrix.js";
import { writeH5ad } from "../dist/anndata/write.js";
import type { Note } from "../dist/contract/options.js";
import { networkOptions } from "../dist/mapping/stored-network.js";
import { createEngine } from "../dist/engine/create.js";
import { ScPoliError, type ErrorKind } from "../dist/contract/errors.js";
import { Network } from "../dist/model/network.js";
import { pandasFrame } from "../dist/scarches/python/pandas.js";
import { writePickle } from "../dist/scarches/python/pickle-writer.js";
import { PyObject, readPickle, type PyValue } from "../dist/scarches/python/pickle.js";
import {
  readTorchFile,
  torchTensor,
  writeTorchFile,
  type TorchTensor,
} from "../dist/scarches/python/torch.js";
import { readSafetensors } from "../dist/storage/safetensors.js";
import { ScPoli } from "../dist/api/scpoli.js";
import { texts } from "./atlas.js";
import { scpoli, temporaryFolder } from "./command.js";
import { fuzzModels } from "./fuzz-models.js";

const fixtures = fileURLToPath(new URL("fixtures/", import.meta.url));
const models = join(fixtures, "scarches");
const folder = temporaryFolder();
const at = (...names: string[]): string => join(folder, ...names);

interface Answers {
  readonly obs: Readonly<Record<"donor" | "assay", readonly string[]>>;
  readonly x: readonly (readonly number[])[];
  readonly latent: readonly (readonly number[])[];
  readonly predictions: Readonly<Record<string, readonly string[]>>;
  readonly conditions: Readonly<Record<string, readonly string[]>>;
  readonly cell_types: Readonly<Record<string, readonly string[]>>;
  readonly embeddings: readonly (readonly (readonly number[])[])[];
}
const expected = JSON.parse(readFileSync(join(models, "expected.json"), "utf8")) as Readonly<
  Record<string, Answers>
>;
const genes = Array.from({ length: 20 }, (_, g) => `gene${g}`);

/** The cells that Python has answered for, as a file. */
async function cellsOf(name: string): Promise<AnnData> {
  const { obs, x } = expected[name]!;
  const path = at(`${name}.h5ad`);
  const column = (values: readonly string[]) => ({ kind: "string" as const, length: values.length, values });
  if (!existsSync(path))
    await writeH5ad(path, {
      obs: {
        index: x.map((_, i) => `cell${i}`),
        columns: { donor: column(obs.donor), assay: column(obs.assay) },
      },
      var: { index: genes },
      X: { rows: x.length, columns: genes.length, values: Float32Array.from(x.flat()) },
    });
  return AnnData.open(path);
}

/** Positions within 1e-5, the same cell types. */
async function answersAsIn({ latent, predictions }: Answers, model: ScPoli, cells: AnnData): Promise<void> {
  const answer = await model.embed(cells, { force: true });
  close(answer.latent, latent.flat(), 1e-5, "latent");
  const names = model.stored.json.cell_types;
  for (const { key, predicted } of answer.predictions)
    assert.deepEqual(
      Array.from(predicted, (type) => names[type]),
      predictions[key],
      key,
    );
  assert.deepEqual(
    answer.predictions.map(({ key }) => key),
    Object.keys(predictions),
  );
}

function close(actual: ArrayLike<number>, wanted: ArrayLike<number>, bound: number, what: string): void {
  assert.equal(actual.length, wanted.length, what);
  for (let i = 0; i < wanted.length; i++)
    if (!(Math.abs(actual[i]! - wanted[i]!) <= bound))
      assert.fail(`${what}: ${actual[i]} at ${i}, expected ${wanted[i]}`);
}

function fails(says: RegExp, kind?: ErrorKind) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof ScPoliError, String(error));
    assert.match(error.message, says);
    if (kind !== undefined) assert.equal(error.kind, kind);
    return true;
  };
}

describe("an imported model", () => {
  for (const name of ["reference", "query", "zinb", "poisson", "mse", "before"]) {
    test(`'${name}' answers as in Python`, async () => {
      const model = await ScPoli.import(join(models, name), name === "before" ? { genes } : {});
      await answersAsIn(expected[name]!, model, await cellsOf(name));
    });
  }

  test("has the conditions, cell types, embeddings and combinations of the Python model", async () => {
    const { json, tensors } = (await ScPoli.import(join(models, "query"))).stored;
    const { conditions, cell_types: types, embeddings } = expected["query"]!;
    assert.deepEqual(json.condition_keys, ["donor", "assay"]);
    assert.deepEqual(json.conditions, [conditions["donor"], conditions["assay"]]);
    assert.deepEqual(json.cell_types, Object.keys(types));
    json.cell_type_keys.forEach((key, level) =>
      assert.deepEqual(
        json.levels[level]!.map((row) => json.cell_types[row]),
        Object.keys(types).filter((type) => types[type]!.includes(key)),
        key,
      ),
    );
    embeddings.forEach((table, key) =>
      close(
        tensors.get(`embeddings.${key}.weight`)!.data,
        table.flat(),
        1e-6,
        `embeddings of ${json.condition_keys[key]}`,
      ),
    );
    assert.deepEqual(json.genes, genes);
    // "a" + "b_c" and "a_b" + "c" are one combination to Python: both get its column of theta
    const names = json.combinations.map((codes) =>
      codes.map((code, key) => json.conditions[key]![code]!).join("+"),
    );
    assert.deepEqual([...names].sort(), ["a+b_c", "a+c", "a_b+c", "q+c"]);
    const theta = tensors.get("theta")!;
    const column = (wanted: string): number[] =>
      Array.from(
        { length: genes.length },
        (_, g) => theta.data[g * theta.shape[1]! + names.indexOf(wanted)]!,
      );
    assert.deepEqual(column("a+b_c"), column("a_b+c"));
    assert.notDeepEqual(column("a+b_c"), column("a+c"));
  });

  test("brings its samples' metadata, per condition what its combinations agree on", async () => {
    const { json } = (await ScPoli.import(join(models, "reference"))).stored;
    const [donors, assays] = json.sample_metadata!;
    assert.deepEqual(
      donors!.columns.filter((name) => ["age", "sex"].includes(name)),
      ["age", "sex"],
    );
    const of = (table: typeof donors, sample: string, column: string) =>
      table!.samples[sample]![table!.columns.indexOf(column)];
    assert.deepEqual(
      ["age", "sex"].map((column) => of(donors, "a", column)),
      [31, "f"],
    );
    assert.deepEqual(
      ["age", "sex"].map((column) => of(donors, "a_b", column)),
      [55, "m"],
    );
    assert.equal(of(assays, "c", "age"), null, "its donors differ");
    assert.equal(of(assays, "b_c", "age"), 31);
  });

  test("gets scales for uncertainties from the covariances, and says so", async () => {
    const notes: string[] = [];
    const { json } = (
      await ScPoli.import(join(models, "reference"), { onNote: ({ message }) => notes.push(message) })
    ).stored;
    for (const { distance_scale, probability_scale, cells } of json.calibration) {
      assert.ok(
        distance_scale > 0.05 && distance_scale < 20 && probability_scale > 0.01 && probability_scale < 20,
        `${distance_scale}, ${probability_scale}`,
      );
      assert.equal(cells, 0);
    }
    assert.match(notes.join(" "), /no uncertainty scale and no threshold.*covariances/);
  });

  test("of the likelihood mse takes X as it is, and says so; poisson keeps Python's", async () => {
    const notes: string[] = [];
    const onNote = ({ message }: Note): void => void notes.push(message);
    const model = await ScPoli.import(join(models, "mse"), { onNote });
    assert.match(notes.join(" "), /mse likelihood: it expects normalised values in X/);
    notes.length = 0;
    await model.embed(await cellsOf("mse"), { onNote });
    assert.match(notes.join(" "), /mse uses the values of X unchanged/);
    assert.equal(
      (await ScPoli.import(join(models, "poisson"))).stored.json.model.recon_loss,
      "reference-poisson",
    );
  });

  test("without gene names gets placeholders, or the names given", async () => {
    const notes: string[] = [];
    const model = await ScPoli.import(join(models, "before"), {
      onNote: ({ level, message }) => level === "warning" && notes.push(message),
    });
    assert.match(notes.join(" "), /var_names\.csv.*'gene 1'/);
    await assert.rejects(
      cellsOf("before").then((cells) => model.embed(cells)),
      fails(/None of the model's 20 genes/),
    );
    await assert.rejects(
      ScPoli.import(join(models, "before"), { genes: genes.slice(1) }),
      fails(/has 20 genes, but 19 gene names were given/),
    );
  });

  test("keeps its bytes when it is imported again", async () => {
    for (const name of ["once", "twice"])
      await (await ScPoli.import(join(models, "reference"))).save(at(name));
    for (const file of readdirSync(at("once")))
      assert.deepEqual(readFileSync(at("once", file)), readFileSync(at("twice", file)), file);
  });

  test("maps a query of a new donor", async () => {
    const model = await ScPoli.import(join(models, "reference"));
    const { model: mapped, latent } = await model.map(await cellsOf("query"), {
      epochs: 2,
      engine: "reference",
    });
    assert.equal(mapped.stored.json.conditions[0]!.at(-1), "q");
    assert.ok(latent.every(Number.isFinite), "every position is a number");
  });
});

describe("limits on the norm of embeddings", () => {
  test("other than 1 change no answer", async () => {
    const original = await ScPoli.import(join(models, "reference"));
    const cells = await cellsOf("reference");
    const { latent } = await original.embed(cells);
    for (const [norm, says] of [
      [2.5, /are limited to 2\.5/],
      [null, /are not limited/],
    ] as const) {
      // the same function of the cells: embeddings larger by the factor, weights smaller
      const exported = at(`norm ${norm}`);
      await original.export(exported);
      const attributes = readFileSync(join(exported, "attr.pkl"));
      const place = attributes.indexOf("embedding_max_norm_") + "embedding_max_norm_".length;
      assert.equal(attributes[place], "G".charCodeAt(0), "a float follows");
      const number = Buffer.from("G--------");
      if (norm !== null) number.writeDoubleBE(norm, 1);
      writeFileSync(
        join(exported, "attr.pkl"),
        Buffer.concat([
          attributes.subarray(0, place),
          norm === null ? Buffer.from("N") : number,
          attributes.subarray(place + 9),
        ]),
      );
      const { value, storages } = readTorchFile(
        readFileSync(join(exported, "model_params.pt")),
        "model_params.pt",
      );
      const scaled = [...(value as ReadonlyMap<string, PyValue>)].map(
        ([key, entry]): [string, TorchTensor] => {
          const { shape, data } = torchTensor(entry, storages)!;
          const factor = key.startsWith("embeddings.")
            ? (norm ?? 4)
            : key.endsWith("cond_L.weight")
              ? 1 / (norm ?? 4)
              : 1;
          return [key, { shape, data: data.map((x) => x * factor) }];
        },
      );
      writeFileSync(join(exported, "model_params.pt"), writeTorchFile(new Map(scaled), "model_params"));
      const notes: string[] = [];
      const model = await ScPoli.import(exported, { onNote: ({ message }) => notes.push(message) });
      assert.match(notes.join(" "), says);
      close((await model.embed(cells)).latent, latent, 1e-5, `latent with norm ${norm}`);
    }
  });
});

describe("an exported model", () => {
  test("is the same model when it is read again", async () => {
    for (const name of ["reference", "query", "zinb", "poisson", "mse"]) {
      const { stored } = await ScPoli.import(join(models, name));
      const exported = at(`exported ${name}`);
      await (await ScPoli.import(join(models, name))).export(exported);
      assert.deepEqual(readdirSync(exported), ["attr.pkl", "model_params.pt", "var_names.csv"]);
      const { stored: again } = await ScPoli.import(exported);
      assert.deepEqual(again.json, {
        ...stored.json,
        provenance: again.json.provenance,
        sample_metadata: again.json.sample_metadata,
      });
      for (const [tensor, { shape, data }] of stored.tensors) {
        assert.deepEqual(again.tensors.get(tensor)!.shape, shape, tensor);
        assert.deepEqual(again.tensors.get(tensor)!.data, data, tensor);
      }
      const kept = stored.json.sample_metadata?.[0];
      for (const [sample, values] of Object.entries(kept?.samples ?? {}))
        kept!.columns.forEach((column, c) => {
          const table = again.json.sample_metadata![0]!;
          if (values[c] !== null)
            assert.equal(
              table.samples[sample]![table.columns.indexOf(column)],
              values[c],
              `${sample}, ${column}`,
            );
        });
    }
  });

  test("has the attributes that scArches asks for, of the types that it asks for", async () => {
    await (await ScPoli.import(join(models, "query"))).export(at("exported types"));
    const read = (path: string) => readPickle(readFileSync(path), path).value as ReadonlyMap<string, PyValue>;
    const [original, exported] = [
      read(join(models, "query", "attr.pkl")),
      read(at("exported types", "attr.pkl")),
    ];
    assert.deepEqual([...exported.keys()].sort(), [...original.keys()].sort());
    for (const key of [
      "cell_type_keys_",
      "cell_types_",
      "condition_keys_",
      "conditions_",
      "embedding_dims_",
      "hidden_layer_sizes_",
      "inject_condition_",
      "latent_dim_",
      "recon_loss_",
      "use_bn_",
      "use_ln_",
      "input_dim_",
    ])
      assert.deepEqual(exported.get(key), original.get(key), key);
    assert.deepEqual(exported.get("conditions_combined_"), original.get("conditions_combined_"));
    const frame = pandasFrame(exported.get("obs_metadata_"))!;
    assert.deepEqual([...new Set(frame.index[0])], exported.get("conditions_combined_"));
  });

  test("keeps its bytes", async () => {
    const model = await ScPoli.import(join(models, "reference"));
    for (const name of ["bytes 1", "bytes 2"]) await model.export(at(name));
    for (const file of readdirSync(at("bytes 1")))
      assert.deepEqual(readFileSync(at("bytes 1", file)), readFileSync(at("bytes 2", file)), file);
  });

  test("replaces a scArches model only with force, and nothing else", async () => {
    const model = await ScPoli.import(join(models, "reference"));
    await model.export(at("taken"));
    await assert.rejects(model.export(at("taken")), fails(/already holds a model.*--force/, "refused"));
    await model.export(at("taken"), { force: true });
    await model.save(at("ours"));
    mkdirSync(at("notes"));
    writeFileSync(at("notes", "notes.txt"), "mine");
    for (const name of ["ours", "notes"])
      await assert.rejects(
        model.export(at(name), { force: true }),
        fails(/holds something other than/, "output"),
      );
    assert.equal(readFileSync(at("notes", "notes.txt"), "utf8"), "mine");
  });

  test("with one-hot conditions has a unit vector for each", async () => {
    const cells = await cellsOf("reference");
    const model = await ScPoli.train(cells, {
      conditionKeys: ["assay", "donor"],
      conditionEncoding: "one-hot",
      hiddenLayerSizes: [6],
      epochs: 1,
      engine: "reference",
      force: true,
    });
    await model.export(at("one-hot"));
    const again = await ScPoli.import(at("one-hot"));
    assert.deepEqual(again.stored.json.model.embedding_dims, [2, 2]);
    assert.deepEqual([...again.stored.tensors.get("embeddings.1.weight")!.data], [1, 0, 0, 1]);
    close((await again.embed(cells)).latent, (await model.embed(cells)).latent, 1e-5, "latent");
  });

  test("cannot have combinations that scArches would take for one", async () => {
    const model = await ScPoli.import(join(models, "reference"));
    const { combinations, conditions } = model.stored.json;
    const column = combinations.findIndex(
      (codes) => codes.map((code, key) => conditions[key]![code]).join("+") === "a_b+c",
    );
    model.stored.tensors.get("theta")!.data[column]! += 1;
    await assert.rejects(model.export(at("colliding")), fails(/both called 'a_b_c'/));
    assert.ok(!existsSync(at("colliding")), "nothing is written");
  });
});

describe("the command line", () => {
  test("imports, exports, and accepts a scArches folder as a model", async () => {
    const imported = await scpoli(["import", join(models, "reference"), "-o", at("cli model"), "--json"]);
    assert.equal(imported.code, 0, imported.stderr);
    assert.deepEqual((JSON.parse(imported.stdout) as { written: string[] }).written, [at("cli model")]);
    assert.equal((await scpoli(["import", join(models, "reference"), "-o", at("cli model")])).code, 4);
    const exported = await scpoli(["export", at("cli model"), "-o", at("cli exported")]);
    assert.equal(exported.code, 0, exported.stderr);
    const inspected = await scpoli(["inspect", at("cli model")]);
    assert.match(inspected.stdout, /metadata of each donor +\d+: .*\bage, sex/);
    assert.match(inspected.stdout, /naïve +cell_type +- +\d+\.\d+/);
    await cellsOf("reference");
    const embedded = await scpoli([
      "embed",
      at("reference.h5ad"),
      "--model",
      join(models, "reference"),
      "-o",
      at("embedded.h5ad"),
      "--json",
    ]);
    assert.equal(embedded.code, 0, embedded.stderr);
    assert.match(embedded.stderr, /model of the Python package scArches.*scpoli import/);
    writeFileSync(at("genes.txt"), genes.map((gene) => `${gene}\n`).join(""));
    const named = await scpoli([
      "import",
      join(models, "before"),
      "-o",
      at("cli before"),
      "--genes",
      at("genes.txt"),
      "--json",
    ]);
    assert.equal(named.code, 0, named.stderr);
    assert.deepEqual((await ScPoli.load(at("cli before"))).stored.json.genes, genes);
  });

  test("rejects other files with a reason", async () => {
    mkdirSync(at("scvi"));
    writeFileSync(at("scvi", "model.pt"), "PK");
    mkdirSync(at("empty"));
    for (const [path, says] of [
      ["scvi", /model\.pt is damaged or not a PyTorch file/],
      ["empty", /expected attr\.pkl and model_params\.pt, or model\.pt; found nothing/],
      ["nowhere", /There is no model/],
    ] as const) {
      const { code, stderr } = await scpoli(["import", at(path), "-o", at("never")]);
      assert.equal(code, 3);
      assert.match(stderr, says);
    }
    for (const [attributes, says] of [
      [
        new Map([
          ["registry_", null],
          ["init_params_", null],
        ]),
        /scvi-tools/,
      ],
      [new Map([["condition_key_", "x"]]), /trVAE/],
    ] as const) {
      cpSync(join(models, "reference"), at("other"), { recursive: true });
      writeFileSync(at("other", "attr.pkl"), writePickle(attributes, 4));
      await assert.rejects(ScPoli.import(at("other")), fails(says));
      rmSync(at("other"), { recursive: true });
    }
  });
});

describe("data frames", () => {
  const wanted = JSON.parse(readFileSync(join(fixtures, "python", "frame.json"), "utf8")) as Record<
    string,
    unknown[]
  >;
  for (const file of readdirSync(join(fixtures, "python")).filter((name) => name.endsWith(".pkl"))) {
    test(`of ${file.slice("frame-".length, -".pkl".length)}`, () => {
      const [frame, other, plain] = (
        readPickle(readFileSync(join(fixtures, "python", file)), file).value as readonly PyValue[]
      ).map(pandasFrame);
      assert.deepEqual(Object.fromEntries(frame!.columns), wanted);
      assert.deepEqual(frame!.unreadable, []);
      assert.deepEqual(frame!.indexNames, ["donor", "assay"]);
      assert.deepEqual(frame!.index, [
        ["d1", "d1", "d2"],
        ["x", "y", "x"],
      ]);
      assert.deepEqual(
        [other!.indexNames, other!.index, other!.columns.get("n")],
        [["sample"], [["s1", "s2"]], [10, 20]],
      );
      assert.deepEqual([plain!.indexNames, plain!.index], [[null], [[0, 1]]]);
    });
  }
});

describe("damage", () => {
  test("of a pickle or a file of PyTorch ends in a named error or a whole model", async () => {
    const { imported, refused } = await fuzzModels({
      models,
      names: ["reference", "before", "mse"],
      count: 200,
      seed: 1,
      folder: at("fuzz"),
    });
    assert.equal(imported + refused, 200);
    assert.ok(refused > 80 && imported > 10, `${imported} imported, ${refused} refused`);
  });

  test("at any length of a pickle", () => {
    const bytes = readFileSync(join(models, "reference", "attr.pkl"));
    for (let length = 0; length < bytes.length; length++)
      assert.throws(
        () => readPickle(bytes.subarray(0, length), "attr.pkl"),
        fails(/attr\.pkl is damaged or not a pickle/),
      );
  });

  test("with false sizes allocates no memory", () => {
    const claims: readonly (readonly [string, RegExp])[] = [
      ["B\xff\xff\xff\x7f", /in the middle of an instruction/],
      ["\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", /in the middle of an instruction/],
      ["\x8b\xff\xff\xff\x7f", /an integer has 2147483647 bytes/],
      ["(t", /in the middle/],
      ["R", /finds the stack empty/],
      ["h\x05.", /entry 5 of the memo/],
      ["t", /needs a mark/],
      ["Na", /no list|stack empty/],
    ];
    for (const [bytes, says] of claims)
      assert.throws(
        () => readPickle(Buffer.from(`\x80\x04${bytes}`, "latin1"), "x"),
        fails(says),
        JSON.stringify(bytes),
      );
  });

  test("a pickle calls nothing", () => {
    // os.system("touch ...") as a pickle that would run it
    const { value } = readPickle(Buffer.from("cposix\nsystem\n(S'touch /tmp/never'\ntR."), "x");
    assert.ok(
      value instanceof PyObject && value.name === "posix.system" && value.args[0] === "touch /tmp/never",
      "a call stays a description of it",
    );
  });
});

const interop = fileURLToPath(new URL("../../shared/interop/", import.meta.url));

describe(
  "models trained on real cells",
  { skip: existsSync(interop) ? false : "../shared/interop is not there" },
  () => {
    interface Expected {
      readonly reference_cells: readonly string[];
      readonly query_cells: readonly string[];
      readonly predictions_from_mean_latent: Readonly<
        Record<string, { readonly preds: readonly string[]; readonly uncert: readonly number[] }>
      >;
    }

    test("pbmc: positions within 1e-4 of Python's, identical cell types", async () => {
      const tensors = readSafetensors(
        readFileSync(join(interop, "pbmc/expected.safetensors")),
        "expected.safetensors",
      );
      const { reference_cells, query_cells, predictions_from_mean_latent } = JSON.parse(
        readFileSync(join(interop, "pbmc/expected.json"), "utf8"),
      ) as Expected;
      const cells = await AnnData.open(
        fileURLToPath(new URL("../../shared/data/pbmc3.h5ad", import.meta.url)),
      );
      const index = await cells.obs.index();
      const donors = await texts(cells, "donor");
      const { value: all } = (await blocks(cells.X!, cells.nObs).next()) as { value: { block: SparseRows } };
      for (const [name, cellsInFile, latent] of [
        ["reference", reference_cells, "latent_reference"],
        ["query", query_cells, "latent_query"],
        ["query", reference_cells, "latent_reference_after_mapping"],
      ] as const) {
        const model = await ScPoli.import(join(interop, "pbmc", name));
        const known = donors.map((donor) =>
          model.stored.json.conditions[0]!.includes(donor) ? donor : model.stored.json.conditions[0]![0]!,
        ); // others are not compared
        const path = at(`pbmc ${latent}.h5ad`);
        await writeH5ad(path, {
          X: all.block,
          obs: { index, columns: { donor: { kind: "string", length: known.length, values: known } } },
          var: { index: await cells.var.index() },
        });
        const answer = await model.embed(await AnnData.open(path));
        const rows = cellsInFile.map((cell) => index.indexOf(cell));
        close(
          rows.flatMap((row) => Array.from(answer.latent.subarray(row * 10, row * 10 + 10))),
          tensors.get(latent)!.data,
          1e-4,
          latent,
        );
        if (latent !== "latent_query") continue;
        for (const { key, predicted, distance } of answer.predictions) {
          assert.deepEqual(
            rows.map((row) => model.stored.json.cell_types[predicted[row]!]),
            predictions_from_mean_latent[key]!.preds,
            key,
          );
          close(
            rows.map((row) => distance[row]!),
            predictions_from_mean_latent[key]!.uncert,
            1e-4,
            `distance, ${key}`,
          );
        }
      }
    });

    for (const [name, samples] of [
      ["plaque_reference", 79],
      ["plaque_query", 61],
    ] as const)
      test(`${name}: encoder within 1e-4 of Python, ${samples} samples with metadata`, async () => {
        const tensors = readSafetensors(
          readFileSync(join(interop, name, "expected.safetensors")),
          "expected.safetensors",
        );
        const data = (key: string): ArrayLike<number> => tensors.get(key)!.data;
        const model = await ScPoli.import(join(interop, name));
        const { json, tensors: tensorsOfModel } = model.stored;
        assert.equal(json.conditions[0]!.length, samples);
        close(tensorsOfModel.get("embeddings.0.weight")!.data, data("embedding"), 0, "embeddings");
        close(tensorsOfModel.get("prototypes")!.data, data("prototypes"), 0, "prototypes");
        const [metadata] = json.sample_metadata!;
        const described = Object.keys(metadata!.samples);
        assert.ok(
          metadata!.columns.includes("dataset") &&
            described.every((sample) => json.conditions[0]!.includes(sample)),
          "the table is of the model's samples",
        );
        if (name === "plaque_reference") assert.equal(described.length, samples);

        const condition = Array.from(data("condition"), (row) => json.conditions[0]![row]!);
        const path = at(`${name}.h5ad`);
        const values = Float32Array.from(data("x"));
        await writeH5ad(path, {
          X: { rows: condition.length, columns: json.genes.length, values },
          var: { index: json.genes },
          obs: {
            index: condition.map((_, cell) => `cell${cell}`),
            columns: { sample: { kind: "string", length: condition.length, values: condition } },
          },
        });
        close(
          (await model.embed(await AnnData.open(path), { force: true })).latent,
          data("z_mean"),
          1e-4,
          "mean latent",
        );
        close(await logVariances(model, values, data("condition")), data("z_log_var"), 1e-4, "log variance");
      });
  },
);

/**
 * The encoder's second output, which no verb gives.
 * @param x - (B, G)
 * @param condition - (B) rows of the one table of embeddings
 */
async function logVariances(
  { stored }: ScPoli,
  x: Float32Array,
  condition: ArrayLike<number>,
): Promise<ArrayLike<number>> {
  const { model, sizes } = networkOptions(stored);
  const B = condition.length;
  const engine = await createEngine(
    {
      minibatchSize: B,
      minibatchCapacity: x.length,
      genes: sizes.genes,
      conditionKeys: 1,
      levels: 0,
      prototypes: [0, model.latentDim],
    },
    { threads: 1 },
  );
  try {
    const network = new Network(engine, model, sizes, { weightDecay: 0 });
    network.write(new Map([...network.parameters.keys()].map((key) => [key, stored.tensors.get(key)!.data])));
    const { minibatch } = engine;
    let at = 0;
    for (let b = 0; b < B; b++) {
      for (let g = 0; g < sizes.genes; g++)
        if (x[b * sizes.genes + g] !== 0) {
          minibatch.indices[at] = g;
          minibatch.counts[at++] = x[b * sizes.genes + g]!;
        }
      minibatch.indptr[b + 1] = at;
      minibatch.conditions[0]![b] = condition[b]!;
    }
    minibatch.rows = B;
    minibatch.sizeFactors.fill(1);
    network.likelihood().run();
    return engine.readActivation(network.logVar).slice(0, B * model.latentDim);
  } finally {
    await engine.close();
  }
}
