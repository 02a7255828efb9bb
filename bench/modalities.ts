// npm run bench:modalities [-- atac|species]: two things that the paper claims besides scRNA of one species, by the neutral scorer.
// atac: bone marrow scATAC, donor D6 as the reference and D5 as the query; Poisson on fragments beside nb on the read counts of the same peaks.
// species: primates, gorilla and macaque as the reference and human as the query.
// Needs ../shared/data and ../shared/python, and a Python with scib-metrics (SCPOLI_REFERENCE_PYTHON). Single runs: bench/results/modalities.csv.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AnnData, ScPoli, type TrainOptions } from "../dist/index.js";
import { labels, writeRows } from "./rows.ts";

interface Configuration {
  readonly name: string;
  readonly file: string;
  /** column and value of the query's cells */
  readonly query: readonly [key: string, value: string];
  /** conditions */
  readonly condition: string;
  readonly seeds: readonly number[];
  readonly options: Partial<TrainOptions>;
}

const peaks = 2000;
/** One thread: results do not depend on it, and other work on the machine disturbs less. */
const threads = 1;
const atac = { file: "bone_marrow_atac", query: ["donor", "D5"], condition: "donor", seeds: [0, 1] } as const;
const primates = { file: "primates", query: ["species", "human"], seeds: [0, 1, 2] } as const;
const configurations: readonly Configuration[] = [
  { ...atac, name: "atac, poisson on fragments", options: { reconLoss: "poisson", epochs: 20, alphaEpochAnneal: 10 } },
  { ...atac, name: "atac, nb on reads", options: { reconLoss: "nb", epochs: 20, alphaEpochAnneal: 10 } },
  { ...primates, condition: "clone", name: "species, conditions are clones", options: {} },
  { ...primates, condition: "species", name: "species, conditions are species", options: {} },
];

const root = new URL("..", import.meta.url).pathname;
const shared = join(root, "../shared");
const cache = join(root, ".cache/modalities");
const python = process.env["SCPOLI_REFERENCE_PYTHON"] ?? join(root, ".venv-reference/bin/python");
const results = join(root, "bench/results/modalities.csv");
const figures = ["accuracy", "macro_f1", "weighted_f1", "bio", "batch", "total"] as const;
type Scores = Readonly<Partial<Record<(typeof figures)[number], number>>>;

/** The most variable peaks of the reference's fragments, the same for every likelihood. */
async function chosenPeaks(data: AnnData): Promise<readonly string[]> {
  const model = await ScPoli.train(data, { conditionKeys: ["donor"], exclude: { donor: ["D5"] }, reconLoss: "poisson", genes: peaks, epochs: 1, hiddenLayerSizes: [8], threads });
  return model.stored.json.genes;
}

/** Where a run's results lie. */
function pathOf({ name }: Configuration, seed: number, ending: string): string {
  return join(cache, `${name.replaceAll(/[ ,]+/g, "-")}-s${seed}${ending}`);
}

/** Trains and maps, and writes reference and query together with their labels, unless that is there already. */
async function compute(configuration: Configuration, seed: number, genes: readonly string[] | undefined): Promise<void> {
  const { file, query: [key, value], condition, options } = configuration;
  const output = pathOf(configuration, seed, ".h5ad");
  if (existsSync(output)) return;
  const data = await AnnData.open(join(shared, "data", `${file}.h5ad`));
  const groups = await labels(data, key);
  const onlyQuery = pathOf(configuration, seed, "-query.h5ad");
  await writeRows(data, Int32Array.from(groups.keys()).filter((row) => groups[row] === value), onlyQuery);
  const queryData = await AnnData.open(onlyQuery);
  const model = await ScPoli.train(data, { conditionKeys: [condition], cellTypeKeys: ["cell_type"], exclude: { [key]: [value] }, genes, seed, threads, eta: 5, embeddingDims: 5, ...options });
  const mapping = await model.map(queryData, { seed, threads });
  await mapping.model.embed(data, { output, threads });
  [data, queryData].forEach((opened) => opened.close());
}

for (const needed of [join(shared, "data"), python])
  if (!existsSync(needed)) {
    console.log(`bench:modalities needs ${needed}, which is not there; nothing measured.`);
    process.exit(0);
  }
mkdirSync(cache, { recursive: true });
const asked = process.argv.slice(2);
const chosen = configurations.filter(({ name }) => asked.length === 0 || asked.some((start) => name.startsWith(start)));
const runs = chosen.flatMap((configuration) => configuration.seeds.map((seed) => ({ configuration, seed })));
let genes: readonly string[] | undefined;
for (const { configuration, seed } of runs) {
  const isAtac = configuration.file === atac.file;
  if (isAtac && !genes && !existsSync(pathOf(configuration, seed, ".h5ad"))) {
    const data = await AnnData.open(join(shared, "data", `${atac.file}.h5ad`));
    genes = await chosenPeaks(data);
    data.close();
  }
  await compute(configuration, seed, isAtac ? genes : undefined);
}
const jobs = runs.flatMap(({ configuration, seed }) => {
  const out = pathOf(configuration, seed, ".json");
  const { condition, query: [key, value] } = configuration;
  const args = [pathOf(configuration, seed, ".h5ad"), "--batch", condition, "--label", "cell_type", "--pred", "cell_type_pred", "--query-key", key, "--query-values", value];
  return existsSync(out) ? [] : [{ out, args }];
});
if (jobs.length > 0) {
  writeFileSync(join(cache, `jobs-${process.pid}.json`), JSON.stringify(jobs));
  const env = { ...process.env, PYTHONPATH: join(shared, "python"), PYTHONWARNINGS: "ignore" };
  execFileSync(python, ["-W", "ignore", join(root, "bench/score_all.py"), join(shared, "python/score.py"), join(cache, `jobs-${process.pid}.json`)], { env, stdio: "ignore" });
}
const lines = [`configuration,seed,${figures.join(",")}`];
console.log(`| configuration | seeds | ${figures.join(" | ")} |\n|${" --- |".repeat(figures.length + 2)}`);
for (const configuration of chosen) {
  const all = configuration.seeds.map((seed): Scores => JSON.parse(readFileSync(pathOf(configuration, seed, ".json"), "utf8")));
  all.forEach((one, i) => lines.push([`"${configuration.name}"`, configuration.seeds[i], ...figures.map((figure) => one[figure] ?? "")].join(",")));
  const means = figures.map((figure) => (all.some((one) => one[figure] === undefined) ? "" : (all.reduce((sum, one) => sum + one[figure]!, 0) / all.length).toFixed(3)));
  console.log(`| ${[configuration.name, all.length, ...means].join(" | ")} |`);
}
if (asked.length === 0) writeFileSync(results, `${lines.join("\n")}\n`);
