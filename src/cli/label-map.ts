// Writes a ready-to-use label map: cell types of the file that differ from the model's only in case or
// spaces.
import { writeFile } from "#platform";
import { checkOutputFile } from "../anndata/output-file.js";
import type { MappingSummary } from "../mapping/mapping.js";
import { counted } from "./text.js";

/**
 * Writes the pairs next to the mapped file, in the format of --label-map.
 * @param output - the mapped file
 * @returns the file and a message about it; null if there are no such pairs, or if another file has that name
 */
export async function writeLabelMap(
  output: string,
  { labels = [] }: Pick<MappingSummary, "labels">,
  force = false,
): Promise<{ readonly path: string; readonly text: string } | null> {
  const pairs = new Map(labels.flatMap(({ similar }) => similar));
  if (pairs.size === 0) return null;
  const path = `${output.replace(/\.(h5ad|zarr)[\\/]*$/, "")}-label-map.tsv`;
  const isFree = await checkOutputFile(path, "table", force).then(
    () => true,
    () => false,
  );
  if (!isFree) return null;
  await writeFile(
    path,
    [...pairs].map(([name, modelName]) => `${quoted(name)}\t${quoted(modelName)}\n`).join(""),
  );
  return {
    path,
    text:
      `${counted(pairs.size, "cell type")} of the file ${pairs.size === 1 ? "differs" : "differ"} from the ` +
      `model's only in case or spaces. To use the model's names: --label-map ${path}`,
  };
}

/** Quotes a name if it has quotes in it or spaces around it. */
function quoted(name: string): string {
  return name === name.trim() && !name.includes('"') ? name : `"${name.replaceAll('"', '""')}"`;
}
