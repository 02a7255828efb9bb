// Training of the head (head.ts) on the reference's labelled cells, and of what its labels are worth:
// penalty, weights of the types, temperature and novelty come from conditions that are left out in turn.
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

/** Candidates, ascending: the stronger penalty is where the next one starts. */
const inversePenalties = [0.005, 0.05, 0.5];
const typeExponents = [0.5, 0, 1];
/** Cells that are left out in turn, at most, rare types first. */
const mostCalibrationCells = 2500;
/** L-BFGS on a part, and on all cells. */
const partFit = { mostSteps: 10, tolerance: 1e-3 };
const wholeFit = { mostSteps: 20, tolerance: 1e-4 };
/** Bounds of the temperature: left-out conditions are few, and an extreme one is theirs alone. */
const temperatures = [0.5, 3] as const;
/** Conditions with profiles of their own: those with the most cells. */
const mostConditions = 24;

/** What a user is told of a level whose novelty has no scale. */
export function notCalibrated(key: string, reason: string): string {
  return `Novelty of '${key}' is not calibrated: ${reason}. No cell of a query is flagged unknown.`;
}

/**
 * @param levels - per level the rows of its types
 * @param cells - that it is trained on (`chooseHeadCells`)
 * @param units - (N) donor, or condition, of each cell of the data set: what is left out as a whole
 * @param taken - what it takes of the counts (`headTakes`)
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
  const placeOf = new Map(Array.from(cells, (cell, place) => [cell, place]));
  const sample = sampleTypes(dataset, cells, mostCalibrationCells, seed, "calibration").map((cell) =>
    placeOf.get(cell)!,
  );
  const whole = new HeadCells(dataset, levels, cells, rows);
  const calibration = new LeftOutHeads(
    new HeadCells(
      dataset,
      levels,
      sample.map((place) => cells[place]!),
      rowsAt(rows, sample),
    ),
    sample.map((place) => folds[place]!),
    () => breathe(settings),
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
  for (const [level, own] of json.levels.entries()) {
    await breathe(settings);
    const quality = leftOutLabels(calibration, json, level, units);
    const judged = { ...own, ...(quality && { left_out: quality }) };
    const novelty = calibrateLevel(dataset, whole, calibration, json, level, units, folds, seed);
    if (typeof novelty === "string") {
      described.push({ ...judged, not_calibrated: novelty });
      continue;
    }
    described.push({ ...judged, novelty: novelty.json });
    for (const [name, tensor] of noveltyTensors(novelty, level, G)) tensors.set(name, tensor);
  }
  return { json: { ...json, levels: described }, tensors };
}

/** Yields to the event loop. @throws ScPoliError "interrupted" */
async function breathe({ signal }: RunSettings): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
  if (signal?.aborted)
    throw new ScPoliError("interrupted", "Stopped while the head was trained; the network is.");
}

/** n^-exponent for the exponents tried; by roots, as the last digit of a power differs between runtimes. */
function weightOf(n: number, exponent: number): number {
  return exponent === 0 ? 1 : exponent === 1 ? 1 / n : exponent === 0.5 ? 1 / Math.sqrt(n) : NaN;
}

/** Penalty and weighting of the types of a fit. */
type HeadFit = { readonly inversePenalty: number; readonly exponent: number };

/** Labelled cells, and heads that are trained on them or on some. */
class HeadCells {
  /** (n, levels) */
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

  /** @param isIn - whether a cell trains; default: all */
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

  /** (n) positions of the types at one level */
  positions(level: number): Int32Array {
    const L = this.levels.length;
    return this.cells.map((_, i) => this.labels[i * L + level]!);
  }

  /** (n, levels) what each label weighs: n^-exponent of a type with n cells, a mean cell 1. */
  weights(exponent: number, isIn: (i: number) => boolean): Float64Array {
    const L = this.levels.length;
    const weights = new Float64Array(this.labels.length);
    this.levels.forEach(({ length: K }, level) => {
      const own = Int32Array.from(this.cells.keys()).filter(
        (i) => this.labels[i * L + level]! >= 0 && isIn(i),
      );
      const n = new Int32Array(K);
      for (const i of own) n[this.labels[i * L + level]!]!++;
      const sum = n.reduce((all, count) => all + (count > 0 ? count * weightOf(count, exponent) : 0), 0);
      for (const i of own)
        weights[i * L + level] = (own.length * weightOf(n[this.labels[i * L + level]!]!, exponent)) / sum;
    });
    return weights;
  }
}

/** Heads, each trained without a part of the conditions, and what they say of it. */
class LeftOutHeads {
  /** (n, R) scores of each cell by the head that had its part left out */
  #scores: Float64Array = new Float64Array(0);
  #models: readonly LinearModel[] = [];
  /**
   * (n, levels) whether a cell's type has cells in other parts too: one that is nowhere else cannot be
   * recognised
   */
  readonly #isJudged: Uint8Array;

  constructor(
    readonly cells: HeadCells,
    /** (n) */
    readonly folds: Int32Array,
    private readonly breathe: () => Promise<void>,
  ) {
    const L = cells.levels.length;
    const places = cells.levels.map(({ length }) => Array.from({ length }, () => new Set<number>()));
    cells.labels.forEach(
      (label, at) => label >= 0 && places[at % L]![label]!.add(folds[Math.floor(at / L)]!),
    );
    this.#isJudged = Uint8Array.from(cells.labels, (label, at) =>
      label >= 0 && places[at % L]![label]!.size > 1 ? 1 : 0,
    );
  }

  isJudged(i: number, level: number): boolean {
    return this.#isJudged[i * this.cells.levels.length + level] === 1;
  }

  /** Chooses penalty and weights by the log loss, and keeps the heads of that choice. */
  async choose(): Promise<HeadFit> {
    let best: { readonly fit: HeadFit; readonly loss: number } | null = null;
    const take = async (fit: HeadFit, starts: readonly LinearModel[]): Promise<readonly LinearModel[]> => {
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
      models = await take({ inversePenalty, exponent: typeExponents[0]! }, models);
    const { inversePenalty } = best!.fit;
    const starts = this.#models;
    for (const exponent of typeExponents.slice(1)) await take({ inversePenalty, exponent }, starts);
    return best!.fit;
  }

  async #fitAll(fit: HeadFit, starts: readonly LinearModel[]): Promise<LinearModel[]> {
    const models: LinearModel[] = [];
    for (let fold = 0; fold <= Math.max(...this.folds); fold++) {
      await this.breathe();
      models.push(
        this.cells.fit({ ...fit, ...partFit, start: starts[fold] ?? null }, (i) => this.folds[i] !== fold),
      );
    }
    return models;
  }

  #leftOutScores(models: readonly LinearModel[]): Float64Array {
    const outside = new Float64Array(models[0]!.bias.length * this.folds.length);
    const R = models[0]!.bias.length;
    models.forEach((model, fold) => {
      const scores = this.cells.scores(model);
      this.folds.forEach((own, i) => own === fold && outside.set(scores.subarray(i * R, (i + 1) * R), i * R));
    });
    return outside;
  }

  /** Mean over the types of all levels of the log loss of their cells. */
  #loss(scores: Float64Array): number {
    let loss = 0;
    const weights = this.cells.weights(lossExponent, () => true);
    const L = this.cells.levels.length;
    this.cells.levels.forEach((_, level) =>
      this.#eachLoss(scores, level, 1, (i, own) => (loss += weights[i * L + level]! * own)),
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
      const own = scores.subarray(i * R + first, i * R + first + K);
      const [its, top] = [own[labels[i * L + level]!]!, own.reduce((a, b) => Math.max(a, b))];
      const sum = own.reduce((all, score) => all + expOfNegative((score - top) / temperature), 0);
      visit(i, Math.log(sum) + (top - its) / temperature);
    }
  }

  /**
   * The temperature under which the left-out labels are likeliest, within bounds; a golden-section search on
   * its logarithm. 1 without cells.
   */
  temperature(level: number): number {
    const loss = (log: number): number => {
      let sum = 0;
      this.#eachLoss(this.#scores, level, Math.exp(log), (_, own) => (sum += own));
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

  /** Mean of the heads: where that of all cells starts. */
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

/** Types count in the log loss between their numbers of cells and alike. */
const lossExponent = 0.5;

/** @returns how well the heads name the cells that they were trained without; null where there are none */
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

/** @returns why it is not calibrated, where it is not */
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
    return "the reference has one condition, none that could be left out";
  const { cells } = heads;
  const own = Int32Array.from(cells.cells.keys()).filter((i) => heads.isJudged(i, level));
  const { position, probability } = classifyByHead(json.levels[level]!, columns, heads.scores);
  const positions = cells.positions(level);
  const novelty = trainNovelty(
    {
      rows: rowsAt(cells.rows, own),
      genes: dataset.counts.genes,
      labels: own.map((i) => positions[i]!),
      conditions: own.map((i) => dataset.combinations[cells.cells[i]!]!),
      units: own.map((i) => units[cells.cells[i]!]!),
      folds: own.map((i) => heads.folds[i]!),
      prediction: {
        position: own.map((i) => position[i]!),
        probability: Float32Array.from(own, (i) => probability[i]!),
      },
      profilesWithout: profilesOf(dataset, whole, level, folds),
    },
    seed,
  );
  return novelty ?? "too few cells of the reference are left when a condition is left out";
}

/** Profiles of a level's types, without one part of the conditions or (null) with all. */
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
  const place = new Map(largest.map((combination, i) => [combination, i]));
  const parts = Math.max(...folds) + 1;
  // the cells of other conditions are summed by part
  const groups = cells.map((cell, i) => place.get(combinations[cell]!) ?? largest.length + folds[i]!);
  const foldOf = new Int32Array(largest.length + parts);
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
