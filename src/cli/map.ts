// scpoli map and scpoli embed: place the cells of a file in the latent space of a model, with cell types,
// uncertainties and unknown flags. `map` also learns new conditions (architectural surgery); `embed` does
// not.
import { Option, type Command } from "commander";
import { AnnData } from "../anndata/anndata.js";
import {
  type CountsOptions,
  type EmbedOptions,
  type MapOptions,
  type RunSettings,
  type Threshold,
} from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import type { MappingSummary } from "../mapping/mapping.js";
import { ScPoli } from "../api/scpoli.js";
import {
  atacCountsOption,
  columnsOfKeys,
  conditionValueFlag,
  conditionValues,
  oneName,
  readableFile,
  readableModel,
  readNameMap,
  renamedKeys,
  type RenamedKeys,
  threshold,
} from "./arguments.js";
import { addUnlabeledFlags, unlabeledOptions, type UnlabeledFlags } from "./growth-flags.js";
import {
  addOptimizationFlags,
  addPrototypeLossFlags,
  memoryFlag,
  optimizationOptions,
  presetFlag,
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
import { writeLabelMap } from "./label-map.js";
import { checkOutputs } from "./outputs.js";
import { mappingText, writtenText } from "./report.js";
import { referenceDataFlag, reportFlag, reportMapping } from "./report-file.js";
import { modelPath } from "./registry/registry.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";

interface EmbedFlags extends RunFlags, CountsOptions, Pick<EmbedOptions, "preset"> {
  readonly modality?: string;
  readonly output: string;
  readonly conditionKey?: RenamedKeys;
  readonly conditionValue?: readonly string[];
  readonly threshold?: Threshold;
  readonly atacCounts?: EmbedOptions["atacCounts"];
  readonly classifier?: EmbedOptions["classifier"];
  readonly uncertainty?: EmbedOptions["uncertainty"];
  readonly geneMap?: string;
  readonly cellTypeKey?: RenamedKeys;
  readonly unlabeled?: readonly string[];
  readonly labelMap?: string;
  readonly memory?: number;
}
interface MapFlags extends EmbedFlags, OptimizationFlags, UnlabeledFlags {
  readonly reference: string;
  readonly saveModel?: string;
  readonly report?: string;
  readonly referenceData?: string;
  readonly training: boolean;
  readonly sampleMetadata: boolean;
  readonly knownConditions?: MapOptions["knownConditions"];
}

export function addMap(program: Command): void {
  const command = program
    .command("map")
    .summary("map new cells onto a reference: positions, cell types, uncertainties")
    .description(
      "Maps a query onto a reference: learns embeddings of its new conditions, keeps the reference " +
        "unchanged, and writes the query with latent positions and cell types.",
    )
    .argument("<query>", readableFile)
    .requiredOption("--reference <model>", readableModel);
  addQueryFlags(command)
    .optionsGroup("Output:")
    .option("--save-model <model>", "also save the model extended by the query's conditions")
    .option(
      "--no-sample-metadata",
      "do not store metadata of the new conditions in that model (obs columns that are constant within each)",
    )
    .addOption(reportFlag())
    .addOption(referenceDataFlag())
    .optionsGroup("Conditions of the query:")
    .option(
      "--no-training",
      "no optimisation: each new condition gets the embedding of the reference condition that explains " +
        "it best",
    )
    .addOption(
      new Option(
        "--known-conditions <how>",
        "conditions that the model knows by name: reuse their embedding, or learn a new one (default: reuse)",
      ).choices(["reuse", "new"]),
    )
    .action((path: string, flags: MapFlags) => run(flags, (settings) => map(path, flags, settings)));
  addPrototypeLossFlags(addOptimizationFlags(command), "as the reference was trained");
  addRunFlags(addUnlabeledFlags(command)).addHelpText(
    "after",
    "\nExample:\n  scpoli map patients.h5ad --reference atlas-model -o patients-mapped.h5ad " +
      "--condition-key donor=patient",
  );
}

export function addEmbed(program: Command): void {
  const command = program
    .command("embed")
    .summary("embed cells of conditions that the model knows: positions, cell types, uncertainties")
    .description(
      "Writes positions and cell types of cells whose conditions the model already knows. Nothing is " +
        "learned. For cells of new conditions, use scpoli map.",
    )
    .argument("<file>", readableFile)
    .requiredOption("--model <model>", readableModel);
  addQueryFlags(command)
    .optionsGroup("Run:")
    .addOption(memoryFlag())
    .action((path: string, flags: EmbedFlags & { readonly model: string }) =>
      run(flags, (settings) => embed(path, flags, settings)),
    );
  addRunFlags(command).addHelpText(
    "after",
    "\nExample:\n  scpoli embed atlas.h5ad --model atlas-model -o atlas-embedded.h5ad",
  );
}

/** The flags that map and embed share: how to read the file, how to label its cells, and labels it has. */
function addQueryFlags(command: Command): Command {
  return addFileLabelFlags(addLabellingFlags(addReadingFlags(command)));
}

function addReadingFlags(command: Command): Command {
  return command
    .requiredOption(
      "-o, --output <file>",
      "file to write, the input with the results added: .h5ad, or .zarr if the input is a Zarr store",
    )
    .option(
      "--condition-key <column>",
      "obs column of the conditions, if it has another name than in the model: patient, or donor=patient",
      renamedKeys,
    )
    .addOption(conditionValueFlag())
    .addOption(modalityFlag())
    .addOption(layerFlag())
    .addOption(recoverCountsFlag())
    .addOption(roundCountsFlag())
    .addOption(featureTypesFlag("the model's"))
    .addOption(duplicateGenesFlag())
    .addOption(atacCountsOption("as for the model's training data"))
    .option(
      "--gene-map <file>",
      "one-to-one map of gene names (orthologs, identifiers): two columns, the file's name and the " +
        "model's (csv or tsv)",
    );
}

function addLabellingFlags(command: Command): Command {
  return command
    .optionsGroup("Labels and flags:")
    .addOption(
      presetFlag("uncertainties and flags by the distance to prototypes; map: also its optimisation"),
    )
    .option(
      "--threshold <value>",
      "novelty score above which a cell is flagged unknown: auto (0.95), 0.9, q0.95 (quantile of these " +
        "cells), none (default: auto)",
      threshold,
    )
    .addOption(
      new Option(
        "--classifier <how>",
        "predict cell types by the nearest prototype as in the paper, or with the model's classifier on " +
          "genes (head), if it has one (default: prototype)",
      ).choices(["prototype", "head"]),
    )
    .addOption(
      new Option(
        "--uncertainty <how>",
        "one minus the probability of the label, or the distance to the prototype as in the paper, which " +
          "then also determines the unknown flags (default: probability)",
      ).choices(["probability", "distance"]),
    );
}

function addFileLabelFlags(command: Command): Command {
  return command
    .optionsGroup("Labels that the file has:")
    .option(
      "--cell-type-key <column>",
      "obs column of the file's cell types, if any: annotation, or cell_type=annotation; missing labels " +
        "are predicted (map: new types get prototypes, known ones keep theirs)",
      renamedKeys,
    )
    .option(
      "--unlabeled <name>",
      "a name in that column that means no label, besides nan, unknown, unassigned and the like (may be " +
        "repeated)",
      oneName,
    )
    .option(
      "--label-map <file>",
      "map of cell type names: two columns, the file's name and the model's (csv or tsv)",
    );
}

async function map(path: string, flags: MapFlags, settings: RunSettings): Promise<Result> {
  const {
    reference,
    output,
    saveModel,
    report,
    referenceData,
    training,
    sampleMetadata,
    knownConditions,
    force,
  } = flags;
  if (referenceData !== undefined && report === undefined)
    throw new ScPoliError(
      "usage",
      "--reference-data is for the report: give the report's file with --report.",
    );
  await checkOutputs({
    inputs: [path, referenceData],
    h5ad: [output],
    report: [report],
    models: [saveModel],
    force,
  });
  const model = await ScPoli.load(await modelPath(reference, settings), settings);
  const data = await AnnData.open(path, { modality: flags.modality });
  try {
    const options = await embedOptions(flags, model);
    const mapping = await model.map(data, {
      ...settings,
      ...options,
      ...optimizationOptions(flags),
      ...unlabeledOptions(flags),
      training,
      sampleMetadata,
      knownConditions,
    });
    if (saveModel !== undefined) await mapping.model.save(saveModel, { force });
    if (report !== undefined)
      await reportMapping(report, output, mapping.model, options, settings, referenceData);
    const summary = mapping.summary();
    const labelMap = await writeLabelMap(output, summary, force);
    return mappingResult(path, summary, labelMap, [output, saveModel, report]);
  } finally {
    data.close();
  }
}

async function embed(
  path: string,
  flags: EmbedFlags & { readonly model: string },
  settings: RunSettings,
): Promise<Result> {
  const { output, force } = flags;
  await checkOutputs({ inputs: [path], h5ad: [output], force });
  const model = await ScPoli.load(await modelPath(flags.model, settings), settings);
  const data = await AnnData.open(path, { modality: flags.modality });
  try {
    const mapping = await model.embed(data, { ...settings, ...(await embedOptions(flags, model)) });
    const summary = mapping.summary();
    return mappingResult(path, summary, await writeLabelMap(output, summary, force), [output]);
  } finally {
    data.close();
  }
}

function mappingResult(
  path: string,
  summary: MappingSummary,
  labelMap: Awaited<ReturnType<typeof writeLabelMap>>,
  outputs: readonly (string | undefined)[],
): Result {
  const written = [...outputs, labelMap?.path].filter((output) => output !== undefined);
  const parts = [mappingText(path, summary), labelMap?.text, writtenText(written)];
  return {
    json: { ...summary, written },
    text: parts.filter((part) => part !== undefined).join("\n\n"),
  };
}

async function embedOptions(flags: EmbedFlags, model: ScPoli): Promise<EmbedOptions> {
  const {
    atacCounts,
    conditionKey,
    threshold: limit,
    preset,
    classifier,
    uncertainty,
    geneMap,
    output,
    cellTypeKey,
    unlabeled,
    labelMap,
    memory,
  } = flags;
  const uselessFlag =
    cellTypeKey === undefined ? ((unlabeled && "--unlabeled") ?? (labelMap && "--label-map")) : undefined;
  if (uselessFlag)
    throw new ScPoliError(
      "usage",
      `${uselessFlag} applies to labels in the file: give their column with --cell-type-key.`,
    );
  const { condition_keys, cell_type_keys } = model.stored.json;
  return {
    ...countsOptions(flags),
    atacCounts,
    threshold: limit,
    preset,
    classifier,
    uncertainty,
    output,
    unlabeled,
    memory,
    geneMap: await readNameMap(geneMap),
    labelMap: await readNameMap(labelMap),
    conditionKeys: columnsOfKeys(conditionKey, condition_keys),
    conditionValues: conditionValues(flags.conditionValue, condition_keys),
    cellTypeKeys: columnsOfKeys(cellTypeKey, cell_type_keys, "--cell-type-key"),
  };
}
