// Decoded expression for the cell's condition and for others, compared with the decoder's formula and the
// means of the data.
import assert from "node:assert/strict";
import { join } from "node:path";
import { before, test } from "node:test";
import { AnnData, ScPoli, type DecodeOptions } from "../dist/index.js";
import { folder, makeAtlas } from "./atlas.ts";
import { scpoli } from "./command.ts";
import { fails } from "./compare.ts";

const conditions = ["a", "b", "c"];
let data: AnnData;
let model: ScPoli;
const D = 6;

before(async () => {
  data = await makeAtlas("decoded.h5ad", { cells: 600, genes: 80, conditions });
  model = await ScPoli.train(data, {
    conditionKeys: ["donor"],
    cellTypeKeys: ["cell_type"],
    hiddenLayerSizes: [24],
    latentDim: D,
    embeddingDims: 4,
    epochs: 60,
    threads: 1,
  });
});

async function decoded(options: DecodeOptions = {}, output = join(folder, "decoded-out.h5ad")) {
  await model.expression(data, output, { threads: 1, force: true, ...options });
  const file = await AnnData.open(output);
  const read = async (matrix: NonNullable<typeof file.X>) => {
    const { indptr, indices, values } = await matrix.read(0, file.nObs);
    const dense = new Float64Array(file.nObs * file.nVars);
    for (let row = 0; row < file.nObs; row++)
      for (let k = indptr[row]!; k < indptr[row + 1]!; k++)
        dense[row * file.nVars + indices[k]!] = values[k]!;
    return dense;
  };
  const X = await read(file.X!);
  const deviation = file.layers.includes("deviation") ? await read(file.layer("deviation")) : null;
  const genes = await file.var.index();
  const donor = await file.obs.column("donor");
  assert.deepEqual(await file.obs.index(), await data.obs.index());
  file.close();
  return { X, deviation, genes, donor };
}

/** The decoder by its formula (docs/explanation/markers-and-comparisons.md), in float64. */
function byFormula(z: ArrayLike<number>, condition: number): Float64Array {
  const { tensors, json } = model.stored;
  const of = (name: string) => tensors.get(name)!;
  const table = of("embeddings.0.weight");
  const E = table.shape[1]!;
  let row = Float64Array.from(table.data.subarray(condition * E, (condition + 1) * E));
  const size = Math.hypot(...row);
  if (size > 1) row = row.map((value) => value / size);
  const product = (name: string, x: ArrayLike<number>): Float64Array => {
    const { shape, data: weight } = of(name);
    return Float64Array.from({ length: shape[0]! }, (_, i) => {
      let sum = 0;
      for (let j = 0; j < shape[1]!; j++) sum += weight[i * shape[1]! + j]! * x[j]!;
      return sum;
    });
  };
  const part = product("decoder.FirstL.L0.cond_L.weight", row);
  const linear = product("decoder.FirstL.L0.expr_L.weight", z).map((value, i) => value + part[i]!);
  const mean = linear.reduce((sum, value) => sum + value, 0) / linear.length;
  const variance = linear.reduce((sum, value) => sum + (value - mean) ** 2, 0) / linear.length;
  const hidden = linear.map((value) => Math.max(0, (value - mean) / Math.sqrt(variance + 1e-5)));
  const bias = of("decoder.mean_decoder.0.bias").data;
  const logits = product("decoder.mean_decoder.0.weight", hidden).map((value, g) => value + bias[g]!);
  const most = Math.max(...logits);
  const weights = logits.map((value) => Math.exp(value - most));
  const total = weights.reduce((sum, value) => sum + value, 0);
  assert.equal(weights.length, json.genes.length);
  return weights.map((value) => (1e4 * value) / total);
}

test("equals the decoder's formula for the cell's condition, others and their average", async () => {
  const { latent } = await model.embed(data, { threads: 1 });
  const atOwnCondition = await decoded();
  const asB = await decoded({ at: { donor: "b" } });
  const average = await decoded({ at: "average" });
  const G = atOwnCondition.genes.length;
  const column = atOwnCondition.donor;
  assert.ok(column.kind === "string");
  const donorOf = (cell: number): number => conditions.indexOf(column.values[cell]!);
  for (const cell of [0, 1, 17, 599]) {
    const z = latent.subarray(cell * D, (cell + 1) * D);
    const each = conditions.map((_, code) => byFormula(z, code));
    const compare = (actual: Float64Array, expected: (gene: number) => number): void => {
      for (let gene = 0; gene < G; gene++)
        assert.ok(
          Math.abs(actual[cell * G + gene]! - expected(gene)) < 1e-3 * (1 + expected(gene)),
          `cell ${cell}, gene ${gene}: ${actual[cell * G + gene]}, expected ${expected(gene)}`,
        );
    };
    compare(atOwnCondition.X, (gene) => each[donorOf(cell)]![gene]!);
    compare(asB.X, (gene) => each[1]![gene]!);
    compare(average.X, (gene) => each.reduce((sum, values) => sum + values[gene]!, 0) / 3);
  }
});

test("means for the cell's condition are those of the data", async () => {
  const { X, genes } = await decoded();
  const G = genes.length;
  const { indptr, indices, values } = await data.X!.read(0, data.nObs);
  const [observed, expected] = [new Float64Array(G), new Float64Array(G)];
  for (let cell = 0; cell < data.nObs; cell++) {
    let total = 0;
    for (let k = indptr[cell]!; k < indptr[cell + 1]!; k++) total += values[k]!;
    for (let k = indptr[cell]!; k < indptr[cell + 1]!; k++)
      observed[indices[k]!]! += (1e4 * values[k]!) / total / data.nObs;
    for (let gene = 0; gene < G; gene++) expected[gene]! += X[cell * G + gene]! / data.nObs;
  }
  const off = observed.map((value, gene) => Math.abs(Math.log((expected[gene]! + 1) / (value + 1))));
  assert.ok(off.reduce((sum, value) => sum + value, 0) / G < 0.15, `mean log ratio ${off}`);
});

test("posterior samples: same mean, with standard deviations; genes are selected by name", async () => {
  const genes = ["gene5", "gene2"];
  const plain = await decoded({ genes });
  const sampled = await decoded({ genes, samples: 40, seed: 3 });
  const again = await decoded({ genes, samples: 40, seed: 3 });
  assert.deepEqual(sampled.genes, genes);
  assert.deepEqual(sampled.X, again.X);
  assert.ok(sampled.deviation!.every((value) => value > 0));
  let off = 0;
  sampled.X.forEach((value, at) => (off += Math.abs(value - plain.X[at]!) / sampled.deviation![at]!));
  assert.ok(off / sampled.X.length < 1, "the mean of samples is near the decoded mean");
  const whole = await decoded();
  assert.equal(plain.X[1], whole.X[2]);
});

test("the library size scales; rows sum to it", async () => {
  const { X, genes } = await decoded({ librarySize: 50 });
  const sum = X.subarray(0, genes.length).reduce((total, value) => total + value, 0);
  assert.ok(Math.abs(sum - 50) < 1e-3);
});

test("unknown conditions and genes are refused", async () => {
  const out = join(folder, "refused.h5ad");
  await fails(() => model.expression(data, out, { at: { donor: "z" } }), "key", /no condition donor = 'z'/);
  await fails(() => model.expression(data, out, { at: { site: "a" } }), "key", /no condition key 'site'/);
  await fails(() => model.expression(data, out, { genes: ["none"] }), "key", /no gene 'none'/);
  await fails(() => model.expression(data, out, { samples: 1 }), "usage", /at least 2/);
});

test("the command line", async () => {
  const folderOfModel = join(folder, "decoder-model");
  await model.save(folderOfModel);
  const out = join(folder, "cli-expression.h5ad");
  const args = ["expression", folderOfModel, data.path, "-o", out];
  const run = await scpoli([...args, "--as", "donor=b", "--genes", "gene1,gene3", "--json"]);
  assert.equal(run.code, 0, run.stderr);
  assert.deepEqual(JSON.parse(run.stdout).at, { donor: "b" });
  const both = await scpoli([...args, "--as", "donor=b", "--average"]);
  assert.equal(both.code, 2);
  const file = await AnnData.open(out);
  assert.deepEqual(await file.var.index(), ["gene1", "gene3"]);
  file.close();
});
