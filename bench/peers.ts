// npm run bench:peers [-- --sets panc8,pbmc3 --methods ours,svm --seeds 0,1,2 --again]: compares
// scpoli with common methods for integration and label transfer (bench/peers/methods.ts) on the data sets of
// bench/peers/sets.ts: labels, integration, seconds and memory, with one scorer for all. Needs
// ../shared/data, and for the others `bash bench/peers/setup.sh` (environments in .cache/peers/env;
// SCPOLI_PEERS_PYTHON, SCPOLI_PEERS_SCARCHES, SCPOLI_PEERS_POPV and SCPOLI_PEERS_R name other programs).
// Methods whose program is missing are listed and skipped. Every program uses one thread. Finished runs are
// not repeated: results are in .cache/peers/runs, rows in bench/results/peers.csv; --again measures again,
// --write only writes docs/benchmarks/quality.md and its figure from the rows.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeDocument } from "./peers/document.ts";
import { python, runs, script, type Run } from "./peers/methods.ts";
import { scoreResult } from "./peers/scoring.ts";
import { cache, folderOf, isPrepared, preparation, sets, source, type PeerSet } from "./peers/sets.ts";
import { appendRow, readRows } from "./peers/table.ts";
import { seeds as allSeeds } from "./transfer.ts";

const root = new URL("..", import.meta.url).pathname;
const thisBench = "bench:peers";
const table = join(root, "bench/results/peers.csv");
const oneThread = Object.fromEntries(
  ["OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR"].map((library) => [`${library}_NUM_THREADS`, "1"]),
);
const env = { ...process.env, ...oneThread, PYTHONWARNINGS: "ignore", PYTHONDONTWRITEBYTECODE: "1" };

/** Cost of a command, as written by measured.py. */
interface Cost {
  readonly wall_seconds: number;
  readonly cpu_seconds: number;
  readonly peak_mb: number;
  /** for single embeddings, if a run makes several */
  readonly printed: { readonly cpu_seconds: Readonly<Record<string, number>> } | null;
}

const resultOf = (run: Run, set: PeerSet, seed: number): string =>
  join(cache, "runs", set.name, `${run.name}-s${seed}.h5ad`);

/**
 * Runs the commands of a run, unless its result exists.
 * @returns their total cost; null if one failed
 */
function measure(run: Run, set: PeerSet, seed: number, folder: string): Cost | null {
  const result = resultOf(run, set, seed);
  const commands = run.commands({ set, seed, result, folder });
  mkdirSync(folder, { recursive: true });
  const costs = commands.map((_, i) => join(folder, `cost-${i}.json`));
  for (const [i, command] of commands.entries()) {
    if (existsSync(result) && existsSync(costs[i]!)) continue;
    const { status } = spawnSync(python, [script("measured.py"), costs[i]!, ...command], {
      env,
      stdio: ["ignore", "inherit", "inherit"],
    });
    if (status !== 0) return null;
  }
  if (run.collect && !existsSync(result))
    execFileSync(python, ["-W", "ignore", script(run.collect), folderOf(set), folder, result], { env });
  const all = costs.map((path): Cost => JSON.parse(readFileSync(path, "utf8")));
  return {
    wall_seconds: all.reduce((sum, cost) => sum + cost.wall_seconds, 0),
    cpu_seconds: all.reduce((sum, cost) => sum + cost.cpu_seconds, 0),
    peak_mb: Math.max(...all.map((cost) => cost.peak_mb)),
    printed: all[0]!.printed,
  };
}

/** Measures a run, scores it and appends its rows. */
async function compare(run: Run, set: PeerSet, seed: number): Promise<void> {
  const result = resultOf(run, set, seed);
  const folder = result.replace(/\.h5ad$/, "");
  const cost = measure(run, set, seed, folder);
  if (!cost) {
    console.log(`${set.name}, ${run.name}, seed ${seed}: failed (see above); no row.`);
    return;
  }
  const joined = join(folder, "scored.h5ad");
  const scores = await scoreResult(folderOf(set), result, run.methods, joined);
  rmSync(joined);
  run.methods.forEach((method, i) => {
    const single = cost.printed?.cpu_seconds[method.embedding ?? ""];
    const { wall_seconds, cpu_seconds, peak_mb } = cost;
    // parts of a run have processor seconds only; their wall time is not known
    const time = single === undefined ? { cpu_seconds, wall_seconds } : { cpu_seconds: single };
    const figures = { ...scores[i], ...time, peak_mb };
    appendRow(table, { data: set.name, method: method.name, seed, figures, measuredBy: thisBench });
    const { accuracy, macro_f1, kmeans_total } = scores[i]!;
    const total =
      kmeans_total === undefined || kmeans_total === null ? "" : `, total ${kmeans_total.toFixed(3)}`;
    console.log(
      `${set.name}, ${method.name}, seed ${seed}: ${accuracy!.toFixed(3)} / ${macro_f1!.toFixed(3)}${total}`,
    );
  });
}

function prepare(set: PeerSet): void {
  if (!isPrepared(set))
    execFileSync(python, ["-W", "ignore", script("prepare.py"), ...preparation(set)], { env });
}

const list = (value: string | undefined): string[] | undefined => value?.split(",");
const { values: flags } = parseArgs({
  options: {
    sets: { type: "string" },
    methods: { type: "string" },
    seeds: { type: "string" },
    again: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});
const chosen = <T extends { readonly name: string }>(all: readonly T[], names: string[] | undefined): T[] => {
  const unknownName = names?.find((name) => !all.some((one) => one.name === name));
  if (unknownName !== undefined)
    throw new Error(`${unknownName} is none of ${all.map(({ name }) => name).join(", ")}`);
  return all.filter(({ name }) => !names || names.includes(name));
};
const seeds = list(flags.seeds)?.map(Number) ?? allSeeds;
if (!flags.write)
  for (const set of chosen(sets, list(flags.sets))) {
    if (!existsSync(source(set)) || !existsSync(python)) {
      console.log(`${set.name}: needs ${source(set)} and ${python}, which are not both there; not measured.`);
      continue;
    }
    prepare(set);
    for (const seed of seeds)
      for (const run of chosen(runs, list(flags.methods))) {
        if (run.isFor?.(set) === false || (!run.isRandom && seed !== seeds[0])) continue;
        const missing = run.needs.find((program) => !existsSync(program));
        if (missing !== undefined) {
          console.log(
            `${set.name}, ${run.name}: needs ${missing} (bash bench/peers/setup.sh); not measured.`,
          );
          continue;
        }
        const isMeasured = readRows(table).some(
          (row) =>
            row.data === set.name &&
            row.seed === seed &&
            row.measuredBy === thisBench &&
            run.methods.some(({ name }) => name === row.method),
        );
        if (isMeasured && !flags.again) continue;
        if (flags.again) rmSync(resultOf(run, set, seed), { force: true });
        await compare(run, set, seed);
      }
  }
writeDocument(readRows(table));
