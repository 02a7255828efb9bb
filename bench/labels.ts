// npm run bench:labels [-- SET ...]: label transfer by the nearest prototype, the classifier on genes (the
// head), a linear SVM on genes and other methods (bench/labels.py), the paper's ablations (one-hot
// conditions, no prototype loss) and the published preset, three seeds, with bootstrap intervals; and how
// well the probabilities of the first two are calibrated and rank wrong labels. Needs ../shared/data and a
// Python with scikit-learn (SCPOLI_REFERENCE_PYTHON). Single runs are kept in .cache/labels (delete it to
// start again); tables go to bench/results/labels.csv and docs/benchmarks/labels.md.
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ScPoli, type LevelPrediction, type TrainOptions } from "../dist/index.js";
import { Random } from "../dist/numerics/random.js";
import { auroc, calibrationError } from "./label-scores.ts";
import { writeSection } from "./sections.ts";
import {
  cached,
  configurations,
  mean,
  mostGenes,
  openTransfer,
  seeds,
  sharedData,
  type Configuration,
} from "./transfer.ts";

const sets = ["panc8", "pbmc3", "kang16", "onek1k"];
const leastCells = 10;
const resamples = 1000;
const root = new URL("..", import.meta.url).pathname;
const cache = join(root, ".cache/labels");
const python = process.env["SCPOLI_REFERENCE_PYTHON"] ?? join(root, ".venv-reference/bin/python");

/** Labels by method and true labels of the query cells with types known to the reference. */
interface Labelled {
  readonly truth: readonly string[];
  readonly predicted: Readonly<Record<string, readonly string[]>>;
  /** of the predicted labels, by the methods that have one */
  readonly probability: Readonly<Record<string, readonly number[]>>;
}

const trainings: Readonly<Record<string, Partial<TrainOptions>>> = {
  default: {},
  "one-hot conditions": { conditionEncoding: "one-hot", embeddingDims: undefined },
  "no prototype loss": { prototypeLoss: "off" },
  "published preset": { preset: "published" },
};
/** Names of the two rules of the library in the table. */
const [prototypeRule, headRule] = ["nearest prototype (default)", "head"] as const;
/** Methods of bench/labels.py, and their names in the table. */
const ruleNames: Readonly<Record<string, string>> = {
  knn: "latent: 15 neighbours",
  covariances: "latent: covariance per type",
  several: "latent: five prototypes per type",
  votes_prototype: "nearest prototype, votes of 15 query neighbours",
  votes_head: "head, votes of 15 query neighbours",
  logistic: "logistic regression on genes",
  svm: "linear SVM on genes",
};

async function labelled(configuration: Configuration, training: string, seed: number): Promise<Labelled> {
  const { condition, label, name } = configuration;
  const transfer = await openTransfer(configuration, cache, name);
  try {
    const { reference, query, truth, known } = transfer;
    const model = await ScPoli.train(reference, {
      conditionKeys: [condition],
      cellTypeKeys: [label],
      seed,
      genes: reference.nVars > mostGenes ? mostGenes : undefined,
      ...trainings[training],
    });
    const [referencePath, queryPath] = [
      join(cache, `${name}-reference-embedded.h5ad`),
      join(cache, `${name}-query-mapped.h5ad`),
    ];
    await model.embed(reference, { output: referencePath, force: true });
    const mapping = await model.map(query, { seed, output: queryPath, force: true });
    const names = mapping.model.stored.json.cell_types;
    const [level] = mapping.predictions as [LevelPrediction];
    const byHead = (await mapping.model.embed(query, { classifier: "head" })).predictions[0]!;
    const rules = Object.entries(ruleNames).filter(([rule]) => training === "default" || rule === "knn");
    const answer = execFileSync(
      python,
      [
        "-W",
        "ignore",
        join(root, "bench/labels.py"),
        referencePath,
        queryPath,
        "--label",
        label,
        ...rules.map(([rule]) => rule),
      ],
      { encoding: "utf8", maxBuffer: 1 << 28 },
    );
    const byPython = JSON.parse(answer) as Record<string, string[]>;
    const predicted: Record<string, readonly string[]> = {
      [prototypeRule]: Array.from(level.predicted, (type) => names[type]!),
      [headRule]: Array.from(byHead.predicted, (type) => names[type]!),
      ...Object.fromEntries(rules.map(([rule, name]) => [name, byPython[rule]!])),
    };
    const cells = Array.from(truth.keys()).filter((cell) => known.has(truth[cell]!));
    const chosen = <T>(values: ArrayLike<T>): T[] => cells.map((cell) => values[cell]!);
    return {
      truth: chosen(truth),
      predicted: Object.fromEntries(
        Object.entries(predicted).map(([method, values]) => [method, chosen(values)]),
      ),
      probability: {
        [prototypeRule]: chosen(level.probability),
        [headRule]: chosen(byHead.probability),
      },
    };
  } finally {
    transfer.close();
  }
}

const figures = ["accuracy", "macro_f1", "macro_f1_of_types_with_10_cells"] as const;
type Figures = Readonly<Record<(typeof figures)[number], number>>;
/** Metrics of the probability: AUROC for wrong labels, expected calibration error (ten bins). */
const probabilityFigures = ["errors", "calibration"] as const;

/** Metrics of a rule's probability; null without a probability, `errors` also where no label is wrong. */
function probabilityFiguresOf(
  { truth, predicted, probability }: Labelled,
  method: string,
): Readonly<Record<(typeof probabilityFigures)[number], number | null>> {
  const probabilities = probability[method];
  if (!probabilities) return { errors: null, calibration: null };
  const isRight = truth.map((type, cell) => predicted[method]![cell] === type);
  return {
    errors: isRight.every((right) => right)
      ? null
      : auroc(
          isRight.map((right) => !right),
          probabilities.map((p) => 1 - p),
        ),
    calibration: calibrationError(probabilities, isRight),
  };
}

/** @param cells - a sample of the cells */
function figuresOf(
  truth: readonly string[],
  predicted: readonly string[],
  cells: Int32Array,
  large: ReadonlySet<string>,
): Figures {
  const counts = new Map<string, { right: number; actual: number; predicted: number }>();
  const of = (type: string): { right: number; actual: number; predicted: number } =>
    counts.get(type) ?? counts.set(type, { right: 0, actual: 0, predicted: 0 }).get(type)!;
  for (const cell of cells) {
    of(truth[cell]!).actual++;
    of(predicted[cell]!).predicted++;
    if (truth[cell] === predicted[cell]) of(truth[cell]!).right++;
  }
  const f1 = (isIncluded: (type: string) => boolean): number =>
    mean(
      [...counts]
        .filter(([type]) => isIncluded(type))
        .map(([, count]) => (2 * count.right) / (count.actual + count.predicted)),
    );
  return {
    accuracy: [...counts.values()].reduce((sum, { right }) => sum + right, 0) / cells.length,
    macro_f1: f1(() => true),
    macro_f1_of_types_with_10_cells: f1((type) => large.has(type)),
  };
}

/** Metrics of each seed, and the 95 % interval of their mean over resampled cells of the query. */
function summarise(
  runs: readonly Labelled[],
  method: string,
): {
  readonly seeds: readonly Figures[];
  readonly interval: (figure: (typeof figures)[number]) => readonly [number, number];
} {
  const { truth } = runs[0]!;
  const large = new Set(
    [...new Set(truth)].filter((type) => truth.filter((other) => other === type).length >= leastCells),
  );
  const score = (cells: Int32Array): Figures[] =>
    runs.map((run) => figuresOf(run.truth, run.predicted[method]!, cells, large));
  const random = new Random(0, "bootstrap");
  const samples = Array.from({ length: resamples }, () =>
    score(Int32Array.from(truth, () => random.below(truth.length))),
  );
  return {
    seeds: score(Int32Array.from(truth.keys())),
    interval: (figure) => {
      const sorted = samples
        .map((sample) => mean(sample.map((drawn) => drawn[figure])))
        .sort((a, b) => a - b);
      return [sorted[Math.floor(0.025 * resamples)]!, sorted[Math.ceil(0.975 * resamples) - 1]!];
    },
  };
}

for (const needed of [sharedData, python])
  if (!existsSync(needed)) {
    console.log(`bench:labels needs ${needed}, which is not there; nothing measured.`);
    process.exit(0);
  }
const requestedSets = process.argv.slice(2);
const rows = [`set,training,method,seed,${[...figures, ...probabilityFigures].join(",")}`];
const lines: string[] = [];
for (const configuration of configurations.filter(
  ({ name }) => sets.includes(name) && (requestedSets.length === 0 || requestedSets.includes(name)),
))
  for (const training of Object.keys(trainings)) {
    const runs: Labelled[] = [];
    for (const seed of seeds)
      runs.push(
        await cached(cache, `${configuration.name}-${training}-s${seed}`, () =>
          labelled(configuration, training, seed),
        ),
      );
    for (const method of Object.keys(runs[0]!.predicted)) {
      const { seeds: seedScores, interval } = summarise(runs, method);
      const ofProbability = runs.map((run) => probabilityFiguresOf(run, method));
      seedScores.forEach((run, seed) =>
        rows.push(
          [
            configuration.name,
            `"${training}"`,
            `"${method}"`,
            seed,
            ...figures.map((figure) => run[figure].toFixed(4)),
            ...probabilityFigures.map((figure) => ofProbability[seed]![figure]?.toFixed(4) ?? ""),
          ].join(","),
        ),
      );
      const shown = figures.map(
        (figure) =>
          `${mean(seedScores.map((run) => run[figure])).toFixed(3)} (${interval(figure)
            .map((end) => end.toFixed(3))
            .join(" to ")})`,
      );
      const means = probabilityFigures.map((figure) => {
        const values = ofProbability.flatMap((run) => run[figure] ?? []);
        return values.length === 0 ? "" : mean(values).toFixed(3);
      });
      lines.push(`| ${[configuration.name, training, method, ...shown, ...means].join(" | ")} |`);
    }
  }
writeFileSync(join(root, "bench/results/labels.csv"), `${rows.join("\n")}\n`);
writeSection(join(root, "docs/benchmarks/labels.md"), "Other rules for labels, and the paper's ablations", [
  `Queries as in [Quality](quality.md). Mean of ${seeds.length} seeds and, in brackets, the 95 % ` +
    `interval of ${resamples} resamples of the query's cells. Larger types: macro F1 of the types with ` +
    `at least ${leastCells} query cells. Errors: AUROC of 1 - \`_prob\` for wrong labels; calibration: ` +
    "expected calibration error of `_prob`, in ten bins. `head` is the classifier on genes " +
    "(`--classifier head`). Logistic regression and linear SVM take all genes of the file, log-normalised; " +
    "head and prototypes see the model's genes.",
  "",
  "Made by `npm run bench:labels` (single runs: `bench/results/labels.csv`).",
  "",
  "| data set | training | labels | accuracy | macro F1 | of larger types | errors | calibration |",
  `|${" --- |".repeat(8)}`,
  ...lines,
]);
console.log(lines.join("\n"));
