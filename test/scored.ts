// Latents of the Python package with the numbers that scib-metrics and scib have for them: one carried here,
// two more where ../shared is.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { LabelledCells } from "../dist/evaluation/cells.js";
import type { MetricName } from "../dist/evaluation/metrics.js";
import { readSafetensors, type Tensor } from "../dist/storage/safetensors.js";

export const scoredNames = ["panc8", "pbmc3", "kang16"] as const;
export type ScoredName = (typeof scoredNames)[number];
/** Carried in the repository. */
export const carried: ScoredName = "pbmc3";

const fixtures = new URL("./fixtures/metrics/", import.meta.url);
const golden = new URL("../../shared/golden/metrics/", import.meta.url);
const isShared = existsSync(golden);

/** Numbers of the reference, written by `npm run check:metrics -- --update`. */
export const referencePath = fileURLToPath(new URL("reference.json", fixtures));
export type ReferenceNumbers = { readonly [name in MetricName]: number };

/** How far ours may be from the reference: the metrics that rest on clusters depend on chance there too. */
export function bound(metric: MetricName): number {
  return /^(leiden|kmeans)|f1$/.test(metric) ? 0.02 : 0.002;
}

export interface Scored {
  readonly cells: LabelledCells;
  /** (N, P) components before integration */
  readonly before: { readonly values: ArrayLike<number>; readonly D: number };
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** null where the file is not there. */
export function readScored(name: ScoredName): Scored | null {
  if (name !== carried && !isShared) return null;
  const bytes = readFileSync(
    name === carried ? new URL(`${name}.safetensors`, fixtures) : new URL(`${name}.safetensors`, golden),
  );
  const tensors = new Map(readSafetensors(bytes, name));
  const pca = tensors.get("pca_before")!;
  // of these two the components were saved column by column under the shape (N, P): read row by row,
  // condition explains nothing of them; read so, PC regression is what the file says
  if (name === "panc8" || name === "kang16")
    tensors.set("pca_before", { ...pca, data: transposed(pca.data as Float32Array, pca.shape[0]!) });
  const [types, conditions] = ["label", "condition"].map((key) =>
    Int32Array.from(tensors.get(key)!.data),
  ) as [Int32Array, Int32Array];
  const latent = tensors.get("latent")!;
  const names = (codes: Int32Array, what: string): string[] =>
    Array.from({ length: Math.max(...codes) + 1 }, (_, code) => `${what} ${code}`);
  return {
    cells: {
      points: latent.data as Float32Array,
      D: latent.shape[1]!,
      types,
      typeNames: names(types, "type"),
      conditions,
      conditionNames: names(conditions, "condition"),
    },
    before: { values: tensors.get("pca_before")!.data, D: pca.shape[1]! },
    tensors,
  };
}

function transposed(values: Float32Array, rows: number): Float32Array {
  const columns = values.length / rows;
  return values.map((_, at) => values[(at % columns) * rows + Math.floor(at / columns)]!);
}
