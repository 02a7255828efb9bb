// Columns of obs as keys: which ones look like conditions or cell types, and which ones cannot be either, as
// their values are no groups of cells (barcodes, scores, totals).
import type { DataFrame } from "../anndata/dataframe.js";
import { ScPoliError } from "../contract/errors.js";
import { factorize, type Factor } from "./labels.js";

/** A column of obs. */
export interface InspectedColumn {
  readonly name: string;
  readonly kind: "categorical" | "string" | "number" | "boolean" | "unreadable";
  /** number of distinct values, missing ones left out */
  readonly distinct: number;
}

/** A column that may serve as a key. */
export interface Candidate {
  readonly name: string;
  readonly distinct: number;
  /** what speaks for it */
  readonly why: string;
}

/** What a column is to serve as. */
export type KeyRole = "condition" | "cell type";

/** Words in column names, the most telling first. Several words joined by "_" are looked for as they are. */
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
/** Columns about another column, or made by a run of this tool. */
const derived =
  /(_ontology_term_id|_colors?|_pred|_uncert|_distance|_prob|_unknown|_completed)$|^scpoli_cluster$/;

/** Columns whose name has one of the role's words and whose values are few enough to be groups of cells. */
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
      why: `named like '${words[role][rank]}', ${distinct} values, ${Math.round(cells / distinct)} cells each on average`,
    }));
}

/** Named like a condition, and not like "cell_type" above all. */
function isConditionName(name: string): boolean {
  return wordRank(name, words.condition) < Infinity && wordRank(name, words["cell type"]) > 0;
}

/** Position of the first of the words that a name has; Infinity where it has none. */
function wordRank(name: string, of: readonly string[]): number {
  const parts = name
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .split(/[^a-z]+/);
  const joined = `_${parts.join("_")}_`;
  const rank = of.findIndex((word) => joined.includes(`_${word}_`));
  return rank < 0 ? Infinity : rank;
}

/** A column in short; one that cannot be read is given to `onError`. */
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

/** More values than this are no doses, times or ages of groups where they have fractions. */
const mostFractions = 50;
/** Names of columns of numbers that are measured of each cell. */
const measures =
  /score|count|umis?($|_)|n_?(genes|features|counts)|total|pct|percent|mito|ribo|doublet|pseudotime|dpt|size_?factor|log1p|entropy|probab/i;

/**
 * Why the values of a column are no groups of cells; null where they may be some. What tells: (nearly) as
 * many values as cells, also with ties; many numbers with fractions; many values of which most, of numbers a
 * fifth, are of one cell.
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
    return `${values} different numbers for ${cells} cells, ${like}: it looks like a measure of each cell`;
  return ofOneCell > 0.5
    ? `${values} different values for ${cells} cells, most of them of one cell, ${like}`
    : null;
}

const meanings: Readonly<Record<KeyRole, string>> = {
  condition:
    "A condition is a group of cells that share technical or biological effects (a sample, a donor, a study); with so few cells each, every difference between cells would be explained away.",
  "cell type": "A cell type is a group of cells; with so few cells each, there is nothing to learn of it.",
};

/**
 * Refuses a key whose values are no groups of cells, and names a column that may have been meant.
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
      `${meant === null ? `Name another column (none is named like a ${role})` : `Did you mean obs['${meant.name}'] (${meant.distinct} values)?`}; --force goes on all the same.`,
    { key, values: factor.names.length, proposed: meant?.name ?? null },
  );
}

/** The likeliest column for a role; null where no column is named like it. */
export async function likelyColumn(obs: DataFrame, role: KeyRole, but: string): Promise<Candidate | null> {
  const columns: InspectedColumn[] = [];
  for (const name of obs.columnNames) if (name !== but) columns.push(await inspectColumn(obs, name));
  return keyCandidates(columns, role, obs.length)[0] ?? null;
}
