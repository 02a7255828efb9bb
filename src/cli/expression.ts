// scpoli expression: writes decoded expression, at the conditions of the cells or at others.
import { InvalidArgumentError, type Command } from "commander";
import { AnnData } from "../anndata/anndata.js";
import type { CountsOptions, RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { ScPoli } from "../api/scpoli.js";
import {
  columnsOfKeys,
  conditionValueFlag,
  conditionValues,
  names,
  readableModel,
  readNameMap,
  real,
  renamedKeys,
  type RenamedKeys,
  valuesByKey,
  whole,
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
import { modelPath } from "./registry/registry.js";
import { writtenText } from "./report.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";
import { counted } from "./text.js";

interface ExpressionFlags extends RunFlags, CountsOptions {
  readonly output: string;
  readonly as?: Readonly<Record<string, string>>;
  readonly average?: boolean;
  readonly genes?: readonly string[];
  readonly samples?: number;
  readonly librarySize?: number;
  readonly conditionKey?: RenamedKeys;
  readonly conditionValue?: readonly string[];
  readonly geneMap?: string;
}

/** `donor=D3`; repeated for other keys */
export function conditionByKey(
  text: string,
  previous: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const [[key, values]] = Object.entries(valuesByKey(text)) as [[string, readonly string[]]];
  if (values.length !== 1 || key in previous)
    throw new InvalidArgumentError("Expected KEY=NAME, each condition key once.");
  return { ...previous, [key]: values[0]! };
}

export function addExpression(program: Command): void {
  const command = program
    .command("expression")
    .summary("decode expression: denoised, corrected for conditions, or as in another condition")
    .description(
      "Decodes the cells of a file whose conditions the model knows, and writes a dense .h5ad file of the " +
        "model's genes. Decoding all cells at the same conditions corrects for differences between " +
        "conditions.",
    )
    .argument("<model>", readableModel)
    .argument(
      "<file>",
      "cells with raw counts, of conditions that the model knows (map --save-model adds new ones)",
    )
    .requiredOption("-o, --output <file>", "the .h5ad file to write")
    .optionsGroup("Decoding:")
    .option(
      "--as <key=condition>",
      "decode all cells as if from this condition: donor=D3 (repeat for other keys; for keys not given, " +
        "each cell keeps its condition)",
      conditionByKey,
    )
    .option("--average", "decode at every combination of reference conditions, and average")
    .option("--genes <names>", "genes of the model to write (default: all)", names)
    .option(
      "--samples <n>",
      "decode n samples of each cell's posterior and write their mean, with their standard deviation in " +
        "layers (default: decode the posterior mean)",
      whole(2),
    )
    .option("--library-size <n>", "total expression of each cell (default: 10,000)", real(Number.MIN_VALUE))
    .optionsGroup("The file:")
    .option(
      "--condition-key <column>",
      "obs column of the conditions, if it has another name than in the model: patient, or donor=patient",
      renamedKeys,
    )
    .addOption(conditionValueFlag())
    .addOption(layerFlag())
    .addOption(recoverCountsFlag())
    .addOption(roundCountsFlag())
    .addOption(featureTypesFlag())
    .addOption(duplicateGenesFlag())
    .option(
      "--gene-map <file>",
      "one-to-one map of gene names: two columns, the file's name and the model's (csv or tsv)",
    )
    .action((model: string, path: string, flags: ExpressionFlags) =>
      run(flags, (settings) => expression(model, path, flags, settings)),
    );
  addRunFlags(command).addHelpText(
    "after",
    "\nExample:\n  scpoli expression grown-model patients.h5ad --average -o corrected.h5ad\n  scpoli " +
      "expression grown-model patients.h5ad --as donor=D3 --genes ISG15,IFI6 --samples 25 -o as-d3.h5ad",
  );
}

async function expression(
  reference: string,
  path: string,
  flags: ExpressionFlags,
  settings: RunSettings,
): Promise<Result> {
  const { output, as, average, genes, samples, librarySize, geneMap, force } = flags;
  if (as !== undefined && average)
    throw new ScPoliError("usage", "--as and --average exclude each other; give only one of them.");
  if (!output.endsWith(".h5ad"))
    throw new ScPoliError("usage", `${output}: expected an output that ends in .h5ad.`);
  await checkOutputs({ inputs: [reference, path], h5ad: [output], force });
  const model = await ScPoli.load(await modelPath(reference, settings), settings);
  const keys = model.stored.json.condition_keys;
  const data = await AnnData.open(path);
  try {
    const summary = await model.expression(data, output, {
      ...settings,
      ...countsOptions(flags),
      conditionKeys: columnsOfKeys(flags.conditionKey, keys),
      conditionValues: conditionValues(flags.conditionValue, keys),
      geneMap: await readNameMap(geneMap),
      at: as ?? (average ? "average" : "own"),
      genes,
      samples,
      librarySize,
    });
    const where =
      as !== undefined
        ? `as ${Object.entries(as)
            .map(([key, name]) => `${key} = ${name}`)
            .join(", ")}`
        : average
          ? "averaged over the conditions of the reference"
          : "at their conditions";
    return {
      json: { ...summary, written: [output] },
      text:
        `${counted(summary.cells, "cell")}, ${counted(summary.genes, "gene")}, decoded ${where}\n\n` +
        writtenText([output]),
    };
  } finally {
    data.close();
  }
}
