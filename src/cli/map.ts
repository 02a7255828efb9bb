// scpoli map and scpoli embed: the cells of a file in the latent space of a model, with cell types,
// uncertainties and unknown flags. `map` takes conditions that the model does not know (surgery); `embed`
// does not.
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
  readNameMap,
  renamedKeys,
  threshold,
  type RenamedKeys,
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
    .summary("new cells onto a reference: positions, cell types, uncertainties")
    .description(
      "Maps a query onto a reference: learns what is new about its conditions, leaves the reference as it is, and writes the query with latent positions and cell types in it.",
    )
    .argument("<query>", "an .h5ad file")
    .requiredOption(
      "--reference <model>",
      "the model: a folder, a zip or tar file of one, or NAME@VERSION of scpoli models",
    );
  addOutputFlags(command)
    .option("--save-model <model>", "also save the model with the query's conditions added")
    .option(
      "--no-sample-metadata",
      "do not keep in it what obs tells of whole new conditions (columns that are constant in their cells)",
    )
    .addOption(reportFlag())
    .addOption(referenceDataFlag())
    .option(
      "--no-training",
      "no optimisation: each condition takes the row of the reference's condition that explains it best",
    )
    .addOption(
      new Option(
        "--known-conditions <how>",
        "a condition that the model knows by name: reuse its row, or give it a new one (default: reuse)",
      ).choices(["reuse", "new"]),
    )
    .action((path: string, flags: MapFlags) => run(flags, (settings) => map(path, flags, settings)));
  addPrototypeLossFlags(addOptimizationFlags(command), "as the reference was trained");
  addRunFlags(addUnlabeledFlags(command)).addHelpText(
    "after",
    "\nExample:\n  scpoli map patients.h5ad --reference atlas-model -o patients-mapped.h5ad --condition-key donor=patient",
  );
}

export function addEmbed(program: Command): void {
  const command = program
    .command("embed")
    .summary("the same for cells of conditions that the model knows")
    .description(
      "Positions and cell types of cells whose conditions the model knows already; nothing is learnt. Cells of new conditions: scpoli map.",
    )
    .argument("<file>", "an .h5ad file")
    .requiredOption(
      "--model <model>",
      "the model: a folder, a zip or tar file of one, or NAME@VERSION of scpoli models",
    );
  addOutputFlags(command)
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

function addOutputFlags(command: Command): Command {
  return command
    .requiredOption(
      "-o, --output <file>",
      "the .h5ad file to write: the input with everything in it, and the results",
    )
    .option(
      "--condition-key <column>",
      "obs column of the conditions where it is named otherwise than in the model: patient, or donor=patient",
      renamedKeys,
    )
    .addOption(conditionValueFlag())
    .addOption(modalityFlag())
    .addOption(layerFlag())
    .addOption(recoverCountsFlag())
    .addOption(roundCountsFlag())
    .addOption(featureTypesFlag("the model's"))
    .addOption(duplicateGenesFlag())
    .addOption(atacCountsOption("as the model's own counts were taken"))
    .option(
      "--gene-map <file>",
      "the model's names of the file's genes, one-to-one (orthologs, identifiers): two columns, the file's name and the model's (csv or tsv)",
    )
    .addOption(presetFlag("labels and uncertainties by the nearest prototype; map: also its optimisation"))
    .option(
      "--threshold <value>",
      "novelty above which a cell is unknown: auto (0.95), 0.9, q0.95 (quantile of these cells), none (default: auto)",
      threshold,
    )
    .addOption(
      new Option(
        "--classifier <how>",
        "cell types by the model's head, or by the nearest prototype as in the paper (default: head, where the model has one)",
      ).choices(["head", "prototype"]),
    )
    .addOption(
      new Option(
        "--uncertainty <how>",
        "one less the probability of the label, or the distance from the prototype as in the paper, which then flags cells too (default: probability)",
      ).choices(["probability", "distance"]),
    )
    .optionsGroup("Labels of the file:")
    .option(
      "--cell-type-key <column>",
      "obs column of cell types, where the file has some: annotation, or cell_type=annotation; missing ones are completed (map: new types get prototypes, known ones stay)",
      renamedKeys,
    )
    .option(
      "--unlabeled <name>",
      "a name in it that means no label, besides nan, unknown, unassigned and the like (may be repeated)",
      oneName,
    )
    .option(
      "--label-map <file>",
      "the model's names of these cell types: two columns, the file's name and the model's (csv or tsv)",
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
    throw new ScPoliError("usage", "--reference-data is for the report: name its file with --report.");
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
  const needless =
    cellTypeKey === undefined ? ((unlabeled && "--unlabeled") ?? (labelMap && "--label-map")) : undefined;
  if (needless)
    throw new ScPoliError(
      "usage",
      `${needless} is about the labels of the file: name their column with --cell-type-key.`,
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
