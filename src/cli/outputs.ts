// Whether the outputs of a run can be written, asked before the work and not after it.
import { createTemporary, fileStatus, isSameFile, removeTemporary } from "#platform";
import { checkZarrOutput } from "../anndata/zarr-copy.js";
import { checkModelFolder } from "../model/checkpoint.js";
import { ScPoliError } from "../errors.js";

export interface Outputs {
  /** files that are read, and must stay as they are */
  readonly inputs: readonly string[];
  /**
   * .h5ad files and Zarr stores to be written; a file that is there is replaced, a store only with `force`
   */
  readonly files?: readonly (string | undefined)[];
  /** model folders to be written; one that is there is replaced only with `force` */
  readonly folders?: readonly (string | undefined)[];
  readonly force?: boolean;
}

/**
 * @throws ScPoliError "output" where an output is an input or cannot be written, "refused" where a folder is
 * taken
 */
export async function checkOutputs({
  inputs,
  files = [],
  folders = [],
  force = false,
}: Outputs): Promise<void> {
  const outputs = [...files, ...folders].filter((path) => path !== undefined);
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
  for (const path of files) {
    if (path === undefined) continue;
    if (/\.zarr\/*$/.test(path)) await checkZarrOutput(path, force);
    if ((await fileStatus(path))?.kind !== "folder" || !path.endsWith(".zarr")) await tryToWrite(path);
  }
  for (const path of folders) {
    if (path === undefined) continue;
    await checkModelFolder(path, force);
    if (!(await fileStatus(path))) await tryToWrite(path);
  }
}

async function tryToWrite(path: string): Promise<void> {
  await removeTemporary(await createTemporary(path));
}
