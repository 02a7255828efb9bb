// Training of the head (head.ts) on the reference's labelled cells, and its calibration on conditions that
// are left out in turn. Multinomial logistic regression with an L2 penalty, types weighted as if each had the
// same number of cells; Adam on the engine's own sparse kernels.
import type { StoredTensor } from "../model/checkpoint.js";
import type { RunSettings } from "../config.js";
import { writtenOut, type CountRows } from "../data/count-source.js";
import { createEngine } from "../engine/create.js";
import type { Engine, TakenCounts } from "../engine/engine.js";
import { ScPoliError } from "../errors.js";
import {
  headColumns,
  levelMeans,
  linearScores,
  logNormalized,
  type HeadJson,
  type HeadLevel,
} from "../model/head.js";
import { fillMinibatch, minibatchCapacity, type Dataset } from "../data/minibatches.js";
import { sampleRareFirst } from "../data/sampling.js";
import { Random } from "../random.js";
import type { SparseCells } from "../engine/profiles.js";
import type { TypeProfiles } from "../model/profiles.js";
import { coordinatesOf, findAxes, trainNovelty } from "./novelty-training.js";
import { mostProfileConditions, ProfileSums } from "./profile-training.js";

/** A head as it is stored. */
export interface TrainedHead {
  readonly json: HeadJson;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** More labelled cells than this are sampled, rare types first: a linear layer gains little from more. */
const mostCells = 20_000;
const minibatch = 128;
/** Passes over the cells, and most steps. */
const [mostEpochs, mostSteps] = [80, 1000];
const learningRate = 0.02;
/** Weight of the cells against the penalty: |W|^2 / 2 + inversePenalty * (sum of the cells' losses). */
const inversePenalty = 0.2;
/** Cells that the axes are found on. */
const mostAxisCells = 4000;
/** Parts that the conditions are left out in. */
const mostFolds = 5;
/** Gradients are scaled so that Adam's eps, 0.01, is small beside those of most genes. */
const gradientScale = 10;

/**
 * @param levels - per level the rows of its types
 * @param cells - that it is trained on (`chooseHeadCells`) @param latent - (cells, D) their mean latent
 * @param taken - what it takes of the counts (`headTakes`)
 */
export async function trainHead(
  dataset: Dataset,
  levels: readonly (readonly number[])[],
  cells: Int32Array,
  latent: Float32Array,
  settings: RunSettings,
  taken: TakenCounts,
): Promise<TrainedHead> {
  const genes = dataset.counts.genes;
  const size = Math.min(minibatch, cells.length);
  const engine = await createEngine(
    {
      minibatchSize: size,
      minibatchCapacity: minibatchCapacity(dataset.counts, size),
      genes,
      conditionKeys: dataset.conditions.length,
      levels: dataset.levels,
      prototypes: [0, 1],
    },
    settings,
  );
  try {
    const fit = new HeadFit(
      engine,
      dataset,
      levels,
      await dataset.counts.hold(cells),
      1 / (inversePenalty * cells.length),
      settings,
      taken,
    );
    const R = fit.rows;
    const outside = new Float32Array(cells.length * R);
    const scoresByFold: Float32Array[] = [];
    const foldOf = leaveOut(dataset, cells, settings.seed ?? 0);
    for (let fold = 0; fold <= Math.max(...foldOf); fold++) {
      await fit.run(cells.filter((_, i) => foldOf[i] !== fold));
      const scores = fit.score(cells);
      scoresByFold.push(scores);
      foldOf.forEach((own, i) => own === fold && outside.set(scores.subarray(i * R, (i + 1) * R), i * R));
    }
    await fit.run(cells);
    const judged = fit.isJudged(cells, foldOf);
    const inside = fit.score(cells);
    judged.forEach((yes, i) => yes || outside.set(inside.subarray(i * R, (i + 1) * R), i * R));
    const { weight, bias } = fit.read();
    const means = fit.meanScores(cells, outside);
    const axes = fit.axes(cells);
    const temperatures = levels.map((_, level) =>
      fit.temperature(
        cells.filter((_, i) => judged[i]),
        outside.filter((_, at) => judged[Math.floor(at / R)]),
        level,
      ),
    );
    const json: HeadJson = {
      levels: levels.map((types, level) => ({ types, temperature: temperatures[level]! })),
      axes: axes.length / genes,
    };
    const tensors = new Map<string, StoredTensor>([
      ["head.weight", { shape: [R, genes], data: weight }],
      ["head.bias", { shape: [R], data: bias }],
      ["head.means", { shape: [R, R], data: means }],
      ["head.axes", { shape: [axes.length / genes, genes], data: axes }],
    ]);
    const coordinates = fit.coordinates(cells, axes);
    const withNovelty: HeadLevel[] = [];
    for (const [level, own] of json.levels.entries()) {
      const columns = headColumns(json, level);
      const { K } = columns;
      if (K < 2) {
        withNovelty.push(own);
        continue;
      }
      const F = K + axes.length / genes;
      const meansWithout = (fold: number): Float32Array => {
        const others = Int32Array.from(cells.keys()).filter((i) => foldOf[i] !== fold);
        return levelMeans(
          fit.meanScores(
            others.map((i) => cells[i]!),
            outside.filter((_, at) => foldOf[Math.floor(at / R)] !== fold),
          ),
          R,
          columns,
        );
      };
      const { json: novelty, known } = await trainNovelty(
        own,
        columns,
        {
          scores: outside,
          scoresBy: (fold) => (fold === null ? inside : scoresByFold[fold]!),
          coordinates,
          latent,
          labels: fit.positions(cells, level),
          conditions: cells.map((cell) => dataset.combinations[cell]!),
          foldOf,
          judged,
          meansWithout,
          profilesWithout: fit.profiles(cells, level, foldOf),
          rowsOf: (own) => fit.rowsOf(own.map((i) => cells[i]!)),
        },
        settings.seed ?? 0,
      );
      tensors.set(`novelty.${level}.means`, { shape: [K, F], data: known.means });
      tensors.set(`novelty.${level}.landmarks`, {
        shape: [known.landmarks.length / F, F],
        data: known.landmarks,
      });
      tensors.set(`novelty.${level}.profiles`, { shape: [K, genes], data: known.profiles.means });
      tensors.set(`novelty.${level}.variances`, { shape: [2, genes], data: known.profiles.variances });
      tensors.set(`novelty.${level}.whitening`, { shape: [K, K], data: known.whitening });
      withNovelty.push({ ...own, novelty });
    }
    return { json: { ...json, levels: withNovelty }, tensors };
  } finally {
    await engine.close();
  }
}

/**
 * The cells of a reference that a head is trained on: the labelled ones, all or a sample in which each type
 * of each level has its share.
 */
export function chooseHeadCells({ counts, labels, levels }: Dataset, seed: number): Int32Array {
  const labelled = Int32Array.from({ length: counts.cells }, (_, cell) => cell).filter((cell) =>
    labels.subarray(cell * levels, (cell + 1) * levels).some((label) => label >= 0),
  );
  const most = Math.min(mostCells, counts.mostHeld);
  if (labelled.length <= most) return labelled;
  return sampleRareFirst(
    { labels, levels },
    new Random(seed, "head").shuffle(labelled),
    most,
    most / new Set(labels).size,
  );
}

/**
 * The part in which each cell is left out: whole combinations of conditions where there are several, the
 * largest first; else cells at random.
 */
function leaveOut({ combinations }: Dataset, cells: Int32Array, seed: number): Int32Array {
  const sizes = new Map<number, number>();
  for (const cell of cells) sizes.set(combinations[cell]!, (sizes.get(combinations[cell]!) ?? 0) + 1);
  const random = new Random(seed, "folds");
  if (sizes.size < 2) return cells.map(() => random.below(mostFolds));
  const filled = new Array<number>(Math.min(mostFolds, sizes.size)).fill(0);
  const foldOf = new Map<number, number>();
  for (const [combination, n] of [...sizes].sort(([a, m], [b, n]) => n - m || a - b)) {
    const fold = filled.indexOf(Math.min(...filled));
    filled[fold]! += n;
    foldOf.set(combination, fold);
  }
  return cells.map((cell) => foldOf.get(combinations[cell]!)!);
}

/** One linear layer for all levels, trained from zero as often as it is asked for. */
class HeadFit {
  readonly rows: number;
  readonly #layer: ReturnType<typeof linearScores>;
  readonly #forward: ReturnType<Engine["record"]>;
  readonly #update: ReturnType<Engine["record"]>;
  /** per level: column of its first type */
  readonly #first: readonly number[];

  constructor(
    private readonly engine: Engine,
    private readonly dataset: Dataset,
    private readonly levels: readonly (readonly number[])[],
    private readonly held: CountRows,
    penalty: number,
    private readonly settings: RunSettings,
    private readonly taken: TakenCounts,
  ) {
    this.rows = levels.reduce((sum, types) => sum + types.length, 0);
    this.#first = levels.map((_, level) =>
      levels.slice(0, level).reduce((sum, types) => sum + types.length, 0),
    );
    const layer = linearScores(
      engine,
      "head",
      this.rows,
      dataset.counts.genes,
      taken,
      0,
      gradientScale * penalty,
    );
    const {
      parameters: { weight, bias },
      scores,
    } = layer;
    this.#layer = layer;
    this.#forward = engine.record(layer.compute);
    this.#update = engine.record((operations) => {
      operations.sparseLinearBackward(scores, weight, bias, taken);
      operations.update();
    });
  }

  async run(cells: Int32Array): Promise<void> {
    const { weight, bias } = this.#layer.parameters;
    for (const parameter of [weight, bias]) {
      const zeros = new Float32Array(parameter.shape.reduce((product, n) => product * n, 1));
      this.engine.write(parameter, zeros);
      this.engine.writeMoments(parameter, zeros, zeros);
    }
    const weights = this.#typeWeights(cells);
    const perEpoch = Math.ceil(cells.length / minibatch);
    const steps = Math.min(mostSteps, mostEpochs * perEpoch);
    const order = cells.slice();
    for (let step = 0; step < steps; step++) {
      if (step % perEpoch === 0) {
        new Random(this.settings.seed ?? 0, `head ${step / perEpoch}`).shuffle(order);
        await new Promise((resolve) => setTimeout(resolve, 0));
        if (this.settings.signal?.aborted)
          throw new ScPoliError("interrupted", "Stopped while the head was trained; the network is.");
      }
      const chunk = order.subarray((step % perEpoch) * minibatch, (step % perEpoch) * minibatch + minibatch);
      const scores = this.score(chunk);
      this.engine.writeActivation(this.#layer.scores, this.#gradient(chunk, scores, weights));
      this.#update.run({ step: step + 1, learningRate: learningRate * (1 - step / steps) });
    }
  }

  /** Scores (cells, R). */
  score(cells: Int32Array): Float32Array {
    const result = new Float32Array(cells.length * this.rows);
    this.#eachMinibatch(cells, (start) => {
      this.#forward.run();
      this.engine.readActivation(this.#layer.scores, result.subarray(start * this.rows));
    });
    return result;
  }

  /** Axes (P, G) of the cells' variation, at the level that has the most types. */
  axes(cells: Int32Array): Float32Array {
    const level = this.levels.reduce(
      (most, types, own) => (types.length > this.levels[most]!.length ? own : most),
      0,
    );
    const positions = this.positions(cells, level);
    const labelled = Int32Array.from(cells.keys()).filter((i) => positions[i]! >= 0);
    const chosen = new Random(this.settings.seed ?? 0, "axis cells")
      .shuffle(labelled)
      .subarray(0, mostAxisCells)
      .sort();
    const own = chosen.map((i) => cells[i]!);
    return findAxes(
      this.rowsOf(own),
      chosen.map((i) => positions[i]!),
      own.map((cell) => this.dataset.combinations[cell]!),
      this.dataset.counts.genes,
      this.settings.seed ?? 0,
    );
  }

  /** What the head takes of the counts of some cells. */
  rowsOf(cells: Int32Array): SparseCells {
    const rows: SparseCells[] = [];
    this.#eachNormalized(cells, (own) => rows.push(own));
    return joined(rows);
  }

  /** Profiles of a level's types, without one part of the conditions or (null) with all. */
  profiles(cells: Int32Array, level: number, foldOf: Int32Array): (fold: number | null) => TypeProfiles {
    const positions = this.positions(cells, level);
    const sizes = new Map<number, number>();
    for (const cell of cells)
      sizes.set(this.dataset.combinations[cell]!, (sizes.get(this.dataset.combinations[cell]!) ?? 0) + 1);
    const largest = [...sizes]
      .sort(([a, m], [b, n]) => n - m || a - b)
      .slice(0, mostProfileConditions)
      .map(([combination]) => combination);
    const conditions = cells.map((cell) => largest.indexOf(this.dataset.combinations[cell]!));
    // conditions are left out whole, but for a single one, whose cells are in all parts
    const sums = new ProfileSums(
      foldOf.reduce((most, fold) => Math.max(most, fold + 1), 0),
      largest.map((_, condition) => foldOf[conditions.indexOf(condition)]!),
      this.levels[level]!.length,
      this.dataset.counts.genes,
    );
    this.#eachNormalized(cells, (rows, start) => {
      const end = start + rows.indptr.length - 1;
      sums.add(
        rows,
        positions.subarray(start, end),
        foldOf.subarray(start, end),
        conditions.subarray(start, end),
      );
    });
    return (fold) => sums.without(fold);
  }

  /** Coordinates (cells, P) on the axes. */
  coordinates(cells: Int32Array, axes: Float32Array): Float32Array {
    const genes = this.dataset.counts.genes;
    const P = axes.length / genes;
    const coordinates = new Float32Array(cells.length * P);
    this.#eachNormalized(cells, (rows, start) =>
      coordinates.set(coordinatesOf(rows, axes, genes), start * P),
    );
    return coordinates;
  }

  /** Of each cell the position of its type at a level, -1 where it has none. */
  positions(cells: Int32Array, level: number): Int32Array {
    const { labels, levels: L } = this.dataset;
    return cells.map((cell) => this.levels[level]!.indexOf(labels[cell * L + level]!));
  }

  /** Runs `use` with one minibatch of cells after the other in the engine. */
  #eachMinibatch(cells: Int32Array, use: (start: number) => void): void {
    const { engine } = this;
    for (let start = 0; start < cells.length; start += minibatch) {
      fillMinibatch(engine.minibatch, this.dataset, cells.subarray(start, start + minibatch), this.held);
      use(start);
    }
  }

  /** Gives what the head takes of the counts of one minibatch of cells after the other. */
  #eachNormalized(cells: Int32Array, use: (rows: SparseCells, start: number) => void): void {
    const filled = writtenOut(this.engine.minibatch);
    for (let start = 0; start < cells.length; start += minibatch) {
      fillMinibatch(filled, this.dataset, cells.subarray(start, start + minibatch), this.held);
      const { rows, indptr, indices, counts, sizeFactors } = filled;
      const end = indptr[rows]!;
      const values = Float32Array.from(counts.subarray(0, end));
      if (this.taken === "log-normalized")
        for (let b = 0; b < rows; b++)
          for (let at = indptr[b]!; at < indptr[b + 1]!; at++)
            values[at] = logNormalized(values[at]!, sizeFactors[b]!);
      use(
        {
          indptr: Int32Array.from(indptr.subarray(0, rows + 1)),
          indices: Int32Array.from(indices.subarray(0, end)),
          values,
        },
        start,
      );
    }
  }

  read(): { readonly weight: Float32Array; readonly bias: Float32Array } {
    const { weight, bias } = this.#layer.parameters;
    return {
      weight: Float32Array.from(this.engine.read(weight)),
      bias: Float32Array.from(this.engine.read(bias)),
    };
  }

  /** Mean scores (R, R) of the cells of each type, at its own level. */
  meanScores(cells: Int32Array, scores: Float32Array): Float32Array {
    const R = this.rows;
    const means = new Float64Array(R * R);
    const n = new Int32Array(R);
    this.#eachLabel(cells, (i, row) => {
      n[row]!++;
      for (let r = 0; r < R; r++) means[row * R + r]! += scores[i * R + r]!;
    });
    return Float32Array.from(means, (sum, at) => sum / Math.max(1, n[Math.floor(at / R)]!));
  }

  /**
   * Whether the types of each cell, at all levels, have cells in other parts too: a type that is nowhere else
   * cannot be recognised there.
   */
  isJudged(cells: Int32Array, foldOf: Int32Array): readonly boolean[] {
    const folds = Array.from({ length: this.rows }, () => new Set<number>());
    this.#eachLabel(cells, (i, row) => folds[row]!.add(foldOf[i]!));
    const judged = Array.from(cells, () => true);
    this.#eachLabel(cells, (i, row) => (judged[i] &&= folds[row]!.size > 1));
    return judged;
  }

  /**
   * The temperature under which the labels are likeliest; a golden-section search on its logarithm. 1 without
   * cells.
   */
  temperature(cells: Int32Array, scores: Float32Array, level: number): number {
    const [first, K] = [this.#first[level]!, this.levels[level]!.length];
    if (cells.length === 0) return 1;
    const surprise = (log: number): number => {
      let sum = 0;
      this.#eachLabel(cells, (i, row, own) => {
        if (own !== level) return;
        const from = i * this.rows + first;
        const top = scores.subarray(from, from + K).reduce((most, score) => Math.max(most, score), -Infinity);
        let total = 0;
        for (let k = 0; k < K; k++) total += Math.exp((scores[from + k]! - top) / Math.exp(log));
        sum += Math.log(total) - (scores[i * this.rows + row]! - top) / Math.exp(log);
      });
      return sum;
    };
    const ratio = (Math.sqrt(5) - 1) / 2;
    let [low, high] = [Math.log(0.2), Math.log(20)];
    for (let i = 0; i < 30; i++) {
      const width = ratio * (high - low);
      if (surprise(high - width) < surprise(low + width)) high = low + width;
      else low = high - width;
    }
    return Math.exp((low + high) / 2);
  }

  #eachLabel(cells: Int32Array, visit: (i: number, row: number, level: number) => void): void {
    const { labels, levels: L } = this.dataset;
    cells.forEach((cell, i) => {
      for (let level = 0; level < L; level++) {
        const position = this.levels[level]!.indexOf(labels[cell * L + level]!);
        if (position >= 0) visit(i, this.#first[level]! + position, level);
      }
    });
  }

  /**
   * Per row: weight of a cell of the type, so that every type of a level weighs the same and a mean cell 1.
   */
  #typeWeights(cells: Int32Array): Float64Array {
    const n = new Int32Array(this.rows);
    this.#eachLabel(cells, (_, row) => n[row]!++);
    const weights = new Float64Array(this.rows);
    this.levels.forEach((types, level) => {
      const own = n.subarray(this.#first[level]!, this.#first[level]! + types.length);
      const [sum, present] = [own.reduce((a, b) => a + b, 0), own.filter((cells) => cells > 0).length];
      own.forEach((cells, k) => (weights[this.#first[level]! + k] = cells > 0 ? sum / (present * cells) : 0));
    });
    return weights;
  }

  /** Gradient (cells, R) of the mean weighted loss, scaled. */
  #gradient(cells: Int32Array, scores: Float32Array, weights: Float64Array): Float32Array {
    const gradient = new Float32Array(scores.length);
    this.#eachLabel(cells, (i, row, level) => {
      const [first, K] = [this.#first[level]!, this.levels[level]!.length];
      const from = i * this.rows + first;
      const top = scores.subarray(from, from + K).reduce((most, score) => Math.max(most, score), -Infinity);
      let sum = 0;
      for (let k = 0; k < K; k++) sum += Math.exp(scores[from + k]! - top);
      const scale = (gradientScale * weights[row]!) / cells.length;
      for (let k = 0; k < K; k++)
        gradient[from + k] = scale * (Math.exp(scores[from + k]! - top) / sum - (first + k === row ? 1 : 0));
    });
    return gradient;
  }
}

/** Rows one block after the other. */
function joined(blocks: readonly SparseCells[]): SparseCells {
  const [rows, stored] = [
    blocks.reduce((sum, { indptr }) => sum + indptr.length - 1, 0),
    blocks.reduce((sum, { values }) => sum + values.length, 0),
  ];
  const all = {
    indptr: new Int32Array(rows + 1),
    indices: new Int32Array(stored),
    values: new Float32Array(stored),
  };
  let [row, at] = [0, 0];
  for (const { indptr, indices, values } of blocks) {
    for (let i = 1; i < indptr.length; i++) all.indptr[++row] = at + indptr[i]!;
    all.indices.set(indices, at);
    all.values.set(values, at);
    at += values.length;
  }
  return all;
}
