// Scores of transferred labels compared with scikit-learn, and the verb evaluate on files: options, default
// columns, and errors.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { AnnData } from "../dist/anndata/anndata.js";
import { writeH5ad, type NewAnnData } from "../dist/anndata/write.js";
import type { ErrorKind } from "../dist/contract/errors.js";
import { evaluate, type EvaluateOptions } from "../dist/evaluation/evaluate.js";
import { pcRegression, varianceBetween } from "../dist/evaluation/pc-regression.js";
import { readConditions } from "../dist/data/labels.js";
import { principalComponents } from "../dist/numerics/principal-components.js";
import { scoreLabelTransfer } from "../dist/evaluation/label-transfer.js";
import { ScPoliError } from "../dist/contract/errors.js";
import { scpoli, temporaryFolder } from "./command.ts";
import { simulate } from "./simulate.ts";

const folder = temporaryFolder();

describe("scores", () => {
  // y = a a a b b c c d, p = a a b b b c a c; d is not known to the predictor
  const input = {
    truth: Int32Array.of(0, 0, 0, 1, 1, 2, 2, 3),
    predicted: Int32Array.of(0, 0, 1, 1, 1, 2, 0, 2),
    names: ["a", "b", "c", "d"],
    isKnown: Uint8Array.of(1, 1, 1, 0),
    uncertainty: Float64Array.of(0.1, 0.2, 0.7, 0.1, 0.3, 0.2, 0.2, 0.9),
    probability: Float64Array.of(0.9, 0.8, 0.4, 0.95, 0.7, 0.8, 0.75, 0.3),
    flagged: Uint8Array.of(0, 0, 1, 0, 0, 0, 0, 1),
  };
  const scores = scoreLabelTransfer(input);

  test("accuracy, F1, precision and recall as in scikit-learn", () => {
    // sklearn.metrics on the seven cells of known types
    assert.equal(scores.accuracy, 5 / 7);
    assert.ok(Math.abs(scores.macro_f1! - (2 / 3 + 0.8 + 2 / 3) / 3) < 1e-12);
    assert.ok(Math.abs(scores.weighted_f1! - (3 * (2 / 3) + 2 * 0.8 + 2 * (2 / 3)) / 7) < 1e-12);
    assert.equal(scores.macro_f1_large, null);
    assert.deepEqual(scores.types[1], {
      cell_type: "b",
      known: true,
      cells: 2,
      predicted: 3,
      precision: 2 / 3,
      recall: 1,
      f1: 0.8,
    });
    assert.deepEqual(scores.types[3], {
      cell_type: "d",
      known: false,
      cells: 1,
      predicted: 0,
      precision: null,
      recall: 0,
      f1: 0,
    });
    assert.equal(scores.cells_of_unknown_types, 1);
  });

  test("the confusion counts every cell once", () => {
    assert.deepEqual(scores.confusion, {
      truth: ["a", "b", "c", "d"],
      predicted: ["a", "b", "c"],
      cells: [
        [2, 1, 0],
        [0, 2, 0],
        [1, 0, 1],
        [0, 0, 1],
      ],
    });
  });

  test("calibration: bins of a tenth, the error weighted by cells", () => {
    const { expected_calibration_error: error, bins } = scores.calibration!;
    // (0.3, 0.4]: one wrong; (0.6, 0.7]: one right; (0.7, 0.8]: 0.8 right, 0.8 right, 0.75 wrong; (0.8, 0.9]:
    // one right; (0.9, 1]: one right
    assert.ok(Math.abs(error - (0.4 + 0.3 + Math.abs(2.35 - 2) + 0.1 + 0.05) / 7) < 1e-12);
    assert.equal(
      bins.reduce((sum, { cells }) => sum + cells, 0),
      7,
    );
    assert.deepEqual(bins[0], { from: 0, to: 0.1, cells: 0, probability: null, accuracy: null });
  });

  test("wrong labels by tenths of the uncertainty, those of unknown types among them", () => {
    // (0, 0.1]: two right; (0.1, 0.2]: two right, one wrong; (0.2, 0.3]: one right; (0.6, 0.7] and (0.8,
    // 0.9]: one wrong each
    const { bins } = scores.errors!;
    assert.deepEqual(
      bins.map(({ cells }) => cells),
      [2, 3, 1, 0, 0, 0, 1, 0, 1, 0],
    );
    assert.deepEqual(
      bins.map(({ wrong }) => wrong),
      [0, 1 / 3, 0, null, null, null, 1, null, 1, null],
    );
    assert.ok(Math.abs(bins[1]!.uncertainty! - 0.2) < 1e-12);
    assert.equal(scoreLabelTransfer({ ...input, uncertainty: null }).errors, null);
  });

  test("ROC with ties as roc_auc_score: wrong labels and unknown types among all cells", () => {
    // wrong: 0.7, 0.2 (with two right ones at 0.2), 0.9 against right 0.1 0.2 0.1 0.3 0.2
    assert.equal(scores.errors_by_uncertainty!.auroc, (5 + 5 + 2 + 0.5 * 2) / 15);
    assert.equal(scores.unknown_types_by_uncertainty!.auroc, 1);
    const last = scores.errors_by_uncertainty!.curve.at(-1)!;
    assert.deepEqual([last.false_positive_rate, last.true_positive_rate], [1, 1]);
  });

  test("accuracy of the cells kept rises to that of all", () => {
    assert.deepEqual(scores.kept![0], { share: 2 / 8, uncertainty: 0.1, accuracy: 1 });
    assert.deepEqual(scores.kept!.at(-1), { share: 1, uncertainty: 0.9, accuracy: 5 / 8 });
    assert.deepEqual(scores.flags, { flagged: 2, of_unknown_types: 1, wrong: 2, unknown_found: 1 });
  });

  test("nothing to find: no curve, not a number", () => {
    const right = scoreLabelTransfer({
      ...input,
      predicted: input.truth,
      isKnown: Uint8Array.of(1, 1, 1, 1),
      probability: null,
    });
    assert.deepEqual(
      [right.accuracy, right.errors_by_uncertainty, right.unknown_types_by_uncertainty, right.calibration],
      [1, null, null, null],
    );
  });
});

/** A file with two embeddings, true and predicted labels. */
async function writeScored(
  name: string,
  change: (data: NewAnnData) => NewAnnData = (data) => data,
): Promise<string> {
  const { data, cells, types } = simulate({ cells: 200, conditions: ["p1", "p2", "p3"] });
  const names = ["B cell", "T cell", "monocyte"];
  const place = (cell: number, d: number): number =>
    names.indexOf(types[cell]!) * (d === 0 ? 5 : 2) + Math.sin(cell * (d + 1) * 12.9898);
  const embedding = (D: number) => ({
    rows: cells,
    columns: D,
    values: Float32Array.from({ length: cells * D }, (_, at) => place(Math.floor(at / D), at % D)),
  });
  const codes = Int32Array.from(types, (type, cell) => (cell % 10 === 0 ? 0 : names.indexOf(type)));
  const path = join(folder, name);
  await writeH5ad(
    path,
    change({
      ...data,
      obs: {
        ...data.obs,
        columns: {
          ...data.obs.columns,
          truth: {
            kind: "string",
            length: cells,
            values: types.map((type, cell) => (cell === 3 ? "unknown" : type)),
          },
          cell_type_pred: {
            kind: "categorical",
            length: cells,
            codes,
            categories: ["B cell", "T cell", "monocyte", "NK"],
            ordered: false,
          },
          cell_type_uncert: {
            kind: "number",
            length: cells,
            values: Float64Array.from({ length: cells }, (_, cell) => (cell % 10 === 0 ? 0.8 : 0.1)),
          },
        },
      },
      obsm: { X_scpoli: embedding(4), X_pca: embedding(2) },
    } as NewAnnData),
  );
  return path;
}

async function run(path: string, options: EvaluateOptions) {
  const data = await AnnData.open(path);
  try {
    return await evaluate(data, { threads: 1, ...options });
  } finally {
    data.close();
  }
}

describe("files", async () => {
  const path = await writeScored("scored.h5ad");

  test("several embeddings, without unlabelled cells, uncertainty by its column name", async () => {
    const notes: string[] = [];
    const scored = await run(path, {
      embeddings: ["X_scpoli", "X_pca"],
      conditionKey: "donor",
      cellTypeKey: "truth",
      predictionKey: "cell_type_pred",
      onNote: ({ message }) => notes.push(message),
    });
    assert.deepEqual(
      [scored.cells, scored.left_out, scored.cell_types, scored.conditions, scored.before, scored.exact],
      [199, 1, 3, 3, 'obsm["X_pca"]', true],
    );
    assert.deepEqual(
      scored.embeddings.map(({ embedding, dimensions }) => [embedding, dimensions]),
      [
        ["X_scpoli", 4],
        ["X_pca", 2],
      ],
    );
    assert.ok(scored.embeddings[0]!.metrics.cell_type_silhouette!.value! > 0.7);
    assert.match(notes[0]!, /^obs\['truth'\]: 1 cell without a label \('unknown'\), of 200\./);
    const transfer = scored.label_transfer!;
    assert.equal(transfer.cells, 199);
    assert.ok(transfer.accuracy! > 0.9 && transfer.accuracy! < 1);
    assert.equal(transfer.errors_by_uncertainty!.auroc > 0.95, true);
    assert.equal(transfer.calibration, null);
  });

  test("labels alone, of some cells, with types that are not known", async () => {
    const scored = await run(path, {
      cellTypeKey: "cell_type",
      predictionKey: "cell_type_pred",
      query: { donor: ["p2"] },
      knownTypes: ["B cell", "T cell"],
    });
    assert.deepEqual(scored.embeddings, []);
    assert.ok(scored.label_transfer!.cells < 100 && scored.label_transfer!.cells_of_unknown_types > 0);
  });

  test("without components in the file, those of its counts equal a dense SVD", async () => {
    const { data, counts, cells, genes } = simulate({ cells: 200, conditions: ["p1", "p2", "p3"] });
    const bare = await writeScored("bare.h5ad", ({ obsm, ...rest }) => ({
      ...rest,
      X: data.X,
      obsm: { X_scpoli: obsm!["X_scpoli"]! },
    }));
    const scored = await run(bare, {
      conditionKey: "donor",
      cellTypeKey: "cell_type",
      metrics: ["pc_regression"],
    });
    assert.equal(scored.before, `30 components of the log-normalised counts in X (${genes} genes)`);
    const logs = Float64Array.from(counts, (count, at) => {
      const cell = Math.floor(at / genes);
      return Math.log1p(
        (1e4 * count) /
          counts.subarray(cell * genes, (cell + 1) * genes).reduce((sum, other) => sum + other, 0),
      );
    });
    const dense = principalComponents({ rows: cells, columns: genes, values: logs }, 30);
    const file = await AnnData.open(bare);
    const { codes } = await readConditions(file.obs, "donor");
    const { values } = await file.obsm("X_scpoli");
    file.close();
    const expected = pcRegression(
      varianceBetween(dense.scores.values, 30, codes, 3),
      varianceBetween(values, 4, codes, 3),
    )!;
    const value = scored.embeddings[0]!.metrics.pc_regression!.value!;
    assert.ok(expected > 0 && Math.abs(value - expected) < 0.002, `${value}, expected ${expected}`);
  });

  const refusals: readonly [string, EvaluateOptions, ErrorKind, RegExp][] = [
    [
      "no such embedding",
      { embeddings: ["X_scpol"], conditionKey: "donor", cellTypeKey: "cell_type" },
      "key",
      /no obsm "X_scpol"\. Did you mean "X_scpoli"/,
    ],
    ["no such column", { conditionKey: "doner", cellTypeKey: "cell_type" }, "key", /Did you mean "donor"/],
    ["nothing asked", { cellTypeKey: "cell_type" }, "usage", /--condition-key.*--pred/],
    [
      "no such metric",
      { conditionKey: "donor", cellTypeKey: "cell_type", metrics: ["lisi" as "ilisi"] },
      "usage",
      /no metric "lisi"; expected cell_type_silhouette/,
    ],
    [
      "texts for an uncertainty",
      { cellTypeKey: "cell_type", predictionKey: "cell_type_pred", uncertaintyKey: "donor" },
      "key",
      /obs\["donor"\] holds texts; numbers were expected/,
    ],
    [
      "a flag without its column",
      { conditionKey: "donor", cellTypeKey: "cell_type", query: { donor: ["p1"] } },
      "usage",
      /--query applies to predicted labels/,
    ],
  ];
  for (const [name, options, kind, message] of refusals)
    test(name, async () => {
      await assert.rejects(
        run(path, options),
        (error) => error instanceof ScPoliError && error.kind === kind && message.test(error.message),
      );
    });

  test("a position that is not finite is named", async () => {
    const broken = await writeScored("broken.h5ad", (data) => {
      (data.obsm!["X_scpoli"]!.values as Float32Array)[4 * 7 + 1] = NaN;
      return data;
    });
    await assert.rejects(
      run(broken, { conditionKey: "donor", cellTypeKey: "cell_type" }),
      /obsm\["X_scpoli"\] holds NaN in cell 'cell7' \(row 7\), column 1/,
    );
  });

  test("the command line writes a table, JSON and CSV with the same numbers, reproducibly", async () => {
    const output = join(folder, "scores.csv");
    const args = [
      "evaluate",
      path,
      "--condition-key",
      "donor",
      "--cell-type-key",
      "cell_type",
      "--embedding",
      "X_scpoli,X_pca",
      "--pred",
      "cell_type_pred",
      "-o",
      output,
    ];
    const text = await scpoli(args);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /\* cell type silhouette +0\.\d{3} +0\.\d{3}/);
    assert.match(text.stdout, /no isolated_label_f1|overall, k-means/);
    const csv = readFileSync(output, "utf8");
    const json = JSON.parse(
      (await scpoli([...args, "--json", "--quiet", "--threads", "1", "--force"])).stdout,
    ) as Awaited<ReturnType<typeof evaluate>>;
    assert.equal(readFileSync(output, "utf8"), csv);
    const silhouette = json.embeddings[0]!.metrics.cell_type_silhouette!.value!;
    assert.ok(
      csv.startsWith("part,name,metric,value,standard_error\n") &&
        csv.includes(`embedding,X_scpoli,cell_type_silhouette,${silhouette},\n`),
    );
    assert.ok(
      csv.includes(`labels,cell_type_pred,accuracy,${json.label_transfer!.accuracy},\n`) &&
        csv.includes("cell type,monocyte,f1,"),
    );
    const wrong = await scpoli(["evaluate", path, "--condition-key", "donor", "--cell-type-key", "celltype"]);
    assert.equal(wrong.code, 3);
    assert.equal((await scpoli(["evaluate", path, "--cell-type-key", "cell_type"])).code, 2);
  });
});
