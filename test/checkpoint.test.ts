// The model folder and the safetensors format: files are read back to the byte; every kind of damage is one
// named error; no other file is ever deleted.
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadModel, saveModel } from "../dist/storage/model-folder.js";
import {
  formatVersion,
  type ModelJson,
  type StoredModel,
  type StoredTensor,
} from "../dist/model/stored-model.js";
import { ScPoliError, type ErrorKind } from "../dist/contract/errors.js";
import { parameterShapes } from "../dist/model/parameters.js";
import { readSafetensors, writeSafetensors, type Tensor } from "../dist/storage/safetensors.js";
import { temporaryFolder } from "./command.js";

const folder = temporaryFolder();
const at = (...names: string[]): string => join(folder, ...names);

function fails(kind: ErrorKind, ...says: RegExp[]) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof ScPoliError, String(error));
    assert.equal(error.kind, kind, error.message);
    for (const words of says) assert.match(error.message, words);
    return true;
  };
}

const json: ModelJson = {
  format_version: formatVersion,
  scpoli_version: "0.1.0",
  model: {
    hidden_layer_sizes: [4, 3],
    latent_dim: 2,
    condition_encoding: "embedding",
    embedding_dims: [2, 3],
    inject_condition: ["encoder", "decoder"],
    recon_loss: "nb",
    dropout: 0.05,
  },
  genes: ["CD3E", "MS4A1", "constructor", "Ærø 😀", 'a"b\\c'],
  condition_keys: ["donor", "10"],
  conditions: [
    ["d1", "d2", "query"],
    ["1", "2"],
  ],
  reference_conditions: [2, 2],
  combinations: [
    [0, 0],
    [1, 1],
    [2, 0],
  ],
  cell_type_keys: ["cell_type", "broad"],
  cell_types: ["B", "CD4 T", "T"],
  levels: [
    [0, 1],
    [0, 2],
  ],
  prototype_counts: [10, 7, 8],
  unlabeled_prototypes: [
    { cluster: 2, cells: 3 },
    { cluster: 5, cells: 1 },
  ],
  calibration: [
    { distance_scale: 1.5, probability_scale: 0.7, threshold: 0.5, cells: 20 },
    { distance_scale: 0.1, probability_scale: 2, threshold: 1, cells: 0 },
  ],
  head: {
    levels: [
      { types: [0, 1], temperature: 1.5 },
      { types: [0, 2], temperature: 0.5 },
    ],
  },
  landmarks: null,
  provenance: { cells: 25, nested: { list: [1, null, "x"] } },
};

function modelOf(changes: Partial<ModelJson> = {}): StoredModel {
  const changed = { ...json, ...changes };
  const { model, genes, conditions, combinations, cell_types: types } = changed;
  const shapes = parameterShapes(
    {
      hiddenLayerSizes: model.hidden_layer_sizes,
      latentDim: model.latent_dim,
      conditionEncoding: "embedding",
      embeddingDims: model.embedding_dims,
      injectCondition: model.inject_condition,
      reconLoss: "nb",
      dropout: model.dropout,
    },
    {
      genes: genes.length,
      conditions: conditions.map((names) => names.length),
      combinations: combinations.length,
    },
  ).map(({ name, shape }): [string, readonly number[]] => [name, shape]);
  const D = model.latent_dim;
  const U = changed.unlabeled_prototypes.length;
  if (U > 0) shapes.push(["unlabeled_prototypes", [U, D]], ["unlabeled_prototype_covariances", [U, D, D]]);
  if (changed.head) shapes.push(["head.weight", [4, genes.length]], ["head.bias", [4]]);
  shapes.push(["prototypes", [types.length, D]], ["prototype_covariances", [types.length, D, D]]);
  const tensors = new Map(
    shapes.map(([name, shape], t): [string, StoredTensor] => [
      name,
      {
        shape,
        data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(t + i)),
      },
    ]),
  );
  return { json: changed, tensors };
}

/** A saved model, then damaged. */
async function damaged(name: string, damage: (folder: string) => void): Promise<string> {
  await saveModel(at(name), modelOf());
  damage(at(name));
  return at(name);
}
/** Replaces entries of model.json by their dotted paths; undefined removes. */
function editJson(path: string, changes: Readonly<Record<string, unknown>>): void {
  type Entries = { [key: string]: Entries };
  const file = join(path, "model.json");
  const content = JSON.parse(readFileSync(file, "utf8")) as Entries;
  for (const [entry, value] of Object.entries(changes)) {
    const keys = entry.split(".");
    const last = keys.pop()!;
    keys.reduce((part, key) => part[key]!, content)[last] = value as Entries;
  }
  writeFileSync(file, JSON.stringify(content));
}

describe("a model folder", () => {
  test("is read as it was written, and written again to the same bytes", async () => {
    const stored = modelOf();
    await saveModel(at("model"), stored);
    assert.deepEqual(readdirSync(at("model")), ["model.json", "model.safetensors"]);
    const loaded = await loadModel(at("model"));
    assert.deepEqual(loaded.json, json);
    assert.deepEqual([...loaded.tensors].sort(), [...stored.tensors].sort());
    await saveModel(at("again/and again/model/"), loaded);
    for (const name of ["model.json", "model.safetensors"])
      assert.deepEqual(readFileSync(at("again/and again/model", name)), readFileSync(at("model", name)));
    assert.deepEqual(readdirSync(at("again/and again")), ["model"], "nothing is left beside it");
  });

  test("of a model without cell types", async () => {
    const stored = modelOf({
      cell_type_keys: [],
      cell_types: [],
      levels: [],
      prototype_counts: [],
      calibration: [],
      head: null,
    });
    await saveModel(at("unlabelled"), stored);
    assert.deepEqual((await loadModel(at("unlabelled"))).json, stored.json);
  });

  test("with sample metadata", async () => {
    const stored = modelOf({
      sample_metadata: [
        { columns: ["age", "sex"], samples: { d1: [31, "f"], d2: [null, true] } },
        { columns: [], samples: {} },
      ],
    });
    await saveModel(at("metadata"), stored);
    assert.deepEqual((await loadModel(at("metadata"))).json, stored.json);
    for (const [entry, value, says] of [
      ["sample_metadata.0.samples.d1", [31], /samples\.d1 has 1 entries, expected 2/],
      ["sample_metadata.0.samples.d1", [[], "f"], /expected a number/],
      ["sample_metadata", [], /has 0 entries, expected 2/],
    ] as const) {
      await saveModel(at("metadata"), stored, { force: true });
      editJson(at("metadata"), { [entry]: value });
      await assert.rejects(loadModel(at("metadata")), fails("model", says));
    }
  });

  test("has one line per entry in model.json", () => {
    assert.equal(
      readFileSync(at("model", "model.json"), "utf8").split("\n").length,
      Object.keys(json).length + 3,
    );
  });
});

describe("saving", () => {
  test("replaces a model only with force", async () => {
    await saveModel(at("replaced"), modelOf());
    await assert.rejects(
      saveModel(at("replaced"), modelOf({ scpoli_version: "9" })),
      fails("refused", /already holds a model.*--force/),
    );
    assert.equal((await loadModel(at("replaced"))).json.scpoli_version, "0.1.0");
    await saveModel(at("replaced"), modelOf({ scpoli_version: "9" }), { force: true });
    assert.equal((await loadModel(at("replaced"))).json.scpoli_version, "9");
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith(".")),
      [],
      "nothing is left beside it",
    );
  });

  test("takes an empty folder", async () => {
    mkdirSync(at("empty"));
    await saveModel(at("empty"), modelOf());
    await loadModel(at("empty"));
  });

  test("never changes anything else, even with force", async () => {
    await saveModel(at("with notes"), modelOf());
    writeFileSync(at("with notes", "notes.txt"), "mine");
    mkdirSync(at("of others"));
    writeFileSync(at("of others", "model.safetensors"), "weights");
    mkdirSync(at("of others 2"));
    writeFileSync(at("of others 2", "model.safetensors"), "weights");
    writeFileSync(at("of others 2", "model.json"), '{"layers": 3}');
    writeFileSync(at("file"), "mine");
    for (const name of ["with notes", "of others", "of others 2", "file"])
      await assert.rejects(
        saveModel(at(name), modelOf(), { force: true }),
        fails("output", /Choose another name/),
      );
    assert.equal(readFileSync(at("with notes", "notes.txt"), "utf8"), "mine");
    assert.equal(readFileSync(at("of others 2", "model.safetensors"), "utf8"), "weights");
    assert.equal(readFileSync(at("file"), "utf8"), "mine");
  });

  test("refuses a model with weights that are not finite, and leaves nothing", async () => {
    const stored = modelOf();
    stored.tensors.get("theta")!.data[3] = NaN;
    await assert.rejects(
      saveModel(at("diverged"), stored),
      fails("model", /'theta' has NaN at position 3.*learning rate/),
    );
    assert.ok(!existsSync(at("diverged")));
  });

  test("reports a folder that is not writable", async () => {
    await assert.rejects(saveModel(at("file", "below"), modelOf()), fails("output", /below|file/));
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith(".")),
      [],
    );
  });
});

describe("a folder that is not a model", () => {
  test("not there, a file, empty, of the Python package, of something else", async () => {
    await assert.rejects(loadModel(at("nowhere")), fails("file", /There is no model .*nowhere/));
    writeFileSync(at("a.h5ad"), "x");
    await assert.rejects(loadModel(at("a.h5ad")), fails("model", /is a file; a model is a folder/));
    mkdirSync(at("nothing"));
    await assert.rejects(
      loadModel(at("nothing")),
      fails("model", /is not a model folder: model\.json and model\.safetensors are missing/),
    );
    mkdirSync(at("scarches"));
    for (const name of ["attr.pkl", "model_params.pt", "var_names.csv"])
      writeFileSync(at("scarches", name), "");
    await assert.rejects(loadModel(at("scarches")), fails("model", /not a model folder.*or one of scArches/));
    symlinkSync(at("nothing"), at("link"));
    await assert.rejects(loadModel(at("link")), fails("model", /not a model folder/));
  });

  test("not complete", async () => {
    await assert.rejects(
      loadModel(await damaged("no json", (path) => rmSync(join(path, "model.json")))),
      fails("model", /incomplete: model\.json is missing/),
    );
    await assert.rejects(
      loadModel(await damaged("no tensors", (path) => rmSync(join(path, "model.safetensors")))),
      fails("model", /incomplete: model\.safetensors is missing/),
    );
  });
});

describe("a damaged model.json", () => {
  test("not JSON, cut short, not an object, of another tool", async () => {
    const write = (content: string) => (path: string) => writeFileSync(join(path, "model.json"), content);
    await assert.rejects(
      loadModel(await damaged("j1", write("hello"))),
      fails("model", /model\.json is damaged: it is not JSON/),
    );
    await assert.rejects(
      loadModel(
        await damaged("j2", (path) =>
          write(readFileSync(join(path, "model.json"), "utf8").slice(0, 300))(path),
        ),
      ),
      fails("model", /not JSON/),
    );
    for (const [i, content] of ["[]", "null", "3"].entries())
      await assert.rejects(
        loadModel(await damaged(`j3${i}`, write(content))),
        fails("model", /expected an object/),
      );
    await assert.rejects(
      loadModel(await damaged("j4", write('{"architectures": ["Bert"]}'))),
      fails("model", /not a scpoli model: it has no format_version/),
    );
  });

  test("made by a newer version", async () => {
    const path = await damaged("newer", (stored) =>
      editJson(stored, { format_version: formatVersion + 1, scpoli_version: "3.1.0", genes: "elsewhere" }),
    );
    await assert.rejects(
      loadModel(path),
      fails(
        "model",
        new RegExp(
          `made by a newer scpoli \\("3\\.1\\.0"\\): its format is ${formatVersion + 1}, but this version ` +
            `reads up to ${formatVersion}\\. Update`,
        ),
      ),
    );
  });

  /** name, entry, its new value (undefined: removed), exit code and message */
  const edits: readonly [string, string, unknown, RegExp][] = [
    ["an entry missing", "genes", undefined, /genes is missing, expected a list/],
    ["genes not texts", "genes.1", 4, /genes\[1\] is 4, expected a string/],
    ["a gene twice", "genes.1", "CD3E", /genes has 'CD3E' twice/],
    ["no gene", "genes", [], /genes is empty/],
    [
      "a gene too many",
      "genes.5",
      "more",
      /model\.safetensors is damaged: tensor '.*' has shape \[.*\], model\.json requires/,
    ],
    [
      "conditions of one key only",
      "conditions",
      [["d1", "d2", "query"]],
      /conditions has 1 entries, expected 2/,
    ],
    ["a condition twice", "conditions.0.1", "d1", /conditions\[0\] has 'd1' twice/],
    [
      "more reference conditions than conditions",
      "reference_conditions.0",
      4,
      /reference_conditions\[0\] is 4, expected a number in \[1, 3\]/,
    ],
    ["a combination of no condition", "combinations.1.0", 3, /combinations\[1\]\[0\] is 3/],
    ["a combination twice", "combinations.1", [0, 0], /combinations has a duplicate/],
    ["a wrong likelihood", "model.recon_loss", "gauss", /in model, reconLoss is "gauss"/],
    ["a width of zero", "model.hidden_layer_sizes.1", 0, /hidden_layer_sizes\[1\] is 0/],
    ["a width that is no number", "model.latent_dim", "2", /latent_dim is "2"/],
    ["a huge width", "model.latent_dim", 1e9, /latentDim is 1000000000/],
    ["conditions nowhere", "model.inject_condition", [], /inject_condition is empty/],
    ["a level with a type that is not there", "levels.1.1", 3, /levels\[1\]\[1\] is 3/],
    [
      "an unlabelled prototype of less than no cell",
      "unlabeled_prototypes.0.cells",
      -1,
      /unlabeled_prototypes\[0\]\.cells is -1/,
    ],
    [
      "a type of the head that its level has not",
      "head.levels.0.types",
      [0, 2],
      /head\.levels\[0\]\.types is \[0,2\], expected ascending rows of its level/,
    ],
    ["a temperature of zero", "head.levels.1.temperature", 0, /head\.levels\[1\]\.temperature is 0/],
    ["no head, but its tensors", "head", null, /it has an unexpected tensor 'head\.\w+'/],
    [
      "unlabelled prototypes out of order",
      "unlabeled_prototypes.1.cluster",
      2,
      /unlabeled_prototypes is not in ascending order/,
    ],
    [
      "an unlabelled prototype too many",
      "unlabeled_prototypes.2",
      { cluster: 7, cells: 1 },
      /'unlabeled_prototypes' has shape \[2, 2\], model\.json requires \[3, 2\]/,
    ],
    ["a level out of order", "levels.0", [1, 0], /levels\[0\] is \[1,0\], expected ascending rows/],
    ["a type in no level", "levels.0", [0], /'CD4 T' is in no level/],
    ["a negative count of cells", "prototype_counts.0", -1, /prototype_counts\[0\] is -1/],
    [
      "a threshold above one",
      "calibration.0.threshold",
      1.01,
      /calibration\[0\]\.threshold is 1\.01, expected a number in \[0, 1\]/,
    ],
    ["a scale of zero", "calibration.1.distance_scale", 0, /calibration\[1\]\.distance_scale is 0/],
    ["provenance that is a text", "provenance", "mine", /provenance is "mine", expected an object/],
  ];
  for (const [what, entry, value, says] of edits)
    test(what, async () => {
      await assert.rejects(
        loadModel(await damaged(`edit ${what}`, (path) => editJson(path, { [entry]: value }))),
        fails("model", says),
      );
    });
});

describe("damaged tensors", () => {
  const rewrite =
    (change: (tensors: Map<string, Tensor>) => void) =>
    (path: string): void => {
      const file = join(path, "model.safetensors");
      const tensors = readSafetensors(readFileSync(file), file);
      change(tensors);
      writeFileSync(file, writeSafetensors(tensors));
    };
  const cases: readonly [string, (tensors: Map<string, Tensor>) => void, RegExp][] = [
    ["one missing", (t) => t.delete("encoder.mean_encoder.bias"), /'encoder\.mean_encoder\.bias' is missing/],
    [
      "one too many",
      (t) => t.set("extra", { dtype: "U8", shape: [1], data: Uint8Array.of(1) }),
      /an unexpected tensor 'extra'/,
    ],
    [
      "a wrong shape",
      (t) => t.set("theta", { dtype: "F32", shape: [3, 5], data: new Float32Array(15) }),
      /'theta' has shape \[3, 5\], model\.json requires \[5, 3\]/,
    ],
    [
      "a wrong type",
      (t) => t.set("prototypes", { dtype: "F64", shape: [3, 2], data: new Float64Array(6) }),
      /'prototypes' has type F64, expected F32/,
    ],
    ["a weight that is NaN", (t) => (t.get("theta")!.data[7] = NaN), /'theta' has NaN at position 7/],
    [
      "a covariance that is infinite",
      (t) => (t.get("prototype_covariances")!.data[0] = -Infinity),
      /'prototype_covariances' has -Infinity/,
    ],
  ];
  for (const [what, change, says] of cases)
    test(what, async () => {
      await assert.rejects(
        loadModel(await damaged(`tensors ${what}`, rewrite(change))),
        fails("model", says),
      );
    });

  test("cut short, at any place", async () => {
    await saveModel(at("whole"), modelOf());
    const bytes = readFileSync(at("whole", "model.safetensors"));
    for (const length of [0, 5, 8, 100, bytes.length - 500, bytes.length - 1]) {
      const path = await damaged(`cut ${length}`, (stored) =>
        writeFileSync(join(stored, "model.safetensors"), bytes.subarray(0, length)),
      );
      await assert.rejects(loadModel(path), fails("model", /model\.safetensors is damaged/));
    }
  });
});

describe("safetensors", () => {
  const tensors = new Map<string, Tensor>([
    ["b", { dtype: "F32", shape: [2, 2], data: Float32Array.of(1, -0, 3.5, Infinity) }],
    ["bytes", { dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 255) }],
    ["a", { dtype: "F64", shape: [], data: Float64Array.of(Math.PI) }],
    ["ints", { dtype: "I32", shape: [2], data: Int32Array.of(-5, 2 ** 31 - 1) }],
    ["longs", { dtype: "I64", shape: [2, 1], data: Float64Array.of(-(2 ** 53) + 1, 7) }],
    ["none", { dtype: "F32", shape: [0, 4], data: new Float32Array(0) }],
    ["ünï 😀", { dtype: "F32", shape: [1], data: Float32Array.of(9) }],
  ]);
  const bytes = writeSafetensors(tensors);

  /** A file with this header and number of data bytes. */
  function file(header: unknown, data: number): Uint8Array {
    const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
    const made = new Uint8Array(8 + text.length + data);
    new DataView(made.buffer).setBigUint64(0, BigInt(text.length), true);
    made.set(text, 8);
    return made;
  }

  test("every type is read as it was written", () => {
    assert.deepEqual([...readSafetensors(bytes, "x")].sort(), [...tensors].sort());
  });

  test("the order of the tensors changes nothing; data start at a multiple of eight", () => {
    assert.deepEqual(writeSafetensors(new Map([...tensors].reverse())), bytes);
    assert.equal(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8, 0);
  });

  test("bytes at an odd place of their buffer", () => {
    const moved = new Uint8Array(bytes.length + 3);
    moved.set(bytes, 3);
    assert.deepEqual(readSafetensors(moved.subarray(3), "x").get("b"), tensors.get("b"));
  });

  test("what Python wrote", () => {
    for (const name of ["nb", "nb_two_conditions"]) {
      const path = fileURLToPath(new URL(`golden/${name}.safetensors`, import.meta.url));
      const read = readSafetensors(readFileSync(path), path);
      assert.ok(read.get("x")!.data.length > 0 && read.get("init.theta")!.dtype === "F32");
    }
  });

  const entry = (change: object): unknown => ({
    t: { dtype: "F32", shape: [2], data_offsets: [0, 8], ...change },
  });
  const wrong: readonly [string, Uint8Array, RegExp][] = [
    ["no header", new Uint8Array(3), /it has 3 bytes/],
    ["a header longer than the file", file("{}", 0).subarray(0, 9), /truncated/],
    [
      "not safetensors at all",
      new TextEncoder().encode("\x89HDF\r\n\x1a\n and more"),
      /not a safetensors header/,
    ],
    ["a header that is not JSON", file("{nonsense", 0), /not JSON/],
    [
      "a header that is not UTF-8",
      (() => {
        const made = file("{}xx", 0);
        made.set([0xff, 0xfe], 10);
        return made;
      })(),
      /not JSON/,
    ],
    ["a header that is a list", file([], 0), /not a JSON object/],
    ["an entry that is no object", file({ t: 3 }, 0), /'t' has type/],
    ["an unknown type", file(entry({ dtype: "BF16" }), 8), /type "BF16"; F32, F64, I32, I64, U8 can be read/],
    ["a type from the prototype chain", file(entry({ dtype: "constructor" }), 8), /type "constructor"/],
    ["a negative size", file(entry({ shape: [-2] }), 8), /shape \[-2\]/],
    ["a fractional size", file(entry({ shape: [0.5, 4] }), 8), /shape \[0\.5,4\]/],
    [
      "a range too short for the shape",
      file(entry({ data_offsets: [0, 4] }), 4),
      /needs 8 bytes, its range has 4/,
    ],
    ["a range backwards", file(entry({ data_offsets: [8, 0] }), 8), /needs 8 bytes, its range has -8/],
    ["a range of three", file(entry({ data_offsets: [0, 8, 8] }), 8), /byte range/],
    ["a shape beyond all bounds", file(entry({ shape: [2 ** 40, 2 ** 40] }), 8), /needs/],
    ["data missing", file(entry({}), 7), /declares 8 bytes of data, but there are 7/],
    ["data that belong to no tensor", file(entry({}), 12), /4 bytes follow the last tensor/],
    ["a hole", file(entry({ data_offsets: [4, 12] }), 12), /starts at byte 4 of the data, expected 0/],
    [
      "tensors over each other",
      file(
        {
          a: { dtype: "U8", shape: [4], data_offsets: [0, 4] },
          b: { dtype: "U8", shape: [4], data_offsets: [2, 6] },
        },
        6,
      ),
      /'b' starts at byte 2 of the data, expected 4/,
    ],
    [
      "a 64-bit integer beyond 2^53",
      (() => {
        const made = file({ t: { dtype: "I64", shape: [1], data_offsets: [0, 8] } }, 8);
        made.fill(0x7f, made.length - 8);
        return made;
      })(),
      /beyond 2\^53/,
    ],
  ];
  for (const [what, content, says] of wrong)
    test(`refused: ${what}`, () =>
      assert.throws(
        () => readSafetensors(content, "x"),
        fails("model", /^x is damaged or not a safetensors file/, says),
      ));
});
