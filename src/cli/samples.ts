// scpoli samples: analyses the condition embeddings of a model as samples: associations with metadata,
// classification and prediction.
import type { Command } from "commander";
import { AnnData } from "../anndata/anndata.js";
import type { CountsOptions, RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { median } from "../numerics/descriptive.js";
import type { SampleAnalysis, SamplesOptions } from "../samples/analysis.js";
import type { Classification } from "../samples/classification.js";
import { writePlots } from "../samples/sample-plots.js";
import { samplePaths, sampleTables, writeSamples, writeTables } from "../samples/sample-file.js";
import { ScPoli } from "../api/scpoli.js";
import {
  columnsOfKeys,
  conditionValueFlag,
  conditionValues,
  names,
  real,
  renamedKeys,
  valuesByKey,
  whole,
  type RenamedKeys,
} from "./arguments.js";
import { featureTypesFlag, layerFlag, recoverCountsFlag, roundCountsFlag } from "./counts-flags.js";
import { checkOutputs } from "./outputs.js";
import { writtenText } from "./report.js";
import { modelPath } from "./registry/registry.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";
import { counted, listed, percent, table } from "./text.js";

interface SamplesFlags
  extends
    RunFlags,
    Pick<CountsOptions, "layer" | "recoverCounts" | "roundCounts" | "featureTypes">,
    Pick<
      SamplesOptions,
      | "classify"
      | "predict"
      | "covariates"
      | "neighbors"
      | "folds"
      | "repeats"
      | "permutations"
      | "maxP"
      | "minR"
    > {
  readonly output?: string;
  readonly tables?: string;
  readonly plots?: string;
  readonly gene?: readonly string[];
  readonly key?: readonly string[];
  readonly data?: string;
  readonly conditionKey?: RenamedKeys;
  readonly conditionValue?: readonly string[];
  readonly metadata?: string;
  readonly ordinal?: Readonly<Record<string, readonly string[]>>;
  readonly categorical?: readonly string[];
  readonly geneSets?: string;
  readonly uncertainty: boolean;
}

export function addSamples(program: Command): void {
  const command = program
    .command("samples")
    .summary("analyse the sample embeddings of a model: associations, classification, genes")
    .description(
      "Analyses the condition embeddings of a model, one per sample: components, association with sample " +
        "metadata, distances, the condition to integrate on. With the samples' cells also genes, and " +
        "classification compared with pseudobulk. Nothing is trained.",
    )
    .argument("<model>", "the model: a folder, a zip or tar file of one, or NAME@VERSION of scpoli models")
    .option(
      "-o, --output <file>",
      "an .h5ad file with a row per sample; with several condition keys, NAME.KEY.h5ad for each",
    )
    .option("--tables <folder>", "also write every table as CSV")
    .option("--plots <folder>", "also write SVG plots")
    .option(
      "--gene <genes>",
      "genes whose mean expression colours the samples in the plots (needs --data; default: the genes most " +
        "correlated with the first components)",
      names,
    )
    .option("--key <keys>", "condition keys to analyse (default: all)", names)
    .optionsGroup("Sample metadata (in addition to the model's):")
    .option(
      "--metadata <table>",
      "a table with a header and a row per sample, matched by the column with the key's name, else by " +
        "the first " +
        "column (csv or tsv)",
    )
    .option(
      "--data <file>",
      "an .h5ad or .zarr file with the samples' cells: obs columns that are constant within samples become " +
        "metadata, counts give mean expression",
    )
    .option(
      "--condition-key <columns>",
      "obs columns of the conditions in that file, if named differently than in the model: patient, or " +
        "donor=patient",
      renamedKeys,
    )
    .addOption(conditionValueFlag())
    .addOption(layerFlag())
    .addOption(recoverCountsFlag())
    .addOption(roundCountsFlag())
    .addOption(featureTypesFlag("the model's"))
    .option(
      "--ordinal <column=levels>",
      "levels of a column from low to high: severity=mild,moderate,severe (may be repeated)",
      valuesByKey,
    )
    .option("--categorical <columns>", "numeric columns to treat as categories", names)
    .option("--covariates <columns>", "covariates to analyse (default: all that vary)", names)
    .optionsGroup("Analyses:")
    .option(
      "--classify <columns>",
      "covariates to classify samples by from their embeddings, cross-validated",
      names,
    )
    .option(
      "--predict <columns>",
      "covariates to predict for mapped samples, learned from the reference samples",
      names,
    )
    .option(
      "--gene-sets <file>",
      "a .gmt file of gene sets to test for over-representation among correlated genes (needs --data)",
    )
    .option(
      "--neighbors <n>",
      "number of nearest neighbours, in the table and for classification (default: 5)",
      whole(1),
    )
    .option("--folds <n>", "folds of the cross-validation (default: 5)", whole(2))
    .option("--repeats <n>", "repeats of the cross-validation (default: 20)", whole(1))
    .option(
      "--permutations <n>",
      "label permutations for the classification's P value; 0 for none (default: 199)",
      whole(0),
    )
    .option(
      "--no-uncertainty",
      "do not compute how uncertain the embeddings are (with --data they are, from the samples' cells)",
    )
    .option("--max-p <p>", "genes count as correlated below this P (default: 0.01)", real(0, 1))
    .option("--min-r <r>", "and above this |r| (default: 0.3)", real(0, 1))
    .action((path: string, flags: SamplesFlags) => run(flags, (settings) => samples(path, flags, settings)));
  addRunFlags(command).addHelpText(
    "after",
    "\nExample:\n  scpoli samples atlas-model --metadata donors.csv -o samples.h5ad\n  scpoli samples " +
      "atlas-model --data atlas.h5ad --ordinal severity=mild,moderate,severe --classify severity --tables " +
      "tables\n" +
      "  scpoli samples grown-model --metadata donors.csv --predict disease --json",
  );
}

async function samples(path: string, flags: SamplesFlags, settings: RunSettings): Promise<Result> {
  const { output, tables, key, data: dataPath, metadata, force } = flags;
  if (
    dataPath === undefined &&
    (flags.conditionKey ??
      flags.conditionValue ??
      flags.layer ??
      flags.recoverCounts ??
      flags.roundCounts ??
      flags.featureTypes) !== undefined
  )
    throw new ScPoliError(
      "usage",
      "--condition-key, --condition-value, --layer, --recover-counts, --round-counts and --feature-types " +
        "apply to " +
        "the file of cells: give it with --data.",
    );
  if (flags.gene !== undefined && (dataPath === undefined || flags.plots === undefined))
    throw new ScPoliError(
      "usage",
      "--gene colours samples in plots by their mean expression: give the folder with --plots and the " +
        "file of " +
        "cells with --data.",
    );
  const model = await ScPoli.load(await modelPath(path, settings), settings);
  const modelKeys = model.stored.json.condition_keys;
  await checkOutputs({
    inputs: [path, dataPath, metadata, flags.geneSets],
    h5ad: output === undefined ? [] : samplePaths(output, key ?? modelKeys),
    folders: [
      { path: tables, ending: ".csv" },
      { path: flags.plots, ending: ".svg" },
    ],
    force,
  });
  const data = dataPath === undefined ? undefined : await AnnData.open(dataPath);
  try {
    const {
      classify,
      predict,
      covariates,
      geneSets,
      neighbors,
      folds,
      repeats,
      permutations,
      maxP,
      minR,
      layer,
      recoverCounts,
      roundCounts,
      featureTypes,
    } = flags;
    const analyses = await model.samples({
      ...settings,
      keys: key,
      data,
      conditionKeys: columnsOfKeys(flags.conditionKey, modelKeys),
      conditionValues: conditionValues(flags.conditionValue, modelKeys),
      metadata,
      kinds: { ordinal: flags.ordinal, categorical: flags.categorical },
      covariates,
      classify,
      predict,
      geneSets,
      neighbors,
      folds,
      repeats,
      permutations,
      maxP,
      minR,
      layer,
      recoverCounts,
      roundCounts,
      featureTypes,
      uncertainty: flags.uncertainty,
    });
    for (const gene of flags.gene ?? [])
      if (
        !analyses.some(
          ({ genes }) => genes?.expression.genes.includes(gene) || genes?.expression.symbols.includes(gene),
        )
      )
        throw new ScPoliError("key", `--gene ${gene}: ${dataPath} has no such gene.`, { gene });
    const written = [
      ...(output === undefined ? [] : await writeSamples(output, analyses, { force })),
      ...(tables === undefined ? [] : await writeTables(tables, analyses, { force })),
      ...(flags.plots === undefined ? [] : await writePlots(flags.plots, analyses, flags.gene, { force })),
    ];
    const text = analyses.map(samplesText).join("\n\n");
    return {
      json: {
        keys: Object.fromEntries(analyses.map((analysis) => [analysis.samples.key, samplesJson(analysis)])),
        written,
      },
      text: written.length > 0 ? `${text}\n\n${writtenText(written)}` : text,
    };
  } finally {
    data?.close();
  }
}

/** Number of genes per component on stdout; the files hold all. */
const shownGenes = 20;

/** The analysis as JSON, with top genes instead of the long tables, which the files hold. */
function samplesJson(analysis: SampleAnalysis): object {
  const {
    gene_correlations: genes = [],
    gene_sets: sets = [],
    distances: _,
    ...tables
  } = sampleTables(analysis);
  const first = (rows: typeof genes): typeof genes => {
    const rowsByComponent = new Map<unknown, number>();
    return rows.filter(({ component }) => {
      const rank = (rowsByComponent.get(component) ?? 0) + 1;
      rowsByComponent.set(component, rank);
      return rank <= shownGenes;
    });
  };
  return {
    ...tables,
    top_genes: first(genes.filter((row) => row.is_correlated === true)),
    top_gene_sets: first(sets),
    guidance: { condition: analysis.guidance.condition, reason: analysis.guidance.reason },
  };
}

/** Number of rows shown of a table. */
const shownRows = 12;

function samplesText(analysis: SampleAnalysis): string {
  const {
    samples: { key, names: sampleNames, isReference },
    components: { varianceRatio },
    associations,
    guidance,
    genes,
    classifications,
    predictions,
  } = analysis;
  const added = isReference.filter((is) => !is).length;
  const shares = Array.from(varianceRatio.subarray(0, 5), (share) => percent(share, 0));
  if (varianceRatio.length > 5) shares.push("...");
  const lines = [
    `${key}: ${counted(sampleNames.length, "sample")}${added > 0 ? ` (${added} by mapping)` : ""}, ` +
      `${counted(varianceRatio.length, "component")}: ${shares.join(", ")} of the variance`,
  ];
  const certainty = uncertaintyText(analysis);
  if (certainty) lines.push(certainty);
  if (guidance.covariates.length > 0) {
    const shown = guidance.covariates.slice(0, shownRows);
    const association = (name: string, component: number): string => {
      const row = associations.find(({ covariate, component: k }) => covariate === name && k === component);
      return row === undefined || Number.isNaN(row.adjusted_r2)
        ? "-"
        : `${row.adjusted_r2.toFixed(2)}${row.p_adjusted < 0.05 ? "*" : ""}`;
    };
    const components = [1, 2, 3].filter((component) => component <= varianceRatio.length);
    lines.push(
      "",
      table(
        shown.map((row) => [
          row.covariate,
          row.kind === "number" ? "number" : counted(row.levels, "level"),
          row.adjusted_r2.toFixed(2),
          row.p_adjusted.toPrecision(2),
          ...components.map((component) => association(row.covariate, component)),
        ]),
        ["covariate", "kind", "adjusted R2", "P", ...components.map((component) => `PC${component}`)],
      ),
    );
    if (guidance.covariates.length > shown.length)
      lines.push(`  and ${guidance.covariates.length - shown.length} more`);
    lines.push(
      "  (adjusted R2 of all components weighted by their variance, with P by permutation; then of single " +
        "components; *: corrected P below 0.05)",
    );
  }
  lines.push("", `  ${guidance.reason}`);
  for (const classification of classifications) lines.push("", classificationText(classification));
  for (const { covariate, samples: rows } of predictions)
    lines.push(
      "",
      table(
        rows.map((row) => [
          row.sample,
          row.classifier,
          row.predicted,
          percent(row.share, 0),
          row.known ?? "",
        ]),
        ["sample", "classifier", covariate, "share", "known"],
      ),
    );
  if (genes && genes.counts.length > 0)
    lines.push(
      "",
      table(
        genes.counts.map(({ component, positive, negative, after_correction }) => [
          `PC${component}`,
          positive,
          negative,
          after_correction,
          listed(
            genes.correlations
              .filter((row) => row.component === component && row.is_correlated)
              .map(({ symbol }) => symbol),
            5,
          ),
        ]),
        ["genes with", "r > 0", "r < 0", "corrected", "top genes"],
      ),
    );
  const enriched = (genes?.sets ?? []).filter(({ p_adjusted }) => p_adjusted < 0.05);
  if (enriched.length > 0)
    lines.push(
      "",
      table(
        enriched
          .slice(0, shownRows)
          .map((row) => [
            `PC${row.component} ${row.direction}`,
            row.set,
            `${row.overlap} of ${row.size}`,
            row.p_adjusted.toPrecision(2),
          ]),
        ["genes of", "set", "overlap", "P"],
      ),
    );
  return lines.join("\n");
}

/** The spread of the embeddings' sampling error, and the samples where it is largest. */
function uncertaintyText({ uncertainty, samples }: SampleAnalysis): string | null {
  const known = (uncertainty ?? []).flatMap((sample, row) =>
    sample ? [{ name: samples.names[row]!, ...sample }] : [],
  );
  if (known.length === 0) return null;
  const sorted = [...known].sort((a, b) => b.deviation - a.deviation);
  const typical = median(Float64Array.from(known, ({ deviation }) => deviation));
  const most = sorted
    .slice(0, 3)
    .map(({ name, deviation, cells }) => `${name} ${deviation.toFixed(2)} (${counted(cells, "cell")})`);
  return `  standard deviation of the embeddings: median ${typical.toFixed(2)}, largest ${most.join(", ")}`;
}

function classificationText({
  covariate,
  classes,
  left_out: leftOut,
  folds,
  repeats,
  permutations,
  scores,
}: Classification): string {
  const rows = scores.map(({ features, classifier, weighted_f1: f1, weighted_f1_sd: sd, accuracy, p }) => [
    features === "none" ? "(majority)" : features,
    features === "none" ? "" : classifier,
    `${f1.toFixed(2)} +- ${sd.toFixed(2)}`,
    accuracy.toFixed(2),
    p === null ? "-" : p.toPrecision(2),
  ]);
  const classSizes = Object.entries(classes)
    .map(([name, samples]) => `${name} ${samples}`)
    .join(", ");
  return (
    `${table(rows, [covariate, "classifier", "weighted F1", "accuracy", "P"])}\n` +
    `  ${classSizes}; ${folds} folds, ${repeats} repeats, ${permutations} permutations` +
    (leftOut.length > 0 ? `; left out, one sample each: ${listed(leftOut)}` : "")
  );
}
