// Writes marker genes: an entry of uns for scanpy's functions and plots, and a table for CSV.
import { NewTable, StructuredArray, type NewUns } from "../anndata/elements.js";
import { writeCopy } from "../anndata/write.js";
import type { AnnData } from "../anndata/anndata.js";
import type { Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { frameOf, type Rows } from "../anndata/tables.js";
import { version } from "../contract/version.js";
import type { Markers } from "./markers.js";

/** Options of the table of markers. */
export interface MarkerTableOptions {
  /** number of genes per group, highest scores first. Default: all */
  readonly top?: number;
}

/**
 * A row per group and gene, the highest scores of a group first: `group`, `gene`, `symbol`, `rank` (from 1),
 * `score`, `log2_fold_change`, `p`, `p_adjusted`, `auc`, `share`, `other_share` (of cells that express it),
 * `mean`, `other_mean` (of the values), `specificity`.
 */
export function markerTable(markers: Markers, { top = Infinity }: MarkerTableOptions = {}): Rows {
  const { groups, genes, symbols, order } = markers;
  const G = genes.length;
  return groups.flatMap(({ name }, k) =>
    Array.from({ length: Math.min(top, G) }, (_, rank) => {
      const gene = order[k * G + rank]!;
      const at = k * G + gene;
      return {
        group: name,
        gene: genes[gene]!,
        symbol: symbols[gene]!,
        rank: rank + 1,
        score: markers.scores[at]!,
        log2_fold_change: markers.logFoldChanges[at]!,
        p: markers.pValues[at]!,
        p_adjusted: markers.adjustedPValues[at]!,
        auc: markers.auc[at]!,
        share: markers.shares[at]!,
        other_share: markers.otherShares[at]!,
        mean: markers.means[at]!,
        other_mean: markers.otherMeans[at]!,
        specificity: markers.specificity[at]!,
      };
    }),
  );
}

/** HDF5 limits the names and types of all fields to 64 KiB. */
const mostFieldBytes = 60_000;
const bytesPerField = 64;

/**
 * The entry of scanpy's rank_genes_groups in uns: structured arrays with a field per group (`names`,
 * `scores`, `pvals`, `pvals_adj`, `logfoldchanges`, and `aucs`), `params`, and data frames of shares (`pts`,
 * `pts_rest`).
 * @throws ScPoliError "output" if there are more groups than HDF5 can store as fields
 */
export function rankGenesGroups(markers: Markers, { top = Infinity }: MarkerTableOptions = {}): NewUns {
  const { groups, genes, order } = markers;
  const G = genes.length;
  const rows = Math.min(top, G);
  const fieldBytes = groups.reduce((sum, { name }) => sum + 3 * name.length + bytesPerField, 0);
  if (fieldBytes > mostFieldBytes)
    throw new ScPoliError(
      "output",
      `${groups.length} groups are too many for one structured array of an .h5ad file. Write a table ` +
        "(--csv), or fewer groups (--only).",
      { groups: groups.length },
    );
  const fields = <T>(make: (k: number) => T): [string, T][] => groups.map(({ name }, k) => [name, make(k)]);
  const inOrder = <T extends Float32Array | Float64Array>(
    values: ArrayLike<number>,
    type: new (n: number) => T,
  ) =>
    new StructuredArray(
      fields((k) => {
        const sorted = new type(rows);
        for (let rank = 0; rank < rows; rank++) sorted[rank] = values[k * G + order[k * G + rank]!]!;
        return sorted;
      }),
    );
  const shares = (values: Float32Array): NewTable =>
    new NewTable(
      genes,
      Object.fromEntries(
        fields((k) => ({
          kind: "number" as const,
          values: Float64Array.from(values.subarray(k * G, (k + 1) * G)),
        })),
      ),
    );
  // "/" in a column's name would create an HDF5 group
  const hasShares = !groups.some(({ name }) => name.includes("/"));
  return {
    params: {
      groupby: markers.key,
      reference: markers.against ?? "rest",
      method: "wilcoxon",
      use_raw: markers.place === "raw.X",
      ...(markers.place.startsWith("layers/") && !markers.isNormalized && { layer: markers.place.slice(7) }),
      corr_method: "benjamini-hochberg",
      tie_correct: true,
      scpoli_version: version,
      scpoli_values: markers.isNormalized ? `log1p of counts per 10,000 of ${markers.place}` : markers.place,
    },
    names: new StructuredArray(
      fields((k) => Array.from({ length: rows }, (_, rank) => genes[order[k * G + rank]!]!)),
    ),
    scores: inOrder(markers.scores, Float32Array),
    pvals: inOrder(markers.pValues, Float64Array),
    pvals_adj: inOrder(markers.adjustedPValues, Float64Array),
    logfoldchanges: inOrder(markers.logFoldChanges, Float32Array),
    aucs: inOrder(markers.auc, Float32Array),
    ...(hasShares && { pts: shares(markers.shares) }),
    ...(hasShares && markers.against === null && { pts_rest: shares(markers.otherShares) }),
  };
}

/** Options of writing markers into a copy of the file. */
export interface WriteMarkersOptions extends MarkerTableOptions {
  /** entry of uns. Default "rank_genes_groups" */
  readonly keyAdded?: string;
  /** replaces an entry of that name */
  readonly force?: boolean;
  /** result of `markerGeneSets`, written as a data frame beside the markers, under `<keyAdded>_gene_sets` */
  readonly geneSets?: Rows;
  /** Called with notes for the user. */
  readonly onNote?: (note: Note) => void;
}

/**
 * Writes a copy of the file with the markers, and gene sets if there are any, in uns.
 * @throws ScPoliError "refused" if uns already has such an entry, unless `force`; "output"
 */
export async function writeMarkers(
  data: AnnData,
  output: string,
  markers: Markers,
  { keyAdded = "rank_genes_groups", force, onNote, geneSets = [], ...table }: WriteMarkersOptions = {},
): Promise<void> {
  if (markers.groups.some(({ name }) => name.includes("/")))
    onNote?.({
      level: "warning",
      message:
        `A group's name contains "/", which column names cannot: shares of cells are left out of ` +
        `uns["${keyAdded}"]; the table (--csv) has them.`,
    });
  const uns: Record<string, NewUns> = { [keyAdded]: rankGenesGroups(markers, table) };
  if (geneSets.length > 0) {
    const { index, columns } = frameOf(geneSets);
    uns[`${keyAdded}_gene_sets`] = new NewTable(index, columns ?? {});
  }
  await writeCopy(
    data,
    output,
    { uns },
    { force, onWarning: (message) => onNote?.({ level: "warning", message }) },
  );
}
