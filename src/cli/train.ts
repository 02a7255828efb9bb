// scpoli train: trains a reference on an AnnData file and saves the model.
import { Option, type Command } from "commander";
import { fileStatus, removeFile } from "#platform";
import { AnnData } from "../anndata/anndata.js";
import {
  defaults,
  reconLosses,
  type CountsOptions,
  type EmbedOptions,
  type ReconLoss,
  type RunSettings,
  type TrainOptions,
} from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { factorize, keptCells } from "../data/labels.js";
import { ScPoli } from "../api/scpoli.js";
import {
  atacCountsOption,
  conditionValueFlag,
  conditionValues,
  names,
  oneName,
  readableFile,
  readGenes,
  readNameMap,
  real,
  valuesByKey,
} from "./arguments.js";
import { addModelFlags, modelOptions, type ModelFlags } from "./model-flags.js";
import { addUnlabeledFlags, unlabeledOptions, type UnlabeledFlags } from "./growth-flags.js";
import {
  addOptimizationFlags,
  addTrainingFlags,
  optimizationOptions,
  type OptimizationFlags,
} from "./optimization-flags.js";
import {
  countsOptions,
  duplicateGenesFlag,
  featureTypesFlag,
  layerFlag,
  modalityFlag,
  recoverCountsFlag,
  roundCountsFlag,
} from "./counts-flags.js";
import { checkOutputs } from "./outputs.js";
import { modelText, writtenText } from "./report.js";
import { reportFlag, writeRunReport } from "./report-file.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";

interface TrainFlags extends RunFlags, CountsOptions, OptimizationFlags, UnlabeledFlags, ModelFlags {
  readonly modality?: string;
  readonly output: string;
  readonly conditionKey: readonly string[];
  readonly conditionValue?: readonly string[];
  readonly cellTypeKey?: readonly string[];
  readonly unlabeled?: readonly string[];
  readonly genes?: string;
  readonly geneMap?: string;
  readonly labelMap?: string;
  readonly exclude?: Readonly<Record<string, readonly string[]>>;
  readonly sampleMetadata: boolean;
  readonly reconLoss?: ReconLoss;
  readonly atacCounts?: TrainOptions["atacCounts"];
  readonly landmarks: boolean;
  readonly embed?: string;
  readonly report?: string;
  readonly resume?: boolean;
  readonly checkpointSeconds?: number;
}

export function addTrain(program: Command): void {
  const command = program
    .command("train")
    .summary("train a reference on labelled cells of several conditions")
    .description(
      "Trains a reference on the raw counts (with mse: normalised values) of an AnnData file and saves " +
        "the model as a folder or a zip file.",
    )
    .argument("<file>", readableFile)
    .requiredOption("-o, --output <model>", "folder to write, or a file whose name ends in .zip");
  addDataFlags(command);
  addModelFlags(command)
    .addOption(
      new Option(
        "--recon-loss <likelihood>",
        "nb or zinb for counts, poisson for scATAC fragments, mse for normalised values (default: " +
          `${defaults.reconLoss})`,
      ).choices(reconLosses),
    )
    .addOption(atacCountsOption("auto for poisson, else counts are not changed"));
  addResultFlags(command).action((path: string, flags: TrainFlags) =>
    run(flags, (settings) => train(path, flags, settings)),
  );
  addRunFlags(addUnlabeledFlags(addTrainingFlags(addOptimizationFlags(command)))).addHelpText(
    "after",
    "\nExample:\n  scpoli train atlas.h5ad -o atlas-model --condition-key donor --cell-type-key " +
      "cell_type,broad --genes 4000",
  );
}

function addDataFlags(command: Command): Command {
  return command
    .optionsGroup("Data:")
    .requiredOption(
      "--condition-key <keys>",
      "obs columns of the conditions (sample, donor, study, ...), each with its own embedding: donor,assay",
      names,
    )
    .addOption(conditionValueFlag())
    .option(
      "--cell-type-key <keys>",
      "obs columns of the cell types, one per annotation level: cell_type,broad",
      names,
    )
    .option(
      "--unlabeled <name>",
      "a name in those columns that means no label, besides nan, unknown, unassigned and the like (may " +
        "be repeated)",
      oneName,
    )
    .addOption(modalityFlag())
    .addOption(layerFlag())
    .addOption(recoverCountsFlag())
    .addOption(roundCountsFlag())
    .addOption(featureTypesFlag('"Gene Expression"; with poisson: Peaks, if present'))
    .addOption(duplicateGenesFlag())
    .option(
      "--genes <n|file|column>",
      "the n most variable genes (with poisson, for scATAC: the n peaks open in the most cells), a file " +
        "of names (one per line), or a boolean column of var (default: all)",
    )
    .option(
      "--gene-map <file>",
      "one-to-one map of gene names: two columns, the file's name and the new one (csv or tsv)",
    )
    .option("--label-map <file>", "map of cell type names, in the same format; several may map to one name")
    .option(
      "--exclude <key=values>",
      "leave out cells by obs column, e.g. donor=5p,3pv1 (may be repeated; write a comma in a name as \\,)",
      valuesByKey,
    )
    .option(
      "--no-sample-metadata",
      "do not store metadata of the conditions (obs columns that are constant within each: age, sex, ...)",
    );
}

function addResultFlags(command: Command): Command {
  return command
    .optionsGroup("Output:")
    .option(
      "--no-landmarks",
      "do not store latent and UMAP positions of reference cells in the model (otherwise up to 20,000, " +
        "without names and counts; they place queries in the reference's UMAP); up to 60 cells per type " +
        "are still stored as points in the classifier's space, to detect unknown cells",
    )
    .option(
      "--embed <file>",
      "also write the training file with latent positions and cell types, including predictions for " +
        "missing labels",
    )
    .addOption(reportFlag())
    .option("--checkpoint-seconds <n>", "seconds between checkpoints (default: 60)", real(0))
    .option("--resume", "resume an interrupted run from its checkpoint");
}

async function train(path: string, flags: TrainFlags, settings: RunSettings): Promise<Result> {
  const { embed, report, resume, force } = flags;
  const output = flags.output.replace(/(?<=.)[\\/]+$/, "");
  await checkOutputs({ inputs: [path], h5ad: [embed], report: [report], models: [output], force });
  const checkpoint = `${output}.checkpoint`;
  if (!resume && (await fileStatus(checkpoint)))
    settings.onNote?.({
      level: "warning",
      message:
        `${checkpoint} is left from an interrupted run. --resume continues from it; without --resume, this ` +
        "run starts from scratch and replaces it.",
    });
  const data = await AnnData.open(path, { modality: flags.modality });
  try {
    const options = await trainOptions(flags);
    if (embed !== undefined) await checkEmbeddable(data, options);
    const model = await ScPoli.train(data, { ...settings, ...options, checkpoint, resume }).catch(
      (error: unknown) => rethrowWithResumeHint(error, checkpoint),
    );
    await model.save(output, { force, card: model.card() });
    await removeFile(checkpoint);
    const reading = {
      ...countsOptions(flags),
      atacCounts: flags.atacCounts,
      geneMap: options.geneMap,
      conditionValues: options.conditionValues,
    };
    if (embed !== undefined)
      await model.embed(data, {
        ...settings,
        ...reading,
        ...labelOptions(options),
        preset: options.preset,
        output: embed,
      });
    if (report !== undefined) await writeRunReport(report, { model, data, options: reading }, settings);
    const summary = model.summary();
    const written = [output, embed, report].filter((path) => path !== undefined);
    return {
      json: { ...summary, written },
      text: `${modelText(output, summary)}\n\n${writtenText(written)}`,
    };
  } finally {
    data.close();
  }
}

/**
 * Checks that no condition is excluded as a whole, since `--embed` writes all cells of the file.
 * @throws ScPoliError "usage"
 */
async function checkEmbeddable(
  { obs }: AnnData,
  { conditionKeys, conditionValues: fileConditions = {}, exclude }: TrainOptions,
): Promise<void> {
  const keep = await keptCells(obs, exclude);
  if (!keep) return;
  for (const key of conditionKeys.filter((name) => !(name in fileConditions))) {
    const column = await obs.column(key);
    const known = factorize(column, { keep }).names;
    const excluded = factorize(column).names.filter((name) => !known.includes(name));
    if (excluded.length > 0)
      throw new ScPoliError(
        "usage",
        `--embed writes every cell of the file, but --exclude removes all cells of ${key}=${excluded[0]!}` +
          (excluded.length > 1 ? ` and ${excluded.length - 1} more` : "") +
          ". Train without --embed, then use scpoli map.",
        { key, conditions: excluded },
      );
  }
}

/** Label options of the training, as options for embedding the same file. */
function labelOptions({
  cellTypeKeys = [],
  unlabeled,
  labelMap,
}: TrainOptions): Pick<EmbedOptions, "cellTypeKeys" | "unlabeled" | "labelMap"> {
  return { cellTypeKeys: Object.fromEntries(cellTypeKeys.map((key) => [key, key])), unlabeled, labelMap };
}

async function trainOptions(flags: TrainFlags): Promise<TrainOptions> {
  const { conditionKey, cellTypeKey, unlabeled, genes, exclude, checkpointSeconds } = flags;
  return {
    ...optimizationOptions(flags),
    ...unlabeledOptions(flags),
    ...modelOptions(flags),
    conditionKeys: conditionKey,
    conditionValues: conditionValues(flags.conditionValue, conditionKey),
    sampleMetadata: flags.sampleMetadata,
    cellTypeKeys: cellTypeKey,
    unlabeled,
    ...countsOptions(flags),
    genes: genes === undefined ? undefined : await readGenes(genes),
    geneMap: await readNameMap(flags.geneMap),
    labelMap: await readNameMap(flags.labelMap),
    exclude,
    reconLoss: flags.reconLoss,
    atacCounts: flags.atacCounts,
    landmarks: flags.landmarks,
    checkpointSeconds,
  };
}

async function rethrowWithResumeHint(error: unknown, checkpoint: string): Promise<never> {
  if (!(error instanceof ScPoliError) || error.kind !== "interrupted") throw error;
  const hasCheckpoint = (await fileStatus(checkpoint)) !== null;
  const message = hasCheckpoint
    ? `Interrupted. ${checkpoint} holds the progress so far: run the same command with --resume to continue.`
    : "Interrupted before training started; nothing was written.";
  throw new ScPoliError(
    "interrupted",
    message,
    { checkpoint: hasCheckpoint ? checkpoint : null },
    { cause: error },
  );
}
