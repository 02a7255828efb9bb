// Gene sets among markers: exact hypergeometric probabilities, on cells with known markers.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { AnnData, findMarkers, markerGeneSets, writeH5ad } from "../dist/index.js";
import { scpoli, temporaryFolder } from "./command.ts";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const [cells, genes, markersPerGroup] = [60, 40, 6];

/** Six genes are higher in group A, six in group B; the others are the same in both. */
before(async () => {
  const isA = (cell: number): boolean => cell < cells / 2;
  const value = (cell: number, gene: number): number => {
    const isHigh = gene < markersPerGroup ? isA(cell) : gene < 2 * markersPerGroup && !isA(cell);
    return isHigh ? 3 + (cell % 3) : (cell + gene) % 2;
  };
  await writeH5ad(at("cells.h5ad"), {
    X: {
      rows: cells,
      columns: genes,
      values: Float32Array.from(
        { length: cells * genes },
        (_, i) => value(Math.floor(i / genes), i % genes) + 0.5,
      ),
    },
    obs: {
      index: Array.from({ length: cells }, (_, cell) => `cell${cell}`),
      columns: {
        group: {
          kind: "string",
          values: Array.from({ length: cells }, (_, cell) => (isA(cell) ? "A" : "B")),
        },
      },
    },
    var: { index: Array.from({ length: genes }, (_, gene) => `gene${gene}`) },
  });
  writeFileSync(
    at("sets.gmt"),
    // four of five measured genes are markers of A; case is ignored; GENE99 was not measured
    "FIRST\tmarkers of A\tGENE0\tgene1\tgene2\tgene3\tgene20\tGENE99\n" +
      "SECOND\tmarkers of B\tgene6\tgene7\tgene8\n" +
      "OTHER\tno markers\tgene30\tgene31\tgene32\n",
  );
});

function binomial(n: number, k: number): number {
  let product = 1;
  for (let i = 0; i < k; i++) product *= (n - i) / (i + 1);
  return product;
}

/** P of at least `overlap` of `drawn` genes in a set of `size`, out of all genes. */
function upperTail(overlap: number, size: number, drawn: number): number {
  let sum = 0;
  for (let k = overlap; k <= Math.min(size, drawn); k++)
    sum += binomial(size, k) * binomial(genes - size, drawn - k);
  return sum / binomial(genes, drawn);
}

test("over-representation among the markers of each group", async () => {
  const data = await AnnData.open(at("cells.h5ad"));
  const markers = await findMarkers(data, { groups: "group", layer: "X" });
  data.close();
  const sets = readFileSync(at("sets.gmt"), "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split("\t"))
    .map(([name, description, ...names]) => ({ name: name!, description: description!, genes: names }));
  const rows = await markerGeneSets(markers, sets);
  assert.deepEqual(
    rows.map((row) => [row.group, row.set, row.markers, row.overlap, row.size]),
    [
      ["A", "FIRST", markersPerGroup, 4, 5],
      ["B", "SECOND", markersPerGroup, 3, 3],
    ],
  );
  assert.deepEqual(rows[0]!.genes, ["GENE0", "GENE1", "GENE2", "GENE3"]);
  for (const [row, p] of [
    [rows[0]!, upperTail(4, 5, markersPerGroup)],
    [rows[1]!, upperTail(3, 3, markersPerGroup)],
  ] as const) {
    assert.ok(Math.abs((row.p as number) / p - 1) < 1e-9, `${String(row.p)} instead of ${p}`);
    // three sets were tested in each group, and this one has the smallest P
    assert.ok(Math.abs((row.p_adjusted as number) / (3 * p) - 1) < 1e-9);
  }
  const fewer = await markerGeneSets(markers, sets, { most: 2 });
  assert.deepEqual(
    fewer.map((row) => row.markers),
    [2, 2],
  );
});

test("the command line writes gene sets beside the markers", async () => {
  const base = ["markers", at("cells.h5ad"), "--groups", "group", "--layer", "X"];
  const run = await scpoli([
    ...base,
    ...["--gene-sets", at("sets.gmt"), "--gene-sets-csv", at("sets.csv"), "-o", at("out.h5ad")],
  ]);
  assert.equal(run.code, 0, run.stderr);
  assert.match(run.stdout, /A +FIRST +4 of 5/);
  const [header, first] = readFileSync(at("sets.csv"), "utf8").split("\n");
  assert.equal(header, "group,markers,set,size,overlap,expected,p,genes,p_adjusted");
  assert.match(first!, /^A,6,FIRST,5,4,0\.75,.*,GENE0 GENE1 GENE2 GENE3,/);
  const written = await AnnData.open(at("out.h5ad"));
  assert.ok(written.unsKeys.includes("rank_genes_groups_gene_sets"));
  written.close();
});

test("a table of gene sets needs gene sets, and those must be a .gmt file", async () => {
  const base = ["markers", at("cells.h5ad"), "--groups", "group"];
  const without = await scpoli([...base, "--gene-sets-csv", at("none.csv")]);
  assert.equal(without.code, 2);
  assert.match(without.stderr, /needs --gene-sets/);
  const wrong = await scpoli([...base, "--gene-sets", at("sets.csv")]);
  assert.equal(wrong.code, 3);
  assert.match(wrong.stderr, /line 1: no gene set/);
});
