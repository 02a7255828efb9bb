// Training of the head (head.ts) on the labelled cells of the reference. Penalty, type weights, temperature,
// left-out recall and novelty come from cross-validation over conditions.
import { expOfNegative } from "../numerics/exponential.js";
import type { StoredTensor, HeadJson, HeadLevel, LeftOutLabels } from "../model/stored-model.js";
import type { RunSettings } from "../contract/options.js";
import type { TakenCounts } from "../engine/engine.js";
import { type SparseCells, rowsAt } from "../kernel-modules/sparse-cells.js";
import { ScPoliError } from "../contract/errors.js";
import { classifyByHead, headColumns } from "./head.js";
import type { StoredNovelty } from "../novelty/novelty.js";
import type { TypeProfiles } from "../novelty/profiles.js";
import type { Dataset } from "../data/minibatches.js";
import { leaveOut, readLabelledCells, sampleTypes } from "./labelled-cells.js";
import { LogisticRegression, type LinearModel } from "./logistic.js";
import { trainNovelty } from "../novelty/novelty-training.js";
import { ProfileSums } from "../novelty/profile-training.js";

/** A head as it is stored. */
export interface TrainedHead {
  readonly json: HeadJson;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Candidates in ascending order: each fit starts from that of the stronger penalty. */
const inversePenalties = [0.005, 0.05, 0.5];
const typeExponents = [0.5, 0, 1];
/** Maximum number of cells in cross-validation, sampled with rare types first. */
const mostCalibrationCells = 2500;
/** L-BFGS settings for the fits of cross-validation, and for the fit on all cells. */
const partFit = { mostSteps: 10, tolerance: 1e-3 };
const wholeFit = { mostSteps: 20, tolerance: 1e-4 };
/** Bounds of the temperature: with few left-out conditions, extreme values do not generalise. */
const temperatures = [0.5, 3] as const;
/** Maximum number of conditions with separate profiles: those with the most cells. */
const mostConditions = 24;

/** The note on a level whose novelty is not calibrated. */
export function notCalibrated(key: string, reason: string): string {
  return `Novelty of '${key}' is not calibrated: ${reason}. No cell of a query is flagged unknown.`;
}

/**
 * Trains the head, and calibrates it and the novelty scores.
 * @param levels - per level the rows of its types
 * @param cells - training cells (`chooseHeadCells`)
 * @param units - (N) donor, or condition, of each cell of the data set: the units of cross-validation
 * @param taken - transformation of the counts (`headTakes`)
 * @throws ScPoliError "interrupted"
 */
export async function trainHead(
  dataset: Dataset,
  levels: readonly (readonly number[])[],
  cells: Int32Array,
  units: Int32Array,
  settings: RunSettings,
  taken: TakenCounts,
): Promise<TrainedHead> {
  const seed = settings.seed ?? 0;
  const rows = await readLabelledCells(dataset, cells, taken);
  const folds = leaveOut(
    cells.map((cell) => units[cell]!),
    seed,
  );
  const indexOf = new Map(Array.from(cells, (cell, i) => [cell, i]));
  const sample = sampleTypes(dataset, cells, mostCalibrationCells, seed, "calibration").map((cell) =>
    indexOf.get(cell)!,
  );
  const whole = new HeadCells(dataset, levels, cells, rows);
  const calibration = new LeftOutHeads(
    new HeadCells(
      dataset,
      levels,
      sample.map((i) => cells[i]!),
      rowsAt(rows, sample),
    ),
    sample.map((i) => folds[i]!),
    () => yieldToEvents(settings),
  );
  const training = await calibration.choose();
  const { weight, bias } = whole.fit({ ...training, start: calibration.meanModel(), ...wholeFit });
  const G = dataset.counts.genes;
  const R = bias.length;
  const tensors = new Map<string, StoredTensor>([
    [
      "head.weight",
      {
        shape: [R, G],
        data: Float32Array.from({ length: R * G }, (_, at) => weight[(at % G) * R + Math.floor(at / G)]!),
      },
    ],
    ["head.bias", { shape: [R], data: Float32Array.from(bias) }],
  ]);
  const json: HeadJson = {
    levels: levels.map((types, level) => ({ types, temperature: calibration.temperature(level) })),
    training: { inverse_penalty: training.inversePenalty, type_exponent: training.exponent },
  };
  const described: HeadLevel[] = [];
  for (const [level, fitted] of json.levels.entries()) {
    await yieldToEvents(settings);
    const quality = leftOutLabels(calibration, json, level, units);
    const scored = { ...fitted, ...(quality && { left_out: quality }) };
    const novelty = calibrateLevel(dataset, whole, calibration, json, level, units, folds, seed);
    if (typeof novelty === "string") {
      described.push({ ...scored, not_calibrated: novelty });
      continue;
    }
    described.push({ ...scored, novelty: novelty.json });
    for (const [name, tensor] of noveltyTensors(novelty, level, G)) tensors.set(name, tensor);
  }
  return { json: { ...json, levels: described }, tensors };
}

/** Yields to the event loop. @throws ScPoliError "interrupted" */
async function yieldToEvents({ signal }: RunSettings): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  if (signal?.aborted)
    throw new ScPoliError("interrupted", "Stopped while the head was trained; the network is.");
}

/** n^-exponent for the candidates; by square roots, as the last digit of a power differs between runtimes. */
function weightOf(n: number, exponent: number): number {
  return exponent === 0 ? 1 : exponent === 1 ? 1 / n : exponent === 0.5 ? 1 / Math.sqrt(n) : NaN;
}

/** Penalty of a fit, and exponent of its type weights. */
type HeadFit = { readonly inversePenalty: number; readonly exponent: number };

/** Labelled cells, and heads trained on all or some of them. */
class HeadCells {
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

  /** (n, R) */
  scores(model: LinearModel): Float64Array {
    return this.#regression.scores(model);
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

/** Cross-validation: heads trained without one fold of the conditions each, and their scores on that fold. */
class LeftOutHeads {
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
      const scores = this.cells.scores(model);
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

/** In the log loss, types count by the square root of their number of cells. */
const lossExponent = 0.5;

/** @returns recall on the left-out cells; null with fewer than two units */
function leftOutLabels(
  heads: LeftOutHeads,
  json: HeadJson,
  level: number,
  units: Int32Array,
): LeftOutLabels | null {
  const columns = headColumns(json, level);
  const { position } = classifyByHead(json.levels[level]!, columns, heads.scores);
  const labels = heads.cells.positions(level);
  const [right, all] = [new Int32Array(columns.K), new Int32Array(columns.K)];
  const donors = new Set<number>();
  heads.cells.cells.forEach((cell, i) => {
    if (!heads.isJudged(i, level)) return;
    donors.add(units[cell]!);
    all[labels[i]!]!++;
    if (position[i] === labels[i]) right[labels[i]!]!++;
  });
  if (donors.size < 2) return null;
  const recalls = [...right].flatMap((count, k) => (all[k]! > 0 ? [count / all[k]!] : []));
  return {
    cells: all.reduce((sum, count) => sum + count, 0),
    units: donors.size,
    mean_recall: Number((recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length).toFixed(4)),
  };
}

/** @returns the novelty model of a level, or the reason why it is not calibrated */
function calibrateLevel(
  dataset: Dataset,
  whole: HeadCells,
  heads: LeftOutHeads,
  json: HeadJson,
  level: number,
  units: Int32Array,
  folds: Int32Array,
  seed: number,
): StoredNovelty | string {
  const columns = headColumns(json, level);
  if (columns.K < 2) return "it has one cell type";
  if (new Set(whole.cells.map((cell) => units[cell]!)).size < 2)
    return "the reference has a single condition, so none can be left out";
  const { cells } = heads;
  const judged = Int32Array.from(cells.cells.keys()).filter((i) => heads.isJudged(i, level));
  const { position, probability } = classifyByHead(json.levels[level]!, columns, heads.scores);
  const positions = cells.positions(level);
  const novelty = trainNovelty(
    {
      rows: rowsAt(cells.rows, judged),
      genes: dataset.counts.genes,
      labels: judged.map((i) => positions[i]!),
      conditions: judged.map((i) => dataset.combinations[cells.cells[i]!]!),
      units: judged.map((i) => units[cells.cells[i]!]!),
      folds: judged.map((i) => heads.folds[i]!),
      prediction: {
        position: judged.map((i) => position[i]!),
        probability: Float32Array.from(judged, (i) => probability[i]!),
      },
      profilesWithout: profilesOf(dataset, whole, level, folds),
    },
    seed,
  );
  return novelty ?? "too few cells of the reference remain when a condition is left out";
}

/** @returns a function of a fold: profiles of a level's types without that fold; null: of all cells */
function profilesOf(
  { combinations, counts }: Dataset,
  whole: HeadCells,
  level: number,
  folds: Int32Array,
): (fold: number | null) => TypeProfiles {
  const { cells, rows, levels } = whole;
  const sizes = new Map<number, number>();
  for (const cell of cells) sizes.set(combinations[cell]!, (sizes.get(combinations[cell]!) ?? 0) + 1);
  const largest = [...sizes]
    .sort(([a, m], [b, n]) => n - m || a - b)
    .slice(0, mostConditions)
    .map(([combination]) => combination);
  const groupOf = new Map(largest.map((combination, i) => [combination, i]));
  const foldCount = Math.max(...folds) + 1;
  // the cells of other conditions form one group per fold
  const groups = cells.map((cell, i) => groupOf.get(combinations[cell]!) ?? largest.length + folds[i]!);
  const foldOf = new Int32Array(largest.length + foldCount);
  groups.forEach((group, i) => (foldOf[group] = folds[i]!));
  const sums = new ProfileSums(foldOf.length, largest.length, levels[level]!.length, counts.genes);
  sums.add(rows, whole.positions(level), groups);
  return (fold) => sums.profiles((group) => foldOf[group] !== fold);
}

function noveltyTensors(
  { json, profiles, company, alone }: StoredNovelty,
  level: number,
  genes: number,
): [string, StoredTensor][] {
  const width = 3 + 3 * json.neighborhoods.length;
  const tensor = (name: string, columns: number, data: Float32Array): [string, StoredTensor] => [
    `novelty.${level}.${name}`,
    { shape: [data.length / columns, columns], data },
  ];
  return [
    tensor("profiles", genes, profiles.means),
    tensor("displacements", genes, profiles.displacements),
    tensor("variances", genes, profiles.variances),
    tensor("company", width, company),
    tensor("alone", width, alone),
  ];
}
