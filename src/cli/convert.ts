// scpoli convert: writes the counts and annotations of any readable file as a Zarr collection that can be
// trained from disk, or as .h5ad.
import type { Command } from "commander";
import { AnnData } from "../anndata/anndata.js";
import type { ConvertOptions, RunSettings } from "../contract/options.js";
import type { Conversion } from "../api/collection.js";
import { convert } from "../api/convert.js";
import { ScPoliError } from "../contract/errors.js";
import { readableFile, real } from "./arguments.js";
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
    .summary("convert a file to a Zarr collection, optionally shuffled, or to .h5ad")
    .description(
      "Writes the raw counts and annotations of a file to an AnnData-Zarr collection (version 3, " +
        "sharded, in the " +
        "smallest data types that fit) that Python's anndata can open, or to .h5ad. Other matrices are " +
        "left out.",
    )
    .argument("<file>", readableFile)
    .argument("<output>", "the .zarr folder or .h5ad file to write")
    .option(
      "--shuffle",
      "put the cells in random order, so that consecutive cells come from all conditions (--seed sets " +
        "the order)",
    )
    .addOption(modalityFlag())
    .addOption(layerFlag())
    .addOption(recoverCountsFlag())
    .addOption(roundCountsFlag())
    .addOption(featureTypesFlag())
    .option("--resume", "resume an interrupted run from OUTPUT.partial")
    .option("--checkpoint-seconds <s>", "seconds between checkpoints (default: 60)", real(0))
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
    throw new ScPoliError("usage", `${output}: expected an output that ends in .zarr or .h5ad.`);
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
    }).catch((error: unknown) => rethrowWithResumeHint(error, output));
    return {
      json: { ...conversion, written: [output] },
      text: `${conversionText(path, conversion)}\n\n${writtenText([output])}`,
    };
  } finally {
    data.close();
  }
}

function conversionText(path: string, { cells, genes, stored, counts, shuffled, types }: Conversion): string {
  const typesText = types ? `, ${types.values} with ${types.indices} indices` : "";
  const order = shuffled ? " in random order" : "";
  return (
    `${path}: ${counted(cells, "cell")}${order}, ${counted(genes, "gene")}, ` +
    `${count(stored)} counts from ${counts}${typesText}`
  );
}

function rethrowWithResumeHint(error: unknown, output: string): never {
  if (!(error instanceof ScPoliError) || error.kind !== "interrupted" || output.endsWith(".h5ad"))
    throw error;
  throw new ScPoliError(
    "interrupted",
    `Interrupted. ${output.replace(/[\\/]+$/, "")}.partial holds the progress so far: ` +
      "run the same command with --resume to continue.",
  );
}
