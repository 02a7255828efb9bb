// Checks that the outputs of a run can be written, before the work starts.
import { isSameFile, tryToWrite } from "#platform";
import { checkOutputFile, checkOutputFolder, type OutputKind } from "../anndata/output-file.js";
import { checkZarrOutput } from "../anndata/zarr-copy.js";
import { checkModelFolder } from "../storage/model-folder.js";
import { ScPoliError } from "../contract/errors.js";
import { checkExportFolder } from "../scarches/export.js";

/** Output paths by kind; undefined paths are outputs that were not requested. */
export interface Outputs extends Readonly<Partial<Record<OutputKind, readonly (string | undefined)[]>>> {
  /** files to read, never to overwrite */
  readonly inputs: readonly (string | undefined)[];
  /** model folders */
  readonly models?: readonly (string | undefined)[];
  /** folders for scArches */
  readonly exports?: readonly (string | undefined)[];
  /** folders of files with one extension: tables, pictures */
  readonly folders?: readonly { readonly path: string | undefined; readonly ending: string }[];
  /** replace existing outputs of the same kind */
  readonly force?: boolean;
}

/**
 * Checks every output. `h5ad` paths that end in .zarr are Zarr stores.
 * @throws ScPoliError "output" if an output is also an input, exists as another kind of file, or cannot be
 * written; "refused" if it exists and `force` is not set
 */
export async function checkOutputs(outputs: Outputs): Promise<void> {
  const { inputs, models = [], exports = [], folders = [], force = false } = outputs;
  const kinds = (["h5ad", "report", "table", "picture"] as const).flatMap((kind) =>
    definedPaths(outputs[kind] ?? []).map((path) => ({ kind, path })),
  );
  await checkDistinct(definedPaths(inputs), [
    ...kinds.map(({ path }) => path),
    ...definedPaths(models),
    ...definedPaths(exports),
  ]);
  for (const { kind, path } of kinds)
    await (kind === "h5ad" && /\.zarr[\\/]*$/.test(path)
      ? checkZarrOutput(path, force)
      : checkOutputFile(path, kind, force));
  for (const path of definedPaths(models)) await checkModelFolder(path, force);
  for (const path of definedPaths(exports)) await checkExportFolder(path, force);
  for (const path of definedPaths([...models, ...exports]))
    await tryToWrite(path.replace(/(?<=.)[\\/]+$/, ""));
  for (const { path, ending } of folders)
    if (path !== undefined) await checkOutputFolder(path, ending, force);
}

async function checkDistinct(inputs: readonly string[], outputs: readonly string[]): Promise<void> {
  for (const [position, output] of outputs.entries()) {
    for (const input of inputs)
      if (await isSameFile(input, output))
        throw new ScPoliError(
          "output",
          `${output} is also the input, which is never changed. Give the output another name.`,
          { path: output },
        );
    for (const other of outputs.slice(0, position))
      if (await isSameFile(other, output))
        throw new ScPoliError("output", `${output} is given for two outputs. Give each a different name.`, {
          path: output,
        });
  }
}

function definedPaths(paths: readonly (string | undefined)[]): string[] {
  return paths.filter((path) => path !== undefined);
}
