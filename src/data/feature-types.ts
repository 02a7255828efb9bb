// Which columns of a matrix are genes: files of CITE-seq, Multiome and screens have antibodies, peaks and
// guides beside them, told apart by a column of var. Only features of the types asked for are modelled,
// gene expression unless told otherwise.
import type { DataFrame } from "../anndata/dataframe.js";
import type { Matrix } from "../anndata/matrix.js";
import type { Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { derived, picked } from "./derived-counts.js";
import { factorize } from "./labels.js";

/** What is modelled where nothing else is asked for. */
export const geneExpression = "Gene Expression";
/** What a Poisson likelihood is for. */
export const peaks = "Peaks";

/** The types of CellRanger, and what they are called elsewhere, in lower case. */
const types: Readonly<Record<string, readonly string[]>> = {
  [geneExpression]: ["gex", "gene", "genes", "rna", "mrna", "transcript", "transcripts", "expression"],
  "Antibody Capture": [
    ...["antibody", "antibodies", "adt", "adts", "protein", "proteins", "prot", "surface protein", "cite"],
    ...["surface proteins", "antibody derived tags"],
  ],
  "CRISPR Guide Capture": ["crispr", "guide", "guides", "grna", "grnas", "sgrna", "sgrnas", "guide rna"],
  [peaks]: ["peak", "atac", "chromatin accessibility", "accessibility"],
  "Multiplexing Capture": ["hto", "htos", "hashtag", "hashtags", "hashing", "cmo", "multiplexing"],
  "Antigen Capture": ["antigen", "antigens"],
  "Spike-in": ["spike in", "spike ins", "ercc"],
  Custom: [],
};
const plain = (name: string): string =>
  name
    .trim()
    .toLowerCase()
    .replace(/[\s_-]+/g, " ");
const nameOf = new Map(
  Object.entries(types).flatMap(([type, others]) =>
    [plain(type), ...others].map((other) => [other, type] as const),
  ),
);

/** A type as CellRanger calls it; one that is not known as it is. */
export function featureType(name: string): string {
  return nameOf.get(plain(name)) ?? name.trim();
}

/** Columns of var that tell types of features, in lower case, the surest first. */
const typeColumns = [
  ...["feature_types", "feature_type", "featuretypes", "featuretype", "modality", "modalities"],
  ...["feature_modality", "feature_biotype", "library_type", "type", "types"],
];

/**
 * The type of every feature, by the first column whose values are types; null where none is. A feature without
 * one is taken as gene expression.
 */
export async function featureTypes(features: DataFrame): Promise<readonly string[] | null> {
  const order = (name: string): number => typeColumns.indexOf(name.toLowerCase());
  const columns = features.columnNames.filter((name) => order(name) >= 0);
  for (const name of columns.sort((a, b) => order(a) - order(b))) {
    const { codes, names } = factorize(await features.column(name));
    const known = names.filter((type) => nameOf.has(plain(type)));
    // CELLxGENE's feature_type holds biotypes: no type of ours
    const isTypes = order(name) === 0 ? known.length > 0 : known.length > 0 && known.length === names.length;
    if (!isTypes) continue;
    const own = names.map(featureType);
    return Array.from(codes, (code) => own[code] ?? geneExpression);
  }
  return null;
}

/** Number of features by type. */
export function countTypes(types: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const type of types) counts.set(type, (counts.get(type) ?? 0) + 1);
  return counts;
}

export interface FeatureRequest {
  /** types that are modelled, in any spelling; "all" for every feature. Default: gene expression */
  readonly types?: readonly string[];
  /** those of the model, where none are asked for */
  readonly modelTypes?: readonly string[];
  /** types that are taken in place of gene expression where the file has some, unless `types` are given */
  readonly preferred?: string;
  /** takes every feature of a file without gene expression, unless `types` are given. Default: an error */
  readonly orAll?: boolean;
  readonly note?: (note: Note) => void;
}

/**
 * The columns of a place that are modelled; `featureTypes` of it are the types where they are not gene
 * expression alone. What is left out is told.
 * @throws ScPoliError "key" where the file has no feature of the types asked for
 */
export async function selectFeatures<
  Place extends {
    readonly name: string;
    readonly matrix: Matrix;
    readonly var: DataFrame;
    readonly featureTypes?: readonly string[];
  },
>(
  place: Place,
  { types, modelTypes, preferred, orAll, note = () => undefined }: FeatureRequest = {},
): Promise<Place> {
  const asked = types ?? modelTypes;
  if (asked?.some((type) => plain(type) === "all")) return { ...place, featureTypes: ["all"] };
  const own = await featureTypes(place.var);
  if (own === null) {
    const other = types?.find((type) => featureType(type) !== geneExpression);
    if (other === undefined) return place;
    throw new ScPoliError(
      "key",
      `Features of the type "${other}" are asked for, but no column of var tells types of features (feature_types, as CellRanger and scanpy write it).`,
      { types },
    );
  }
  const counts = countTypes(own);
  const has = (type: string): boolean => counts.has(type);
  const wanted = new Set(
    asked?.map(featureType) ?? [preferred !== undefined && has(preferred) ? preferred : geneExpression],
  );
  if (orAll && asked === undefined && !has(geneExpression)) return place;
  const absent = [...wanted].filter((type) => !has(type));
  if (absent.length === wanted.size || (asked && absent.length > 0))
    throw new ScPoliError(
      "key",
      `${place.name} has no features of the type ${shownTypes(absent)}; it has ${shownCounts(counts)}. To model others: --feature-types "${[...counts.keys()][0]}" (several separated by commas, or all).`,
      { types: Object.fromEntries(counts) },
    );
  const columns = Array.from(own.keys()).filter((column) => wanted.has(own[column]!));
  const taken =
    wanted.has(geneExpression) && wanted.size === 1 ? place : { ...place, featureTypes: [...wanted] };
  if (columns.length === own.length) return taken;
  const left = new Map([...counts].filter(([type]) => !wanted.has(type)));
  note({
    level: "info",
    message: `Features of ${place.name} that are not ${shownTypes([...wanted])} are left out: ${shownCounts(left)}. --feature-types asks for others.`,
  });
  return { ...taken, matrix: withColumns(place.matrix, columns), var: withRows(place.var, columns) };
}

function shownTypes(types: readonly string[]): string {
  return types.map((type) => `"${type}"`).join(", ");
}

/** "20 Antibody Capture, 3 Custom" */
export function shownCounts(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([type, count]) => `${count} ${type}`).join(", ");
}

/** Some rows of a table, in order. */
function withRows(frame: DataFrame, rows: readonly number[]): DataFrame {
  return {
    length: rows.length,
    columnNames: frame.columnNames,
    index: async () => {
      const index = await frame.index();
      return rows.map((row) => index[row]!);
    },
    column: async (name) => picked(await frame.column(name), rows),
  };
}

/** Some columns of a matrix, in order. */
function withColumns(matrix: Matrix, kept: readonly number[]): Matrix {
  const map = new Int32Array(matrix.columns).fill(-1);
  kept.forEach((column, i) => (map[column] = i));
  return derived(matrix, kept.length, ({ rows, indptr, indices, values }) => {
    const out = {
      rows,
      columns: kept.length,
      indptr: new Int32Array(rows + 1),
      indices: new Int32Array(indptr[rows]!),
      values: values.slice(0, indptr[rows]),
    };
    let at = 0;
    for (let row = 0; row < rows; row++) {
      for (let k = indptr[row]!; k < indptr[row + 1]!; k++) {
        const column = map[indices[k]!]!;
        if (column < 0) continue;
        out.indices[at] = column;
        out.values[at++] = values[k]!;
      }
      out.indptr[row + 1] = at;
    }
    return { ...out, indices: out.indices.subarray(0, at), values: out.values.subarray(0, at) };
  });
}
