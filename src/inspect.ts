// What is in an AnnData file: its size, its columns, where raw counts are, and which columns look like
// conditions and cell types.
import type { AnnData } from "./anndata/anndata.js";
import type { DataFrame } from "./anndata/dataframe.js";
import { readCellxgene } from "./data/cellxgene.js";
import type { Note } from "./config.js";
import { lookAtPlaces, takenPlace } from "./data/count-places.js";
import { ScPoliError } from "./errors.js";
import { factorize } from "./data/labels.js";

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

/** JSON-ready, in the names of the command line's output. */
export interface Inspection {
  readonly cells: number;
  readonly genes: number;
  /** number of columns of obs */
  readonly obs_columns: number;
  readonly columns: readonly InspectedColumn[];
  /** where the counts are: "X", "raw.X", "layers/counts", ...; null where nowhere */
  readonly counts: string | null;
  readonly places: readonly { readonly place: string; readonly holds: string }[];
  /**
   * where the file follows the CELLxGENE schema: its version, title, and the column of var with gene symbols
   */
  readonly cellxgene: {
    readonly schema_version: string;
    readonly title: string | null;
    readonly gene_symbols: string | null;
  } | null;
  /** the likeliest first */
  readonly condition_candidates: readonly Candidate[];
  readonly cell_type_candidates: readonly Candidate[];
}

/** Words in column names, the most telling first. Several words joined by "_" are looked for as they are. */
const conditionWords = [
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
];
const cellTypeWords = [
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
];
/** Columns about another column, or made by a run of this tool. */
const derived =
  /(_ontology_term_id|_colors?|_pred|_uncert|_distance|_prob|_unknown|_completed)$|^scpoli_cluster$/;

/**
 * Looks into a file; a column or matrix that cannot be read is told, and does not stop the others.
 * @param note - receives a warning for each column of obs and var that cannot be read
 */
export async function inspect(data: AnnData, note: (note: Note) => void = () => {}): Promise<Inspection> {
  const columns: InspectedColumn[] = [];
  for (const name of data.obs.columnNames) columns.push(await inspectColumn(data.obs, name, note));
  for (const name of data.var.columnNames) await inspectColumn(data.var, name, note);
  const schema = await readCellxgene(data);
  const places = await lookAtPlaces(data);
  const cellTypes = first(
    schema?.cellType ? [schema.cellType] : [],
    candidates(
      columns,
      cellTypeWords,
      data.nObs,
      (name) => wordRank(name, conditionWords) < Infinity && wordRank(name, cellTypeWords) > 0,
    ),
    columns,
  );
  const taken = new Set(cellTypes.map(({ name }) => name));
  return {
    cells: data.nObs,
    genes: data.nVars,
    obs_columns: columns.length,
    columns,
    counts: takenPlace(places),
    places: places.map(({ place, verdict }) => ({ place, holds: verdict })),
    cellxgene: schema && {
      schema_version: schema.version,
      title: schema.title,
      gene_symbols: schema.symbols,
    },
    condition_candidates: first(
      schema?.conditions ?? [],
      candidates(columns, conditionWords, data.nObs, (name) => taken.has(name)),
      columns,
    ),
    cell_type_candidates: cellTypes,
  };
}

async function inspectColumn(
  frame: DataFrame,
  name: string,
  note: (note: Note) => void,
): Promise<InspectedColumn> {
  try {
    const column = await frame.column(name);
    return { name, kind: column.kind, distinct: factorize(column).names.length };
  } catch (error) {
    if (!(error instanceof ScPoliError)) throw error;
    note({ level: "warning", message: error.message });
    return { name, kind: "unreadable", distinct: 0 };
  }
}

/** The columns that the CELLxGENE schema names, then the others. */
function first(
  names: readonly string[],
  others: readonly Candidate[],
  columns: readonly InspectedColumn[],
): Candidate[] {
  const named = names.flatMap((name) =>
    columns.filter((column) => column.name === name && column.kind !== "unreadable"),
  );
  return [
    ...named.map(({ name, distinct }) => ({
      name,
      distinct,
      why: `the CELLxGENE schema names it, ${distinct} values`,
    })),
    ...others.filter(({ name }) => !names.includes(name)),
  ];
}

/** Columns whose name has one of the words and whose values are few enough to be groups of cells. */
function candidates(
  columns: readonly InspectedColumn[],
  words: readonly string[],
  cells: number,
  isOther: (name: string) => boolean,
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
        !isOther(name),
    )
    .map((column) => ({ column, rank: wordRank(column.name, words) }))
    .filter(({ rank }) => rank < Infinity)
    .sort((a, b) => a.rank - b.rank)
    .map(({ column: { name, distinct }, rank }) => ({
      name,
      distinct,
      why: `named like '${words[rank]}', ${distinct} values, ${Math.round(cells / distinct)} cells each on average`,
    }));
}

/** Position of the first of the words that a name has; Infinity where it has none. */
function wordRank(name: string, words: readonly string[]): number {
  const parts = name
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .split(/[^a-z]+/);
  const joined = `_${parts.join("_")}_`;
  const rank = words.findIndex((word) => joined.includes(`_${word}_`));
  return rank < 0 ? Infinity : rank;
}
