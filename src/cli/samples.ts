// scpoli samples: analyses the condition embeddings of a model as samples: associations with metadata,
// classification and prediction.
import type { Command } from "commander";
import { AnnData } from "../anndata/anndata.js";
import type { CountsOptions, RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import type { SampleAnalysis, SamplesOptions } from "../samples/analysis.js";
import { writePlots } from "../samples/sample-plots.js";
import { samplePaths, writeSamples, writeTables } from "../samples/sample-file.js";
import { ScPoli } from "../api/scpoli.js";
import {
  columnsOfKeys,
  conditionValueFlag,
  conditionValues,
  names,
  readableModel,
  real,
  renamedKeys,
  type RenamedKeys,
  valuesByKey,
  whole,
} from "./arguments.js";
import { featureTypesFlag, layerFlag, recoverCountsFlag, roundCountsFlag } from "./counts-flags.js";
import { checkOutputs } from "./outputs.js";
import { writtenText } from "./report.js";
import { modelPath } from "./registry/registry.js";
import { samplesJson, samplesText } from "./samples-text.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";

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
    .argument("<model>", readableModel)
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
    .option("--key <keys>", "condition keys to analyse (default: all)", names);
  addAnalysisFlags(addMetadataFlags(command)).action((path: string, flags: SamplesFlags) =>
    run(flags, (settings) => samples(path, flags, settings)),
  );
  addRunFlags(command).addHelpText(
    "after",
    "\nExample:\n  scpoli samples atlas-model --metadata donors.csv -o samples.h5ad\n  scpoli samples " +
      "atlas-model --data atlas.h5ad --ordinal severity=mild,moderate,severe --classify severity --tables " +
      "tables\n" +
      "  scpoli samples grown-model --metadata donors.csv --predict disease --json",
  );
}

function addMetadataFlags(command: Command): Command {
  return command
    .optionsGroup("Sample metadata (in addition to the model's):")
    .option(
      "--metadata <table>",
      "a table with a header and a row per sample, matched by the column with the key's name, else by " +
        "the first column (csv or tsv)",
    )
    .option(
      "--data <file>",
      "the samples' cells, in any file that inspect reads: obs columns that are constant within samples " +
        "become metadata, counts give mean expression",
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
    .option("--covariates <columns>", "covariates to analyse (default: all that vary)", names);
}

function addAnalysisFlags(command: Command): Command {
  return command
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
    .option("--min-r <r>", "and above this |r| (default: 0.3)", real(0, 1));
}

async function samples(path: string, flags: SamplesFlags, settings: RunSettings): Promise<Result> {
  checkFlags(flags);
  const { output, key, data: dataPath, metadata, force } = flags;
  const model = await ScPoli.load(await modelPath(path, settings), settings);
  const modelKeys = model.stored.json.condition_keys;
  await checkOutputs({
    inputs: [path, dataPath, metadata, flags.geneSets],
    h5ad: output === undefined ? [] : samplePaths(output, key ?? modelKeys),
    folders: [
      { path: flags.tables, ending: ".csv" },
      { path: flags.plots, ending: ".svg" },
    ],
    force,
  });
  const data = dataPath === undefined ? undefined : await AnnData.open(dataPath);
  try {
    const analyses = await model.samples({ ...settings, ...samplesOptions(flags, modelKeys), data });
    checkGenesExist(flags, analyses);
    const written = await writeAnalyses(flags, analyses);
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

/** @throws ScPoliError "usage" if a flag lacks another that it needs */
function checkFlags(flags: SamplesFlags): void {
  const countsFlag =
    flags.conditionKey ??
    flags.conditionValue ??
    flags.layer ??
    flags.recoverCounts ??
    flags.roundCounts ??
    flags.featureTypes;
  if (flags.data === undefined && countsFlag !== undefined)
    throw new ScPoliError(
      "usage",
      "--condition-key, --condition-value, --layer, --recover-counts, --round-counts and --feature-types " +
        "apply to the file of cells: give it with --data.",
    );
  if (flags.gene !== undefined && (flags.data === undefined || flags.plots === undefined))
    throw new ScPoliError(
      "usage",
      "--gene colours samples in plots by their mean expression: give the folder with --plots and the " +
        "file of cells with --data.",
    );
}

/** The flags as options of the analysis. */
function samplesOptions(flags: SamplesFlags, modelKeys: readonly string[]): Omit<SamplesOptions, "data"> {
  const { classify, predict, covariates, geneSets, neighbors, folds, repeats, permutations } = flags;
  const { maxP, minR, layer, recoverCounts, roundCounts, featureTypes, uncertainty } = flags;
  return {
    keys: flags.key,
    conditionKeys: columnsOfKeys(flags.conditionKey, modelKeys),
    conditionValues: conditionValues(flags.conditionValue, modelKeys),
    metadata: flags.metadata,
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
    uncertainty,
  };
}

/** @throws ScPoliError "key" if the file of cells lacks a gene of `--gene` */
function checkGenesExist(
  { gene: genes = [], data }: SamplesFlags,
  analyses: readonly SampleAnalysis[],
): void {
  const exists = (gene: string): boolean =>
    analyses.some(
      ({ genes: measured }) =>
        measured?.expression.genes.includes(gene) || measured?.expression.symbols.includes(gene),
    );
  for (const gene of genes)
    if (!exists(gene)) throw new ScPoliError("key", `--gene ${gene}: ${data} has no such gene.`, { gene });
}

/** @returns the paths */
async function writeAnalyses(
  { output, tables, plots, gene, force }: SamplesFlags,
  analyses: readonly SampleAnalysis[],
): Promise<string[]> {
  return [
    ...(output === undefined ? [] : await writeSamples(output, analyses, { force })),
    ...(tables === undefined ? [] : await writeTables(tables, analyses, { force })),
    ...(plots === undefined ? [] : await writePlots(plots, analyses, gene, { force })),
  ];
}
