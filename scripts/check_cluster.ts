// npm run check:cluster -- [--cells 100000] [--genes 2000] [--shards 8] [--queries 20] [--rounds 2] [--steps
// 40]
//
// Starts a Slurm cluster of one node (scripts/check_cluster_slurm.sh installs Slurm, as root), trains a
// simulated atlas in rounds and maps queries with workflows/snakemake and its Slurm executor, kills three
// jobs and the controller on the way, and compares model and mapped queries, byte by byte, with an
// undisturbed run. Then trains once more with workflows/slurm/rounds.sh, one job for all rounds, of which a
// task is killed and which is submitted again. SNAKEMAKE names a snakemake that has the Slurm executor;
// otherwise both are installed into .cache/snakemake. Writes bench/results/cluster.csv and
// docs/benchmarks/cluster.md, unless --cells is given. Exit code 0 only if all bytes are the same.
import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { simulate } from "../bench/simulate.ts";
import { AnnData } from "../dist/index.js";
import { writeShard } from "../dist/rounds/cut.js";
import { digest } from "../test/killed.ts";

const { values: flags } = parseArgs({
  options: Object.fromEntries(
    ["cells", "genes", "shards", "queries", "rounds", "steps"].map((name) => [name, { type: "string" }]),
  ) as Record<string, { type: "string" }>,
});
const size = (name: string, fallback: number): number => Number(flags[name] ?? fallback);
const cells = size("cells", 100_000);
const genes = size("genes", 2000);
const shards = size("shards", 8);
const queries = size("queries", 20);
const rounds = size("rounds", 2);
const steps = size("steps", 40);
const queryCells = Math.min(1000, Math.floor(cells / queries));

const inPackage = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "scpoli-cluster-"));
const at = (name: string): string => join(folder, name);
const cli = [process.execPath, inPackage("dist/cli.js")];
const started = performance.now();
const say = (text: string): void =>
  console.log(`${((performance.now() - started) / 1000).toFixed(0)} s: ${text}`);
const pause = (seconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

function snakemakePath(): string {
  const program = process.env["SNAKEMAKE"];
  if (program) return program;
  const cache = inPackage(".cache/snakemake");
  if (!existsSync(join(cache, "bin/snakemake"))) {
    execFileSync("python3", ["-m", "venv", cache], { stdio: "inherit" });
    const packages = ["snakemake>=9", "snakemake-executor-plugin-slurm"];
    execFileSync(join(cache, "bin/pip"), ["install", "-q", ...packages], { stdio: "inherit" });
  }
  return join(cache, "bin/snakemake");
}

function scpoli(args: readonly string[]): void {
  execFileSync(cli[0]!, [cli[1]!, ...args, "--quiet"], { stdio: ["ignore", "ignore", "inherit"] });
}

/** Processes of this run whose command line matches, by process number. */
function processes(pattern: RegExp): { readonly pid: number; readonly command: string }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const parts = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
        if (parts[0] !== process.execPath || parts[1] !== inPackage("dist/cli.js")) return [];
        const command = parts.slice(2).join(" ");
        return command.includes(folder) && pattern.test(command) ? [{ pid: Number(name), command }] : [];
      } catch {
        return []; // it has ended
      }
    });
}

const keys = ["--condition-key", "batch", "--cell-type-key", "cell_type"];
const init = `--epochs 4 --minibatch 128 --early-stopping off --sample-cells 2000`;
// steps = passes x epochs x cells x train share / (minibatch x shards x rounds)
const passes = Math.max(0.01, (steps * 128 * shards * rounds) / (4 * cells * 0.9));
const initOptions = `${init} --passes ${passes.toFixed(4)}`;

async function makeData(): Promise<string[]> {
  await simulate(at("atlas.h5ad"), { cells, genes, conditions: 2 * shards });
  scpoli([
    ...["rounds", "cut", at("atlas.h5ad"), "-o", at("shards"), "--shards", String(shards)],
    ...["--condition-key", "batch"],
  ]);
  mkdirSync(at("queries"));
  const data = await AnnData.open(at("atlas.h5ad"));
  const names: string[] = [];
  for (let query = 0; query < queries; query++) {
    const rows = Int32Array.from({ length: queryCells }, (_, i) => query * queryCells + i);
    const name = `query${String(query).padStart(2, "0")}`;
    await writeShard(data, rows, at(`queries/${name}.h5ad`), {});
    names.push(name);
  }
  data.close();
  return names;
}

const mapOptions = "--known-conditions new --epochs 2 --seed 3";

function writeConfig(names: readonly string[]): Map<string, string> {
  const files = new Map(
    Array.from({ length: shards }, (_, shard) => `shard-${String(shard).padStart(3, "0")}`).map((name) => [
      name,
      at(`shards/${name}.h5ad`),
    ]),
  );
  const rows = names.map((name) => `${name}\t${at(`queries/${name}.h5ad`)}\t${mapOptions}\n`);
  writeFileSync(at("queries.tsv"), `name\tfile\toptions\n${rows.join("")}`);
  const config = {
    scpoli: cli.join(" "),
    output: at("results"),
    shards: Object.fromEntries(files),
    survey_options: keys.join(" "),
    init_options: initOptions,
    rounds,
    queries: at("queries.tsv"),
    threads: 1,
  };
  writeFileSync(at("config.yaml"), JSON.stringify(config));
  return files;
}

/** Kills the targets of `moments` in turn, as the run reaches them. */
interface Moment {
  readonly what: string;
  readonly pattern: RegExp;
  readonly controller?: boolean;
}
const moments: readonly Moment[] = [
  { what: "a job of round 1", pattern: /^rounds local .*--round 1 / },
  { what: "the controller, while round 2 runs", pattern: /--round 2 /, controller: true },
  { what: "a job that summarises a shard", pattern: /^rounds summary / },
  { what: "a mapping", pattern: /^map / },
];

function startController(snakemake: string): ChildProcess {
  return spawn(
    snakemake,
    [
      ...["-s", inPackage("workflows/snakemake/Snakefile"), "--configfile", at("config.yaml")],
      ...["--profile", inPackage("workflows/snakemake/profiles/slurm"), "--directory", folder],
      ...["--latency-wait", "5", "--slurm-no-account", "--slurm-status-command", "squeue"],
      ...["--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "3"],
      ...["--slurm-keep-successful-logs", "--slurm-logdir", at("logs"), "--quiet", "rules"],
    ],
    { cwd: folder, stdio: ["ignore", "ignore", "inherit"] },
  );
}

/** @returns the killed processes */
async function runWorkflow(snakemake: string): Promise<string[]> {
  const killed: string[] = [];
  let controller = startController(snakemake);
  let done: number | null = null;
  const watch = (child: ChildProcess): void => {
    child.on("exit", (code) => {
      if (child === controller) done = code ?? -1;
    });
  };
  watch(controller);
  while (done === null) {
    await pause(0.2);
    const moment = moments[killed.length];
    const [victim] = moment ? processes(moment.pattern) : [];
    if (!moment || !victim) continue;
    if (moment.controller) {
      const old = controller;
      controller = spawn("true");
      old.kill("SIGKILL");
      await new Promise((resolve) => old.on("exit", resolve));
      say(`killed ${moment.what}`);
      await pause(5);
      const unlock = ["-s", inPackage("workflows/snakemake/Snakefile"), "--configfile", at("config.yaml")];
      spawnSync(snakemake, [...unlock, "--directory", folder, "--unlock"], { cwd: folder });
      controller = startController(snakemake);
      watch(controller);
    } else {
      process.kill(victim.pid, "SIGKILL");
      say(`killed ${moment.what}: scpoli ${victim.command.slice(0, 60)}...`);
    }
    killed.push(moment.what);
  }
  if (done !== 0) throw new Error(`The workflow ended with exit code ${done}; its files are in ${folder}.`);
  return killed;
}

/** Trains with one job for all rounds. Kills a task, and submits the job again. @returns seconds of each */
async function runOneJob(files: readonly string[]): Promise<{ killed: number; resumed: number }> {
  const submit = (): ChildProcess =>
    spawn(
      "sbatch",
      [
        ...["--wait", "--overcommit", `--ntasks=${shards}`, "--cpus-per-task=1", "--mem=0"],
        ...[`--output=${at("one-job.log")}`, "--open-mode=append", inPackage("workflows/slurm/rounds.sh")],
        ...[at("one-job"), ...files],
      ],
      {
        cwd: folder,
        stdio: ["ignore", "ignore", "inherit"],
        env: {
          ...process.env,
          SCPOLI: cli.join(" "),
          SURVEY_OPTIONS: keys.join(" "),
          INIT_OPTIONS: `${initOptions} --rounds ${rounds}`,
        },
      },
    );
  const ended = async (job: ChildProcess): Promise<number> => {
    const before = performance.now();
    const code = await new Promise((resolve) => job.on("exit", resolve));
    say(`the job of all rounds ended with exit code ${code}`);
    if (code !== 0 && existsSync(at("one-job/model")))
      throw new Error(`The job failed after its model was written; see ${at("one-job.log")}.`);
    return Math.round((performance.now() - before) / 1000);
  };
  const first = ended(submit());
  const isSecondRound = (): boolean => existsSync(at("one-job/run/exchange/states/0001.safetensors"));
  let victim: { readonly pid: number } | undefined;
  while (!victim) {
    await pause(0.2);
    victim = isSecondRound() ? processes(/^rounds work /)[shards - 1] : undefined;
  }
  process.kill(victim.pid, "SIGKILL");
  say("killed a task of the job of all rounds");
  return { killed: await first, resumed: await ended(submit()) };
}

interface SlurmJob {
  readonly wait: number;
  readonly seconds: number;
}

/** Jobs in Slurm's accounting: seconds in the queue, and from start to end. */
function slurmJobs(): SlurmJob[] {
  const text = execFileSync("scontrol", ["show", "job", "-o"], { encoding: "utf8" });
  return text.split("\n").flatMap((line) => {
    const time = (name: string): number => Date.parse(new RegExp(`\\b${name}=(\\S+)`).exec(line)?.[1] ?? "");
    const [submitted, start, end] = [time("SubmitTime"), time("StartTime"), time("EndTime")];
    return Number.isFinite(submitted + start + end)
      ? [{ wait: (start - submitted) / 1000, seconds: (end - start) / 1000 }]
      : [];
  });
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

const table: [name: string, value: string | number][] = [];
const note = (name: string, value: string | number): void => {
  table.push([name, value]);
  say(`${name}: ${value}`);
};

function writeResults(): void {
  const field = (value: string | number): string =>
    typeof value === "number" ? String(value) : `"${value}"`;
  const lines = table.map(([name, value]) => `"${name}",${field(value)}`);
  writeFileSync(inPackage("bench/results/cluster.csv"), `what,value\n${lines.join("\n")}\n`);
  writeFileSync(
    inPackage("docs/benchmarks/cluster.md"),
    [
      "# A disturbed run on Slurm",
      "",
      "`npm run docs:figures` writes a summary here.",
      "",
      "![Seconds of the run and of its jobs](figures/cluster.svg)",
      "",
      "Made by `npm run check:cluster`: a Slurm cluster of one node, Snakemake with its Slurm executor, a",
      "simulated atlas. Jobs and the controller are killed (`kill -9`), and the model and the mapped " +
        "queries are",
      "compared with an undisturbed run (`scpoli rounds run`, `scpoli map`).",
      "",
      "| | |",
      "| --- | --- |",
      ...table.map(([name, value]) => `| ${name} | ${value.toLocaleString("en-US")} |`),
      "",
    ].join("\n"),
  );
}

const slurm = (action: string): void => {
  execFileSync(inPackage("scripts/check_cluster_slurm.sh"), [action, at("slurm")], { stdio: "inherit" });
};

let same = true;
try {
  const snakemake = snakemakePath();
  slurm("start");
  note("cells x genes", `${cells.toLocaleString("en-US")} x ${genes.toLocaleString("en-US")}`);
  note("shards, rounds, steps per shard and round", `${shards}, ${rounds}, ${steps}`);
  note("queries", `${queries} of ${queryCells} cells`);
  note("processors", `${cpus().length}, ${cpus()[0]!.model.trim()}, shared with other work`);
  const names = await makeData();
  const files = writeConfig(names);
  say("data written");
  const before = performance.now();
  const killed = await runWorkflow(snakemake);
  note("killed", killed.join("; "));
  note("seconds of the workflow", Math.round((performance.now() - before) / 1000));
  const jobs = slurmJobs();
  note("Slurm jobs", jobs.length);
  note("median seconds of a job in the queue, on one node", median(jobs.map(({ wait }) => wait)));
  note("median seconds of a job", median(jobs.map(({ seconds }) => seconds)));

  const alone = performance.now();
  scpoli([
    ...["rounds", "run", at("alone"), ...files.values(), "-o", at("model"), ...keys],
    ...[...initOptions.split(" "), "--rounds", String(rounds), "--threads", "2"],
  ]);
  note("seconds of the undisturbed training", Math.round((performance.now() - alone) / 1000));
  for (const name of ["model.json", "model.safetensors"]) {
    const isSame = digest(join(at("model"), name)) === digest(join(at("results/model"), name));
    note(`${name}, same bytes`, isSame ? "yes" : "no");
    same &&= isSame;
  }
  const oneJob = await runOneJob([...files.values()]);
  note("seconds of one job for all rounds, until a task is killed", oneJob.killed);
  note("seconds of that job, submitted again", oneJob.resumed);
  for (const name of ["model.json", "model.safetensors"]) {
    const isSame = digest(join(at("model"), name)) === digest(join(at("one-job/model"), name));
    note(`${name} of one job for all rounds, same bytes`, isSame ? "yes" : "no");
    same &&= isSame;
  }
  let mapped = 0;
  for (const name of names.slice(0, 3)) {
    scpoli([
      ...["map", at(`queries/${name}.h5ad`), "--reference", at("model"), "-o", at(`${name}.h5ad`)],
      ...[...mapOptions.split(" "), "--memory", "16000M", "--threads", "2"],
    ]);
    mapped += digest(at(`${name}.h5ad`)) === digest(at(`results/mapped/${name}.h5ad`)) ? 1 : 0;
  }
  note("mapped queries with the same bytes, of 3 compared", mapped);
  same &&= mapped === Math.min(3, queries);
  const rows = readFileSync(at("results/queries.tsv"), "utf8").trim().split("\n").length - 1;
  note("rows of the table over all queries", rows);
  same &&= rows >= queries && killed.length === moments.length;
  if (flags["cells"] === undefined) writeResults();
} finally {
  slurm("stop");
}
if (same) rmSync(folder, { recursive: true, force: true });
else console.error(`Not the same bytes, or not all was killed; the files are in ${folder}.`);
process.exitCode = same ? 0 : 1;
