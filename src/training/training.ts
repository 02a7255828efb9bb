// Trains a reference: from an AnnData file to a model.
// Source: De Donno et al. 2023, Methods ("Reference building").
import { fileStatus } from "#platform";
import { uniqueNames, type AnnData } from "../anndata/anndata.js";
import { noteCellxgene } from "../data/cellxgene.js";
import {
  formatVersion,
  storedOptions,
  storedPrototypeLoss,
  type ModelJson,
  type StoredModel,
  type StoredTensor,
  type LevelCalibration,
} from "../model/stored-model.js";
import { calibrate, type Level } from "../labels/classify.js";
import { Combinations } from "../data/combinations.js";
import {
  type AtacCounts,
  checkNumber,
  defaults,
  defaultsOf,
  type ModelOptions,
  type Note,
  type TrainOptions,
} from "../contract/options.js";
import { countsFrom, type CountsPlace } from "../data/count-places.js";
import { createEngine } from "../engine/create.js";
import { sumDuplicates } from "../data/derived-counts.js";
import { ScPoliError } from "../contract/errors.js";
import { chooseLandmarks, makeLandmarks, type StoredLandmarks } from "../prototypes/landmarks.js";
import { addUnlabeledPrototypes } from "../prototypes/growth.js";
import { clusteringOf, unlabeledCells, unlabeledLossOf } from "../prototypes/unlabeled.js";
import { headTakes } from "../labels/head.js";
import { notCalibrated, trainHead } from "../labels/head-training.js";
import { chooseHeadCells } from "../labels/labelled-cells.js";
import { checkValueKeys, withConditionValues } from "../data/condition-values.js";
import { checkGroups, noGroups } from "../data/key-columns.js";
import { keptCells, readConditions, readLabels, type Conditions, type Labels } from "../data/labels.js";
import { openCounts } from "../data/memory.js";
import { describeShallow, shallowCells } from "../labels/shallow-cells.js";
import { minibatchCapacity, noteSplit, type Dataset } from "../data/minibatches.js";
import { renameGenes, renameLabels, type NameMapReport } from "../data/name-maps.js";
import { Network } from "../model/network.js";
import { checkUnlabeledLoss, planOptimization, type OptimizationPlan } from "./optimization.js";
import { initialValues, modelOptions, parameterShapes, type ModelSizes } from "../model/parameters.js";
import type { Prototypes } from "../prototypes/prototypes.js";
import { levelPrototypes } from "../prototypes/type-cross-entropy.js";
import { unitsOf } from "./donors.js";
import {
  checkCheckpointPath,
  loadCheckpoint,
  saveCheckpoint,
  type Snapshot,
} from "../storage/training-checkpoint.js";
import { fingerprint, type Fingerprint } from "../storage/fingerprint.js";
import { Trainer, type TrainingResult } from "./trainer.js";
import { metadataOfConditions, type SampleMetadata } from "../data/sample-metadata.js";
import { resolveGenes } from "../data/variable-genes.js";
import { findValues } from "../data/values.js";
import { version } from "../contract/version.js";

/** The reference's cells without counts, which are still in the file. */
interface ReferenceData {
  readonly cells: Omit<Dataset, "counts">;
  readonly genes: readonly string[];
  readonly place: CountsPlace;
  readonly atacCounts?: AtacCounts;
  /** (columns of the file) model gene of each column, -1 drops it */
  readonly map: Int32Array;
  /** rows of the file that are cells of the reference; undefined: all */
  readonly keep: Int32Array | undefined;
  readonly conditions: readonly Conditions[];
  readonly combinations: readonly (readonly number[])[];
  readonly labels: Labels;
  /** whether labels that do not form groups (e.g. a value per cell) were accepted by `force` */
  readonly isForced: boolean;
  /** per key metadata of the conditions from obs; null if there is none or it should not be stored */
  readonly metadata: readonly SampleMetadata[] | null;
  /** effects of the name maps, for the provenance */
  readonly nameMaps: { readonly gene_map?: NameMapReport; readonly label_map?: NameMapReport };
}

/** With fewer held-out labelled cells than this, training cells are also used to calibrate distances. */
const fewHeldOut = 20;
/** Maximum number of cells that calibrate distances for forced labels, which can be as many as cells. */
const mostForced = 200;

/** @throws ScPoliError; see `ScPoli.train` */
export async function trainReference(data: AnnData, options: TrainOptions): Promise<StoredModel> {
  if (options.conditionKeys.length === 0)
    throw new ScPoliError(
      "usage",
      "conditionKeys is empty; give at least one column of obs, e.g. the sample or donor.",
    );
  const note = options.onNote ?? (() => undefined);
  checkValueKeys(options.conditionValues, options.conditionKeys);
  checkKeyNames([...options.conditionKeys, ...(options.cellTypeKeys ?? [])]);
  if (options.checkpoint) await checkCheckpointPath(options.checkpoint);
  const reference = await readReference(data, options);
  const { genes, map, keep } = reference;
  const cells = keep?.length ?? data.nObs;
  const keys = options.conditionKeys.length;
  const widths =
    typeof options.embeddingDims === "number"
      ? Array.from({ length: keys }, () => options.embeddingDims as number)
      : options.embeddingDims;
  const base = defaultsOf(options.preset);
  const model = modelOptions({ ...options, embeddingDims: widths }, genes.length, keys, base);
  const seed = options.seed ?? 0;
  const clustering = clusteringOf(options);
  const K = reference.labels.names.length;
  const unlabeled = unlabeledLossOf(options, clustering, K, unlabeledCells(reference.cells));
  const rows = K + (unlabeled?.rows ?? 0);
  const plan = planOptimization(options, {
    stage: "training",
    cells,
    hasLabels: K > 0 || unlabeled !== undefined,
    dropout: model.dropout,
    seed,
  });
  if (unlabeled) checkUnlabeledLoss(plan);
  const sizes: ModelSizes = {
    genes: genes.length,
    conditions: reference.conditions.map(({ names }) => names.length),
    combinations: reference.combinations.length,
  };
  const shapes = parameterShapes(model, sizes);
  const parameters = shapes.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
  const counts = await openCounts(
    reference.place,
    { map, genes: genes.length, keep, parameters, minibatch: plan.minibatch },
    options,
  );
  const shallow = shallowCells(counts.sizeFactors, model.reconLoss);
  if (shallow.length > 0)
    note({
      level: "warning",
      message:
        `${describeShallow(shallow, counts.sizeFactors)}. They are used, but there is little to learn from ` +
        "them; leave such cells out of a reference.",
    });
  const dataset: Dataset = { ...reference.cells, counts };
  const checkpoint = new CheckpointFile(options, () =>
    fingerprint(
      {
        model,
        sizes,
        plan,
        genes,
        conditions: reference.conditions.map(({ key, names }) => ({ key, names })),
        cellTypes: { keys: reference.labels.keys, names: reference.labels.names },
        isStreamed: counts.isStreamed,
        unlabeled: unlabeled && { ...clustering, weight: unlabeled.weight },
      },
      dataset.counts.sizeFactors,
      ...dataset.conditions,
      dataset.labels,
    ),
  );
  const levels = reference.labels.levels.map(({ types }) => Array.from(types));
  const resume = await checkpoint.load();

  const engine = await createEngine(
    {
      minibatchSize: plan.minibatch,
      minibatchCapacity: minibatchCapacity(dataset.counts, plan.minibatch),
      genes: genes.length,
      conditionKeys: keys,
      levels: dataset.levels + (unlabeled ? 1 : 0),
      prototypes: [rows, model.latentDim],
      unlabeled,
      levelPrototypes: levelPrototypes(levels, dataset.labels, dataset.levels, plan.typeBalance),
    },
    options,
  );
  let trained: StoredModel;
  let landmarks: StoredLandmarks | null = null;
  try {
    const network = new Network(engine, model, sizes, { weightDecay: plan.weightDecay });
    network.write(new Map(shapes.map((shape) => [shape.name, initialValues(shape, shapes, seed)])));
    const trainer = new Trainer(network, dataset, {
      stage: "training",
      plan,
      prototypeCount: rows,
      levels,
      unlabeled,
      onProgress: options.onProgress,
      signal: options.signal,
      finish: options.finish,
      resume,
      checkpointMs: checkNumber("checkpointSeconds", options.checkpointSeconds ?? 60, 0) * 1000,
      onCheckpoint: (snapshot) => checkpoint.save(snapshot()),
    });
    noteSplit(trainer.split, plan.trainFrac, note);
    const result = await trainer.run();
    const calibration = await calibrateLevels(trainer, result, reference, dataset, note);
    const assembled = assemble(reference, model, plan, network, result, calibration);
    trained = clustering
      ? addUnlabeledPrototypes(
          assembled,
          await trainer.encode(unlabeledCells(dataset)),
          clustering,
          seed,
          options.onNote,
        )
      : assembled;
    if (options.landmarks ?? true) {
      const chosen = chooseLandmarks(dataset, seed);
      landmarks = makeLandmarks(dataset, chosen, await trainer.encode(chosen), model.latentDim, seed);
    }
  } finally {
    await engine.close();
  }
  const head =
    !reference.isForced && trained.json.levels.some((types) => types.length > 1)
      ? await trainHead(
          dataset,
          trained.json.levels,
          chooseHeadCells(dataset, seed),
          unitsOf(reference.conditions, reference.metadata).codes,
          options,
          headTakes(model.reconLoss),
        )
      : null;
  head?.json.levels.forEach(({ not_calibrated: reason }, level) => {
    if (reason !== undefined)
      options.onNote?.({
        level: "warning",
        message: notCalibrated(trained.json.cell_type_keys[level]!, reason),
      });
  });
  return {
    json: { ...trained.json, head: head?.json ?? null, landmarks: landmarks?.json ?? null },
    tensors: new Map([...trained.tensors, ...(head?.tensors ?? []), ...(landmarks?.tensors ?? [])]),
  };
}

/** Checks that keys can be part of names in an .h5ad file. @throws ScPoliError "key" */
function checkKeyNames(keys: readonly string[]): void {
  const key = keys.find((name) => name.includes("/"));
  if (key !== undefined)
    throw new ScPoliError(
      "key",
      `The key '${key}' has a "/", which names in an .h5ad file cannot contain, so results such as ` +
        `obs['${key}_pred'] could not be written. Rename the column in Python: ` +
        `adata.obs.rename(columns={"${key}": "${key.replaceAll("/", "_")}"}, inplace=True).`,
      { key },
    );
}

async function readReference(data: AnnData, options: TrainOptions): Promise<ReferenceData> {
  const note = options.onNote ?? (() => {});
  for (const message of data.notes) note({ level: "info", message });
  const obs = await withConditionValues(data.obs, options.conditionValues, options);
  const keep = await keptCells(obs, options.exclude);
  const conditions: Conditions[] = [];
  for (const key of options.conditionKeys) {
    const condition = await readConditions(obs, key, { keep, note });
    await checkGroups(obs, key, condition, "condition", options);
    if (condition.names.length === 1)
      note({
        level: "info",
        message:
          `obs['${key}'] has only one value, '${condition.names[0]}': there are no differences between ` +
          "conditions to integrate.",
      });
    conditions.push(condition);
  }
  const metadata =
    options.sampleMetadata === false ? null : await metadataOfConditions(obs, conditions, { keep });
  noteMetadata(metadata ?? [], options.conditionKeys, note);
  const cellTypeKeys = options.cellTypeKeys ?? [];
  const harmonised =
    options.labelMap && (await renameLabels(obs, cellTypeKeys, options.labelMap, note, { keep }));
  let isForced = false;
  const labels = await readLabels(harmonised?.obs ?? obs, cellTypeKeys, options.unlabeled, {
    keep,
    note,
    check: async (key, factor) => {
      await checkGroups(obs, key, factor, "cell type", options);
      const reason = noGroups(key, factor);
      if (reason === null) return;
      isForced = true;
      note({
        level: "warning",
        message:
          `obs['${key}'] has ${reason}. No classifier is trained for such labels; cells get the label of ` +
          "the " +
          "nearest prototype.",
      });
    },
  });
  await noteCellxgene(data, note);
  const { reconLoss = defaults.reconLoss } = options;
  if (reconLoss === "mse" && typeof options.genes === "number")
    throw new ScPoliError(
      "usage",
      "genes is a number, but variable genes are selected from raw counts, which mse does not use; give " +
        "a list of " +
        "names or a column of var.",
    );
  const { place: original, atacCounts } = await findValues(data, { ...options, reconLoss }, note);
  const renamed = options.geneMap && (await renameGenes(original.var, options.geneMap, note));
  const named = renamed ? { ...original, var: renamed.genes } : original;
  const place =
    options.duplicateGenes === "sum" ? await sumDuplicateGenes(named, await named.var.index(), note) : named;
  const names = uniqueNames(await place.var.index(), "var", data.path);
  const table = new Combinations();
  const combinations = table.columns(conditions.map(({ codes }) => codes));
  const onProgress = (done: number, total: number): void =>
    options.onProgress?.({ stage: "variable genes", done, total });
  const columns = await resolveGenes(options.genes, place, combinations, {
    keep,
    isAtac: atacCounts !== undefined,
    otherVar: data.var,
    signal: options.signal,
    onProgress,
    force: options.force,
    note,
  });
  const map = new Int32Array(place.matrix.columns).fill(-1);
  columns.forEach((column, gene) => (map[column] = gene));
  note({
    level: "info",
    message:
      `${countsFrom(place)}: ${combinations.length} cells, ${columns.length} of ${place.matrix.columns} ` +
      "genes.",
  });
  return {
    cells: {
      conditions: conditions.map(({ codes }) => codes),
      combinations,
      labels: labels.codes,
      levels: labels.keys.length,
    },
    genes: Array.from(columns, (column) => names[column]!),
    place,
    atacCounts,
    map,
    keep,
    conditions,
    combinations: table.codes,
    labels,
    isForced,
    metadata: metadata?.some(({ columns }) => columns.length > 0) ? metadata : null,
    nameMaps: {
      ...(renamed && { gene_map: renamed.report }),
      ...(harmonised && { label_map: harmonised.report }),
    },
  };
}

function noteMetadata(
  tables: readonly SampleMetadata[],
  keys: readonly string[],
  note: (note: Note) => void,
): void {
  tables.forEach(({ columns }, k) => {
    if (columns.length > 0)
      note({
        level: "info",
        message:
          `Metadata of each ${keys[k]} stored in the model, constant in its cells: ` +
          `${columns.slice(0, 8).join(", ")}${columns.length > 8 ? ` and ${columns.length - 8} more` : ""} ` +
          "(--no-sample-metadata leaves them out).",
      });
  });
}

async function calibrateLevels(
  trainer: Trainer,
  { split, prototypes }: TrainingResult,
  { labels, isForced }: Pick<ReferenceData, "labels" | "isForced">,
  dataset: Dataset,
  note: (note: Note) => void,
): Promise<LevelCalibration[]> {
  if (!prototypes) return [];
  const calibrations: LevelCalibration[] = [];
  for (const [position, { key, types }] of labels.levels.entries()) {
    const labelled = (cells: Int32Array): Int32Array =>
      cells.filter((cell) => dataset.labels[cell * dataset.levels + position]! >= 0);
    const heldOut = labelled(split.validation);
    if (heldOut.length < fewHeldOut)
      note({
        level: "warning",
        message:
          `Fewer than ${fewHeldOut} held-out cells (${heldOut.length}) have a label of '${key}': ` +
          "distances are also " +
          "calibrated on training cells, so that uncertainties by distance will be too small.",
      });
    const all =
      heldOut.length >= fewHeldOut ? heldOut : Int32Array.from([...heldOut, ...labelled(split.train)]);
    const cells = isForced ? all.subarray(0, mostForced) : all;
    const cellLabels = Int32Array.from(cells, (cell) => dataset.labels[cell * dataset.levels + position]!);
    const level: Level = { key, types: Array.from(types) };
    calibrations.push(calibrate(await trainer.encode(cells), cellLabels, level, prototypes));
  }
  return calibrations;
}

async function sumDuplicateGenes(
  place: CountsPlace,
  names: readonly string[],
  note: (note: Note) => void,
): Promise<CountsPlace> {
  const sum = await sumDuplicates(place, names);
  if (sum.summed > 0)
    note({ level: "info", message: `${sum.summed} columns were added to another column of the same gene.` });
  return sum.place;
}

function assemble(
  reference: ReferenceData,
  model: ModelOptions,
  plan: OptimizationPlan,
  network: Network,
  result: TrainingResult,
  calibration: readonly LevelCalibration[],
): StoredModel {
  const K = reference.labels.names.length;
  const tensors = new Map<string, StoredTensor>();
  for (const [name, data] of network.read())
    tensors.set(name, { shape: network.parameters.get(name)!.shape, data });
  const prototypes: Prototypes = result.prototypes ?? {
    shape: [0, model.latentDim],
    means: new Float32Array(0),
    covariances: new Float32Array(0),
    counts: new Float64Array(0),
  };
  tensors.set("prototypes", { shape: [K, model.latentDim], data: prototypes.means });
  tensors.set("prototype_covariances", {
    shape: [K, model.latentDim, model.latentDim],
    data: prototypes.covariances,
  });
  const last = result.history[result.bestEpoch];
  const json: ModelJson = {
    format_version: formatVersion,
    scpoli_version: version,
    model: storedOptions(model),
    ...(reference.atacCounts && { atac_counts: reference.atacCounts }),
    ...(reference.place.featureTypes && { feature_types: reference.place.featureTypes }),
    genes: reference.genes,
    condition_keys: reference.conditions.map(({ key }) => key),
    conditions: reference.conditions.map(({ names }) => names),
    reference_conditions: reference.conditions.map(({ names }) => names.length),
    combinations: reference.combinations,
    cell_type_keys: reference.labels.keys,
    cell_types: reference.labels.names,
    levels: reference.labels.levels.map(({ types }) => Array.from(types)),
    prototype_counts: Array.from(prototypes.counts),
    ...(K > 0 && { prototype_loss: storedPrototypeLoss(plan) }),
    unlabeled_prototypes: [],
    calibration,
    ...(reference.metadata && { sample_metadata: reference.metadata }),
    head: null,
    landmarks: null,
    provenance: {
      cells: reference.cells.combinations.length,
      counts: reference.place.name,
      ...reference.nameMaps,
      optimization: { ...plan },
      epochs_run: result.history.length,
      best_epoch: result.bestEpoch + 1,
      losses: last ?? null,
      history: result.history,
      queries: [],
    },
  };
  return { json, tensors };
}

/** The checkpoint of one run; does nothing if no path is given. */
class CheckpointFile {
  #owner: Promise<Fingerprint> | null = null;

  constructor(
    private readonly options: TrainOptions,
    private readonly owner: () => Promise<Fingerprint>,
  ) {}

  async load(): Promise<Snapshot | undefined> {
    const { checkpoint, resume, onNote } = this.options;
    if (!checkpoint || !resume) return undefined;
    if (!(await fileStatus(checkpoint))) {
      onNote?.({
        level: "warning",
        message: `There is no checkpoint ${checkpoint}; training starts from the beginning.`,
      });
      return undefined;
    }
    const snapshot = await loadCheckpoint(checkpoint, await this.#fingerprint());
    onNote?.({ level: "info", message: `Resuming from ${checkpoint}, epoch ${snapshot.state.epoch + 1}.` });
    return snapshot;
  }

  async save(snapshot: Snapshot): Promise<void> {
    if (this.options.checkpoint)
      await saveCheckpoint(this.options.checkpoint, snapshot, await this.#fingerprint());
  }

  #fingerprint(): Promise<Fingerprint> {
    return (this.#owner ??= this.owner());
  }
}
