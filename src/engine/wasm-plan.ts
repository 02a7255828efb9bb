// Recorded operations become a plan in the kernels' memory: regions of operations that all threads run, with
// one barrier after each (kernels/threads.ts).
//
// Forward and backward of the activations are independent per cell, so they make one region over blocks of
// rows; what sums over cells (the gradients of parameters, with Adam) becomes tasks of the region after it;
// what lookups need (rows scaled, exp of theta) goes before. Where an operation overwrites an activation that
// tasks still wait for, the regions are cut there.
import { ScPoliError } from "../contract/errors.js";
import {
  movesUsedOnly,
  type Activation,
  type Operations,
  type OutputLayer,
  type Parameter,
  type TakenCounts,
} from "./engine.js";
import { type Layout } from "./wasm-layout.js";
import { padded, type KernelMemory } from "../kernel-modules/memory.js";
import type { ThetaUse } from "./wasm-run.js";

/** Operations of the kernels, in the order of `Code` in kernels/threads.ts. */
const codes = [
  "lookUp",
  "sparseForward",
  "sortTiles",
  "linearForward",
  "linearInput",
  "pack",
  "normalizeForward",
  "normalizeBackward",
  "sampleNoise",
  "reparameterizeForward",
  "reparameterizeBackward",
  "prototypeForward",
  "prototypeBackward",
  "crossEntropyForward",
  "crossEntropyBackward",
  "negativeBinomial",
  "zeroInflated",
  "poisson",
  "squaredError",
  "renormalize",
  "thetaRows",
  "lookUpUpdate",
  "sparseUpdate",
  "biasUpdate",
  "linearUpdate",
  "thetaUpdate",
] as const;
export type Code = (typeof codes)[number];
/** In the order of their numbers in kernels/sparse-linear.ts. */
const takenCounts: readonly TakenCounts[] = ["values", "log1p", "log-normalized"];

/**
 * 2^shift genes are a task of the sparse weight gradient: their rows of weights take 16 KiB, between 8 and 64
 * genes.
 */
const sparseTileShift = (rowBytes: number): number =>
  Math.max(3, Math.min(6, Math.floor(Math.log2(16384 / rowBytes))));
/**
 * Genes whose first-layer weights stay in the second cache while a block of cells passes over them: 128 KiB.
 */
const cachedGenes = (rowBytes: number): number => Math.max(64, Math.floor(131072 / rowBytes));
/**
 * Tiles of a task of a dense weight gradient: their dout stays in the first cache, and x is read once for all
 * of them.
 */
const linearTaskTiles = 4;
const regionBytes = 64;

/** Where a parameter's arrays lie. */
export interface ParameterPlace {
  readonly layout: Layout;
  readonly value: number;
  /** made at the first call, as frozen parameters need none */
  first(): number;
  second(): number;
  gradient(): number;
}

export interface ActivationPlace {
  readonly pointer: number;
  /** bytes of a row, of logits: of a group of 4 rows */
  readonly stride: number;
}

/** What the recorder asks of the engine. */
export interface Places {
  readonly memory: KernelMemory;
  readonly minibatchSize: number;
  readonly blockRows: number;
  readonly genes: number;
  /** K */
  readonly prototypes: number;
  readonly keepGradients: boolean;
  parameter(parameter: Parameter): ParameterPlace;
  activation(activation: Activation): ActivationPlace;
  conditions(key: number): number;
  /**
   * (B, G) for dlogits that outlive their block of rows, shared by all programs; `second`: those of a second
   * output layer
   */
  logits(second?: boolean): ActivationPlace;
}

export interface RecordedOperation {
  readonly code: Code;
  readonly pointer: number;
  readonly isRows: boolean;
  /** of matrix products, else null */
  readonly weight: Parameter | null;
}

export interface Plan {
  readonly pointer: number;
  /** scratch memory that each thread needs */
  readonly scratchBytes: number;
  readonly theta: ThetaUse | null;
  readonly has: Readonly<Record<"reconstruction" | "kl" | "prototype" | "crossEntropy", boolean>>;
  /** key and rows of the tables that are looked up */
  readonly lookUps: readonly { readonly key: number; readonly rows: number }[];
  readonly operations: readonly RecordedOperation[];
}

interface Task extends RecordedOperation {
  readonly tasks: number;
}
type Region = { readonly rows: RecordedOperation[] } | { readonly tasks: Task[] };

const single = new Float32Array(1);
const singleBits = new Int32Array(single.buffer);
/** A float as the word of an operation's record. */
function bits(x: number): number {
  single[0] = x;
  return singleBits[0]!;
}

/**
 * Bytes of a group of 4 rows of the logits (kernels/linear.ts): an odd number of lines of the cache, so that
 * groups do not compete for the same ones.
 */
export function logitsStride(genes: number): number {
  return 16 * padded(genes, 8) + 64;
}

/** @param build - records the operations of a program */
export function recordPlan(places: Places, build: (operations: Operations) => void): Plan {
  const recorder = new Recorder(places);
  build(recorder);
  return recorder.finish();
}

class Recorder implements Operations {
  readonly #places: Places;
  readonly #regions: Region[] = [];
  #rows: RecordedOperation[] = [];
  #tasks: Task[] = [];
  readonly #before: Task[] = [];
  /** activations that tasks of the open regions read */
  readonly #awaited = new Set<number>();
  /** parameters that have their gradient */
  readonly #settled = new Set<number>();
  /** words that say whether Adam runs, see #target */
  readonly #updateWords: number[] = [];
  readonly #panels = new Map<number, { pointer: number; bytes: number }>();
  readonly #normalized = new Map<number, Activation>();
  readonly #lookUps: { key: number; rows: number }[] = [];
  readonly #has = { reconstruction: false, kl: false, prototype: false, crossEntropy: false };
  #theta: ThetaUse | null = null;
  #keepsLogits = false;
  #updates = false;
  #scratchBytes = 0;

  constructor(places: Places) {
    this.#places = places;
  }

  lookUp(tables: readonly Parameter[], out: Activation): void {
    this.#writes(out);
    let column = 0;
    tables.forEach((table, key) => {
      const [rows, width] = [table.shape[0]!, table.shape[1]!];
      const { pointer, stride } = this.#places.activation(out);
      const { value, layout } = this.#reads(table);
      const conditions = this.#places.conditions(key);
      if (table.trainableFrom < rows)
        this.#before.push(
          this.#task("renormalize", 1, [value, 4 * layout.row, width, conditions, table.trainableFrom]),
        );
      this.#row("lookUp", [value, 4 * layout.row, width, conditions, pointer + 4 * column, stride, 0]);
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
    this.#writes(out);
    const { pointer, stride } = this.#places.activation(out);
    tables.forEach((table, key) => {
      const { value, layout } = this.#reads(table);
      this.#row("lookUp", [
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

  sparseLinear(weight: Parameter, bias: Parameter, taken: TakenCounts, out: Activation): void {
    this.#writes(out);
    const { pointer, stride } = this.#places.activation(out);
    this.#row(
      "sparseForward",
      [
        this.#reads(weight).value,
        this.#reads(bias).value,
        stride,
        takenCounts.indexOf(taken),
        pointer,
        this.#places.genes,
        cachedGenes(stride),
      ],
      weight,
    );
    this.#needScratch(4 * this.#places.blockRows);
  }

  sparseLinearBackward(dout: Activation, weight: Parameter, bias: Parameter): void {
    const { pointer, stride } = this.#places.activation(dout);
    const { memory, minibatchSize, genes } = this.#places;
    const weightTarget = this.#target(weight);
    if (weightTarget !== null) {
      const shift = sparseTileShift(stride);
      const tiles = Math.ceil(genes / 2 ** shift);
      const startsStride = 4 * minibatchSize;
      const panelBytes = 64 * minibatchSize;
      const starts = memory.allocate((tiles + 1) * startsStride);
      const panels = memory.allocate(Math.ceil(stride / 64) * panelBytes);
      this.#row("sortTiles", [tiles, shift, starts, startsStride, pointer, stride, panels, panelBytes]);
      this.#needScratch(2 ** shift * (4 + stride + 8 * minibatchSize));
      this.#later(
        this.#task(
          "sparseUpdate",
          tiles,
          [genes, shift, starts, startsStride, panels, panelBytes, stride, weightTarget],
          weight,
        ),
        null,
      );
    }
    this.#biasAlone(dout, this.#target(bias));
  }

  linear(x: Activation, weight: Parameter, bias: Parameter | null, add: boolean, out: Activation): void {
    this.#writes(out);
    this.#linearForward(x, weight, bias, add, this.#places.activation(out), false);
  }

  linearBackward(
    dout: Activation,
    x: Activation,
    weight: Parameter,
    bias: Parameter | null,
    add: boolean,
    dx: Activation | null,
  ): void {
    this.#linearBackward(this.#places.activation(dout), dout, x, weight, bias, add, dx);
  }

  normalize(x: Activation, dropout: number, layer: number, out: Activation): void {
    this.#writes(out);
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
    this.#writes(dx);
    this.#normalize("normalizeBackward", x, out, dropout, layer, [dout, dx]);
  }

  sampleNoise(noise: Activation): void {
    this.#writes(noise);
    const { pointer, stride } = this.#places.activation(noise);
    this.#row("sampleNoise", [pointer, stride, noise.columns]);
  }

  reparameterize(mean: Activation, logVar: Activation, noise: Activation, z: Activation): void {
    this.#writes(z);
    this.#has.kl = true;
    this.#row("reparameterizeForward", [...this.#latent(mean, logVar, noise), this.#pointer(z), 0, 0]);
  }

  reparameterizeBackward(
    dz: Activation,
    mean: Activation,
    logVar: Activation,
    noise: Activation,
    dmean: Activation,
    dlogVar: Activation,
  ): void {
    this.#writes(dmean);
    this.#writes(dlogVar);
    const record = [
      ...this.#latent(mean, logVar, noise),
      this.#pointer(dz),
      this.#pointer(dmean),
      this.#pointer(dlogVar),
    ];
    this.#row("reparameterizeBackward", record);
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
    this.#needScratch(this.#work + 5 * thetaStride + 256);
    const { pointer, stride } = this.#decoded(probabilities);
    this.#row("negativeBinomial", [
      logits.pointer,
      logits.stride,
      this.#places.genes,
      thetaStride,
      Number(backward),
      pointer,
      stride,
      this.#work,
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
    this.#linearForward(h, dropout.weight, dropout.bias, false, second, true);
    this.#needScratch(this.#work + 6 * thetaStride + 3072);
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
      this.#work,
    ];
    this.#row("zeroInflated", record);
  }

  zeroInflatedBackward(
    h: Activation,
    mean: OutputLayer,
    dropout: OutputLayer,
    theta: Parameter,
    dh: Activation,
  ): void {
    this.#decodeBackward(h, mean, dh);
    this.#linearBackward(this.#places.logits(true), null, h, dropout.weight, dropout.bias, true, dh);
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
    this.#needScratch(this.#work + 256);
    const { pointer, stride } = this.#decoded(probabilities);
    this.#row("poisson", [
      logits.pointer,
      logits.stride,
      this.#places.genes,
      Number(scaled),
      Number(backward),
      pointer,
      stride,
      this.#work,
    ]);
  }

  poissonBackward(h: Activation, layer: OutputLayer, dh: Activation): void {
    this.#decodeBackward(h, layer, dh);
  }

  squaredError(h: Activation, layer: OutputLayer, backward: boolean, decoded: Activation | null): void {
    const logits = this.#decode(h, layer, backward);
    const { pointer, stride } = this.#decoded(decoded);
    this.#row("squaredError", [
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
    this.#row("prototypeForward", [...this.#prototype(z, p), 0]);
  }

  prototypeLossBackward(z: Activation, p: number, dz: Activation): void {
    this.#writes(dz);
    this.#row("prototypeBackward", [...this.#prototype(z, p), this.#pointer(dz)]);
  }

  prototypeCrossEntropy(z: Activation): void {
    this.#has.crossEntropy = true;
    this.#row("crossEntropyForward", [...this.#crossEntropy(z), 0]);
  }

  prototypeCrossEntropyBackward(z: Activation, dz: Activation): void {
    this.#writes(dz);
    this.#row("crossEntropyBackward", [...this.#crossEntropy(z), this.#pointer(dz)]);
  }

  update(): void {
    this.#updates = true;
  }

  finish(): Plan {
    this.#cut();
    const { memory, keepGradients } = this.#places;
    const isKept = this.#updates || keepGradients;
    for (const word of this.#updateWords) memory.integers(word, 1)[0] = Number(this.#updates);
    const regions = [{ tasks: this.#before }, ...this.#regions].filter((region) =>
      "rows" in region
        ? region.rows.length > 0
        : region.tasks.length > 0 && (isKept || region.tasks === this.#before),
    );
    const first = memory.allocate(regionBytes * regions.length);
    regions.forEach((region, i) => this.#writeRegion(first + regionBytes * i, region));
    const pointer = memory.allocate(8);
    memory.integers(pointer, 2).set([regions.length, first]);
    return {
      pointer,
      scratchBytes: this.#scratchBytes,
      theta: this.#theta && (isKept ? this.#theta : { ...this.#theta, trainableFrom: Infinity }),
      has: this.#has,
      lookUps: this.#lookUps,
      operations: regions.flatMap((region): readonly RecordedOperation[] =>
        "rows" in region ? region.rows : region.tasks,
      ),
    };
  }

  /**
   * The region's record: next index, tasks (0: blocks of rows), operations. Tasks are numbered through the
   * region, large operations first.
   */
  #writeRegion(pointer: number, region: Region): void {
    const { memory } = this.#places;
    const operations: readonly RecordedOperation[] = "rows" in region ? region.rows : region.tasks;
    let tasks = 0;
    if ("tasks" in region)
      for (const task of region.tasks) {
        memory.integers(task.pointer, 3)[1] = tasks;
        tasks += task.tasks;
      }
    const list = memory.allocate(4 * operations.length);
    memory.integers(list, operations.length).set(operations.map((operation) => operation.pointer));
    memory.integers(pointer, 4).set([0, tasks, operations.length, list]);
  }

  /** Ends the open regions: rows, then the tasks that need them. */
  #cut(): void {
    // tasks of the operation with the most of them start first: the small ones fill the end
    this.#regions.push({ rows: this.#rows }, { tasks: this.#tasks.sort((a, b) => b.tasks - a.tasks) });
    this.#rows = [];
    this.#tasks = [];
    this.#awaited.clear();
  }

  /** Before an operation that writes an activation. */
  #writes(activation: Activation): void {
    if (this.#awaited.has(activation.id)) this.#cut();
    this.#panels.delete(activation.id);
  }

  /** A parameter that an operation over rows reads: not after its update has been given away. */
  #reads(parameter: Parameter): ParameterPlace {
    if (this.#settled.has(parameter.id) && this.#tasks.length === 0)
      throw new ScPoliError("usage", `${parameter.name} is used after its gradient in one program.`);
    return this.#places.parameter(parameter);
  }

  #trains({ role, shape, trainableFrom }: Parameter): boolean {
    return (
      trainableFrom <
      (role === "embedding" || role === "one-hot" ? shape[0]! : role === "theta" ? shape[1]! : 1)
    );
  }

  /**
   * The record that says where a parameter's gradient goes (Target in kernels/adam.ts), null where it is
   * frozen.
   */
  #target(parameter: Parameter): number | null {
    if (!this.#trains(parameter)) return null;
    if (this.#settled.has(parameter.id))
      throw new ScPoliError("usage", `${parameter.name} receives two gradients in one program.`);
    this.#settled.add(parameter.id);
    const { value, first, second, gradient } = this.#places.parameter(parameter);
    const words = [
      value,
      first(),
      second(),
      this.#places.keepGradients ? gradient() : 0,
      bits(parameter.weightDecay),
      0,
    ];
    const pointer = this.#write(words);
    this.#updateWords.push(pointer + 20);
    return pointer;
  }

  /** Where the scratch memory of operations over rows is free: after the logits of a block. */
  get #work(): number {
    const { blockRows, genes } = this.#places;
    return (blockRows / 4) * logitsStride(genes);
  }

  #linearForward(
    x: Activation,
    weight: Parameter,
    bias: Parameter | null,
    add: boolean,
    out: ActivationPlace,
    isGrouped: boolean,
  ): void {
    const place = this.#places.activation(x);
    const { value, layout } = this.#reads(weight);
    const biasPointer = bias ? this.#reads(bias).value : 0;
    const [inputs, tiles] = [padded(layout.columns, 4), padded(layout.rows, 8) / 8];
    this.#needScratch(this.#work + 16 * inputs * this.#places.blockRows);
    const sizes = [4 * layout.tile, biasPointer, inputs, tiles, Number(add), Number(isGrouped)];
    this.#row(
      "linearForward",
      [place.pointer, place.stride, value, ...sizes, out.pointer, out.stride, this.#work],
      weight,
    );
  }

  /**
   * @param waits - the activation whose place `dout` is, null for logits (grouped), which nothing overwrites
   */
  #linearBackward(
    dout: ActivationPlace,
    waits: Activation | null,
    x: Activation,
    weight: Parameter,
    bias: Parameter | null,
    add: boolean,
    dx: Activation | null,
  ): void {
    const { blockRows, minibatchSize } = this.#places;
    const { value, layout } = this.#reads(weight);
    const [inputs, tiles] = [padded(layout.columns, 4), padded(layout.rows, 8) / 8];
    const isGrouped = Number(waits === null);
    const weightTarget = this.#target(weight);
    const biasTarget = bias && this.#target(bias);
    if (weightTarget !== null || biasTarget !== null) {
      const panels = weightTarget !== null ? this.#pack(x, inputs) : { pointer: 0, bytes: 0 };
      this.#needScratch(linearTaskTiles * (32 + 32 * minibatchSize + 32 * inputs));
      const record = [
        panels.pointer,
        panels.bytes,
        dout.pointer,
        dout.stride,
        isGrouped,
        4 * layout.tile,
        inputs,
        tiles,
        linearTaskTiles,
      ];
      this.#later(
        this.#task(
          "linearUpdate",
          Math.ceil(tiles / linearTaskTiles),
          [...record, weightTarget ?? 0, biasTarget ?? 0],
          weight,
        ),
        waits,
      );
    }
    if (!dx) return;
    this.#writes(dx);
    const to = this.#places.activation(dx);
    this.#needScratch(this.#work + 32 * blockRows * tiles);
    const sizes = [4 * layout.tile, inputs, tiles, Number(add)];
    this.#row(
      "linearInput",
      [dout.pointer, dout.stride, isGrouped, value, ...sizes, to.pointer, to.stride, this.#work],
      weight,
    );
  }

  /** Panels of x for the weight gradient, shared by the layers that read the same x. */
  #pack(x: Activation, inputs: number): { pointer: number; bytes: number } {
    const { memory, minibatchSize } = this.#places;
    const present = this.#panels.get(x.id);
    if (present) return present;
    const bytes = 64 * minibatchSize;
    const panels = { pointer: memory.allocate((inputs / 4) * bytes), bytes };
    this.#panels.set(x.id, panels);
    const { pointer, stride } = this.#places.activation(x);
    this.#row("pack", [pointer, stride, inputs, panels.pointer, bytes]);
    return panels;
  }

  /** @param column - of `dout`, where the table's start */
  #lookUpUpdate(dout: Activation, column: number, table: Parameter, key: number): void {
    const target = this.#target(table);
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
    this.#later(this.#task("lookUpUpdate", 1, record), dout);
  }

  /**
   * Logits of the decoder's last layer; they outlive their block of rows only where the layer's gradient
   * needs them.
   */
  #decode(h: Activation, { weight, bias }: OutputLayer, backward: boolean): ActivationPlace {
    this.#has.reconstruction = true;
    this.#keepsLogits = backward && (this.#trains(weight) || this.#trains(bias));
    const logits = this.#logits;
    this.#linearForward(h, weight, bias, false, logits, true);
    return logits;
  }

  #decodeBackward(h: Activation, { weight, bias }: OutputLayer, dh: Activation): void {
    this.#linearBackward(this.#logits, null, h, weight, bias, false, dh);
  }

  get #logits(): ActivationPlace {
    return this.#keepsLogits
      ? this.#places.logits()
      : { pointer: 0, stride: logitsStride(this.#places.genes) };
  }

  #decoded(activation: Activation | null): ActivationPlace {
    if (!activation) return { pointer: 0, stride: 0 };
    this.#writes(activation);
    return this.#places.activation(activation);
  }

  /** exp(theta) of the combinations present, before the rows. @returns bytes of a combination */
  #useTheta(theta: Parameter): number {
    const combinations = theta.shape[1]!;
    const { value, layout } = this.#reads(theta);
    const stride = 4 * layout.column;
    this.#theta = { combinations, trainableFrom: Infinity, stride };
    this.#before.push(
      this.#task("thetaRows", Math.min(combinations, this.#places.minibatchSize), [value, stride]),
    );
    return stride;
  }

  #thetaBackward(theta: Parameter): void {
    const target = this.#target(theta);
    if (target === null || !this.#theta) return;
    const { trainableFrom } = theta;
    this.#theta = { ...this.#theta, trainableFrom };
    const { combinations, stride } = this.#theta;
    const { minibatchSize } = this.#places;
    const usedOnly = movesUsedOnly(theta, minibatchSize);
    this.#later(
      this.#task("thetaUpdate", usedOnly ? minibatchSize : combinations - trainableFrom, [
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
    this.#needScratch(stride);
    this.#later(this.#task("biasUpdate", 1, [pointer, stride, target]), dout);
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
    this.#row(code, [
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
    this.#needScratch(this.#work + 4 * padded(this.#places.prototypes, 4));
    return [this.#pointer(z), this.#places.activation(z).stride, z.columns, this.#work];
  }
  #pointer(activation: Activation): number {
    return this.#places.activation(activation).pointer;
  }
  #needScratch(bytes: number): void {
    this.#scratchBytes = Math.max(this.#scratchBytes, bytes);
  }

  #row(code: Code, words: readonly number[], weight: Parameter | null = null): void {
    this.#rows.push({ code, pointer: this.#write([codes.indexOf(code), ...words]), isRows: true, weight });
  }
  /** The task's first index is written when the region is complete. */
  #task(code: Code, tasks: number, words: readonly number[], weight: Parameter | null = null): Task {
    return {
      code,
      tasks,
      pointer: this.#write([codes.indexOf(code), 0, tasks, ...words]),
      isRows: false,
      weight,
    };
  }
  #later(task: Task, waitsFor: Activation | null): void {
    this.#tasks.push(task);
    if (waitsFor) this.#awaited.add(waitsFor.id);
  }
  #write(words: readonly number[]): number {
    const pointer = this.#places.memory.allocate(4 * words.length);
    this.#places.memory.integers(pointer, words.length).set(words);
    return pointer;
  }
}
