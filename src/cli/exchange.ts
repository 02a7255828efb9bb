// scpoli import and scpoli export: convert models from and to the Python package scArches.
import type { Command } from "commander";
import { readText } from "#platform";
import { AnnData } from "../anndata/anndata.js";
import type { RunSettings } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { cardOf } from "../storage/model-card.js";
import { openModelFiles } from "../storage/model-files.js";
import { ScPoli } from "../api/scpoli.js";
import { checkOutputs } from "./outputs.js";
import { modelText, writtenText } from "./report.js";
import { modelPath } from "./registry/registry.js";
import { readableModel } from "./arguments.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";

interface ImportFlags extends RunFlags {
  readonly output: string;
  readonly genes?: string;
}

export function addImport(program: Command): void {
  const command = program
    .command("import")
    .summary("convert a model of the Python package scArches")
    .description(
      "Reads a scPoli model saved by scArches (a folder with attr.pkl, model_params.pt and " +
        "var_names.csv) or a " +
        "single model.pt, as in ArchMap and scvi-hub, also in a zip or tar file. Saves it as a model of " +
        "this " +
        "program. Given a model of this program, it converts between a folder and one zip file, " +
        "depending on " +
        "the output's name. Models are read as data: Python is not needed and no code in them is run.",
    )
    .argument("<path>", "a scArches model folder, a zip or tar file of one, or model.pt")
    .requiredOption("-o, --output <model>", "folder to write, or a file whose name ends in .zip")
    .option(
      "--genes <file>",
      "gene names in the model's order, if var_names.csv is missing: a text file (one per line) or an " +
        ".h5ad file",
    )
    .action((path: string, flags: ImportFlags) =>
      run(flags, (settings) => importModel(path, flags, settings)),
    );
  addRunFlags(command).addHelpText(
    "after",
    "\nExample:\n  scpoli import scarches-model -o atlas-model\n  scpoli import model.pt -o atlas.zip",
  );
}

async function importModel(
  path: string,
  { output, genes, force }: ImportFlags,
  { onNote }: RunSettings,
): Promise<Result> {
  await checkOutputs({ inputs: [path, genes], models: [output], force });
  const model = (await isPythonModelAt(path))
    ? await ScPoli.import(path, { onNote, genes: genes === undefined ? undefined : await geneNames(genes) })
    : await ScPoli.load(path, { onNote });
  await model.save(output, { force, card: (await cardOf(path)) ?? undefined });
  const summary = model.summary();
  return {
    json: { ...summary, written: [output] },
    text: `${modelText(output, summary)}\n\n${writtenText([output])}`,
  };
}

/** Also true for a folder with neither kind of model: the importer then reports what is missing. */
async function isPythonModelAt(path: string): Promise<boolean> {
  const files = await openModelFiles(path);
  return files !== null && !files.names.includes("model.json");
}

export function addExport(program: Command): void {
  const command = program
    .command("export")
    .summary("convert a model for the Python package scArches")
    .description(
      "Writes a model as a folder that scArches 0.6.1 can load: scPoli.load(FOLDER, adata), " +
        "scPoli.load_query_data(adata, FOLDER).",
    )
    .argument("<model>", readableModel)
    .requiredOption("-o, --output <folder>", "folder to write")
    .action((model: string, flags: RunFlags & { readonly output: string }) =>
      run(flags, (settings) => exportModel(model, flags, settings)),
    );
  addRunFlags(command).addHelpText("after", "\nExample:\n  scpoli export atlas-model -o scarches-model");
}

async function exportModel(
  path: string,
  { output, force = false }: RunFlags & { readonly output: string },
  settings: RunSettings,
): Promise<Result> {
  await checkOutputs({ inputs: [path], exports: [output], force });
  const model = await ScPoli.load(await modelPath(path, settings), settings);
  await model.export(output, { force, onNote: settings.onNote });
  return { json: { written: [output] }, text: writtenText([output]) };
}

/** Gene names from a text file (one per line) or an .h5ad file. */
async function geneNames(path: string): Promise<readonly string[]> {
  if (!/\.h5ad$/i.test(path)) {
    const names = (await readText(path)).split(/\r?\n/).filter((line) => line !== "");
    if (names.length === 0)
      throw new ScPoliError("file", `${path} has no gene names. --genes expects one name per line.`, {
        path,
      });
    return names;
  }
  const data = await AnnData.open(path);
  try {
    return await data.var.index();
  } finally {
    data.close();
  }
}
