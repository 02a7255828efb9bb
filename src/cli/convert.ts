// scpoli convert: counts and annotations of any file that can be read, as a collection that trains from disk,
// or as .h5ad.
import type { Command } from "commander";
import { AnnData } from "../anndata/anndata.js";
import type { ConvertOptions, RunSettings } from "../contract/options.js";
import { convert, type Conversion } from "../api/convert.js";
import { ScPoliError } from "../contract/errors.js";
import { real } from "./arguments.js";
import {
  featureTypesFlag,
  layerFlag,
  modalityFlag,
  recoverCountsFlag,
  roundCountsFlag,
} from "./counts-flags.js";
import { checkOutputs } from "./outputs.js";
import { writtenText } from "./report.js";
import { addRunFlags, run, type Result, type RunFlags } from "./session.js";
import { count, counted } from "./text.js";

interface ConvertFlags
  extends RunFlags, Pick<ConvertOptions, "layer" | "recoverCounts" | "roundCounts" | "featureTypes"> {
  readonly modality?: string;
  readonly shuffle?: boolean;
  readonly resume?: boolean;
  readonly checkpointSeconds?: number;
}

export function addConvert(program: Command): void {
  const command = program
    .command("convert")
    .summary("any readable file into a Zarr collection, shuffled once, or into .h5ad")
    .description(
      "Writes the raw counts and the annotations of a file into an AnnData-Zarr collection: version 3, sharded, in the smallest types that fit. Python's anndata opens it. Other matrices are left out.",
    )
    .argument("<file>", "what inspect reads")
    .argument("<output>", "the .zarr folder to write, or an .h5ad file")
    .option(
      "--shuffle",
      "put the cells into random order: neighbours in the collection are then of all conditions (--seed tells which order)",
    )
    .addOption(modalityFlag())
    .addOption(layerFlag())
    .addOption(recoverCountsFlag())
    .addOption(roundCountsFlag())
    .addOption(featureTypesFlag())
    .option("--resume", "go on from what an interrupted run has left in OUTPUT.partial")
    .option("--checkpoint-seconds <s>", "time between two checkpoints (default: 60)", real(0))
    .action((path: string, output: string, flags: ConvertFlags) =>
      run(flags, (settings) => convertFile(path, output, flags, settings)),
    );
  addRunFlags(command).addHelpText("after", "\nExample:\n  scpoli convert atlas.h5ad atlas.zarr --shuffle");
}

async function convertFile(
  path: string,
  output: string,
  flags: ConvertFlags,
  { seed, force, onNote, onProgress, signal }: RunSettings,
): Promise<Result> {
  const { shuffle, layer, recoverCounts, roundCounts, featureTypes, resume, checkpointSeconds } = flags;
  if (!/\.(zarr|h5ad)[\\/]*$/.test(output))
    throw new ScPoliError("usage", `${output}: an output that ends with .zarr or .h5ad was expected.`);
  await checkOutputs({ inputs: [path], h5ad: [output], force });
  const data = await AnnData.open(path, { modality: flags.modality });
  try {
    const conversion = await convert(data, output, {
      shuffle,
      layer,
      recoverCounts,
      roundCounts,
      featureTypes,
      resume,
      checkpointSeconds,
      seed,
      force,
      onNote,
      onProgress,
      signal,
    }).catch((error: unknown) => tellHowToResume(error, output));
    return {
      json: { ...conversion, written: [output] },
      text: `${conversionText(path, conversion)}\n\n${writtenText([output])}`,
    };
  } finally {
    data.close();
  }
}

function conversionText(path: string, { cells, genes, stored, counts, shuffled, types }: Conversion): string {
  const kept = types ? `, ${types.values} with ${types.indices} indices` : "";
  return `${path}: ${counted(cells, "cell")}${shuffled ? " in random order" : ""}, ${counted(genes, "gene")}, ${count(stored)} counts from ${counts}${kept}`;
}

function tellHowToResume(error: unknown, output: string): never {
  if (!(error instanceof ScPoliError) || error.kind !== "interrupted" || output.endsWith(".h5ad"))
    throw error;
  throw new ScPoliError(
    "interrupted",
    `Interrupted. ${output.replace(/[\\/]+$/, "")}.partial keeps what has been done: the same command with --resume goes on from there.`,
  );
}
