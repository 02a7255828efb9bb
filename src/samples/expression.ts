// Mean expression of each sample (pseudobulk) from the counts of its cells, in one pass over the file, a
// block at a time; memory grows with samples x genes.
import type { DenseMatrix } from "../anndata/matrix.js";
import type { CountsPlace } from "../data/count-places.js";
import { streamCounts, type ReadCountsOptions } from "../data/counts.js";
import { geneSymbols } from "../data/gene-symbols.js";
import { normalizedTotal } from "../numerics/log-normalized.js";

/** Expression of each sample; NaN for samples without cells. */
export interface SampleExpression {
  /** (G) all genes of the file */
  readonly genes: readonly string[];
  /** (G) symbols, for gene sets and families; names if the file has no symbols */
  readonly symbols: readonly string[];
  /**
   * (S, G) mean of log1p(10,000 x count / total) over the cells; of the values themselves where they are
   * normalised already
   */
  readonly means: DenseMatrix & { readonly values: Float64Array };
  /** (S) */
  readonly cells: Float64Array;
  /**
   * (S) means over the cells: counts in all, genes with a count, shares of the counts in ribosomal (RPS, RPL)
   * and mitochondrial (MT-) genes, 0..1
   */
  readonly qualities: Readonly<
    Record<"total_counts" | "detected_genes" | "ribosomal_fraction" | "mitochondrial_fraction", Float64Array>
  >;
}

/**
 * Gene families by symbol, human and mouse: ribosomal proteins (not the kinases RPS6K), mitochondrial genes.
 */
const ribosomal = /^RP[SL](?!6K)/i;
const mitochondrial = /^MT[-.]/i;

/**
 * Averages over the cells of a file, for several groupings at once.
 * @param divisions - per division the number of samples, and (N) the sample of each cell, -1 for none
 */
export async function sampleExpression(
  place: CountsPlace,
  divisions: readonly { readonly samples: number; readonly codes: Int32Array }[],
  options: ReadCountsOptions = {},
): Promise<SampleExpression[]> {
  const genes = await place.var.index();
  const symbols = await geneSymbols(place.var);
  const G = genes.length;
  const isNormalised = place.values === "numbers";
  const family = Uint8Array.from(symbols, (symbol) =>
    ribosomal.test(symbol) ? 1 : mitochondrial.test(symbol) ? 2 : 0,
  );
  const sums = divisions.map(({ samples }): SampleSums => ({
    expression: new Float64Array(samples * G),
    cells: new Float64Array(samples),
    qualities: Array.from({ length: 4 }, () => new Float64Array(samples)),
  }));
  const map = Int32Array.from(genes.keys());
  for await (const { start, rows, indptr, indices, counts, sizeFactors } of streamCounts(
    place,
    map,
    G,
    undefined,
    options,
  )) {
    for (let row = 0; row < rows; row++) {
      const total = sizeFactors[row]!;
      const scale = total > 0 ? normalizedTotal / total : 0;
      const targets = divisions.flatMap(({ codes }, d) =>
        codes[start + row]! < 0 ? [] : [{ sum: sums[d]!, sample: codes[start + row]! }],
      );
      if (targets.length === 0) continue;
      const inFamily = [0, 0, 0];
      for (let k = indptr[row]!; k < indptr[row + 1]!; k++) {
        const gene = indices[k]!;
        inFamily[family[gene]!]! += counts[k]!;
        const value = isNormalised ? counts[k]! : Math.log1p(scale * counts[k]!);
        for (const { sum, sample } of targets) sum.expression[sample * G + gene]! += value;
      }
      const perCell = [
        total,
        indptr[row + 1]! - indptr[row]!,
        total > 0 ? inFamily[1]! / total : 0,
        total > 0 ? inFamily[2]! / total : 0,
      ];
      for (const { sum, sample } of targets) {
        sum.cells[sample]!++;
        perCell.forEach((value, i) => (sum.qualities[i]![sample]! += value));
      }
    }
  }
  return sums.map((sum) => averages(genes, symbols, sum));
}

/** Sums over the cells of each sample: expression (S, G), number of cells (S), and four qualities (S). */
interface SampleSums {
  readonly expression: Float64Array;
  readonly cells: Float64Array;
  readonly qualities: readonly Float64Array[];
}

function averages(
  genes: readonly string[],
  symbols: readonly string[],
  { expression, cells, qualities }: SampleSums,
): SampleExpression {
  const G = genes.length;
  const averaged = expression.map((sum, i) => sum / cells[Math.floor(i / G)]!);
  const [total_counts, detected_genes, ribosomal_fraction, mitochondrial_fraction] = qualities.map((sum) =>
    sum.map((value, sample) => value / cells[sample]!),
  ) as [Float64Array, Float64Array, Float64Array, Float64Array];
  return {
    genes,
    symbols,
    cells,
    means: { rows: cells.length, columns: G, values: averaged },
    qualities: { total_counts, detected_genes, ribosomal_fraction, mitochondrial_fraction },
  };
}
