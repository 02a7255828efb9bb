// The discriminative head: multinomial logistic regression of the cell types on log-normalised genes, one per
// annotation level, beside the prototypes. What it reads of a query's cells are linear scores, which the
// engine computes while it has the counts at hand; no reference data are needed. Not in the paper: there a
// linear classifier on genes beats the nearest prototype.
import {
  normalizedTotal,
  type Activation,
  type Engine,
  type Operations,
  type Parameter,
  type Program,
  type TakenCounts,
} from "../engine/engine.js";
import { Random } from "../random.js";
import type { SparseCells } from "../engine/profiles.js";
import { shiftPrior } from "./shifts.js";

/**
 * The head in `model.json`; its tensors are `head.weight` (R, G), `head.bias` (R) and `head.means` (R, R), R
 * the types of all its levels, one after the other. Of some cells it also computes the coordinates on P axes,
 * by `head.axes` (P, G), for what novelty.ts says of a query.
 */
export interface HeadJson {
  readonly levels: readonly HeadLevel[];
  /** P; missing in models of before there were any: 0 */
  readonly axes?: number;
}
export interface HeadLevel {
  /**
   * rows of `cell_types` that it tells apart, ascending; a type that the model got later is not among them
   */
  readonly types: readonly number[];
  /** probabilities are the softmax of score / temperature; chosen on conditions that were left out */
  readonly temperature: number;
  /**
   * missing where nothing is known of how cells of unknown types look: uncertainty is the distance to the
   * prototype
   */
  readonly novelty?: NoveltyJson;
}

/**
 * What novelty.ts has learnt of one level; its tensors are `novelty.<level>.means`, `.landmarks`,
 * `.whitening`, `.profiles` and `.variances`.
 */
export interface NoveltyJson {
  /** most cells of a query that are compared with each other */
  readonly base: number;
  /** neighbours of a cell in its neighbourhood */
  readonly neighbors: number;
  /**
   * of each part of the score: a weight that is the same for all models, over the part's standard deviation
   * among the reference's cells when their conditions are left out
   */
  readonly weights: readonly [
    density: number,
    distance: number,
    confidence: number,
    profile: number,
    doubt: number,
  ];
  /** per type of the level: taken off the score of cells of this predicted type */
  readonly offsets: readonly number[];
  /**
   * logarithm of the mean distance of a cell from its neighbours, which a query of too few cells takes as its
   * own
   */
  readonly spacing: number;
  /** score that 95 % of them are under: uncertainty 0.5 */
  readonly typical: number;
  /** per type of the level: score above which a cell of this predicted type is unknown */
  readonly thresholds: readonly number[];
  /** cells of left-out conditions that the thresholds were chosen on, and how many of them are above */
  readonly cells: number;
  readonly above: number;
}

/** What of a stored model is the head's. */
interface StoredHead {
  readonly json: {
    readonly head: HeadJson | null;
    readonly genes: readonly string[];
    readonly model: { readonly recon_loss: string };
  };
  readonly tensors: ReadonlyMap<string, { readonly data: Float32Array }>;
}

/** R: the types of all levels together */
export function headRows({ levels }: HeadJson): number {
  return levels.reduce((sum, { types }) => sum + types.length, 0);
}

/** Where the scores of one level are among those that the head gives of a cell. */
export interface HeadColumns {
  /** scores per cell: R */
  readonly stride: number;
  /** column of the level's first type, and how many types it has */
  readonly first: number;
  readonly K: number;
}

export function headColumns(head: HeadJson, level: number): HeadColumns {
  return {
    stride: headRows(head),
    first: head.levels.slice(0, level).reduce((sum, { types }) => sum + types.length, 0),
    K: head.levels[level]?.types.length ?? 0,
  };
}

/**
 * Cells of a query that stand for all where cells are compared with each other, and where they lie on the
 * head's axes.
 */
export interface ComparedCells {
  /** numbers of the cells, ascending */
  readonly cells: Int32Array;
  /** (cells, P) */
  readonly coordinates: Float32Array;
  /** what the head takes of their counts */
  readonly rows: SparseCells;
}

/**
 * The cells of a query of N that are compared: all, or as many as the levels ask for. None where no level
 * knows of unknown cells.
 */
function comparedCells({ levels }: HeadJson, N: number): Int32Array {
  const most = levels.reduce((largest, { novelty }) => Math.max(largest, novelty?.base ?? 0), 0);
  return drawCells(N, most);
}

/** Up to `most` of N cells, ascending, drawn at random, the same each time. */
export function drawCells(N: number, most: number): Int32Array {
  return new Random(0, "novelty").sample(N, most);
}

/**
 * Computes linear scores of the cells in an engine's minibatch, and of the compared ones the coordinates on
 * the head's axes; all of log-normalised counts, but of values that are normalised already.
 */
export class HeadScorer {
  /** R */
  readonly rows: number;
  readonly #scores: LinearScores;
  readonly #axes: { readonly layer: LinearScores; readonly program: Program } | null;
  readonly #compared: Int32Array;
  /** counts of the compared cells, as they come by */
  readonly #kept: {
    readonly indices: Int32Array;
    readonly counts: Float32Array;
    readonly sizeFactor: number;
  }[] = [];

  private constructor(
    private readonly engine: Engine,
    scores: LinearScores,
    axes: LinearScores | null,
    compared: Int32Array,
    private readonly taken: TakenCounts,
  ) {
    this.rows = scores.scores.columns;
    this.#scores = scores;
    this.#axes = axes && { layer: axes, program: engine.record(axes.compute) };
    this.#compared = compared;
  }

  /** @param cells - how many there are @returns null where the model has no head */
  static of(engine: Engine, { json, tensors }: StoredHead, cells: number): HeadScorer | null {
    const { head, genes, model } = json;
    if (!head) return null;
    const taken = headTakes(model.recon_loss);
    const layer = (name: string, weight: Float32Array, bias: Float32Array): LinearScores => {
      const own = linearScores(engine, name, bias.length, genes.length, taken, Infinity, 0);
      engine.write(own.parameters.weight, weight);
      engine.write(own.parameters.bias, bias);
      return own;
    };
    const P = head.axes ?? 0;
    const compared = comparedCells(head, P > 0 ? cells : 0);
    const axes =
      compared.length > 0 ? layer("head.axes", tensors.get("head.axes")!.data, new Float32Array(P)) : null;
    return new HeadScorer(
      engine,
      layer("head", tensors.get("head.weight")!.data, tensors.get("head.bias")!.data),
      axes,
      compared,
      taken,
    );
  }

  /** The scores, to be recorded into a program. */
  compute(operations: Operations): void {
    this.#scores.compute(operations);
  }

  /**
   * Takes the scores of the minibatch's cells, when they have been computed. Cells are to come in their
   * order, each once.
   * @param start - number of the minibatch's first cell @param into - (rows, R)
   */
  take(start: number, into: Float32Array): void {
    const { minibatch } = this.engine;
    this.engine.readActivation(this.#scores.scores, into);
    for (
      let cell = this.#compared[this.#kept.length] ?? Infinity;
      cell < start + minibatch.rows;
      cell = this.#compared[this.#kept.length] ?? Infinity
    ) {
      const row = cell - start;
      const [from, to] = [minibatch.indptr[row]!, minibatch.indptr[row + 1]!];
      this.#kept.push({
        indices: Int32Array.from(minibatch.indices.subarray(from, to)),
        counts: Float32Array.from(minibatch.counts.subarray(from, to)),
        sizeFactor: minibatch.sizeFactors[row]!,
      });
    }
  }

  /** The compared cells, when all have been scored. */
  compared(): ComparedCells {
    const axes = this.#axes;
    const [cells, P] = [this.#compared, axes?.layer.scores.columns ?? 0];
    const coordinates = new Float32Array(cells.length * P);
    const { minibatch } = this.engine;
    const [mostRows, mostStored] = [minibatch.indptr.length - 1, minibatch.counts.length];
    for (let from = 0, to = 0; axes && from < cells.length; from = to) {
      let stored = 0;
      minibatch.indptr[0] = 0;
      for (; to < cells.length && to - from < mostRows; to++) {
        const { indices, counts, sizeFactor } = this.#kept[to]!;
        if (stored + indices.length > mostStored) break;
        minibatch.indices.set(indices, stored);
        minibatch.counts.set(counts, stored);
        minibatch.sizeFactors[to - from] = sizeFactor;
        minibatch.indptr[to - from + 1] = stored += indices.length;
      }
      minibatch.rows = to - from;
      axes.program.run();
      this.engine.readActivation(axes.layer.scores, coordinates.subarray(from * P, to * P));
    }
    return { cells, coordinates, rows: this.#rows() };
  }

  #rows(): SparseCells {
    const indptr = new Int32Array(this.#kept.length + 1);
    this.#kept.forEach(({ counts }, i) => (indptr[i + 1] = indptr[i]! + counts.length));
    const rows = {
      indptr,
      indices: new Int32Array(indptr.at(-1)!),
      values: new Float32Array(indptr.at(-1)!),
    };
    this.#kept.forEach(({ indices, counts, sizeFactor }, i) => {
      rows.indices.set(indices, indptr[i]);
      rows.values.set(
        this.taken === "values" ? counts : counts.map((count) => logNormalized(count, sizeFactor)),
        indptr[i],
      );
    });
    return rows;
  }
}

/** A count as the head takes it: log1p(10,000 x / size factor). */
export function logNormalized(count: number, sizeFactor: number): number {
  return Math.log1p((normalizedTotal * count) / Math.max(1, sizeFactor));
}

interface LinearScores {
  readonly parameters: { readonly weight: Parameter; readonly bias: Parameter };
  readonly scores: Activation;
  readonly compute: (operations: Operations) => void;
}

/** What the head takes of the counts. */
export function headTakes(likelihood: string): TakenCounts {
  return likelihood === "mse" ? "values" : "log-normalized";
}

/** A linear layer on the counts of the minibatch. */
export function linearScores(
  engine: Engine,
  name: string,
  rows: number,
  genes: number,
  taken: TakenCounts,
  trainableFrom: number,
  weightDecay: number,
): LinearScores {
  const weight = engine.createParameter({
    name: `${name}.weight`,
    shape: [rows, genes],
    role: "sparse",
    weightDecay,
    trainableFrom,
  });
  const bias = engine.createParameter({
    name: `${name}.bias`,
    shape: [rows],
    role: "bias",
    weightDecay: 0,
    trainableFrom,
  });
  const scores = engine.createActivation(rows);
  return {
    parameters: { weight, bias },
    scores,
    compute: (operations) => operations.sparseLinear(weight, bias, taken, scores),
  };
}

/** Cells at one level by the head. */
export interface HeadPrediction {
  /** (N) row of the model's cell types */
  readonly predicted: Int32Array;
  /** (N) calibrated probability of that type */
  readonly probability: Float32Array;
  /** (N) its position among the types of the level */
  readonly position: Int32Array;
  /** (N) its score, less the shift */
  readonly score: Float32Array;
}

/**
 * The shift that a query's scores have against the reference's, whatever its cells are: the mean difference
 * of each predicted type's mean scores, over the types.
 * @param scores - (N, stride)
 * @param means - (K, K) mean scores of the reference's cells of each type of the level
 */
export function scoreShift(
  scores: Float32Array,
  { stride, first, K }: HeadColumns,
  means: Float32Array,
): Float64Array {
  const N = scores.length / stride;
  let shift = new Float64Array(K);
  for (let round = 0; round < 3; round++) {
    const sums = new Float64Array(K * K);
    const cells = new Int32Array(K);
    for (let cell = 0; cell < N; cell++) {
      const type = largest(scores, cell * stride + first, K, shift);
      cells[type]!++;
      for (let k = 0; k < K; k++) sums[type * K + k]! += scores[cell * stride + first + k]!;
    }
    const next = new Float64Array(K);
    for (let type = 0; type < K; type++) {
      const n = cells[type]!;
      if (n === 0) continue;
      for (let k = 0; k < K; k++)
        next[k]! += ((n / (n + shiftPrior)) * (sums[type * K + k]! / n - means[type * K + k]!)) / K;
    }
    shift = next;
  }
  return shift;
}

/** Position of the largest of K scores less their shift. */
function largest(scores: Float32Array, from: number, K: number, shift: Float64Array): number {
  let best = 0;
  for (let k = 1; k < K; k++)
    if (scores[from + k]! - shift[k]! > scores[from + best]! - shift[best]!) best = k;
  return best;
}

/** The block (K, K) of one level in the table of mean scores (R, R). */
export function levelMeans(means: Float32Array, R: number, { first, K }: HeadColumns): Float32Array {
  return Float32Array.from(
    { length: K * K },
    (_, at) => means[(first + Math.floor(at / K)) * R + first + (at % K)]!,
  );
}

/** Labels all cells at one level. @param scores - (N, stride) @param means - (K, K) of the level */
export function classifyByHead(
  { types, temperature }: Pick<HeadLevel, "types" | "temperature">,
  columns: HeadColumns,
  scores: Float32Array,
  means: Float32Array,
): HeadPrediction {
  const { stride, first, K } = columns;
  const N = scores.length / stride;
  const shift = scoreShift(scores, columns, means);
  const prediction = {
    predicted: new Int32Array(N),
    probability: new Float32Array(N),
    position: new Int32Array(N),
    score: new Float32Array(N),
  };
  for (let cell = 0; cell < N; cell++) {
    const from = cell * stride + first;
    const best = largest(scores, from, K, shift);
    const top = scores[from + best]! - shift[best]!;
    let sum = 0;
    for (let k = 0; k < K; k++) sum += Math.exp((scores[from + k]! - shift[k]! - top) / temperature);
    prediction.predicted[cell] = types[best]!;
    prediction.probability[cell] = 1 / sum;
    prediction.position[cell] = best;
    prediction.score[cell] = top;
  }
  return prediction;
}
