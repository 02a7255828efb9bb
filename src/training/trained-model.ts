// Assembles a trained model from the results of its run: weights, prototypes with their calibration, and
// provenance.
import { version } from "../contract/version.js";
import type { Note } from "../contract/options.js";
import type { Dataset } from "../data/minibatches.js";
import { calibrate, type Level } from "../labels/classify.js";
import type { Network } from "../model/network.js";
import {
  formatVersion,
  storedOptions,
  storedPrototypeLoss,
  type LevelCalibration,
  type ModelJson,
  type StoredModel,
  type StoredTensor,
} from "../model/stored-model.js";
import type { Prototypes } from "../prototypes/prototypes.js";
import type { ReferenceData } from "./reference-data.js";
import type { Run } from "./run.js";
import type { Trainer, TrainingResult } from "./trainer.js";

/** With fewer held-out labelled cells than this, training cells are also used to calibrate distances. */
const fewHeldOut = 20;
/** Maximum number of cells that calibrate distances for forced labels, which can be as many as cells. */
const mostForced = 200;

/** The model without a head and without landmarks. */
export function assembleModel(
  reference: ReferenceData,
  run: Run,
  network: Network,
  result: TrainingResult,
  calibration: readonly LevelCalibration[],
): StoredModel {
  const D = run.model.latentDim;
  const prototypes: Prototypes = result.prototypes ?? {
    shape: [0, D],
    means: new Float32Array(0),
    covariances: new Float32Array(0),
    counts: new Float64Array(0),
  };
  const K = reference.labels.names.length;
  const tensors = new Map<string, StoredTensor>();
  for (const [name, data] of network.read())
    tensors.set(name, { shape: network.parameters.get(name)!.shape, data });
  tensors.set("prototypes", { shape: [K, D], data: prototypes.means });
  tensors.set("prototype_covariances", { shape: [K, D, D], data: prototypes.covariances });
  return { json: describeModel(reference, run, result, prototypes, calibration), tensors };
}

function describeModel(
  { conditions, labels, place, atacCounts, genes, combinations, metadata, cells, nameMaps }: ReferenceData,
  { model, optimization }: Run,
  { history, bestEpoch }: TrainingResult,
  prototypes: Prototypes,
  calibration: readonly LevelCalibration[],
): ModelJson {
  return {
    format_version: formatVersion,
    scpoli_version: version,
    model: storedOptions(model),
    ...(atacCounts && { atac_counts: atacCounts }),
    ...(place.featureTypes && { feature_types: place.featureTypes }),
    genes,
    condition_keys: conditions.map(({ key }) => key),
    conditions: conditions.map(({ names }) => names),
    reference_conditions: conditions.map(({ names }) => names.length),
    combinations,
    cell_type_keys: labels.keys,
    cell_types: labels.names,
    levels: labels.levels.map(({ types }) => Array.from(types)),
    prototype_counts: Array.from(prototypes.counts),
    ...(labels.names.length > 0 && { prototype_loss: storedPrototypeLoss(optimization) }),
    unlabeled_prototypes: [],
    calibration,
    ...(metadata && { sample_metadata: metadata }),
    head: null,
    landmarks: null,
    provenance: {
      cells: cells.combinations.length,
      counts: place.name,
      ...nameMaps,
      optimization: { ...optimization },
      epochs_run: history.length,
      best_epoch: bestEpoch + 1,
      losses: history[bestEpoch] ?? null,
      history,
      queries: [],
    },
  };
}

/** Scale of the distances to the prototypes, per annotation level. */
export async function calibrateLevels(
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
          `Fewer than ${fewHeldOut} held-out cells (${heldOut.length}) have a label of '${key}': distances ` +
          "are also calibrated on training cells, so that uncertainties by distance will be too small.",
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
