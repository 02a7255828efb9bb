// Embeds cells in the latent space of a model, block by block from the file. Only positions and scores are
// kept in memory. Source: De Donno et al. 2023, Methods. Differs: uses the posterior mean, never a sample.
import type { StoredModel } from "../model/stored-model.js";
import type { RunSettings } from "../contract/options.js";
import type { CountBlock } from "../data/counts.js";
import type { Engine } from "../engine/engine.js";
import { HeadScorer, headRows } from "../labels/head.js";
import type { ComparedCells } from "../novelty/novelty.js";
import { storedNetwork } from "./stored-network.js";

/** Positions and scores of cells. */
export interface CellPositions {
  /** (N, D) mean latent */
  readonly latent: Float32Array;
  /** (N, R) scores of the head; empty without a head */
  readonly scores: Float32Array;
  /** sample of cells used for comparisons between the query's cells; null without a head */
  readonly compared: ComparedCells | null;
  /** (N) total of each cell over the model's genes */
  readonly sizeFactors: Float32Array;
}

/** Allocates the head's scores of N cells: (N, R). */
export function emptyScores({ json }: Pick<StoredModel, "json">, cells: number): Float32Array {
  return new Float32Array(cells * (json.head ? headRows(json.head) : 0));
}

/** Maximum number of cells and of stored counts in the engine at once. */
const [mostRows, mostStored] = [2048, 4 * 1024 * 1024];

/** Number of cells encoded together if all their genes are nonzero. */
export function encodedRows(genes: number): number {
  return Math.max(1, Math.min(mostRows, Math.floor(mostStored / genes)));
}

/** The encoder of a trained model. */
export class Encoder {
  readonly #latent: Float32Array;
  readonly #scores: Float32Array;
  readonly #sizeFactors: Float32Array;

  private constructor(
    private readonly engine: Engine,
    private readonly stored: StoredModel,
    private readonly encode: (rows: number, into: Float32Array) => void,
    private readonly scorer: HeadScorer | null,
    cells: number,
  ) {
    this.#latent = new Float32Array(cells * stored.json.model.latent_dim);
    this.#scores = emptyScores(stored, cells);
    this.#sizeFactors = new Float32Array(cells);
  }

  /** @param cells - N */
  static async create(stored: StoredModel, cells: number, settings: RunSettings): Promise<Encoder> {
    const { engine, network } = await storedNetwork(
      stored,
      { rows: mostRows, stored: (genes) => Math.max(mostStored, genes) },
      settings,
    );
    const scorer = HeadScorer.of(engine, stored, cells);
    const program = network.encoding((operations) => scorer?.compute(operations));
    const encode = (count: number, into: Float32Array): void => {
      engine.minibatch.rows = count;
      program.run();
      engine.readActivation(network.mean, into);
    };
    return new Encoder(engine, stored, encode, scorer, cells);
  }

  /**
   * Encodes one block of cells. Blocks must be given in order.
   * @param conditions - per key (N) rows of the embedding tables, for all cells
   */
  encodeBlock(block: CountBlock, conditions: readonly Int32Array[]): void {
    const { minibatch } = this.engine;
    const D = this.stored.json.model.latent_dim;
    this.#sizeFactors.set(block.sizeFactors.subarray(0, block.rows), block.start);
    for (let from = 0, to = 0; from < block.rows; from = to) {
      const start = block.indptr[from]!;
      do to++;
      while (
        to < block.rows &&
        to - from < mostRows &&
        block.indptr[to + 1]! - start <= minibatch.counts.length
      );
      const first = block.start + from;
      const end = block.indptr[to]!;
      for (let b = from; b <= to; b++) minibatch.indptr[b - from] = block.indptr[b]! - start;
      minibatch.indices.set(block.indices.subarray(start, end));
      minibatch.counts.set(block.counts.subarray(start, end));
      conditions.forEach((rows, key) =>
        minibatch.conditions[key]!.set(rows.subarray(first, block.start + to)),
      );
      if (this.scorer) minibatch.sizeFactors.set(block.sizeFactors.subarray(from, to));
      const latent = this.#latent.subarray(first * D, (first + to - from) * D);
      this.encode(to - from, latent);
      this.scorer?.take(first, this.#scores.subarray(first * this.scorer.rows));
    }
  }

  /** Results, once all blocks are encoded. */
  positions(): CellPositions {
    return {
      latent: this.#latent,
      scores: this.#scores,
      compared: this.scorer?.compared() ?? null,
      sizeFactors: this.#sizeFactors,
    };
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}
