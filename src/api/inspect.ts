// Describes an AnnData file: its size, its columns, the location of raw counts, and candidate columns for
// conditions and cell types.
import type { AnnData } from "../anndata/anndata.js";
import type { DataFrame } from "../anndata/dataframe.js";
import { readCellxgene } from "../data/cellxgene.js";
import type { Note } from "../contract/options.js";
import { countTypes, featureTypes } from "../data/feature-types.js";
import { ScPoliError } from "../contract/errors.js";
import { lookAtPlaces, takenPlace } from "../data/count-places.js";
import { inspectColumn, keyCandidates, type Candidate, type InspectedColumn } from "../data/key-columns.js";

export type { Candidate } from "../data/key-columns.js";

/** JSON-ready, with the names of the command line's output. */
export interface Inspection {
  /** Number of cells */
  readonly cells: number;
  /** Number of genes */
  readonly genes: number;
  /** number of columns of obs */
  readonly obs_columns: number;
  /** Columns of obs */
  readonly columns: readonly InspectedColumn[];
  /** columns and matrices that cannot be read: "obs/donor", "names of var", "layers/counts" */
  readonly unreadable: readonly string[];
  /** location of the counts: "X", "raw.X", "layers/counts", ...; null if there are none */
  readonly counts: string | null;
  /** Places that may hold counts, and what each holds */
  readonly places: readonly { readonly place: string; readonly holds: string }[];
  /** number of features by type ("Gene Expression", "Antibody Capture", ...); null if var has no types */
  readonly feature_types: Readonly<Record<string, number>> | null;
  /** for files of the CELLxGENE schema: version, title, and the column of var with gene symbols */
  readonly cellxgene: {
    /** Version of the CELLxGENE schema */
    readonly schema_version: string;
    /** Title of the data set; null: none */
    readonly title: string | null;
    /** Column of var with gene symbols; null: none */
    readonly gene_symbols: string | null;
  } | null;
  /** most likely first */
  readonly condition_candidates: readonly Candidate[];
  /** Columns that may hold cell types, the likeliest first */
  readonly cell_type_candidates: readonly Candidate[];
}

/**
 * Inspects a file. Columns and matrices that cannot be read are reported and skipped.
 * @param note - receives a warning for each unreadable column of obs and var; all unreadable parts are also
 * listed in `unreadable`
 */
export async function inspect(data: AnnData, note: (note: Note) => void = () => {}): Promise<Inspection> {
  const columns: InspectedColumn[] = [];
  const warn = ({ message }: ScPoliError): void => note({ level: "warning", message });
  for (const name of data.obs.columnNames) columns.push(await inspectColumn(data.obs, name, warn));
  const genes: InspectedColumn[] = [];
  for (const name of data.var.columnNames) genes.push(await inspectColumn(data.var, name, warn));
  const schema = await readCellxgene(data);
  const places = await lookAtPlaces(data);
  const countsPlace = await takenPlace(data, { featureTypes: ["all"], note });
  const types = await featureTypes((countsPlace ?? data).var);
  const cellTypes = first(
    schema?.cellType ? [schema.cellType] : [],
    keyCandidates(columns, "cell type", data.nObs),
    columns,
  );
  const cellTypeNames = new Set(cellTypes.map(({ name }) => name));
  return {
    cells: data.nObs,
    genes: data.nVars,
    obs_columns: columns.length,
    columns,
    unreadable: [
      ...(await unreadable(data.obs, columns, "obs", warn)),
      ...(await unreadable(data.var, genes, "var", warn)),
      ...places.filter(({ holds }) => holds === "unreadable").map(({ place }) => place),
    ],
    counts: countsPlace?.name ?? null,
    places: places.map(({ place, verdict }) => ({ place, holds: verdict })),
    feature_types: types && Object.fromEntries(countTypes(types)),
    cellxgene: schema && {
      schema_version: schema.version,
      title: schema.title,
      gene_symbols: schema.symbols,
    },
    condition_candidates: first(
      schema?.conditions ?? [],
      keyCandidates(columns, "condition", data.nObs, (name) => cellTypeNames.has(name)),
      columns,
    ),
    cell_type_candidates: cellTypes,
  };
}

/** Unreadable parts of a table, including its row names. */
async function unreadable(
  frame: DataFrame,
  columns: readonly InspectedColumn[],
  table: "obs" | "var",
  warn: (error: ScPoliError) => void,
): Promise<string[]> {
  const names = columns.filter(({ kind }) => kind === "unreadable").map(({ name }) => `${table}/${name}`);
  try {
    await frame.index();
    return names;
  } catch (error) {
    if (!(error instanceof ScPoliError)) throw error;
    warn(error);
    return [`names of ${table}`, ...names];
  }
}

/** The columns named by the CELLxGENE schema, then the others. */
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
      why: `named by the CELLxGENE schema, ${distinct} values`,
    })),
    ...others.filter(({ name }) => !names.includes(name)),
  ];
}
