// The prototypes of a model as a table: names, levels, sizes, spreads, and nearest other prototypes.
import type { StoredModel } from "../model/stored-model.js";
import { minkowski } from "./prototypes.js";

/** Summary of a prototype, ready for JSON. */
export interface PrototypeRow {
  /** cell type; "cluster 3" for an unlabelled prototype */
  readonly name: string;
  /** annotation levels with this type; empty for an unlabelled prototype */
  readonly levels: readonly string[];
  /** number of an unlabelled prototype, for `scpoli label --cluster` */
  readonly cluster?: number;
  /** number of cells averaged; 0 if unknown (imported models) */
  readonly cells: number;
  /** root mean square distance of these cells, in units of the latent space */
  readonly spread: number;
  /** the nearest other labelled prototype of the same level; null if there is none */
  readonly nearest: string | null;
  readonly distance: number | null;
}

/** Lists labelled prototypes in the model's order, then the unlabelled ones. */
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
      const typeDistance = minkowski(points, row, means, type, D, 2);
      if (distance === null || typeDistance < distance)
        [nearest, distance] = [json.cell_types[type]!, typeDistance];
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
 * Root mean square distance. Covariances are divided by n - 1, the mean square by n; if n is unknown (0), the
 * difference is ignored.
 */
function spreadOf(covariances: Float32Array, row: number, D: number, cells: number): number {
  let trace = 0;
  for (let d = 0; d < D; d++) trace += covariances[(row * D + d) * D + d]!;
  return Math.sqrt(cells > 0 ? (trace * (cells - 1)) / cells : trace);
}
