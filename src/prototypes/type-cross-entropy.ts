// Cross-entropy of labelled cells over the prototypes of their level, and the weights of cell types in the
// loss.
import type { Floats, LevelPrototypes } from "../engine/engine.js";
import type { Prototypes } from "./prototypes.js";

/**
 * How well prototypes discriminate cell types: the mean cross-entropy of softmax(-|z - c_k|^2 / (2 s^2)) over
 * the prototypes c_k of a level, with s^2 the mean variance within types (per dimension). Distances are
 * relative to the spread around prototypes, so the value does not depend on the scale of the latent space.
 */
export class TypeCrossEntropy {
  readonly #variance: number;
  #sum = 0;
  #labels = 0;

  /** @param levels - rows of the table at each annotation level */
  constructor(
    readonly prototypes: Prototypes,
    readonly levels: readonly (readonly number[])[],
  ) {
    const [K, D] = prototypes.shape;
    let [sum, weight] = [0, 0];
    for (let k = 0; k < K; k++) {
      const freedom = prototypes.counts[k]! - 1;
      if (freedom <= 0) continue;
      for (let d = 0; d < D; d++) sum += freedom * prototypes.covariances[(k * D + d) * D + d]!;
      weight += freedom * D;
    }
    this.#variance = weight > 0 && sum > 0 ? sum / weight : 1;
  }

  /**
   * @param latent - (rows, D)
   * @param labels - (rows, stride) row of the table for each label, -1 if missing
   */
  add(latent: Floats, labels: Int32Array, rows: number, stride: number): void {
    const { means, shape } = this.prototypes;
    const D = shape[1];
    for (let row = 0; row < rows; row++)
      this.levels.forEach((types, level) => {
        const label = labels[row * stride + level]!;
        if (label < 0) return;
        const logit = (k: number): number => {
          let square = 0;
          for (let d = 0; d < D; d++) square += (latent[row * D + d]! - means[k * D + d]!) ** 2;
          return -square / (2 * this.#variance);
        };
        const labelLogit = logit(label);
        let [largest, total] = [-Infinity, 0];
        for (const k of types) {
          const value = logit(k);
          if (value > largest) [largest, total] = [value, total * Math.exp(largest - value) + 1];
          else total += Math.exp(value - largest);
        }
        this.#sum += largest + Math.log(total) - labelLogit;
        this.#labels++;
      });
  }

  /** Mean over the labels; undefined without any. */
  value(): number | undefined {
    return this.#labels > 0 ? this.#sum / this.#labels : undefined;
  }
}

/**
 * Per annotation level: the prototypes in its cross-entropy, and the weight of a cell of each type, the
 * inverse frequency of the type to the power of `balance`.
 * @param rows - of each level, rows of the table of prototypes
 * @param labels - (N, stride) row of each label, -1 for none
 */
export function levelPrototypes(
  rows: readonly (readonly number[])[],
  labels: Int32Array,
  stride: number,
  balance: number,
): LevelPrototypes[] {
  const cells = rows.map((types, level) => {
    const counts = new Map(types.map((row) => [row, 0]));
    for (let i = level; i < labels.length; i += stride)
      if (labels[i]! >= 0) counts.set(labels[i]!, counts.get(labels[i]!)! + 1);
    return types.map((row) => counts.get(row)!);
  });
  return balancedPrototypes(rows, cells, balance);
}

/** Same as `levelPrototypes`, from numbers of cells. @param cells - per level, number of cells of each row */
export function balancedPrototypes(
  rows: readonly (readonly number[])[],
  cells: readonly (readonly number[])[],
  balance: number,
): LevelPrototypes[] {
  return rows.map((types, level) => {
    const most = Math.max(1, ...cells[level]!);
    return { rows: types, weights: cells[level]!.map((n) => (most / Math.max(1, n)) ** balance) };
  });
}
