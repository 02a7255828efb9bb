// The run record: parameters of one run for the kernels, at a fixed address. The fields are in the order of
// kernels/run.ts and take 4 bytes each.
import { ScPoliError } from "../contract/errors.js";
import type { EngineOptions, Minibatch, RunOptions } from "./engine.js";
import { crossEntropyShares, distanceShares, levelWeights } from "./label-shares.js";
import { padded, type KernelMemory } from "../kernel-modules/memory.js";

export const address = 1024;
export const fields = [
  "plan",
  "threads",
  "epoch",
  "arrived",
  "opened",
  "stopped",
  "failed",
  "spins",
  "scratch",
  "rows",
  "indptr",
  "indices",
  "counts",
  "sources",
  "keptIndices",
  "keptCounts",
  "logCounts",
  "sizeFactors",
  "share",
  "seed",
  "klWeight",
  "prototypeWeight",
  "crossEntropyWeight",
  "rate",
  "correction",
  "slots",
  "slotCombination",
  "rowSlot",
  "rowSegment",
  "segmentSums",
  "firstSegment",
  "nextSegment",
  "theta",
  "inverseTheta",
  "segmentSlot",
  "labels",
  "labelShares",
  "crossEntropyShares",
  "levels",
  "prototypes",
  "prototypeStride",
  "levelPrototypes",
  "reconstruction",
  "kl",
  "prototypeLoss",
  "crossEntropy",
] as const;
type Field = (typeof fields)[number];
const places = Object.fromEntries(fields.map((field, i) => [field, i])) as Record<Field, number>;

/** Adam's betas, as in kernels/adam.ts. */
const beta1 = 0.9;
const beta2 = 0.999;

/**
 * The theta parameter of a program: number of combinations, first trainable one, and stride in bytes.
 */
export interface ThetaUse {
  readonly combinations: number;
  /** Infinity if no gradient is needed */
  readonly trainableFrom: number;
  readonly stride: number;
}

/** Parameters of a plan for the run record. */
interface PlanOfRun {
  readonly pointer: number;
  readonly theta: ThetaUse | null;
  readonly has: Readonly<Record<"prototype" | "crossEntropy", boolean>>;
}

/** Losses stored per cell. */
type Loss = "reconstruction" | "kl" | "prototypeLoss" | "crossEntropy";

/** Manages the minibatch and the run record, and fills them before each run. */
export class RunRecord {
  readonly minibatch: Minibatch;
  readonly prototypes: number;
  readonly prototypeStride: number;
  readonly #words: Int32Array;
  readonly #floats: Float32Array;
  readonly #rowSlot: Int32Array;
  readonly #rowSegment: Int32Array;
  readonly #slotCombination: Int32Array;
  readonly #nextSegment: Int32Array;
  readonly #segmentSlot: Int32Array;
  readonly #labelShares: Float32Array;
  readonly #labelCounts: Int32Array;
  readonly #crossEntropyShares: Float32Array;
  readonly #levelWeights: Float64Array;
  /** rows of the prototypes of each level, and addresses of groups of four of them */
  readonly #levelTables: readonly { readonly rows: readonly number[]; readonly pointer: number }[];
  readonly #conditionPointers: readonly number[];
  #firstSegment: Int32Array = new Int32Array(0);
  #slotOf = new Int32Array(0);
  #thetaBytes = 0;
  #segmentBytes = 0;

  constructor(
    readonly memory: KernelMemory,
    readonly options: EngineOptions,
    /** blocks of rows start at multiples of this */
    readonly blockRows: number,
  ) {
    const { minibatchSize: B, minibatchCapacity, conditionKeys, levels, prototypes } = options;
    this.#words = memory.integers(address, fields.length);
    this.#floats = memory.floats(address, fields.length);
    const integers = (field: Field, length: number): Int32Array =>
      memory.integers(this.#place(field, 4 * length), length);
    const floats = (field: Field, length: number): Float32Array =>
      memory.floats(this.#place(field, 4 * length), length);
    const conditions = Array.from({ length: conditionKeys }, () => memory.allocate(4 * B));
    this.#conditionPointers = conditions;
    // kernels read four stored counts at once
    this.minibatch = {
      rows: 0,
      indptr: integers("indptr", B + 1),
      indices: integers("indices", minibatchCapacity + 4).subarray(0, minibatchCapacity),
      counts: floats("counts", minibatchCapacity + 4).subarray(0, minibatchCapacity),
      sources: integers("sources", B).fill(-1),
      compact: this.#keepRoom(minibatchCapacity),
      sizeFactors: floats("sizeFactors", B),
      conditions: conditions.map((pointer) => memory.integers(pointer, B)),
      combinations: memory.integers(memory.allocate(4 * B), B),
      labels: integers("labels", B * levels).fill(-1),
    };
    floats("logCounts", minibatchCapacity + 4);
    this.#rowSlot = integers("rowSlot", B);
    this.#rowSegment = integers("rowSegment", B);
    this.#slotCombination = integers("slotCombination", B);
    this.#nextSegment = integers("nextSegment", B);
    this.#segmentSlot = integers("segmentSlot", B);
    this.#labelShares = floats("labelShares", B * levels);
    this.#labelCounts = new Int32Array(prototypes[0]);
    this.#crossEntropyShares = floats("crossEntropyShares", B * levels);
    this.#levelWeights = levelWeights(options);
    for (const field of ["reconstruction", "kl", "prototypeLoss", "crossEntropy"] as const)
      this.#place(field, 8 * B);
    this.prototypeStride = padded(prototypes[1], 8);
    this.prototypes = this.#place("prototypes", 4 * prototypes[0] * this.prototypeStride);
    this.#set("prototypeStride", 4 * this.prototypeStride);
    this.#set("levels", levels);
    this.#levelTables = (options.levelPrototypes ?? []).map(({ rows }) => ({
      rows,
      pointer: memory.allocate(4 * padded(rows.length, 4) * prototypes[1]),
    }));
    const table = integers("levelPrototypes", 2 * levels);
    this.#levelTables.forEach(({ rows, pointer }, level) => table.set([pointer, rows.length], 2 * level));
  }

  /** @param values - (K, D) */
  writePrototypes(values: ArrayLike<number>): void {
    const [K, D] = this.options.prototypes;
    const stored = this.memory.floats(this.prototypes, K * this.prototypeStride);
    for (let k = 0; k < K; k++)
      for (let d = 0; d < D; d++) stored[k * this.prototypeStride + d] = values[k * D + d]!;
    for (const { rows, pointer } of this.#levelTables) {
      const groups = this.memory.floats(pointer, padded(rows.length, 4) * D);
      rows.forEach((row, k) => {
        for (let d = 0; d < D; d++) groups[((k >> 2) * D + d) * 4 + (k & 3)] = values[row * D + d]!;
      });
    }
  }

  keepCounts(indices: Uint16Array, counts: Uint8Array): void {
    const { genes } = this.options;
    for (const gene of indices)
      if (gene >= genes)
        throw new ScPoliError("usage", `the counts have gene ${gene}; expected 0 to ${genes - 1}.`);
    const kept = this.#keepRoom(indices.length);
    kept.indices.set(indices);
    kept.counts.set(counts);
    this.minibatch.compact = undefined;
  }

  #keepRoom(length: number): { readonly indices: Uint16Array; readonly counts: Uint8Array } {
    // kernels read eight at once
    return {
      indices: this.memory.shorts(this.#place("keptIndices", 2 * (length + 8)), length),
      counts: this.memory.bytes(this.#place("keptCounts", length + 8), length),
    };
  }

  /** Allocates the segments of a theta parameter. */
  useTheta({ combinations }: ThetaUse): void {
    if (combinations <= this.#firstSegment.length) return;
    this.#firstSegment = this.memory
      .integers(this.#place("firstSegment", 4 * combinations), combinations)
      .fill(-1);
    this.#slotOf = new Int32Array(combinations).fill(-1);
  }

  /** Sets the addresses of the threads' scratch memory. */
  setScratch(pointers: readonly number[]): void {
    this.memory.integers(this.#place("scratch", 4 * pointers.length), pointers.length).set(pointers);
  }

  setThreads(threads: number, spins: number): void {
    this.#set("threads", threads);
    this.#set("spins", spins);
  }

  /** Fills the record before a run: options, Adam's bias corrections, theta's segments, weights of labels. */
  prepare(
    { pointer, theta, has }: PlanOfRun,
    {
      step = 1,
      learningRate = 0,
      klWeight = 1,
      prototypeWeight = 0,
      crossEntropyWeight = 0,
      seed = 0,
    }: RunOptions,
  ): void {
    this.#checkRows();
    const { rows } = this.minibatch;
    this.#set("plan", pointer);
    this.#set("rows", rows);
    this.#set("seed", seed);
    const floats = this.#floats;
    floats[places.share] = 1 / rows;
    floats[places.klWeight] = klWeight;
    floats[places.prototypeWeight] = prototypeWeight;
    floats[places.crossEntropyWeight] = crossEntropyWeight;
    floats[places.rate] = learningRate / (1 - beta1 ** step);
    floats[places.correction] = 1 / Math.sqrt(1 - beta2 ** step);
    if (theta) this.#prepareTheta(theta);
    const labels = this.minibatch.labels.subarray(0, rows * this.options.levels);
    if ((has.prototype && prototypeWeight !== 0) || (has.crossEntropy && crossEntropyWeight !== 0))
      distanceShares(labels, this.options, this.#levelWeights, this.#labelCounts, this.#labelShares);
    if (has.crossEntropy && crossEntropyWeight !== 0)
      crossEntropyShares(labels, this.options, this.#levelWeights, this.#crossEntropyShares);
  }

  /** Sum over the cells, in order. */
  sum(field: Loss): number {
    return this.perCell(field).reduce((total, loss) => total + loss, 0);
  }

  /** (rows), float64 */
  perCell(field: Loss): Float64Array {
    return this.memory.doubles(this.#words[places[field]]!, this.minibatch.rows);
  }

  conditionPointer(key: number): number {
    return this.#conditionPointers[key]!;
  }

  get failed(): boolean {
    return Atomics.load(this.#words, places.failed) !== 0;
  }
  /** Byte address of the word that a failing thread sets. */
  get failedAddress(): number {
    return address + 4 * places.failed;
  }
  fail(): void {
    this.#raise("failed");
  }
  stop(): void {
    this.#raise("stopped");
  }

  #raise(field: "failed" | "stopped"): void {
    Atomics.store(this.#words, places[field], 1);
    Atomics.add(this.#words, places.epoch, 1);
    for (const sleeping of ["epoch", "opened"] as const) Atomics.notify(this.#words, places[sleeping]);
  }

  #set(field: Field, value: number): void {
    this.#words[places[field]] = value;
  }
  #place(field: Field, bytes: number): number {
    const pointer = this.memory.allocate(bytes);
    this.#set(field, pointer);
    return pointer;
  }

  /**
   * Grows the buffer if it is too small, at least twofold so that this is rare.
   * @returns its size in bytes
   */
  #grown(field: Field, present: number, needed: number): number {
    if (needed <= present) return present;
    const bytes = Math.max(needed, 2 * present);
    this.#place(field, bytes);
    return bytes;
  }

  /** Checks indices, since kernels do not: an invalid index would overwrite other memory. */
  #checkRows(): void {
    const { rows, indptr, indices, sources, compact } = this.minibatch;
    const { minibatchSize, minibatchCapacity, genes } = this.options;
    const refuse = (actual: string, expected: string): never => {
      throw new ScPoliError("usage", `the minibatch has ${actual}; expected ${expected}.`);
    };
    if (!(rows >= 1 && rows <= minibatchSize)) refuse(`${rows} cells`, `1 to ${minibatchSize}`);
    if (indptr[0] !== 0 || !(indptr[rows]! <= minibatchCapacity))
      refuse(`stored counts from ${indptr[0]} to ${indptr[rows]}`, `0 to at most ${minibatchCapacity}`);
    for (let b = 0; b < rows; b++) {
      const [start, end] = [indptr[b]!, indptr[b + 1]!];
      if (start > end) refuse(`a row that ends before it starts (${b})`, "ascending row starts");
      const source = sources![b]!;
      // kept rows have already been checked
      if (start === end || (source >= 0 && !compact)) continue;
      const [first, last] =
        source < 0
          ? [indices[start]!, indices[end - 1]!]
          : [compact!.indices[source]!, compact!.indices[source + end - start - 1]!];
      if (!(first >= 0 && last < genes)) refuse(`genes ${first} to ${last} in row ${b}`, `0 to ${genes - 1}`);
    }
  }

  /** @throws ScPoliError "usage" if a code is not below `count` */
  checkCodes(codes: Int32Array, count: number, what: string): void {
    for (let b = 0; b < this.minibatch.rows; b++)
      if (codes[b]! < 0 || codes[b]! >= count)
        throw new ScPoliError(
          "usage",
          `cell ${b} of the minibatch has ${what} ${codes[b]}; expected 0 to ${count - 1}.`,
        );
  }

  #prepareTheta({ combinations: count, trainableFrom, stride }: ThetaUse): void {
    const { rows, combinations } = this.minibatch;
    this.checkCodes(combinations, count, "combination");
    const slotOf = this.#slotOf;
    let slots = 0;
    let segments = 0;
    for (let b = 0; b < rows; b++) {
      const combination = combinations[b]!;
      if (slotOf[combination]! < 0) {
        this.#slotCombination[slots] = combination;
        slotOf[combination] = slots++;
      }
      this.#rowSlot[b] = slotOf[combination]!;
      const isNew = b % this.blockRows === 0 || combinations[b - 1] !== combination;
      if (combination < trainableFrom) this.#rowSegment[b] = -1;
      else {
        if (isNew) this.#segmentSlot[segments++] = slotOf[combination]!;
        this.#rowSegment[b] = segments - 1;
      }
    }
    this.#linkSegments(segments);
    for (let slot = 0; slot < slots; slot++) slotOf[this.#slotCombination[slot]!] = -1;
    this.#set("slots", slots);
    this.#thetaBytes = this.#grown("theta", this.#thetaBytes, 2 * slots * stride);
    this.#set("inverseTheta", this.#words[places.theta]! + slots * stride);
    this.#segmentBytes = this.#grown("segmentSums", this.#segmentBytes, segments * stride);
  }

  /** Segments of each combination as a linked list, in the order of the cells. */
  #linkSegments(segments: number): void {
    this.#firstSegment.fill(-1);
    for (let segment = segments - 1; segment >= 0; segment--) {
      const combination = this.#slotCombination[this.#segmentSlot[segment]!]!;
      this.#nextSegment[segment] = this.#firstSegment[combination]!;
      this.#firstSegment[combination] = segment;
    }
  }
}
