// Labelled cells of the reference as the head is trained on them: their types per level, and weights that
// balance the types.
import type { Dataset } from "../data/minibatches.js";
import type { SparseCells } from "../kernel-modules/sparse-cells.js";
import { LogisticRegression, type LinearModel } from "./logistic.js";

/** Penalty of a fit, and exponent of its type weights. */
export type HeadFit = { readonly inversePenalty: number; readonly exponent: number };

/** Labelled cells, and heads trained on all or some of them. */
export class HeadCells {
  /** (n, levels) position of each cell's type in its level, -1: unlabelled */
  readonly labels: Int32Array;
  readonly #regression: LogisticRegression;

  constructor(
    dataset: Dataset,
    readonly levels: readonly (readonly number[])[],
    /** (n) cells of the data set */
    readonly cells: Int32Array,
    readonly rows: SparseCells,
  ) {
    const L = levels.length;
    this.labels = Int32Array.from({ length: cells.length * L }, (_, at) => {
      const [i, level] = [Math.floor(at / L), at % L];
      return levels[level]!.indexOf(dataset.labels[cells[i]! * L + level]!);
    });
    this.#regression = new LogisticRegression({
      rows,
      genes: dataset.counts.genes,
      levels: levels.map(({ length }) => length),
      labels: this.labels,
    });
  }

  /** @param isIn - whether a cell is used for training. Default: all */
  fit(
    options: HeadFit & {
      readonly start: LinearModel | null;
      readonly mostSteps: number;
      readonly tolerance: number;
    },
    isIn: (i: number) => boolean = () => true,
  ): LinearModel {
    return this.#regression.fit({ ...options, weights: this.weights(options.exponent, isIn) });
  }

  /** @param isIn - whether a cell is scored @returns (n, R) */
  scores(model: LinearModel, isIn: (i: number) => boolean): Float64Array {
    return this.#regression.scores(
      model,
      Uint8Array.from(this.cells, (_, i) => (isIn(i) ? 1 : 0)),
    );
  }

  /** (n) labels at one level */
  positions(level: number): Int32Array {
    const L = this.levels.length;
    return this.cells.map((_, i) => this.labels[i * L + level]!);
  }

  /** (n, levels) weight of each label: n^-exponent for a type with n cells, scaled to mean 1 over cells. */
  weights(exponent: number, isIn: (i: number) => boolean): Float64Array {
    const L = this.levels.length;
    const weights = new Float64Array(this.labels.length);
    this.levels.forEach(({ length: K }, level) => {
      const labelled = Int32Array.from(this.cells.keys()).filter(
        (i) => this.labels[i * L + level]! >= 0 && isIn(i),
      );
      const n = new Int32Array(K);
      for (const i of labelled) n[this.labels[i * L + level]!]!++;
      const sum = n.reduce((all, count) => all + (count > 0 ? count * weightOf(count, exponent) : 0), 0);
      for (const i of labelled)
        weights[i * L + level] =
          (labelled.length * weightOf(n[this.labels[i * L + level]!]!, exponent)) / sum;
    });
    return weights;
  }
}

/** n^-exponent for the candidates; by square roots, as the last digit of a power differs between runtimes. */
function weightOf(n: number, exponent: number): number {
  return exponent === 0 ? 1 : exponent === 1 ? 1 / n : exponent === 0.5 ? 1 / Math.sqrt(n) : NaN;
}
