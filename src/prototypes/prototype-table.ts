// The prototypes of a model as a table: names, levels, sizes, spreads, and which is nearest to which.
import type { StoredModel } from "../model/stored-model.js";
import { minkowski } from "./prototypes.js";

/** A prototype in numbers, ready for JSON. */
export interface PrototypeRow {
  /** of an unlabelled one: "cluster 3" */
  readonly name: string;
  /** annotation levels that have it; none for an unlabelled one */
  readonly levels: readonly string[];
  /** number of an unlabelled one, as `scpoli label --cluster` takes it */
  readonly cluster?: number;
  /** cells that it is the mean of; 0 where that is not known (imported models) */
  readonly cells: number;
  /** root mean square distance of these cells, in units of the latent space */
  readonly spread: number;
  /** the nearest of the labelled prototypes, besides itself, of the same level; null where there is none */
  readonly nearest: string | null;
  readonly distance: number | null;
}

/** Labelled prototypes in the order of the model, then the unlabelled ones. */
export function prototypeTable({ json, tensors }: StoredModel): PrototypeRow[] {
  const D = json.model.latent_dim;
  const means = tensors.get("prototypes")!.data;
  const nearestOf = (
    points: Float32Array,
    row: number,
    types: readonly number[],
  ): Pick<PrototypeRow, "nearest" | "distance"> => {
    let [nearest, distance]: [string | null, number | null] = [null, null];
    for (const type of types) {
      const own = minkowski(points, row, means, type, D, 2);
      if (distance === null || own < distance) [nearest, distance] = [json.cell_types[type]!, own];
    }
    return { nearest, distance };
  };
  const labelled = json.cell_types.map((name, row): PrototypeRow => {
    const levels = json.levels.flatMap((types, level) => (types.includes(row) ? [level] : []));
    const others = [...new Set(levels.flatMap((level) => json.levels[level]!))].filter(
      (type) => type !== row,
    );
    return {
      name,
      levels: levels.map((level) => json.cell_type_keys[level]!),
      cells: json.prototype_counts[row]!,
      spread: spreadOf(tensors.get("prototype_covariances")!.data, row, D, json.prototype_counts[row]!),
      ...nearestOf(means, row, others),
    };
  });
  const unlabelled = json.unlabeled_prototypes.map(({ cluster, cells }, row): PrototypeRow => ({
    name: `cluster ${cluster}`,
    levels: [],
    cluster,
    cells,
    spread: spreadOf(tensors.get("unlabeled_prototype_covariances")!.data, row, D, cells),
    ...nearestOf(
      tensors.get("unlabeled_prototypes")!.data,
      row,
      json.cell_types.map((_, type) => type),
    ),
  }));
  return [...labelled, ...unlabelled];
}

/**
 * The covariance is divided by n - 1, the mean square by n; where n is not known (0), the difference is left
 * aside.
 */
function spreadOf(covariances: Float32Array, row: number, D: number, cells: number): number {
  let trace = 0;
  for (let d = 0; d < D; d++) trace += covariances[(row * D + d) * D + d]!;
  return Math.sqrt(cells > 0 ? (trace * (cells - 1)) / cells : trace);
}
