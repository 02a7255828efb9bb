// Results of `map` and `embed`: positions and labels of cells, their summary, and writing them into a copy of
// the file.
import type { AnnData } from "../anndata/anndata.js";
import { checkKey } from "../anndata/elements.js";
import {
  startCopy,
  writeCopy,
  type Additions,
  type AdditionNames,
  type NewColumn,
  type NewUns,
  type PendingCopy,
} from "../anndata/write.js";
import type { StoredModel } from "../model/stored-model.js";
import { isDisputed, type LevelPrediction } from "../labels/classify.js";
import type { Classifier, EmbedOptions, MapOptions, UncertaintyRule } from "../contract/options.js";
import { constantColumn } from "../data/condition-values.js";
import type { NameMapReport } from "../data/name-maps.js";
import type { ConditionTreatment } from "./surgery.js";
import type { Predictions } from "./predictions.js";
import type { QueryLabels, QueryLevelReport } from "./query-labels.js";
import type { Verdict } from "./verdict.js";
import { version } from "../contract/version.js";

/** How the file was matched to the model. */
export interface MappingReport {
  /** What was done */
  readonly verb: "map" | "embed";
  /** Number of cells */
  readonly cells: number;
  /** location of the counts in the file */
  readonly counts: string;
  /** `matched`: genes of the model by where their names were found: `name`, `var["feature_name"]`, ... */
  readonly genes: {
    /** Number of genes of the model */
    readonly model: number;
    /** Genes of the model that the file has */
    readonly found: number;
    /** `found` over `model` */
    readonly share: number;
    /** Genes of the model by the place where their names were found */
    readonly matched: Readonly<Record<string, number>>;
  };
  /** effect of the gene map, if given */
  readonly gene_map?: NameMapReport;
  /** How each condition was treated */
  readonly conditions: readonly ConditionTreatment[];
  /** how the query's labels relate to the model, if given */
  readonly labels?: readonly QueryLevelReport[];
  /** What the label map renamed; missing: there was none */
  readonly label_map?: NameMapReport;
  /** epochs of the mapping; 0: without training */
  readonly epochs: number;
}

/** Counts of one annotation level. */
export interface LevelSummary {
  readonly key: string;
  /** source of the labels */
  readonly classifier: Classifier;
  readonly predicted: Readonly<Record<string, number>>;
  /** source of the uncertainties */
  readonly uncertainty: UncertaintyRule;
  /** cells whose nearest prototype has another type than the classifier on genes gives them; 0 without it */
  readonly disagreeing: number;
  readonly unknown: number;
  /** flagged cells of each predicted type that has any */
  readonly unknown_by_type: Readonly<Record<string, number>>;
  readonly threshold: LevelPrediction["threshold"];
  /** why no cell is flagged by default; null where cells are */
  readonly not_flagged: string | null;
}

/** The cells nearest to an unlabelled prototype. */
export interface ClusterSummary {
  readonly cluster: number;
  readonly cells: number;
  /** their most frequent label at the first level, and its number of cells; null without levels */
  readonly predicted: string | null;
  readonly predicted_cells: number;
  /** flagged unknown at the first level */
  readonly unknown: number;
  /**
   * 0..1: one minus the p-value of their median score at the first level, among the types of left-out donors;
   * null if novelty is not calibrated
   */
  readonly novelty: number | null;
  /**
   * whether it is unlike every known type; `genes_up` and `genes_down` then distinguish it from any mixture
   */
  readonly is_novel: boolean;
  readonly genes_up: readonly string[];
  readonly genes_down: readonly string[];
}

/** Summary of a mapping, ready for JSON. */
export interface MappingSummary extends MappingReport {
  /** Whether the mapping can be trusted, with reasons */
  readonly verdict: Verdict;
  /** cells with fewer than 10 counts in the model's genes: unknown at every level */
  readonly shallow_cells: number;
  /** Cells per type, and flagged cells, of each annotation level */
  readonly levels: readonly LevelSummary[];
  /** if the model has unlabelled prototypes: the cells nearest to each */
  readonly clusters?: readonly ClusterSummary[];
}

function countOf(
  values: Int32Array | Uint8Array,
  isCounted: (value: number, cell: number) => boolean,
): number {
  let count = 0;
  values.forEach((value, cell) => (count += isCounted(value, cell) ? 1 : 0));
  return count;
}

/** obsm and uns keys, and suffixes of obs columns, that a mapping adds. */
const latentKey = "X_scpoli";
const umapKey = "X_umap_scpoli";
const unsKey = "scpoli";
const clusterKey = "scpoli_cluster";
const suffixes = ["pred", "prototype", "head", "prob", "uncert", "novelty", "unknown", "distance"] as const;

/** Names that a mapping with this model adds to a file. */
function addedNames(
  { json }: StoredModel,
  {
    unlabeledPrototypes = false,
    cellTypeKeys = {},
  }: Pick<MapOptions, "unlabeledPrototypes" | "cellTypeKeys">,
): Required<AdditionNames> {
  const levels = json.cell_type_keys.flatMap((key) => [
    ...suffixes.map((suffix) => `${key}_${suffix}`),
    ...(key in cellTypeKeys ? [completedKey(key)] : []),
  ]);
  return {
    obs:
      unlabeledPrototypes !== false || json.unlabeled_prototypes.length > 0
        ? [...levels, clusterKey]
        : levels,
    obsm: json.landmarks ? [latentKey, umapKey] : [latentKey],
    uns: [unsKey],
  };
}

/**
 * All names that a mapping with a model of these levels can add. Those left by an earlier run are removed,
 * since they would look like results of this one.
 */
function possibleNames({ cell_type_keys }: StoredModel["json"]): AdditionNames {
  return {
    obs: [
      ...cell_type_keys.flatMap((key) => [
        ...suffixes.map((suffix) => `${key}_${suffix}`),
        completedKey(key),
      ]),
      clusterKey,
    ],
    obsm: [latentKey, umapKey],
  };
}

/** Name of the column with the given labels, and predictions for cells without one. */
function completedKey(key: string): string {
  return `${key}_completed`;
}

/** Cells with their positions and labels. */
export interface LabelledCells extends Omit<Predictions, "umap"> {
  /** (N, 2) positions in the reference's UMAP; null if the model has no landmarks */
  readonly umap: Float32Array | null;
  /** whether the query looks like the reference, with reasons */
  readonly verdict: Verdict;
  /** (N, D) mean latent */
  readonly latent: Float32Array;
  /** number of cells with fewer than 10 counts in the model's genes */
  readonly shallow: number;
}

/** The model of a mapping. */
interface Mapper {
  readonly stored: StoredModel;
}

/** Positions and labels of mapped cells. */
export class Mapping<Model extends Mapper = Mapper> {
  /** Labels per annotation level */
  readonly predictions: readonly LevelPrediction[];
  /** (N, D) */
  readonly latent: Float32Array;
  /** (N) row of the nearest unlabelled prototype; null if the model has none */
  readonly clusters: Int32Array | null;
  /** (N, 2) positions in the reference's UMAP; null if the model has no landmarks */
  readonly umap: Float32Array | null;
  /** whether the query looks like the reference, with reasons */
  readonly verdict: Verdict;
  readonly #clusterNovelty: Predictions["clusterNovelty"];
  /** number of cells with fewer than 10 counts in the model's genes, which are unknown */
  readonly shallowCells: number;
  /** by condition key, the column of the file */
  readonly #conditionColumns: Readonly<Record<string, string>>;
  /** by condition key, the condition of all cells, if the file has no column for it */
  readonly #givenConditions: readonly (readonly [key: string, condition: string])[];

  /**
   * @param source - file of the cells
   * @param model - model with the query's conditions
   * @param labels - labels of the file, if any
   */
  constructor(
    private readonly source: AnnData,
    readonly model: Model,
    { latent, umap, predictions, clusters, clusterNovelty, verdict, shallow }: LabelledCells,
    private readonly labels: QueryLabels | null,
    /** What the mapping found, as it is written into the file */
    readonly report: MappingReport,
    { conditionKeys = {}, conditionValues = {} }: Pick<EmbedOptions, "conditionKeys" | "conditionValues">,
  ) {
    this.#givenConditions = Object.entries(conditionValues).filter(
      ([key]) => !source.obs.columnNames.includes(key),
    );
    const { json } = model.stored;
    this.#conditionColumns = Object.fromEntries(
      json.condition_keys.map((key) => [key, conditionKeys[key] ?? key]),
    );
    this.latent = latent;
    this.shallowCells = shallow;
    this.predictions = predictions;
    this.clusters = clusters;
    this.#clusterNovelty = clusterNovelty;
    this.umap = umap;
    this.verdict = verdict;
  }

  /** The mapping in numbers: labels, flags, clusters, conditions, verdict. */
  summary(): MappingSummary {
    const names = this.model.stored.json.cell_types;
    const levels = this.predictions.map((level): LevelSummary => {
      const { key, classifier, uncertaintyBy, predicted, unknown, threshold, notFlagged } = level;
      const byType = (isCounted: (cell: number) => boolean): Record<string, number> => {
        const counts = new Int32Array(names.length);
        predicted.forEach((type, cell) => (counts[type]! += isCounted(cell) ? 1 : 0));
        return Object.fromEntries(
          names.map((name, type) => [name, counts[type]!] as const).filter(([, count]) => count > 0),
        );
      };
      return {
        key,
        classifier,
        uncertainty: uncertaintyBy,
        predicted: byType(() => true),
        disagreeing: countOf(predicted, (_, cell) => isDisputed(level, cell)),
        unknown: countOf(unknown, (flag) => flag > 0),
        unknown_by_type: byType((cell) => unknown[cell]! > 0),
        threshold,
        not_flagged: notFlagged,
      };
    });
    return {
      ...this.report,
      verdict: this.verdict,
      shallow_cells: this.shallowCells,
      levels,
      ...(this.clusters && { clusters: this.#clusterSummaries(this.clusters) }),
    };
  }

  #clusterSummaries(clusters: Int32Array): ClusterSummary[] {
    const { json } = this.model.stored;
    const [level] = this.predictions;
    return json.unlabeled_prototypes.map(({ cluster }, row) => {
      const clusterCells = Array.from(clusters.keys()).filter((cell) => clusters[cell] === row);
      const types = new Map<number, number>();
      if (level)
        for (const cell of clusterCells)
          types.set(level.predicted[cell]!, (types.get(level.predicted[cell]!) ?? 0) + 1);
      const [most] = [...types].sort(([a, countA], [b, countB]) => countB - countA || a - b);
      return {
        cluster,
        cells: clusterCells.length,
        predicted: most ? json.cell_types[most[0]]! : null,
        predicted_cells: most ? most[1] : 0,
        unknown: level ? clusterCells.reduce((sum, cell) => sum + level.unknown[cell]!, 0) : 0,
        ...this.#noveltyOf(row),
      };
    });
  }

  #noveltyOf(row: number): Pick<ClusterSummary, "novelty" | "is_novel" | "genes_up" | "genes_down"> {
    const cluster = this.#clusterNovelty?.[row];
    return {
      novelty: cluster?.novelty ?? null,
      is_novel: cluster?.isNovel ?? false,
      genes_up: cluster?.genes_up ?? [],
      genes_down: cluster?.genes_down ?? [],
    };
  }

  /** Columns, positions and provenance to write. */
  additions(): Additions {
    const { json } = this.model.stored;
    const obs: Record<string, NewColumn> = {};
    for (const [key, condition] of this.#givenConditions)
      obs[key] = constantColumn(this.report.cells, condition);
    for (const { key, classifier, predicted, nearest, headLabels, ...values } of this.predictions) {
      const types = json.levels[json.cell_type_keys.indexOf(key)]!;
      const codeOf = new Map(types.map((type, code) => [type, code]));
      const column = (rows: Int32Array): NewColumn => ({
        kind: "categorical",
        codes: rows.map((type) => codeOf.get(type)!),
        categories: types.map((type) => json.cell_types[type]!),
      });
      obs[`${key}_pred`] = column(predicted);
      // the labels of the other rule
      if (classifier === "head") obs[`${key}_prototype`] = column(nearest);
      else if (headLabels) obs[`${key}_head`] = column(headLabels);
      obs[`${key}_prob`] = { kind: "number", values: values.probability };
      obs[`${key}_uncert`] = { kind: "number", values: values.uncertainty };
      if (values.novelty) obs[`${key}_novelty`] = { kind: "number", values: values.novelty };
      obs[`${key}_unknown`] = { kind: "boolean", values: values.unknown };
      obs[`${key}_distance`] = { kind: "number", values: values.distance };
      if (this.labels?.report.some((level) => level.key === key))
        obs[completedKey(key)] = this.#completed(this.labels, key, predicted);
    }
    const { clusters } = this;
    if (clusters)
      obs[clusterKey] = {
        kind: "categorical",
        codes: clusters,
        categories: json.unlabeled_prototypes.map(({ cluster }) => String(cluster)),
      };
    const rows = this.report.cells;
    const obsm = {
      [latentKey]: { rows, columns: json.model.latent_dim, values: this.latent },
      ...(this.umap && { [umapKey]: { rows, columns: 2, values: this.umap } }),
    };
    const additions = { obs, obsm, uns: { [unsKey]: this.#provenance() } };
    return this.source.unsKeys.includes(unsKey) ? { ...additions, removed: possibleNames(json) } : additions;
  }

  #completed({ codes, newTypes }: QueryLabels, key: string, predicted: Int32Array): NewColumn {
    const { json } = this.model.stored;
    const level = json.cell_type_keys.indexOf(key);
    // a model after map already has the new types; a model of embed does not
    const names = [...json.cell_types, ...newTypes.filter((name) => !json.cell_types.includes(name))];
    const rows = predicted.map((type, cell) => {
      const given = codes[cell * json.levels.length + level]!;
      return given < 0 ? type : given;
    });
    const used = [...new Set(rows)].sort((a, b) => a - b);
    return {
      kind: "categorical",
      codes: rows.map((row) => used.indexOf(row)),
      categories: used.map((row) => names[row]!),
    };
  }

  /**
   * Writes a copy of the file with the results added.
   * @throws ScPoliError "refused" if a name is in use, unless `force`; "output" if the copy cannot be written
   */
  async write(output: string, options: { readonly force?: boolean } = {}): Promise<void> {
    await writeCopy(this.source, output, this.additions(), options);
  }

  #provenance(): NewUns {
    const { cells: _, conditions, genes, gene_map, labels, label_map, ...report } = this.report;
    const thresholds = Object.fromEntries(
      this.predictions.map(({ key, threshold }) => [key, threshold ?? "none"]),
    );
    return {
      version,
      ...report,
      genes_found: genes.found,
      shallow_cells: this.shallowCells,
      gene_coverage: genes.share,
      ...(gene_map && { genes_renamed: gene_map.renamed }),
      ...(label_map && { labels_renamed: label_map.renamed }),
      ...(labels && {
        new_cell_types: labels.flatMap((level) =>
          Object.keys(level.new).map((name) => `${level.key}: ${name}`),
        ),
      }),
      condition_keys: this.model.stored.json.condition_keys,
      condition_columns: this.#conditionColumns,
      cell_type_keys: this.model.stored.json.cell_type_keys,
      classifiers: Object.fromEntries(this.predictions.map(({ key, classifier }) => [key, classifier])),
      uncertainties: Object.fromEntries(
        this.predictions.map(({ key, uncertaintyBy }) => [key, uncertaintyBy]),
      ),
      thresholds,
      not_flagged: Object.fromEntries(
        this.predictions.flatMap(({ key, notFlagged }) => (notFlagged === null ? [] : [[key, notFlagged]])),
      ),
      ...(this.clusters && { clusters: JSON.stringify(this.#clusterSummaries(this.clusters)) }),
      conditions: conditions.map(
        ({ key, condition, kind, nearest }) =>
          `${key}=${condition}: ${kind}${nearest === undefined ? "" : `, started from ${nearest}`}`,
      ),
      verdict: JSON.stringify(this.verdict),
      provenance: JSON.stringify(this.model.stored.json.provenance, (name, value: unknown) =>
        name === "history" ? undefined : value,
      ),
    };
  }
}

/**
 * Runs `compute` while the file is copied to `output`, then adds its results. Names that are in use are
 * refused before anything is computed.
 */
export async function computeIntoCopy<Model extends Mapper>(
  source: AnnData,
  stored: StoredModel,
  options: Pick<MapOptions, "output" | "force" | "unlabeledPrototypes" | "cellTypeKeys" | "onNote">,
  compute: () => Promise<Mapping<Model>>,
): Promise<Mapping<Model>> {
  const { output, force, onNote } = options;
  if (output === undefined) return compute();
  const names = addedNames(stored, options);
  Object.values(names).flat().forEach(checkKey);
  stored.json.condition_keys.forEach(checkKey);
  const onWarning = (message: string): void => onNote?.({ level: "warning", message });
  const copy: PendingCopy = await startCopy(source, output, {
    names,
    force,
    onWarning,
  });
  try {
    const result = await compute();
    await copy.finish(result.additions());
    return result;
  } catch (error) {
    await copy.discard();
    throw error;
  }
}
