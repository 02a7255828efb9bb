// Validates a model's tensors: all that `model.json` requires exist, with the right shapes and ranges.
import { type ModelJson, optionsOf } from "../model/stored-model.js";
import { headRows } from "../labels/head.js";
import { parameterShapes } from "../model/parameters.js";
import type { Tensor } from "./safetensors.js";
import { Checker } from "./checker.js";
import { jsonName } from "./model-files.js";

/** Checks that the tensors match the JSON: names, shapes, finite values. */
export function checkTensors(json: ModelJson, tensors: ReadonlyMap<string, Tensor>, check: Checker): void {
  const { model, genes, conditions, combinations, cell_types: types } = json;
  const [K, U, D] = [types.length, json.unlabeled_prototypes.length, model.latent_dim];
  const sizes = {
    genes: genes.length,
    conditions: conditions.map((names) => names.length),
    combinations: combinations.length,
  };
  const expected = new Map<string, readonly number[]>(
    parameterShapes(optionsOf(model), sizes).map(({ name, shape }) => [name, shape]),
  );
  expected.set("prototypes", [K, D]).set("prototype_covariances", [K, D, D]);
  if (U > 0) expected.set("unlabeled_prototypes", [U, D]).set("unlabeled_prototype_covariances", [U, D, D]);
  const R = json.head ? headRows(json.head) : 0;
  if (R > 0) expected.set("head.weight", [R, genes.length]).set("head.bias", [R]);
  const L = json.landmarks?.cells ?? 0;
  if (L > 0)
    expected
      .set("landmarks.latent", [L, D])
      .set("landmarks.umap", [L, 2])
      .set("landmarks.labels", [L, json.levels.length])
      .set("landmarks.conditions", [L, conditions.length]);
  json.head?.levels.forEach(({ types: { length }, novelty }, level) => {
    if (!novelty) return;
    const width = 3 + 3 * novelty.neighborhoods.length;
    const rows = (name: string): number => tensors.get(`novelty.${level}.${name}`)?.shape[0] ?? 0;
    expected
      .set(`novelty.${level}.profiles`, [length, genes.length])
      .set(`novelty.${level}.displacements`, [rows("displacements"), genes.length])
      .set(`novelty.${level}.variances`, [2, genes.length]);
    for (const name of ["company", "alone"]) {
      if (rows(name) === 0) check.fail(`tensor 'novelty.${level}.${name}' is missing or empty`);
      expected.set(`novelty.${level}.${name}`, [rows(name), width]);
    }
  });
  for (const name of tensors.keys())
    if (!expected.has(name)) check.fail(`it has an unexpected tensor '${name}'`);
  for (const [name, shape] of expected) {
    const tensor = tensors.get(name) ?? check.fail(`tensor '${name}' is missing`);
    if (tensor.dtype !== "F32") check.fail(`tensor '${name}' has type ${tensor.dtype}, expected F32`);
    if (String(tensor.shape) !== String(shape))
      check.fail(
        `tensor '${name}' has shape [${tensor.shape.join(", ")}], ${jsonName} requires [${shape.join(", ")}]`,
      );
    const bad = tensor.data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) check.fail(`tensor '${name}' has ${tensor.data[bad]} at position ${bad}`);
  }
  json.head?.levels.forEach(({ types: { length }, novelty }, level) => {
    const width = 3 + 3 * (novelty?.neighborhoods.length ?? 0);
    for (const name of ["company", "alone"])
      tensors.get(`novelty.${level}.${name}`)?.data.forEach((value, at) => {
        const isCode = at % width === 1 || at % width === 2;
        if (isCode && (!Number.isInteger(value) || value < 0 || value >= length))
          check.fail(`tensor 'novelty.${level}.${name}' has the cell type ${value} at position ${at}`);
      });
  });
  checkCodes(check, tensors.get("landmarks.labels"), json.levels.length, () => types.length);
  checkCodes(check, tensors.get("landmarks.conditions"), conditions.length, (key) => conditions[key]!.length);
}

/** Checks codes of landmarks, integers stored as float32: each must be a valid row, or -1 for none. */
function checkCodes(
  check: Checker,
  tensor: Tensor | undefined,
  columns: number,
  rows: (column: number) => number,
): void {
  tensor?.data.forEach((code, at) => {
    if (!Number.isInteger(code) || code < -1 || code >= rows(at % columns))
      check.fail(`the landmarks have the code ${code} at position ${at}`);
  });
}
