// Multinomial logistic regression with an L2 penalty on sparse cells, by L-BFGS (Nocedal and Wright 2006,
// algorithms 7.4 and 3.1). The cells are stored once; each fit gives them weights, 0 for cells left out. Sums
// run in the order of the cells, so results do not depend on the number of threads.
import { expOfNegative } from "../numerics/exponential.js";
import { addScaled, dot, scale } from "../numerics/linear-algebra.js";
import { SparseProducts } from "../kernel-modules/profiles.js";
import { type SparseCells } from "../kernel-modules/sparse-cells.js";

/** Cells and their types. */
export interface LabelledCells {
  /** (n, G) log-normalised */
  readonly rows: SparseCells;
  readonly genes: number;
  /** number of types of each level; scores are concatenated over levels: R in total */
  readonly levels: readonly number[];
  /** (n, levels) position of each cell's type in its level, -1: unlabelled */
  readonly labels: Int32Array;
}

/** A linear layer. */
export interface LinearModel {
  /** (G, R) */
  readonly weight: Float64Array;
  /** (R) */
  readonly bias: Float64Array;
}

export interface FitOptions {
  /** C: weight of the summed losses relative to |W|^2 / 2 */
  readonly inversePenalty: number;
  /** (n, levels) weight of each label */
  readonly weights: Float64Array;
  readonly start: LinearModel | null;
  readonly mostSteps: number;
  /** stops when a step lowers the objective by less than this fraction */
  readonly tolerance: number;
}

/** Number of past steps that the inverse Hessian is estimated from. */
const historyLength = 8;

export class LogisticRegression {
  readonly #products: SparseProducts;
  /** (G) mean that is subtracted from all cells: the same model, but faster convergence */
  readonly #mean: Float64Array;
  readonly #n: number;
  readonly #R: number;

  constructor(private readonly cells: LabelledCells) {
    const { rows, genes, levels } = cells;
    this.#n = rows.indptr.length - 1;
    this.#R = levels.reduce((sum, types) => sum + types, 0);
    this.#products = new SparseProducts(rows, genes, this.#R);
    this.#mean = new Float64Array(genes);
    for (let at = 0; at < rows.indptr[this.#n]!; at++)
      this.#mean[rows.indices[at]!]! += rows.values[at]! / this.#n;
  }

  /** @param used - (n) 1 for the cells to score @returns (n, R) scores; of other cells the bias */
  scores({ weight, bias }: LinearModel, used: Uint8Array): Float64Array {
    this.#products.use(used);
    const scores = this.#products.along(weight);
    const R = this.#R;
    for (let at = 0; at < scores.length; at += R) for (let r = 0; r < R; r++) scores[at + r]! += bias[r]!;
    return scores;
  }

  fit({ inversePenalty, weights, start, mostSteps, tolerance }: FitOptions): LinearModel {
    const [G, R, L] = [this.cells.genes, this.#R, this.cells.levels.length];
    this.#products.use(
      Uint8Array.from({ length: this.#n }, (_, i) =>
        weights.subarray(i * L, (i + 1) * L).some((weight) => weight !== 0) ? 1 : 0,
      ),
    );
    // the last R parameters are the bias for centred cells
    let point = new Float64Array((G + 1) * R);
    if (start) {
      point.set(start.weight);
      point.set(start.bias, G * R);
      this.#shiftBias(point, 1);
    }
    let { value, gradient } = this.#objective(point, inversePenalty, weights);
    const steps: { readonly s: Float64Array; readonly y: Float64Array; readonly sy: number }[] = [];
    for (let step = 0; step < mostSteps; step++) {
      const direction = descent(gradient, steps);
      const slope = dot(direction, gradient);
      if (!(slope < 0)) break;
      let length = steps.length === 0 ? 1 / Math.sqrt(dot(gradient, gradient)) : 1;
      let next = { point, value, gradient };
      for (let halving = 0; halving < 20; halving++, length /= 2) {
        const tried = point.slice();
        addScaled(tried, length, direction);
        next = { point: tried, ...this.#objective(tried, inversePenalty, weights) };
        if (next.value <= value + 1e-4 * length * slope) break;
      }
      if (!(next.value < value)) break;
      const s = direction;
      scale(s, length);
      const y = next.gradient.slice();
      addScaled(y, -1, gradient);
      const sy = dot(s, y);
      if (sy > 1e-12 * dot(y, y)) steps.push({ s, y, sy });
      if (steps.length > historyLength) steps.shift();
      const gain = value - next.value;
      ({ point, value, gradient } = next);
      if (gain < tolerance * Math.abs(value)) break;
    }
    this.#shiftBias(point, -1);
    return { weight: point.slice(0, G * R), bias: point.slice(G * R) };
  }

  /** Converts the bias to that of centred cells (sign 1) or back (sign -1). */
  #shiftBias(point: Float64Array, sign: number): void {
    const [G, R] = [this.cells.genes, this.#R];
    for (let gene = 0, at = 0; gene < G; gene++)
      for (let r = 0; r < R; r++, at++) point[G * R + r]! += sign * this.#mean[gene]! * point[at]!;
  }

  /** Sum of the weighted losses + |W|^2 / (2 C). */
  #objective(
    point: Float64Array,
    inversePenalty: number,
    weights: Float64Array,
  ): { readonly value: number; readonly gradient: Float64Array } {
    const { genes: G, levels, labels } = this.cells;
    const [n, R, L] = [this.#n, this.#R, levels.length];
    const table = point.subarray(0, G * R);
    const scores = this.#products.along(table);
    const shift = point.slice(G * R);
    for (let gene = 0, at = 0; gene < G; gene++)
      for (let r = 0; r < R; r++, at++) shift[r]! -= this.#mean[gene]! * table[at]!;
    let value = 0;
    const sums = new Float64Array(R);
    for (let i = 0; i < n; i++)
      for (let level = 0, first = 0; level < L; first += levels[level++]!) {
        const from = i * R + first;
        const [label, weight] = [labels[i * L + level]!, weights[i * L + level]!];
        const K = levels[level]!;
        if (label < 0 || weight === 0) {
          scores.fill(0, from, from + K);
          continue;
        }
        let top = -Infinity;
        for (let k = 0; k < K; k++) {
          scores[from + k]! += shift[first + k]!;
          top = Math.max(top, scores[from + k]!);
        }
        const labelScore = scores[from + label]!;
        let sum = 0;
        for (let k = 0; k < K; k++) sum += scores[from + k] = expOfNegative(scores[from + k]! - top);
        value += weight * (Math.log(sum) + top - labelScore);
        for (let k = 0; k < K; k++) {
          const residual = weight * (scores[from + k]! / sum - (k === label ? 1 : 0));
          scores[from + k] = residual;
          sums[first + k]! += residual;
        }
      }
    const gradient = new Float64Array((G + 1) * R);
    gradient.set(this.#products.back(scores));
    let square = 0;
    for (let gene = 0, at = 0; gene < G; gene++)
      for (let r = 0; r < R; r++, at++) {
        gradient[at]! += table[at]! / inversePenalty - this.#mean[gene]! * sums[r]!;
        square += table[at]! * table[at]!;
      }
    gradient.set(sums, G * R);
    return { value: value + square / (2 * inversePenalty), gradient };
  }
}

/** Descent direction: minus the estimated inverse Hessian times the gradient (two-loop recursion). */
function descent(
  gradient: Float64Array,
  steps: readonly { readonly s: Float64Array; readonly y: Float64Array; readonly sy: number }[],
): Float64Array {
  const direction = gradient.slice();
  scale(direction, -1);
  const shares = new Float64Array(steps.length);
  for (let i = steps.length - 1; i >= 0; i--) {
    const { s, y, sy } = steps[i]!;
    shares[i] = dot(s, direction) / sy;
    addScaled(direction, -shares[i]!, y);
  }
  const last = steps.at(-1);
  if (last) scale(direction, last.sy / dot(last.y, last.y));
  steps.forEach(({ s, y, sy }, i) => addScaled(direction, shares[i]! - dot(y, direction) / sy, s));
  return direction;
}
