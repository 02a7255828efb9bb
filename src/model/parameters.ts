// The parameters of the model: names and shapes as in scArches' `model_params.pt`, roles, and initial values.
import {
  checkNumber,
  checkWhole,
  conditionEncodings,
  defaults,
  oneOf,
  reconLosses,
  type Defaults,
  type ModelOptions,
  type ReconLoss,
} from "../contract/options.js";
import type { ParameterOptions, Role } from "../engine/engine.js";
import { ScPoliError } from "../contract/errors.js";
import { Random } from "../numerics/random.js";

/** Sizes determined by the data. */
export interface ModelSizes {
  /** G */
  readonly genes: number;
  /** number of conditions C per condition key */
  readonly conditions: readonly number[];
  /** number of combinations of conditions: columns of theta */
  readonly combinations: number;
}

export interface ParameterShape {
  readonly name: string;
  readonly shape: readonly number[];
  readonly role: Role;
}

/**
 * Completes and checks model options.
 * @param base - values of options not given
 * @throws ScPoliError "usage" for a value out of range
 */
export function modelOptions(
  given: Partial<ModelOptions>,
  genes: number,
  keys: number,
  base: Defaults = defaults,
): ModelOptions {
  const width = base.hiddenWidth ?? Math.ceil(Math.sqrt(genes));
  const options: ModelOptions = {
    hiddenLayerSizes: given.hiddenLayerSizes?.length ? given.hiddenLayerSizes : [width],
    latentDim: given.latentDim ?? base.latentDim,
    conditionEncoding: given.conditionEncoding ?? base.conditionEncoding,
    embeddingDims:
      given.embeddingDims ??
      (given.conditionEncoding === "one-hot" ? [] : Array.from({ length: keys }, () => base.embeddingDims)),
    injectCondition: given.injectCondition ?? base.injectCondition,
    reconLoss: given.reconLoss ?? base.reconLoss,
    dropout: given.dropout ?? base.dropout,
  };
  options.hiddenLayerSizes.forEach((width) => checkWhole("hiddenLayerSizes", width, 1, 4096));
  options.embeddingDims.forEach((width) => checkWhole("embeddingDims", width, 1, 1024));
  checkWhole("latentDim", options.latentDim, 1, 1024);
  checkNumber("dropout", options.dropout, 0, 0.99);
  oneOf("conditionEncoding", options.conditionEncoding, conditionEncodings);
  oneOf("reconLoss", options.reconLoss, reconLosses);
  if (options.conditionEncoding === "one-hot") {
    if (options.embeddingDims.length > 0)
      throw new ScPoliError(
        "usage",
        "embeddingDims is given, but one-hot encoded conditions have no embedding; leave it out.",
      );
  } else if (options.embeddingDims.length !== keys)
    throw new ScPoliError(
      "usage",
      `embeddingDims has ${options.embeddingDims.length} widths for ${keys} condition keys; give one ` +
        "width, or one per key.",
    );
  if (
    !options.injectCondition.length ||
    options.injectCondition.some((place) => place !== "encoder" && place !== "decoder")
  )
    throw new ScPoliError(
      "usage",
      `injectCondition is [${options.injectCondition.join(", ")}]; expected "encoder", "decoder" or both.`,
    );
  return options;
}

/** Name of the one-hot weight (C, H) of a condition key in a first layer. */
export function oneHotName(layer: string, key: number): string {
  return `${layer}.cond_L.${key}.weight`;
}

/** Index of the condition key if the rows of a parameter are its conditions; else null. */
export function conditionKeyOf(name: string): number | null {
  const key = /^embeddings\.(\d+)\.|\.cond_L\.(\d+)\./.exec(name);
  return key ? Number(key[1] ?? key[2]) : null;
}

/** Whether a likelihood has inverse dispersions. */
export function hasTheta(reconLoss: ReconLoss): boolean {
  return reconLoss === "nb" || reconLoss === "zinb";
}

/**
 * All parameters, in the order of the network. Names are those of scArches, except for one-hot weights, which
 * it does not have.
 */
export function parameterShapes(
  {
    hiddenLayerSizes,
    latentDim: D,
    conditionEncoding,
    embeddingDims,
    injectCondition,
    reconLoss,
  }: ModelOptions,
  sizes: ModelSizes,
): ParameterShape[] {
  const E = embeddingDims.reduce((sum, width) => sum + width, 0);
  const down = hiddenLayerSizes;
  const up = [...hiddenLayerSizes].reverse();
  const [first, last] = [down[0]!, up[0]!];
  const shapes: ParameterShape[] = embeddingDims.map((width, key) => ({
    name: `embeddings.${key}.weight`,
    shape: [sizes.conditions[key]!, width],
    role: "embedding",
  }));
  const add = (role: Role, name: string, ...shape: number[]): void => void shapes.push({ name, shape, role });
  const addCondition = (layer: string, width: number): void => {
    if (conditionEncoding === "embedding") add("linear", `${layer}.cond_L.weight`, width, E);
    else sizes.conditions.forEach((C, key) => add("one-hot", oneHotName(layer, key), C, width));
  };

  add("sparse", "encoder.FC.L0.expr_L.weight", first, sizes.genes);
  add("bias", "encoder.FC.L0.expr_L.bias", first);
  if (injectCondition.includes("encoder")) addCondition("encoder.FC.L0", first);
  for (let i = 1; i < down.length; i++) {
    add("linear", `encoder.FC.L${i}.weight`, down[i]!, down[i - 1]!);
    add("bias", `encoder.FC.L${i}.bias`, down[i]!);
  }
  for (const head of ["mean_encoder", "log_var_encoder"]) {
    add("linear", `encoder.${head}.weight`, D, last);
    add("bias", `encoder.${head}.bias`, D);
  }
  add("linear", "decoder.FirstL.L0.expr_L.weight", last, D);
  if (injectCondition.includes("decoder")) addCondition("decoder.FirstL.L0", last);
  for (let i = 1; i < up.length; i++) add("linear", `decoder.HiddenL.L${i}.weight`, up[i]!, up[i - 1]!);
  for (const name of outputLayers[reconLoss]) {
    add("output", `decoder.${name}.weight`, sizes.genes, first);
    add("bias", `decoder.${name}.bias`, sizes.genes);
  }
  if (hasTheta(reconLoss)) add("theta", "theta", sizes.genes, sizes.combinations);
  return shapes;
}

/** The decoder's last layers, by likelihood. */
const outputLayers: Readonly<Record<ReconLoss, readonly string[]>> = {
  nb: ["mean_decoder.0"],
  zinb: ["mean_decoder.0", "dropout_decoder"],
  poisson: ["recon_decoder.0"],
  "reference-poisson": ["recon_decoder.0"],
  mse: ["recon_decoder.0"],
};

/** Number of parameters for the conditions, with either encoding. */
export interface ConditionParameters {
  /** E N + E H: with embeddings of width E (sum over keys; default widths if the model has none) */
  readonly embedding: number;
  /** N H: one-hot */
  readonly one_hot: number;
  /** E */
  readonly embedding_width: number;
  /**
   * N H / (N + H), with one key: embeddings narrower than this need fewer parameters. N: number of
   * conditions, H: width of the first layers that get them
   */
  readonly widest_embedding: number;
}

/** Source: De Donno et al. 2023, Methods ("Scalability analysis"). */
export function conditionParameters(
  options: ModelOptions,
  { conditions }: Pick<ModelSizes, "conditions">,
): ConditionParameters {
  const { hiddenLayerSizes, injectCondition } = options;
  const dims =
    options.conditionEncoding === "embedding"
      ? options.embeddingDims
      : conditions.map(() => defaults.embeddingDims);
  const E = dims.reduce((sum, width) => sum + width, 0);
  const N = conditions.reduce((sum, count) => sum + count, 0);
  // the decoder has the hidden layers in reverse
  const H =
    (injectCondition.includes("encoder") ? hiddenLayerSizes[0]! : 0) +
    (injectCondition.includes("decoder") ? hiddenLayerSizes.at(-1)! : 0);
  const tables = conditions.reduce((sum, count, key) => sum + count * dims[key]!, 0);
  return {
    embedding: tables + E * H,
    one_hot: N * H,
    embedding_width: E,
    widest_embedding: (N * H) / (N + H),
  };
}

/** L2 weight decay of a parameter: none for embeddings. */
function decayOf(role: Role, weightDecay: number): number {
  return role === "embedding" ? 0 : weightDecay;
}

/**
 * Initial values: linear layers uniform within 1 / sqrt(fan-in), theta and embeddings standard normal (as in
 * PyTorch and scArches).
 */
export function initialValues(
  { name, shape, role }: ParameterShape,
  all: readonly ParameterShape[],
  seed: number,
): Float32Array {
  const random = new Random(seed, `parameter ${name}`);
  const values = new Float32Array(shape.reduce((product, n) => product * n, 1));
  if (role === "embedding" || role === "theta") return values.map(() => random.normal());
  const weight =
    role === "bias" ? all.find((other) => other.name === name.replace(/bias$/, "weight"))! : { shape };
  // the inputs of a one-hot weight are the conditions of all keys
  const sameLayer = name.replace(/\d+\.weight$/, "");
  const fanIn =
    role === "one-hot"
      ? all.reduce((sum, other) => sum + (other.name.startsWith(sameLayer) ? other.shape[0]! : 0), 0)
      : weight.shape[1]!;
  const bound = 1 / Math.sqrt(fanIn);
  return values.map(() => (2 * random.uniform() - 1) * bound);
}

/** Options to create a parameter in an engine. */
export function engineOptions(
  shape: ParameterShape,
  weightDecay: number,
  trainableFrom: number,
): ParameterOptions {
  return { ...shape, weightDecay: decayOf(shape.role, weightDecay), trainableFrom };
}
