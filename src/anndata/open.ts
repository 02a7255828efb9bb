// Which reader a path gets, by what lies there.
import { fileStatus, listFolder, readBytes } from "#platform";
import { ScPoliError } from "../errors.js";
import { Hdf5File } from "./hdf5.js";
import type { AnnDataReader } from "./reader.js";
import type { Store } from "./store.js";
import { StoreReader } from "./stored-anndata.js";
import { isTenxFolder, openTenxFolder, openTenxH5, tenxGroup } from "./tenx.js";
import { ZarrStore } from "./zarr.js";

/** @throws ScPoliError "file" or "format" */
export async function openReader(path: string): Promise<AnnDataReader> {
  const status = await fileStatus(path);
  if (status?.kind === "folder" && isTenxFolder(await listFolder(path))) return openTenxFolder(path);
  const store = await openStore(path);
  try {
    const group = store instanceof Hdf5File && store.kind("obs") === null ? tenxGroup(store) : null;
    return group === null ? new StoreReader(store) : await openTenxH5(store as Hdf5File, group);
  } catch (error) {
    store.close();
    throw error;
  }
}

async function openStore(path: string): Promise<Store> {
  const status = await fileStatus(path);
  if (status?.kind === "folder") {
    const names = await listFolder(path);
    if (names.some((name) => zarrNames.includes(name))) return ZarrStore.open(path);
    throw new ScPoliError(
      "file",
      `${path} is a folder, but no Zarr store (it has no zarr.json and no .zgroup), no 10x folder (no matrix.mtx) and no model (no model.json). An .h5ad file or a .zarr folder was expected.`,
      { path },
    );
  }
  if (status && isZip(await readBytes(path, 0, 4))) return ZarrStore.open(path);
  return Hdf5File.open(path, "r");
}

const zarrNames: readonly string[] = ["zarr.json", ".zgroup", ".zmetadata"];

function isZip(start: Uint8Array): boolean {
  return start[0] === 0x50 && start[1] === 0x4b && start[2] === 3 && start[3] === 4;
}
