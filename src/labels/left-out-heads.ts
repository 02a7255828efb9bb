// Cross-validation of the head over conditions: penalty, type weights and temperature, chosen on the cells
// that a head was trained without.
import { expOfNegative } from "../numerics/exponential.js";
import type { HeadCells, HeadFit } from "./head-cells.js";
import type { LinearModel } from "./logistic.js";

/** Candidates in ascending order: each fit starts from that of the stronger penalty. */
const inversePenalties = [0.005, 0.05, 0.5];
const typeExponents = [0.5, 0, 1];
/** L-BFGS settings. */
const partFit = { mostSteps: 10, tolerance: 1e-3 };
/** Bounds of the temperature: with few left-out conditions, extreme values do not generalise. */
const temperatures = [0.5, 3] as const;
/** In the log loss, types count by the square root of their number of cells. */
const lossExponent = 0.5;

/** Cross-validation: heads trained without one fold of the conditions each, and their scores on that fold. */
export class LeftOutHeads {
  /** (n, R) scores of each cell by the head trained without its fold */
  #scores: Float64Array = new Float64Array(0);
  #models: readonly LinearModel[] = [];
  /** (n, levels) whether a cell's type also occurs in other folds; otherwise it cannot be recognised */
  readonly #isJudged: Uint8Array;

  constructor(
    readonly cells: HeadCells,
    /** (n) */
    readonly folds: Int32Array,
    private readonly pause: () => Promise<void>,
  ) {
    const L = cells.levels.length;
    const foldsOfType = cells.levels.map(({ length }) => Array.from({ length }, () => new Set<number>()));
    cells.labels.forEach(
      (label, at) => label >= 0 && foldsOfType[at % L]![label]!.add(folds[Math.floor(at / L)]!),
    );
    this.#isJudged = Uint8Array.from(cells.labels, (label, at) =>
      label >= 0 && foldsOfType[at % L]![label]!.size > 1 ? 1 : 0,
    );
  }

  isJudged(i: number, level: number): boolean {
    return this.#isJudged[i * this.cells.levels.length + level] === 1;
  }

  /** Chooses penalty and weights by the log loss, and keeps the heads of the best fit. */
  async choose(): Promise<HeadFit> {
    let best: { readonly fit: HeadFit; readonly loss: number } | null = null;
    const evaluate = async (
      fit: HeadFit,
      starts: readonly LinearModel[],
    ): Promise<readonly LinearModel[]> => {
      const models = await this.#fitAll(fit, starts);
      const scores = this.#leftOutScores(models);
      const loss = this.#loss(scores);
      if (!best || loss < best.loss) {
        best = { fit, loss };
        [this.#scores, this.#models] = [scores, models];
      }
      return models;
    };
    let models: readonly LinearModel[] = [];
    for (const inversePenalty of inversePenalties)
      models = await evaluate({ inversePenalty, exponent: typeExponents[0]! }, models);
    const { inversePenalty } = best!.fit;
    const starts = this.#models;
    for (const exponent of typeExponents.slice(1)) await evaluate({ inversePenalty, exponent }, starts);
    return best!.fit;
  }

  async #fitAll(fit: HeadFit, starts: readonly LinearModel[]): Promise<LinearModel[]> {
    const models: LinearModel[] = [];
    for (let fold = 0; fold <= Math.max(...this.folds); fold++) {
      await this.pause();
      models.push(
        this.cells.fit({ ...fit, ...partFit, start: starts[fold] ?? null }, (i) => this.folds[i] !== fold),
      );
    }
    return models;
  }

  #leftOutScores(models: readonly LinearModel[]): Float64Array {
    const leftOut = new Float64Array(models[0]!.bias.length * this.folds.length);
    const R = models[0]!.bias.length;
    models.forEach((model, fold) => {
      const scores = this.cells.scores(model, (i) => this.folds[i] === fold);
      this.folds.forEach(
        (foldOfCell, i) => foldOfCell === fold && leftOut.set(scores.subarray(i * R, (i + 1) * R), i * R),
      );
    });
    return leftOut;
  }

  /** Weighted log loss over the cells of all levels. */
  #loss(scores: Float64Array): number {
    let loss = 0;
    const weights = this.cells.weights(lossExponent, () => true);
    const L = this.cells.levels.length;
    this.cells.levels.forEach((_, level) =>
      this.#eachLoss(scores, level, 1, (i, cellLoss) => (loss += weights[i * L + level]! * cellLoss)),
    );
    return loss;
  }

  #eachLoss(
    scores: Float64Array,
    level: number,
    temperature: number,
    visit: (i: number, loss: number) => void,
  ): void {
    const { levels, labels } = this.cells;
    const [L, K] = [levels.length, levels[level]!.length];
    const R = scores.length / this.folds.length;
    const first = levels.slice(0, level).reduce((sum, { length }) => sum + length, 0);
    for (let i = 0; i < this.folds.length; i++) {
      if (!this.isJudged(i, level)) continue;
      const levelScores = scores.subarray(i * R + first, i * R + first + K);
      const labelScore = levelScores[labels[i * L + level]!]!;
      const top = levelScores.reduce((a, b) => Math.max(a, b));
      const sum = levelScores.reduce((all, score) => all + expOfNegative((score - top) / temperature), 0);
      visit(i, Math.log(sum) + (top - labelScore) / temperature);
    }
  }

  /**
   * The temperature with the maximum likelihood of the left-out labels, within bounds, by golden-section
   * search on its logarithm. 1 without cells.
   */
  temperature(level: number): number {
    const loss = (log: number): number => {
      let sum = 0;
      this.#eachLoss(this.#scores, level, Math.exp(log), (_, cellLoss) => (sum += cellLoss));
      return sum;
    };
    if (loss(0) === 0) return 1;
    const ratio = (Math.sqrt(5) - 1) / 2;
    let [low, high] = [Math.log(temperatures[0]), Math.log(temperatures[1])];
    for (let i = 0; i < 25; i++) {
      const step = ratio * (high - low);
      if (loss(high - step) < loss(low + step)) high = low + step;
      else low = high - step;
    }
    // four digits: the optimum is flat, and the last digits of exp and log differ between runtimes
    return Number(Math.exp((low + high) / 2).toPrecision(4));
  }

  get scores(): Float64Array {
    return this.#scores;
  }

  /** Mean of the heads: the start of the fit on all cells. */
  meanModel(): LinearModel {
    const mean = (of: (model: LinearModel) => Float64Array): Float64Array => {
      const sum = new Float64Array(of(this.#models[0]!).length);
      for (const model of this.#models)
        of(model).forEach((value, at) => (sum[at]! += value / this.#models.length));
      return sum;
    };
    return { weight: mean(({ weight }) => weight), bias: mean(({ bias }) => bias) };
  }
}
