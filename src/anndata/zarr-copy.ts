// Copies a Zarr store with additions, keeping its Zarr version.
import {
  bytesOf,
  checkSpace,
  copyFolder,
  fileStatus,
  joinPath,
  makeFolder,
  removeTemporary,
  replaceFolder,
  temporaryName,
  tryToWrite,
  writePart,
} from "#platform";
import { ScPoliError } from "../contract/errors.js";
import type { AnnData } from "./anndata.js";
import { columnOrder, namesOfReplaced, type Additions } from "./elements.js";
import { ZarrStore } from "./zarr.js";
import { ZarrWriter } from "./zarr-write.js";

/**
 * Starts to copy a store to a temporary folder next to `output`.
 * @throws ScPoliError "refused" if the output exists and `force` is not set
 */
export async function startZarrCopy(source: string, output: string, force: boolean) {
  await checkZarrOutput(output, force);
  await checkSpace(output, await bytesOf(source));
  const temporary = temporaryName(output);
  await makeFolder(temporary);
  const copied = copyStore(source, temporary);
  copied.catch(() => undefined); // reported by `finish`
  return {
    async finish(data: AnnData, additions: Additions): Promise<void> {
      try {
        await copied;
        await add(temporary, data, additions);
      } catch (error) {
        await removeTemporary(temporary);
        throw error;
      }
      replaceFolder(temporary, output);
    },
    async discard(): Promise<void> {
      await copied.catch(() => undefined);
      await removeTemporary(temporary);
    },
  };
}

/**
 * Checks the output path of a store.
 * @throws ScPoliError "output" if the name is not valid for a store, "refused" if it exists and `force` is
 * not set
 */
export async function checkZarrOutput(output: string, force: boolean): Promise<void> {
  if (/\.(h5ad|h5|zip)$/.test(output))
    throw new ScPoliError(
      "output",
      `${output}: a Zarr store is written into a folder. Use a name that ends with .zarr.`,
      { path: output },
    );
  const status = await fileStatus(output);
  if (status === null) return tryToWrite(output);
  const isThere = async (name: string): Promise<boolean> =>
    (await fileStatus(joinPath(output, name))) !== null;
  const isStore =
    status.kind === "folder" &&
    ((await isThere("zarr.json")) || (await isThere(".zgroup"))) &&
    (await isThere("obs")) &&
    (await isThere("var"));
  if (!isStore)
    throw new ScPoliError(
      "output",
      `${output} already exists and is not an AnnData-Zarr store, so it is not replaced. Choose another ` +
        "name.",
      { path: output },
    );
  if (!force)
    throw new ScPoliError("refused", `${output} already exists. Use --force (force: true) to replace it.`, {
      path: output,
    });
  await tryToWrite(output);
}

/** Copies all files of the store; a zip file is unpacked. */
async function copyStore(source: string, target: string): Promise<void> {
  if ((await fileStatus(source))?.kind === "folder") return copyFolder(source, target);
  const { files } = await ZarrStore.open(source);
  const visit = async (folder: string): Promise<void> => {
    for (const name of await files.list(folder)) {
      const key = folder === "" ? name : `${folder}/${name}`;
      const content = await files.get(key);
      if (content) await writePart(joinPath(target, key), content);
      else await visit(key);
    }
  };
  await visit("");
}

async function add(folder: string, data: AnnData, additions: Additions): Promise<void> {
  const { obs = {}, obsm = {}, uns = {} } = additions;
  const store = await ZarrStore.open(folder);
  const writer = new ZarrWriter(folder, store.version);
  for (const [group, names] of Object.entries(namesOfReplaced(additions))) {
    for (const name of names)
      if (store.kind(`${group}/${name}`) !== null) await writer.remove(`${group}/${name}`);
    if (store.kind(group) === null) writer.group(group, "dict", "0.1.0");
  }
  for (const [name, column] of Object.entries(obs)) writer.column(`obs/${name}`, column);
  for (const [name, matrix] of Object.entries(obsm)) writer.matrix(`obsm/${name}`, matrix);
  for (const [name, value] of Object.entries(uns)) writer.uns(`uns/${name}`, value);
  await writer.change("obs", "column-order", columnOrder(data.obs.columnNames, additions));
  await writer.close(false);
}
