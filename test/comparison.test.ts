// Comparisons of samples: the numbers of limma and edgeR (stored, see fixtures/make_comparison.R),
// calibrated P values, and invalid input.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { AnnData, compareSamples, writeH5ad, type CompareOptions } from "../dist/index.js";
import { compareCounts } from "../dist/comparison/compare.js";
import {
  depthsOf,
  expressedGenes,
  normalizationFactors,
  selectGenes,
  voom,
  type SampleCounts,
} from "../dist/comparison/voom.js";
import { Random } from "../dist/numerics/random.js";
import { loadDistributions, loadGammaDerivatives } from "../dist/statistics/distributions.js";
import { lowess } from "../dist/statistics/lowess.js";
import { dependentColumn } from "../dist/statistics/moderated.js";
import { gamma2, poisson } from "./atlas.ts";
import { scpoli, temporaryFolder } from "./command.ts";
import { fails } from "./compare.ts";

interface Case {
  readonly name: string;
  readonly genes: number;
  readonly counts: readonly number[];
  readonly group: readonly number[];
  readonly covariates: readonly (readonly number[])[];
  readonly kept: readonly number[];
  readonly factors: readonly number[];
  readonly weights: readonly number[];
  readonly prior_df: number | "Infinity";
  readonly log_fold_change: readonly number[];
  readonly average: readonly number[];
  readonly t: readonly number[];
  readonly p: readonly number[];
  readonly p_adjusted: readonly number[];
}
const fixture = JSON.parse(
  readFileSync(new URL("fixtures/comparison-limma.json", import.meta.url), "utf8"),
) as { readonly cases: readonly Case[]; readonly lowess: Readonly<Record<string, readonly number[]>> };
const tools = { ...(await loadDistributions()), ...(await loadGammaDerivatives()) };

function close(actual: ArrayLike<number>, expected: readonly number[], what: string, bound = 1e-6): void {
  assert.equal(actual.length, expected.length, what);
  expected.forEach((value, i) =>
    assert.ok(
      Math.abs(actual[i]! - value) <= bound * Math.max(Math.abs(value), 1e-9),
      `${what} ${i}: ${actual[i]}, expected ${value}`,
    ),
  );
}

test("lowess as R's", () => {
  const { x, y, half, plain } = fixture.lowess;
  close(lowess(Float64Array.from(x!), Float64Array.from(y!), { span: 0.5 }), half!, "span 0.5");
  close(lowess(Float64Array.from(x!), Float64Array.from(y!)), plain!, "default span");
});

for (const expected of fixture.cases)
  test(`limma-voom as in R: ${expected.name}`, () => {
    const counts: SampleCounts = {
      samples: expected.group.length,
      genes: expected.genes,
      values: Float64Array.from(expected.counts),
    };
    const design = {
      rows: counts.samples,
      columns: [
        new Float64Array(counts.samples).fill(1),
        Float64Array.from(expected.group),
        ...expected.covariates.map((column) => Float64Array.from(column)),
      ],
    };
    const kept = expressedGenes(counts, expected.group);
    assert.deepEqual(Array.from(kept), expected.kept);
    const chosen = selectGenes(counts, kept);
    const factors = normalizationFactors(chosen);
    close(factors, expected.factors, "TMM factor");
    const depths = depthsOf(chosen).map((depth, i) => depth * factors[i]!);
    const { weights } = voom(chosen, depths, design);
    close(
      Array.from(expected.group, (_, i) => weights[i * kept.length]!),
      expected.weights,
      "weight",
    );
    const result = compareCounts(counts, design, tools);
    if (expected.prior_df === "Infinity") assert.equal(result.priorDf, Infinity);
    else close([result.priorDf], [expected.prior_df], "prior degrees of freedom");
    const rows = [...result.genes].sort((a, b) => a.gene - b.gene);
    close(
      rows.map((row) => row.log2FoldChange),
      expected.log_fold_change,
      "log2 fold change",
    );
    close(
      rows.map((row) => row.averageExpression),
      expected.average,
      "average",
    );
    close(
      rows.map((row) => row.t),
      expected.t,
      "t",
    );
    close(
      rows.map((row) => row.p),
      expected.p,
      "P",
    );
    close(
      rows.map((row) => row.adjustedP),
      expected.p_adjusted,
      "corrected P",
    );
  });

test("P values of genes that do not differ are uniform (Kolmogorov and Smirnov)", () => {
  const random = new Random(7, "no difference");
  const [samples, genes] = [10, 2000];
  const values = new Float64Array(samples * genes);
  const depth = Array.from({ length: samples }, () => Math.exp(0.4 * random.normal()));
  for (let gene = 0; gene < genes; gene++) {
    const level = Math.exp(3.5 + random.normal());
    for (let i = 0; i < samples; i++)
      // gamma of shape 2 times a Poisson: negative binomial
      values[i * genes + gene] = poisson(level * depth[i]! * (0.6 + 0.4 * gamma2(random)), random);
  }
  const group = Float64Array.from({ length: samples }, (_, i) => i % 2);
  const design = { rows: samples, columns: [new Float64Array(samples).fill(1), group] };
  const p = compareCounts({ samples, genes, values }, design, tools)
    .genes.map((row) => row.p)
    .sort((a, b) => a - b);
  const distance = p.reduce(
    (most, value, i) => Math.max(most, Math.abs(value - i / p.length), Math.abs(value - (i + 1) / p.length)),
    0,
  );
  // critical value of the test at P = 0.01
  assert.ok(distance < 1.628 / Math.sqrt(p.length), `distance ${distance} of ${p.length} genes`);
});

test("dependent columns of a design are detected", () => {
  const columns = [
    [1, 1, 1, 1],
    [0, 0, 1, 1],
    [5, 5, 7, 7],
    [1, 2, 3, 5],
  ].map((column) => Float64Array.from(column));
  assert.equal(dependentColumn({ rows: 4, columns }), 2);
  assert.equal(dependentColumn({ rows: 4, columns: [columns[0]!, columns[1]!, columns[3]!] }), -1);
});

describe("a file of eight samples", () => {
  const folder = temporaryFolder();
  const path = join(folder, "cells.h5ad");
  const genes = 40;
  const donors = ["d1", "d2", "d3", "d4"];
  /** the first gene rises under treatment in T cells only; B cells become rarer */
  before(async () => {
    const random = new Random(3, "comparison");
    const rows: { donor: string; drug: string; type: string; counts: number[] }[] = [];
    for (const donor of donors)
      for (const drug of ["none", "drug"])
        for (const [type, cells] of [
          ["T", 30],
          ["B", drug === "drug" ? 12 : 30],
          ["NK", 25],
          ["rare", donor === "d1" ? 15 : 2],
        ] as const)
          for (let cell = cells - (type === "rare" ? 0 : random.below(6)); cell > 0; cell--)
            rows.push({
              donor,
              drug,
              type,
              counts: Array.from({ length: genes }, (_, g) =>
                poisson(
                  (2 + (g % 7)) *
                    (g === 0 && type === "T" && drug === "drug" ? 3 : 1) *
                    (donor === "d2" ? 1.5 : 1),
                  random,
                ),
              ),
            });
    const text = (value: (row: (typeof rows)[number]) => string) => ({
      kind: "string" as const,
      values: rows.map(value),
    });
    await writeH5ad(path, {
      X: {
        rows: rows.length,
        columns: genes,
        values: Float32Array.from(rows.flatMap(({ counts }) => counts)),
      },
      obs: {
        index: rows.map((_, i) => `cell${i}`),
        columns: {
          donor: text(({ donor }) => donor),
          drug: text(({ drug }) => drug),
          sample: text(({ donor, drug }) => `${donor} ${drug}`),
          batch: text(({ donor }) => (donor < "d3" ? "one" : "two")),
          cell_type: text(({ type }) => type),
          half: text(({ drug }) => (drug === "drug" ? "x" : "y")),
        },
      },
      var: { index: Array.from({ length: genes }, (_, g) => `gene${g}`) },
    });
  });
  const compare = async (options: Partial<CompareOptions> = {}) => {
    const data = await AnnData.open(path);
    try {
      return await compareSamples(data, {
        between: ["drug", "drug", "none"],
        sampleKey: "sample",
        within: "cell_type",
        ...options,
      });
    } finally {
      data.close();
    }
  };

  test("the differential gene is found in its type, and so is the type that becomes rarer", async () => {
    const result = await compare({ covariates: ["donor"] });
    assert.equal(result.isPaired, false);
    const [b, nk, t, rare] = result.types;
    assert.deepEqual([b!.type, nk!.type, t!.type, rare!.type], ["B", "NK", "T", "rare"]);
    assert.equal(t!.genes[0]!.gene, "gene0");
    assert.ok(Math.abs(t!.genes[0]!.log2FoldChange - Math.log2(3)) < 0.3);
    assert.ok(t!.genes[0]!.adjustedP < 1e-3);
    assert.ok(nk!.genes.every(({ adjustedP }) => adjustedP > 0.05));
    assert.equal(t!.residualDf, 3);
    assert.match(rare!.reason!, /fewer than 2 samples with 10 cells/);
    assert.equal(rare!.genes.length, 0);
    const [rarer] = result.abundance;
    assert.equal(rarer!.type, "B");
    assert.ok(rarer!.log2Ratio < -0.5 && rarer!.adjustedP < 0.05);
    assert.ok(rarer!.shares[0] < rarer!.shares[1]);
  });

  test("samples with cells of both groups are compared in pairs", async () => {
    const paired = await compare({ sampleKey: "donor" });
    assert.equal(paired.isPaired, true);
    assert.deepEqual(paired.covariates, ["donor"]);
    assert.equal(paired.units.length, 8);
    const named = await compare({ covariates: ["donor"] });
    for (const [k, { genes: rows }] of paired.types.entries()) {
      const others = new Map(named.types[k]!.genes.map((row) => [row.gene, row]));
      for (const { gene, t, log2FoldChange } of rows)
        close([t, log2FoldChange], [others.get(gene)!.t, others.get(gene)!.log2FoldChange], gene);
    }
    paired.abundance.forEach((row, k) => close([row.t], [named.abundance[k]!.t], row.type));
  });

  test("comparisons that are not possible are refused or reported", async () => {
    await fails(
      () => compare({ sampleKey: "drug" }),
      "key",
      /at least 2 samples in each group.*--sample-key/s,
    );
    await fails(() => compare({ between: ["drug", "drug", "placebo"] }), "key", /no value 'placebo'/);
    await fails(() => compare({ covariates: ["cell_type"] }), "key", /not constant within the samples/);
    await fails(() => compare({ between: ["drug", "drug", "drug"] }), "usage", /with itself/);
    const confounded = await compare({ covariates: ["half"] });
    for (const { type, reason } of confounded.types)
      if (type !== "rare") assert.match(reason!, /covariates determine the group/);
    assert.deepEqual(confounded.abundance, []);
    const batch = await compare({ covariates: ["batch"] });
    assert.equal(batch.types[2]!.residualDf, 5);
  });

  test("the command line writes tables and uns", async () => {
    const out = join(folder, "out.h5ad");
    writeFileSync(
      join(folder, "sets.gmt"),
      "response\t\tGENE0\tgene1\tgene2\nother\t\tgene3\tgene4\tgene5\n",
    );
    const run = await scpoli([
      ...["compare", path, "--between", "drug=drug,none", "--within", "cell_type", "--sample-key", "donor"],
      ...["-o", out, "--tables", join(folder, "tables"), "--gene-sets", join(folder, "sets.gmt"), "--json"],
    ]);
    assert.equal(run.code, 0, run.stderr);
    const json = JSON.parse(run.stdout);
    assert.equal(json.is_paired, true);
    assert.equal(json.top_genes[0].gene, "gene0");
    // one of 40 genes drawn, 3 in the set: P = 3 / 40
    const row = json.gene_sets.find(
      ({ type, set }: { type: string; set: string }) => type === "T" && set === "response",
    );
    assert.deepEqual([row.direction, row.size, row.overlap, row.genes], ["up", 3, 1, ["GENE0"]]);
    assert.ok(Math.abs(row.p - 3 / 40) < 1e-9);
    assert.ok(existsSync(join(folder, "tables", "gene_sets.csv")));
    const lines = readFileSync(join(folder, "tables", "genes.csv"), "utf8").split("\n");
    assert.match(lines[0]!, /^type,gene,symbol,log2_fold_change,error,average_expression,t,p,p_adjusted$/);
    assert.ok(existsSync(join(folder, "tables", "abundance.csv")));
    const data = await AnnData.open(out);
    assert.ok(data.unsKeys.includes("scpoli_compare"));
    data.close();
    const bad = await scpoli(["compare", path, "--between", "drug", "--sample-key", "donor"]);
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /COLUMN=FIRST,SECOND/);
  });
});

test("interferon genes answer to interferon in every type (kang16)", async () => {
  const path = new URL("../../shared/data/kang16.h5ad", import.meta.url).pathname;
  if (!existsSync(path)) return;
  const data = await AnnData.open(path);
  const result = await compareSamples(data, {
    between: ["condition", "stim", "ctrl"],
    sampleKey: "donor",
    within: "cell_type",
  });
  data.close();
  for (const type of ["CD14+ Monocytes", "CD4 T cells", "B cells", "NK cells"]) {
    const { genes, reason } = result.types.find((compared) => compared.type === type)!;
    assert.equal(reason, null);
    for (const known of ["ISG15", "ISG20", "IFI6", "IFIT1", "IFIT3", "LY6E"]) {
      const row = genes.find(({ gene }) => gene === known)!;
      assert.ok(row.log2FoldChange > 2 && row.adjustedP < 1e-3, `${known} in ${type}`);
    }
  }
});
