// Every tensor of the model: its name and shape as in scArches' `model_params.pt`, what it is for, and its value at the start.
import { checkNumber, checkWhole, defaults, type ModelOptions } from "./config.js";
import type { ParameterOptions, Role } from "./engine/engine.js";
import { ScPoliError } from "./errors.js";
import { Random } from "./random.js";

/** Sizes that the data give. */
export interface ModelSizes {
  /** G */
  readonly genes: number;
  /** C of each condition key */
  readonly conditions: readonly number[];
  /** combinations of conditions: columns of theta */
  readonly combinations: number;
}

export interface ParameterShape {
  readonly name: string;
  readonly shape: readonly number[];
  readonly role: Role;
}

/** Completes and checks model options. @throws ScPoliError "usage" for a value out of range */
export function modelOptions(given: Partial<ModelOptions>, genes: number, keys: number): ModelOptions {
  const options: ModelOptions = {
    hiddenLayerSizes: given.hiddenLayerSizes?.length ? given.hiddenLayerSizes : [Math.max(defaults.leastHiddenWidth, Math.ceil(Math.sqrt(genes)))],
    latentDim: given.latentDim ?? defaults.latentDim,
    embeddingDims: given.embeddingDims ?? Array.from({ length: keys }, () => defaults.embeddingDims),
    injectCondition: given.injectCondition ?? defaults.injectCondition,
    reconLoss: given.reconLoss ?? defaults.reconLoss,
    dropout: given.dropout ?? defaults.dropout,
  };
  options.hiddenLayerSizes.forEach((width) => checkWhole("hiddenLayerSizes", width, 1, 4096));
  options.embeddingDims.forEach((width) => checkWhole("embeddingDims", width, 1, 1024));
  checkWhole("latentDim", options.latentDim, 1, 1024);
  checkNumber("dropout", options.dropout, 0, 0.99);
  if (options.embeddingDims.length !== keys)
    throw new ScPoliError("usage", `embeddingDims has ${options.embeddingDims.length} widths for ${keys} condition keys; give one width, or one per key.`);
  if (!options.injectCondition.length || options.injectCondition.some((place) => place !== "encoder" && place !== "decoder"))
    throw new ScPoliError("usage", `injectCondition is [${options.injectCondition.join(", ")}]; expected "encoder", "decoder" or both.`);
  if (options.reconLoss !== "nb") throw new ScPoliError("usage", `reconLoss is "${String(options.reconLoss)}"; expected "nb".`);
  return options;
}

/** All parameters, in the order of the network. */
export function parameterShapes({ hiddenLayerSizes, latentDim: D, embeddingDims, injectCondition }: ModelOptions, sizes: ModelSizes): ParameterShape[] {
  const E = embeddingDims.reduce((sum, width) => sum + width, 0);
  const down = hiddenLayerSizes;
  const up = [...hiddenLayerSizes].reverse();
  const [first, last] = [down[0]!, up[0]!];
  const shapes: ParameterShape[] = embeddingDims.map((width, key) => ({
    name: `embeddings.${key}.weight`, shape: [sizes.conditions[key]!, width], role: "embedding",
  }));
  const add = (role: Role, name: string, ...shape: number[]): void => void shapes.push({ name, shape, role });

  add("sparse", "encoder.FC.L0.expr_L.weight", first, sizes.genes);
  add("bias", "encoder.FC.L0.expr_L.bias", first);
  if (injectCondition.includes("encoder")) add("linear", "encoder.FC.L0.cond_L.weight", first, E);
  for (let i = 1; i < down.length; i++) {
    add("linear", `encoder.FC.L${i}.weight`, down[i]!, down[i - 1]!);
    add("bias", `encoder.FC.L${i}.bias`, down[i]!);
  }
  for (const head of ["mean_encoder", "log_var_encoder"]) {
    add("linear", `encoder.${head}.weight`, D, last);
    add("bias", `encoder.${head}.bias`, D);
  }
  add("linear", "decoder.FirstL.L0.expr_L.weight", last, D);
  if (injectCondition.includes("decoder")) add("linear", "decoder.FirstL.L0.cond_L.weight", last, E);
  for (let i = 1; i < up.length; i++) add("linear", `decoder.HiddenL.L${i}.weight`, up[i]!, up[i - 1]!);
  add("output", "decoder.mean_decoder.0.weight", sizes.genes, first);
  add("bias", "decoder.mean_decoder.0.bias", sizes.genes);
  add("theta", "theta", sizes.genes, sizes.combinations);
  return shapes;
}

/** L2 weight decay of a parameter: none for embeddings (design.md). */
export function decayOf(role: Role, weightDecay: number): number {
  return role === "embedding" ? 0 : weightDecay;
}

/** Values at the start: linear layers uniform within 1 / sqrt(fan-in), theta and embeddings standard normal (PyTorch's and scArches' own start). */
export function initialValues({ name, shape, role }: ParameterShape, all: readonly ParameterShape[], seed: number): Float32Array {
  const random = new Random(seed, `parameter ${name}`);
  const values = new Float32Array(shape.reduce((product, n) => product * n, 1));
  if (role === "embedding" || role === "theta") return values.map(() => random.normal());
  const weight = role === "bias" ? all.find((other) => other.name === name.replace(/bias$/, "weight"))! : { shape };
  const bound = 1 / Math.sqrt(weight.shape[1]!);
  return values.map(() => (2 * random.uniform() - 1) * bound);
}

/** A parameter as the engine wants it. */
export function engineOptions(shape: ParameterShape, weightDecay: number, trainableFrom: number): ParameterOptions {
  return { ...shape, weightDecay: decayOf(shape.role, weightDecay), trainableFrom };
}
