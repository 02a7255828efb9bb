// Reads the expression of selected genes in all cells, for display: log1p of counts per 10,000, in one pass
// over the file.
import type { AnnData } from "../anndata/anndata.js";
import { blocks } from "../anndata/matrix.js";
import type { RunSettings } from "../contract/options.js";
import { findNumbers, takenPlace } from "../data/count-places.js";
import { logNormalized } from "../numerics/log-normalized.js";
import { matchGeneNames } from "../data/gene-names.js";
import { ScPoliError } from "../contract/errors.js";
import { checkOptionNames, runSettingNames } from "../contract/option-names.js";

/** Options of `readExpression`. */
export interface ExpressionOptions extends Pick<RunSettings, "signal"> {
  /** Called after each block of cells, with the number of cells done and the total. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Reads the expression of genes in all cells: log1p of counts per 10,000 of the cell's total over all genes,
 * or the values of X if the file has no counts.
 * @param genes - names from var's index or the usual columns of symbols and ids
 * @returns (N) per gene
 * @throws ScPoliError "key" for a gene that the file lacks, "interrupted" by `signal`
 */
export async function readExpression(
  data: AnnData,
  genes: readonly string[],
  options: ExpressionOptions = {},
): Promise<Float32Array[]> {
  checkOptionNames("readExpression", options, { ...runSettingNames, onProgress: true });
  const { signal, onProgress } = options;
  const counts = await takenPlace(data, { roundCounts: true, orAllFeatures: true });
  let place = counts ?? (await findNumbers(data));
  const columnsOf = async (): Promise<number[]> => {
    const { names } = await matchGeneNames(genes, place.var, () => undefined);
    return genes.map((gene) => names.indexOf(gene));
  };
  let columns = await columnsOf();
  // antibodies and other features can be displayed too, although they are not modelled
  if (counts && columns.includes(-1)) {
    place = (await takenPlace(data, { roundCounts: true, featureTypes: ["all"] }))!;
    columns = await columnsOf();
  }
  const absent = genes.filter((_, i) => columns[i]! < 0);
  if (absent.length > 0)
    throw new ScPoliError(
      "key",
      `${data.path} has no gene ${absent.map((gene) => `'${gene}'`).join(", ")} in ${place.name}.`,
      { absent },
    );
  const rowOf = new Map(columns.map((column, i) => [column, i]));
  const values = genes.map(() => new Float32Array(data.nObs));
  for await (const { start, block } of blocks(place.matrix)) {
    if (signal?.aborted) throw new ScPoliError("interrupted", "Stopped while reading genes.");
    for (let row = 0; row < block.rows; row++) {
      let total = 0;
      for (let k = block.indptr[row]!; k < block.indptr[row + 1]!; k++) {
        const value = block.values[k]!;
        total += value;
        const gene = rowOf.get(block.indices[k]!);
        if (gene !== undefined) values[gene]![start + row] = value;
      }
      if (counts === null) continue;
      for (const geneValues of values)
        geneValues[start + row] = logNormalized(geneValues[start + row]!, total);
    }
    onProgress?.(start + block.rows, data.nObs);
  }
  return values;
}
