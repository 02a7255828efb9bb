// Whether the outputs of a run can be written, asked before the work and not after it.
import { isSameFile, tryToWrite } from "#platform";
import { checkOutputFile, checkOutputFolder, type OutputKind } from "../anndata/output-file.js";
import { checkZarrOutput } from "../anndata/zarr-copy.js";
import { checkModelFolder } from "../storage/model-folder.js";
import { ScPoliError } from "../contract/errors.js";
import { checkExportFolder } from "../scarches/export.js";

/** Paths by what is to be written there; missing ones are not asked for. */
export interface Outputs extends Readonly<Partial<Record<OutputKind, readonly (string | undefined)[]>>> {
  /** files that are read, and must stay as they are */
  readonly inputs: readonly (string | undefined)[];
  /** model folders */
  readonly models?: readonly (string | undefined)[];
  /** folders for scArches */
  readonly exports?: readonly (string | undefined)[];
  /** folders of files with an ending: tables, pictures */
  readonly folders?: readonly { readonly path: string | undefined; readonly ending: string }[];
  /** replace what is there and of the same kind */
  readonly force?: boolean;
}

/**
 * `h5ad` also names Zarr stores, by their ending.
 * @throws ScPoliError "output" where an output is an input, something of another kind, or cannot be written,
 * "refused" where it is there already and `force` is not set
 */
export async function checkOutputs(outputs: Outputs): Promise<void> {
  const { inputs, models = [], exports = [], folders = [], force = false } = outputs;
  const kinds = (["h5ad", "report", "table", "picture"] as const).flatMap((kind) =>
    given(outputs[kind] ?? []).map((path) => ({ kind, path })),
  );
  await checkDistinct(given(inputs), [...kinds.map(({ path }) => path), ...given(models), ...given(exports)]);
  for (const { kind, path } of kinds)
    await (kind === "h5ad" && /\.zarr[\\/]*$/.test(path)
      ? checkZarrOutput(path, force)
      : checkOutputFile(path, kind, force));
  for (const path of given(models)) await checkModelFolder(path, force);
  for (const path of given(exports)) await checkExportFolder(path, force);
  for (const path of given([...models, ...exports])) await tryToWrite(path.replace(/(?<=.)[\\/]+$/, ""));
  for (const { path, ending } of folders)
    if (path !== undefined) await checkOutputFolder(path, ending, force);
}

async function checkDistinct(inputs: readonly string[], outputs: readonly string[]): Promise<void> {
  for (const [position, output] of outputs.entries()) {
    for (const input of inputs)
      if (await isSameFile(input, output))
        throw new ScPoliError(
          "output",
          `${output} is the input itself, which is never changed. Give the output another name.`,
          { path: output },
        );
    for (const other of outputs.slice(0, position))
      if (await isSameFile(other, output))
        throw new ScPoliError("output", `${output} is named for two outputs. Give each a name of its own.`, {
          path: output,
        });
  }
}

function given(paths: readonly (string | undefined)[]): string[] {
  return paths.filter((path) => path !== undefined);
}
