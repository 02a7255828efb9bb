// Picks the reader for a path by the content of the file or folder.
import { fileStatus, joinPath, listFolder, readBytes } from "#platform";
import { ScPoliError } from "../contract/errors.js";
import { Hdf5File } from "./hdf5.js";
import { modalitiesOf, openModality, severalModalities } from "./mudata.js";
import type { AnnDataReader } from "./reader.js";
import type { Store } from "./store.js";
import { StoreReader } from "./stored-anndata.js";
import { isTenxFolder, openTenxFolder, openTenxH5, tenxGroup } from "./tenx.js";
import { ZarrStore } from "./zarr.js";

/** @throws ScPoliError "file" or "format" */
export async function openReader(path: string): Promise<AnnDataReader> {
  const status = await fileStatus(path);
  if (status?.kind === "folder" && isTenxFolder(await listFolder(path))) return openTenxFolder(path);
  const modality = status === null ? await modalityIn(path) : null;
  const store = await openStore(modality?.file ?? path);
  try {
    if (modality) return new StoreReader(openModality(store, modality.name), "modality");
    const modalities = modalitiesOf(store);
    if (modalities.length > 0) throw severalModalities(store, modalities);
    const group = store instanceof Hdf5File && store.kind("obs") === null ? tenxGroup(store) : null;
    return group === null ? new StoreReader(store) : await openTenxH5(store as Hdf5File, group);
  } catch (error) {
    store.close();
    throw error;
  }
}

/** A path below a file names a modality: FILE/rna, or FILE/mod/rna as in muon. */
async function modalityIn(path: string): Promise<{ readonly file: string; readonly name: string } | null> {
  const [, file, name] = /^(.+?)\/(?:mod\/)?([^/]+)$/.exec(path) ?? [];
  return file !== undefined && name !== undefined && (await fileStatus(file))?.kind === "file"
    ? { file, name }
    : null;
}

async function openStore(path: string): Promise<Store> {
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(path))
    throw new ScPoliError(
      "file",
      `${path} is a URL, but only local files are read. Download the file first, for example: curl -LO ` +
        `${path}.`,
      { path },
    );
  if (path === "-") throw noFileInput(path, "the standard input");
  const status = await fileStatus(path);
  if (status?.kind === "folder") {
    const names = await listFolder(path);
    if (names.some((name) => zarrNames.includes(name))) return ZarrStore.open(path);
    throw new ScPoliError(
      "file",
      `${path} is a folder, but neither a Zarr store (no zarr.json or .zgroup) nor a 10x folder (no ` +
        `matrix.mtx) nor a model (no model.json).${await hint(path, names)}`,
      { path },
    );
  }
  if (status && status.kind !== "file") throw noFileInput(path, status.kind);
  if (status && isZip(await readBytes(path, 0, 4))) return ZarrStore.open(path);
  return Hdf5File.open(path, "r");
}

/** Error for pipes and devices: files are read by random access. */
function noFileInput(path: string, what: string): ScPoliError {
  return new ScPoliError(
    "file",
    `${path} is ${what}; a regular file was expected, because it is read by random access. ` +
      `Save it first: cat ${path === "-" ? "" : `${path} `}> file.h5ad.`,
    { path },
  );
}

/** Suggests files in a folder, or one level below, that were probably meant. */
async function hint(path: string, names: readonly string[]): Promise<string> {
  const candidates: string[] = [];
  for (const name of names) {
    if (/\.(h5ad|h5mu|h5|zarr)$/i.test(name)) candidates.push(joinPath(path, name));
    else if ((await fileStatus(joinPath(path, name)))?.kind === "folder") {
      const inside = await listFolder(joinPath(path, name)).catch(() => []);
      if (isTenxFolder(inside)) candidates.push(joinPath(path, name));
    }
  }
  if (candidates.length === 0) return " An .h5ad file or a .zarr folder was expected.";
  const more = candidates.length > 3 ? ` and ${candidates.length - 3} more` : "";
  return ` It contains ${candidates.slice(0, 3).join(", ")}${more}. Give the path of one of them.`;
}

const zarrNames: readonly string[] = ["zarr.json", ".zgroup", ".zmetadata"];

function isZip(start: Uint8Array): boolean {
  return start[0] === 0x50 && start[1] === 0x4b && start[2] === 3 && start[3] === 4;
}
