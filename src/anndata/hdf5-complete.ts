// Whether all of an HDF5 file is in the file: a copy of its bytes is else not a copy of its data.
import { ScPoliError } from "../contract/errors.js";
import { Hdf5File } from "./hdf5.js";
import { elsewhere } from "./hdf5-links.js";

/**
 * Looks at everything in a file; what is damaged is no matter of this.
 * @throws ScPoliError "format" where data lie in another file, or a link leads to nothing
 */
export async function checkComplete(path: string): Promise<void> {
  const file = await Hdf5File.open(path, "r");
  try {
    await visit(file, "", new Set());
  } finally {
    file.close();
  }
}

/** @param seen - addresses of groups: hard links may lead round in a circle */
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
          "it is a link to what is not there, and anndata would not open a copy",
          `Remove the link in Python: with h5py.File(path, "r+") as file: del file["${path}"]`,
        );
    } catch (error) {
      if (!(error instanceof ScPoliError) || error.details["elsewhere"] === true) throw error;
    }
  }
}
