// The discriminative head: multinomial logistic regression of the cell types on log-normalised genes, one per annotation level, beside the prototypes.
// What it reads of a query's cells are linear scores, which the engine computes while it has the counts at hand; no reference data are needed.
// Not in the paper: there a linear classifier on genes beats the nearest prototype.
import type { Activation, Engine, Minibatch, Parameter, Program } from "../engine/engine.js";

/** The head in `model.json`; its tensors are `head.weight` (R, G), `head.bias` (R) and `head.means` (R, R), R the types of all its levels, one after the other. */
export interface HeadJson {
  readonly levels: readonly HeadLevel[];
}
export interface HeadLevel {
  /** rows of `cell_types` that it tells apart, ascending; a type that the model got later is not among them */
  readonly types: readonly number[];
  /** probabilities are the softmax of score / temperature; chosen on conditions that were left out */
  readonly temperature: number;
}

/** What of a stored model is the head's. */
interface StoredHead {
  readonly json: { readonly head: HeadJson | null; readonly genes: readonly string[]; readonly model: { readonly recon_loss: string } };
  readonly tensors: ReadonlyMap<string, { readonly data: Float32Array }>;
}

/** R: the types of all levels together */
export function headRows({ levels }: HeadJson): number {
  return levels.reduce((sum, { types }) => sum + types.length, 0);
}

/** Counts are scaled to this total per cell before the logarithm. */
const total = 10_000;

/** Replaces the counts of a minibatch by log1p(counts * 10,000 / total of the cell). */
export function logNormalize({ rows, indptr, counts, sizeFactors }: Minibatch): void {
  // most counts are small: one logarithm per cell and count
  const known = new Float32Array(16);
  for (let b = 0; b < rows; b++) {
    const scale = total / Math.max(1, sizeFactors[b]!);
    for (let c = 0; c < known.length; c++) known[c] = Math.log1p(c * scale);
    for (let k = indptr[b]!, end = indptr[b + 1]!; k < end; k++) {
      const count = counts[k]!;
      counts[k] = count < 16 ? known[count]! : Math.log1p(count * scale);
    }
  }
}

/** Computes linear scores of the cells in an engine's minibatch. */
export class HeadScorer {
  readonly rows: number;
  readonly #program: Program;
  readonly #scores: Activation;

  /** @param isNormalized - whether the values are normalised already (the mse likelihood) */
  constructor(private readonly engine: Engine, weight: ArrayLike<number>, bias: ArrayLike<number>, genes: number, private readonly isNormalized: boolean) {
    this.rows = bias.length;
    const { parameters, scores, program } = linearScores(engine, this.rows, genes, Infinity, 0);
    engine.write(parameters.weight, weight);
    engine.write(parameters.bias, bias);
    this.#scores = scores;
    this.#program = program;
  }

  /** @returns null where the model has no head */
  static of(engine: Engine, { json, tensors }: StoredHead): HeadScorer | null {
    if (!json.head) return null;
    return new HeadScorer(engine, tensors.get("head.weight")!.data, tensors.get("head.bias")!.data, json.genes.length, json.model.recon_loss === "mse");
  }

  /** Scores of the minibatch's cells (rows, R) from the start of `into`; their counts in the minibatch are normalised in place. */
  score(into: Float32Array): void {
    if (!this.isNormalized) logNormalize(this.engine.minibatch);
    this.#program.run();
    this.engine.readActivation(this.#scores, into);
  }
}

/** A linear layer on the values of the minibatch. */
export function linearScores(engine: Engine, rows: number, genes: number, trainableFrom: number, weightDecay: number): {
  readonly parameters: { readonly weight: Parameter; readonly bias: Parameter }; readonly scores: Activation; readonly program: Program;
} {
  const weight = engine.createParameter({ name: "head.weight", shape: [rows, genes], role: "sparse", weightDecay, trainableFrom });
  const bias = engine.createParameter({ name: "head.bias", shape: [rows], role: "bias", weightDecay: 0, trainableFrom });
  const scores = engine.createActivation(rows);
  const program = engine.record((operations) => operations.sparseLinear(weight, bias, false, scores));
  return { parameters: { weight, bias }, scores, program };
}

/** Cells at one level by the head. */
export interface HeadPrediction {
  /** (N) row of the model's cell types */
  readonly predicted: Int32Array;
  /** (N) calibrated probability of that type */
  readonly probability: Float32Array;
}

/** Cells of a type that its shift counts as much as this many cells that have none. */
const shiftPrior = 20;

/**
 * The shift that a query's scores have against the reference's, whatever its cells are: the mean difference of each predicted type's mean scores, over the types.
 * @param scores - (N, R) @param first - column of the level's first type @param means - (R, R) mean scores of the reference's cells of each type
 */
export function scoreShift(scores: Float32Array, R: number, first: number, K: number, means: Float32Array): Float64Array {
  const N = scores.length / R;
  let shift = new Float64Array(K);
  for (let round = 0; round < 3; round++) {
    const sums = new Float64Array(K * K);
    const cells = new Int32Array(K);
    for (let cell = 0; cell < N; cell++) {
      const type = largest(scores, cell * R + first, K, shift);
      cells[type]!++;
      for (let k = 0; k < K; k++) sums[type * K + k]! += scores[cell * R + first + k]!;
    }
    const next = new Float64Array(K);
    for (let type = 0; type < K; type++) {
      const n = cells[type]!;
      if (n === 0) continue;
      for (let k = 0; k < K; k++) next[k]! += ((n / (n + shiftPrior)) * (sums[type * K + k]! / n - means[(first + type) * R + first + k]!)) / K;
    }
    shift = next;
  }
  return shift;
}

/** Position of the largest of K scores less their shift. */
function largest(scores: Float32Array, from: number, K: number, shift: Float64Array): number {
  let best = 0;
  for (let k = 1; k < K; k++) if (scores[from + k]! - shift[k]! > scores[from + best]! - shift[best]!) best = k;
  return best;
}

/** Labels all cells at one level. @param scores - (N, R) @param level - position of the level */
export function classifyByHead(head: HeadJson, level: number, scores: Float32Array, means: Float32Array): HeadPrediction {
  const { levels } = head;
  const R = headRows(head);
  const first = levels.slice(0, level).reduce((sum, { types }) => sum + types.length, 0);
  const { types, temperature } = levels[level]!;
  const K = types.length;
  const N = scores.length / R;
  const shift = scoreShift(scores, R, first, K, means);
  const predicted = new Int32Array(N);
  const probability = new Float32Array(N);
  for (let cell = 0; cell < N; cell++) {
    const from = cell * R + first;
    const best = largest(scores, from, K, shift);
    const top = scores[from + best]! - shift[best]!;
    let sum = 0;
    for (let k = 0; k < K; k++) sum += Math.exp((scores[from + k]! - shift[k]! - top) / temperature);
    predicted[cell] = types[best]!;
    probability[cell] = 1 / sum;
  }
  return { predicted, probability };
}
