// The parts of bench:peers shared by all methods: scoring of results, and the table.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { scoreResult, type Figures } from "../bench/peers/scoring.ts";
import { appendRow, readRows } from "../bench/peers/table.ts";
import { writeH5ad } from "../dist/index.js";

const folder = mkdtempSync(join(tmpdir(), "peers-"));
after(() => rmSync(folder, { recursive: true }));

/**
 * 40 cells of reference, 20 of query: two types around two points; the last query cell is of a third type.
 */
const cells = Array.from({ length: 60 }, (_, cell) => `cell ${cell}`);
const types = cells.map((_, cell) => (cell === 59 ? "new" : cell % 2 === 0 ? "A" : "B"));
const points = Float32Array.from(
  cells.flatMap((_, cell) => [(cell % 2) * 9 + Math.sin(cell), Math.cos(cell)]),
);
const text = (values: readonly string[]): { kind: "string"; values: readonly string[] } => ({
  kind: "string",
  values,
});

async function write(
  name: string,
  index: readonly string[],
  columns: Record<string, readonly string[]>,
  obsm: string | null,
): Promise<string> {
  const [rows, none] = [index.length, new Int32Array()];
  const path = join(folder, name);
  await writeH5ad(path, {
    X: { rows, columns: 1, indptr: new Int32Array(rows + 1), indices: none, values: none },
    obs: {
      index,
      columns: Object.fromEntries(Object.entries(columns).map(([key, values]) => [key, text(values)])),
    },
    var: { index: ["gene"] },
    obsm: obsm === null ? {} : { [obsm]: { rows, columns: 2, values: points } },
  });
  return path;
}

test("only the query's cells of types that the reference has are scored", async () => {
  const condition = cells.map((_, cell) => (cell < 40 ? `r${cell % 3}` : "q"));
  await write("truth.h5ad", cells, { condition, cell_type: types }, "X_before");
  await write("query.h5ad", cells.slice(40), { condition: condition.slice(40) }, null);
  // nothing is predicted for the reference; one of the query's 19 known cells is wrong, the new type cannot
  // be right
  const predicted = types.map((type, cell) => (cell < 40 ? "" : cell === 40 || cell === 59 ? "B" : type));
  const result = await write("result.h5ad", cells, { labels: predicted }, "X_z");
  const methods = [
    { name: "with an embedding", labels: "labels", embedding: "X_z" },
    { name: "labels alone", labels: "labels", embedding: null },
  ];
  const [both, alone] = await scoreResult(folder, result, methods, join(folder, "joined.h5ad"));
  for (const scores of [both!, alone!]) assert.ok(Math.abs(scores.accuracy! - 18 / 19) < 1e-12);
  // A: 9 of 10 found, none called wrongly; B: all 9 found, one call too many
  assert.ok(Math.abs(both!.macro_f1! - (18 / 19 + 18 / 19) / 2) < 1e-12);
  assert.ok(both!.kmeans_total! > 0 && both!.paper_total! > 0);
  assert.equal(alone!.kmeans_total, undefined);
  const reordered = await write("reordered.h5ad", [...cells].reverse(), { labels: predicted }, "X_z");
  await assert.rejects(
    scoreResult(folder, reordered, methods, join(folder, "joined.h5ad")),
    /cell 0 is cell 59/,
  );
});

test("a row that is measured again replaces the earlier one, whoever measured that", () => {
  const path = join(folder, "peers.csv");
  const row = (seed: number, figures: Figures, measuredBy: string): void =>
    appendRow(path, { data: "set", method: 'a method, "quoted"', seed, figures, measuredBy });
  row(0, { accuracy: 0.5, macro_f1: null }, "an earlier bench");
  row(1, { accuracy: 0.6 }, "an earlier bench");
  row(0, { accuracy: 0.71234567 }, "bench:peers");
  const rows = readRows(path);
  assert.deepEqual(
    rows.map(({ seed, figures, measuredBy }) => [seed, figures, measuredBy]),
    [
      [0, { accuracy: 0.7123 }, "bench:peers"],
      [1, { accuracy: 0.6 }, "an earlier bench"],
    ],
  );
  assert.equal(rows[0]!.method, 'a method, "quoted"');
});
