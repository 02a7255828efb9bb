// scpoli label: adds a cell type to a trained model, from an unlabelled prototype or from cells of a file.
import type { Command } from "commander";
import { AnnData } from "../anndata/anndata.js";
import type { CountsOptions, RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { cellsOfTable } from "../data/cell-table.js";
import type { LabelOptions } from "../mapping/labelling.js";
import { ScPoli } from "../api/scpoli.js";
import {
  columnsOfKeys,
  conditionValueFlag,
  conditionValues,
  readableFile,
  readableModel,
  readNameMap,
  renamedKeys,
  type RenamedKeys,
  valuesByKey,
  wholes,
} from "./arguments.js";
import {
  countsOptions,
  duplicateGenesFlag,
  featureTypesFlag,
  layerFlag,
  recoverCountsFlag,
  roundCountsFlag,
} from "./counts-flags.js";
import { checkOutputs } from "./outputs.js";
import { modelText, writtenText } from "./report.js";
import { modelPath } from "./registry/registry.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";

interface LabelFlags extends RunFlags, CountsOptions {
  readonly output: string;
  readonly name: string;
  readonly level?: string;
  readonly cluster?: readonly number[];
  readonly cells?: string;
  readonly cellTable?: string;
  readonly select?: Readonly<Record<string, readonly string[]>>;
  readonly conditionKey?: RenamedKeys;
  readonly conditionValue?: readonly string[];
  readonly geneMap?: string;
}

export function addLabel(program: Command): void {
  const command = program
    .command("label")
    .summary("add a cell type to a trained model, without training")
    .description(
      "Names an unlabelled prototype, or cells of a file whose conditions the model knows. They become a " +
        "cell type with its own prototype. Nothing is trained, and everything else in the model stays the " +
        "same.",
    )
    .argument("<model>", readableModel)
    .requiredOption(
      "-o, --output <model>",
      "where to save the model with the new cell type: a folder, or a file whose name ends in .zip",
    )
    .requiredOption("--name <name>", "name of the cell type")
    .option("--level <key>", "annotation level of the cell type (default: the first)")
    .optionsGroup("Which cells:")
    .option(
      "--cluster <numbers>",
      "number of an unlabelled prototype, as shown by inspect and obs['scpoli_cluster']; several are " +
        "pooled: 3,7",
      wholes(0),
    )
    .option("--cells <file>", `the cells: ${readableFile}`)
    .option(
      "--select <key=values>",
      "cells of that file to select by obs column, e.g. cluster=12,14 (repeat with other keys to select " +
        "cells that match all)",
      valuesByKey,
    )
    .option(
      "--cell-table <table>",
      "a table with a header (csv or tsv) whose first column names the cells of that file, as the page " +
        "saves it; --select then selects rows of the table by its other columns",
    )
    .option(
      "--condition-key <column>",
      "obs column of the conditions, if it has another name than in the model: patient, or donor=patient",
      renamedKeys,
    )
    .addOption(conditionValueFlag())
    .addOption(layerFlag())
    .addOption(recoverCountsFlag())
    .addOption(roundCountsFlag())
    .addOption(featureTypesFlag("the model's"))
    .addOption(duplicateGenesFlag())
    .option(
      "--gene-map <file>",
      "one-to-one map of gene names: two columns, the file's name and the model's (csv or tsv)",
    )
    .action((path: string, flags: LabelFlags) => run(flags, (settings) => label(path, flags, settings)));
  addRunFlags(command).addHelpText(
    "after",
    "\nExample:\n  scpoli label patients-model --cluster 4 --name 'activated B' -o patients-model-2\n  " +
      "scpoli label atlas-model --cells patients.h5ad --select cluster=12 --name 'activated B' -o " +
      "atlas-model-2",
  );
}

async function label(path: string, flags: LabelFlags, settings: RunSettings): Promise<Result> {
  const { output, name, level, cluster, cells, cellTable, select, conditionKey, geneMap, force } = flags;
  const uselessFlag = (select && "--select") ?? (cellTable && "--cell-table");
  if (cells === undefined && uselessFlag)
    throw new ScPoliError("usage", `${uselessFlag} selects cells of a file: give the file with --cells.`);
  if ((cells === undefined) === (cluster === undefined))
    throw new ScPoliError(
      "usage",
      "Specify which cells get the name: either --cluster NUMBER, or --cells FILE with --select KEY=VALUE.",
    );
  await checkOutputs({ inputs: [path, cells, cellTable], models: [output], force });
  const model = await ScPoli.load(await modelPath(path, settings), settings);
  const data = cells === undefined ? undefined : await AnnData.open(cells);
  try {
    const options: LabelOptions = {
      ...settings,
      name,
      level,
      clusters: cluster,
      cells: data,
      ...(data && cellTable !== undefined
        ? { rows: await cellsOfTable(cellTable, data.obs, select) }
        : { select }),
      ...countsOptions(flags),
      geneMap: await readNameMap(geneMap),
      conditionKeys: columnsOfKeys(conditionKey, model.stored.json.condition_keys),
      conditionValues: conditionValues(flags.conditionValue, model.stored.json.condition_keys),
    };
    const labelled = await model.label(options);
    await labelled.save(output, { force });
    const summary = labelled.summary();
    return {
      json: { ...summary, written: [output] },
      text: `${modelText(output, summary)}\n\n${writtenText([output])}`,
    };
  } finally {
    data?.close();
  }
}
