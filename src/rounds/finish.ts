// Finishes a training in rounds: builds a model, like that of `train`, from the selected weights and the
// shards' summaries.
import type { RunSettings } from "../contract/options.js";
import { CountsInMemory } from "../data/count-source.js";
import { byCodePoint, type Conditions } from "../data/labels.js";
import type { Dataset } from "../data/minibatches.js";
import { ScPoliError } from "../contract/errors.js";
import {
  formatVersion,
  storedOptions,
  storedPrototypeLoss,
  type LandmarksJson,
  type ModelJson,
  type StoredModel,
  type StoredTensor,
  type LevelCalibration,
} from "../model/stored-model.js";
import { calibrate } from "../labels/classify.js";
import { calibrationOfSpreads } from "../prototypes/growth.js";
import { headTransform } from "../labels/head.js";
import { makeLandmarks } from "../prototypes/landmarks.js";
import type { Prototypes } from "../prototypes/prototypes.js";
import { unitsOf } from "../training/donors.js";
import { notCalibrated, trainHead } from "../labels/head-training.js";
import { version } from "../contract/version.js";
import { calibrationOfSketch } from "./distance-sketch.js";
import { histogramQuantile } from "./histogram.js";
import { tensorOf, type PackedFile } from "./packed-file.js";
import type { RoundsPlan, StoredPlan } from "./plan.js";
import { settled } from "./settled.js";
import type { RoundsState } from "./state.js";
import type { SummaryJson } from "./summary.js";

export type SummaryFile = PackedFile<SummaryJson>;

/** Minimum number of held-out labelled cells for the calibration of distances. */
const fewHeldOut = 20;

/**
 * Builds the model.
 * @param chosen - the state whose weights become the model's @param last - the last state, with the full
 * history
 * @param summaries - of every shard, in any order
 * @throws ScPoliError "refused" if a summary is missing or belongs to other weights
 */
export async function finishRounds(
  { plan, digest }: StoredPlan,
  chosen: { readonly state: RoundsState; readonly digest: string },
  last: RoundsState,
  summaries: readonly SummaryFile[],
  settings: RunSettings,
): Promise<StoredModel> {
  const sorted = [...summaries].sort((a, b) => byCodePoint(a.json.shard, b.json.shard));
  checkSummaries(plan, digest, chosen.digest, sorted);
  const prototypes = prototypesOf(plan, chosen.state, sorted);
  const tensors = new Map<string, StoredTensor>(settled(chosen.state.parameters));
  const [K, D] = prototypes.shape;
  tensors.set("prototypes", { shape: [K, D], data: prototypes.means });
  tensors.set("prototype_covariances", { shape: [K, D, D], data: prototypes.covariances });
  const json = modelJson(plan, chosen.state, last, prototypes);
  const sample = plan.reading.federated ? null : sampleOf(plan, sorted);
  const calibrated: StoredModel = {
    json: { ...json, calibration: calibrationsOf(plan, sorted, prototypes, json, tensors) },
    tensors,
  };
  return sample ? withSample(calibrated, sample, plan, sorted, settings) : calibrated;
}

function checkSummaries(
  plan: RoundsPlan,
  planDigest: string,
  stateDigest: string,
  summaries: readonly SummaryFile[],
): void {
  for (const { name } of plan.shards) {
    const summary = summaries.find(({ json }) => json.shard === name);
    if (!summary)
      throw new ScPoliError(
        "refused",
        `The summary of shard '${name}' is missing. Run \`scpoli rounds summary\` for it.`,
        {
          shard: name,
        },
      );
    if (summary.json.plan !== planDigest || summary.json.state !== stateDigest)
      throw new ScPoliError(
        "refused",
        `The summary of shard '${name}' belongs to other weights than the model's. Remove it and run ` +
          `\`scpoli rounds summary\` again.`,
        { shard: name },
      );
  }
}

/** The sum of a tensor over the shards. */
function summed(summaries: readonly SummaryFile[], name: string): Float64Array {
  const [first, ...others] = summaries.map((file) =>
    tensorOf<Float64Array>(file, name, `The summary of shard '${file.json.shard}'`),
  );
  const total = first!.slice();
  for (const values of others) values.forEach((value, i) => (total[i]! += value));
  return total;
}

function prototypesOf(
  { cell_types: { length: K }, model: { latentDim: D } }: RoundsPlan,
  { prototypes: origin }: RoundsState,
  summaries: readonly SummaryFile[],
): Prototypes {
  const means = new Float32Array(K * D);
  const covariances = new Float32Array(K * D * D);
  if (K === 0) return { shape: [0, D], means, covariances, counts: new Float64Array(0) };
  const counts = summed(summaries, "types.counts");
  const sums = summed(summaries, "types.sums");
  const products = summed(summaries, "types.products");
  for (let k = 0; k < K; k++) {
    const n = counts[k]!;
    for (let d = 0; d < D; d++) {
      const mean = n > 0 ? sums[k * D + d]! / n : 0;
      means[k * D + d] = (origin?.[k * D + d] ?? 0) + mean;
      for (let e = 0; e <= d && n > 1; e++) {
        const covariance = (products[(k * D + d) * D + e]! - mean * sums[k * D + e]!) / (n - 1);
        covariances[(k * D + d) * D + e] = covariance;
        covariances[(k * D + e) * D + d] = covariance;
      }
    }
  }
  return { shape: [K, D], means, covariances, counts };
}

function modelJson(
  plan: RoundsPlan,
  chosen: RoundsState,
  last: RoundsState,
  { counts }: Prototypes,
): ModelJson {
  const { reading } = plan;
  const history = last.json.history;
  return {
    format_version: formatVersion,
    scpoli_version: version,
    model: storedOptions(plan.model),
    ...(reading.feature_types && { feature_types: reading.feature_types }),
    ...(reading.atac_counts && { atac_counts: reading.atac_counts }),
    genes: plan.genes,
    condition_keys: reading.condition_keys,
    conditions: plan.conditions,
    reference_conditions: plan.conditions.map((names) => names.length),
    combinations: plan.combinations,
    cell_type_keys: reading.cell_type_keys,
    cell_types: plan.cell_types,
    levels: plan.levels,
    prototype_counts: Array.from(counts),
    ...(plan.cell_types.length > 0 && { prototype_loss: storedPrototypeLoss(plan.optimization) }),
    unlabeled_prototypes: [],
    calibration: [],
    ...(plan.metadata && { sample_metadata: plan.metadata }),
    head: null,
    landmarks: null,
    provenance: {
      cells: plan.cells,
      optimization: { ...plan.optimization },
      epochs_run: Math.round(last.json.passes),
      losses: history[chosen.json.round] ?? history.at(-1) ?? null,
      history,
      rounds: {
        shards: plan.shards.map(({ name, cells }) => ({ name, cells })),
        rounds: plan.rounds,
        steps: plan.steps,
        fine_tuning_from: plan.fine_tuning_from,
        fine_tuning_steps: plan.fine_tuning_steps,
        passes: last.json.passes,
        chosen: chosen.json.round,
        outer_step: plan.outer_step,
        federated: reading.federated,
      },
      queries: [],
    },
  };
}

function calibrationsOf(
  plan: RoundsPlan,
  summaries: readonly SummaryFile[],
  prototypes: Prototypes,
  json: ModelJson,
  tensors: StoredModel["tensors"],
): LevelCalibration[] {
  const heldOut = plan.reading.federated || plan.levels.length === 0 ? null : joinedHeldOut(plan, summaries);
  return plan.levels.map((types, level) => {
    const key = plan.reading.cell_type_keys[level]!;
    if (heldOut) {
      const labels = Int32Array.from(
        { length: heldOut.cells },
        (_, cell) => heldOut.labels[cell * plan.levels.length + level]!,
      );
      if (labels.filter((label) => label >= 0).length >= fewHeldOut)
        return calibrate(heldOut.latent, labels, { key, types }, prototypes);
    }
    const sketch = plan.reading.federated
      ? calibrationOfSketch(summed(summaries, `distances.${level}`), summed(summaries, `surprise.${level}`))
      : null;
    return sketch ?? calibrationOfSpreads({ json, tensors }, types);
  });
}

function joined<T extends Float32Array | Int32Array>(
  summaries: readonly SummaryFile[],
  name: string,
  type: new (length: number) => T,
): T {
  const parts = summaries.map((file) => tensorOf<T>(file, name, `The summary of shard '${file.json.shard}'`));
  const whole = new type(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}

function joinedHeldOut(
  { model }: RoundsPlan,
  summaries: readonly SummaryFile[],
): { readonly latent: Float32Array; readonly labels: Int32Array; readonly cells: number } {
  const latent = joined(summaries, "held_out.latent", Float32Array);
  return {
    latent,
    labels: joined(summaries, "held_out.labels", Int32Array),
    cells: latent.length / model.latentDim,
  };
}

/** The shards' samples, joined into one data set. */
interface Sample {
  readonly dataset: Dataset;
  readonly latent: Float32Array;
  /** cells for the landmarks and for the head, ascending */
  readonly landmarks: Int32Array;
  readonly labelled: Int32Array;
  /** those that the training did not use, ascending */
  readonly validation: Int32Array;
}

function sampleOf(plan: RoundsPlan, summaries: readonly SummaryFile[]): Sample {
  const sizeFactors = joined(summaries, "sample.size_factors", Float32Array);
  const cells = sizeFactors.length;
  const indices = joined(summaries, "sample.genes", Int32Array);
  const values = joined(summaries, "sample.counts", Float32Array);
  const indptr = new Float64Array(cells + 1);
  let [cell, stored] = [0, 0];
  for (const file of summaries) {
    const starts = tensorOf<Float64Array>(file, "sample.starts", `The summary of shard '${file.json.shard}'`);
    for (let row = 1; row < starts.length; row++) indptr[++cell] = stored + starts[row]!;
    stored += starts.at(-1)!;
  }
  const keys = plan.conditions.length;
  const codes = joined(summaries, "sample.conditions", Int32Array);
  const uses = joined(summaries, "sample.uses", Int32Array);
  const validation = joined(summaries, "sample.validation", Int32Array);
  const all = Int32Array.from({ length: cells }, (_, at) => at);
  return {
    dataset: {
      counts: new CountsInMemory({
        cells,
        genes: plan.genes.length,
        indptr,
        indices: plan.genes.length <= 65_536 ? Uint16Array.from(indices) : Uint32Array.from(indices),
        values,
        sizeFactors,
      }),
      conditions: plan.conditions.map((_, key) => all.map((at) => codes[at * keys + key]!)),
      combinations: joined(summaries, "sample.combinations", Int32Array),
      labels: joined(summaries, "sample.labels", Int32Array),
      levels: plan.levels.length,
    },
    latent: joined(summaries, "sample.latent", Float32Array),
    landmarks: all.filter((at) => uses[2 * at] === 1),
    labelled: all.filter((at) => uses[2 * at + 1] === 1),
    validation: all.filter((at) => validation[at] === 1),
  };
}

function rows(values: Float32Array, cells: Int32Array, D: number): Float32Array {
  const chosen = new Float32Array(cells.length * D);
  cells.forEach((cell, row) => chosen.set(values.subarray(cell * D, (cell + 1) * D), row * D));
  return chosen;
}

/** The sample's conditions with their names. */
function conditionsOf({ reading, conditions }: RoundsPlan, dataset: Dataset): Conditions[] {
  return reading.condition_keys.map((key, k) => ({
    key,
    names: conditions[k]!,
    codes: dataset.conditions[k]!,
  }));
}

async function withSample(
  { json, tensors }: StoredModel,
  sample: Sample,
  plan: RoundsPlan,
  summaries: readonly SummaryFile[],
  settings: RunSettings,
): Promise<StoredModel> {
  const { seed } = plan.optimization;
  const D = plan.model.latentDim;
  const landmarks =
    sample.landmarks.length > 0
      ? makeLandmarks(
          sample.dataset,
          sample.landmarks,
          rows(sample.latent, sample.landmarks, D),
          D,
          seed,
          sample.validation,
        )
      : null;
  const head = plan.levels.some((types) => types.length > 1)
    ? await trainHead(
        sample.dataset,
        plan.levels,
        sample.labelled,
        unitsOf(conditionsOf(plan, sample.dataset), plan.metadata).codes,
        { ...settings, seed },
        headTransform(plan.model.reconLoss),
      )
    : null;
  head?.json.levels.forEach(({ not_calibrated: reason }, level) => {
    if (reason !== undefined)
      settings.onNote?.({ level: "warning", message: notCalibrated(json.cell_type_keys[level]!, reason) });
  });
  const sizeFactors = summed(summaries, "size_factors");
  const ofAll: Pick<LandmarksJson, "of" | "size_factors"> = {
    of: plan.cells,
    size_factors: [
      histogramQuantile(sizeFactors, 0.05),
      histogramQuantile(sizeFactors, 0.5),
      histogramQuantile(sizeFactors, 0.95),
    ],
  };
  return {
    json: { ...json, head: head?.json ?? null, landmarks: landmarks && { ...landmarks.json, ...ofAll } },
    tensors: new Map([...tensors, ...(head?.tensors ?? []), ...(landmarks?.tensors ?? [])]),
  };
}
