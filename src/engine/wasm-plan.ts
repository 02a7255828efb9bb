// Compiles recorded operations to a plan in the kernels' memory: regions of operations that all threads run,
// with a barrier after each (kernels/threads.ts).
//
// Forward and backward passes of activations are independent per cell and form one region over blocks of
// rows;
// sums over cells (parameter gradients, with Adam) become tasks of the next region; preparations of look-ups
// (scaled rows, exp of theta) come before. If an operation overwrites an activation that tasks still need, a
// new region starts there.
import { ScPoliError } from "../contract/errors.js";
import {
  movesUsedOnly,
  type Activation,
  type Operations,
  type OutputLayer,
  type Parameter,
  type CountTransform,
} from "./engine.js";
import { padded } from "../kernel-modules/memory.js";
import { logitsStride } from "./wasm-layout.js";
import { LinearLayers, type ActivationPlace, type Places } from "./wasm-linear.js";
import { bits, Regions, type Code, type RecordedOperation } from "./wasm-regions.js";
import type { ThetaUse } from "./wasm-run.js";

/** In the order of their codes in kernels/sparse-linear.ts. */
const countTransforms: readonly CountTransform[] = ["values", "log1p", "log-normalized"];

/**
 * A task of the sparse weight gradient has 2^shift genes, between 8 and 64, so that their weights take 16
 * KiB.
 */
const sparseTileShift = (rowBytes: number): number =>
  Math.max(3, Math.min(6, Math.floor(Math.log2(16384 / rowBytes))));
/**
 * Number of genes whose first-layer weights stay in the L2 cache for a block of cells: 128 KiB.
 */
const cachedGenes = (rowBytes: number): number => Math.max(64, Math.floor(131072 / rowBytes));

export interface Plan {
  readonly pointer: number;
  /** scratch memory that each thread needs */
  readonly scratchBytes: number;
  readonly theta: ThetaUse | null;
  readonly has: Readonly<Record<"reconstruction" | "kl" | "prototype" | "crossEntropy", boolean>>;
  /** key and rows of the embedding tables */
  readonly lookUps: readonly { readonly key: number; readonly rows: number }[];
  readonly operations: readonly RecordedOperation[];
}

/** @param build - records the operations of a program */
export function recordPlan(places: Places, build: (operations: Operations) => void): Plan {
  const recorder = new Recorder(places);
  build(recorder);
  return recorder.finish();
}

class Recorder implements Operations {
  readonly #places: Places;
  readonly #regions: Regions;
  readonly #linears: LinearLayers;
  readonly #normalized = new Map<number, Activation>();
  readonly #lookUps: { key: number; rows: number }[] = [];
  readonly #has = { reconstruction: false, kl: false, prototype: false, crossEntropy: false };
  #theta: ThetaUse | null = null;
  #keepsLogits = false;
  #updates = false;

  constructor(places: Places) {
    this.#places = places;
    this.#regions = new Regions(places);
    this.#linears = new LinearLayers(places, this.#regions);
  }

  lookUp(tables: readonly Parameter[], out: Activation): void {
    this.#linears.writes(out);
    let column = 0;
    tables.forEach((table, key) => {
      const [rows, width] = [table.shape[0]!, table.shape[1]!];
      const { pointer, stride } = this.#places.activation(out);
      const { value, layout } = this.#regions.reads(table);
      const conditions = this.#places.conditions(key);
      if (table.trainableFrom < rows)
        this.#regions.first(
          this.#regions.task("renormalize", 1, [
            value,
            4 * layout.row,
            width,
            conditions,
            table.trainableFrom,
          ]),
        );
      this.#regions.row("lookUp", [
        value,
        4 * layout.row,
        width,
        conditions,
        pointer + 4 * column,
        stride,
        0,
      ]);
      this.#lookUps.push({ key, rows });
      column += width;
    });
  }

  lookUpBackward(dout: Activation, tables: readonly Parameter[]): void {
    let column = 0;
    tables.forEach((table, key) => {
      this.#lookUpUpdate(dout, column, table, key);
      column += table.shape[1]!;
    });
  }

  addRows(tables: readonly Parameter[], out: Activation): void {
    this.#linears.writes(out);
    const { pointer, stride } = this.#places.activation(out);
    tables.forEach((table, key) => {
      const { value, layout } = this.#regions.reads(table);
      this.#regions.row("lookUp", [
        value,
        4 * layout.row,
        out.columns,
        this.#places.conditions(key),
        pointer,
        stride,
        1,
      ]);
      this.#lookUps.push({ key, rows: table.shape[0]! });
    });
  }

  addRowsBackward(dout: Activation, tables: readonly Parameter[]): void {
    tables.forEach((table, key) => this.#lookUpUpdate(dout, 0, table, key));
  }

  sparseLinear(weight: Parameter, bias: Parameter, transform: CountTransform, out: Activation): void {
    this.#linears.writes(out);
    const { pointer, stride } = this.#places.activation(out);
    this.#regions.row(
      "sparseForward",
      [
        this.#regions.reads(weight).value,
        this.#regions.reads(bias).value,
        stride,
        countTransforms.indexOf(transform),
        pointer,
        this.#places.genes,
        cachedGenes(stride),
      ],
      weight,
    );
    this.#regions.needScratch(4 * this.#places.blockRows);
  }

  sparseLinearBackward(dout: Activation, weight: Parameter, bias: Parameter): void {
    const { pointer, stride } = this.#places.activation(dout);
    const { memory, minibatchSize, genes } = this.#places;
    const weightTarget = this.#regions.target(weight);
    if (weightTarget !== null) {
      const shift = sparseTileShift(stride);
      const tiles = Math.ceil(genes / 2 ** shift);
      const startsStride = 4 * minibatchSize;
      const panelBytes = 64 * minibatchSize;
      const starts = memory.allocate((tiles + 1) * startsStride);
      const panels = memory.allocate(Math.ceil(stride / 64) * panelBytes);
      this.#regions.row("sortTiles", [
        tiles,
        shift,
        starts,
        startsStride,
        pointer,
        stride,
        panels,
        panelBytes,
      ]);
      this.#regions.needScratch(2 ** shift * (4 + stride + 8 * minibatchSize));
      this.#regions.later(
        this.#regions.task(
          "sparseUpdate",
          tiles,
          [genes, shift, starts, startsStride, panels, panelBytes, stride, weightTarget],
          weight,
        ),
        null,
      );
    }
    this.#biasAlone(dout, this.#regions.target(bias));
  }

  linear(x: Activation, weight: Parameter, bias: Parameter | null, add: boolean, out: Activation): void {
    this.#linears.writes(out);
    this.#linears.forward(x, weight, bias, add, this.#places.activation(out), false);
  }

  linearBackward(
    dout: Activation,
    x: Activation,
    weight: Parameter,
    bias: Parameter | null,
    add: boolean,
    dx: Activation | null,
  ): void {
    this.#linears.backward(this.#places.activation(dout), dout, x, weight, bias, add, dx);
  }

  normalize(x: Activation, dropout: number, layer: number, out: Activation): void {
    this.#linears.writes(out);
    this.#normalized.set(x.id, out);
    this.#normalize("normalizeForward", x, out, dropout, layer, null);
  }

  normalizeBackward(dout: Activation, x: Activation, dropout: number, layer: number, dx: Activation): void {
    const out = this.#normalized.get(x.id);
    if (!out)
      throw new ScPoliError(
        "usage",
        "normalizeBackward is recorded without normalize of the same activation before it.",
      );
    this.#linears.writes(dx);
    this.#normalize("normalizeBackward", x, out, dropout, layer, [dout, dx]);
  }

  sampleNoise(noise: Activation): void {
    this.#linears.writes(noise);
    const { pointer, stride } = this.#places.activation(noise);
    this.#regions.row("sampleNoise", [pointer, stride, noise.columns]);
  }

  reparameterize(mean: Activation, logVar: Activation, noise: Activation, z: Activation): void {
    this.#linears.writes(z);
    this.#has.kl = true;
    this.#regions.row("reparameterizeForward", [
      ...this.#latent(mean, logVar, noise),
      this.#pointer(z),
      0,
      0,
    ]);
  }

  reparameterizeBackward(
    dz: Activation,
    mean: Activation,
    logVar: Activation,
    noise: Activation,
    dmean: Activation,
    dlogVar: Activation,
  ): void {
    this.#linears.writes(dmean);
    this.#linears.writes(dlogVar);
    const record = [
      ...this.#latent(mean, logVar, noise),
      this.#pointer(dz),
      this.#pointer(dmean),
      this.#pointer(dlogVar),
    ];
    this.#regions.row("reparameterizeBackward", record);
  }

  negativeBinomial(
    h: Activation,
    weight: Parameter,
    bias: Parameter,
    theta: Parameter,
    backward: boolean,
    probabilities: Activation | null,
  ): void {
    const thetaStride = this.#useTheta(theta);
    const logits = this.#decode(h, { weight, bias }, backward);
    this.#regions.needScratch(this.#linears.work + 5 * thetaStride + 256);
    const { pointer, stride } = this.#decoded(probabilities);
    this.#regions.row("negativeBinomial", [
      logits.pointer,
      logits.stride,
      this.#places.genes,
      thetaStride,
      Number(backward),
      pointer,
      stride,
      this.#linears.work,
    ]);
  }

  negativeBinomialBackward(
    h: Activation,
    weight: Parameter,
    bias: Parameter,
    theta: Parameter,
    dh: Activation,
  ): void {
    this.#decodeBackward(h, { weight, bias }, dh);
    this.#thetaBackward(theta);
  }

  zeroInflated(
    h: Activation,
    mean: OutputLayer,
    dropout: OutputLayer,
    theta: Parameter,
    backward: boolean,
    probabilities: Activation | null,
  ): void {
    const thetaStride = this.#useTheta(theta);
    const logits = this.#decode(h, mean, backward);
    const second = this.#places.logits(true);
    this.#linears.forward(h, dropout.weight, dropout.bias, false, second, true);
    this.#regions.needScratch(this.#linears.work + 6 * thetaStride + 3072);
    const { pointer, stride } = this.#decoded(probabilities);
    const record = [
      logits.pointer,
      second.pointer,
      logits.stride,
      this.#places.genes,
      thetaStride,
      Number(backward),
      pointer,
      stride,
      this.#linears.work,
    ];
    this.#regions.row("zeroInflated", record);
  }

  zeroInflatedBackward(
    h: Activation,
    mean: OutputLayer,
    dropout: OutputLayer,
    theta: Parameter,
    dh: Activation,
  ): void {
    this.#decodeBackward(h, mean, dh);
    this.#linears.backward(this.#places.logits(true), null, h, dropout.weight, dropout.bias, true, dh);
    this.#thetaBackward(theta);
  }

  poisson(
    h: Activation,
    layer: OutputLayer,
    scaled: boolean,
    backward: boolean,
    probabilities: Activation | null,
  ): void {
    const logits = this.#decode(h, layer, backward);
    this.#regions.needScratch(this.#linears.work + 256);
    const { pointer, stride } = this.#decoded(probabilities);
    this.#regions.row("poisson", [
      logits.pointer,
      logits.stride,
      this.#places.genes,
      Number(scaled),
      Number(backward),
      pointer,
      stride,
      this.#linears.work,
    ]);
  }

  poissonBackward(h: Activation, layer: OutputLayer, dh: Activation): void {
    this.#decodeBackward(h, layer, dh);
  }

  squaredError(h: Activation, layer: OutputLayer, backward: boolean, decoded: Activation | null): void {
    const logits = this.#decode(h, layer, backward);
    const { pointer, stride } = this.#decoded(decoded);
    this.#regions.row("squaredError", [
      logits.pointer,
      logits.stride,
      this.#places.genes,
      Number(backward),
      pointer,
      stride,
    ]);
  }

  squaredErrorBackward(h: Activation, layer: OutputLayer, dh: Activation): void {
    this.#decodeBackward(h, layer, dh);
  }

  prototypeLoss(z: Activation, p: number): void {
    this.#has.prototype = true;
    this.#regions.row("prototypeForward", [...this.#prototype(z, p), 0]);
  }

  prototypeLossBackward(z: Activation, p: number, dz: Activation): void {
    this.#linears.writes(dz);
    this.#regions.row("prototypeBackward", [...this.#prototype(z, p), this.#pointer(dz)]);
  }

  prototypeCrossEntropy(z: Activation): void {
    this.#has.crossEntropy = true;
    this.#regions.row("crossEntropyForward", [...this.#crossEntropy(z), 0]);
  }

  prototypeCrossEntropyBackward(z: Activation, dz: Activation): void {
    this.#linears.writes(dz);
    this.#regions.row("crossEntropyBackward", [...this.#crossEntropy(z), this.#pointer(dz)]);
  }

  update(): void {
    this.#updates = true;
  }

  finish(): Plan {
    const isKept = this.#updates || this.#places.keepGradients;
    return {
      ...this.#regions.finish(this.#updates, isKept),
      scratchBytes: this.#regions.scratchBytes,
      theta: this.#theta && (isKept ? this.#theta : { ...this.#theta, trainableFrom: Infinity }),
      has: this.#has,
      lookUps: this.#lookUps,
    };
  }

  /** @param column - first column of `dout` for this table */
  #lookUpUpdate(dout: Activation, column: number, table: Parameter, key: number): void {
    const target = this.#regions.target(table);
    if (target === null) return;
    const [rows, width] = [table.shape[0]!, table.shape[1]!];
    const { pointer, stride } = this.#places.activation(dout);
    const { layout } = this.#places.parameter(table);
    const sums = this.#places.memory.allocate(4 * layout.size);
    const record = [
      4 * layout.row,
      width,
      this.#places.conditions(key),
      pointer + 4 * column,
      stride,
      rows,
      table.trainableFrom,
      sums,
      target,
    ];
    this.#regions.later(this.#regions.task("lookUpUpdate", 1, record), dout);
  }

  /**
   * Logits of the decoder's last layer; they are kept after their block of rows only if the layer's gradient
   * needs them.
   */
  #decode(h: Activation, { weight, bias }: OutputLayer, backward: boolean): ActivationPlace {
    this.#has.reconstruction = true;
    this.#keepsLogits = backward && (this.#regions.trains(weight) || this.#regions.trains(bias));
    const logits = this.#logits;
    this.#linears.forward(h, weight, bias, false, logits, true);
    return logits;
  }

  #decodeBackward(h: Activation, { weight, bias }: OutputLayer, dh: Activation): void {
    this.#linears.backward(this.#logits, null, h, weight, bias, false, dh);
  }

  get #logits(): ActivationPlace {
    return this.#keepsLogits
      ? this.#places.logits()
      : { pointer: 0, stride: logitsStride(this.#places.genes) };
  }

  #decoded(activation: Activation | null): ActivationPlace {
    if (!activation) return { pointer: 0, stride: 0 };
    this.#linears.writes(activation);
    return this.#places.activation(activation);
  }

  /** exp(theta) of the combinations present, before the rows. @returns bytes of a combination */
  #useTheta(theta: Parameter): number {
    const combinations = theta.shape[1]!;
    const { value, layout } = this.#regions.reads(theta);
    const stride = 4 * layout.column;
    this.#theta = { combinations, trainableFrom: Infinity, stride };
    this.#regions.first(
      this.#regions.task("thetaRows", Math.min(combinations, this.#places.minibatchSize), [value, stride]),
    );
    return stride;
  }

  #thetaBackward(theta: Parameter): void {
    const target = this.#regions.target(theta);
    if (target === null || !this.#theta) return;
    const { trainableFrom } = theta;
    this.#theta = { ...this.#theta, trainableFrom };
    const { combinations, stride } = this.#theta;
    const { minibatchSize } = this.#places;
    const usedOnly = movesUsedOnly(theta, minibatchSize);
    this.#regions.later(
      this.#regions.task("thetaUpdate", usedOnly ? minibatchSize : combinations - trainableFrom, [
        stride,
        trainableFrom,
        Number(usedOnly),
        target,
      ]),
      null,
    );
  }

  #biasAlone(dout: Activation, target: number | null): void {
    if (target === null) return;
    const { pointer, stride } = this.#places.activation(dout);
    this.#regions.needScratch(stride);
    this.#regions.later(this.#regions.task("biasUpdate", 1, [pointer, stride, target]), dout);
  }

  #normalize(
    code: Code,
    x: Activation,
    out: Activation,
    dropout: number,
    layer: number,
    backward: [Activation, Activation] | null,
  ): void {
    const [dout, dx] = backward ? backward.map((activation) => this.#pointer(activation)) : [0, 0];
    const { pointer, stride } = this.#places.activation(x);
    const threshold = Math.ceil(dropout * 2 ** 24);
    this.#regions.row(code, [
      pointer,
      this.#pointer(out),
      stride,
      x.columns,
      layer + 1,
      threshold,
      bits(1 / (1 - dropout)),
      dout!,
      dx!,
    ]);
  }

  #latent(mean: Activation, logVar: Activation, noise: Activation): number[] {
    return [
      this.#pointer(mean),
      this.#pointer(logVar),
      this.#pointer(noise),
      this.#places.activation(mean).stride,
      mean.columns,
    ];
  }
  #prototype(z: Activation, p: number): number[] {
    return [this.#pointer(z), this.#places.activation(z).stride, z.columns, bits(p)];
  }
  #crossEntropy(z: Activation): number[] {
    this.#regions.needScratch(this.#linears.work + 4 * padded(this.#places.prototypes, 4));
    return [this.#pointer(z), this.#places.activation(z).stride, z.columns, this.#linears.work];
  }
  #pointer(activation: Activation): number {
    return this.#places.activation(activation).pointer;
  }
}
