// Growing a model without retraining it: unlabelled prototypes from clusters, new cell types from labelled
// cells or from clusters. What is there stays as it is. Source: De Donno et al. 2023, Methods (equation 8;
// "Reference mapping"). Differs: unlabelled prototypes are computed when asked for, from the unlabelled cells
// alone (scArches clusters all), and keep their numbers for good.
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
 * Mean, covariance and number of the cells of each code.
 * @param latent - (N, D)
 * @param codes - (N), -1 for none
 */
export function prototypesOf(latent: Float32Array, codes: Int32Array, K: number, D: number): Prototypes {
  const sums = new PrototypeSums(K, D, 1);
  sums.add(latent, codes, codes.length);
  return sums.finish();
}

/**
 * Clusters unlabelled cells and adds a prototype for each cluster, numbered on from those that the model has.
 * @param latent - (n, D) of the unlabelled cells
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
      message: "Every cell has a label: there are no unlabelled prototypes to be found.",
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
  // numbers are not given twice, also where those with the highest have got a name since
  const first = Math.max(
    Number(json.provenance["clusters"] ?? 0),
    1 + Math.max(-1, ...json.unlabeled_prototypes.map(({ cluster }) => cluster)),
  );
  const added = Array.from(counts, (own, i) => ({ cluster: first + i, cells: own }));
  note({
    level: "info",
    message: `${added.length} unlabelled prototype${added.length === 1 ? "" : "s"} from ${cells} cells without a label (${clustering.method}).`,
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
 * Adds the cell types that a query has and the model has not; those that are there keep their prototypes.
 * A new prototype is the mean of its cells less the mean difference of the query's cells of known types from
 * their prototypes: what is left of the query's own effect would else draw cells of known types to the new
 * prototype.
 * @param names - new types, in the order of their rows
 * @param labels - codes (N, levels) and per level all its rows, the new ones among them
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
 * @param levels - per level all its rows, those of the new types among them
 * @param prototypes - of the new types
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
 * Adds one cell type to a level, which is made where the model has none.
 * @param prototype - a table of one
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
    const own = json.calibration[position];
    return own && own.cells > 0 ? own : calibrationOfSpreads(grown, levels[position]!);
  });
  return {
    json: { ...grown.json, cell_type_keys: keys, calibration },
    tensors: json.cell_type_keys.length > 0 ? grown.tensors : withLandmarkLevel(grown.tensors),
  };
}

/** Landmarks of a model that gets its first annotation level: no cell has a label there. */
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

/** One prototype of all cells of some unlabelled ones. */
export function pooledPrototype({ json, tensors }: StoredModel, clusters: readonly number[]): Prototypes {
  const D = json.model.latent_dim;
  const rows = clusters.map((cluster) =>
    json.unlabeled_prototypes.findIndex((own) => own.cluster === cluster),
  );
  const [points, spreads] = [
    tensors.get("unlabeled_prototypes")!.data,
    tensors.get("unlabeled_prototype_covariances")!.data,
  ];
  // numbers of cells that are not known (imported models) weigh as one
  const weightOf = (row: number): number => Math.max(1, json.unlabeled_prototypes[row]!.cells);
  const cells = rows.reduce((sum, row) => sum + weightOf(row), 0);
  const means = new Float32Array(D);
  for (const row of rows)
    for (let d = 0; d < D; d++) means[d]! += (points[row * D + d]! * weightOf(row)) / cells;
  const covariances = new Float32Array(D * D);
  for (const row of rows) {
    const own = weightOf(row);
    for (let d = 0; d < D; d++)
      for (let e = 0; e < D; e++) {
        const between = own * (points[row * D + d]! - means[d]!) * (points[row * D + e]! - means[e]!);
        covariances[d * D + e]! +=
          ((own - 1) * spreads[(row * D + d) * D + e]! + between) / Math.max(1, cells - 1);
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
 * Scales of a level that no held-out cells were there for: from the covariances, as if each type were normal.
 * The squared distance of a type's cells is taken as a multiple of a chi-squared variable with the same mean
 * and variance (Satterthwaite), its 95 % point after Wilson and Hilferty.
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
    const own = covariances.subarray(type * D * D, (type + 1) * D * D);
    const squares = own.reduce((sum, value) => sum + value * value, 0);
    let trace = 0;
    for (let d = 0; d < D; d++) trace += own[d * D + d]!;
    const count = Math.max(1, json.prototype_counts[type]!); // 0: not known
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
