// A label map that is ready to be used: the file's cell types that are the model's but for case or blanks.
import { writeFile } from "#platform";
import { checkOutputFile } from "../anndata/output-file.js";
import type { MappingSummary } from "../mapping/mapping.js";

/**
 * Writes the pairs of a mapping beside its output, for --label-map.
 * @param output - the mapped file
 * @returns the file, and what to say of it; null where all names are the model's or really new, or something
 * else has the name of the file
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
  await writeFile(path, [...pairs].map(([name, other]) => `${quoted(name)}\t${quoted(other)}\n`).join(""));
  return {
    path,
    text: `${pairs.size} cell type${pairs.size === 1 ? "" : "s"} of the file differ${pairs.size === 1 ? "s" : ""} from the model's in case or blanks alone. To take them as the model's: --label-map ${path}`,
  };
}

/** Quotes keep the blanks around a name. */
function quoted(name: string): string {
  return name === name.trim() && !name.includes('"') ? name : `"${name.replaceAll('"', '""')}"`;
}
