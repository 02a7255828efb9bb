// npm run bench:samples [-- SECTION ... --epochs N]: the sample analysis on real data, and further
// figures of the paper at a small scale. Writes docs/benchmarks/samples.md, docs/benchmarks/samples/*.svg and
// bench/results/samples.json. Needs ../shared and, for the integration scores, a Python with scib-metrics
// (SCPOLI_REFERENCE_PYTHON). Results are cached in .cache/samples. With sections (names of the functions
// below) or a number of epochs it is a trial, written to .cache/samples/trial.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ScPoli, type SampleAnalysis } from "../dist/index.js";
import { lineChart, pointCloud, standaloneSvg, type Plot } from "../dist/plots/index.js";
import { associationMap, covariatePlane, genePlane } from "../dist/samples/sample-plots.js";
import {
  analysed,
  cellView,
  distanceCorrelation,
  epochs,
  file,
  heldOut,
  integration,
  numbers,
  partOf,
  shared,
  trained,
  uncertaintyOrder,
  withDummy,
  type HeldOut,
  type Numbers,
  type Ranked,
} from "./samples-runs.ts";

const root = new URL("..", import.meta.url).pathname;
// a trial must not overwrite the document
const isTrial = epochs !== undefined || process.argv.length > 2;
const out = isTrial ? join(root, ".cache/samples/trial") : join(root, "docs/benchmarks");
mkdirSync(join(out, "samples"), { recursive: true });
const lines: string[] = [];
const results: Record<string, unknown> = { epochs: epochs ?? "chosen by train" };

const addParagraphs = (...text: string[]): void =>
  void lines.push(...text.flatMap((paragraph) => [paragraph, ""]));
const table = (header: readonly string[], rows: readonly (readonly (string | number)[])[]): void =>
  addParagraphs([header, header.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n"));
const draw = (name: string, plot: Plot | null): string => {
  if (plot) writeFileSync(join(out, "samples", `${name}.svg`), `${standaloneSvg(plot)}\n`);
  return plot ? `![${plot.title}](samples/${name}.svg)` : "";
};
const twoDigits = (value: number): string => (Number.isFinite(value) ? value.toFixed(2) : "-");
const small = (p: number | null): string => (p === null ? "-" : p.toPrecision(2));
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function explainedTable({ explained, associations }: Numbers): void {
  const of = (name: string, component: number): string => {
    const row = associations.find(({ covariate, component: k }) => covariate === name && k === component);
    return row ? `${twoDigits(row.adjusted_r2)}${row.p_adjusted < 0.05 ? " \\*" : ""}` : "-";
  };
  table(
    ["covariate", "", "adjusted R2", "P (corrected)", "PC1", "PC2", "PC3"],
    explained.map((row) => [
      row.covariate,
      row.kind === "number" ? "number" : `${row.levels} levels`,
      twoDigits(row.adjusted_r2),
      small(row.p_adjusted),
      of(row.covariate, 1),
      of(row.covariate, 2),
      of(row.covariate, 3),
    ]),
  );
}

function classificationTable({ classifications }: Numbers): void {
  table(
    ["covariate", "features", "classifier", "weighted F1", "accuracy", "P"],
    classifications.flatMap(({ covariate, scores }) =>
      scores.map((row) => [
        covariate,
        row.features === "none" ? "(majority)" : row.features,
        row.features === "none" ? "" : row.classifier,
        `${twoDigits(row.weighted_f1)} ± ${twoDigits(row.weighted_f1_sd)}`,
        twoDigits(row.accuracy),
        small(row.p),
      ]),
    ),
  );
}

/** Analyses are recomputed (in seconds); their numbers are stored next to the document. */
function record(name: string, analysis: SampleAnalysis): Numbers {
  const recorded = numbers(analysis);
  results[name] = recorded;
  return recorded;
}

const kangTypes = { conditionKeys: ["sample"], cellTypeKeys: ["cell_type"] };
const kangCovariates = [
  "condition",
  "donor",
  "cells",
  "total_counts",
  "detected_genes",
  "ribosomal_fraction",
];
const kang = await trained("kang-sample-0-1", file("kang16"), { ...kangTypes, landmarks: true, seed: 0 });

async function kangSamples(): Promise<void> {
  const [analysis] = await analysed(kang, file("kang16"), {
    classify: ["condition"],
    covariates: kangCovariates,
  });
  const recorded = record("kang16, sample", analysis!);
  addParagraphs(
    "## Stimulation and donor: kang16, 16 samples",
    "4,470 PBMC of 8 donors, each with and without interferon beta; `sample` is the condition key, 2,000 " +
      "genes.",
    draw(
      "kang16-condition",
      covariatePlane(
        analysis!,
        analysis!.covariates.find(({ name }) => name === "condition")!,
      ),
    ),
  );
  explainedTable(recorded);
  addParagraphs(
    "(Adjusted R2 of all components weighted by their variance, P by permutation; then the adjusted R2 of " +
      "single components by R's `lm`, \\* corrected P below 0.05.)",
    `\`scpoli samples\` says: ${recorded.reason}`,
  );
  addParagraphs(draw("kang16-associations", associationMap(analysis!)));
  addParagraphs(
    "Stimulation predicted from a sample's embedding, stratified cross-validation (5 folds, 20 repeats), " +
      "and from pseudobulk (mean log-normalised expression, 10 components):",
  );
  classificationTable(recorded);
  addParagraphs(
    "Genes whose mean expression correlates with the components (P < 0.01, |r| > 0.3), of 9,015:",
  );
  table(
    ["component", "positive", "negative", "after correction", "top genes"],
    recorded.geneCounts
      .slice(0, 3)
      .map((row, k) => [
        `PC${row.component}`,
        row.positive,
        row.negative,
        row.after_correction,
        recorded.topGenes[k]!.slice(0, 6).join(", "),
      ]),
  );

  await geneOnSamplesAndCells(analysis!);
}

async function geneOnSamplesAndCells(analysis: SampleAnalysis): Promise<void> {
  const gene = "ISG15";
  const cells = await cellView("kang-cells", file("kang16"), kang, gene, 1200);
  const best = analysis
    .genes!.correlations.filter((row) => row.gene === gene)
    .sort((x, y) => Math.abs(y.r) - Math.abs(x.r))[0]!;
  addParagraphs(
    `## A gene on samples and on cells (Fig. 6h, i): ${gene}`,
    `The samples by their mean expression of ${gene}, which responds to interferon (its correlation is ` +
      `greatest with PC${best.component}: r ${twoDigits(best.r)}, corrected P ${small(best.p_adjusted)}); ` +
      "beside them the integrated cells.",
  );
  addParagraphs(
    draw(`kang16-${gene}`, genePlane(analysis, gene)),
    draw(
      `kang16-${gene}-cells`,
      pointCloud({
        title: `1,200 cells by expression of ${gene}`,
        x: "UMAP 1 (no units)",
        y: "UMAP 2 (no units)",
        legend: `${gene} (log1p of counts per 10,000)`,
        points: cells.x.map((x, i) => [x, cells.y[i]!, cells.value[i]!] as const),
      }),
    ),
  );
}

async function kangTwoKeys(): Promise<void> {
  const both = await trained("kang-donor-condition", file("kang16"), {
    ...kangTypes,
    conditionKeys: ["donor", "condition"],
  });
  const bothKeys = await trained("kang-sample-condition", file("kang16"), {
    ...kangTypes,
    conditionKeys: ["sample", "condition"],
  });
  const [donors, conditions] = await analysed(both, null);
  const [withoutCondition] = await analysed(kang, file("kang16"), { covariates: kangCovariates });
  const [withCondition] = await analysed(bothKeys, file("kang16"), {
    keys: ["sample"],
    covariates: kangCovariates,
  });
  const betweenConditions = conditions!.distances.distances.values[1]!;
  const pairs = Array.from(donors!.distances.distances.values).filter((value) => value > 0);
  const betweenDonors = pairs.reduce((sum, value) => sum + value, 0) / pairs.length;
  const [a, b] = [
    record("kang16, sample alone", withoutCondition!),
    record("kang16, sample beside condition", withCondition!),
  ];
  results["kang16, donor and condition"] = {
    between: betweenConditions,
    among: betweenDonors,
    donors: numbers(donors!),
  };
  const of = ({ explained }: Numbers, name: string): string => {
    const row = explained.find(({ covariate }) => covariate === name);
    return row ? `${twoDigits(row.adjusted_r2)} (P ${small(row.p)})` : "-";
  };
  const first = ({ associations }: Numbers, name: string): string =>
    twoDigits(
      Math.max(...associations.filter((row) => row.covariate === name).map((row) => row.adjusted_r2)),
    );
  addParagraphs(
    "## Two keys: where the variation went",
    "With the two keys `donor` and `condition`, each gets embeddings. The two conditions are " +
      `${twoDigits(betweenConditions)} apart, two donors ${twoDigits(betweenDonors)} on average ` +
      "(embeddings have norm 1 at most, so 2 is the largest distance). Both samples of a donor share its " +
      "embedding, and stimulation has a direction of its own.",
    "Does the sample embedding lose what another key explains (the paper's Supp. Fig. 8)? `sample` as the " +
      "only key, and together with `condition`:",
  );
  table(
    ["covariate of the sample embedding", "`sample` alone", "with `condition`"],
    [
      ["condition, all components", of(a, "condition"), of(b, "condition")],
      ["condition, its best component", first(a, "condition"), first(b, "condition")],
      ["donor, all components", of(a, "donor"), of(b, "donor")],
    ],
  );
}

async function onek1k(): Promise<void> {
  const model = await trained("onek1k-donor", file("onek1k"), {
    conditionKeys: ["donor"],
    cellTypeKeys: ["cell_type"],
  });
  const [analysis] = await analysed(model, file("onek1k"), {
    classify: ["sex"],
    covariates: ["sex", "age", "batch", "cells", "total_counts", "detected_genes", "ribosomal_fraction"],
  });
  const recorded = record("onek1k, donor", analysis!);
  addParagraphs(
    "## Sex and age: onek1k, 40 donors",
    "7,811 PBMC of four types, 1,000 genes. The pool (`batch`) has 29 levels for 40 donors, so it nearly " +
      "is the donor, and its association says little.",
  );
  explainedTable(recorded);
  classificationTable(recorded);
  const clear = recorded.explained
    .filter(({ covariate, p_adjusted: p }) => ["sex", "age"].includes(covariate) && p < 0.05)
    .map(({ covariate }) => covariate);
  const significant = recorded.classifications[0]!.scores.filter(
    ({ features, p }) => features === "embedding" && p !== null && p < 0.05,
  ).length;
  addParagraphs(
    (clear.length === 0
      ? "Neither sex nor age explains the embedding beyond chance"
      : `Beyond chance: ${clear.join(" and ")}`) +
      (significant === 0
        ? "; sex is not predicted from it better than by chance. "
        : `; sex is predicted from it beyond chance by ${significant} of the two classifiers. `) +
      `\`scpoli samples\` says: ${recorded.reason}`,
  );
}

async function plaque(): Promise<void> {
  const model = await ScPoli.load(join(shared, "interop/plaque_reference"));
  const [analysis] = await analysed(model, null, { classify: ["dataset"] });
  const recorded = record("plaque, sample", analysis!);
  addParagraphs(
    "## 79 samples of a plaque atlas, in a model of scArches",
    "`scpoli samples` reads the model that scArches has saved, with its metadata. scArches keeps the " +
      "values of each sample's first cell, so only `dataset` is a property of the samples; the other " +
      "columns show what chance looks like.",
  );
  explainedTable(recorded);
  classificationTable(recorded);
  addParagraphs(
    draw(
      "plaque-dataset",
      covariatePlane(
        analysis!,
        analysis!.covariates.find(({ name }) => name === "dataset")!,
      ),
    ),
    `\`scpoli samples\` says: ${recorded.reason}`,
  );
}

async function proposed(): Promise<void> {
  addParagraphs(
    "## The condition to integrate on (Supp. Fig. 7)",
    "Samples first, then the covariate that the sample view proposes, then a dummy that is the same for " +
      "all cells. Integration is scored by scib-metrics, always with the samples as batches.",
  );
  const rows: string[][] = [];
  for (const { name, sample, proposals } of [
    { name: "kang16", sample: "sample", proposals: ["condition"] },
    { name: "panc8", sample: "batch", proposals: ["technology"] },
  ]) {
    const path = await withDummy(name);
    for (const key of [sample, ...proposals, "dummy"]) {
      const model = await trained(`proposal-${name}-${key}`, path, {
        conditionKeys: [key],
        cellTypeKeys: ["cell_type"],
      });
      const scores = await integration(`proposal-${name}-${key}`, model, path, sample, "cell_type");
      rows.push([
        name,
        key,
        String(model.stored.json.conditions[0]!.length),
        twoDigits(scores["bio"]!),
        twoDigits(scores["batch"]!),
        twoDigits(scores["total"]!),
      ]);
      if (key === sample) {
        const [analysis] = await analysed(model, path);
        addParagraphs(`${name}: ${analysis!.guidance.reason}`);
      }
    }
  }
  results["proposed condition"] = rows;
  table(["data", "condition key", "conditions", "biology", "batch", "total"], rows);
}

async function jointlyHeldOut(): Promise<void> {
  const { names } = (await analysed(kang, null))[0]!.samples;
  const folds = [0, 1, 2, 3].map((fold) => names.filter((_, row) => Math.floor(row / 2) % 4 === fold));
  const answers: HeldOut[] = [];
  for (const [fold, hidden] of folds.entries()) answers.push(await heldOut(fold, hidden, "cell_type"));
  const cells = answers.reduce((sum, answer) => sum + answer.cells, 0);
  const right = answers.reduce((sum, answer) => sum + answer.right, 0);
  const hits = (kind: string): number =>
    answers.reduce(
      (sum, { predicted, truth }) => sum + truth.filter((value, i) => value === predicted[kind]![i]).length,
      0,
    );
  results["held out"] = answers;
  addParagraphs(
    "## Samples integrated without their labels (Fig. 4)",
    "kang16 in four runs: each time all samples are integrated together, two donors (four samples) without " +
      "their cell types and condition, which are then predicted.",
  );
  table(
    ["predicted", "right", "of"],
    [
      ["cell types of held-out cells", percent(right / cells), cells.toLocaleString("en-US")],
      ["condition of held-out samples, kNN", hits("knn"), 16],
      ["condition of held-out samples, linear", hits("linear"), 16],
    ],
  );
}

async function thresholds(): Promise<void> {
  addParagraphs(
    "## Accuracy of the most certain cells (Supp. Fig. 5c)",
    "Accuracy when only the most certain cells are kept. Cells of a type that the reference lacks always " +
      "count as wrong. kNN: the 15 nearest reference cells in the same latent space.",
  );
  const shares = [0.5, 0.7, 0.8, 0.9, 1];
  for (const { name, source, key, query, left } of [
    { name: "panc8", source: "panc8", key: "batch", query: ["celseq", "celseq2"], left: [] },
    { name: "panc8-no-beta", source: "panc8", key: "batch", query: ["celseq", "celseq2"], left: ["beta"] },
    { name: "pbmc3-no-nk", source: "pbmc3", key: "donor", query: ["5p"], left: ["NK"] },
  ]) {
    const answers = await uncertaintyOrder({ name, source, key, label: "cell_type", query, leftOut: left });
    const accuracyOf = ({ right }: Ranked, share: number): number => {
      const n = Math.round(share * right.length);
      return right.slice(0, n).reduce((sum, is) => sum + is, 0) / n;
    };
    results[`threshold, ${name}`] = Object.fromEntries(
      answers.map((answer) => [answer.method, shares.map((share) => accuracyOf(answer, share))]),
    );
    table(
      [`${name}: cells kept`, ...shares.map((share) => `${100 * share} %`)],
      answers.map((answer) => [answer.method, ...shares.map((share) => percent(accuracyOf(answer, share)))]),
    );
    if (left.length === 0) continue;
    addParagraphs(
      draw(
        `threshold-${name}`,
        lineChart({
          title: `Accuracy of the cells kept, ${name}`,
          x: { label: "share of cells kept" },
          y: { label: "accuracy" },
          series: answers.map((answer) => ({
            name: answer.method,
            points: Array.from({ length: 19 }, (_, i): [number, number] => [
              0.1 + i * 0.05,
              accuracyOf(answer, 0.1 + i * 0.05),
            ]),
          })),
        }),
      ),
    );
  }
}

/** Mean, least and most. */
function spread(values: readonly number[]): string {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return `${twoDigits(mean)} (${twoDigits(Math.min(...values))} to ${twoDigits(Math.max(...values))})`;
}

async function stability(): Promise<void> {
  const rows: string[][] = [];
  for (const share of [0.25, 0.5, 1]) {
    const analyses: SampleAnalysis[] = [];
    for (const seed of [0, 1, 2]) {
      const path = await partOf("kang16", share, seed);
      const model =
        share === 1 && seed === 0
          ? kang
          : await trained(`kang-sample-${seed}-${share}`, path, { ...kangTypes, seed });
      analyses.push(
        (
          await analysed(model, path, {
            classify: ["condition"],
            covariates: ["condition", "donor"],
            permutations: 0,
          })
        )[0]!,
      );
    }
    const whole = analyses.map(
      ({ guidance }) => guidance.covariates.find(({ covariate }) => covariate === "condition")!.adjusted_r2,
    );
    const best = analyses.map(({ associations }) =>
      Math.max(
        ...associations
          .filter(({ covariate, component }) => covariate === "condition" && component <= 3)
          .map(({ adjusted_r2: r2 }) => r2),
      ),
    );
    const f1 = analyses.map(
      ({ classifications: [byCondition] }) =>
        byCondition!.scores.find(
          ({ features, classifier }) => features === "embedding" && classifier === "linear",
        )!.weighted_f1,
    );
    const agreement = [
      [0, 1],
      [0, 2],
      [1, 2],
    ].map(([i, j]) => distanceCorrelation(analyses[i!]!, analyses[j!]!));
    rows.push([String(Math.round(share * 4470)), spread(whole), spread(best), spread(f1), spread(agreement)]);
  }
  results["stability"] = rows;
  addParagraphs(
    "## Seeds and numbers of cells (Supp. Fig. 2)",
    "kang16 with `sample`, three seeds each (and three parts of the cells): mean, minimum and maximum.",
  );
  table(
    [
      "cells",
      "condition, adjusted R2 of all components",
      "of the best of three components",
      "weighted F1 of condition, linear",
      "correlation of distances between seeds",
    ],
    rows,
  );
}

addParagraphs(
  "# Samples",
  "`npm run docs:figures` writes a summary here.",
  "Made by `npm run bench:samples` (`bench/results/samples.json`). What the columns mean: " +
    "[Formats](../reference/formats.md).",
);
const sections = [kangSamples, kangTwoKeys, onek1k, plaque, proposed, jointlyHeldOut, thresholds, stability];
const requestedSections = sections.filter(({ name }) => process.argv.includes(name));
for (const section of requestedSections.length > 0 ? requestedSections : sections) await section();
writeFileSync(join(out, "samples.md"), `${lines.join("\n").trim()}\n`);
if (!isTrial)
  writeFileSync(join(root, "bench/results/samples.json"), `${JSON.stringify(results, null, 1)}\n`);
process.stderr.write(`written: ${join(out, "samples.md")}\n`);
