// The network of scPoli, written once for every engine: encoder, decoder, and the backward pass in reverse
// order of the forward pass. Source: De Donno et al. 2023, Methods ("scPoli"); layers as in scArches' Encoder
// and Decoder. Shapes: cond (B, E), hidden (B, H), mean, logVar, noise, z (B, D); the gradient of w is dw.
import type { ModelOptions } from "../contract/options.js";
import type {
  Activation,
  Engine,
  Operations,
  OutputLayer,
  Parameter,
  Program,
  CountTransform,
} from "../engine/engine.js";
import { conditionKeyOf, engineOptions, oneHotName, parameterShapes, type ModelSizes } from "./parameters.js";

export interface NetworkOptions {
  readonly weightDecay: number;
  /**
   * Reference mapping: number of conditions per key, and of combinations, that belong to the reference. These
   * and all weights are frozen; only later rows and columns are trained. Missing: everything is trained.
   */
  readonly frozen?: { readonly conditions: readonly number[]; readonly combinations: number };
}

/** Options of the training program. */
export interface TrainingOptions {
  readonly dropout: number;
  /** p of the prototypes' Minkowski distance */
  readonly prototypeNorm: number;
  /** false: use the values written to `noise` */
  readonly sampleNoise?: boolean;
}

/**
 * Outputs of the decoder, written by programs that decode.
 */
export interface Decoded {
  /** (B, G) softmax over the genes; for mse the reconstruction */
  readonly mean: Activation;
  /** (B, G) zinb: logits of the excess zeros (zero inflation) */
  readonly dropout?: Activation;
}

interface Layer {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  /** before and after layer norm, ReLU and dropout */
  readonly linear: Activation;
  readonly output: Activation;
}

/** First layers, and their part of the network. */
const places = { "encoder.FC.L0": "encoder", "decoder.FirstL.L0": "decoder" } as const;
type Place = keyof typeof places;

export class Network {
  /** by the names of the published code */
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly mean: Activation;
  readonly logVar: Activation;
  readonly noise: Activation;
  readonly z: Activation;

  readonly #tables: readonly Parameter[];
  readonly #cond: Activation;
  /** transformation of the counts for the encoder */
  readonly #inputCounts: CountTransform;
  readonly #encoder: readonly Layer[];
  readonly #decoder: readonly Layer[];

  constructor(
    readonly engine: Engine,
    readonly options: ModelOptions,
    readonly sizes: ModelSizes,
    { weightDecay, frozen }: NetworkOptions,
  ) {
    const first = (name: string): number => {
      if (!frozen) return 0;
      if (name === "theta") return frozen.combinations;
      const key = conditionKeyOf(name);
      return key === null ? Infinity : frozen.conditions[key]!;
    };
    this.parameters = new Map(
      parameterShapes(options, sizes).map((shape) => [
        shape.name,
        // new columns of theta start from the mean of the reference's and are trained without decay
        engine.createParameter(engineOptions(shape, frozen ? 0 : weightDecay, first(shape.name))),
      ]),
    );
    this.#inputCounts = options.reconLoss === "mse" ? "values" : "log1p";
    const D = options.latentDim;
    const down = options.hiddenLayerSizes;
    const up = [...down].reverse();
    const layer = (width: number, name: string): Layer => ({
      weight: this.#parameter(`${name}weight`),
      bias: this.parameters.get(`${name}bias`) ?? null,
      linear: engine.createActivation(width),
      output: engine.createActivation(width),
    });
    this.#tables = options.embeddingDims.map((_, key) => this.#parameter(`embeddings.${key}.weight`));
    this.#cond = engine.createActivation(options.embeddingDims.reduce((sum, width) => sum + width, 0));
    this.#encoder = down.map((width, i) =>
      layer(width, i === 0 ? "encoder.FC.L0.expr_L." : `encoder.FC.L${i}.`),
    );
    this.#decoder = up.map((width, i) =>
      layer(width, i === 0 ? "decoder.FirstL.L0.expr_L." : `decoder.HiddenL.L${i}.`),
    );
    this.mean = engine.createActivation(D);
    this.logVar = engine.createActivation(D);
    this.noise = engine.createActivation(D);
    this.z = engine.createActivation(D);
  }

  /** Forward, backward and one step of Adam. */
  training(
    { dropout, prototypeNorm, sampleNoise = true }: TrainingOptions,
    decoded: Decoded | null = null,
  ): Program {
    const { engine } = this;
    const dcond = engine.createActivation(this.#cond.columns);
    const dz = engine.createActivation(this.z.columns);
    const dmean = engine.createActivation(this.z.columns);
    const dlogVar = engine.createActivation(this.z.columns);
    const dhidden = new Map(
      [...this.#encoder, ...this.#decoder].map((layer) => [
        layer,
        engine.createActivation(layer.output.columns),
      ]),
    );
    const d = (layer: Layer): Activation => dhidden.get(layer)!;

    return engine.record((ops) => {
      this.#encode(ops, dropout);
      this.#sample(ops, sampleNoise);
      ops.prototypeLoss(this.z, prototypeNorm);
      ops.prototypeCrossEntropy(this.z);
      this.#decode(ops, dropout, true, decoded);

      const encoder = this.#encoder;
      const decoder = this.#decoder;
      const [lastEncoder, lastDecoder] = [encoder[encoder.length - 1]!, decoder[decoder.length - 1]!];
      this.#reconstructBackward(ops, lastDecoder.output, d(lastDecoder));
      for (let i = decoder.length - 1; i >= 0; i--) {
        const layer = decoder[i]!;
        ops.normalizeBackward(d(layer), layer.linear, dropout, encoder.length + i, d(layer));
        const [x, dx] = i === 0 ? [this.z, dz] : [decoder[i - 1]!.output, d(decoder[i - 1]!)];
        ops.linearBackward(d(layer), x, layer.weight, layer.bias, false, dx);
      }
      const decoderCond = this.#conditionBackward(ops, "decoder.FirstL.L0", d(decoder[0]!), dcond, false);

      ops.prototypeLossBackward(this.z, prototypeNorm, dz);
      ops.prototypeCrossEntropyBackward(this.z, dz);
      ops.reparameterizeBackward(dz, this.mean, this.logVar, this.noise, dmean, dlogVar);
      ops.linearBackward(dmean, lastEncoder.output, ...this.#head("mean_encoder"), false, d(lastEncoder));
      ops.linearBackward(dlogVar, lastEncoder.output, ...this.#head("log_var_encoder"), true, d(lastEncoder));
      for (let i = encoder.length - 1; i >= 0; i--) {
        const layer = encoder[i]!;
        ops.normalizeBackward(d(layer), layer.linear, dropout, i, d(layer));
        if (i > 0)
          ops.linearBackward(
            d(layer),
            encoder[i - 1]!.output,
            layer.weight,
            layer.bias,
            false,
            d(encoder[i - 1]!),
          );
        else ops.sparseLinearBackward(d(layer), layer.weight, layer.bias!, this.#inputCounts);
      }
      this.#conditionBackward(ops, "encoder.FC.L0", d(encoder[0]!), dcond, decoderCond);
      if (this.#tables.length > 0) ops.lookUpBackward(dcond, this.#tables);
      ops.update();
    });
  }

  /** All losses without a gradient; z sampled as in training, no dropout. */
  validation(prototypeNorm: number): Program {
    return this.engine.record((ops) => {
      this.#encode(ops, 0);
      this.#sample(ops, true);
      ops.prototypeLoss(this.z, prototypeNorm);
      ops.prototypeCrossEntropy(this.z);
      this.#decode(ops, 0, false, null);
    });
  }

  /** The likelihood of the mean latent, per cell: how well a condition's embedding explains cells. */
  likelihood(): Program {
    return this.engine.record((ops) => {
      this.#encode(ops, 0);
      ops.reparameterize(this.mean, this.logVar, this.noise, this.z);
      this.#decode(ops, 0, false, null);
    });
  }

  /** `mean` and `logVar` (B, D): the posterior of the cells. */
  posterior(): Program {
    return this.engine.record((ops) => this.#encode(ops, 0));
  }

  /**
   * Decodes the values written to `z` at the conditions of the minibatch. Counts do not affect the result,
   * but their likelihood is also computed.
   */
  decoding(decoded: Decoded): Program {
    return this.engine.record((ops) => {
      if (this.#tables.length > 0) ops.lookUp(this.#tables, this.#cond);
      this.#decode(ops, 0, false, decoded);
    });
  }

  /**
   * `mean` (B, D) of the cells: the latent space.
   * @param addOperations - adds further operations to the program
   */
  encoding(addOperations?: (operations: Operations) => void): Program {
    return this.engine.record((ops) => {
      this.#encodeMean(ops, 0);
      addOperations?.(ops);
    });
  }

  /** Reads every parameter, in the published shapes. */
  read(): Map<string, Float32Array> {
    return new Map(
      [...this.parameters].map(([name, parameter]) => [name, Float32Array.from(this.engine.read(parameter))]),
    );
  }

  write(values: ReadonlyMap<string, ArrayLike<number>>): void {
    for (const [name, parameter] of this.parameters) this.engine.write(parameter, values.get(name)!);
  }

  #encodeMean(ops: Operations, dropout: number): void {
    if (this.#tables.length > 0) ops.lookUp(this.#tables, this.#cond);
    this.#encoder.forEach((layer, i) => {
      if (i > 0) ops.linear(this.#encoder[i - 1]!.output, layer.weight, layer.bias, false, layer.linear);
      else {
        ops.sparseLinear(layer.weight, layer.bias!, this.#inputCounts, layer.linear);
        this.#addCondition(ops, "encoder.FC.L0", layer.linear);
      }
      ops.normalize(layer.linear, dropout, i, layer.output);
    });
    const last = this.#encoder[this.#encoder.length - 1]!;
    ops.linear(last.output, ...this.#head("mean_encoder"), false, this.mean);
  }

  #encode(ops: Operations, dropout: number): void {
    this.#encodeMean(ops, dropout);
    ops.linear(
      this.#encoder[this.#encoder.length - 1]!.output,
      ...this.#head("log_var_encoder"),
      false,
      this.logVar,
    );
  }

  #sample(ops: Operations, sampleNoise: boolean): void {
    if (sampleNoise) ops.sampleNoise(this.noise);
    ops.reparameterize(this.mean, this.logVar, this.noise, this.z);
  }

  #decode(ops: Operations, dropout: number, backward: boolean, decoded: Decoded | null): void {
    this.#decoder.forEach((layer, i) => {
      ops.linear(
        i === 0 ? this.z : this.#decoder[i - 1]!.output,
        layer.weight,
        layer.bias,
        false,
        layer.linear,
      );
      if (i === 0) this.#addCondition(ops, "decoder.FirstL.L0", layer.linear);
      ops.normalize(layer.linear, dropout, this.#encoder.length + i, layer.output);
    });
    const { output: h } = this.#decoder[this.#decoder.length - 1]!;
    if (decoded?.dropout) {
      const { weight, bias } = this.#output("dropout_decoder");
      ops.linear(h, weight, bias, false, decoded.dropout);
    }
    this.#reconstruct(ops, h, backward, decoded?.mean ?? null);
  }

  #reconstruct(ops: Operations, h: Activation, backward: boolean, decoded: Activation | null): void {
    switch (this.options.reconLoss) {
      case "nb": {
        const { weight, bias } = this.#output("mean_decoder.0");
        return ops.negativeBinomial(h, weight, bias, this.#parameter("theta"), backward, decoded);
      }
      case "zinb":
        return ops.zeroInflated(
          h,
          this.#output("mean_decoder.0"),
          this.#output("dropout_decoder"),
          this.#parameter("theta"),
          backward,
          decoded,
        );
      case "poisson":
      case "reference-poisson":
        return ops.poisson(
          h,
          this.#output("recon_decoder.0"),
          this.options.reconLoss === "poisson",
          backward,
          decoded,
        );
      case "mse":
        return ops.squaredError(h, this.#output("recon_decoder.0"), backward, decoded);
    }
  }

  #reconstructBackward(ops: Operations, h: Activation, dh: Activation): void {
    switch (this.options.reconLoss) {
      case "nb": {
        const { weight, bias } = this.#output("mean_decoder.0");
        return ops.negativeBinomialBackward(h, weight, bias, this.#parameter("theta"), dh);
      }
      case "zinb":
        return ops.zeroInflatedBackward(
          h,
          this.#output("mean_decoder.0"),
          this.#output("dropout_decoder"),
          this.#parameter("theta"),
          dh,
        );
      case "poisson":
      case "reference-poisson":
        return ops.poissonBackward(h, this.#output("recon_decoder.0"), dh);
      case "mse":
        return ops.squaredErrorBackward(h, this.#output("recon_decoder.0"), dh);
    }
  }

  /** Adds the contribution of the conditions to a first layer, if it gets them. */
  #addCondition(ops: Operations, place: Place, out: Activation): void {
    if (!this.options.injectCondition.includes(places[place])) return;
    if (this.options.conditionEncoding === "one-hot") ops.addRows(this.#oneHot(place), out);
    else ops.linear(this.#cond, this.#parameter(`${place}.cond_L.weight`), null, true, out);
  }

  /** @returns whether `dcond` has a gradient now */
  #conditionBackward(
    ops: Operations,
    place: Place,
    dout: Activation,
    dcond: Activation,
    add: boolean,
  ): boolean {
    if (!this.options.injectCondition.includes(places[place])) return add;
    if (this.options.conditionEncoding === "one-hot") ops.addRowsBackward(dout, this.#oneHot(place));
    else ops.linearBackward(dout, this.#cond, this.#parameter(`${place}.cond_L.weight`), null, add, dcond);
    return true;
  }

  #parameter(name: string): Parameter {
    return this.parameters.get(name)!;
  }
  #head(name: string): [Parameter, Parameter] {
    return [this.#parameter(`encoder.${name}.weight`), this.#parameter(`encoder.${name}.bias`)];
  }
  #output(name: string): OutputLayer {
    return {
      weight: this.#parameter(`decoder.${name}.weight`),
      bias: this.#parameter(`decoder.${name}.bias`),
    };
  }
  /** One-hot weights of the condition keys in a first layer. */
  #oneHot(place: Place): Parameter[] {
    return this.sizes.conditions.map((_, key) => this.#parameter(oneHotName(place, key)));
  }
}
