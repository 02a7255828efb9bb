// The verb evaluate: scores integrations with the field's metrics, and transferred labels.
// Reads obs and obsm; counts only for PC regression if the file has no components.
import type { AnnData } from "../anndata/anndata.js";
import type { Column } from "../anndata/dataframe.js";
import { checkNumber, type Note, type RunSettings } from "../contract/options.js";
import { findCounts, type CountsPlace } from "../data/count-places.js";
import {
  byCodePoint,
  factorize,
  readConditions,
  readLabels,
  selectedCells,
  type Conditions,
} from "../data/labels.js";
import { checkGroups } from "../data/key-columns.js";
import { plainName } from "../data/same-names.js";
import { ScPoliError } from "../contract/errors.js";
import { checkOptionNames, runSettingNames, type OptionNames } from "../contract/option-names.js";
import { Random } from "../numerics/random.js";
import { isolatedTypes, type LabelledCells } from "./cells.js";
import { defaultExactCells, draws, scoreIntegration } from "./integration.js";
import { countComponents } from "./components.js";
import { scoreLabelTransfer, type LabelTransfer } from "./label-transfer.js";
import {
  metricNames,
  scoresOf,
  type MetricName,
  type Metrics,
  type ScoreName,
  type Scores,
} from "./metrics.js";
import { varianceBetween } from "./pc-regression.js";

/** Options of `evaluate`. */
export interface EvaluateOptions extends Pick<
  RunSettings,
  "threads" | "seed" | "onProgress" | "onNote" | "signal" | "force"
> {
  /** obsm keys to score. Default: X_scpoli */
  readonly embeddings?: readonly string[];
  /**
   * obs column of the conditions that should mix. Without it only label transfer is scored.
   */
  readonly conditionKey?: string;
  /** obs column of the true cell types. Cells without one are left out. */
  readonly cellTypeKey: string;
  /** names in that column that mean no label, besides the usual ones */
  readonly unlabeled?: readonly string[];
  /**
   * obsm key of positions before integration, for PC regression. Default: X_pca if present, else components
   * computed from the log-normalised counts
   */
  readonly before?: string;
  /** default: all */
  readonly metrics?: readonly MetricName[];
  /** maximum number of cells for which all metrics are exact. Default 50,000 */
  readonly exactCells?: number;
  /** obs column of predicted cell types */
  readonly predictionKey?: string;
  /**
   * obs columns of their uncertainty and probability, and of the unknown flag. Default: `<key>_uncert`,
   * `<key>_prob`, `<key>_unknown` for a prediction `<key>_pred`, if present
   */
  readonly uncertaintyKey?: string;
  /** Column of obs with the label's probability. Default: the one beside the predictions */
  readonly probabilityKey?: string;
  /** cells whose labels are scored, by values of obs columns. Default: all */
  readonly query?: Readonly<Record<string, readonly string[]>>;
  /** cell types that the predictor knows. Default: the categories of the prediction's column */
  readonly knownTypes?: readonly string[];
}

/** One embedding and its metrics. */
export interface EmbeddingScores {
  /** Key of obsm */
  readonly embedding: string;
  /** Number of dimensions */
  readonly dimensions: number;
  /** Each metric by name */
  readonly metrics: Metrics;
  /** by what they are means of */
  readonly scores: Readonly<Record<ScoreName, Scores>>;
}

/** Result of `evaluate`. */
export interface Evaluation {
  /** cells with a cell type */
  readonly cells: number;
  /** cells without one */
  readonly left_out: number;
  /** Column of the true cell types */
  readonly cell_type_key: string;
  /** Number of cell types */
  readonly cell_types: number;
  /** Column of the conditions; null: not given */
  readonly condition_key: string | null;
  /** Number of conditions; null: not given */
  readonly conditions: number | null;
  /**
   * the cell types in the fewest conditions, which the isolated-label metrics are about, and how many
   * conditions that is
   */
  readonly isolated_labels: { readonly cell_types: readonly string[]; readonly conditions: number } | null;
  /** what the positions before integration are */
  readonly before: string | null;
  /** Whether all cells were used; false: some metrics come from samples of the cells */
  readonly exact: boolean;
  /** Scores of each embedding */
  readonly embeddings: readonly EmbeddingScores[];
  /** Scores of the predictions; null: none given */
  readonly label_transfer: LabelTransfer | null;
}

const optionNames: OptionNames<EvaluateOptions & RunSettings> = {
  ...runSettingNames,
  embeddings: true,
  conditionKey: true,
  cellTypeKey: true,
  unlabeled: true,
  before: true,
  metrics: true,
  exactCells: true,
  predictionKey: true,
  uncertaintyKey: true,
  probabilityKey: true,
  query: true,
  knownTypes: true,
};

const defaultEmbedding = "X_scpoli";
const defaultBefore = "X_pca";

/**
 * Scores embeddings and transferred labels of a file.
 *
 * @example
 * const { embeddings } = await evaluate(data, { conditionKey: "donor", cellTypeKey: "cell_type" });
 * console.log(embeddings[0].scores.paper.overall);
 *
 * @throws ScPoliError "key" where a column or embedding is not there, "format" where an embedding is not
 * finite, "usage", "memory", "interrupted"
 */
export async function evaluate(data: AnnData, options: EvaluateOptions): Promise<Evaluation> {
  checkOptionNames("evaluate", options, optionNames);
  checkOptions(options);
  const { cellTypeKey, conditionKey, predictionKey, unlabeled } = options;
  const labels = await readLabels(data.obs, [cellTypeKey], unlabeled, {
    note: (note) => options.onNote?.(note),
    check: (key, factor) => checkGroups(data.obs, key, factor, "cell type", options),
  });
  const keep = Int32Array.from(labels.codes.keys()).filter((cell) => labels.codes[cell]! >= 0);
  const left = labels.codes.length - keep.length;
  const factor = { codes: keep.map((cell) => labels.codes[cell]!), names: labels.names };
  const conditions =
    conditionKey === undefined
      ? null
      : await readConditions(data.obs, conditionKey, { keep, advice: "fill the column" });
  if (conditions) await checkGroups(data.obs, conditions.key, conditions, "condition", options);
  const groups = conditions && {
    types: factor.codes,
    typeNames: factor.names,
    conditions: conditions.codes,
    conditionNames: conditions.names,
  };
  const before = conditions ? await readBefore(data, conditions, keep, options) : null;
  const embeddings = groups ? await scoreEmbeddings(data, groups, before!, keep, options) : [];
  const isolated = groups && isolatedTypes(groups);
  return {
    cells: keep.length,
    left_out: left,
    cell_type_key: cellTypeKey,
    cell_types: factor.names.length,
    condition_key: conditionKey ?? null,
    conditions: conditions?.names.length ?? null,
    isolated_labels: isolated && {
      cell_types: isolated.types.map((type) => factor.names[type]!),
      conditions: isolated.conditions,
    },
    before: before && "from" in before ? before.from : null,
    exact: keep.length <= (options.exactCells ?? defaultExactCells),
    embeddings,
    label_transfer:
      predictionKey === undefined ? null : await transfer(data, predictionKey, factor, keep, options),
  };
}

function checkOptions({
  conditionKey,
  predictionKey,
  metrics,
  exactCells,
  uncertaintyKey,
  probabilityKey,
  query,
  knownTypes,
}: EvaluateOptions): void {
  if (conditionKey === undefined && predictionKey === undefined)
    throw new ScPoliError(
      "usage",
      "Nothing to evaluate: give the conditions (--condition-key) for integration metrics, predicted " +
        "labels (--pred) for label transfer, or both.",
    );
  const needless =
    predictionKey === undefined
      ? Object.entries({
          "--uncert": uncertaintyKey,
          "--prob": probabilityKey,
          "--query": query,
          "--known-types": knownTypes,
        }).find(([, value]) => value !== undefined)
      : undefined;
  if (needless)
    throw new ScPoliError(
      "usage",
      `${needless[0]} applies to predicted labels: give their column with --pred.`,
    );
  const strange = metrics?.find((name) => !metricNames.includes(name));
  if (strange !== undefined)
    throw new ScPoliError("usage", `There is no metric "${strange}"; expected ${metricNames.join(", ")}.`, {
      name: strange,
    });
  checkNumber("exactCells", exactCells ?? defaultExactCells, 100);
}

type Before = { readonly varianceBetween: number; readonly from: string } | { readonly reason: string };

/** What PC regression compares with: the components that are named or there, else those of the counts. */
async function readBefore(
  data: AnnData,
  conditions: Conditions,
  keep: Int32Array,
  options: EvaluateOptions,
): Promise<Before> {
  const { before, metrics } = options;
  if (metrics && !metrics.includes("pc_regression")) return { reason: "it is not requested" };
  if (conditions.names.length < 2) return { reason: "there is one condition" };
  const key = before ?? (data.obsmKeys.includes(defaultBefore) ? defaultBefore : undefined);
  if (key === undefined) return beforeFromCounts(data, conditions, keep, options);
  const { points, D } = await readPoints(data, key, keep);
  return {
    varianceBetween: varianceBetween(points, D, conditions.codes, conditions.names.length),
    from: `obsm["${key}"]`,
  };
}

async function beforeFromCounts(
  data: AnnData,
  { codes, names }: Conditions,
  keep: Int32Array,
  options: EvaluateOptions,
): Promise<Before> {
  const { exactCells = defaultExactCells, seed = 0, signal, onProgress } = options;
  let place: CountsPlace;
  try {
    place = await findCounts(data, undefined, { orAllFeatures: true });
  } catch (error) {
    if (!(error instanceof ScPoliError) || error.kind !== "counts") throw error;
    return {
      reason:
        `the file has neither obsm["${defaultBefore}"] nor raw counts to compare with; give components ` +
        "before integration with --before",
    };
  }
  const drawn =
    keep.length <= exactCells
      ? Int32Array.from(keep.keys())
      : new Random(seed, "cells before integration")
          .shuffle(Int32Array.from(keep.keys()))
          .slice(0, exactCells)
          .sort();
  const conditionOf = drawn.map((cell) => codes[cell]!);
  const reading = {
    signal,
    onProgress: (done: number, total: number) => onProgress?.({ stage: "reading", done, total }),
  };
  const { values, D, genes } = await countComponents(
    place,
    drawn.map((cell) => keep[cell]!),
    conditionOf,
    seed,
    reading,
  );
  const from =
    `${D} components of the log-normalised counts in ${place.name} (${genes} ` +
    `genes${drawn.length < keep.length ? `, ${drawn.length} cells drawn at random` : ""})`;
  return { varianceBetween: varianceBetween(values, D, conditionOf, names.length), from };
}

/** Positions of some cells. @throws ScPoliError "key", "format" */
async function readPoints(
  data: AnnData,
  key: string,
  keep: Int32Array,
): Promise<{ points: Float32Array; D: number }> {
  const { values, columns: D } = await data.obsm(key);
  const points = new Float32Array(keep.length * D);
  for (let row = 0; row < keep.length; row++)
    for (let d = 0; d < D; d++) {
      const value = values[keep[row]! * D + d]!;
      if (Number.isFinite(value)) points[row * D + d] = value;
      else throw await notFinite(data, key, keep[row]!, d, value);
    }
  return { points, D };
}

async function notFinite(
  data: AnnData,
  key: string,
  row: number,
  column: number,
  value: number,
): Promise<ScPoliError> {
  const cell = (await data.obs.index())[row];
  return new ScPoliError(
    "format",
    `${data.path}: obsm["${key}"] holds ${value} in cell '${cell}' (row ${row}), column ${column}. ` +
      "Positions must be finite: compute the embedding again, or remove the cells from the file.",
    { path: data.path, key, row, column },
  );
}

async function scoreEmbeddings(
  data: AnnData,
  groups: Omit<LabelledCells, "points" | "D">,
  before: Before,
  keep: Int32Array,
  options: EvaluateOptions,
): Promise<EmbeddingScores[]> {
  const {
    embeddings = [defaultEmbedding],
    metrics,
    exactCells = defaultExactCells,
    seed,
    threads,
    onProgress,
    onNote,
    signal,
  } = options;
  // all of them are looked for before one is scored
  for (const name of embeddings) if (!data.obsmKeys.includes(name)) await data.obsm(name);
  if (keep.length > exactCells)
    onNote?.({
      level: "info",
      message:
        `More than ${exactCells} cells: metrics except PC regression are estimated from ${draws} random ` +
        "draws, with standard errors.",
    });
  const scored: EmbeddingScores[] = [];
  for (const [place, embedding] of [...new Set(embeddings)].entries()) {
    const { points, D } = await readPoints(data, embedding, keep);
    const metricValues = await scoreIntegration(
      { ...groups, points, D },
      {
        metrics,
        before,
        exactCells,
        seed,
        threads,
        onProgress: (share) => {
          if (signal?.aborted) throw new ScPoliError("interrupted", `Stopped while ${embedding} was scored.`);
          onProgress?.({
            stage: "evaluating",
            done: Math.round((place + share) * keep.length),
            total: embeddings.length * keep.length,
          });
        },
      },
    );
    warnAboutMissing(embedding, metricValues, onNote);
    scored.push({
      embedding,
      dimensions: D,
      metrics: metricValues,
      scores: { paper: scoresOf(metricValues, "paper"), kmeans: scoresOf(metricValues, "kmeans") },
    });
  }
  return scored;
}

/** Warns about metrics that cannot be computed, with the reason. */
function warnAboutMissing(
  embedding: string,
  metrics: Metrics,
  note: ((note: Note) => void) | undefined,
): void {
  const byReason = new Map<string, string[]>();
  for (const [name, metric] of Object.entries(metrics))
    if (metric.reason !== undefined)
      byReason.set(metric.reason, [...(byReason.get(metric.reason) ?? []), name]);
  for (const [reason, names] of byReason)
    note?.({ level: "warning", message: `${embedding}: no ${names.join(", ")}, because ${reason}.` });
}

async function transfer(
  data: AnnData,
  key: string,
  truth: { readonly codes: Int32Array; readonly names: readonly string[] },
  keep: Int32Array,
  options: EvaluateOptions,
): Promise<LabelTransfer> {
  const column = await data.obs.column(key);
  const predictions = factorize(column, { keep });
  const asked = options.query && new Set(await selectedCells(data.obs, options.query));
  const cells = Int32Array.from(keep.keys()).filter(
    (cell) => predictions.codes[cell]! >= 0 && (!asked || asked.has(keep[cell]!)),
  );
  if (cells.length === 0)
    throw new ScPoliError(
      "key",
      `No cell has both a label in obs["${options.cellTypeKey}"] and a prediction in ` +
        `obs["${key}"]${asked ? " among those of --query" : ""}.`,
      { key },
    );
  const known = new Set(
    options.knownTypes?.map(plainName) ??
      (column.kind === "categorical" ? column.categories.map(plainName) : predictions.names),
  );
  const names = [...new Set([...truth.names, ...predictions.names])].sort(byCodePoint);
  const rowOf = new Map(names.map((name, row) => [name, row]));
  const stem = key.endsWith("_pred") ? key.slice(0, -"_pred".length) : null;
  const numbers = async (given: string | undefined, suffix: string): Promise<Float64Array | null> => {
    const name = given ?? (stem === null ? undefined : `${stem}_${suffix}`);
    if (name === undefined || (given === undefined && !data.obs.columnNames.includes(name))) return null;
    return numbersOf(await data.obs.column(name), name, keep, cells);
  };
  const unknownKey = `${stem}_unknown`;
  const flagged =
    stem !== null && data.obs.columnNames.includes(unknownKey) ? await data.obs.column(unknownKey) : null;
  return scoreLabelTransfer({
    truth: cells.map((cell) => rowOf.get(truth.names[truth.codes[cell]!]!)!),
    predicted: cells.map((cell) => rowOf.get(predictions.names[predictions.codes[cell]!]!)!),
    names,
    isKnown: Uint8Array.from(names, (name) => (known.has(name) ? 1 : 0)),
    uncertainty: await numbers(options.uncertaintyKey, "uncert"),
    novelty: await numbers(undefined, "novelty"),
    probability: await numbers(options.probabilityKey, "prob"),
    flagged:
      flagged?.kind === "boolean"
        ? Uint8Array.from(cells, (cell) => (flagged.values[keep[cell]!] ? 1 : 0))
        : null,
  });
}

function numbersOf(column: Column, name: string, keep: Int32Array, cells: Int32Array): Float64Array {
  if (column.kind !== "number")
    throw new ScPoliError(
      "key",
      `obs["${name}"] holds ${column.kind === "boolean" ? "booleans" : "texts"}; numbers were expected.`,
      { key: name },
    );
  return Float64Array.from(cells, (cell) => column.values[keep[cell]!]!);
}
