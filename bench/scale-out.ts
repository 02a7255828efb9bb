// npm run bench:scale-out: measures the parts of a round (start, state, read, steps, write, merge) and the
// bytes that it exchanges, and simulates the paper's atlas (7.8 million cells x 10,000 genes x 2,375 samples)
// on 1 to 128 nodes of 2 and of 32 cores. The simulation takes its times from `scpoli plan`, whose constants
// are fitted to measured runs (docs/benchmarks/costs.md). Writes bench/results/scale-out.csv and
// docs/benchmarks/scale-out.md. SIMULATE=1 skips the measurement and keeps the last one.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { planCosts, type PlanOptions } from "../dist/planning/plan.js";
import { defaultPasses } from "../dist/rounds/course.js";
import type { PlannedFile } from "../dist/planning/planned-file.js";
import { simulate } from "./simulate.ts";

const inPackage = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const results = inPackage("bench/results/scale-out.csv");

/** Seconds, or megabytes, by name. */
type Measured = readonly (readonly [what: string, value: number])[];

const size = { cells: 40_000, genes: 2000, conditions: 8, shards: 2, steps: 100 };

/** One round of one shard, and its merge, through the command line. */
async function measure(): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), "scpoli-scale-out-"));
  const at = (path: string): string => join(folder, path);
  try {
    const run = (args: readonly string[]): { timings: Record<string, number>; wall: number } => {
      const started = performance.now();
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [inPackage("dist/cli.js"), ...args, "--json", "--quiet", "--threads", "2"],
        { encoding: "utf8" },
      );
      if (status !== 0) throw new Error(`scpoli ${args.join(" ")} failed:\n${stderr}`);
      const wall = (performance.now() - started) / 1000;
      return { ...(JSON.parse(stdout) as { timings: Record<string, number> }), wall };
    };
    const { cells, genes, conditions, shards, steps } = size;
    await simulate(at("atlas.h5ad"), { cells, genes, conditions });
    run(["rounds", "cut", at("atlas.h5ad"), "-o", at("shards"), "--shards", "2", "--condition-key", "batch"]);
    const names = Array.from({ length: shards }, (_, shard) => `shard-00${shard}`);
    const keys = ["--condition-key", "batch", "--cell-type-key", "cell_type"];
    for (const name of names)
      run(["rounds", "survey", at("run"), at(`shards/${name}.h5ad`), "--shard", name, ...keys]);
    const passes = (steps * 128 * shards * 2) / (4 * cells * 0.9);
    run(["rounds", "init", at("run"), "--rounds", "2", "--epochs", "4", "--passes", passes.toFixed(4)]);
    const locals = names.map((name) =>
      run(["rounds", "local", at("run"), at(`shards/${name}.h5ad`), "--shard", name, "--round", "1"]),
    );
    const merge = run(["rounds", "merge", at("run"), "--round", "1"]);
    const sum = (timings: Record<string, number>): number =>
      Object.values(timings).reduce((a, b) => a + b, 0);
    const mean = (value: (local: (typeof locals)[number]) => number): number =>
      locals.reduce((total, local) => total + value(local), 0) / locals.length;
    const megabytes = (path: string): number => statSync(at(`run/exchange/${path}`)).size / 1e6;
    return [
      ["local: start of the process", mean(({ wall, timings }) => wall - sum(timings))],
      ...["state", "read", "steps", "write"].map(
        (part) => [`local: ${part}`, mean(({ timings }) => timings[part] ?? 0)] as const,
      ),
      ["merge: start of the process", merge.wall - sum(merge.timings)],
      ["merge: read, merge, write", sum(merge.timings)],
      ["MB of the state", megabytes("states/0001.safetensors")],
      ["MB of a result", megabytes(`results/0001/${names[0]!}.safetensors`)],
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const atlas = { cells: 7_800_000, genes: 10_000, samples: 2375, countsPerCell: 1300 };
const scheduling = 30;
/** seconds until every task of one job sees a file that another wrote */
const fileDelay = 3;
/** bytes per second that shared storage serves, all nodes together */
const storage = 1e9;
const rounds = 24;

/**
 * Passes over the cells, relative to one machine: the default of `init`. With as many, 8 and 32 shards of a
 * simulated atlas were at least as good as one machine (bench:rounds); more shards have not been measured.
 */
function passesOf(nodes: number): number {
  return nodes === 1 ? 1 : defaultPasses;
}

/** Shards of whole samples, as even as can be. */
function shardsOf(nodes: number): PlannedFile[] {
  return Array.from({ length: nodes }, (_, node) => {
    const share = (total: number): number =>
      Math.floor((total * (node + 1)) / nodes) - Math.floor((total * node) / nodes);
    const first = Math.floor((atlas.samples * node) / nodes);
    const samples = Array.from({ length: share(atlas.samples) }, (_, i) => `sample${first + i}`);
    return {
      path: `shard ${node}`,
      cells: share(atlas.cells),
      genes: atlas.genes,
      stored: share(atlas.cells) * atlas.countsPerCell,
      format: "csr",
      values: "counts",
      conditions: [samples],
      combinations: samples.map((sample) => [sample]),
    };
  });
}

/** How the steps are started. */
const ways = ["one job", "a job per round"] as const;
type Way = (typeof ways)[number];

interface Simulated {
  readonly cores: number;
  readonly epochs: number;
  readonly nodes: number;
  readonly passes: number;
  readonly way: Way;
  readonly hours: number;
  readonly speedUp: number;
  readonly efficiency: number;
  /** with one pass: what scheduling, start, reading and exchange cost alone */
  readonly efficiencyOfOnePass: number;
  readonly schedulingHours: number;
  readonly exchangeHours: number;
}

/** Seconds of training on one machine, and of the parts of a run in rounds. */
function inRounds(nodes: number, cores: number, epochs: number, passes: number, way: Way, network: Network) {
  const costs = planCosts(shardsOf(nodes), [], {
    ...{ epochs, rounds, passes, threads: cores, memory: 1e13 },
    ...network,
  });
  // every node reads the state and writes its part; the round that only evaluates is counted as start and
  // read
  const exchange = ((rounds + 1) * nodes * 2 * 4 * (costs.parameters / nodes + costs.parameters)) / storage;
  const alone = costs.train.seconds;
  if (way === "one job")
    return {
      alone,
      exchange,
      work: costs.rounds.work_seconds,
      waiting: scheduling + 2 * (rounds + 1) * fileDelay,
    };
  const waves = 4 + 2 * (rounds + 1); // survey, init, a local and a merge per round, summary, finish
  const evaluation = Math.min(costs.shards[0]!.steps["local"]!.seconds, 60);
  return { alone, exchange, work: costs.rounds.seconds + evaluation, waiting: waves * scheduling };
}

/** Sizes of the network. Default: those of `train` */
type Network = Pick<PlanOptions, "hiddenLayerSizes" | "latentDim">;

function simulateNodes(cores: number, epochs: number, way: Way, network: Network = {}): Simulated[] {
  return [1, 2, 4, 8, 16, 32, 64, 128].map((nodes) => {
    const passes = passesOf(nodes);
    const run = inRounds(nodes, cores, epochs, passes, way, network);
    const seconds = ({ alone, work, waiting, exchange }: typeof run): number =>
      nodes === 1 ? alone : work + waiting + exchange;
    const ofOnePass = seconds(inRounds(nodes, cores, epochs, 1, way, network));
    const { alone } = inRounds(1, cores, epochs, 1, way, network);
    return {
      cores,
      epochs,
      nodes,
      passes,
      way,
      hours: seconds(run) / 3600,
      speedUp: alone / seconds(run),
      efficiency: alone / seconds(run) / nodes,
      efficiencyOfOnePass: alone / ofOnePass / nodes,
      schedulingHours: nodes === 1 ? 0 : run.waiting / 3600,
      exchangeHours: nodes === 1 ? 0 : run.exchange / 3600,
    };
  });
}

function readMeasured(): Measured {
  return readFileSync(results, "utf8")
    .split("\n")
    .flatMap((line) => {
      const match = /^measured,"([^"]*)",([\d.]+)/.exec(line);
      return match ? [[match[1]!, Number(match[2])] as const] : [];
    });
}

const measured = process.env["SIMULATE"] && existsSync(results) ? readMeasured() : await measure();
const simulated = [100, 7].flatMap((epochs) =>
  ways.flatMap((way) => [2, 32].flatMap((cores) => simulateNodes(cores, epochs, way))),
);
/** Less work per cell, so that waiting and exchange weigh more. */
const narrow = simulateNodes(2, 100, "one job", { hiddenLayerSizes: [64], latentDim: 10 });
const efficiencyOfNarrow = narrow.find(({ nodes }) => nodes === 64)!.efficiency;
const described = (run: Simulated): string =>
  `${run.cores} cores, ${run.epochs} epochs, ${run.nodes} nodes, ${run.passes} passes, ${run.way}`;
writeFileSync(
  results,
  [
    "kind,what,value,speed_up,efficiency,efficiency_of_one_pass,scheduling_hours,exchange_hours",
    ...measured.map(([what, value]) => `measured,"${what}",${value.toFixed(3)},,,,,`),
    ...simulated.map((run) =>
      [
        "simulated hours",
        `"${described(run)}"`,
        run.hours.toFixed(3),
        run.speedUp.toFixed(2),
        run.efficiency.toFixed(3),
        run.efficiencyOfOnePass.toFixed(3),
        run.schedulingHours.toFixed(3),
        run.exchangeHours.toFixed(3),
      ].join(","),
    ),
    ...narrow.map(
      (run) =>
        `simulated with 64 units,"${described(run)}",${run.hours.toFixed(3)},${run.speedUp.toFixed(2)},` +
        `${run.efficiency.toFixed(3)},${run.efficiencyOfOnePass.toFixed(3)},,`,
    ),
    "",
  ].join("\n"),
);

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const runsOf = (epochs: number, way: Way): Simulated[] =>
  simulated.filter((run) => run.epochs === epochs && run.way === way);
/** One job beside a job per round. */
const tableOf = (epochs: number): string[] => [
  "| cores per node | nodes | passes | hours | speed-up | efficiency | with one pass | h waiting " +
    "| h exchange | a job per round: hours | efficiency |",
  `|${" --- |".repeat(11)}`,
  ...runsOf(epochs, "one job").map((run, at) => {
    const { hours, efficiency } = runsOf(epochs, "a job per round")[at]!;
    return (
      `| ${run.cores} | ${run.nodes} | ${run.passes} | ${run.hours.toFixed(1)} | ` +
      `${run.speedUp.toFixed(1)} | ${percent(run.efficiency)} | ${percent(run.efficiencyOfOnePass)} | ` +
      `${run.schedulingHours.toFixed(2)} | ${run.exchangeHours.toFixed(2)} | ${hours.toFixed(1)} | ` +
      `${percent(efficiency)} |`
    );
  }),
];
const withinAnHour = (cores: number, epochs: number): string => {
  const run = runsOf(epochs, "one job").find((one) => one.cores === cores && one.hours <= 1);
  return run ? `${run.nodes} node${run.nodes === 1 ? "" : "s"}` : "not with up to 128 nodes";
};
writeFileSync(
  inPackage("docs/benchmarks/scale-out.md"),
  [
    "# Many machines",
    "",
    "`npm run docs:figures` writes a summary here.",
    "",
    "![Simulated hours by number of nodes](figures/scale-out.svg)",
    "",
    "Made by `npm run bench:scale-out`. How to train in this way: [My atlas does not " +
      "fit](../how-to/clusters.md).",
    "",
    "## The paper's atlas, simulated",
    "",
    `${atlas.cells.toLocaleString("en-US")} cells x ${atlas.genes.toLocaleString("en-US")} genes x ` +
      `${atlas.samples.toLocaleString("en-US")} samples, the default network. Nobody has run this.`,
    "Assumptions:",
    "",
    "- The time of each step is that of `scpoli plan` ([constants and errors](costs.md)). T threads work",
    "  T^0.9 times as fast as one, which is not measured.",
    `- ${rounds} rounds. In one job for all rounds (\`rounds.sh\`), ${scheduling} s of scheduling, and twice`,
    `  a round ${fileDelay} s until all nodes see a file. With a job per round and shard (Snakemake), ` +
      `${scheduling} s`,
    "  before each wave of jobs: survey, init, two per round, summary, finish.",
    `- ${atlas.countsPerCell.toLocaleString("en-US")} stored counts per cell; ${storage / 1e9} GB/s of ` +
      "shared storage for all nodes together.",
    "- A node per shard, and shards of equal size.",
    `- ${defaultPasses} passes over the cells, the default. With as many, 8 and 32 shards of a simulated`,
    "  atlas were at least as good as one machine, in one run each ([Quality of training in",
    "  rounds](rounds.md)); more shards have not been tried. The column *with one pass* leaves the extra",
    "  passes out.",
    "- *Efficiency* counts everything: passes, scheduling, start, reading, exchange. For a network of 64",
    `  hidden units and a latent space of 10, it is ${percent(efficiencyOfNarrow)} on 64 nodes of 2 cores.`,
    "",
    "Within an hour:",
    "",
    "| epochs | 2 cores per node | 32 cores per node |",
    "| --- | --- | --- |",
    ...[100, 7].map((epochs) => `| ${epochs} | ${withinAnHour(2, epochs)} | ${withinAnHour(32, epochs)} |`),
    "",
    "### 100 epochs, as published",
    "",
    ...tableOf(100),
    "",
    "### 7 epochs, which the default chooses for so many cells",
    "",
    ...tableOf(7),
    "",
    "## A round, measured",
    "",
    `One shard of ${(size.cells / size.shards).toLocaleString("en-US")} cells x ` +
      `${size.genes.toLocaleString("en-US")} genes, ${size.steps} steps of 128 cells, two threads`,
    `(${cpus()[0]!.model.trim()}, ${cpus().length} cores shared with other work, so that these seconds ` +
      "are longer",
    "than on an idle machine).",
    "",
    "| part | s or MB |",
    "| --- | --- |",
    ...measured.map(([what, value]) => `| ${what} | ${value.toFixed(2)} |`),
    "",
    "Scheduling is not part of it; [a run on Slurm](cluster.md) measures it on one node.",
    "",
  ].join("\n"),
);
