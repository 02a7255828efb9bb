// scpoli train: a reference from an AnnData file, saved as a model.
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
    .summary("a reference from labelled cells of several conditions")
    .description(
      "Trains a reference on the raw counts (mse: normalised values) of an AnnData file and saves the model as a folder or one zip file.",
    )
    .argument("<file>", "an .h5ad file")
    .requiredOption("-o, --output <model>", "folder to write, or a file whose name ends in .zip")
    .optionsGroup("Data:")
    .requiredOption(
      "--condition-key <keys>",
      "obs columns of the conditions (sample, donor, study, ...), one embedding each: donor,assay",
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
      "a name in them that means no label, besides nan, unknown, unassigned and the like (may be repeated)",
      oneName,
    )
    .addOption(modalityFlag())
    .addOption(layerFlag())
    .addOption(recoverCountsFlag())
    .addOption(roundCountsFlag())
    .addOption(featureTypesFlag('"Gene Expression"; with poisson Peaks, where there are any'))
    .addOption(duplicateGenesFlag())
    .option(
      "--genes <n|file|column>",
      "the n most variable genes (of scATAC, with poisson: the peaks open in the most cells), a file of names (one per line), or a boolean column of var (default: all)",
    )
    .option(
      "--gene-map <file>",
      "new names of genes, one-to-one: two columns, the file's name and the new one (csv or tsv)",
    )
    .option("--label-map <file>", "new names of cell types, likewise; several may get the same one")
    .option(
      "--exclude <key=values>",
      "leave out cells by obs column, e.g. donor=5p,3pv1 (may be repeated; a comma in a name is written \\,)",
      valuesByKey,
    )
    .option(
      "--no-sample-metadata",
      "do not keep what obs tells of whole conditions (columns that are constant in their cells: age, sex, ...)",
    );
  addModelFlags(command)
    .addOption(
      new Option(
        "--recon-loss <likelihood>",
        `nb or zinb for counts, poisson for scATAC fragments, mse for normalised values (default: ${defaults.reconLoss})`,
      ).choices(reconLosses),
    )
    .addOption(atacCountsOption("auto for poisson, else counts stay as they are"))
    .optionsGroup("Output:")
    .option(
      "--no-landmarks",
      "the model carries no latent and UMAP positions of reference cells (else at most 20,000, without names and counts: a query is placed into the reference's UMAP by them); up to 60 cells per type stay as points in the classifier's space, by which unknown cells are known",
    )
    .option(
      "--embed <file>",
      "also write the training file with latent positions and cell types in it, the missing ones completed",
    )
    .addOption(reportFlag())
    .option("--checkpoint-seconds <n>", "seconds between two checkpoints (default: 60)", real(0))
    .option("--resume", "go on from the checkpoint that an interrupted run has left")
    .action((path: string, flags: TrainFlags) => run(flags, (settings) => train(path, flags, settings)));
  addRunFlags(addUnlabeledFlags(addTrainingFlags(addOptimizationFlags(command)))).addHelpText(
    "after",
    "\nExample:\n  scpoli train atlas.h5ad -o atlas-model --condition-key donor --cell-type-key cell_type,broad --genes 4000",
  );
}

async function train(path: string, flags: TrainFlags, settings: RunSettings): Promise<Result> {
  const { embed, report, resume, force } = flags;
  const output = flags.output.replace(/(?<=.)[\\/]+$/, "");
  await checkOutputs({ inputs: [path], h5ad: [embed], report: [report], models: [output], force });
  const checkpoint = `${output}.checkpoint`;
  if (!resume && (await fileStatus(checkpoint)))
    settings.onNote?.({
      level: "warning",
      message: `${checkpoint} is left from an interrupted run. --resume goes on from it; without, this run starts anew and replaces it.`,
    });
  const data = await AnnData.open(path, { modality: flags.modality });
  try {
    const options = await trainOptions(flags);
    if (embed !== undefined) await checkEmbeddable(data, options);
    const model = await ScPoli.train(data, { ...settings, ...options, checkpoint, resume }).catch(
      (error: unknown) => tellHowToResume(error, checkpoint),
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
        ...sameLabels(options),
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
 * `--embed` writes all cells of the file: each condition must have cells that train.
 * @throws ScPoliError "usage"
 */
async function checkEmbeddable(
  { obs }: AnnData,
  { conditionKeys, conditionValues: given = {}, exclude }: TrainOptions,
): Promise<void> {
  const keep = await keptCells(obs, exclude);
  if (!keep) return;
  for (const key of conditionKeys.filter((name) => !(name in given))) {
    const column = await obs.column(key);
    const known = factorize(column, { keep }).names;
    const left = factorize(column).names.filter((name) => !known.includes(name));
    if (left.length > 0)
      throw new ScPoliError(
        "usage",
        `--embed writes every cell of the file, but --exclude leaves the model no cell of ${key}=${left[0]!}${left.length > 1 ? ` and ${left.length - 1} more` : ""}. Train without --embed, then use scpoli map.`,
        { key, conditions: left },
      );
  }
}

/** The labels of the training, as those of the same file that is now embedded. */
function sameLabels({
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

async function tellHowToResume(error: unknown, checkpoint: string): Promise<never> {
  if (!(error instanceof ScPoliError) || error.kind !== "interrupted") throw error;
  const isThere = (await fileStatus(checkpoint)) !== null;
  const message = isThere
    ? `Interrupted. ${checkpoint} keeps what has been learnt: the same command with --resume goes on from there.`
    : "Interrupted before the training; nothing was written.";
  throw new ScPoliError(
    "interrupted",
    message,
    { checkpoint: isThere ? checkpoint : null },
    { cause: error },
  );
}
