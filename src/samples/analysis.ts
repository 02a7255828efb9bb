// Analyses the embedding of a model's conditions as samples. One analysis per condition key.
// Source: De Donno et al. 2023 (condition embeddings as samples: association with covariates, classification,
// genes).
import type { AnnData } from "../anndata/anndata.js";
import type { DenseMatrix } from "../anndata/matrix.js";
import type { CountsOptions, Note, RunSettings } from "../contract/options.js";
import { checkValueKeys, readQueryConditions } from "../data/condition-values.js";
import type { Conditions } from "../data/labels.js";
import { metadataOfConditions, type SampleMetadata } from "../data/sample-metadata.js";
import { findValues } from "../data/values.js";
import { ScPoliError } from "../contract/errors.js";
import type { StoredModel } from "../model/stored-model.js";
import { principalComponents, type Components } from "../numerics/principal-components.js";
import { pearson } from "../statistics/correlation.js";
import { loadDistributions } from "../statistics/distributions.js";
import { associate, type Association } from "./associations.js";
import {
  classifySamples,
  predictSamples,
  type Classification,
  type ClassificationOptions,
  type SamplePrediction,
} from "./classification.js";
import { covariateOf, type Covariate, type CovariateKinds } from "./covariates.js";
import { sampleDistances, type SampleDistances } from "./distances.js";
import { sampleExpression, type SampleExpression } from "./expression.js";
import {
  correlateGenes,
  countCorrelated,
  overRepresentation,
  type GeneCorrelation,
  type GeneCounts,
  type GeneLimits,
  type OverRepresentation,
} from "./genes.js";
import { explainEmbedding, guide, type Guidance } from "./guidance.js";
import { readGeneSets } from "../data/gene-set-file.js";
import type { GeneSet } from "../statistics/gene-sets.js";
import { readMetadataTable } from "./metadata-table.js";
import type { SampleUncertainty } from "./sample-uncertainty.js";
import { sampleTable, selectRows, type SampleTable } from "./sample-table.js";

/** Options of `ScPoli.samples`. */
export interface SamplesOptions
  extends
    Pick<RunSettings, "onNote" | "onProgress" | "signal">,
    Pick<CountsOptions, "layer" | "recoverCounts" | "roundCounts" | "featureTypes">,
    ClassificationOptions,
    GeneLimits {
  /** condition keys to analyse. Default: all */
  readonly keys?: readonly string[];
  /**
   * cells of the samples: their columns of obs that are constant within a sample are metadata, their counts
   * give mean expression
   */
  readonly data?: AnnData;
  /** by the model's condition key, the column of `data` if it has another name */
  readonly conditionKeys?: Readonly<Record<string, string>>;
  /** by the model's condition key, the condition of all cells of `data`, if it has no column for it */
  readonly conditionValues?: Readonly<Record<string, string>>;
  /** metadata: a file (csv, tsv), or one table per condition key */
  readonly metadata?: string | Readonly<Record<string, SampleMetadata>>;
  /** Covariates whose kind is given rather than inferred */
  readonly kinds?: CovariateKinds;
  /** covariates to analyse. Default: all that vary */
  readonly covariates?: readonly string[];
  /** covariates to classify samples by */
  readonly classify?: readonly string[];
  /** covariates to predict for new samples */
  readonly predict?: readonly string[];
  /** gene sets, or a .gmt file of them */
  readonly geneSets?: readonly GeneSet[] | string;
  /**
   * false: no uncertainty of the embeddings. Default: with data that have counts of the model's genes
   */
  readonly uncertainty?: boolean;
}

/**
 * Correlation of a quality of the samples' cells (numbers of counts, fractions of gene families) with a
 * component.
 */
export interface QualityCorrelation {
  /** Name of the quality: cells, total_counts and the like */
  readonly quality: string;
  /** from 1 */
  readonly component: number;
  /** Pearson correlation */
  readonly r: number;
  /** Two-sided P value */
  readonly p: number;
}

/** Results from the counts of the samples' cells. */
export interface GeneAnalysis {
  /** Mean expression of each sample */
  readonly expression: SampleExpression;
  /** all genes that vary, by component, the smallest P first */
  readonly correlations: readonly GeneCorrelation[];
  /** Number of correlated genes per component */
  readonly counts: readonly GeneCounts[];
  /** Correlations of sample qualities with the components */
  readonly qualities: readonly QualityCorrelation[];
  /** empty without gene sets */
  readonly sets: readonly OverRepresentation[];
}

/** Analysis of the samples of one condition key. */
export interface SampleAnalysis {
  /** The samples, their embedding and what is known of them */
  readonly samples: SampleTable;
  /** Principal components of the embedding */
  readonly components: Components;
  /** (S) uncertainty of each embedding, null for samples without cells; null without data */
  readonly uncertainty: readonly (SampleUncertainty | null)[] | null;
  /** Distances between samples */
  readonly distances: SampleDistances;
  /** analysed covariates: metadata, and with data qualities of the cells */
  readonly covariates: readonly Covariate[];
  /** Each covariate against each component */
  readonly associations: readonly Association[];
  /** The condition to integrate on, and why */
  readonly guidance: Guidance;
  /** null without data */
  readonly genes: GeneAnalysis | null;
  /** Cross-validated classification, per covariate asked for */
  readonly classifications: readonly Classification[];
  /** Predicted values of new samples, per covariate asked for */
  readonly predictions: readonly {
    /** Name of the covariate */
    readonly covariate: string;
    /** A prediction per new sample and classifier */
    readonly samples: readonly SamplePrediction[];
  }[];
}

/** Minimum number of samples to test components. */
const leastSamples = 3;
/** Number of pseudobulk components for classifiers: the default width of an embedding. */
const pseudobulkComponents = 10;

/**
 * @param uncertainties - per key, as in `SampleAnalysis`
 * @throws ScPoliError; see `ScPoli.samples`
 */
export async function analyseSamples(
  stored: StoredModel,
  options: SamplesOptions = {},
  uncertainties?: readonly SampleAnalysis["uncertainty"][],
): Promise<SampleAnalysis[]> {
  const keys = options.keys ?? stored.json.condition_keys;
  checkValueKeys(options.conditionValues, stored.json.condition_keys);
  const conditions = options.data && (await conditionsOf(stored, keys, options.data, options));
  const tables = await readMetadata(stored, keys, conditions, options);
  const samples = keys.map((key, k) => sampleTable(stored, key, tables[k], options.kinds));
  const expressions = await readExpression(stored, samples, conditions, options);
  const sets =
    typeof options.geneSets === "string" ? await readGeneSets(options.geneSets) : (options.geneSets ?? []);
  if (sets.length > 0 && !expressions)
    throw new ScPoliError(
      "usage",
      "Gene sets need the expression of the samples: give the file of their cells (--data).",
    );
  const analyses: SampleAnalysis[] = [];
  for (const [k, table] of samples.entries())
    analyses.push(
      await analyse(
        table,
        expressions?.[k] ?? null,
        uncertainties?.[k] ?? null,
        sets,
        options,
        samples.length > 1,
      ),
    );
  for (const name of [...(options.classify ?? []), ...(options.predict ?? [])])
    if (!analyses.some(({ covariates }) => covariates.some((covariate) => covariate.name === name)))
      throw missingCovariate(name, analyses);
  return analyses;
}

function missingCovariate(name: string, analyses: readonly SampleAnalysis[]): ScPoliError {
  const names = [
    ...new Set(analyses.flatMap(({ covariates }) => covariates.map((covariate) => `'${covariate.name}'`))),
  ];
  return new ScPoliError(
    "key",
    `The samples have no covariate '${name}'; ` +
      (names.length > 0
        ? `there are ${names.join(", ")}.`
        : "they have no metadata: give a table (--metadata) or the file of their cells (--data)."),
    { covariate: name },
  );
}

async function analyse(
  samples: SampleTable,
  expression: SampleExpression | null,
  uncertainty: SampleAnalysis["uncertainty"],
  sets: readonly GeneSet[],
  options: SamplesOptions,
  isOneOfSeveral: boolean,
): Promise<SampleAnalysis> {
  const { seed, onNote } = options;
  const S = samples.names.length;
  if (S < leastSamples)
    onNote?.({
      level: "warning",
      message:
        `${samples.key} has ${S === 1 ? "one sample" : `${S} samples`}: too few for components, ` +
        "associations and correlations; only positions and distances are computed.",
    });
  const components = principalComponents(samples.embedding, S < leastSamples ? 0 : Infinity);
  const all = [...samples.covariates, ...(expression ? qualityCovariates(expression) : [])];
  const covariates = options.covariates ? all.filter(({ name }) => options.covariates!.includes(name)) : all;
  const explained =
    components.variance.length > 0 ? explainEmbedding(samples.embedding, covariates, { seed }) : [];
  const features = {
    embedding: samples.embedding,
    ...(expression && { pseudobulk: pseudobulkFeatures(expression) }),
  };
  const chosen = (names: readonly string[] = []): Covariate[] =>
    names.flatMap((name) => all.filter((covariate) => covariate.name === name));
  // with several keys, a covariate may be one of the other key's samples only
  const attempt = <T>(what: () => T): T[] => {
    try {
      return [what()];
    } catch (error) {
      if (!isOneOfSeveral || !(error instanceof ScPoliError) || error.kind !== "usage") throw error;
      onNote?.({ level: "warning", message: `${samples.key}: ${error.message}` });
      return [];
    }
  };
  return {
    samples,
    components,
    uncertainty,
    distances: sampleDistances(samples.embedding, options.neighbors),
    covariates,
    associations: await associate(components, covariates, uncertainty),
    guidance: guide(samples.key, S, explained),
    genes: expression && (await analyseGenes(expression, components, sets, options)),
    classifications: chosen(options.classify).flatMap((covariate) =>
      attempt(() => classifySamples(covariate, features, options)),
    ),
    predictions: chosen(options.predict).flatMap((covariate) =>
      attempt(() => ({
        covariate: covariate.name,
        samples: predictSamples(samples, covariate, options, uncertainty),
      })),
    ),
  };
}

async function analyseGenes(
  expression: SampleExpression,
  components: Components,
  sets: readonly GeneSet[],
  limits: GeneLimits,
): Promise<GeneAnalysis> {
  const distributions = await loadDistributions();
  const correlations = await correlateGenes(expression, components, limits);
  const rows = Int32Array.from(expression.cells.keys()).filter((sample) => expression.cells[sample]! > 0);
  const { columns, values } = components.scores;
  const qualities = Object.entries(expression.qualities).flatMap(([quality, qualityOfSamples]) =>
    Array.from({ length: columns }, (_, k) => ({
      quality,
      component: k + 1,
      ...pearson(
        Float64Array.from(rows, (row) => qualityOfSamples[row]!),
        Float64Array.from(rows, (row) => values[row * columns + k]!),
        distributions,
      ),
    })),
  );
  return {
    expression,
    correlations,
    counts: countCorrelated(correlations, limits),
    qualities,
    sets: sets.length > 0 ? await overRepresentation(correlations, sets, expression.symbols) : [],
  };
}

/** (S, components) of mean expression; NaN for samples without cells. */
function pseudobulkFeatures({ means, cells }: SampleExpression): DenseMatrix {
  const rows = Int32Array.from(cells.keys()).filter((sample) => cells[sample]! > 0);
  const { scores } = principalComponents(selectRows(means, rows), pseudobulkComponents);
  const values = new Float64Array(cells.length * scores.columns).fill(NaN);
  rows.forEach((row, at) =>
    values.set(scores.values.subarray(at * scores.columns, (at + 1) * scores.columns), row * scores.columns),
  );
  return { rows: cells.length, columns: scores.columns, values };
}

/** Numbers of cells and means over them, as covariates. */
function qualityCovariates({ cells, qualities }: SampleExpression): Covariate[] {
  const known = (values: Float64Array): (number | null)[] =>
    Array.from(values, (value) => (Number.isFinite(value) ? value : null));
  return [
    covariateOf("cells", known(cells)),
    ...Object.entries(qualities).map(([name, values]) => covariateOf(name, known(values))),
  ];
}

/** Per key, the conditions of the data's cells in the model's spelling. */
function conditionsOf(
  { json }: StoredModel,
  keys: readonly string[],
  data: AnnData,
  options: SamplesOptions,
): Promise<Conditions[]> {
  const known = keys.map((key) => json.conditions[json.condition_keys.indexOf(key)] ?? []);
  return readQueryConditions(data.obs, keys, known, options, (note) => options.onNote?.(note));
}

/** Per key, metadata of the data and of the table. */
async function readMetadata(
  { json }: StoredModel,
  keys: readonly string[],
  conditions: readonly Conditions[] | undefined,
  options: SamplesOptions,
): Promise<SampleMetadata[][]> {
  const { data, metadata, onNote = () => {} } = options;
  const tables: SampleMetadata[][] = keys.map(() => []);
  if (data && conditions) {
    (await metadataOfConditions(data.obs, conditions, { onNote })).forEach((table, k) =>
      tables[k]!.push(table),
    );
  }
  if (metadata === undefined) return tables;
  if (typeof metadata !== "string") {
    keys.forEach((key, k) => metadata[key] && tables[k]!.push(metadata[key]));
    return tables;
  }
  const failures: unknown[] = [];
  for (const [k, key] of keys.entries()) {
    try {
      tables[k]!.push(
        await readMetadataTable(
          metadata,
          key,
          json.conditions[json.condition_keys.indexOf(key)] ?? [],
          onNote,
        ),
      );
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === keys.length) throw failures[0];
  return tables;
}

/** Says which samples have no cells in a file, so that analyses of expression do without them. */
function noteMissingSamples(
  { key, names }: SampleTable,
  conditionNames: readonly string[],
  path: string,
  onNote: (note: Note) => void,
): void {
  const missing = names.filter((name) => !conditionNames.includes(name));
  if (missing.length === 0) return;
  const shown = missing.slice(0, 5).map((name) => `'${name}'`);
  onNote({
    level: "info",
    message:
      `Analyses of expression use the ${names.length - missing.length} of ${names.length} samples (${key}) ` +
      `of which ${path} has cells. It has none of ${shown.join(", ")}` +
      `${missing.length > shown.length ? " and others" : ""}.`,
  });
}

/** Mean expression of the samples of each key, in one pass; null without data. */
async function readExpression(
  { json }: StoredModel,
  tables: readonly SampleTable[],
  conditions: readonly Conditions[] | undefined,
  options: SamplesOptions,
): Promise<SampleExpression[] | null> {
  const { data, onNote = () => {} } = options;
  if (!data || !conditions) return null;
  const divisions = [];
  for (const [k, { key, names }] of tables.entries()) {
    const { codes, names: conditionNames } = conditions[k]!;
    const rows = conditionNames.map((name) => names.indexOf(name));
    if (rows.every((row) => row < 0))
      throw new ScPoliError(
        "key",
        `${data.path} has no cell of the model's ${key}: its values are like ${conditionNames
          .slice(0, 3)
          .map((name) => `'${name}'`)
          .join(", ")}, the model's like ${names
          .slice(0, 3)
          .map((name) => `'${name}'`)
          .join(", ")}.`,
        { key },
      );
    noteMissingSamples(tables[k]!, conditionNames, data.path, onNote);
    divisions.push({ samples: names.length, codes: codes.map((code) => rows[code]!) });
  }
  const { place } = await findValues(
    data,
    {
      ...options,
      reconLoss: json.model.recon_loss,
      trainedOn: json.atac_counts,
      modelTypes: json.feature_types,
    },
    onNote,
  );
  return sampleExpression(place, divisions, {
    signal: options.signal,
    onProgress: (done, total) => options.onProgress?.({ stage: "reading", done, total }),
  });
}
