// Runs a trained model: posteriors of cells, and expression decoded from latent positions at any of the
// model's conditions.
import type { RunSettings } from "../contract/options.js";
import type { CountBlock } from "../data/counts.js";
import type { Activation, Engine, Program } from "../engine/engine.js";
import type { StoredModel } from "../model/stored-model.js";
import type { Network } from "../model/network.js";
import { storedNetwork } from "./stored-network.js";

/** Number of cells encoded or decoded together. */
const mostRows = 256;

/** Posterior of a few cells: normal, with a diagonal covariance. */
export interface Posterior {
  readonly rows: number;
  /** (rows, D) */
  readonly mean: Float32Array;
  /** (rows, D) */
  readonly variance: Float32Array;
}

export class Decoder {
  /** G, D */
  readonly genes: number;
  readonly latentDim: number;

  private constructor(
    private readonly engine: Engine,
    private readonly network: Network,
    private readonly encoding: Program,
    private readonly decoding: Program,
    private readonly decoded: Activation,
  ) {
    this.genes = network.sizes.genes;
    this.latentDim = network.options.latentDim;
  }

  static async create(stored: StoredModel, settings: RunSettings): Promise<Decoder> {
    const { engine, network } = await storedNetwork(
      stored,
      { rows: mostRows, stored: (genes) => mostRows * genes },
      settings,
    );
    const { options: model, sizes } = network;
    const decoded = engine.createActivation(sizes.genes);
    const dropout = model.reconLoss === "zinb" ? { dropout: engine.createActivation(sizes.genes) } : {};
    return new Decoder(
      engine,
      network,
      network.posterior(),
      network.decoding({ mean: decoded, ...dropout }),
      decoded,
    );
  }

  /**
   * Posteriors of the cells of a block, up to `mostRows` cells at a time.
   * @param conditions - per key (N) rows of the embedding tables, for all cells of the file
   */
  *posteriors(
    block: CountBlock,
    conditions: readonly Int32Array[],
  ): Generator<{ readonly start: number; readonly posterior: Posterior }> {
    const { minibatch } = this.engine;
    for (let from = 0; from < block.rows; from += mostRows) {
      const rows = Math.min(mostRows, block.rows - from);
      const [start, end] = [block.indptr[from]!, block.indptr[from + rows]!];
      for (let b = 0; b <= rows; b++) minibatch.indptr[b] = block.indptr[from + b]! - start;
      minibatch.indices.set(block.indices.subarray(start, end));
      minibatch.counts.set(block.counts.subarray(start, end));
      minibatch.sources?.fill(-1, 0, rows);
      const first = block.start + from;
      conditions.forEach((codes, key) => minibatch.conditions[key]!.set(codes.subarray(first, first + rows)));
      minibatch.rows = rows;
      this.encoding.run();
      const mean = Float32Array.from(this.engine.readActivation(this.network.mean));
      const variance = Float32Array.from(
        this.engine.readActivation(this.network.logVar),
        (logVar) => Math.exp(logVar) + leastVariance,
      );
      yield { start: first, posterior: { rows, mean, variance } };
    }
  }

  /**
   * Decodes latent positions to expression as shares of a cell's counts, which sum to 1 (mse: values).
   * @param z - (rows, D)
   * @param conditions - per key (rows) rows of the embedding tables
   * @param into - (rows, G) output
   */
  decode(z: Float32Array, conditions: readonly ArrayLike<number>[], into: Float32Array): void {
    const { minibatch } = this.engine;
    const rows = z.length / this.latentDim;
    // no counts: only the means are needed
    minibatch.indptr.fill(0, 0, rows + 1);
    minibatch.sizeFactors.fill(1, 0, rows);
    minibatch.combinations.fill(0, 0, rows);
    minibatch.sources?.fill(-1, 0, rows);
    conditions.forEach((codes, key) => minibatch.conditions[key]!.set(codes));
    minibatch.rows = rows;
    this.engine.writeActivation(this.network.z, z);
    this.decoding.run();
    this.engine.readActivation(this.decoded, into);
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}

/** Added to the variance of a posterior, as in the network. */
const leastVariance = 1e-4;
