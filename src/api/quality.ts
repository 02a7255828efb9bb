// Quality of cells before anything is computed: counts, genes and the share of mitochondrial counts per cell,
// in one pass through the file.
import type { AnnData } from "../anndata/anndata.js";
import { blocks } from "../anndata/matrix.js";
import { findNumbers, takenPlace } from "../data/count-places.js";
import { geneSymbols } from "../data/gene-symbols.js";
import { ScPoliError } from "../contract/errors.js";
import type { ExpressionOptions } from "./expression.js";
import { checkOptionNames, runSettingNames } from "../contract/option-names.js";

/** Counts of N cells. */
export interface CellQuality {
  /** (N) sum over all genes */
  readonly counts: Float32Array;
  /** (N) genes with a count */
  readonly genes: Float32Array;
  /** (N) share of the counts in genes named MT-..., 0..1; null where no gene is */
  readonly mitochondrial: Float32Array | null;
}

const mitochondrialGene = /^mt[-.]/i;

/**
 * Counts of each cell; where the file has no counts, of the values of X as they are.
 * @throws ScPoliError "interrupted" by `signal`
 */
export async function cellQuality(data: AnnData, options: ExpressionOptions = {}): Promise<CellQuality> {
  checkOptionNames("cellQuality", options, { ...runSettingNames, onProgress: true });
  const { signal, onProgress } = options;
  const place =
    (await takenPlace(data, { roundCounts: true, orAllFeatures: true })) ?? (await findNumbers(data));
  const symbols = await geneSymbols(place.var);
  const isMitochondrial = Uint8Array.from(symbols, (symbol) => (mitochondrialGene.test(symbol) ? 1 : 0));
  const counts = new Float32Array(data.nObs);
  const genes = new Float32Array(data.nObs);
  const mitochondrial = isMitochondrial.includes(1) ? new Float32Array(data.nObs) : null;
  for await (const { start, block } of blocks(place.matrix)) {
    if (signal?.aborted) throw new ScPoliError("interrupted", "Stopped while reading counts.");
    for (let row = 0; row < block.rows; row++) {
      let [total, ofMitochondria, present] = [0, 0, 0];
      for (let k = block.indptr[row]!; k < block.indptr[row + 1]!; k++) {
        const value = block.values[k]!;
        if (value === 0) continue;
        total += value;
        present++;
        if (isMitochondrial[block.indices[k]!]) ofMitochondria += value;
      }
      counts[start + row] = total;
      genes[start + row] = present;
      if (mitochondrial) mitochondrial[start + row] = total > 0 ? ofMitochondria / total : 0;
    }
    onProgress?.(start + block.rows, data.nObs);
  }
  return { counts, genes, mitochondrial };
}
