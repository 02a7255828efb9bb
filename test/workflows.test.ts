// The Snakemake workflow with its local executor, where Snakemake is installed (SNAKEMAKE names it, else it
// is looked for in PATH): the model has the bytes of one trained without it.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { folder, makeAtlas } from "./atlas.ts";
import { scpoli } from "./command.ts";

after(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
const inPackage = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const snakemake = process.env["SNAKEMAKE"] ?? "snakemake";
const isThere = spawnSync(snakemake, ["--version"]).status === 0;

test(
  "training in rounds and mapping of a sheet of queries",
  { skip: isThere ? false : "snakemake is not installed (pip install snakemake)" },
  async () => {
    const genes = 40;
    const donors = ["d0", "d1", "d2", "d3"];
    const atlas = await makeAtlas("atlas", {
      cells: 240,
      genes,
      conditions: donors,
      condition: (cell) => donors[cell % 4]!,
    });
    const query = await makeAtlas("query", { cells: 40, genes, conditions: ["q1"], seed: 2 });
    copyFileSync(query.path, at("q.h5ad"));
    const keys = ["--condition-key", "donor", "--cell-type-key", "cell_type"];
    const cut = await scpoli([
      "rounds",
      "cut",
      atlas.path,
      "-o",
      at("shards"),
      "--shards",
      "2",
      ...keys.slice(0, 2),
    ]);
    assert.equal(cut.code, 0, cut.stderr);
    const files = ["shard-000", "shard-001"].map((name) => join(at("shards"), `${name}.h5ad`));
    writeFileSync(
      at("queries.tsv"),
      "name\tfile\toptions\nfirst\tq.h5ad\t--epochs 2\nsecond\tq.h5ad\t--no-training\n",
    );
    writeFileSync(
      at("config.yaml"),
      JSON.stringify({
        scpoli: `${process.execPath} ${inPackage("dist/cli.js")}`,
        shards: { "shard-000": files[0], "shard-001": files[1] },
        survey_options: keys.join(" "),
        init_options: "--epochs 4",
        rounds: 2,
        queries: "queries.tsv",
        threads: 1,
      }),
    );
    const run = [
      ...["-s", inPackage("workflows/snakemake/Snakefile"), "--configfile", at("config.yaml")],
      ...["--profile", inPackage("workflows/snakemake/profiles/local")],
    ];
    const dry = spawnSync(snakemake, [...run, "--dry-run"], { cwd: folder, encoding: "utf8" });
    assert.equal(dry.status, 0, dry.stderr);
    assert.match(dry.stderr, /Predicted by scpoli plan[^]*\n {2}local +4 +\d+ +[\d.]+\n/);
    execFileSync(snakemake, run, { cwd: folder, stdio: "pipe" });
    const rows = readFileSync(at("results/queries.tsv"), "utf8").trim().split("\n");
    assert.deepEqual(rows[0]!.split("\t").slice(-2), ["verdict", "reasons"]);
    const report = readFileSync(at("results/queries.html"), "utf8");
    for (const name of ["first", "second"]) assert.match(report, new RegExp(`<h3>${name}</h3>`));
    for (const name of ["first", "second"])
      assert.equal(
        rows
          .filter((row) => row.startsWith(`${name}\t`))
          .reduce((sum, row) => sum + Number(row.split("\t")[3]), 0),
        40,
        name,
      );
    const by = ["rounds", "run", at("run"), ...files, "-o", at("model"), ...keys];
    const other = await scpoli([...by, "--epochs", "4", "--rounds", "2", "--threads", "2"]);
    assert.equal(other.code, 0, other.stderr);
    for (const name of ["model.json", "model.safetensors"])
      assert.deepEqual(
        readFileSync(join(at("model"), name)),
        readFileSync(at(`results/model/${name}`)),
        name,
      );
  },
);

test("the wrappers train and map", { skip: isThere ? false : "snakemake is not installed" }, async () => {
  const place = at("wrapped");
  mkdirSync(join(place, "bin"), { recursive: true });
  const command = `#!/bin/sh\nexec ${process.execPath} ${inPackage("dist/cli.js")} "$@"\n`;
  writeFileSync(join(place, "bin/scpoli"), command, { mode: 0o755 });
  const atlas = await makeAtlas("wrapped-atlas", { cells: 200, genes: 40, conditions: ["d0", "d1"] });
  const query = await makeAtlas("wrapped-query", { cells: 40, genes: 40, conditions: ["q1"], seed: 2 });
  const wrapper = (verb: string): string =>
    `"file:${inPackage(`workflows/snakemake/wrappers/scpoli/${verb}`)}"`;
  const keys = "--condition-key donor --cell-type-key cell_type --epochs 2";
  writeFileSync(
    join(place, "Snakefile"),
    [
      "rule map:",
      `    input: query="${query.path}", model="model"`,
      '    output: mapped="mapped.h5ad", facts="facts.json"',
      '    params: extra="--no-training"',
      '    log: "map.log"',
      `    wrapper: ${wrapper("map")}`,
      "rule train:",
      `    input: data="${atlas.path}"`,
      '    output: model=directory("model")',
      `    params: extra="${keys}"`,
      '    log: "train.log"',
      `    wrapper: ${wrapper("train")}`,
      "",
    ].join("\n"),
  );
  const path = `${join(place, "bin")}:${process.env["PATH"]}`;
  execFileSync(snakemake, ["--cores", "1"], {
    cwd: place,
    stdio: "pipe",
    env: { ...process.env, PATH: path },
  });
  assert.equal(JSON.parse(readFileSync(join(place, "facts.json"), "utf8")).cells, 40);
  assert.equal((await scpoli(["inspect", join(place, "mapped.h5ad")])).code, 0);
});

/** Commands of scpoli in a workflow, without the values filled in by the engine. */
function shellLines(text: string): string[] {
  const lines = [...text.matchAll(/^.*\bscpoli (?:rounds \w+|map|collect) .*$/gim)].map(([line]) => line);
  return lines
    .map((line) =>
      line
        .replace(/^.*?scpoli /i, "")
        .replace(/\$?\{[^}]*\}/g, "_")
        .replace(/--memory \S+/, "--memory _")
        .replace(/-o \S+\.tsv --report \S+\.html/, "-o _ --report _")
        .replace(/-o \S+/g, "-o _")
        .replace(/> \S+/, "> _")
        .replace(/--reference \S+/, "--reference _")
        .trim(),
    )
    .sort();
}

test("Nextflow's modules have the shell lines of Snakemake's rules, meta.yml and stubs", () => {
  const snakefile = readFileSync(inPackage("workflows/snakemake/Snakefile"), "utf8")
    .replaceAll("{SCPOLI}", "scpoli")
    // joins the parts of a command
    .replaceAll(/"\n +(?:# [^\n]*\n +)?"/g, "")
    .replaceAll(/ && rm -rf .*$/gm, '"')
    .replaceAll('"', "");
  const modules = inPackage("workflows/nextflow/modules/local/scpoli");
  const scripts: string[] = [];
  const folders = readdirSync(modules, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith("main.nf"),
  );
  for (const path of folders) {
    const text = readFileSync(join(modules, path), "utf8");
    const name = path.replace(/[\\/]main\.nf$/, "").replaceAll(/[\\/]/g, "_");
    assert.match(text, new RegExp(`^process SCPOLI_${name.toUpperCase()} \\{`), path);
    assert.match(text, /\n {4}stub:\n/, path);
    const meta = readFileSync(join(modules, path, "../meta.yml"), "utf8");
    assert.match(meta, new RegExp(`^name: scpoli_${name}$`, "m"));
    for (const [, emitted] of text.matchAll(/emit: (\w+)/g))
      assert.match(meta.split("output:")[1]!, new RegExp(`^  - ${emitted}:$`, "m"), `${path}: ${emitted}`);
    scripts.push(/ script:\n([^]*?)\n\n/.exec(text)![1]!);
  }
  const expected = shellLines(snakefile);
  assert.equal(expected.length, 8);
  assert.deepEqual(shellLines(scripts.join("\n")), expected);
});
