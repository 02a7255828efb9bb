// Selects the features to model. Files of CITE-seq, Multiome and screens have antibodies, peaks and guides
// next to genes; a column of var gives the feature type. Only the requested types are modelled, by default
// gene expression.
import type { DataFrame } from "../anndata/dataframe.js";
import type { Matrix } from "../anndata/matrix.js";
import type { Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { derived, picked } from "./derived-counts.js";
import { factorize } from "./labels.js";

/** Feature type modelled by default. */
const geneExpression = "Gene Expression";
/** Feature type that Poisson models use. */
export const peaks = "Peaks";

/** Feature types of CellRanger, with synonyms in lower case. */
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
  Object.entries(types).flatMap(([type, synonyms]) =>
    [plain(type), ...synonyms].map((synonym) => [synonym, type] as const),
  ),
);

/** The type in CellRanger's spelling; unknown types unchanged. */
function featureType(name: string): string {
  return nameOf.get(plain(name)) ?? name.trim();
}

/** Columns of var that may hold feature types, in lower case, most reliable first. */
const typeColumns = [
  ...["feature_types", "feature_type", "featuretypes", "featuretype", "modality", "modalities"],
  ...["feature_modality", "feature_biotype", "library_type", "type", "types"],
];

/**
 * Type of every feature, from the first column that holds feature types; null if there is none. A feature
 * without a type counts as gene expression.
 */
export async function featureTypes(features: DataFrame): Promise<readonly string[] | null> {
  const order = (name: string): number => typeColumns.indexOf(name.toLowerCase());
  const columns = features.columnNames.filter((name) => order(name) >= 0);
  for (const name of columns.sort((a, b) => order(a) - order(b))) {
    const { codes, names } = factorize(await features.column(name));
    const knownTypes = names.filter((type) => nameOf.has(plain(type)));
    // CELLxGENE's feature_type holds biotypes, which are not feature types
    const isTypes =
      order(name) === 0 ? knownTypes.length > 0 : knownTypes.length > 0 && knownTypes.length === names.length;
    if (!isTypes) continue;
    const types = names.map(featureType);
    return Array.from(codes, (code) => types[code] ?? geneExpression);
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
  /** types to model, in any spelling; "all" for every feature. Default: gene expression */
  readonly types?: readonly string[];
  /** types of the model, used if none are requested */
  readonly modelTypes?: readonly string[];
  /** type used instead of gene expression if the file has it, unless `types` are given */
  readonly preferred?: string;
  /** use all features of a file without gene expression, unless `types` are given. Default: an error */
  readonly orAll?: boolean;
  readonly note?: (note: Note) => void;
}

/**
 * Selects the features to model. `featureTypes` of the result lists the types if they are not only gene
 * expression. Reports what is left out.
 * @throws ScPoliError "key" if the file has no feature of the requested types
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
  const typeOfFeature = await featureTypes(place.var);
  if (typeOfFeature === null) {
    const requested = types?.find((type) => featureType(type) !== geneExpression);
    if (requested === undefined) return place;
    throw new ScPoliError(
      "key",
      `Features of the type "${requested}" were requested, but no column of var gives feature types ` +
        "(feature_types in CellRanger and scanpy).",
      { types },
    );
  }
  const counts = countTypes(typeOfFeature);
  const has = (type: string): boolean => counts.has(type);
  const wanted = new Set(
    asked?.map(featureType) ?? [preferred !== undefined && has(preferred) ? preferred : geneExpression],
  );
  if (orAll && asked === undefined && !has(geneExpression)) return place;
  const absent = [...wanted].filter((type) => !has(type));
  if (absent.length === wanted.size || (asked && absent.length > 0))
    throw new ScPoliError(
      "key",
      `${place.name} has no features of the type ${shownTypes(absent)}; it has ${shownCounts(counts)}. ` +
        `To model others: --feature-types "${[...counts.keys()][0]}" (several separated by commas, or all).`,
      { types: Object.fromEntries(counts) },
    );
  const columns = Array.from(typeOfFeature.keys()).filter((column) => wanted.has(typeOfFeature[column]!));
  const selected =
    wanted.has(geneExpression) && wanted.size === 1 ? place : { ...place, featureTypes: [...wanted] };
  if (columns.length === typeOfFeature.length) return selected;
  const left = new Map([...counts].filter(([type]) => !wanted.has(type)));
  note({
    level: "info",
    message:
      `Features of ${place.name} that are not ${shownTypes([...wanted])} are left out: ` +
      `${shownCounts(left)}. Use --feature-types to select others.`,
  });
  return { ...selected, matrix: withColumns(place.matrix, columns), var: withRows(place.var, columns) };
}

function shownTypes(types: readonly string[]): string {
  return types.map((type) => `"${type}"`).join(", ");
}

/** "20 Antibody Capture, 3 Custom" */
function shownCounts(counts: ReadonlyMap<string, number>): string {
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
