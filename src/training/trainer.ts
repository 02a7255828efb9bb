// The optimisation loop for references and queries: pretraining, KL annealing, prototypes, fine-tuning, and
// early stopping that restores the best state. All random choices depend only on (seed, epoch, minibatch), so
// that a resumed run gives the same bytes. Source: De Donno et al. 2023, Methods ("Training"); scPoliTrainer
// of scArches.
import type { EarlyStopping, EpochLosses, LossTerms, Progress } from "../contract/options.js";
import type { CountRows } from "../data/count-source.js";
import type { Engine, Losses, Program } from "../engine/engine.js";
import { ScPoliError } from "../contract/errors.js";
import {
  fillMinibatch,
  groupCombinations,
  splitCells,
  type Dataset,
  type Split,
} from "../data/minibatches.js";
import { clusterRows, type UnlabeledLoss } from "../prototypes/unlabeled.js";
import type { Network } from "../model/network.js";
import { observe, startEarlyStopping, type OptimizationPlan, type Stage } from "./optimization.js";
import type { TrainerState, Snapshot } from "../storage/training-checkpoint.js";
import { PrototypeSums, type Prototypes } from "../prototypes/prototypes.js";
import { TypeCrossEntropy } from "../prototypes/type-cross-entropy.js";
import { hash32 } from "../numerics/random.js";

export interface TrainerOptions {
  readonly stage: Stage;
  readonly plan: OptimizationPlan;
  /** K, number of prototypes in the table; 0: no labels */
  readonly prototypeCount: number;
  /** per annotation level, rows of its types in the table */
  readonly levels: readonly (readonly number[])[];
  /**
   * Unlabelled prototypes in the loss. They have the last rows of the table, and the engine has one more
   * level than the data set.
   */
  readonly unlabeled?: UnlabeledLoss;
  /** The first rows of the table if they belong to a reference; they do not change. */
  readonly knownPrototypes?: Prototypes;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
  /** See `TrainOptions.finish`. */
  readonly finish?: AbortSignal;
  /** Receives the state when a checkpoint is due, and when the run is interrupted. */
  readonly onCheckpoint?: (snapshot: () => Snapshot) => Promise<void>;
  /** Time between checkpoints. Default: one minute */
  readonly checkpointMs?: number;
  /** State of an interrupted run. */
  readonly resume?: Snapshot;
}

export interface TrainingResult {
  readonly history: readonly EpochLosses[];
  /** epoch whose weights were kept */
  readonly bestEpoch: number;
  /** prototypes of the training cells with the final weights; null without labels */
  readonly prototypes: Prototypes | null;
  readonly split: Split;
}

/** Time between yields to the event loop. */
const yieldMs = 200;

export class Trainer {
  readonly #programs: {
    readonly training: Program;
    readonly validation: Program;
    readonly encoding: Program;
  };
  readonly #engine: Engine;
  /** which cells train and which validate */
  readonly split: Split;
  readonly #dataset: Dataset;
  /**
   * unlabelled prototype of each unlabelled cell; null before fine-tuning, and if they are not in the loss
   */
  #clusters: Int32Array | null = null;
  #state: TrainerState;
  #prototypes: Prototypes | null = null;
  /** counts of the validation cells */
  #held: CountRows | null = null;
  #best: Snapshot["best"] = null;
  /** whether an optimisation is running */
  #isRunning = false;
  #lastYield = performance.now();
  #lastCheckpoint = performance.now();
  readonly #started = performance.now();
  #cellsDone = 0;

  constructor(
    private readonly network: Network,
    dataset: Dataset,
    private readonly options: TrainerOptions,
  ) {
    const { plan, resume, unlabeled } = options;
    this.#dataset = unlabeled ? withClusterLevel(dataset) : dataset;
    this.#engine = network.engine;
    dataset.counts.keepIn?.(network.engine);
    this.split = splitCells(dataset, plan.trainFrac, plan.seed);
    this.#programs = {
      training: network.training({ dropout: plan.dropout, prototypeNorm: plan.prototypeNorm }),
      validation: network.validation(plan.prototypeNorm),
      encoding: network.encoding(),
    };
    this.#state = resume
      ? structuredClone(resume.state)
      : { epoch: 0, position: 0, step: 0, sums: noLosses(), early: startEarlyStopping(), history: [] };
    if (resume) this.#restore(resume);
  }

  /** @throws ScPoliError "interrupted" after a checkpoint, "model" if the loss is not a number */
  async run(): Promise<TrainingResult> {
    const { plan } = this.options;
    const state = this.#state;
    let stop = state.epoch >= plan.epochs;
    this.#isRunning = true;
    while (!stop) {
      if (state.position === 0 && state.epoch === plan.pretrainingEpochs && this.options.prototypeCount > 0) {
        await this.#findClusters();
        await this.#updatePrototypes();
      }
      await this.#trainEpoch();
      if (this.#isFineTuning()) await this.#updatePrototypes();
      stop = await this.#endEpoch();
    }
    this.#isRunning = false;
    if (this.#best) {
      this.network.write(this.#best.parameters);
      this.#setPrototypes(this.#best.prototypes);
    }
    this.#limitEmbeddingNorms();
    if (this.options.prototypeCount > 0) await this.#updatePrototypes();
    const bestEpoch = this.#best ? state.early.bestEpoch : state.history.length - 1;
    const { prototypeCount, unlabeled } = this.options;
    return {
      history: state.history,
      bestEpoch,
      prototypes: this.#prototypes && firstRows(this.#prototypes, unlabeled?.from ?? prototypeCount),
      split: this.split,
    };
  }

  /** Mean latent (cells, D) of cells of the data set, in their order. */
  async encode(cells: Int32Array): Promise<Float32Array> {
    const D = this.network.options.latentDim;
    const latent = new Float32Array(cells.length * D);
    await this.#eachMinibatch(cells, 0, (_, start) => {
      this.#programs.encoding.run();
      this.#engine.readActivation(this.network.mean, latent.subarray(start * D));
    });
    return latent;
  }

  /** A copy of the current state. */
  snapshot(): Snapshot {
    const moments = [...this.network.parameters].map(([name, parameter]) => {
      const { first, second } = this.#engine.readMoments(parameter);
      return [name, { first: Float32Array.from(first), second: Float32Array.from(second) }] as const;
    });
    return {
      state: structuredClone(this.#state),
      parameters: this.network.read(),
      moments: new Map(moments),
      prototypes: this.#prototypes,
      clusters: this.#clusters,
      best: this.#best,
    };
  }

  #restore({ parameters, moments, prototypes, clusters, best }: Snapshot): void {
    if (clusters) this.#setClusters(clusters);
    this.network.write(parameters);
    for (const [name, { first, second }] of moments)
      this.#engine.writeMoments(this.network.parameters.get(name)!, first, second);
    this.#setPrototypes(prototypes);
    this.#best = best;
  }

  #isFineTuning(): boolean {
    return this.options.prototypeCount > 0 && this.#state.epoch >= this.options.plan.pretrainingEpochs;
  }

  async #trainEpoch(): Promise<void> {
    const { plan } = this.options;
    const state = this.#state;
    const order = this.#dataset.counts.shuffled(this.split.train, plan.seed, state.epoch);
    groupCombinations(order, plan.minibatch, this.#dataset.combinations);
    const [prototypeWeight, crossEntropyWeight] = this.#isFineTuning()
      ? [plan.eta, plan.etaCrossEntropy]
      : [0, 0];
    await this.#eachMinibatch(order, state.position, async (chunk) => {
      const losses = this.#programs.training.run({
        step: ++state.step,
        learningRate: plan.lr * (plan.earlyStopping?.lrFactor ?? 1) ** state.early.reductions,
        klWeight: this.#alpha(state.epoch + state.position / order.length),
        prototypeWeight,
        crossEntropyWeight,
        seed: hash32(plan.seed, 1, state.epoch, state.step),
      });
      addLosses(state.sums, losses, chunk.length);
      state.position += chunk.length;
      this.#cellsDone += chunk.length;
      const { reconstruction, kl, prototype, crossEntropy } = losses;
      if (!Number.isFinite(reconstruction + kl + prototype + crossEntropy))
        throw new ScPoliError(
          "model",
          `The loss is not a number in epoch ${state.epoch + 1} (reconstruction ${reconstruction}, KL ` +
            `${kl}, distance to prototypes ${prototype}, cross-entropy ${crossEntropy}); try a smaller ` +
            "learning rate or eta. Nothing was saved.",
          { epoch: state.epoch, ...losses },
        );
    });
  }

  /**
   * Scales trained embedding rows to norm <= 1 - 2e-6, so that look-up never rescales them: they keep their
   * bits when stored, loaded and used for mapping.
   */
  #limitEmbeddingNorms(): void {
    for (const parameter of this.network.parameters.values()) {
      if (parameter.role !== "embedding") continue;
      const values = Float32Array.from(this.#engine.read(parameter));
      const [C, E] = [parameter.shape[0]!, parameter.shape[1]!];
      for (let c = Math.min(C, parameter.trainableFrom); c < C; c++) {
        const row = values.subarray(c * E, (c + 1) * E);
        const norm = Math.hypot(...row);
        if (norm > 1 - 1e-6) row.forEach((value, e) => (row[e] = (value * (1 - 2e-6)) / norm));
      }
      this.#engine.write(parameter, values);
    }
  }

  /** Validation, history, early stopping. @returns whether the run is over */
  async #endEpoch(): Promise<boolean> {
    const { plan } = this.options;
    const state = this.#state;
    const alpha = this.#alpha(state.epoch + 1);
    const fineTuning = this.#isFineTuning();
    const weights = {
      kl: alpha,
      prototype: fineTuning ? plan.eta : 0,
      crossEntropy: fineTuning ? plan.etaCrossEntropy : 0,
    };
    const train = lossTerms(state.sums, this.split.train.length, weights);
    const validation =
      this.split.validation.length > 0 ? await this.#validate(fineTuning, weights) : undefined;
    const losses: EpochLosses = validation ? { train, validation } : { train };
    state.history.push(losses);
    this.#cellsDone += this.split.validation.length;

    // Without labels or prototype loss there is no fine-tuning: monitor from the end of the annealing.
    const monitored =
      plan.earlyStopping !== null &&
      (this.options.prototypeCount > 0 && plan.eta + plan.etaCrossEntropy > 0 ? fineTuning : alpha >= 1);
    let stop = false;
    if (monitored) {
      const verdict = observe(
        state.early,
        metricOf(validation ?? train, plan.earlyStopping.metric),
        state.epoch,
        plan.earlyStopping,
      );
      if (verdict.improved) this.#best = { parameters: this.network.read(), prototypes: this.#prototypes };
      stop = verdict.stop;
    }
    this.#report(losses);
    state.epoch++;
    state.position = 0;
    state.sums = noLosses();
    return stop || state.epoch >= plan.epochs || this.options.finish?.aborted === true;
  }

  /** Losses of the validation cells; during fine-tuning also the cross-entropy of their types. */
  async #validate(fineTuning: boolean, weights: TermWeights): Promise<LossTerms> {
    const sums = noLosses();
    const { seed, eta, etaCrossEntropy } = this.options.plan;
    const { levels, labels } = this.#dataset;
    const types = fineTuning ? new TypeCrossEntropy(this.#prototypes!, this.options.levels) : null;
    this.#held ??= await this.#dataset.counts.hold(this.split.validation);
    const validate = (chunk: Int32Array, start: number): void => {
      // the same noise in every epoch, so that differences between epochs are not due to noise
      addLosses(
        sums,
        this.#programs.validation.run({
          prototypeWeight: fineTuning && eta > 0 ? 1 : 0,
          crossEntropyWeight: fineTuning && etaCrossEntropy > 0 ? 1 : 0,
          seed: hash32(seed, 2, 0, start),
        }),
        chunk.length,
      );
      types?.add(
        this.#engine.readActivation(this.network.mean),
        labelsOf(chunk, labels, levels),
        chunk.length,
        levels,
      );
    };
    await this.#eachMinibatch(this.split.validation, 0, validate, this.#held);
    const classification = types?.value();
    return {
      ...lossTerms(sums, this.split.validation.length, weights),
      ...(classification !== undefined && { classification }),
    };
  }

  /** Clusters the unlabelled cells for fine-tuning, if they are in the loss. */
  async #findClusters(): Promise<void> {
    const { unlabeled, plan } = this.options;
    if (unlabeled)
      this.#setClusters(
        clusterRows(unlabeled, await this.encode(unlabeled.cells), this.network.options.latentDim, plan.seed),
      );
  }

  #setClusters(clusters: Int32Array): void {
    const { labels, levels } = this.#dataset;
    this.options.unlabeled!.cells.forEach((cell, i) => (labels[cell * levels + levels - 1] = clusters[i]!));
    this.#clusters = clusters;
  }

  /** Recomputes prototypes with the current weights, from the mean latent of the training cells. */
  async #updatePrototypes(): Promise<void> {
    const { levels, labels } = this.#dataset;
    const sums = new PrototypeSums(this.options.prototypeCount, this.network.options.latentDim, levels);
    await this.#eachMinibatch(this.split.train, 0, (chunk) => {
      this.#programs.encoding.run();
      sums.add(this.#engine.readActivation(this.network.mean), labelsOf(chunk, labels, levels), chunk.length);
    });
    this.#setPrototypes(withKnown(sums.finish(this.#prototypes ?? undefined), this.options.knownPrototypes));
  }

  #setPrototypes(prototypes: Prototypes | null): void {
    this.#prototypes = prototypes;
    if (prototypes) this.#engine.writePrototypes(prototypes.means);
  }

  /** @param held - counts of the cells if in memory; undefined: they are read in one pass */
  async #eachMinibatch(
    cells: Int32Array,
    from: number,
    visit: (chunk: Int32Array, start: number) => void | Promise<void>,
    held?: CountRows,
  ): Promise<void> {
    const size = this.options.plan.minibatch;
    const pass = held ? null : this.#dataset.counts.pass(cells.subarray(from));
    try {
      for (let start = from; start < cells.length; start += size) {
        const chunk = cells.subarray(start, Math.min(cells.length, start + size));
        await pass?.reach(chunk);
        fillMinibatch(this.#engine.minibatch, this.#dataset, chunk, held ?? pass!);
        await visit(chunk, start);
        await this.#yieldToEvents();
      }
    } finally {
      await pass?.end();
    }
  }

  /** Weight of the KL term after a number of epochs. */
  #alpha(epochs: number): number {
    const { alphaEpochAnneal } = this.options.plan;
    return alphaEpochAnneal > 0 ? Math.min(1, epochs / alphaEpochAnneal) : 1;
  }

  /**
   * Yields to the event loop. During an optimisation, saves a checkpoint when one is due or the run is
   * interrupted.
   */
  async #yieldToEvents(): Promise<void> {
    const now = performance.now();
    if (now - this.#lastYield < yieldMs && !this.options.signal?.aborted) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#lastYield = performance.now();
    const { signal, onCheckpoint, checkpointMs = 60_000 } = this.options;
    const isDue = signal?.aborted || now - this.#lastCheckpoint >= checkpointMs;
    if (isDue && this.#isRunning) {
      await onCheckpoint?.(() => this.snapshot());
      this.#lastCheckpoint = performance.now();
    }
    if (signal?.aborted) {
      const { epoch, position } = this.#state;
      throw new ScPoliError(
        "interrupted",
        `Stopped in epoch ${epoch + 1} after ${position} of its ${this.split.train.length} cells.`,
        { epoch, position },
      );
    }
    if (this.#isRunning) this.#report(this.#state.history.at(-1));
  }

  #report(losses: EpochLosses | undefined): void {
    const { onProgress, plan, stage } = this.options;
    if (!onProgress) return;
    const { epoch, position } = this.#state;
    const cells = this.split.train.length;
    const perEpoch = cells + this.split.validation.length;
    const cellsPerSecond = (1000 * this.#cellsDone) / (performance.now() - this.#started);
    const done = epoch + position / cells;
    onProgress({
      stage: stage === "mapping" ? "mapping" : this.#isFineTuning() ? "fine-tuning" : "pretraining",
      done,
      total: plan.epochs,
      epoch: epoch + 1,
      epochs: plan.epochs,
      losses,
      cellsPerSecond,
      secondsLeft: ((plan.epochs - done) * perEpoch) / cellsPerSecond,
    });
  }
}

/** Adds an empty level of labels for the unlabelled prototypes of the cells. */
function withClusterLevel(dataset: Dataset): Dataset {
  const { labels, levels, combinations } = dataset;
  const more = new Int32Array(combinations.length * (levels + 1)).fill(-1);
  for (let cell = 0; cell < combinations.length; cell++)
    more.set(labels.subarray(cell * levels, (cell + 1) * levels), cell * (levels + 1));
  return { ...dataset, labels: more, levels: levels + 1 };
}

/** @returns null for no rows */
function firstRows(
  { shape: [, D], means, covariances, counts }: Prototypes,
  rows: number,
): Prototypes | null {
  return rows === 0
    ? null
    : {
        shape: [rows, D],
        means: means.slice(0, rows * D),
        covariances: covariances.slice(0, rows * D * D),
        counts: counts.slice(0, rows),
      };
}

/** The table with its first rows replaced by the reference's. */
function withKnown(prototypes: Prototypes, known: Prototypes | undefined): Prototypes {
  if (!known) return prototypes;
  prototypes.means.set(known.means);
  prototypes.covariances.set(known.covariances);
  prototypes.counts.set(known.counts);
  return prototypes;
}

/** (cells, levels) labels of some cells */
function labelsOf(cells: Int32Array, labels: Int32Array, levels: number): Int32Array {
  const cellLabels = new Int32Array(cells.length * levels);
  cells.forEach((cell, row) =>
    cellLabels.set(labels.subarray(cell * levels, (cell + 1) * levels), row * levels),
  );
  return cellLabels;
}

function noLosses(): TrainerState["sums"] {
  return { reconstruction: 0, kl: 0, prototype: 0, crossEntropy: 0 };
}

function addLosses(sums: TrainerState["sums"], losses: Losses, cells: number): void {
  sums.reconstruction += losses.reconstruction * cells;
  sums.kl += losses.kl * cells;
  sums.prototype += losses.prototype * cells;
  sums.crossEntropy += losses.crossEntropy * cells;
}

type TermWeights = Readonly<Record<"kl" | "prototype" | "crossEntropy", number>>;

function lossTerms(sums: TrainerState["sums"], cells: number, weights: TermWeights): LossTerms {
  const [reconstruction, kl, prototype, crossEntropy] = [
    sums.reconstruction / cells,
    sums.kl / cells,
    sums.prototype / cells,
    sums.crossEntropy / cells,
  ];
  return {
    reconstruction,
    kl,
    prototype,
    ...(weights.crossEntropy > 0 && { crossEntropy }),
    total:
      reconstruction + weights.kl * kl + weights.prototype * prototype + weights.crossEntropy * crossEntropy,
  };
}

/** Value of the metric monitored by early stopping. */
export function metricOf(losses: LossTerms, metric: EarlyStopping["metric"]): number {
  const { reconstruction, kl, prototype, crossEntropy = 0, classification, total } = losses;
  const sum = reconstruction + kl + prototype + crossEntropy;
  // without labelled cells the prototype loss is always 0, so the first epoch would be the best
  switch (metric) {
    case "unweighted":
      return sum;
    case "prototype":
      return prototype + crossEntropy || sum;
    case "classification":
      return classification ?? sum;
    case "reconstruction":
      return reconstruction;
    case "kl":
      return kl;
    case "total":
      return total;
  }
}
