// Checks that an HDF5 file contains all of its data, so that a byte copy is a complete copy.
import { ScPoliError } from "../contract/errors.js";
import { Hdf5File } from "./hdf5.js";
import { elsewhere } from "./hdf5-links.js";

/**
 * Visits every object in a file. Damage is not reported here.
 * @throws ScPoliError "format" if data are stored in another file, or a link is broken
 */
export async function checkComplete(path: string): Promise<void> {
  const file = await Hdf5File.open(path, "r");
  try {
    await visit(file, "", new Set());
  } finally {
    file.close();
  }
}

/** @param seen - addresses of visited groups: hard links may form cycles */
async function visit(file: Hdf5File, group: string, seen: Set<number>): Promise<void> {
  const address = file.attempt(group, () => file.address(group || "/"));
  if (seen.has(address)) return;
  seen.add(address);
  for (const name of file.keys(group || "/")) {
    const path = group === "" ? name : `${group}/${name}`;
    try {
      const kind = file.kind(path);
      if (kind === "group") await visit(file, path, seen);
      if (kind === "dataset") await file.dataset(path).checkStorage();
      if (kind === "other" && file.isBrokenLink(path))
        throw elsewhere(
          file.place(path),
          file.path,
          path,
          "it is a broken link, and anndata would not open a copy",
          `Remove the link in Python: with h5py.File(path, "r+") as file: del file["${path}"]`,
        );
    } catch (error) {
      if (!(error instanceof ScPoliError) || error.details["elsewhere"] === true) throw error;
    }
  }
}
