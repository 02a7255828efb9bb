// Writes an analysis of samples: an .h5ad with a row per sample, and tables as CSV.
import type { DenseMatrix } from "../anndata/matrix.js";
import type { NewColumn, NewUns } from "../anndata/elements.js";
import { checkOutputFile, writeTexts } from "../anndata/output-file.js";
import { writeH5ad, type NewAnnData } from "../anndata/write.js";
import { columnName, csvOf, frameOf, type Rows } from "../anndata/tables.js";
import { version } from "../contract/version.js";
import type { SampleAnalysis } from "./analysis.js";
import type { Covariate } from "./covariates.js";
import { projectedDeviations } from "./sample-uncertainty.js";

/** The tables of an analysis by name; empty ones are left out. */
export function sampleTables(analysis: SampleAnalysis): Readonly<Record<string, Rows>> {
  const { associations, guidance, genes, classifications, predictions } = analysis;
  const tables: Record<string, Rows> = {
    samples: sampleRows(analysis),
    components: componentRows(analysis),
    associations: associations.map((row) => ({ ...row })),
    explained: guidance.covariates.map((row) => ({ ...row })),
    distances: distanceRows(analysis),
    classification: classifications.flatMap(({ covariate, folds, repeats, permutations, scores }) =>
      scores.map((row) => ({ covariate, ...row, folds, repeats, permutations })),
    ),
    predictions: predictions.flatMap(({ covariate, samples }) =>
      samples.map((row) => ({ covariate, ...row })),
    ),
    gene_correlations: (genes?.correlations ?? []).map((row) => ({ ...row })),
    gene_counts: (genes?.counts ?? []).map((row) => ({ ...row })),
    quality_correlations: (genes?.qualities ?? []).map((row) => ({ ...row })),
    gene_sets: (genes?.sets ?? []).map((row) => ({ ...row })),
  };
  return Object.fromEntries(Object.entries(tables).filter(([, rows]) => rows.length > 0));
}

/** Per sample: place in the order, neighbours, covariates, embedding, components and their deviations. */
function sampleRows(analysis: SampleAnalysis): Rows {
  const { samples, components, distances, covariates, uncertainty } = analysis;
  const deviations = componentDeviations(analysis);
  const place = new Int32Array(samples.names.length);
  distances.order.forEach((row, at) => (place[row] = at));
  /** a row of a matrix, its columns named by a prefix and their number from 1 */
  const numbered = (prefix: string, { columns, values }: DenseMatrix, row: number): [string, number][] =>
    Array.from({ length: columns }, (_, k) => [`${prefix}${k + 1}`, values[row * columns + k]!]);
  return samples.names.map((sample, row) => ({
    sample,
    is_reference: samples.isReference[row]!,
    place_in_order: place[row]!,
    neighbors: Array.from(distances.neighbors[row]!, (other) => samples.names[other]!),
    ...Object.fromEntries(covariates.map(({ name, values }) => [name, values[row]!])),
    ...Object.fromEntries([
      ...numbered("E", samples.embedding, row),
      ...numbered("PC", components.scores, row),
    ]),
    ...(deviations && {
      embedding_sd: uncertainty![row]?.deviation ?? NaN,
      ...Object.fromEntries(
        numbered("PC", deviations, row).map(([name, value]) => [`${name}_sd`, value] as const),
      ),
    }),
  }));
}

/** Per component: its variance, and the loading of each embedding dimension. */
function componentRows({ components: { variance, varianceRatio, loadings } }: SampleAnalysis): Rows {
  return Array.from(variance, (componentVariance, k) => ({
    component: k + 1,
    variance: componentVariance,
    variance_ratio: varianceRatio[k]!,
    ...Object.fromEntries(
      Array.from({ length: loadings.rows }, (_, e) => [
        `E${e + 1}`,
        loadings.values[e * loadings.columns + k]!,
      ]),
    ),
  }));
}

/** Per sample: its distance to each sample. */
function distanceRows({ samples: { names }, distances }: SampleAnalysis): Rows {
  return names.map((sample, row) => ({
    sample,
    ...Object.fromEntries(
      names.map((other, column) => [other, distances.distances.values[row * names.length + column]!]),
    ),
  }));
}

/** (S, K) standard deviation of each sample's position on each component; NaN where it is not known. */
function componentDeviations({ uncertainty, components }: SampleAnalysis): DenseMatrix | null {
  if (!uncertainty) return null;
  const K = components.loadings.columns;
  const values = new Float64Array(uncertainty.length * K).fill(NaN);
  uncertainty.forEach((sample, row) => {
    if (sample) values.set(projectedDeviations(sample, components.loadings), row * K);
  });
  return { rows: uncertainty.length, columns: K, values };
}

/** (S, E x E) covariance of each embedding, row by row; NaN where it is not known. */
function embeddingCovariances({ uncertainty, samples }: SampleAnalysis): DenseMatrix | null {
  if (!uncertainty) return null;
  const columns = samples.embedding.columns ** 2;
  const values = new Float64Array(uncertainty.length * columns).fill(NaN);
  uncertainty.forEach((sample, row) => sample && values.set(sample.covariance.values, row * columns));
  return { rows: uncertainty.length, columns, values };
}

/** Tables that the .h5ad holds in X, obs, obsm, varm and obsp. */
const storedElsewhere = ["samples", "components", "distances"];

/**
 * The .h5ad: X the embedding, obs what is known, obsm X_pca, varm PCs, obsp distances, the tables in uns (of
 * the genes those that are correlated). With uncertainties obs embedding_sd, obsm X_pca_sd (standard
 * deviation on each component) and embedding_covariance (row by row).
 */
function sampleAnnData(analysis: SampleAnalysis): NewAnnData {
  const { samples, components, distances, covariates, guidance, uncertainty } = analysis;
  const [deviations, covariances] = [componentDeviations(analysis), embeddingCovariances(analysis)];
  const all = sampleTables(analysis);
  const correlated = all.gene_correlations?.filter((row) => row.is_correlated === true) ?? [];
  const { gene_correlations: _, ...others } = all;
  const tables = correlated.length > 0 ? { ...others, gene_correlations: correlated } : others;
  const place = all.samples!.map((row) => row.place_in_order as number);
  const uns: Record<string, NewUns> = {
    pca: { variance: components.variance, variance_ratio: components.varianceRatio },
    scpoli: {
      version,
      condition_key: samples.key,
      guidance: { condition: guidance.condition ?? "", reason: guidance.reason },
    },
  };
  const hasComponents = components.variance.length > 0;
  return {
    X: samples.embedding,
    obs: {
      index: samples.names,
      columns: {
        ...Object.fromEntries(
          covariates.map((covariate) => [columnName(covariate.name), columnOf(covariate)]),
        ),
        is_reference: { kind: "boolean", values: Uint8Array.from(samples.isReference, Number) },
        place_in_order: { kind: "number", values: Int32Array.from(place) },
        ...(uncertainty && {
          embedding_sd: {
            kind: "number" as const,
            values: Float64Array.from(uncertainty, (sample) => sample?.deviation ?? NaN),
          },
        }),
      },
    },
    var: { index: Array.from({ length: samples.embedding.columns }, (_, e) => `E${e + 1}`) },
    obsm: {
      ...(hasComponents && { X_pca: components.scores }),
      ...(hasComponents && deviations && { X_pca_sd: deviations }),
      ...(covariances && { embedding_covariance: covariances }),
    },
    varm: hasComponents ? { PCs: components.loadings } : {},
    obsp: { distances: distances.distances },
    uns,
    tables: Object.fromEntries(
      Object.entries(tables)
        .filter(([name]) => !storedElsewhere.includes(name))
        .map(([name, rows]) => [name, frameOf(rows)]),
    ),
  };
}

function columnOf({ kind, values, levels }: Covariate): NewColumn {
  if (kind === "number")
    return {
      kind: "number",
      values: Float64Array.from(values, (value) => (value === null ? NaN : (value as number))),
    };
  return {
    kind: "categorical",
    codes: Int32Array.from(values, (value) => (value === null ? -1 : levels.indexOf(value as string))),
    categories: levels,
    ordered: kind === "ordinal",
  };
}

/**
 * Writes the tables of analyses into a folder, NAME.csv, or KEY.NAME.csv where there are several condition
 * keys.
 * @returns the paths
 * @throws ScPoliError "refused" if the folder already has CSV files, unless `force`; "output"
 */
export async function writeTables(
  folder: string,
  analyses: readonly SampleAnalysis[],
  { force = false }: Replacing = {},
): Promise<string[]> {
  const texts = new Map<string, string>();
  for (const analysis of analyses)
    for (const [name, rows] of Object.entries(sampleTables(analysis)))
      texts.set(`${analyses.length > 1 ? `${columnName(analysis.samples.key)}.` : ""}${name}`, csvOf(rows));
  return writeTexts(folder, texts, { kind: "table", ending: ".csv", force });
}

/** Options of writing: whether existing files may be replaced. */
export interface Replacing {
  /** default: false */
  readonly force?: boolean;
}

/**
 * Writes the .h5ad of each analysis: `path` itself, or with several condition keys NAME.KEY.h5ad.
 * @returns the paths
 * @throws ScPoliError "refused" if one exists, unless `force`; "output"
 */
export async function writeSamples(
  path: string,
  analyses: readonly SampleAnalysis[],
  { force = false }: Replacing = {},
): Promise<string[]> {
  const paths = samplePaths(
    path,
    analyses.map(({ samples }) => samples.key),
  );
  for (const file of paths) await checkOutputFile(file, "h5ad", force);
  for (const [i, analysis] of analyses.entries())
    await writeH5ad(paths[i]!, sampleAnnData(analysis), { force });
  return paths;
}

/** Paths written by `writeSamples`. */
export function samplePaths(path: string, keys: readonly string[]): string[] {
  return keys.length === 1
    ? [path]
    : keys.map((key) => `${path.replace(/\.h5ad$/, "")}.${columnName(key)}.h5ad`);
}
