// Sets of genes, tested for over-representation among selected genes by the hypergeometric distribution.
import { loadDistributions } from "./distributions.js";
import { benjaminiHochberg } from "./multiple-testing.js";

/** A named set of genes. */
export interface GeneSet {
  /** Name of the set */
  readonly name: string;
  /** Description in the .gmt file */
  readonly description: string;
  /** Names of its genes */
  readonly genes: readonly string[];
}

/** Over-representation of a gene set among selected genes. */
export interface GeneSetEnrichment {
  /** Name of the set */
  readonly set: string;
  /** numbers of measured genes of the set, and of selected ones among them */
  readonly size: number;
  /** Genes of the list that are in the set */
  readonly overlap: number;
  /** overlap expected by chance */
  readonly expected: number;
  /** of the hypergeometric test, upper tail */
  readonly p: number;
  /** P corrected by Benjamini-Hochberg over the sets */
  readonly p_adjusted: number;
  /** Names of these genes */
  readonly genes: readonly string[];
}

/** Minimum number of measured genes of a set. */
const leastSize = 3;

/**
 * Tests gene sets for over-representation among selected genes. Genes are matched by symbol, ignoring
 * case; sets with fewer than three measured genes are left out.
 * @param chosen - symbols, such as markers of a group or genes that differ
 * @param background - symbols of all genes that could have been selected
 * @returns rows by ascending P; empty if no gene is selected
 */
export async function enrichGeneSets(
  chosen: Iterable<string>,
  background: Iterable<string>,
  sets: readonly GeneSet[],
): Promise<GeneSetEnrichment[]> {
  const { hypergeometricUpperTail } = await loadDistributions();
  const folded = (symbols: Iterable<string>): Set<string> =>
    new Set(Array.from(symbols, (symbol) => symbol.toUpperCase()));
  const measured = folded(background);
  const drawn = new Set([...folded(chosen)].filter((gene) => measured.has(gene)));
  if (drawn.size === 0) return [];
  const rows = sets.flatMap((set) => {
    const genes = [...folded(set.genes)].filter((gene) => measured.has(gene));
    if (genes.length < leastSize) return [];
    const hits = genes.filter((gene) => drawn.has(gene));
    return [
      {
        set: set.name,
        size: genes.length,
        overlap: hits.length,
        expected: (genes.length * drawn.size) / measured.size,
        p: hypergeometricUpperTail(hits.length, measured.size, genes.length, drawn.size),
        genes: hits,
      },
    ];
  });
  const corrected = benjaminiHochberg(rows.map(({ p }) => p));
  return rows
    .map((row, i) => ({ ...row, p_adjusted: corrected[i]! }))
    .sort((a, b) => a.p - b.p || (a.set < b.set ? -1 : 1));
}
