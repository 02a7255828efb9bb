// Marker genes: the same numbers as scanpy (stored, see fixtures/make_markers.py), whatever the memory;
// files that anndata and scanpy read.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import {
  AnnData,
  convert,
  findMarkers,
  markerTable,
  writeH5ad,
  writeMarkers,
  type Markers,
  type MarkersOptions,
} from "../dist/index.js";
import { GeneColumns } from "../dist/markers/gene-columns.js";
import { scpoli, temporaryFolder } from "./command.ts";
import { fails } from "./compare.ts";
import { runPython } from "./python/environment.ts";

interface Columns {
  readonly [column: string]: readonly (number | null)[];
}
const fixture = JSON.parse(
  readFileSync(new URL("fixtures/markers-scanpy.json", import.meta.url), "utf8"),
) as {
  readonly groups: readonly (string | null)[];
  readonly matrices: Readonly<Record<"float32" | "float64", readonly (readonly number[])[]>>;
  readonly cases: readonly {
    readonly matrix: "float32" | "float64";
    readonly options: MarkersOptions;
    readonly results: Readonly<Record<string, Columns>>;
  }[];
};
const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const opened: Partial<Record<string, AnnData>> = {};

before(async () => {
  for (const [name, rows] of Object.entries(fixture.matrices)) {
    const type = name === "float64" ? Float64Array : Float32Array;
    await writeH5ad(at(`${name}.h5ad`), {
      X: { rows: rows.length, columns: rows[0]!.length, values: new type(rows.flat()) },
      obs: {
        index: rows.map((_, cell) => `cell${cell}`),
        columns: {
          group: { kind: "string", length: fixture.groups.length, values: fixture.groups },
          lineage: {
            kind: "string",
            values: fixture.groups.map((group) => (group === "B" ? "B/plasma" : "T, NK")),
          },
          alone: {
            kind: "string",
            values: fixture.groups.map((_, cell) => (cell === 7 ? "rare" : "common")),
          },
        },
      },
      var: { index: rows[0]!.map((_, gene) => `gene${gene}`) },
    });
    opened[name] = await AnnData.open(at(`${name}.h5ad`));
  }
});

function assertAsScanpy(markers: Markers, results: Readonly<Record<string, Columns>>): void {
  assert.deepEqual(markers.groups.map(({ name }) => name).sort(), Object.keys(results).sort());
  const G = markers.genes.length;
  for (const [k, { name }] of markers.groups.entries()) {
    const expected = results[name]!;
    const compare = (column: string, values: ArrayLike<number>): void => {
      if (!expected[column]) return; // scanpy has no shares of the reference's cells
      expected[column].forEach((value, gene) => {
        const actual = values[k * G + gene]!;
        if (value === null) assert.ok(Number.isNaN(actual), `${name} ${column} ${gene}`);
        else
          assert.ok(
            Math.abs(actual - value) <= 1e-6 * Math.max(1e-12, Math.abs(value)) + 1e-12,
            `${name}, ${column} of gene ${gene}: ${actual}, scanpy has ${value}`,
          );
      });
    };
    // scanpy keeps scores and fold changes as float32
    compare("scores", Float32Array.from(markers.scores));
    compare("logfoldchanges", Float32Array.from(markers.logFoldChanges));
    compare("pvals", markers.pValues);
    compare("pvals_adj", markers.adjustedPValues);
    compare("pct_nz_group", markers.shares);
    compare("pct_nz_reference", markers.otherShares);
  }
}

for (const { matrix, options, results } of fixture.cases)
  test(`as scanpy: ${matrix} values, ${JSON.stringify(options)}`, async () => {
    const notes: string[] = [];
    const markers = await findMarkers(opened[matrix]!, {
      groups: "group",
      layer: "X",
      ...options,
      onNote: ({ message }) => notes.push(message),
    });
    assertAsScanpy(markers, results);
    assert.equal(markers.isNormalized, false);
    // a second way to the same numbers: pairs of cells, counted one by one
    const G = markers.genes.length;
    const code = (cell: number): string | null => fixture.groups[cell]!;
    for (const [k, { name, cells }] of markers.groups.entries()) {
      for (const gene of [0, 3, 4, 11]) {
        let [wins, others] = [0, 0];
        fixture.matrices[matrix].forEach((values, cell) => {
          if (options.against === undefined ? code(cell) === name : code(cell) !== options.against) return;
          others++;
          fixture.matrices[matrix].forEach((row, other) => {
            if (code(other) === name)
              wins += row[gene]! > values[gene]! ? 1 : row[gene] === values[gene] ? 0.5 : 0;
          });
        });
        assert.ok(Math.abs(markers.auc[k * G + gene]! - wins / cells / others) < 1e-7, `AUC of gene ${gene}`);
      }
    }
    assert.ok(notes.some((note) => note.includes("the values of X, unchanged")));
  });

test("little memory: as many passes as it takes, the same bytes", async () => {
  const data = opened.float32!;
  const notes: string[] = [];
  const run = (memory?: number): Promise<Markers> =>
    findMarkers(data, { groups: "group", layer: "X", memory, onNote: ({ message }) => notes.push(message) });
  const whole = await run();
  assert.ok(!notes.some((note) => note.includes("more than once")));
  assert.deepEqual(await run(1), whole);
  assert.ok(notes.some((note) => note.includes("more than once")));
});

test("columns of genes keep what fits, in the order of the numbers", () => {
  const values = Float64Array.from({ length: 3000 }, (_, i) => Math.sin(i * i) * (i % 3 === 0 ? 1e-12 : 1e6));
  const columns = new GeneColumns(3, 0, 1000, true);
  columns.add(
    {
      start: 0,
      rows: 1000,
      indptr: Int32Array.from({ length: 1001 }, (_, row) => 3 * row),
      indices: Int32Array.from({ length: 3000 }, (_, i) => i % 3),
      values,
    },
    Int32Array.from({ length: 1000 }, (_, cell) => cell % 5),
  );
  assert.equal(columns.end, 1, "one gene has 1,000 values");
  const { keys, lowKeys, groups, length, negative } = columns.sorted(0);
  const sorted = Array.from({ length: 1000 }, (_, cell) => cell).sort(
    (a, b) => values[3 * a]! - values[3 * b]!,
  );
  assert.equal(length, 1000);
  assert.equal(negative, sorted.filter((cell) => values[3 * cell]! < 0).length);
  assert.deepEqual(
    Array.from(groups.subarray(0, length)),
    sorted.map((cell) => cell % 5),
  );
  for (let i = 1; i < length; i++)
    assert.ok(keys[i]! > keys[i - 1]! || (keys[i] === keys[i - 1] && lowKeys![i]! >= lowKeys![i - 1]!));
});

test("raw counts are normalised; chosen cells are one group", async () => {
  const kang = new URL("../../shared/data/kang16.h5ad", import.meta.url).pathname;
  if (!existsSync(kang)) return;
  const data = await AnnData.open(kang);
  try {
    const byType = await findMarkers(data, { groups: "cell_type" });
    const selected = await findMarkers(data, { select: { cell_type: ["NK cells"] } });
    assert.equal(byType.isNormalized, true);
    const row = byType.groups.findIndex(({ name }) => name === "NK cells");
    const G = byType.genes.length;
    assert.deepEqual(selected.scores, byType.scores.subarray(row * G, (row + 1) * G));
    const first = markerTable(byType, { top: 10 });
    const known = {
      "B cells": "CD79A",
      "NK cells": "GNLY",
      "FCGR3A+ Monocytes": "FCGR3A",
      Megakaryocytes: "PF4",
    };
    for (const [group, gene] of Object.entries(known))
      assert.ok(
        first.some((marker) => marker.group === group && marker.gene === gene),
        `${gene} of ${group}`,
      );
  } finally {
    data.close();
  }
});

test("what cannot be compared is refused", async () => {
  const data = opened.float32!;
  await fails(() => findMarkers(data, {}), "usage", /a column of obs/);
  await fails(() => findMarkers(data, { groups: "grup" }), "key", /group/);
  await fails(
    () => findMarkers(data, { groups: "group", only: ["plasma"] }),
    "key",
    /no group 'plasma'.*'NK'/s,
  );
  await fails(() => findMarkers(data, { groups: "group", layer: "none" }), "key", /no layer/);
  const notes: string[] = [];
  const markers = await findMarkers(data, {
    groups: "alone",
    layer: "X",
    onNote: ({ message }) => notes.push(message),
  });
  assert.deepEqual(
    markers.groups.map(({ name }) => name),
    ["common"],
  );
  assert.ok(notes.some((note) => note.includes("only one cell: 'rare'")));
});

test("files that anndata reads, .h5ad and Zarr of both versions", async () => {
  const paths: string[] = [];
  const ofFloats = await findMarkers(opened.float32!, { groups: "group", layer: "X" });
  await writeMarkers(opened.float32!, at("markers.h5ad"), ofFloats);
  paths.push(at("markers.h5ad"));
  const counts = at("counts.h5ad");
  await writeH5ad(counts, {
    X: {
      rows: 150,
      columns: 30,
      values: Float32Array.from(fixture.matrices.float64.flat(), (x) => Math.round(x) + 1),
    },
    obs: {
      index: fixture.groups.map((_, i) => `c${i}`),
      columns: { group: { kind: "string", length: fixture.groups.length, values: fixture.groups } },
    },
    var: { index: ofFloats.genes.map((gene, g) => (g === 2 ? "Käse-1" : gene)) },
  });
  const inH5ad = await AnnData.open(counts);
  await convert(inH5ad, at("counts.zarr"), {});
  inH5ad.close();
  const zarr = await AnnData.open(at("counts.zarr"));
  const ofCounts = await findMarkers(zarr, { groups: "group" });
  await writeMarkers(zarr, at("markers.zarr"), ofCounts);
  await fails(() => writeMarkers(zarr, at("markers.zarr"), ofCounts), "refused", /already exists/);
  zarr.close();
  paths.push(at("markers.zarr"));
  runPython("read_markers.py", "--zarr2", at("float32.h5ad"), at("second.zarr"));
  const second = await AnnData.open(at("second.zarr"));
  await writeMarkers(second, at("markers2.zarr"), ofFloats);
  second.close();
  paths.push(at("markers2.zarr"));
  const contents = JSON.parse(runPython("read_markers.py", ...paths));
  for (const [i, markers] of [ofFloats, ofCounts, ofFloats].entries()) {
    const { params, fields, types, names, scores, pts } = contents[i];
    const groups = markers.groups.map(({ name }) => name);
    assert.equal(params.groupby, "group");
    assert.equal(params.reference, "rest");
    assert.equal(params.method, "wilcoxon");
    assert.equal(params.use_raw, false);
    for (const list of Object.values(fields)) assert.deepEqual(list, groups);
    assert.deepEqual(types, { scores: "<f4", pvals: "<f8", pvals_adj: "<f8", logfoldchanges: "<f4" });
    const rows = markerTable(markers);
    for (const group of groups) {
      const groupRows = rows.filter((row) => row.group === group);
      assert.deepEqual(
        names[group],
        groupRows.map(({ gene }) => gene),
      );
      assert.deepEqual(
        scores[group],
        groupRows.map(({ score }) => Math.fround(score as number)),
      );
    }
    assert.deepEqual(pts.pts, { index: markers.genes, columns: groups });
    assert.deepEqual(pts.pts_rest.columns, groups);
  }
  const again = await AnnData.open(at("markers.h5ad"));
  assert.ok(again.unsKeys.includes("rank_genes_groups"));
  await fails(
    () => writeMarkers(again, at("twice.h5ad"), ofFloats),
    "refused",
    /already has uns\["rank_genes_groups"\]/,
  );
  again.close();
});

test("the command line: a table, JSON, names with a slash", async () => {
  const run = await scpoli([
    "markers",
    at("float32.h5ad"),
    "--groups",
    "lineage",
    "--layer",
    "X",
    "--csv",
    at("markers.csv"),
    "-o",
    at("out.h5ad"),
    "--top",
    "7",
    "--json",
  ]);
  assert.equal(run.code, 0, run.stderr);
  const { groups, top_genes: rows, written } = JSON.parse(run.stdout);
  assert.deepEqual(
    groups.map(({ name }: { name: string }) => name),
    ["B/plasma", "T, NK"],
  );
  assert.deepEqual(written, [at("out.h5ad"), at("markers.csv")]);
  const lines = readFileSync(at("markers.csv"), "utf8").trim().split("\n");
  assert.equal(lines.length, 1 + 2 * 7);
  assert.match(lines[0]!, /^group,gene,symbol,rank,score,log2_fold_change,p,p_adjusted,auc,share/);
  assert.ok(
    lines[8]!.startsWith(`"T, NK",${rows.find((row: { group: string }) => row.group === "T, NK").gene},`),
  );
  assert.match(run.stderr, /"\/"/);
  const [{ pts, fields }] = JSON.parse(runPython("read_markers.py", at("out.h5ad")));
  assert.deepEqual(pts, {});
  assert.deepEqual(fields.names, ["B/plasma", "T, NK"]);
  const none = await scpoli(["markers", at("float32.h5ad"), "--groups", "group", "--against", "nobody"]);
  assert.equal(none.code, 3);
  assert.match(none.stderr, /has no group 'nobody'/);
});
