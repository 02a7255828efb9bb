// Which reader a path gets, by what lies there.
import { Hdf5File } from "./hdf5.js";
import type { AnnDataReader } from "./reader.js";
import { StoreReader } from "./stored-anndata.js";

/** @throws ScPoliError "file" or "format" */
export async function openReader(path: string): Promise<AnnDataReader> {
  const file = await Hdf5File.open(path, "r");
  try {
    return new StoreReader(file);
  } catch (error) {
    file.close();
    throw error;
  }
}
