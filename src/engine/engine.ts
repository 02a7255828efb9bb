// The operations that the model is written in: about a dozen fused operations, each with its backward pass.
//
// The network records operations into a program once and runs the program for every minibatch. `reference`
// executes them one by one in float64; `wasm` regroups them (by rows if cells are independent, by gene
// columns if gradients are summed, with Adam fused into the weight gradient). Letters: B cells in the
// minibatch, G genes, H hidden width, D latent, E embedding width (all condition keys joined), C conditions,
// K prototypes.

import type { DistanceReduction } from "../contract/options.js";

export type Floats = Float32Array | Float64Array;

/**
 * The use of a parameter, by which an engine may choose its memory layout. Shapes are those in scArches'
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
   * frozen (reference mapping). 0 trains everything, Infinity freezes the parameter. Other roles support only
   * 0 and Infinity.
   */
  readonly trainableFrom: number;
}

/** A parameter stored in the engine, together with its Adam moments. */
export interface Parameter extends ParameterOptions {
  readonly id: number;
}

/**
 * Whether Adam updates only those columns of theta that have cells in the minibatch: if more columns train
 * than a minibatch has cells. Other columns would only decay in each step, and thousands of them would cost
 * more than the rest of the network.
 */
export function movesUsedOnly({ role, shape, trainableFrom }: Parameter, minibatchSize: number): boolean {
  return role === "theta" && shape[1]! - trainableFrom > minibatchSize;
}

/** An activation (B, columns) stored in the engine. */
export interface Activation {
  readonly id: number;
  readonly columns: number;
}

/** Weight (G, H) and bias (G) of an output layer. */
export interface OutputLayer {
  readonly weight: Parameter;
  readonly bias: Parameter;
}

/**
 * Transformation of a stored count x by a layer: x, log1p(x), or log1p(10,000 x / size factor of the cell).
 */
export type CountTransform = "values" | "log1p" | "log-normalized";

/**
 * One minibatch of sparse cells; the engine owns the arrays (their lengths are its capacity) and the caller
 * fills them.
 */
export interface Minibatch {
  /** B: number of rows in use */
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
  /** (B) column of theta. Adjacent rows with equal columns are faster. */
  readonly combinations: Int32Array;
  /** (B, levels) row of the prototype table, -1 if the cell has no label at that level */
  readonly labels: Int32Array;
  /**
   * (B) start of a row in the counts passed to `keepCounts`, or else in `compact`; -1: the caller has filled
   * `indices` and `counts`. Engines may not support it.
   */
  readonly sources?: Int32Array;
  /**
   * Buffer for rows of small counts, as large as `counts`: they are copied unchanged, and the engine's
   * threads widen them. Absent if counts are kept.
   */
  compact?: { readonly indices: Uint16Array; readonly counts: Uint8Array } | undefined;
}

/** Options of a single run of a program. */
export interface RunOptions {
  /** Adam's step, from 1; only programs with `update` use it */
  readonly step?: number;
  readonly learningRate?: number;
  /** alpha: weight of the KL term */
  readonly klWeight?: number;
  /** eta: weight of the prototype term; 0 omits it */
  readonly prototypeWeight?: number;
  /** weight of the cross-entropy over prototypes; 0 omits it */
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
   * Runs the recorded operations on the current minibatch.
   * @returns the losses computed by the program, 0 for others
   */
  run(options?: RunOptions): Losses;
}

/**
 * Operations to record. `dx` is the gradient of the total loss with respect to `x`; parameter gradients are
 * kept inside the engine until `update`.
 */
export interface Operations {
  /**
   * Concatenates rows of the embedding tables: out (B, E). A row with norm above 1 is first scaled to norm 1
   * in place (frozen rows already are).
   */
  lookUp(tables: readonly Parameter[], out: Activation): void;
  lookUpBackward(dout: Activation, tables: readonly Parameter[]): void;

  /** out (B, H) += the row of each one-hot weight for the cell's condition. Rows are not scaled. */
  addRows(tables: readonly Parameter[], out: Activation): void;
  addRowsBackward(dout: Activation, tables: readonly Parameter[]): void;

  /** out (B, H) = x W^T + bias, over the stored counts only; x is the count transformed by `transform`. */
  sparseLinear(weight: Parameter, bias: Parameter, transform: CountTransform, out: Activation): void;
  sparseLinearBackward(dout: Activation, weight: Parameter, bias: Parameter, transform: CountTransform): void;

  /** out = x W^T (+ bias), or out += x W^T with `add`. */
  linear(x: Activation, weight: Parameter, bias: Parameter | null, add: boolean, out: Activation): void;
  /** Gradients of weight and bias; dx = dout W, or dx += dout W with `add`; no dx if null. */
  linearBackward(
    dout: Activation,
    x: Activation,
    weight: Parameter,
    bias: Parameter | null,
    add: boolean,
    dx: Activation | null,
  ): void;

  /**
   * Layer norm without affine transformation (eps 1e-5), ReLU, dropout (kept values scaled by 1 / (1 -
   * rate));
   * `layer` selects the random stream of the masks.
   */
  normalize(x: Activation, dropout: number, layer: number, out: Activation): void;
  /** dx from dout; x and out as left by `normalize` of the same program. dx may be dout. */
  normalizeBackward(dout: Activation, x: Activation, dropout: number, layer: number, dx: Activation): void;

  /** noise (B, D) standard normal, from the run's seed. Omit it to use values written into `noise`. */
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
   * exp(theta[:, combination]). Summed over genes. `probabilities`, if given, receives the softmax (B, G).
   * @param backward - also store the inputs of `negativeBinomialBackward`
   */
  negativeBinomial(
    h: Activation,
    weight: Parameter,
    bias: Parameter,
    theta: Parameter,
    backward: boolean,
    probabilities: Activation | null,
  ): void;
  /** Gradients of weight, bias and theta (if they train), and dh. */
  negativeBinomialBackward(
    h: Activation,
    weight: Parameter,
    bias: Parameter,
    theta: Parameter,
    dh: Activation,
  ): void;

  /**
   * Zero-inflated negative binomial: excess zeros with probability sigmoid(h W_d^T + b_d) per gene; otherwise
   * like `negativeBinomial`.
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
   * @param scaled - false omits the size factor, as in the Python package. As the softmax sums to 1, the
   *   gradient is the same.
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
   * Squared error of max(0, h W^T + bias) against the values. Summed over genes. `decoded`, if given,
   * receives max(0, h W^T + bias) (B, G).
   */
  squaredError(h: Activation, layer: OutputLayer, backward: boolean, decoded: Activation | null): void;
  squaredErrorBackward(h: Activation, layer: OutputLayer, dh: Activation): void;

  /**
   * Minkowski-p distance in z between cells and the prototypes of their labels. With the reduction
   * "type-sum", the mean of each prototype with cells in the minibatch, summed over labelled prototypes (all
   * levels); with "cell-mean", the weighted mean over the labelled cells of a level, summed over levels.
   * Unlabelled prototypes: their means are averaged, and weighted.
   */
  prototypeLoss(z: Activation, p: number): void;
  /** dz += eta * gradient. */
  prototypeLossBackward(z: Activation, p: number, dz: Activation): void;

  /**
   * Cross-entropy of each label under softmax(-|z - c_k|^2 / 2) over the prototypes c_k of its level
   * (`EngineOptions.levelPrototypes`): the weighted mean over the labelled cells of a level, summed over
   * levels. The distance is Euclidean, whatever norm `prototypeLoss` uses: the softmax is then the
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

/** The prototypes of one annotation level: the classes of its cross-entropy. */
export interface LevelPrototypes {
  /** distinct rows of the prototype table */
  readonly rows: readonly number[];
  /** relative weight of a cell of each type, positive. Default: 1 each */
  readonly weights?: readonly number[];
}

export interface EngineOptions {
  /** maximum number of cells of a minibatch */
  readonly minibatchSize: number;
  /** maximum number of stored counts of a minibatch */
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
   * rows of the table from `from` on are unlabelled prototypes, which enter the prototype loss by their mean
   * distance times the weight
   */
  readonly unlabeled?: { readonly from: number; readonly weight: number };
  /**
   * what the distance to labelled prototypes is averaged over; "cell-mean" needs `levelPrototypes`. Default
   * "type-sum"
   */
  readonly distanceReduction?: DistanceReduction;
  /** prototypes of the first levels; levels without an entry have no cross-entropy. Default: none */
  readonly levelPrototypes?: readonly LevelPrototypes[];
  /** also store gradients of parameters, for `readGradient` (tests) */
  readonly keepGradients?: boolean;
}

export interface Engine {
  readonly name: "reference" | "wasm";
  readonly minibatch: Minibatch;

  createParameter(options: ParameterOptions): Parameter;
  createActivation(columns: number): Activation;
  /** Records a program. Its parameters and activations must exist already. */
  record(build: (operations: Operations) => void): Program;

  /** Values in the published shape, row-major. */
  read(parameter: Parameter): Floats;
  write(parameter: Parameter, values: ArrayLike<number>): void;
  /** Adam's first and second moments, in the published shape (checkpoints). */
  readMoments(parameter: Parameter): { first: Floats; second: Floats };
  writeMoments(parameter: Parameter, first: ArrayLike<number>, second: ArrayLike<number>): void;
  /** Gradient of the last run, before weight decay; only with `keepGradients`. */
  readGradient(parameter: Parameter): Floats;
  /** (rows of the last minibatch, columns) row-major copy; written to the start of `into`, if given. */
  readActivation(activation: Activation, into?: Floats): Floats;
  writeActivation(activation: Activation, values: ArrayLike<number>): void;
  /**
   * (B) reconstruction loss of each cell, summed over genes, in the last run of a program without gradient.
   */
  readReconstruction(): Floats;
  /** (K, D) */
  writePrototypes(values: ArrayLike<number>): void;

  /**
   * Stores the counts of many cells, so that the engine's threads gather minibatches themselves (`sources`).
   * Engines may not support it.
   * @throws ScPoliError "memory"
   */
  keepCounts?(indices: Uint16Array, counts: Uint8Array): void;

  /** Ends the threads and frees the memory. */
  close(): Promise<void>;
}
