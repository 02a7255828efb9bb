// Sums that the profiles of types (model/profiles.ts) are made of, so that those without one part of the
// conditions are had without another pass over the cells.
import type { SparseCells } from "../engine/profiles.js";
import type { TypeProfiles } from "../model/profiles.js";

/** Conditions that tell how a type's mean varies between them: those with the most cells. */
export const mostProfileConditions = 12;
/** Cells of a type that a condition has at least to tell of it. */
const leastCells = 5;

export class ProfileSums {
  /** (folds, K, G) sums and sums of squares; (conditions, K, G) sums */
  readonly #sums: Float32Array;
  readonly #squares: Float32Array;
  readonly #ofConditions: Float32Array;
  /** (folds, K), (conditions, K) */
  readonly #cells: Int32Array;
  readonly #conditionCells: Int32Array;

  /** @param foldOf - of each of the conditions that tell of variances, its fold */
  constructor(
    private readonly folds: number,
    private readonly foldOf: readonly number[],
    private readonly K: number,
    private readonly genes: number,
  ) {
    const room = K * genes;
    [this.#sums, this.#squares, this.#ofConditions] = [
      new Float32Array(folds * room),
      new Float32Array(folds * room),
      new Float32Array(foldOf.length * room),
    ];
    [this.#cells, this.#conditionCells] = [new Int32Array(folds * K), new Int32Array(foldOf.length * K)];
  }

  /**
   * @param types - (rows) position of each cell's type, -1 for none
   * @param folds - (rows)
   * @param conditions - (rows) which of the conditions, -1 for another
   */
  add(
    { indptr, indices, values }: SparseCells,
    types: Int32Array,
    folds: Int32Array,
    conditions: Int32Array,
  ): void {
    const { K, genes } = this;
    types.forEach((type, row) => {
      if (type < 0) return;
      const [own, condition] = [folds[row]! * K + type, conditions[row]!];
      this.#cells[own]!++;
      for (let at = indptr[row]!, end = indptr[row + 1]!; at < end; at++) {
        const [gene, value] = [indices[at]!, values[at]!];
        this.#sums[own * genes + gene]! += value;
        this.#squares[own * genes + gene]! += value * value;
      }
      if (condition < 0) return;
      const place = condition * K + type;
      this.#conditionCells[place]!++;
      for (let at = indptr[row]!, end = indptr[row + 1]!; at < end; at++)
        this.#ofConditions[place * genes + indices[at]!]! += values[at]!;
    });
  }

  /** @param fold - that is left out; null: none */
  without(fold: number | null): TypeProfiles {
    const { K, genes } = this;
    const means = new Float32Array(K * genes);
    const variances = new Float32Array(2 * genes);
    const [between, within] = [variances.subarray(0, genes), variances.subarray(genes)];
    let types = 0;
    for (let type = 0; type < K; type++) {
      const own = Array.from({ length: this.folds }, (_, other) => other)
        .filter((other) => other !== fold)
        .map((other) => other * K + type);
      const cells = own.reduce((sum, place) => sum + this.#cells[place]!, 0);
      if (cells === 0) continue;
      types++;
      for (let gene = 0; gene < genes; gene++) {
        let [sum, squares] = [0, 0];
        for (const place of own) {
          sum += this.#sums[place * genes + gene]!;
          squares += this.#squares[place * genes + gene]!;
        }
        means[type * genes + gene] = sum / cells;
        within[gene]! += squares / cells - (sum / cells) ** 2;
      }
    }
    for (let gene = 0; gene < genes; gene++) within[gene]! /= Math.max(1, types);
    this.#addBetween(between, fold);
    return { means, variances };
  }

  #addBetween(between: Float32Array, fold: number | null): void {
    const { K, genes, foldOf } = this;
    let types = 0;
    for (let type = 0; type < K; type++) {
      const own = foldOf.flatMap((other, condition) =>
        other !== fold && this.#conditionCells[condition * K + type]! >= leastCells
          ? [condition * K + type]
          : [],
      );
      if (own.length < 2) continue;
      types++;
      for (let gene = 0; gene < genes; gene++) {
        let [sum, squares] = [0, 0];
        for (const place of own) {
          const mean = this.#ofConditions[place * genes + gene]! / this.#conditionCells[place]!;
          sum += mean;
          squares += mean * mean;
        }
        between[gene]! += Math.max(0, squares / own.length - (sum / own.length) ** 2);
      }
    }
    for (let gene = 0; gene < genes; gene++) between[gene]! /= Math.max(1, types);
  }
}
