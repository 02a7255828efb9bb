// The public class: train a reference, save and load it, map a query onto it, embed cells of known
// conditions. It contains no mathematics.
import { modelContent, type ModelContent } from "./model-content.js";
import { provideWorkThreads } from "#threads";
import type { AnnData } from "../anndata/anndata.js";
import { loadModel, noModelFile, saveModel } from "../storage/model-folder.js";
import { earlierVersion } from "../storage/model-json-checks.js";
import { optionsOf, type StoredModel } from "../model/stored-model.js";
import {
  defaultsOf,
  type AtacCounts,
  type EmbedOptions,
  type MapOptions,
  type Note,
  type RunSettings,
  type TrainOptions,
} from "../contract/options.js";
import { labelCells, type LabelOptions } from "../mapping/labelling.js";
import { computeIntoCopy, Mapping } from "../mapping/mapping.js";
import { modelCard } from "../storage/model-card.js";
import { openModelFiles } from "../storage/model-files.js";
import { prototypeTable, type PrototypeRow } from "../prototypes/prototype-table.js";
import { predictCells } from "../mapping/predictions.js";
import { describeShallow, shallowCells, withoutCertainty } from "../labels/shallow-cells.js";
import {
  writeDecodedExpression,
  type DecodeOptions,
  type DecodingSummary,
} from "../mapping/decoded-expression.js";
import { embedCells, type QueryResult } from "../mapping/embed-query.js";
import { mapQuery } from "../mapping/map-query.js";
import { geneCoverage, type GeneCoverage } from "../mapping/query.js";
import { backgroundWorkFor } from "../mapping/background-work.js";
import {
  checkOptionNames,
  countsOptionNames,
  embedOptionNames,
  mapOptionNames,
  runSettingNames,
  trainOptionNames,
  type OptionNames,
} from "../contract/option-names.js";
import { sampleUncertainties } from "../mapping/embedding-uncertainty.js";
import { judgeMapping, measureMapping } from "../mapping/verdict.js";
import { conditionParameters, type ConditionParameters } from "../model/parameters.js";
import { analyseSamples, type SampleAnalysis, type SamplesOptions } from "../samples/analysis.js";
import { exportScArches, type ExportOptions } from "../scarches/export.js";
import { importScArches, type ImportOptions } from "../scarches/import.js";
import { isPythonModel } from "../scarches/python-model.js";
import { trainReference } from "../training/training.js";

provideWorkThreads();

const importOptionNames: OptionNames<ImportOptions & RunSettings> = { ...runSettingNames, genes: true };
const exportOptionNames: OptionNames<ExportOptions & RunSettings> = runSettingNames;
const labelOptionNames: OptionNames<LabelOptions> = {
  ...runSettingNames,
  ...countsOptionNames,
  conditionKeys: true,
  conditionValues: true,
  geneMap: true,
  name: true,
  level: true,
  clusters: true,
  cells: true,
  select: true,
  rows: true,
};
const samplesOptionNames: OptionNames<SamplesOptions & RunSettings> = {
  ...runSettingNames,
  layer: true,
  recoverCounts: true,
  roundCounts: true,
  featureTypes: true,
  folds: true,
  repeats: true,
  permutations: true,
  neighbors: true,
  maxP: true,
  minR: true,
  keys: true,
  data: true,
  conditionKeys: true,
  conditionValues: true,
  metadata: true,
  kinds: true,
  covariates: true,
  classify: true,
  predict: true,
  geneSets: true,
  uncertainty: true,
};

/** Summary of a model, JSON-ready. */
export interface ModelSummary {
  /** Version of scpoli that wrote the model */
  readonly version: string;
  /** cells of the reference */
  readonly cells: number | null;
  /** Number of genes */
  readonly genes: number;
  /** Names of the conditions, per key */
  readonly conditions: Readonly<Record<string, readonly string[]>>;
  /** conditions of each key that belong to the reference */
  readonly reference_conditions: Readonly<Record<string, number>>;
  /** number of cells of each type, per level */
  readonly cell_types: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** for each key, the columns of `sample_metadata` in model.json */
  readonly sample_metadata: Readonly<Record<string, readonly string[]>>;
  /** all prototypes, unlabelled ones last */
  readonly prototypes: readonly PrototypeRow[];
  /** Widths, likelihood and the like */
  readonly model: StoredModel["json"]["model"];
  /** Number of parameters */
  readonly parameters: number;
  /** Number of parameters that the conditions take */
  readonly condition_parameters: ConditionParameters;
  /** unit assumed for scATAC counts; null if not applicable */
  readonly atac_counts: AtacCounts | null;
  /** Scales and threshold per annotation level */
  readonly calibration: StoredModel["json"]["calibration"];
  /** Options, epochs, losses and mapped queries */
  readonly provenance: Readonly<Record<string, unknown>>;
}

/**
 * A scPoli model: a reference, optionally with mapped queries.
 *
 * @example
 * const reference = await AnnData.open("reference.h5ad");
 * const model = await ScPoli.train(reference, { conditionKeys: ["donor"], cellTypeKeys: ["cell_type"] });
 * await model.save("model");
 * const query = await AnnData.open("query.h5ad");
 * const mapping = await model.map(query, { output: "query_labelled.h5ad" });
 * console.log(mapping.summary());
 */
export class ScPoli {
  private constructor(
    /**
     * The model as it is stored: tensors, and everything else as JSON.
     * @internal
     */
    readonly stored: StoredModel,
  ) {}

  /** What the model holds: genes, conditions, cell types, prototypes, landmarks. */
  get content(): ModelContent {
    return modelContent(this.stored);
  }

  /**
   * Trains a reference on raw counts, conditions and cell types.
   * @throws ScPoliError "key" for a missing column, "counts" if there are no raw counts, "refused" by checks
   * that `force` passes, "usage" for an option out of range, "interrupted" by `signal` (with a checkpoint if
   * `checkpoint` names a file)
   */
  static async train(data: AnnData, options: TrainOptions): Promise<ScPoli> {
    checkOptionNames("train", options, trainOptionNames);
    return new ScPoli(await trainReference(data, options));
  }

  /**
   * Loads a model: a folder, a zip or tar file of one, or a model of scArches (see `import`).
   * @throws ScPoliError "file" if there is none, "model" if it is damaged, newer than this version, or
   * something else
   */
  static async load(path: string, options: { readonly onNote?: (note: Note) => void } = {}): Promise<ScPoli> {
    checkOptionNames("load", options, runSettingNames);
    const { onNote } = options;
    const files = await openModelFiles(path);
    if (!files) throw noModelFile(path);
    if (!isPythonModel(files)) {
      const stored = await loadModel(files);
      if (stored.json.head?.levels.some((level) => level.not_calibrated === earlierVersion))
        onNote?.({
          level: "warning",
          message:
            `${path} was made by an earlier version: its novelty model is ignored, and no cell is ` +
            "flagged unknown. Retrain it to get novelty scores.",
        });
      return new ScPoli(stored);
    }
    onNote?.({
      level: "info",
      message:
        `${path} is a model of the Python package scArches: it is imported for this run (use \`scpoli ` +
        `import\` to convert it permanently).`,
    });
    return new ScPoli(await importScArches(files, { onNote }));
  }

  /**
   * Loads a model that scArches has written (a folder with attr.pkl, model_params.pt, var_names.csv; a zip or
   * tar file of one; a single model.pt). It is parsed as data: no code in it is executed.
   * @throws ScPoliError "file" if something is missing, "model" if it is damaged or of an unsupported kind
   */
  static async import(path: string, options: ImportOptions = {}): Promise<ScPoli> {
    checkOptionNames("import", options, importOptionNames);
    return new ScPoli(await importScArches(path, options));
  }

  /**
   * Writes a folder that scArches 0.6.1 loads.
   * @throws ScPoliError "model" if scArches does not support such a model; "output"; "refused" if a model
   * exists there, unless `force`
   */
  async export(folder: string, options: ExportOptions = {}): Promise<void> {
    checkOptionNames("export", options, exportOptionNames);
    await exportScArches(folder, this.stored, options);
  }

  /** A model card to complete: a description of the model in Markdown. */
  card(): string {
    return modelCard(this.stored.json);
  }

  /**
   * Writes the model: a folder, or one zip file if the name ends in .zip; with its card, if one is given.
   * @throws ScPoliError "output"; "refused" if something else has this name, unless `force`
   */
  async save(
    path: string,
    options: { readonly force?: boolean; readonly card?: string } = {},
  ): Promise<void> {
    checkOptionNames("save", options, { ...runSettingNames, card: true });
    await saveModel(path, this.stored, options);
  }

  /**
   * Maps a query: learns embeddings of new conditions with everything of the reference frozen, then embeds
   * and labels the cells.
   * @returns the mapping; `mapping.model` is the model with the query's conditions
   * @throws ScPoliError as `train`, and "refused" if the query has less than half of the model's genes,
   * unless `force`
   */
  async map(query: AnnData, options: MapOptions = {}): Promise<Mapping<ScPoli>> {
    checkOptionNames("map", options, mapOptionNames);
    const all = withPreset(options);
    return this.#into(query, all, () => mapQuery(this.stored, query, all));
  }

  /**
   * Decodes the expression of cells whose conditions the model knows into an .h5ad file: at their own
   * conditions, at others, or averaged over the reference's.
   * @throws ScPoliError "key" for a condition or gene that the model does not have, "output"
   */
  expression(data: AnnData, output: string, options: DecodeOptions = {}): Promise<DecodingSummary> {
    return writeDecodedExpression(this.stored, data, output, options);
  }

  /**
   * Embeds and labels cells whose conditions the model knows.
   * @throws ScPoliError "key" for a condition that the model does not have
   */
  async embed(data: AnnData, options: EmbedOptions = {}): Promise<Mapping<ScPoli>> {
    checkOptionNames("embed", options, embedOptionNames);
    const all = withPreset(options);
    return this.#into(data, all, () => embedCells(this.stored, data, all));
  }

  /**
   * Names an unlabelled prototype, or cells of a file whose conditions the model knows, as a cell type with a
   * new prototype. Nothing is trained.
   * @returns the model with the new cell type; this one is unchanged
   * @throws ScPoliError "key" for a name in use, or a level, unlabelled prototype, column, value or condition
   * that does not exist; "usage" if the cells are not specified
   */
  async label(options: LabelOptions): Promise<ScPoli> {
    checkOptionNames("label", options, labelOptionNames);
    return new ScPoli(await labelCells(this.stored, options));
  }

  /**
   * Analyses samples: the embeddings of the conditions of each key, together with their metadata. Nothing is
   * trained. With the samples' cells, also how uncertain each embedding is.
   * @returns one analysis per condition key; `writeSamples` and `writeTables` write them
   * @throws ScPoliError "key" for a condition key, column or covariate that does not exist; "model" if the
   * conditions are one-hot; "usage" if a covariate cannot be classified; "file" for an unreadable table;
   * "counts"
   */
  async samples(options: SamplesOptions = {}): Promise<SampleAnalysis[]> {
    checkOptionNames("samples", options, samplesOptionNames);
    return analyseSamples(this.stored, options, await sampleUncertainties(this.stored, options));
  }

  /** Share of the model's genes that a file has, by name, before any computation. Never refuses. */
  async coverage(data: AnnData): Promise<GeneCoverage> {
    return geneCoverage(this.stored, data);
  }

  /** Summary of the model: genes, conditions, cell types, prototypes, settings. */
  summary(): ModelSummary {
    const { json, tensors } = this.stored;
    const byKey = <T>(values: readonly T[]): Record<string, T> =>
      Object.fromEntries(json.condition_keys.map((key, k) => [key, values[k]!]));
    const types = json.levels.map((rows) =>
      Object.fromEntries(rows.map((row) => [json.cell_types[row]!, json.prototype_counts[row]!])),
    );
    const { history: _, ...provenance } = json.provenance;
    return {
      version: json.scpoli_version,
      cells: typeof provenance["cells"] === "number" ? provenance["cells"] : null,
      genes: json.genes.length,
      conditions: byKey(json.conditions),
      reference_conditions: byKey(json.reference_conditions),
      cell_types: Object.fromEntries(json.cell_type_keys.map((key, level) => [key, types[level]!])),
      sample_metadata: byKey(json.condition_keys.map((_, k) => json.sample_metadata?.[k]?.columns ?? [])),
      prototypes: prototypeTable(this.stored),
      model: json.model,
      condition_parameters: conditionParameters(optionsOf(json.model), {
        conditions: json.conditions.map((names) => names.length),
      }),
      atac_counts: json.atac_counts ?? null,
      parameters: [...tensors].reduce(
        (sum, [name, { data }]) =>
          sum + (/^((unlabeled_)?prototype|head\.|novelty\.|landmarks\.)/.test(name) ? 0 : data.length),
        0,
      ),
      calibration: json.calibration,
      provenance,
    };
  }

  #into(source: AnnData, options: MapOptions, compute: () => Promise<QueryResult>): Promise<Mapping<ScPoli>> {
    return computeIntoCopy(source, this.stored, options, async () => {
      const background = backgroundWorkFor(this.stored, source.nObs, options);
      try {
        const { stored, report, labels, ...cells } = await compute();
        const { umap, predictions: all, ...others } = await predictCells(stored, cells, options, background);
        const shallow = shallowCells(cells.sizeFactors, stored.json.model.recon_loss);
        if (shallow.length > 0)
          options.onNote?.({
            level: "warning",
            message:
              `${describeShallow(shallow, cells.sizeFactors)}: their type cannot be predicted. They are ` +
              "unknown, with equal probabilities for all types.",
          });
        const predicted = {
          ...others,
          predictions: all.map((prediction, level) =>
            withoutCertainty(prediction, shallow, stored.json.levels[level]!.length),
          ),
        };
        const verdict = judgeMapping(
          measureMapping(stored, report.genes.share, cells.latent, cells.sizeFactors, predicted),
        );
        return new Mapping(
          source,
          stored === this.stored ? this : new ScPoli(stored),
          { latent: cells.latent, umap: await umap(), ...predicted, verdict, shallow: shallow.length },
          labels,
          report,
          options,
        );
      } finally {
        await background.close();
      }
    });
  }
}

/** @throws ScPoliError "usage" for an unknown preset */
function withPreset<T extends EmbedOptions>(options: T): T {
  defaultsOf(options.preset);
  return options.preset === "published"
    ? { ...options, uncertainty: options.uncertainty ?? "distance" }
    : options;
}
