// Training in rounds: shards by themselves, merged weights, and a model as complete as one of `train`,
// whatever the order of the jobs and however often they die.
import assert from "node:assert/strict";
import { execFileSync, type ChildProcess } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AnnData, makeReport, ScPoli, ScPoliError } from "../dist/index.js";
import { saveModel } from "../dist/storage/model-folder.js";
import { planOptimization } from "../dist/training/optimization.js";
import { readSafetensors } from "../dist/storage/safetensors.js";
import { cutCells, writeShard } from "../dist/rounds/cut.js";
import { emptyHistogram, countValue, histogramQuantile } from "../dist/rounds/histogram.js";
import { allRounds, planRounds } from "../dist/rounds/plan.js";
import { readPlan, RunFolder } from "../dist/rounds/run-folder.js";
import { roundsStatus } from "../dist/rounds/status.js";
import { finish, init, local, merge, runAll, summary, survey } from "../dist/rounds/steps.js";
import { planSteps, stepsBefore, stepWeights } from "../dist/rounds/course.js";
import { work } from "../dist/rounds/work.js";
import { surveyShard } from "../dist/rounds/survey.js";
import { folder, makeAtlas, texts } from "./atlas.ts";
import { scpoli } from "./command.ts";
import { smallDisk } from "./small-disk.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
const donors = ["d0", "d1", "d2", "d3", "d4", "d5"];
const [genes, types] = [80, ["B", "NK", "T", "Mono"]];
const atlas = await makeAtlas("atlas", {
  cells: 900,
  genes,
  types,
  conditions: donors,
  condition: (cell) => donors[cell % 6]!,
  label: (type, cell) => (cell % 10 === 0 ? null : type),
});
const query = await makeAtlas("query", { cells: 200, genes, types, conditions: ["q1", "q2"], seed: 2 });
const keys = { conditionKeys: ["donor"], cellTypeKeys: ["cell_type", "lineage"] };
const options = { epochs: 24, alphaEpochAnneal: 12, hiddenLayerSizes: [16], minibatch: 32, eta: 5 };
const course = { ...options, rounds: 6, passes: 3 };
const settings = { threads: 1 };

/** Shards of the atlas by name, each a file. */
async function cut(name: string, shards: number, by: "conditions" | "cells"): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const rows = await cutCells(atlas, { shards, by, conditionKeys: keys.conditionKeys });
  for (const [shard, cells] of rows.entries()) {
    const path = at(`${name}-${shard}.h5ad`);
    await writeShard(atlas, cells, path, {});
    files.set(`${name}-${shard}`, path);
  }
  return files;
}

const files = await cut("part", 3, "conditions");
const run = new RunFolder(at("run"));
const stored = await runAll(run, files, keys, course, settings);
await saveModel(at("model"), stored);
const model = await ScPoli.load(at("model"));

async function accuracy(of: ScPoli, classifier: "head" | "prototype"): Promise<number> {
  const { predictions } = await of.map(query, { threads: 1, epochs: 10, classifier });
  const truth = await texts(query, "truth");
  const names = of.stored.json.cell_types;
  return truth.filter((type, cell) => names[predictions[0]!.predicted[cell]!] === type).length / truth.length;
}

/** Every file of a folder by its path. */
function contents(path: string): Map<string, string> {
  const names = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    names
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((file) => [file.slice(path.length), readFileSync(file).toString("base64")]),
  );
}

test("shards have all cells once, whole conditions or random cells", async () => {
  for (const by of ["conditions", "cells"] as const) {
    const rows = await cutCells(atlas, { shards: 4, by, conditionKeys: ["donor"] });
    assert.deepEqual(
      [...rows.flatMap((cells) => [...cells])].sort((a, b) => a - b),
      [...Array(900).keys()],
    );
    const sizes = rows.map(({ length }) => length);
    assert.ok(Math.max(...sizes) - Math.min(...sizes) <= (by === "cells" ? 1 : 150), String(sizes));
  }
  await assert.rejects(cutCells(atlas, { shards: 7, conditionKeys: ["donor"] }), { kind: "usage" });
  const shard = await AnnData.open(files.get("part-1")!);
  const whole = await atlas.obs.index();
  const shardNames = await shard.obs.index();
  const row = whole.indexOf(shardNames[17]!);
  const [a, b] = [await atlas.X!.read(row, row + 1), await shard.X!.read(17, 18)];
  assert.deepEqual([...b.indices], [...a.indices]);
  assert.deepEqual([...b.values], [...a.values]);
  assert.equal((await texts(shard, "donor"))[17], (await texts(atlas, "donor"))[row]);
});

test("the model labels a query as well as one of train, and is as complete", async () => {
  const one = await ScPoli.train(atlas, { ...keys, ...options, threads: 1 });
  for (const classifier of ["head", "prototype"] as const) {
    const [rounds, train] = [await accuracy(model, classifier), await accuracy(one, classifier)];
    assert.ok(rounds >= train - 0.05 && rounds > 0.9, `${classifier}: ${rounds}, train ${train}`);
  }
  const [json, other] = [model.stored.json, one.stored.json];
  for (const name of ["genes", "conditions", "cell_types", "levels", "condition_keys"] as const)
    assert.deepEqual(json[name], other[name], name);
  assert.deepEqual(json.prototype_counts.length, other.prototype_counts.length);
  assert.equal(json.landmarks!.cells, other.landmarks!.cells);
  json.landmarks!.size_factors.forEach((value, i) => {
    const exact = other.landmarks!.size_factors[i]!;
    assert.ok(Math.abs(value / exact - 1) < 0.02, `size factors ${value}, ${exact}`);
  });
  assert.equal(json.head!.levels.length, 2);
  assert.ok(json.calibration.every(({ cells }) => cells > 50));
  for (const [name, { shape }] of one.stored.tensors)
    if (!/^novelty/.test(name)) assert.deepEqual(model.stored.tensors.get(name)?.shape, shape, name);
});

test("neither the order of the jobs nor jobs that run twice change a byte", async () => {
  const other = new RunFolder(at("other"));
  const names = [...files.keys()].reverse();
  for (const shard of names) await survey(other, shard, files.get(shard)!, keys);
  await init(other, course);
  const { plan } = await readPlan(other);
  for (let round = 1; round <= allRounds(plan); round++) {
    for (const shard of round % 2 === 0 ? names : [...files.keys()])
      await local(other, round, shard, files.get(shard)!, settings);
    if (round === 3) await local(other, round, names[1]!, files.get(names[1]!)!, { threads: 2 });
    await merge(other, round);
    if (round === 4) await merge(other, round);
  }
  for (const shard of names) await summary(other, shard, files.get(shard)!, settings);
  assert.deepEqual(contents(at("other")), contents(at("run")));
  await saveModel(at("other-model"), await finish(other, settings));
  assert.deepEqual(contents(at("other-model")), contents(at("model")));
});

test("a job that is killed leaves nothing that counts; run again, it ends with the same bytes", async () => {
  const killed = at("killed");
  cpSync(at("run"), killed, { recursive: true });
  const result = new RunFolder(killed).result(3, "part-0");
  const expected = readFileSync(result);
  rmSync(result);
  const args = ["rounds", "local", killed, files.get("part-0")!, "--shard", "part-0", "--round", "3"];
  const first = await scpoli([...args, "--threads", "1"], {
    onStderr: (_, child) => void child.kill("SIGKILL"),
  });
  assert.equal(first.code, null);
  assert.ok(!existsSync(result));
  const status = await roundsStatus(new RunFolder(killed));
  assert.equal(status.round, status.rounds, "later rounds are there already");
  const second = await scpoli([...args, "--threads", "1", "--json"]);
  assert.equal(second.code, 0, second.stderr);
  assert.deepEqual(readFileSync(result), expected);
});

test("two controllers at once in one folder end with the same bytes", async () => {
  const args = (model: string): string[] => [
    ...["rounds", "run", at("shared"), ...files.values(), "-o", at(model), "--threads", "1"],
    ...["--condition-key", "donor", "--cell-type-key", "cell_type,lineage", "--rounds", "6", "--passes", "3"],
    ...["--epochs", "24", "--anneal-epochs", "12", "--hidden", "16", "--minibatch", "32", "--eta", "5"],
  ];
  const both = await Promise.all(["shared-a", "shared-b"].map((model) => scpoli(args(model))));
  for (const { code, stderr } of both) assert.equal(code, 0, stderr);
  assert.deepEqual(contents(at("shared-a")), contents(at("shared-b")));
  assert.deepEqual(contents(at("shared-a")), contents(at("model")));
  assert.deepEqual(contents(at("shared")), contents(at("run")));
});

test("one job per shard for all rounds: the bytes of single steps, though a job is killed", async () => {
  const other = new RunFolder(at("work"));
  for (const [shard, path] of files) await survey(other, shard, path, keys);
  await init(other, course);
  const args = (shard: string): string[] => [
    ...["rounds", "work", other.path, files.get(shard)!, "--shard", shard, "--threads", "1"],
  ];
  const [merger, killed, third] = [...files.keys()] as [string, string, string];
  const running: ChildProcess[] = [];
  const first = scpoli(args(killed), { onStderr: (_, child) => void running.push(child) });
  while (!existsSync(other.result(1, killed)) || running.length === 0) await sleep(50);
  running[0]!.kill("SIGKILL");
  assert.equal((await first).code, null);
  for (const { code, stderr } of await Promise.all([third, killed, merger].map((name) => scpoli(args(name)))))
    assert.equal(code, 0, stderr);
  assert.deepEqual(contents(at("work")), contents(at("run")));
});

test("a job that waits for the others in vain says what is missing", async () => {
  const other = new RunFolder(at("waiting"));
  for (const [shard, path] of files) await survey(other, shard, path, keys);
  await init(other, course);
  const [merger, shard] = [...files.keys()] as [string, string];
  const rejection = (file: string) => (error: unknown) => {
    assert.ok(error instanceof ScPoliError && error.kind === "file", String(error));
    assert.ok(error.message.includes(file), error.message);
    return true;
  };
  const run = (name: string) => work(other, name, files.get(name)!, settings, { wait: 1 });
  await assert.rejects(run(shard), rejection(other.state(1)));
  await assert.rejects(run(merger), rejection(other.result(1, [...files.keys()][2]!)));
  const stop = AbortSignal.timeout(500);
  await assert.rejects(work(other, shard, files.get(shard)!, { ...settings, signal: stop }), {
    kind: "interrupted",
  });
});

test("a full disk: a clear error, nothing half-written, and success with more space", async (context) => {
  const disk = smallDisk(context, at("disk"), "64k");
  if (disk === null) return;
  const full = new RunFolder(join(disk, "run"));
  cpSync(run.plan, full.plan, { recursive: true });
  cpSync(run.state(0), full.state(0), { recursive: true });
  const args = ["rounds", "local", full.path, files.get("part-0")!, "--shard", "part-0", "--round", "1"];
  const { code, stderr } = await scpoli(args);
  assert.equal(code, 3, stderr);
  assert.match(stderr, /cannot be written.*(space|ENOSPC)/);
  // the moments, which are written first, may be there, and are whole
  const left = contents(full.path);
  left.delete("/kept/part-0/0001.safetensors");
  assert.deepEqual([...left.keys()], ["/exchange/plan.json", "/exchange/states/0000.safetensors"]);
  execFileSync("mount", ["-o", "remount,size=10m", disk]);
  const again = await scpoli(args);
  assert.equal(again.code, 0, again.stderr);
  assert.deepEqual(readFileSync(full.result(1, "part-0")), readFileSync(run.result(1, "part-0")));
});

describe("refused, with what to do:", () => {
  const broken = (name: string): RunFolder => {
    cpSync(at("run"), at(name), { recursive: true });
    return new RunFolder(at(name));
  };

  test("a round without a shard, unless it is left out by name", async () => {
    const other = broken("missing");
    rmSync(other.result(2, "part-1"));
    await assert.rejects(merge(other, 2), {
      kind: "refused",
      message: /no result of shard 'part-1'.*--without/,
    });
    const notes: string[] = [];
    await merge(other, 2, ["part-1"], ({ message }) => notes.push(message));
    assert.deepEqual(notes, ["Round 2 continues without shard 'part-1'."]);
    await assert.rejects(merge(other, 2, ["part-7"]), { kind: "usage", message: /no shard 'part-7'/ });
    await assert.rejects(merge(other, 2, [...files.keys()]), { kind: "refused" });
    // results of round 3 began with another state
    await assert.rejects(merge(other, 3), { kind: "refused", message: /from another state/ });
    // and a shard that was left out starts with new moments
    for (const [shard, path] of files) await local(other, 3, shard, path, settings);
    await merge(other, 3);
  });

  test("a file that is not what was surveyed", async () => {
    await assert.rejects(local(run, 1, "part-0", files.get("part-1")!, settings), {
      kind: "refused",
      message: /is not the file surveyed as shard 'part-0'/,
    });
  });

  test("a round, a shard or a run that is not there", async () => {
    await assert.rejects(local(run, 99, "part-0", files.get("part-0")!, settings), { kind: "usage" });
    await assert.rejects(local(run, 1, "part-9", files.get("part-0")!, settings), { kind: "usage" });
    await assert.rejects(readPlan(new RunFolder(at("nowhere"))), { kind: "file" });
    await assert.rejects(init(new RunFolder(at("nowhere")), {}), { kind: "file", message: /no survey/ });
  });

  test("another plan in the folder of a run, and damaged files", async () => {
    const other = broken("replanned");
    await assert.rejects(init(other, { ...course, rounds: 7 }), { kind: "refused" });
    await init(other, course);
    writeFileSync(other.state(2), readFileSync(other.state(2)).subarray(0, 1000));
    await assert.rejects(merge(other, 3), { kind: "model" });
    cpSync(other.survey("part-0"), other.state(2));
    await assert.rejects(merge(other, 3), { kind: "model", message: /is a survey.*a state was expected/ });
    // a run of a version whose rounds were all of one length
    writeFileSync(other.plan, readFileSync(other.plan, "utf8").replace('"layout": 2', '"layout": 1'));
    await assert.rejects(merge(other, 3), { kind: "model", message: /has layout 1; this version.* reads 2/ });
  });

  test("shards that were surveyed in different ways, or have one name", async () => {
    const data = await AnnData.open(files.get("part-0")!);
    const one = { survey: await surveyShard(data, "one", keys), digest: "" };
    const two = {
      survey: await surveyShard(data, "two", { ...keys, cellTypeKeys: ["cell_type"] }),
      digest: "",
    };
    assert.throws(() => planRounds([one, two]), { kind: "usage", message: /cell_type_keys/ });
    assert.throws(() => planRounds([one, one]), { kind: "usage", message: /Two shards are named 'one'/ });
    await assert.rejects(surveyShard(data, "../x", keys), { kind: "usage" });
  });
});

test("random cells in each shard: rows of a condition are means over the shards", async () => {
  const parts = await cut("cells", 3, "cells");
  const outcome = await runAll(new RunFolder(at("cells")), parts, keys, { ...course, rounds: 3 }, settings);
  await saveModel(at("cells-model"), outcome);
  const reached = await accuracy(await ScPoli.load(at("cells-model")), "head");
  assert.ok(reached > 0.9, `accuracy ${reached}`);
});

test("a plan drops metadata on which shards disagree, and fills in withheld counts", async () => {
  const data = await AnnData.open(files.get("part-0")!);
  const { json, ranking } = await surveyShard(data, "shard", keys);
  const donorsOfShard = json.combinations.map(({ names: [name] }) => name!);
  const withAge = (shard: string, age: number, cells: number | null) => {
    const samples = Object.fromEntries(donorsOfShard.map((name) => [name, [age, "blood"]]));
    const levels = json.levels.map((level) => ({ ...level, [Object.keys(level).sort()[0]!]: cells }));
    const metadata = [{ columns: ["age", "tissue"], samples }];
    return { survey: { json: { ...json, shard, levels, metadata }, ranking }, digest: shard };
  };
  const agreeing = planRounds([withAge("one", 50, 7), withAge("two", 50, null)]);
  assert.deepEqual(agreeing.metadata![0]!.columns, ["age", "tissue"]);
  assert.equal(agreeing.type_cells[0]![0], 7 + json.reading.least_cells);
  const [metadata] = planRounds([withAge("one", 50, 7), withAge("two", 51, 7)]).metadata!;
  assert.deepEqual(metadata!.columns, ["tissue"]);
  assert.deepEqual(
    Object.values(metadata!.samples).flat(),
    donorsOfShard.map(() => "blood"),
  );
});

test("variable genes are those that train chooses", async () => {
  const surveys = [];
  for (const [shard, path] of files)
    surveys.push({
      survey: await surveyShard(await AnnData.open(path), shard, { ...keys, genes: 30 }),
      digest: "",
    });
  const { genes: chosen } = planRounds(surveys);
  const trained = await ScPoli.train(atlas, { ...keys, genes: 30, epochs: 1, threads: 1 });
  assert.deepEqual(chosen, trained.stored.json.genes);
  assert.deepEqual(planRounds([...surveys].reverse()), planRounds(surveys));
});

describe("between institutions", () => {
  const shared = new RunFolder(at("sites"));

  test("nothing that is exchanged has a row per cell, and the model labels by its prototypes", async () => {
    const outcome = await runAll(shared, files, { ...keys, federated: true }, course, settings);
    await saveModel(at("sites-model"), outcome);
    assert.equal(outcome.json.head, null);
    assert.equal(outcome.json.landmarks, null);
    assert.ok(outcome.json.calibration.every(({ cells }) => cells > 50));
    const reached = await accuracy(await ScPoli.load(at("sites-model")), "prototype");
    assert.ok(reached > 0.9, `accuracy ${reached}`);

    const cells = [];
    for (const path of files.values()) cells.push((await AnnData.open(path)).nObs);
    const least = Math.min(...cells);
    let looked = 0;
    for (const [name, bytes] of contents(join(shared.path, "exchange"))) {
      if (!name.endsWith(".safetensors")) continue;
      for (const [tensor, { shape }] of readSafetensors(Buffer.from(bytes, "base64"), name)) {
        if (tensor === "json" || /^(size_factors|distances)/.test(tensor)) continue; // text; histograms
        looked++;
        assert.ok(
          shape.every((length) => length < least),
          `${name}: ${tensor} is ${shape}`,
        );
      }
    }
    assert.ok(looked > 50);
    const text = Buffer.concat(
      [...contents(join(shared.path, "exchange")).values()].map((b) => Buffer.from(b, "base64")),
    );
    for (const name of (await atlas.obs.index()).slice(0, 50)) assert.ok(!text.includes(`"${name}"`), name);
  });

  test("numbers of few cells are withheld", async () => {
    const data = await AnnData.open(files.get("part-0")!);
    const few = await surveyShard(data, "few", { ...keys, federated: true, leastCells: 90, genes: 10 });
    assert.ok(few.json.levels[0] && Object.values(few.json.levels[0]).some((n) => n === null));
    assert.deepEqual(few.json.metadata, [{ columns: [], samples: {} }]);
  });

  test("a manifest describes the content of a file", async () => {
    const path = shared.result(1, "part-0");
    const { code, stdout } = await scpoli([
      "rounds",
      "manifest",
      path,
      at("run/exchange/summaries/part-0.safetensors"),
      "--json",
    ]);
    assert.equal(code, 0);
    const [result, sample] = JSON.parse(stdout).files;
    assert.equal(result.has_rows_per_cell, false);
    assert.ok(result.entries.some((entry: { name: string }) => entry.name === "parameter/theta"));
    assert.equal(sample.has_rows_per_cell, true);
  });
});

test("half of the rounds fine-tune, in a tenth of the steps, and annealing follows the steps", () => {
  const optimization = planOptimization(
    { epochs: 40, alphaEpochAnneal: 20 },
    { stage: "training", cells: 100_000, hasLabels: true, dropout: 0, seed: 0 },
  );
  const steps = planSteps(optimization, 100_000, 8, { rounds: 24, passes: 1.5 });
  const course = { ...steps, rounds: 24, optimization };
  assert.equal(steps.fine_tuning_from, 13);
  const total = (1.5 * 40 * 100_000 * optimization.trainFrac) / (optimization.minibatch * 8);
  assert.ok(Math.abs(stepsBefore(course, 25) - total) <= 24, `${stepsBefore(course, 25)}, ${total}`);
  assert.ok(Math.abs(stepsBefore(course, 13) - 0.9 * total) <= 12);
  const weights = (round: number, share: number) => stepWeights(course, round, share, true);
  assert.equal(weights(12, 1).prototype, 0);
  assert.equal(weights(13, 0).prototype, optimization.eta);
  assert.equal(weights(13, 0).crossEntropy, optimization.etaCrossEntropy);
  assert.equal(
    stepWeights(course, 13, 0, false).prototype,
    0,
    "without prototypes there is no prototype loss",
  );
  // 20 of 40 epochs are 20 of the 36 epochs of pretraining
  const annealed = 12 * (20 / 36);
  assert.ok(Math.abs(weights(Math.floor(annealed) + 1, annealed % 1).kl - 1) < 1e-3);
  assert.ok(Math.abs(weights(4, 0).kl - (3 * 3) / 20) < 1e-3, `${weights(4, 0).kl}`);
  const one = planSteps(optimization, 100_000, 8, { rounds: 24, fineTuningRounds: 30 });
  assert.equal(one.fine_tuning_from, 2, "the first round trains without prototypes, which it makes");
});

test("quantiles of a histogram are within half a percent", () => {
  const histogram = emptyHistogram();
  const values = Array.from({ length: 5000 }, (_, i) => 3 * 1.001 ** i);
  for (const value of values) countValue(histogram, value);
  for (const q of [0.05, 0.5, 0.95]) {
    const exact = values[Math.round(q * 5000)]!;
    assert.ok(Math.abs(histogramQuantile(histogram, q) / exact - 1) < 0.006, `${q}`);
  }
});

test("status says what comes next", async () => {
  const { code, stdout } = await scpoli(["rounds", "status", at("run")]);
  assert.equal(code, 0);
  assert.match(stdout, /7 of 7 rounds merged/);
  assert.match(stdout, /Nothing is missing: `scpoli rounds finish` writes the model, and may be run again/);
  assert.doesNotMatch(stdout, /Next:/);
  const part = new RunFolder(at("partly"));
  cpSync(at("run"), part.path, { recursive: true });
  for (let round = 3; round <= 7; round++) rmSync(part.state(round));
  rmSync(part.result(3, "part-2"));
  const status = await roundsStatus(part);
  assert.deepEqual([status.round, status.missing, status.next], [2, ["part-2"], "round 3 of part-2"]);

  // a round of pretraining of 100 s like the last one, three of fine-tuning, and one that evaluates
  const { plan } = await readPlan(part);
  const left = 100 * (1 + (3 * plan.fine_tuning_steps) / plan.steps + 1);
  // the others took 10 s and 20 s; part-2 has been at it for a minute, then for 15 s
  for (const [seconds, isLate] of [
    [60, true],
    [15, false],
  ] as const) {
    const merged = Date.now() / 1000 - seconds;
    utimesSync(part.state(1), merged - 100, merged - 100);
    utimesSync(part.state(2), merged, merged);
    utimesSync(part.result(3, "part-0"), merged + 10, merged + 10);
    utimesSync(part.result(3, "part-1"), merged + 20, merged + 20);
    const { stragglers, shard_seconds, seconds_left } = await roundsStatus(part);
    assert.deepEqual(Object.keys(shard_seconds), ["part-0", "part-1"]);
    assert.deepEqual(
      stragglers.map(({ shard, usual_seconds }) => [shard, Math.round(usual_seconds)]),
      isLate ? [["part-2", 15]] : [],
    );
    assert.ok(Math.abs(seconds_left! - (left - seconds)) < 5, `${seconds_left}`);
    const text = (await scpoli(["rounds", "status", part.path])).stdout;
    assert.equal(/Late: part-2, 1 min \d+ s so far; a shard usually takes 15 s/.test(text), isLate, text);
  }
});

test("the Methods text describes the rounds", async () => {
  const html = await makeReport({ model });
  assert.match(html, /in 6 rounds: in each, 3 shards of the cells were trained separately, then/);
  assert.match(html, /the weights after round \d were kept/);
  assert.match(html, /kept: round \d/);
});
