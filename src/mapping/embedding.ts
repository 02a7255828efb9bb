// Cells into the latent space of a model, block by block from the file: nothing of the data is kept but the mean latent.
// Source: De Donno et al. 2023, Methods. Differs: the mean of the posterior, never a sample of it.
import { optionsOf, type StoredModel } from "../model/checkpoint.js";
import type { RunSettings } from "../config.js";
import type { CountBlock } from "../data/counts.js";
import { createEngine } from "../engine/create.js";
import type { Engine } from "../engine/engine.js";
import { headColumns, HeadScorer } from "../model/head.js";
import { Network } from "../model/network.js";
import type { ModelOptions } from "../config.js";
import type { ModelSizes } from "../model/parameters.js";

/** Options of the network from a model's description. */
export function networkOptions({ json }: Pick<StoredModel, "json">): { readonly model: ModelOptions; readonly sizes: ModelSizes } {
  return {
    model: optionsOf(json.model),
    sizes: { genes: json.genes.length, conditions: json.conditions.map((names) => names.length), combinations: json.combinations.length },
  };
}

/** What is computed of each cell. */
export interface CellPositions {
  /** (N, D) mean latent */
  readonly latent: Float32Array;
  /** (N, R + P) scores of the head and coordinates on its axes; nothing without one */
  readonly scores: Float32Array;
  /** (N) total of each cell over the model's genes */
  readonly sizeFactors: Float32Array;
}

export function emptyPositions({ json }: Pick<StoredModel, "json">, cells: number): CellPositions {
  return { latent: new Float32Array(cells * json.model.latent_dim), scores: new Float32Array(cells * (json.head ? headColumns(json.head, 0).stride : 0)), sizeFactors: new Float32Array(cells) };
}

/** Stored counts that the engine holds at once. */
const capacity = 4 * 1024 * 1024;

/** Cells that are encoded together. */
export function encodedRows(genes: number): number {
  return Math.max(16, Math.min(2048, Math.floor(capacity / genes)));
}

/** The encoder of a model, all of it frozen. */
export class Encoder {
  private constructor(
    private readonly engine: Engine,
    private readonly encode: (rows: number, into: Float32Array) => void,
    private readonly scorer: HeadScorer | null,
    readonly blockRows: number,
  ) {}

  static async create(stored: StoredModel, settings: RunSettings): Promise<Encoder> {
    const { model, sizes } = networkOptions(stored);
    const rows = encodedRows(sizes.genes);
    const engine = await createEngine(
      { minibatchSize: rows, minibatchCapacity: rows * sizes.genes, genes: sizes.genes, conditionKeys: sizes.conditions.length, levels: 0, prototypes: [0, model.latentDim] },
      settings,
    );
    const network = new Network(engine, model, sizes, { weightDecay: 0, frozen: { conditions: sizes.conditions, combinations: sizes.combinations } });
    network.write(new Map([...network.parameters.keys()].map((name) => [name, stored.tensors.get(name)!.data])));
    const program = network.encoding();
    return new Encoder(
      engine,
      (count, into) => {
        engine.minibatch.rows = count;
        program.run();
        engine.readActivation(network.mean, into);
      },
      HeadScorer.of(engine, stored),
      rows,
    );
  }

  /**
   * Mean latent of a block of cells.
   * @param conditions - per key (N) rows of the embedding tables, for all cells
   * @param latent - (N, D), filled at the block's place; and the head's numbers (N, R + P), where there is one; and the size factors
   */
  encodeBlock(block: CountBlock, conditions: readonly Int32Array[], { latent, scores, sizeFactors }: CellPositions, D: number): void {
    const { minibatch } = this.engine;
    sizeFactors.set(block.sizeFactors.subarray(0, block.rows), block.start);
    for (let from = 0; from < block.rows; from += this.blockRows) {
      const to = Math.min(block.rows, from + this.blockRows);
      const [start, end] = [block.indptr[from]!, block.indptr[to]!];
      for (let b = from; b <= to; b++) minibatch.indptr[b - from] = block.indptr[b]! - start;
      minibatch.indices.set(block.indices.subarray(start, end));
      minibatch.counts.set(block.counts.subarray(start, end));
      conditions.forEach((rows, key) => minibatch.conditions[key]!.set(rows.subarray(block.start + from, block.start + to)));
      this.encode(to - from, latent.subarray((block.start + from) * D));
      if (!this.scorer) continue;
      minibatch.sizeFactors.set(block.sizeFactors.subarray(from, to));
      this.scorer.score(scores.subarray((block.start + from) * this.scorer.rows));
    }
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}
