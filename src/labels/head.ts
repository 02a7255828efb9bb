// The discriminative head: multinomial logistic regression of the cell types on log-normalised expression,
// one per annotation level. The engine computes its linear scores during the encoder pass over a query's
// cells; no reference data are needed. Not part of the paper's method, although the paper reports that a
// linear classifier on genes outperforms the nearest prototype.
import type { Activation, Engine, Operations, Parameter, CountTransform } from "../engine/engine.js";
import { logNormalized } from "../numerics/log-normalized.js";
import { Random } from "../numerics/random.js";
import type { HeadJson, HeadLevel } from "../model/stored-model.js";
import type { ComparedCells, HeadPrediction } from "../novelty/novelty.js";

/** The part of a stored model that the head uses. */
interface StoredHead {
  readonly json: {
    readonly head: HeadJson | null;
    readonly genes: readonly string[];
    readonly model: { readonly recon_loss: string };
  };
  readonly tensors: ReadonlyMap<string, { readonly data: Float32Array }>;
}

/** R: number of types of all levels together */
export function headRows({ levels }: HeadJson): number {
  return levels.reduce((sum, { types }) => sum + types.length, 0);
}

/** Position of a level's scores among the scores of a cell. */
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

/** Maximum number of query cells that are compared with each other. */
const mostCompared = 2048;

/**
 * Computes linear scores of the cells in an engine's minibatch, and collects the counts of compared cells.
 */
export class HeadScorer {
  /** R */
  readonly rows: number;
  readonly #scores: LinearScores;
  readonly #compared: Int32Array;
  /** counts of the compared cells so far */
  readonly #kept: {
    readonly indices: Int32Array;
    readonly values: Float32Array;
  }[] = [];

  private constructor(
    private readonly engine: Engine,
    scores: LinearScores,
    compared: Int32Array,
    private readonly transform: CountTransform,
  ) {
    this.rows = scores.scores.columns;
    this.#scores = scores;
    this.#compared = compared;
  }

  /** @param cells - number of cells of the query @returns null if the model has no head */
  static of(engine: Engine, { json, tensors }: StoredHead, cells: number): HeadScorer | null {
    const { head, genes, model } = json;
    if (!head) return null;
    const transform = headTransform(model.recon_loss);
    const bias = tensors.get("head.bias")!.data;
    const layer = linearScores(engine, "head", bias.length, genes.length, transform);
    engine.write(layer.parameters.weight, tensors.get("head.weight")!.data);
    engine.write(layer.parameters.bias, bias);
    const isCompared = head.levels.some(({ novelty }) => novelty);
    return new HeadScorer(
      engine,
      layer,
      new Random(0, "compared cells").sample(cells, isCompared ? mostCompared : 0),
      transform,
    );
  }

  /** Records the computation of the scores into a program. */
  compute(operations: Operations): void {
    this.#scores.compute(operations);
  }

  /**
   * Reads the computed scores of the minibatch's cells. Minibatches must come in order, each cell once.
   * @param start - index of the minibatch's first cell
   * @param into - (rows, R) output
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
      const counts = minibatch.counts.subarray(from, to);
      const sizeFactor = minibatch.sizeFactors[row]!;
      this.#kept.push({
        indices: Int32Array.from(minibatch.indices.subarray(from, to)),
        values:
          this.transform === "values"
            ? Float32Array.from(counts)
            : Float32Array.from(counts, (count) => logNormalized(count, sizeFactor)),
      });
    }
  }

  /** The compared cells; call it after all cells have been scored. */
  compared(): ComparedCells {
    const indptr = new Int32Array(this.#kept.length + 1);
    this.#kept.forEach(({ values }, i) => (indptr[i + 1] = indptr[i]! + values.length));
    const stored = indptr[this.#kept.length]!;
    const rows = { indptr, indices: new Int32Array(stored), values: new Float32Array(stored) };
    this.#kept.forEach(({ indices, values }, i) => {
      rows.indices.set(indices, indptr[i]);
      rows.values.set(values, indptr[i]);
    });
    return { cells: this.#compared, rows };
  }
}

interface LinearScores {
  readonly parameters: { readonly weight: Parameter; readonly bias: Parameter };
  readonly scores: Activation;
  readonly compute: (operations: Operations) => void;
}

/** The transformation of the counts that the head uses. */
export function headTransform(likelihood: string): CountTransform {
  return likelihood === "mse" ? "values" : "log-normalized";
}

/** A frozen linear layer on the counts of the minibatch. */
function linearScores(
  engine: Engine,
  name: string,
  rows: number,
  genes: number,
  transform: CountTransform,
): LinearScores {
  const weight = engine.createParameter({
    name: `${name}.weight`,
    shape: [rows, genes],
    role: "sparse",
    weightDecay: 0,
    trainableFrom: Infinity,
  });
  const bias = engine.createParameter({
    name: `${name}.bias`,
    shape: [rows],
    role: "bias",
    weightDecay: 0,
    trainableFrom: Infinity,
  });
  const scores = engine.createActivation(rows);
  return {
    parameters: { weight, bias },
    scores,
    compute: (operations) => operations.sparseLinear(weight, bias, transform, scores),
  };
}

/** Labels all cells at one level by their scores. @param scores - (N, stride) */
export function classifyByHead(
  { types, temperature }: Pick<HeadLevel, "types" | "temperature">,
  { stride, first, K }: HeadColumns,
  scores: ArrayLike<number>,
): HeadPrediction {
  const N = scores.length / stride;
  const prediction = {
    predicted: new Int32Array(N),
    probability: new Float32Array(N),
    position: new Int32Array(N),
  };
  for (let cell = 0; cell < N; cell++) {
    const from = cell * stride + first;
    let best = 0;
    for (let k = 1; k < K; k++) if (scores[from + k]! > scores[from + best]!) best = k;
    let sum = 0;
    for (let k = 0; k < K; k++) sum += Math.exp((scores[from + k]! - scores[from + best]!) / temperature);
    prediction.predicted[cell] = types[best]!;
    prediction.probability[cell] = 1 / sum;
    prediction.position[cell] = best;
  }
  return prediction;
}
