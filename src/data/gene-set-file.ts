// Reads sets of genes from .gmt files.
import { readText } from "#platform";
import { ScPoliError } from "../contract/errors.js";
import type { GeneSet } from "../statistics/gene-sets.js";

/**
 * Reads a .gmt file: a line per set, name, description and genes separated by tabs.
 * @throws ScPoliError "file" if a line is not a gene set
 */
export async function readGeneSets(path: string): Promise<GeneSet[]> {
  const lines = (await readText(path)).replace(/^\uFEFF/, "").split(/\r?\n/);
  const sets = lines.flatMap((line, at): GeneSet[] => {
    if (line.trim() === "") return [];
    const [name, description, ...genes] = line.split("\t").map((field) => field.trim());
    const named = [...new Set(genes.filter((gene) => gene !== ""))];
    if (!name || description === undefined || named.length === 0)
      throw new ScPoliError(
        "file",
        `${path}, line ${at + 1}: no gene set. A .gmt file was expected: on each line a name, a ` +
          "description and genes, separated by tabs.",
        { path, line: at + 1 },
      );
    return [{ name, description, genes: named }];
  });
  if (sets.length === 0)
    throw new ScPoliError(
      "file",
      `${path} has no gene set. A .gmt file was expected: on each line a name, a description and genes, ` +
        "separated by tabs.",
      { path },
    );
  return sets;
}
