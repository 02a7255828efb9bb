// The network of one shard's job: the shared weights with the embedding rows of the shard's conditions, and
// the passes over its cells.
import type { RunSettings } from "../contract/options.js";
import type { CountRows } from "../data/count-source.js";
import {
  fillMinibatch,
  groupCombinations,
  minibatchCapacity,
  splitCells,
  type Split,
} from "../data/minibatches.js";
import { createEngine } from "../engine/create.js";
import type { Engine, Losses, Program } from "../engine/engine.js";
import { ScPoliError } from "../contract/errors.js";
import type { StoredTensor } from "../model/stored-model.js";
import { Network } from "../model/network.js";
import type { Prototypes } from "../prototypes/prototypes.js";
import { balancedPrototypes, TypeCrossEntropy } from "../prototypes/type-cross-entropy.js";
import { Random, hash32 } from "../numerics/random.js";
import type { StepWeights } from "./course.js";
import type { RoundsPlan } from "./plan.js";
import { sliced, type OpenShard } from "./shard.js";

/** Sums of losses over cells. */
export interface LossSums {
  readonly reconstruction: number;
  readonly kl: number;
  readonly prototype: number;
  readonly crossEntropy: number;
  readonly cells: number;
  /** of validation cells: sum of `LossTerms.classification`, and the number of labels in it */
  readonly classification: number;
  readonly labels: number;
}

/** Adam's moments by parameter. */
export type Moments = ReadonlyMap<string, { readonly first: Float32Array; readonly second: Float32Array }>;

/** Milliseconds between checks of the abort signal. */
const pauseMs = 200;

export class ShardNetwork {
  readonly split: Split;
  readonly #programs: {
    readonly training: Program;
    readonly validation: Program;
    readonly encoding: Program;
  };
  /** seed of all random choices of this shard: orders, noise, dropout */
  readonly #seed: number;
  #lastPause = performance.now();

  private constructor(
    private readonly engine: Engine,
    readonly network: Network,
    private readonly plan: RoundsPlan,
    private readonly shard: OpenShard,
    private readonly settings: RunSettings,
  ) {
    const { optimization } = plan;
    this.#seed = new Random(optimization.seed, `shard ${shard.planned.name}`).bits();
    this.split = splitCells(shard.dataset, optimization.trainFrac, this.#seed);
    this.#programs = {
      training: network.training({
        dropout: optimization.dropout,
        prototypeNorm: optimization.prototypeNorm,
      }),
      validation: network.validation(optimization.prototypeNorm),
      encoding: network.encoding(),
    };
  }

  /** The caller has to close it. */
  static async create(plan: RoundsPlan, shard: OpenShard, settings: RunSettings): Promise<ShardNetwork> {
    const { dataset, sizes } = shard;
    const { minibatch, weightDecay, distanceReduction, typeBalance } = plan.optimization;
    const engine = await createEngine(
      {
        minibatchSize: minibatch,
        minibatchCapacity: minibatchCapacity(dataset.counts, minibatch),
        genes: sizes.genes,
        conditionKeys: sizes.conditions.length,
        levels: dataset.levels,
        prototypes: [plan.cell_types.length, plan.model.latentDim],
        distanceReduction,
        levelPrototypes: balancedPrototypes(plan.levels, plan.type_cells, typeBalance),
      },
      settings,
    );
    try {
      dataset.counts.keepIn?.(engine);
      return new ShardNetwork(
        engine,
        new Network(engine, plan.model, sizes, { weightDecay }),
        plan,
        shard,
        settings,
      );
    } catch (error) {
      await engine.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.engine.close();
  }

  /** @param parameters - of the plan @param prototypes - (K, D) */
  write(parameters: ReadonlyMap<string, StoredTensor>, prototypes: Float32Array | null): void {
    this.network.write(
      new Map([...parameters].map(([name, tensor]) => [name, sliced(name, tensor, this.shard)])),
    );
    if (prototypes) this.engine.writePrototypes(prototypes);
  }

  /** Parameters of the network; of tables, the shard's rows. */
  read(): Map<string, Float32Array> {
    return this.network.read();
  }

  readMoments(): Moments {
    return new Map(
      [...this.network.parameters].map(([name, parameter]) => {
        const { first, second } = this.engine.readMoments(parameter);
        return [name, { first: Float32Array.from(first), second: Float32Array.from(second) }];
      }),
    );
  }

  writeMoments(moments: Moments): void {
    for (const [name, { first, second }] of moments)
      this.engine.writeMoments(this.network.parameters.get(name)!, first, second);
  }

  /**
   * Runs Adam steps over the training cells, pass after pass; the order of a pass depends only on its number.
   * @param from - steps of earlier rounds @param step - Adam steps in the moments so far
   * @param weightsAt - weights of the loss terms, by the fraction of these steps
   */
  async train(
    from: number,
    steps: number,
    step: number,
    learningRate: number,
    weightsAt: (share: number) => StepWeights,
  ): Promise<LossSums> {
    const { minibatch: size } = this.plan.optimization;
    const { dataset, planned } = this.shard;
    const perPass = Math.ceil(this.split.train.length / size);
    const sums = new Sums();
    for (let done = 0; done < steps;) {
      const [pass, skipped] = [Math.floor((from + done) / perPass), (from + done) % perPass];
      const order = dataset.counts.shuffled(this.split.train, this.#seed, pass);
      groupCombinations(order, size, dataset.combinations);
      const cells = order.subarray(skipped * size, (skipped + steps - done) * size);
      await this.#eachMinibatch(cells, (chunk) => {
        const weights = weightsAt(done / steps);
        const losses = this.#programs.training.run({
          step: step + ++done,
          learningRate,
          klWeight: weights.kl,
          prototypeWeight: weights.prototype,
          crossEntropyWeight: weights.crossEntropy,
          seed: hash32(this.#seed, 1, 0, from + done),
        });
        sums.add(losses, chunk.length);
        const { reconstruction, kl, prototype, crossEntropy } = losses;
        if (!Number.isFinite(reconstruction + kl + prototype + crossEntropy))
          throw new ScPoliError(
            "model",
            `The loss of shard '${planned.name}' is not a number (reconstruction ${reconstruction}, KL ` +
              `${kl}, distance to prototypes ${prototype}, cross-entropy ${crossEntropy}); try a smaller ` +
              "learning rate or eta. Nothing was saved.",
            { shard: planned.name, ...losses },
          );
        this.settings.onProgress?.({ stage: "pretraining", done, total: steps });
      });
    }
    return sums.value();
  }

  /** Losses of the validation cells. @param prototypes - null before fine-tuning */
  async validate(prototypes: Prototypes | null): Promise<LossSums> {
    const sums = new Sums();
    const { eta, etaCrossEntropy } = this.plan.optimization;
    const { labels, levels } = this.shard.dataset;
    const types = prototypes && new TypeCrossEntropy(prototypes, this.plan.levels);
    let labelled = 0;
    const held = await this.shard.dataset.counts.hold(this.split.validation);
    let start = 0;
    await this.#eachMinibatch(
      this.split.validation,
      (chunk) => {
        // the same noise in every round makes rounds comparable
        const losses = this.#programs.validation.run({
          prototypeWeight: prototypes && eta > 0 ? 1 : 0,
          crossEntropyWeight: prototypes && etaCrossEntropy > 0 ? 1 : 0,
          seed: hash32(this.#seed, 2, 0, start),
        });
        sums.add(losses, chunk.length);
        start += chunk.length;
        if (!types) return;
        const codes = new Int32Array(chunk.length * levels);
        chunk.forEach((cell, row) =>
          codes.set(labels.subarray(cell * levels, (cell + 1) * levels), row * levels),
        );
        labelled += codes.reduce((sum, code) => sum + (code >= 0 ? 1 : 0), 0);
        types.add(this.engine.readActivation(this.network.mean), codes, chunk.length, levels);
      },
      held,
    );
    return { ...sums.value(), labels: labelled, classification: labelled * (types?.value() ?? 0) };
  }

  /**
   * Passes the mean latent representation (rows, D) of cells to `visit`, by minibatch. @param cells -
   * ascending
   */
  async encode(cells: Int32Array, visit: (latent: Float32Array, chunk: Int32Array) => void): Promise<void> {
    await this.#eachMinibatch(cells, (chunk) => {
      this.#programs.encoding.run();
      visit(
        Float32Array.from(this.engine.readActivation(this.network.mean)).subarray(
          0,
          chunk.length * this.plan.model.latentDim,
        ),
        chunk,
      );
    });
  }

  async #eachMinibatch(
    cells: Int32Array,
    visit: (chunk: Int32Array) => void,
    held?: CountRows,
  ): Promise<void> {
    const size = this.plan.optimization.minibatch;
    const { dataset } = this.shard;
    const pass = held ? null : dataset.counts.pass(cells);
    try {
      for (let start = 0; start < cells.length; start += size) {
        const chunk = cells.subarray(start, Math.min(cells.length, start + size));
        await pass?.reach(chunk);
        fillMinibatch(this.engine.minibatch, dataset, chunk, held ?? pass!);
        visit(chunk);
        await this.#pause();
      }
    } finally {
      await pass?.end();
    }
  }

  /** Yields to the event loop. @throws ScPoliError "interrupted" */
  async #pause(): Promise<void> {
    if (performance.now() - this.#lastPause < pauseMs) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#lastPause = performance.now();
    if (this.settings.signal?.aborted)
      throw new ScPoliError(
        "interrupted",
        `Stopped in shard '${this.shard.planned.name}'; nothing was written. Run the same command to ` +
          "restart the step.",
      );
  }
}

/** Initial sums, over no cells. */
export const noSums: LossSums = {
  reconstruction: 0,
  kl: 0,
  prototype: 0,
  crossEntropy: 0,
  cells: 0,
  classification: 0,
  labels: 0,
};

class Sums {
  #value: LossSums = noSums;

  add({ reconstruction, kl, prototype, crossEntropy }: Losses, cells: number): void {
    const sum = this.#value;
    this.#value = {
      reconstruction: sum.reconstruction + reconstruction * cells,
      kl: sum.kl + kl * cells,
      prototype: sum.prototype + prototype * cells,
      crossEntropy: sum.crossEntropy + crossEntropy * cells,
      classification: 0,
      labels: 0,
      cells: sum.cells + cells,
    };
  }
  value(): LossSums {
    return this.#value;
  }
}
