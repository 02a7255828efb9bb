// Trains a reference: from an AnnData file to a model.
// Source: De Donno et al. 2023, Methods ("Reference building").
import type { AnnData } from "../anndata/anndata.js";
import { ScPoliError } from "../contract/errors.js";
import { checkNumber, defaultsOf, type TrainOptions } from "../contract/options.js";
import { checkValueKeys } from "../data/condition-values.js";
import { openCounts } from "../data/memory.js";
import { noteSplit, type Dataset } from "../data/minibatches.js";
import { headTransform } from "../labels/head.js";
import { notCalibrated, trainHead, type TrainedHead } from "../labels/head-training.js";
import { chooseHeadCells } from "../labels/labelled-cells.js";
import { describeShallow, shallowCells } from "../labels/shallow-cells.js";
import { Network } from "../model/network.js";
import { initialValues, modelOptions, parameterShapes, type ParameterShape } from "../model/parameters.js";
import type { StoredModel } from "../model/stored-model.js";
import { addUnlabeledPrototypes } from "../prototypes/growth.js";
import { chooseLandmarks, makeLandmarks, type StoredLandmarks } from "../prototypes/landmarks.js";
import { clusteringOf, unlabeledCells } from "../prototypes/unlabeled.js";
import { fingerprint } from "../storage/fingerprint.js";
import { checkCheckpointPath } from "../storage/training-checkpoint.js";
import { CheckpointFile } from "./checkpoint-file.js";
import { unitsOf } from "./donors.js";
import { readReference, type ReferenceData } from "./reference-data.js";
import { createRunEngine, planRun, type Run } from "./run.js";
import { assembleModel, calibrateLevels } from "./trained-model.js";
import { Trainer } from "./trainer.js";

/** @throws ScPoliError; see `ScPoli.train` */
export async function trainReference(data: AnnData, options: TrainOptions): Promise<StoredModel> {
  await checkTrainOptions(options);
  const reference = await readReference(data, options);
  const run = planTraining(reference, options);
  const dataset = await openDataset(reference, run, options);
  const { trained, landmarks } = await trainNetwork(reference, run, dataset, options);
  const head = await headOf(trained, reference, run, dataset, options);
  return {
    json: { ...trained.json, head: head?.json ?? null, landmarks: landmarks?.json ?? null },
    tensors: new Map([...trained.tensors, ...(head?.tensors ?? []), ...(landmarks?.tensors ?? [])]),
  };
}

async function checkTrainOptions({
  conditionKeys,
  conditionValues,
  cellTypeKeys = [],
  checkpoint,
}: TrainOptions): Promise<void> {
  if (conditionKeys.length === 0)
    throw new ScPoliError(
      "usage",
      "conditionKeys is empty; give at least one column of obs, e.g. the sample or donor.",
    );
  checkValueKeys(conditionValues, conditionKeys);
  checkKeyNames([...conditionKeys, ...cellTypeKeys]);
  if (checkpoint) await checkCheckpointPath(checkpoint);
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

function planTraining(reference: ReferenceData, options: TrainOptions): Run {
  const { conditions, combinations, genes, labels, cells } = reference;
  const keys = options.conditionKeys.length;
  const { embeddingDims } = options;
  const widths =
    typeof embeddingDims === "number" ? Array.from({ length: keys }, () => embeddingDims) : embeddingDims;
  const base = defaultsOf(options.preset);
  const model = modelOptions({ ...options, embeddingDims: widths }, genes.length, keys, base);
  return planRun(options, cells, {
    stage: "training",
    model,
    sizes: {
      genes: genes.length,
      conditions: conditions.map(({ names }) => names.length),
      combinations: combinations.length,
    },
    levels: labels.levels.map(({ types }) => Array.from(types)),
    types: labels.names.length,
    dropout: model.dropout,
  });
}

/** The cells with their counts, in memory or streamed. */
async function openDataset(
  { place, map, keep, genes, cells }: ReferenceData,
  { model, sizes, optimization }: Run,
  options: TrainOptions,
): Promise<Dataset> {
  const parameters = parameterShapes(model, sizes).reduce(
    (sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1),
    0,
  );
  const counts = await openCounts(
    place,
    { map, genes: genes.length, keep, parameters, minibatch: optimization.minibatch },
    options,
  );
  const shallow = shallowCells(counts.sizeFactors, model.reconLoss);
  if (shallow.length > 0)
    options.onNote?.({
      level: "warning",
      message:
        `${describeShallow(shallow, counts.sizeFactors)}. They are used, but there is little to learn from ` +
        "them; leave such cells out of a reference.",
    });
  return { ...cells, counts };
}

/** The trained model without its head, and its landmarks. */
async function trainNetwork(
  reference: ReferenceData,
  run: Run,
  dataset: Dataset,
  options: TrainOptions,
): Promise<{ readonly trained: StoredModel; readonly landmarks: StoredLandmarks | null }> {
  const { model, sizes, optimization } = run;
  const { seed } = optimization;
  const checkpoint = checkpointOf(reference, run, dataset, options);
  const resume = await checkpoint.load();
  const engine = await createRunEngine(run, dataset, options);
  try {
    const network = new Network(engine, model, sizes, { weightDecay: optimization.weightDecay });
    network.write(startingValues(parameterShapes(model, sizes), seed));
    const trainer = new Trainer(network, dataset, {
      stage: "training",
      plan: optimization,
      prototypeCount: run.prototypeCount,
      levels: run.levels,
      unlabeled: run.unlabeled,
      onProgress: options.onProgress,
      signal: options.signal,
      finish: options.finish,
      resume,
      checkpointMs: checkNumber("checkpointSeconds", options.checkpointSeconds ?? 60, 0) * 1000,
      onCheckpoint: (snapshot) => checkpoint.save(snapshot()),
    });
    const note = options.onNote ?? (() => undefined);
    noteSplit(trainer.split, optimization.trainFrac, note);
    const result = await trainer.run();
    const calibration = await calibrateLevels(trainer, result, reference, dataset, note);
    const assembled = assembleModel(reference, run, network, result, calibration);
    return {
      trained: await withUnlabeledPrototypes(assembled, trainer, dataset, seed, options),
      landmarks: (options.landmarks ?? true) ? await landmarksOf(trainer, dataset, run) : null,
    };
  } finally {
    await engine.close();
  }
}

function startingValues(shapes: readonly ParameterShape[], seed: number): Map<string, Float32Array> {
  return new Map(shapes.map((shape) => [shape.name, initialValues(shape, shapes, seed)]));
}

/** The checkpoint of the run, tied to these cells, options and shapes. */
function checkpointOf(
  { genes, conditions, labels }: ReferenceData,
  { model, sizes, optimization, unlabeled }: Run,
  dataset: Dataset,
  options: TrainOptions,
): CheckpointFile {
  return new CheckpointFile(options, () =>
    fingerprint(
      {
        model,
        sizes,
        plan: optimization,
        genes,
        conditions: conditions.map(({ key, names }) => ({ key, names })),
        cellTypes: { keys: labels.keys, names: labels.names },
        isStreamed: dataset.counts.isStreamed,
        unlabeled: unlabeled && { ...clusteringOf(options), weight: unlabeled.weight },
      },
      dataset.counts.sizeFactors,
      ...dataset.conditions,
      dataset.labels,
    ),
  );
}

async function withUnlabeledPrototypes(
  model: StoredModel,
  trainer: Trainer,
  dataset: Dataset,
  seed: number,
  options: TrainOptions,
): Promise<StoredModel> {
  const clustering = clusteringOf(options);
  if (!clustering) return model;
  const latent = await trainer.encode(unlabeledCells(dataset));
  return addUnlabeledPrototypes(model, latent, clustering, seed, options.onNote);
}

async function landmarksOf(
  trainer: Trainer,
  dataset: Dataset,
  { model, optimization: { seed } }: Run,
): Promise<StoredLandmarks> {
  const cells = chooseLandmarks(dataset, seed);
  const latent = await trainer.encode(cells);
  return makeLandmarks(dataset, cells, latent, model.latentDim, seed, trainer.split.validation);
}

/** The classifier on genes; null if no level has at least two types. */
async function headOf(
  { json }: StoredModel,
  { isForced, conditions, metadata }: ReferenceData,
  { model, optimization }: Run,
  dataset: Dataset,
  options: TrainOptions,
): Promise<TrainedHead | null> {
  if (isForced || !json.levels.some((types) => types.length > 1)) return null;
  const head = await trainHead(
    dataset,
    json.levels,
    chooseHeadCells(dataset, optimization.seed),
    unitsOf(conditions, metadata).codes,
    options,
    headTransform(model.reconLoss),
  );
  head.json.levels.forEach(({ not_calibrated: reason }, level) => {
    if (reason !== undefined)
      options.onNote?.({
        level: "warning",
        message: notCalibrated(json.cell_type_keys[level]!, reason),
      });
  });
  return head;
}
