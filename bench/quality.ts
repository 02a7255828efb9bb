// npm run bench:quality [-- CONFIG ...]: label transfer, unknown cells and integration of ours beside the
// Python package, three seeds each, by the neutral scorer. Needs ../shared/data and ../shared/python, and a
// Python with scArches (SCPOLI_REFERENCE_PYTHON, made by ../shared/python/setup.sh). Results of single runs
// are kept in .cache/quality (delete it to start afresh); the table goes to bench/results/quality.csv and
// docs/benchmarks/quality.md. The Python package takes an hour or more: with SCPOLI_BENCH=ours those of its rows that
// the csv has are taken from there.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { AnnData, ScPoli } from "../dist/index.js";
import { labels, writeRows } from "./rows.ts";
import { configurations, seeds, settings, type Configuration } from "./transfer.ts";

const referenceEpochs = [100, 400];
/**
 * A large weight of the prototype loss, beside that of reference_quality.py, and the Python package's epochs
 * with it.
 */
const large = { eta: 100, epochs: 100 };
const etas = [settings.eta, large.eta];

const root = new URL("..", import.meta.url).pathname;
const shared = join(root, "../shared");
const cache = join(root, ".cache/quality");
const python = process.env["SCPOLI_REFERENCE_PYTHON"] ?? join(root, ".venv-reference/bin/python");

type Scores = Readonly<Record<string, number | null>>;

function runPython(script: string, ...args: string[]): string {
  const env = { ...process.env, PYTHONPATH: join(shared, "python"), PYTHONWARNINGS: "ignore" };
  return execFileSync(python, ["-W", "ignore", script, ...args], {
    encoding: "utf8",
    env,
    stdio: ["ignore", "pipe", "ignore"],
  });
}

/**
 * `reference_quality.py` with X made dense once at its start: the Python package makes each sparse row dense
 * again in every epoch, which doubles its time and changes nothing else.
 */
function denseReference(): string {
  const path = join(cache, "reference_quality.py");
  const given = readFileSync(join(shared, "python/reference_quality.py"), "utf8");
  const dense = given.replace("a.X = a.X.astype(np.float32)", "a.X = a.X.astype(np.float32).toarray()");
  if (dense === given) throw new Error("reference_quality.py does not make its X float32 as it did");
  writeFileSync(path, dense);
  return path;
}

/** A result that is computed once. */
async function cached(name: string, compute: () => Scores | Promise<Scores>): Promise<Scores> {
  const path = join(cache, `${name}.json`);
  if (!existsSync(path)) writeFileSync(path, JSON.stringify(await compute()));
  return JSON.parse(readFileSync(path, "utf8"));
}

/**
 * `score.py`, started once for all results: loading and compiling its libraries takes longer than the scores
 * do.
 */
class Scorer {
  readonly #child = spawn(
    python,
    ["-W", "ignore", join(root, "bench/score_many.py"), join(shared, "python/score.py")],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  readonly #lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();

  async score(file: string, { condition, label, query }: Configuration): Promise<Scores> {
    const args = [
      file,
      "--batch",
      condition,
      "--label",
      label,
      "--pred",
      `${label}_pred`,
      "--uncert",
      `${label}_uncert`,
      "--query-key",
      condition,
      "--query-values",
      query.join(","),
    ];
    this.#child.stdin.write(`${JSON.stringify(args)}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`score.py failed on ${file}`);
    return JSON.parse(value);
  }

  close(): void {
    this.#child.stdin.end();
  }
}

/**
 * The Python package's run of one configuration: its own labels, 15 neighbours in its latent, and a linear
 * SVM on genes.
 */
async function scorePython(
  configuration: Configuration,
  { epochs, eta, seed }: { epochs: number; eta: number; seed: number },
): Promise<{ prototypes: Scores; knn: Scores; svm: Scores }> {
  const { name, file, condition, label, query, leftOut = [] } = configuration;
  const run = `${name}-eta${eta}-e${epochs}-s${seed}`;
  const output = join(cache, `${run}.h5ad`);
  if (!existsSync(join(cache, `${run}.json`)) && !existsSync(output))
    runPython(
      denseReference(),
      join(shared, "data", `${file}.h5ad`),
      output,
      "--batch",
      condition,
      "--label",
      label,
      "--query",
      query.join(","),
      "--exclude-label",
      leftOut.join(","),
      "--epochs",
      String(epochs),
      "--seed",
      String(seed),
      "--eta",
      String(eta),
    );
  return {
    prototypes: await cached(run, () => scorer.score(output, configuration)),
    knn: await cached(`${run}.knn`, () => scoreLabels(output, configuration, "knn_pred")),
    svm: await cached(`${run}.svm`, () => scoreLabels(output, configuration, "svm_pred")),
  };
}

/** Accuracy and F1 of other labels in a result; its integration is scored already. */
function scoreLabels(file: string, { condition, label, query }: Configuration, column: string): Scores {
  const found = runPython(
    join(root, "bench/label_transfer.py"),
    file,
    column,
    "--label",
    label,
    "--query-key",
    condition,
    "--query-values",
    query.join(","),
  );
  return (JSON.parse(found) as Record<string, Scores>)[column]!;
}

/** Our run of one configuration: labels by default (the head), and of the nearest prototype. */
async function scoreOurs(
  configuration: Configuration,
  eta: number,
  seed: number,
): Promise<{ head: Scores; prototypes: Scores }> {
  const { name, file, condition, label, query, leftOut = [] } = configuration;
  const run = `ours-${name}-eta${eta}-s${seed}`;
  const output = join(cache, `${run}-result.h5ad`);
  const prototypes = (): Promise<Scores> =>
    cached(`${run}.prototypes`, () => scoreLabels(output, configuration, `${label}_prototype`));
  if (existsSync(join(cache, `${run}.json`)))
    return { head: await cached(run, () => ({})), prototypes: await prototypes() };
  const source = await AnnData.open(join(shared, "data", `${file}.h5ad`));
  const [conditions, types] = [await labels(source, condition), await labels(source, label)];
  const isQuery = (row: number): boolean => query.includes(conditions[row]!);
  const rows = Int32Array.from(conditions.keys());
  const [all, onlyQuery] = ["all", "query"].map((part) => join(cache, `${run}-${part}.h5ad`)) as [
    string,
    string,
  ];
  await writeRows(
    source,
    rows.filter((row) => isQuery(row) || !leftOut.includes(types[row]!)),
    all,
  );
  await writeRows(source, rows.filter(isQuery), onlyQuery);
  const data = await AnnData.open(all);
  const queryData = await AnnData.open(onlyQuery);
  const started = performance.now();
  const model = await ScPoli.train(data, {
    conditionKeys: [condition],
    cellTypeKeys: [label],
    exclude: { [condition]: query },
    seed,
    // the published loss and width, whatever the defaults are
    prototypeLoss: "distance",
    hiddenLayerSizes: [Math.ceil(Math.sqrt(Math.min(source.nVars, settings.genes)))],
    eta,
    embeddingDims: settings.embeddingDims,
    genes: source.nVars > settings.genes ? settings.genes : undefined,
  });
  const trained = performance.now();
  const mapping = await model.map(queryData, { seed });
  const mapped = performance.now();
  await mapping.model.embed(data, { output, force: true });
  [source, data, queryData].forEach((file) => file.close());
  const seconds = { reference_s: (trained - started) / 1000, mapping_s: (mapped - trained) / 1000 };
  return {
    head: await cached(run, async () => ({ ...(await scorer.score(output, configuration)), ...seconds })),
    prototypes: await prototypes(),
  };
}

const figures = [
  "accuracy",
  "macro_f1",
  "weighted_f1",
  "auroc_uncertainty_flags_error",
  "auroc_uncertainty_flags_unknown",
  "bio",
  "batch",
  "total",
] as const;
const ours = (eta: number): string => `ours, eta ${eta}`;
const oursByPrototype = (eta: number): string => `ours, eta ${eta}, nearest prototype`;
const scArches = (epochs: number, eta: number): string => `scArches, eta ${eta}, ${epochs} epochs`;
const methods = [
  ...etas.flatMap((eta) => [ours(eta), oursByPrototype(eta)]),
  ...referenceEpochs.map((epochs) => scArches(epochs, settings.eta)),
  scArches(large.epochs, large.eta),
  "its latent, 15 neighbours",
  "linear SVM on genes",
];

function tabulate(results: ReadonlyMap<string, ReadonlyMap<string, readonly Scores[]>>): void {
  const rows: string[] = ["configuration,method,seed," + figures.join(",")];
  const text: string[] = [
    "# Quality",
    "",
    "![Macro F1 of the query's labels](figures/quality-labels.svg)",
    "",
    "![Integration of reference and query](figures/quality-integration.svg)",
    "",
    "Reference on some conditions, the others mapped as an unlabelled query; truth from the published labels. Mean (and standard deviation) of the seeds.",
    "Integration: `total` = 0.6 `bio` + 0.4 `batch` over reference and query together. `unknown`: AUROC of the uncertainty for the type left out of the reference;",
    "`error`: for wrong labels. Both are of the query's cells in one file with the reference's (`embed`); those of a query that is mapped by itself are in [Labels and unknown cells](labels.md).",
    "The data sets are described in [Data sets](data-sets.md); all runs use embeddings of 5, at most 2,000 variable genes.",
    "",
    `Made by \`npm run bench:quality\` (single runs: \`bench/results/quality.csv\`). Where a row has fewer than ${seeds.length} seeds, the other runs have not been made yet: no conclusion from it.`,
    "",
    "`ours`: labels as they come by default, from the head on genes; `nearest prototype`: the paper's rule in the same runs, so its integration is the same. The linear SVM is trained on log-normalised genes of the reference, the 15 neighbours are",
    `those in the Python package's latent space after ${referenceEpochs[0]} epochs of eta ${settings.eta}. That package runs with X made dense at its start, which changes its time only.`,
    "",
    `\`eta\`: weight of the prototype loss; ${settings.eta} is that of the Python package's runs, 1 the published default. ${large.eta} draws the cells of a type closer together; what that costs of the variation within types was not measured.`,
    "The nearest prototype then labels some queries less well, the head (the default) does not depend on it.",
    "",
    "A caution: the number of steps and the share of annealing that are our defaults were chosen while looking at the query accuracy of panc8 and pbmc3 (seeds 0 to 3): these two, and pbmc3-broad, are not independent tests of ours; kang16 and onek1k were not",
    `looked at. The head was chosen on conditions left out of the references. The width is the published one; a layer of 128 units was the default before, and its integration of these queries (better on kang16, worse on pbmc3) was seen. An eta of ${large.eta} was chosen among`,
    "10, 25, 50, 70, 100 and 200 by the integration totals of all five data sets (two to four seeds of each, 0 to 3), the loss that stops training early by those of eta 5, 25 and 100: no independent tests either. Half of `bio` (NMI and ARI) is of one k-means: where a difference is below the spread of the seeds, as on pbmc3-broad and onek1k, it says little.",
  ];
  for (const [configuration, byMethod] of results) {
    text.push(
      "",
      `## ${configuration}`,
      "",
      `| method | seeds | accuracy | macro F1 | weighted F1 | error | unknown | bio | batch | total |`,
      `|${" --- |".repeat(10)}`,
    );
    for (const [method, scores] of byMethod) {
      scores.forEach((one, seed) =>
        rows.push(
          [configuration, `"${method}"`, seed, ...figures.map((figure) => one[figure] ?? "")].join(","),
        ),
      );
      text.push(
        `| ${[method, scores.length, ...figures.map((figure) => spread(scores.map((one) => one[figure])))].join(" | ")} |`,
      );
    }
  }
  writeFileSync(join(root, "bench/results/quality.csv"), `${rows.join("\n")}\n`);
  writeFileSync(join(root, "docs/benchmarks/quality.md"), `${text.join("\n")}\n`);
  console.log(text.slice(8).join("\n"));
}

/** What the csv has of a method. */
function recorded(configuration: string, method: string): Scores[] {
  const rows = readFileSync(join(root, "bench/results/quality.csv"), "utf8").split("\n");
  return rows
    .filter((row) => row.startsWith(`${configuration},"${method}",`))
    .map((row) => {
      const values = row.slice(`${configuration},"${method}",`.length).split(",").slice(1);
      return Object.fromEntries(
        figures.map((figure, i) => [figure, values[i] === "" ? null : Number(values[i])]),
      );
    });
}

function spread(values: readonly (number | null | undefined)[]): string {
  const found = values.filter((value): value is number => typeof value === "number");
  if (found.length === 0) return "";
  const mean = found.reduce((a, b) => a + b, 0) / found.length;
  const sd = Math.sqrt(found.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(1, found.length - 1));
  return found.length > 1 ? `${mean.toFixed(3)} (${sd.toFixed(3)})` : mean.toFixed(3);
}

for (const needed of [join(shared, "data"), python])
  if (!existsSync(needed)) {
    console.log(`bench:quality needs ${needed}, which is not there; nothing measured.`);
    process.exit(0);
  }
mkdirSync(cache, { recursive: true });
const asked = process.argv.slice(2);
const takesRecorded = process.env["SCPOLI_BENCH"] === "ours";
const scorer = new Scorer();
const results = new Map<string, Map<string, Scores[]>>();
for (const configuration of configurations.filter(({ name }) => asked.length === 0 || asked.includes(name))) {
  const byMethod = new Map<string, Scores[]>(methods.map((method) => [method, []]));
  results.set(configuration.name, byMethod);
  for (const seed of seeds) {
    for (const eta of etas) {
      const { head, prototypes } = await scoreOurs(configuration, eta, seed);
      byMethod.get(ours(eta))!.push(head);
      byMethod.get(oursByPrototype(eta))!.push(prototypes);
    }
    const add = async (method: string, compute: () => Promise<Scores>): Promise<void> => {
      const known = takesRecorded ? recorded(configuration.name, method)[seeds.indexOf(seed)] : undefined;
      byMethod.get(method)!.push(known ?? (await compute()));
    };
    const python = (epochs: number, eta: number): ReturnType<typeof scorePython> =>
      scorePython(configuration, { epochs, eta, seed });
    for (const epochs of referenceEpochs)
      await add(scArches(epochs, settings.eta), async () => (await python(epochs, settings.eta)).prototypes);
    await add(
      scArches(large.epochs, large.eta),
      async () => (await python(large.epochs, large.eta)).prototypes,
    );
    await add("its latent, 15 neighbours", async () => (await python(referenceEpochs[0]!, settings.eta)).knn);
    await add("linear SVM on genes", async () => (await python(referenceEpochs[0]!, settings.eta)).svm);
  }
}
scorer.close();
tabulate(results);
