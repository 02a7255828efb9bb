// Columns of obs as keys: suggests columns for conditions or cell types, and rejects columns whose values are
// not groups of cells (barcodes, scores, totals).
import type { DataFrame } from "../anndata/dataframe.js";
import { ScPoliError } from "../contract/errors.js";
import { factorize, type Factor } from "./labels.js";

/** A column of obs. */
export interface InspectedColumn {
  readonly name: string;
  readonly kind: "categorical" | "string" | "number" | "boolean" | "unreadable";
  /** number of distinct non-missing values */
  readonly distinct: number;
}

/** A column suggested as a key. */
export interface Candidate {
  readonly name: string;
  readonly distinct: number;
  /** reason for the suggestion */
  readonly why: string;
}

/** Intended use of a column. */
export type KeyRole = "condition" | "cell type";

/** Words in column names, most specific first. Words joined by "_" must occur together. */
const words: Readonly<Record<KeyRole, readonly string[]>> = {
  condition: [
    "sample",
    "donor",
    "patient",
    "individual",
    "subject",
    "batch",
    "library",
    "orig_ident",
    "pool",
    "replicate",
    "study",
    "dataset",
    "experiment",
    "run",
    "lane",
    "channel",
    "plate",
    "well",
    "site",
    "center",
    "technology",
    "tech",
    "platform",
    "protocol",
    "chemistry",
    "assay",
    "method",
    "condition",
    "treatment",
    "stim",
    "species",
    "organism",
  ],
  "cell type": [
    "cell_type",
    "celltype",
    "celltypes",
    "cell_types",
    "cell_ontology_class",
    "cell_label",
    "cell_labels",
    "bulk_labels",
    "annotation",
    "annotations",
    "annot",
    "ann",
    "label",
    "labels",
    "subclass",
    "class",
    "lineage",
    "cell_state",
    "cluster",
    "clusters",
    "leiden",
    "louvain",
    "seurat_clusters",
    "ident",
  ],
};
/** Columns that describe another column, or that this tool wrote. */
const derived =
  /(_ontology_term_id|_colors?|_pred|_uncert|_distance|_prob|_unknown|_completed)$|^scpoli_cluster$/;

/** Columns whose name contains a word of the role and that have few enough values to be groups of cells. */
export function keyCandidates(
  columns: readonly InspectedColumn[],
  role: KeyRole,
  cells: number,
  isOther: (name: string) => boolean = () => false,
): Candidate[] {
  const most = Math.max(10, cells / 10);
  return columns
    .filter(
      ({ name, distinct, kind }) =>
        kind !== "boolean" &&
        distinct >= 2 &&
        distinct <= most &&
        distinct < cells &&
        !derived.test(name) &&
        !isOther(name) &&
        !(role === "cell type" && isConditionName(name)),
    )
    .map((column) => ({ column, rank: wordRank(column.name, words[role]) }))
    .filter(({ rank }) => rank < Infinity)
    .sort((a, b) => a.rank - b.rank)
    .map(({ column: { name, distinct }, rank }) => ({
      name,
      distinct,
      why:
        `named like '${words[role][rank]}', ${distinct} values, ${Math.round(cells / distinct)} cells ` +
        "each on average",
    }));
}

/** Whether the name suggests a condition and is not primarily "cell_type". */
function isConditionName(name: string): boolean {
  return wordRank(name, words.condition) < Infinity && wordRank(name, words["cell type"]) > 0;
}

/** Rank of the first word that occurs in a name; Infinity if none does. */
function wordRank(name: string, of: readonly string[]): number {
  const parts = name
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .split(/[^a-z]+/);
  const joined = `_${parts.join("_")}_`;
  const rank = of.findIndex((word) => joined.includes(`_${word}_`));
  return rank < 0 ? Infinity : rank;
}

/** Summary of a column; an unreadable one is passed to `onError`. */
export async function inspectColumn(
  frame: DataFrame,
  name: string,
  onError: (error: ScPoliError) => void = () => undefined,
): Promise<InspectedColumn> {
  try {
    const column = await frame.column(name);
    return { name, kind: column.kind, distinct: factorize(column).names.length };
  } catch (error) {
    if (!(error instanceof ScPoliError)) throw error;
    onError(error);
    return { name, kind: "unreadable", distinct: 0 };
  }
}

/** Largest number of distinct non-integers that can still be doses, times or ages of groups. */
const mostFractions = 50;
/** Names of numeric columns that are measured per cell. */
const measures =
  /score|count|umis?($|_)|n_?(genes|features|counts)|total|pct|percent|mito|ribo|doublet|pseudotime|dpt|size_?factor|log1p|entropy|probab/i;

/**
 * Why the values of a column are not groups of cells; null if they may be. Criteria: (nearly) as many values
 * as cells; many non-integers; many values of which most (for numbers, a fifth) occur in a single cell.
 */
export function noGroups(key: string, { codes, names }: Pick<Factor, "codes" | "names">): string | null {
  const cellsOf = new Int32Array(names.length);
  let cells = 0;
  for (const code of codes)
    if (code >= 0) {
      cells++;
      cellsOf[code]!++;
    }
  const values = names.length;
  if (cells < 2 || values < 2) return null;
  const like = `e.g. '${names[0]}' and '${names[1]}'`;
  if (values === cells) return `a different value for each of the ${cells} cells, ${like}`;
  if ((values > 5 && values > cells / 2) || (values > 20 && values > cells / 4))
    return `${values} different values for ${cells} cells, ${like}`;
  if (values <= mostFractions) return null;
  const isNumber = names.every((name) => name !== "" && Number.isFinite(Number(name)));
  if (isNumber && names.some((name) => !Number.isInteger(Number(name))))
    return `${values} different numbers for ${cells} cells, ${like}: it looks continuous`;
  const ofOneCell = cellsOf.filter((count) => count === 1).length / values;
  if (isNumber && (ofOneCell > 0.2 || measures.test(key)))
    return `${values} different numbers for ${cells} cells, ${like}: it looks like a measurement per cell`;
  return ofOneCell > 0.5
    ? `${values} different values for ${cells} cells, most of them in a single cell, ${like}`
    : null;
}

const meanings: Readonly<Record<KeyRole, string>> = {
  condition:
    "A condition is a group of cells that share technical or biological effects (a sample, a donor, a " +
    "study); with so few cells each, the model would treat every difference between cells as such an " +
    "effect.",
  "cell type": "A cell type is a group of cells; with so few cells each, it cannot be learnt.",
};

/**
 * Rejects a key whose values are not groups of cells, and suggests a column instead.
 * @throws ScPoliError "refused", unless `force`
 */
export async function checkGroups(
  obs: DataFrame,
  key: string,
  factor: Pick<Factor, "codes" | "names">,
  role: KeyRole,
  { force }: { readonly force?: boolean } = {},
): Promise<void> {
  const reason = force ? null : noGroups(key, factor);
  if (reason === null) return;
  const meant = await likelyColumn(obs, role, key);
  throw new ScPoliError(
    "refused",
    `obs['${key}'] has ${reason}. ${meanings[role]} ` +
      (meant === null
        ? `Name another column (none is named like a ${role}).`
        : `Did you mean obs['${meant.name}'] (${meant.distinct} values)?`) +
      " Use --force to continue anyway.",
    { key, values: factor.names.length, proposed: meant?.name ?? null },
  );
}

/** The best candidate column for a role; null if there is none. */
async function likelyColumn(obs: DataFrame, role: KeyRole, but: string): Promise<Candidate | null> {
  const columns: InspectedColumn[] = [];
  for (const name of obs.columnNames) if (name !== but) columns.push(await inspectColumn(obs, name));
  return keyCandidates(columns, role, obs.length)[0] ?? null;
}
