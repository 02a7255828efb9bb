// The operations that the model is written in: about a dozen fused operations, each with its backward pass.
//
// The network records operations into a program once and runs the program for every minibatch. `reference`
// executes them as they stand, in float64; `wasm` regroups them (row by row where each cell is independent,
// by gene columns where gradients are summed, Adam fused into the weight gradient). Letters: B cells in the
// minibatch, G genes, H hidden width, D latent, E embedding width (all condition keys joined), C conditions,
// K prototypes.

export type Floats = Float32Array | Float64Array;

/**
 * What a parameter is used for; an engine may choose its memory layout by it. Shapes are those of scArches'
 * `model_params.pt`.
 */
export type Role =
  | "sparse" //    (H, G) weight of the first encoder layer, multiplied with sparse rows
  | "linear" //    (N, K) weight of a small dense layer
  | "output" //    (G, H) weight of the decoder's last layer
  | "bias" //      (N)
  | "embedding" // (C, E) condition embeddings, looked up by row
  | "theta" //     (G, C) log inverse dispersion, a column per combination of conditions
  //  (C, H) weight of a one-hot encoded condition in a first layer, transposed: a row per condition
  | "one-hot";

export interface ParameterOptions {
  readonly name: string;
  readonly shape: readonly number[];
  readonly role: Role;
  /** L2 weight decay, added to the gradient. */
  readonly weightDecay: number;
  /**
   * First trainable condition: rows of an embedding or one-hot weight, or columns of theta, before it are
   * frozen (reference mapping). 0 trains everything, Infinity freezes the parameter. Other roles know only 0
   * and Infinity.
   */
  readonly trainableFrom: number;
}

/** A parameter that lives in the engine, together with its Adam moments. */
export interface Parameter extends ParameterOptions {
  readonly id: number;
}

/**
 * Whether Adam moves only those columns of theta that have cells in the minibatch: where more of them train
 * than a minibatch can have. A column that it does not have would otherwise decay in each step, and thousands
 * of them cost more than the rest of the network.
 */
export function movesUsedOnly({ role, shape, trainableFrom }: Parameter, minibatchSize: number): boolean {
  return role === "theta" && shape[1]! - trainableFrom > minibatchSize;
}

/** An activation (B, columns) that lives in the engine. */
export interface Activation {
  readonly id: number;
  readonly columns: number;
}

/** Weight (G, H) and bias (G) of an output layer. */
export interface OutputLayer {
  readonly weight: Parameter;
  readonly bias: Parameter;
}

/** What a layer takes of a stored count x: itself, log1p(x), or log1p(10,000 x / size factor of the cell). */
export type TakenCounts = "values" | "log1p" | "log-normalized";

/**
 * One minibatch of sparse cells; the engine owns the arrays (their lengths are its capacity) and the caller
 * fills them.
 */
export interface Minibatch {
  /** B: how many rows are filled */
  rows: number;
  /** (B + 1) start of each row in `indices` and `counts`, from 0 */
  readonly indptr: Int32Array;
  /** gene of each stored count, ascending within a row */
  readonly indices: Int32Array;
  /** stored counts (normalised values for mse) */
  readonly counts: Float32Array;
  /** (B) total count of each cell over the model's genes */
  readonly sizeFactors: Float32Array;
  /** per condition key (B): row of its embedding table */
  readonly conditions: readonly Int32Array[];
  /** (B) column of theta. Rows of one combination next to each other are faster. */
  readonly combinations: Int32Array;
  /** (B, levels) row of the prototype table, -1 if the cell has no label at that level */
  readonly labels: Int32Array;
  /**
   * (B) where a row starts among the counts that `keepCounts` was given, or else in `compact`; -1: the caller
   * has filled `indices` and `counts`. Engines may have none.
   */
  readonly sources?: Int32Array;
  /**
   * Room for rows of small counts, as many as in `counts`: they are copied as they are, and the engine's
   * threads widen them. Gone where counts are kept.
   */
  compact?: { readonly indices: Uint16Array; readonly counts: Uint8Array } | undefined;
}

/** What changes from one run of a program to the next. */
export interface RunOptions {
  /** Adam's step, from 1; only programs with `update` use it */
  readonly step?: number;
  readonly learningRate?: number;
  /** alpha: weight of the KL term */
  readonly klWeight?: number;
  /** eta: weight of the prototype term; 0 leaves it out */
  readonly prototypeWeight?: number;
  /** weight of the cross-entropy over prototypes; 0 leaves it out */
  readonly crossEntropyWeight?: number;
  /** 32-bit seed of this run's noise and dropout masks */
  readonly seed?: number;
}

/**
 * Means over the cells of the minibatch (prototype: the sum over cell types of the mean distance), as in the
 * published loss; cross-entropy: the sum over annotation levels of the weighted mean over their labelled
 * cells.
 */
export interface Losses {
  readonly reconstruction: number;
  readonly kl: number;
  readonly prototype: number;
  readonly crossEntropy: number;
}

export interface Program {
  /**
   * Runs the recorded operations on the minibatch that is loaded.
   * @returns the losses that the program computes, 0 for others
   */
  run(options?: RunOptions): Losses;
}

/**
 * Operations to record. `dx` is the gradient of the total loss with respect to `x`; parameter gradients are
 * kept inside the engine until `update`.
 */
export interface Operations {
  /**
   * Rows of the embedding tables, side by side: out (B, E). A row longer than 1 is scaled to length 1 in
   * place first (frozen rows already are).
   */
  lookUp(tables: readonly Parameter[], out: Activation): void;
  lookUpBackward(dout: Activation, tables: readonly Parameter[]): void;

  /** out (B, H) += the row of each one-hot weight that the cell's condition names. No row is scaled. */
  addRows(tables: readonly Parameter[], out: Activation): void;
  addRowsBackward(dout: Activation, tables: readonly Parameter[]): void;

  /** out (B, H) = x W^T + bias, over the stored counts only, x what is taken of them. */
  sparseLinear(weight: Parameter, bias: Parameter, taken: TakenCounts, out: Activation): void;
  sparseLinearBackward(dout: Activation, weight: Parameter, bias: Parameter, taken: TakenCounts): void;

  /** out = x W^T (+ bias), or out += x W^T where `add`. */
  linear(x: Activation, weight: Parameter, bias: Parameter | null, add: boolean, out: Activation): void;
  /** Gradients of weight and bias; dx = dout W, or dx += dout W where `add`; no dx where null. */
  linearBackward(
    dout: Activation,
    x: Activation,
    weight: Parameter,
    bias: Parameter | null,
    add: boolean,
    dx: Activation | null,
  ): void;

  /**
   * Layer norm without affine (eps 1e-5), ReLU, dropout (kept values scaled by 1 / (1 - rate)); `layer` makes
   * the masks of different layers differ.
   */
  normalize(x: Activation, dropout: number, layer: number, out: Activation): void;
  /** dx from dout; x and out as left by `normalize` of the same program. dx may be dout. */
  normalizeBackward(dout: Activation, x: Activation, dropout: number, layer: number, dx: Activation): void;

  /** noise (B, D) standard normal, from the run's seed. Leave it out to use what was written into `noise`. */
  sampleNoise(noise: Activation): void;
  /**
   * z = mean + noise * sqrt(exp(logVar) + 1e-4); also the KL divergence to N(0, 1) of N(mean, exp(logVar) +
   * 1e-4), summed over D.
   */
  reparameterize(mean: Activation, logVar: Activation, noise: Activation, z: Activation): void;
  /** dmean, dlogVar from dz and the KL term. */
  reparameterizeBackward(
    dz: Activation,
    mean: Activation,
    logVar: Activation,
    noise: Activation,
    dmean: Activation,
    dlogVar: Activation,
  ): void;

  /**
   * Negative binomial of the counts with mean softmax(h W^T + bias) * size factor and inverse dispersion
   * exp(theta[:, combination]). Summed over genes. `probabilities`, where given, receives the softmax (B, G).
   * @param backward - also keep what `negativeBinomialBackward` needs
   */
  negativeBinomial(
    h: Activation,
    weight: Parameter,
    bias: Parameter,
    theta: Parameter,
    backward: boolean,
    probabilities: Activation | null,
  ): void;
  /** Gradients of weight, bias and theta (those that train), and dh. */
  negativeBinomialBackward(
    h: Activation,
    weight: Parameter,
    bias: Parameter,
    theta: Parameter,
    dh: Activation,
  ): void;

  /**
   * The negative binomial with zeros of a second kind, of probability sigmoid(h W_d^T + b_d) per gene: else
   * as `negativeBinomial`.
   * @param dropout - W_d, b_d
   */
  zeroInflated(
    h: Activation,
    mean: OutputLayer,
    dropout: OutputLayer,
    theta: Parameter,
    backward: boolean,
    probabilities: Activation | null,
  ): void;
  zeroInflatedBackward(
    h: Activation,
    mean: OutputLayer,
    dropout: OutputLayer,
    theta: Parameter,
    dh: Activation,
  ): void;

  /**
   * Poisson of the counts with rate softmax(h W^T + bias) * size factor. Summed over genes.
   * @param scaled - false leaves the size factor out: the loss of the Python package. As the softmax sums to
   * 1, the gradient is the same.
   */
  poisson(
    h: Activation,
    layer: OutputLayer,
    scaled: boolean,
    backward: boolean,
    probabilities: Activation | null,
  ): void;
  poissonBackward(h: Activation, layer: OutputLayer, dh: Activation): void;

  /**
   * Squared error of max(0, h W^T + bias) against the values. Summed over genes. `decoded`, where given,
   * receives the former (B, G).
   */
  squaredError(h: Activation, layer: OutputLayer, backward: boolean, decoded: Activation | null): void;
  squaredErrorBackward(h: Activation, layer: OutputLayer, dh: Activation): void;

  /**
   * Over the prototypes that have cells in the minibatch (all levels): mean Minkowski-p distance of their
   * cells in z, summed; of unlabelled ones averaged and weighted.
   */
  prototypeLoss(z: Activation, p: number): void;
  /** dz += eta * gradient. */
  prototypeLossBackward(z: Activation, p: number, dz: Activation): void;

  /**
   * Cross-entropy of each label under softmax(-|z - c_k|^2 / 2) over the prototypes c_k of its level
   * (`EngineOptions.levelPrototypes`): the weighted mean over the labelled cells of a level, summed over
   * levels. The distance is Euclidean, whatever norm `prototypeLoss` takes: the softmax is then the
   * posterior of types that are unit Gaussians around their prototypes. Source: Snell et al. 2017,
   * equations 2 and 10.
   */
  prototypeCrossEntropy(z: Activation): void;
  /** dz += weight * gradient. */
  prototypeCrossEntropyBackward(z: Activation, dz: Activation): void;

  /**
   * One step of Adam (betas 0.9 and 0.999, eps 0.01) on all parameters that received a gradient in this
   * program; see `movesUsedOnly`.
   */
  update(): void;
}

/** The prototypes of one annotation level: what its cross-entropy decides between. */
export interface LevelPrototypes {
  /** rows of the table of prototypes, each once */
  readonly rows: readonly number[];
  /** relative weight of a cell of each type, above 0. Default: 1 each */
  readonly weights?: readonly number[];
}

export interface EngineOptions {
  /** most cells of a minibatch */
  readonly minibatchSize: number;
  /** most stored counts of a minibatch */
  readonly minibatchCapacity: number;
  /** genes of the model */
  readonly genes: number;
  /** number of condition keys */
  readonly conditionKeys: number;
  /** number of annotation levels (0: no labels) */
  readonly levels: number;
  /** K, D of the prototype table */
  readonly prototypes: readonly [number, number];
  /**
   * rows of the table from `from` on are unlabelled prototypes: the mean of theirs, times the weight, in the
   * prototype loss
   */
  readonly unlabeled?: { readonly from: number; readonly weight: number };
  /** of the first levels; those without an entry have no part in the cross-entropy. Default: none has */
  readonly levelPrototypes?: readonly LevelPrototypes[];
  /** also store parameter gradients, for `readGradient` (tests) */
  readonly keepGradients?: boolean;
}

export interface Engine {
  readonly name: "reference" | "wasm";
  readonly minibatch: Minibatch;

  createParameter(options: ParameterOptions): Parameter;
  createActivation(columns: number): Activation;
  /** Records a program. All parameters and activations that it uses exist already. */
  record(build: (operations: Operations) => void): Program;

  /** Values in the published shape, row-major. */
  read(parameter: Parameter): Floats;
  write(parameter: Parameter, values: ArrayLike<number>): void;
  /** Adam's first and second moments, in the published shape (checkpoints). */
  readMoments(parameter: Parameter): { first: Floats; second: Floats };
  writeMoments(parameter: Parameter, first: ArrayLike<number>, second: ArrayLike<number>): void;
  /** Gradient of the last run, before weight decay; only with `keepGradients`. */
  readGradient(parameter: Parameter): Floats;
  /** (rows of the last minibatch, columns) row-major copy; `into`, where given, is filled from its start. */
  readActivation(activation: Activation, into?: Floats): Floats;
  writeActivation(activation: Activation, values: ArrayLike<number>): void;
  /** Per cell of the last run of a program without gradient: reconstruction loss, summed over genes (B). */
  readReconstruction(): Floats;
  /** (K, D) */
  writePrototypes(values: ArrayLike<number>): void;

  /**
   * Keeps the stored counts of many cells, so that the engine's threads gather minibatches themselves
   * (`sources`). Engines may have none.
   * @throws ScPoliError "memory"
   */
  keepCounts?(indices: Uint16Array, counts: Uint8Array): void;

  /** Ends the threads and frees the memory. */
  close(): Promise<void>;
}
