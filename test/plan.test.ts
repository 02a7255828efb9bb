// scpoli plan: the memory that a run itself announces, times that grow with the work, and one plan for the
// steps of rounds. scpoli collect: the results of several mappings in one table and one report.
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { CostPlan } from "../dist/planning/plan.js";
import { folder, makeAtlas } from "./atlas.ts";
import { scpoli } from "./command.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
const data = (name: string): string => fileURLToPath(new URL(`../data/${name}`, import.meta.url));
const atlas = await makeAtlas("atlas", { cells: 400, genes: 60, conditions: ["d0", "d1"] });
const larger = await makeAtlas("larger", { cells: 1600, genes: 60, conditions: ["d2", "d3", "d4"] });
const keys = ["--condition-key", "donor"];

async function plan(...args: readonly string[]): Promise<CostPlan> {
  const { code, stdout, stderr } = await scpoli(["plan", ...args, ...keys, "--json"]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as CostPlan;
}

test("the predicted memory is what train announces", async () => {
  const { train, cells, conditions } = await plan(atlas.path, "--memory", "4G");
  assert.deepEqual([cells, conditions], [400, 2]);
  const { stderr } = await scpoli([
    ...["train", atlas.path, "-o", at("model"), ...keys, "--epochs", "1", "--memory", "4G"],
    ...["--cell-type-key", "cell_type"],
  ]);
  const [, announced] = /About ([\d.]+) GB of memory needed. Counts are held/.exec(stderr)!;
  assert.ok(Math.abs(Number(announced) * 1000 - train.memory_mb) <= 10, `${announced} ${train.memory_mb}`);
  assert.equal(train.streamed, false);
});

test("shards, queries and the number of rounds", async () => {
  const both = await plan(atlas.path, larger.path, "--query", atlas.path, "--rounds", "6", "--passes", "3");
  assert.deepEqual(
    both.shards.map(({ file, cells }) => [file, cells]),
    [
      [atlas.path, 400],
      [larger.path, 1600],
    ],
  );
  assert.deepEqual([both.cells, both.conditions, both.rounds.rounds], [2000, 5, 6]);
  assert.deepEqual(
    both.queries.map(({ file }) => file),
    [atlas.path],
  );
  const most = (step: string): number => Math.max(...both.shards.map(({ steps }) => steps[step]!.seconds));
  const { init, merge, finish, seconds, steps, fine_tuning_steps } = both.rounds;
  // the time of `local` is that of the longest round
  const sum = init.seconds + most("survey") + 6 * (most("local") + merge.seconds) + most("summary");
  assert.ok(seconds <= sum + finish.seconds + 0.2 && seconds > 6 * merge.seconds, `${seconds}`);
  assert.ok(fine_tuning_steps > 0 && fine_tuning_steps < steps, `${fine_tuning_steps} of ${steps}`);
  // one job per shard reads the shard once
  const { work_seconds: ofWork } = both.rounds;
  assert.ok(ofWork < seconds && ofWork > init.seconds + most("survey") + finish.seconds, `${ofWork}`);

  const cut = await plan(larger.path, "--shards", "4");
  assert.deepEqual(
    cut.shards.map(({ cells }) => cells),
    [400, 400, 400, 400],
  );
  const [few, many] = [
    await plan(larger.path, "--epochs", "10"),
    await plan(larger.path, "--epochs", "1000"),
  ];
  assert.ok(many.train.seconds > few.train.seconds + 0.5);
});

test("each new condition of a query is compared with each of the reference, which takes time", async () => {
  const many = Array.from({ length: 40 }, (_, i) => `c${i}`);
  const reference = await makeAtlas("forty", { cells: 400, genes: 60, conditions: many });
  const query = await makeAtlas("forty-more", { cells: 400, genes: 60, conditions: many });
  const single = await makeAtlas("one", { cells: 400, genes: 60, conditions: ["d0"] });
  const seconds = async (path: string, ...options: string[]): Promise<number> =>
    (await plan(reference.path, "--genes", "60", "--query", path, ...options)).queries[0]!.steps["map"]!
      .seconds;
  const hidden = ["--hidden", "2000"];
  assert.ok((await seconds(query.path, ...hidden)) > (await seconds(single.path, ...hidden)) + 0.5);
  // a query without the column counts as one condition
  const { code, stdout, stderr } = await scpoli([
    ...["plan", data("kang_reference.h5ad"), "--condition-key", "sample", "--query", single.path, "--json"],
  ]);
  assert.equal(code, 0, stderr);
  assert.equal((JSON.parse(stdout) as CostPlan).queries[0]!.cells, 400);
});

test("a limit of memory leaves counts in the file; wrong options are refused", async () => {
  const { train, queries } = await plan(larger.path, "--memory", "1M");
  assert.equal(train.streamed, true);
  assert.equal(queries[0]!.steps["map"]!.streamed, true);
  const absent = await scpoli(["plan", atlas.path, "--condition-key", "nothing"]);
  assert.equal(absent.code, 3);
  assert.match(absent.stderr, /nothing/);
  const text = await scpoli(["plan", atlas.path, ...keys]);
  assert.match(text.stdout, /rounds local +24 /);
});

test("the results of mappings in one table and one report", async () => {
  const facts: string[] = [];
  for (const name of ["first", "second"]) {
    const { code, stdout, stderr } = await scpoli([
      ...["map", data("kang_query.h5ad"), "--reference", data("models/demo-blood-1.zip")],
      ...["-o", at(`${name}.h5ad`), "--no-training", "--json"],
      ...(name === "second" ? ["--unlabeled-prototypes", "kmeans:4"] : []),
    ]);
    assert.equal(code, 0, stderr);
    writeFileSync(at(`${name}.json`), stdout);
    facts.push(at(`${name}.json`));
  }
  const collect = ["collect", ...facts, "-o", at("queries.tsv"), "--report", at("queries.html")];
  const { code, stderr } = await scpoli(collect);
  assert.equal(code, 0, stderr);
  const [header, ...rows] = readFileSync(at("queries.tsv"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\t"));
  const column = (name: string): number => header!.indexOf(name);
  for (const name of ["first", "second"]) {
    const queryRows = rows.filter(([query]) => query === name);
    const sum = (field: string): number =>
      queryRows.reduce((total, row) => total + Number(row[column(field)]), 0);
    assert.equal(sum("cells"), 720);
    assert.equal(sum("unknown"), Number(queryRows[0]![column("unknown_in_query")]));
    assert.equal(queryRows[0]![column("novel_clusters")] === "", name === "first");
  }
  assert.match(readFileSync(at("queries.html"), "utf8"), /<h3>second<\/h3>/);
  assert.equal((await scpoli(collect)).code, 4);
  writeFileSync(at("other.json"), "{}");
  const wrong = await scpoli(["collect", at("other.json"), "-o", at("t.tsv")]);
  assert.equal(wrong.code, 3);
  assert.match(wrong.stderr, /other\.json is not the output of `scpoli map --json`/);
});
