// Gene sets over-represented among the markers of each group.
import type { Rows } from "../anndata/tables.js";
import { enrichGeneSets, type GeneSet } from "../statistics/gene-sets.js";
import type { Markers } from "./markers.js";

/** Options of testing gene sets among markers. */
export interface MarkerGeneSetOptions {
  /** number of markers of a group that are tested, highest scores first. Default 100 */
  readonly most?: number;
}

/** Corrected P below which a gene counts as a marker. */
const significanceLevel = 0.05;

/**
 * Tests gene sets for over-representation among the markers of each group: genes with the highest scores that
 * are higher in the group (log2 fold change above 0, corrected P below 0.05). Background: all genes tested.
 * @returns a row per group and set with a marker in it, the smallest P of a group first: `group`, `markers`
 * (number of them), then as `enrichGeneSets`; P corrected over the sets of a group
 */
export async function markerGeneSets(
  markers: Markers,
  sets: readonly GeneSet[],
  { most = 100 }: MarkerGeneSetOptions = {},
): Promise<Rows> {
  const { groups, symbols } = markers;
  const rows: Rows[number][] = [];
  for (const [k, { name }] of groups.entries()) {
    const chosen = markersOf(markers, k, most);
    const enriched = await enrichGeneSets(chosen, symbols, sets);
    rows.push(
      ...enriched
        .filter(({ overlap }) => overlap > 0)
        .map((row) => ({ group: name, markers: chosen.length, ...row })),
    );
  }
  return rows;
}

/** Symbols of the markers of group k. */
function markersOf(markers: Markers, k: number, most: number): string[] {
  const { genes, symbols, order, logFoldChanges, adjustedPValues } = markers;
  const G = genes.length;
  const isMarker = (gene: number): boolean =>
    logFoldChanges[k * G + gene]! > 0 && adjustedPValues[k * G + gene]! < significanceLevel;
  const sorted = Array.from(order.subarray(k * G, (k + 1) * G));
  return sorted
    .filter(isMarker)
    .slice(0, most)
    .map((gene) => symbols[gene]!);
}
