// Extends a model without retraining: unlabelled prototypes from clusters, new cell types from labelled cells
// or clusters. Existing prototypes do not change. Source: De Donno et al. 2023, Methods (equation 8;
// "Reference mapping"). Differs: unlabelled prototypes are computed on request, from unlabelled cells only
// (scArches clusters all cells), and keep their numbers permanently.
import type { ModelJson, StoredModel, StoredTensor, LevelCalibration } from "../model/stored-model.js";
import { clusterPoints, type Clustering } from "../graph/clustering.js";
import type { Note } from "../contract/options.js";
import { isRepeated, PrototypeSums, type Prototypes } from "./prototypes.js";

/** The labelled prototypes of a model. */
export function storedPrototypes({ json, tensors }: StoredModel): Prototypes {
  const [K, D] = [json.cell_types.length, json.model.latent_dim];
  return {
    shape: [K, D],
    means: tensors.get("prototypes")!.data,
    covariances: tensors.get("prototype_covariances")!.data,
    counts: Float64Array.from(json.prototype_counts),
  };
}

/**
 * Mean, covariance and number of cells of each code.
 * @param latent - (N, D)
 * @param codes - (N), -1 for none
 */
export function prototypesOf(latent: Float32Array, codes: Int32Array, K: number, D: number): Prototypes {
  const sums = new PrototypeSums(K, D, 1);
  sums.add(latent, codes, codes.length);
  return sums.finish();
}

/**
 * Clusters unlabelled cells and adds a prototype for each cluster, numbered after the existing ones.
 * @param latent - (n, D) positions of the unlabelled cells
 */
export function addUnlabeledPrototypes(
  stored: StoredModel,
  latent: Float32Array,
  clustering: Clustering,
  seed: number,
  note: (note: Note) => void = () => undefined,
): StoredModel {
  const { json, tensors } = stored;
  const D = json.model.latent_dim;
  const cells = latent.length / D;
  if (cells === 0) {
    note({
      level: "warning",
      message: "Every cell has a label, so there are no unlabelled prototypes.",
    });
    return stored;
  }
  const codes = clusterPoints(latent, D, clustering, seed);
  const { means, covariances, counts } = prototypesOf(
    latent,
    codes,
    codes.reduce((most, code) => Math.max(most, code + 1), 0),
    D,
  );
  // never reuse a number, even if the prototype with the highest number has become a cell type
  const first = Math.max(
    Number(json.provenance["clusters"] ?? 0),
    1 + Math.max(-1, ...json.unlabeled_prototypes.map(({ cluster }) => cluster)),
  );
  const added = Array.from(counts, (clusterCells, i) => ({ cluster: first + i, cells: clusterCells }));
  note({
    level: "info",
    message:
      `Added ${added.length} unlabelled prototype${added.length === 1 ? "" : "s"} from ${cells} cells ` +
      `without a label (${clustering.method}).`,
  });
  const numbered = {
    json: { ...json, provenance: { ...json.provenance, clusters: first + added.length } },
    tensors,
  };
  return withUnlabeled(
    numbered,
    [...json.unlabeled_prototypes, ...added],
    appended(tensors.get("unlabeled_prototypes"), means),
    appended(tensors.get("unlabeled_prototype_covariances"), covariances),
  );
}

function appended(before: StoredTensor | undefined, more: Float32Array): Float32Array {
  const data = new Float32Array((before?.data.length ?? 0) + more.length);
  if (before) data.set(before.data);
  data.set(more, data.length - more.length);
  return data;
}

function withUnlabeled(
  { json, tensors }: StoredModel,
  unlabeled: ModelJson["unlabeled_prototypes"],
  means: Float32Array,
  covariances: Float32Array,
): StoredModel {
  const [U, D] = [unlabeled.length, json.model.latent_dim];
  const grown = new Map(tensors);
  grown.delete("unlabeled_prototypes");
  grown.delete("unlabeled_prototype_covariances");
  if (U > 0)
    grown
      .set("unlabeled_prototypes", { shape: [U, D], data: means })
      .set("unlabeled_prototype_covariances", { shape: [U, D, D], data: covariances });
  return { json: { ...json, unlabeled_prototypes: unlabeled }, tensors: grown };
}

/**
 * Adds the query's new cell types to a model. Prototypes of known types do not change.
 * A new prototype is the mean of its cells, corrected by the mean shift of the query's cells of known types
 * from their prototypes. Otherwise, the remaining batch effect would assign cells of known types to it.
 * @param names - new types, in the order of their rows
 * @param labels - codes (N, levels), and per level all rows including the new ones
 * @param latent - (N, D)
 */
export function addQueryTypes(
  stored: StoredModel,
  names: readonly string[],
  { levels, codes }: { readonly levels: readonly (readonly number[])[]; readonly codes: Int32Array },
  latent: Float32Array,
): StoredModel {
  const [K, D, L] = [stored.json.cell_types.length, stored.json.model.latent_dim, levels.length];
  const known = stored.tensors.get("prototypes")!.data;
  const sums = new PrototypeSums(names.length, D, L);
  sums.add(
    latent,
    codes.map((code) => Math.max(-1, code - K)),
    codes.length / L,
  );
  const prototypes = sums.finish();
  const shift = new Float64Array(D);
  let cells = 0;
  codes.forEach((code, at) => {
    const row = Math.floor(at / L);
    if (code < 0 || code >= K || isRepeated(codes, row, at % L, L)) return;
    cells++;
    for (let d = 0; d < D; d++) shift[d]! += latent[row * D + d]! - known[code * D + d]!;
  });
  if (cells > 0)
    prototypes.means.forEach((value, i) => (prototypes.means[i] = value - shift[i % D]! / cells));
  return addCellTypes(stored, names, levels, prototypes);
}

/**
 * @param levels - per level all rows, including those of the new types
 * @param prototypes - prototypes of the new types
 */
function addCellTypes(
  { json, tensors }: StoredModel,
  names: readonly string[],
  levels: readonly (readonly number[])[],
  prototypes: Prototypes,
): StoredModel {
  const [K, D] = [json.cell_types.length + names.length, json.model.latent_dim];
  const grown = new Map(tensors)
    .set("prototypes", { shape: [K, D], data: appended(tensors.get("prototypes"), prototypes.means) })
    .set("prototype_covariances", {
      shape: [K, D, D],
      data: appended(tensors.get("prototype_covariances"), prototypes.covariances),
    });
  return {
    json: {
      ...json,
      cell_types: [...json.cell_types, ...names],
      levels,
      prototype_counts: [...json.prototype_counts, ...prototypes.counts],
    },
    tensors: grown,
  };
}

/**
 * Adds one cell type to a level. The level is created if the model has none.
 * @param prototype - a table with one row
 */
export function addCellType(
  stored: StoredModel,
  name: string,
  level: string,
  prototype: Prototypes,
): StoredModel {
  const { json } = stored;
  const keys = json.cell_type_keys.length > 0 ? json.cell_type_keys : [level];
  const levels = keys.map((key, position) => [
    ...(json.levels[position] ?? []),
    ...(key === level ? [json.cell_types.length] : []),
  ]);
  const grown = addCellTypes(stored, [name], levels, prototype);
  const calibration = keys.map((_, position) => {
    const calibration = json.calibration[position];
    return calibration && calibration.cells > 0
      ? calibration
      : calibrationOfSpreads(grown, levels[position]!);
  });
  return {
    json: { ...grown.json, cell_type_keys: keys, calibration },
    tensors: json.cell_type_keys.length > 0 ? grown.tensors : withLandmarkLevel(grown.tensors),
  };
}

/** Adds an empty label column to the landmarks of a model that gets its first annotation level. */
function withLandmarkLevel(tensors: StoredModel["tensors"]): StoredModel["tensors"] {
  const labels = tensors.get("landmarks.labels");
  return labels
    ? new Map([
        ...tensors,
        [
          "landmarks.labels",
          { shape: [labels.shape[0]!, 1], data: new Float32Array(labels.shape[0]!).fill(-1) },
        ],
      ])
    : tensors;
}

/** Pools unlabelled prototypes into one. */
export function pooledPrototype({ json, tensors }: StoredModel, clusters: readonly number[]): Prototypes {
  const D = json.model.latent_dim;
  const rows = clusters.map((cluster) =>
    json.unlabeled_prototypes.findIndex((prototype) => prototype.cluster === cluster),
  );
  const [points, spreads] = [
    tensors.get("unlabeled_prototypes")!.data,
    tensors.get("unlabeled_prototype_covariances")!.data,
  ];
  // unknown numbers of cells (imported models) count as one
  const weightOf = (row: number): number => Math.max(1, json.unlabeled_prototypes[row]!.cells);
  const cells = rows.reduce((sum, row) => sum + weightOf(row), 0);
  const means = new Float32Array(D);
  for (const row of rows)
    for (let d = 0; d < D; d++) means[d]! += (points[row * D + d]! * weightOf(row)) / cells;
  const covariances = new Float32Array(D * D);
  for (const row of rows) {
    const weight = weightOf(row);
    for (let d = 0; d < D; d++)
      for (let e = 0; e < D; e++) {
        const between = weight * (points[row * D + d]! - means[d]!) * (points[row * D + e]! - means[e]!);
        covariances[d * D + e]! +=
          ((weight - 1) * spreads[(row * D + d) * D + e]! + between) / Math.max(1, cells - 1);
      }
  }
  return {
    shape: [1, D],
    means,
    covariances,
    counts: Float64Array.of(rows.reduce((sum, row) => sum + json.unlabeled_prototypes[row]!.cells, 0)),
  };
}

/** The model without some of its unlabelled prototypes; the others keep their numbers. */
export function withoutClusters(stored: StoredModel, clusters: readonly number[]): StoredModel {
  const { json, tensors } = stored;
  const rows = json.unlabeled_prototypes.flatMap(({ cluster }, row) =>
    clusters.includes(cluster) ? [] : [row],
  );
  const kept = (name: string, width: number): Float32Array =>
    Float32Array.from(
      rows.flatMap((row) => Array.from(tensors.get(name)!.data.subarray(row * width, (row + 1) * width))),
    );
  const D = json.model.latent_dim;
  return withUnlabeled(
    stored,
    rows.map((row) => json.unlabeled_prototypes[row]!),
    kept("unlabeled_prototypes", D),
    kept("unlabeled_prototype_covariances", D * D),
  );
}

/** 95 % point of the standard normal. */
const z95 = 1.6449;

/**
 * Scales of a level without held-out cells, estimated from the covariances as if each type were normal. The
 * squared distance to the prototype is approximated by a scaled chi-squared variable with the same mean and
 * variance (Satterthwaite), and its 95 % quantile by Wilson and Hilferty.
 */
export function calibrationOfSpreads(
  {
    json,
    tensors,
  }: Pick<StoredModel, "tensors"> & { readonly json: Pick<ModelJson, "model" | "prototype_counts"> },
  types: readonly number[],
): LevelCalibration {
  const D = json.model.latent_dim;
  const covariances = tensors.get("prototype_covariances")!.data;
  let [cells, scale, variance] = [0, 0, 0];
  for (const type of types) {
    const covariance = covariances.subarray(type * D * D, (type + 1) * D * D);
    const squares = covariance.reduce((sum, value) => sum + value * value, 0);
    let trace = 0;
    for (let d = 0; d < D; d++) trace += covariance[d * D + d]!;
    const count = Math.max(1, json.prototype_counts[type]!); // 0: unknown
    cells += count;
    if (trace === 0) continue;
    const freedom = (trace * trace) / squares;
    scale += count * Math.sqrt(trace * (1 - 2 / (9 * freedom) + z95 * Math.sqrt(2 / (9 * freedom))) ** 3);
    variance += (count * trace) / D;
  }
  return {
    distance_scale: Math.max(1e-6, scale / cells),
    probability_scale: Math.max(1e-6, Math.sqrt(variance / cells)),
    threshold: 0.5,
    cells: 0,
  };
}
