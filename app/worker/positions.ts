// Where cells are drawn: in the reference's UMAP where the model carries one, else on the first two principal
// components of the latent space.
import type { Mapping, ScPoli } from "scpoli";
import type { MappingResult, PrototypePlace, ReferenceCells } from "../protocol.js";

type Places = Pick<MappingResult, "positions" | "projection" | "reference" | "prototypes">;

export function placeCells(mapping: Mapping<ScPoli>): Places {
  const { landmarks, latentDim, levels: annotation, cellTypes, prototypes: means } = mapping.model.content;
  if (mapping.umap && landmarks) {
    const { umap, labels } = landmarks;
    const levels = annotation.map(({ types }, level) =>
      Int32Array.from({ length: umap.length / 2 }, (_, cell) =>
        types.indexOf(labels[cell * annotation.length + level]!),
      ),
    );
    return {
      positions: mapping.umap,
      projection: "UMAP",
      reference: { positions: umap.slice(), levels, conditions: referenceConditions(mapping.model) },
      prototypes: medians(umap, levels, mapping),
    };
  }
  const project = principalPlane(mapping.latent, latentDim);
  const places = project(means);
  const prototypes = cellTypes.map((name, row): PrototypePlace => ({
    name,
    level: levelOf(mapping, row),
    x: places[2 * row]!,
    y: places[2 * row + 1]!,
  }));
  return { positions: project(mapping.latent), projection: "PCA", reference: null, prototypes };
}

function referenceConditions({ content }: ScPoli): NonNullable<ReferenceCells["conditions"]> {
  const { conditionKeys: keys, conditions, landmarks } = content;
  const table = landmarks!.conditions;
  return keys.map((key, k) => ({
    key,
    names: conditions[k]!,
    codes: Int32Array.from(
      { length: table.length / keys.length },
      (_, cell) => table[cell * keys.length + k]!,
    ),
  }));
}

function levelOf(mapping: Mapping<ScPoli>, row: number): string | null {
  return mapping.model.content.levels.find(({ types }) => types.includes(row))?.key ?? null;
}

/** Each type in the middle of its reference cells. */
function medians(
  positions: Float32Array,
  levels: ReferenceCells["levels"],
  mapping: Mapping<ScPoli>,
): PrototypePlace[] {
  const { levels: annotation, cellTypes } = mapping.model.content;
  return annotation.flatMap(({ key, types }, level) =>
    types.flatMap((row, code) => {
      const cellsOfType = Array.from(levels[level]!.keys()).filter((cell) => levels[level]![cell] === code);
      if (cellsOfType.length === 0) return [];
      const middle = (axis: number): number =>
        cellsOfType.map((cell) => positions[2 * cell + axis]!).sort((a, b) => a - b)[
          cellsOfType.length >> 1
        ]!;
      return [{ name: cellTypes[row]!, level: key, x: middle(0), y: middle(1) }];
    }),
  );
}

/**
 * The plane of the largest variance, by orthogonal iteration on the covariance (D, D).
 * @returns a projection of rows of D onto it
 */
function principalPlane(latent: Float32Array, D: number): (rows: Float32Array) => Float32Array {
  const N = latent.length / D;
  const mean = new Float64Array(D);
  for (let i = 0; i < latent.length; i++) mean[i % D]! += latent[i]! / N;
  const covariance = Array.from({ length: D }, () => new Float64Array(D));
  for (let cell = 0; cell < N; cell++)
    for (let a = 0; a < D; a++)
      for (let b = 0; b < D; b++)
        covariance[a]![b]! += ((latent[cell * D + a]! - mean[a]!) * (latent[cell * D + b]! - mean[b]!)) / N;
  let axes = [0, 1].map((axis) => Float64Array.from({ length: D }, (_, d) => (d % 2 === axis ? 1 : 0.5)));
  for (let round = 0; round < 200; round++) {
    axes = axes.map((axis) =>
      Float64Array.from(covariance, (row) => row.reduce((sum, value, d) => sum + value * axis[d]!, 0)),
    );
    const dot = (a: Float64Array, b: Float64Array): number =>
      a.reduce((sum, value, d) => sum + value * b[d]!, 0);
    const normal = (axis: Float64Array): Float64Array<ArrayBuffer> =>
      Float64Array.from(axis, (value) => value / Math.max(1e-12, Math.sqrt(dot(axis, axis))));
    const first = normal(axes[0]!);
    const along = dot(axes[1]!, first);
    axes = [first, normal(axes[1]!.map((value, d) => value - along * first[d]!))];
  }
  return (rows) => {
    const places = new Float32Array((2 * rows.length) / D);
    for (let row = 0; row < rows.length / D; row++)
      for (let axis = 0; axis < 2; axis++)
        for (let d = 0; d < D; d++)
          places[2 * row + axis]! += (rows[row * D + d]! - mean[d]!) * axes[axis]![d]!;
    return places;
  };
}
