// Regions of a plan (wasm-plan.ts): records of kernel operations, gradient tasks, and the ends of regions.
import { ScPoliError } from "../contract/errors.js";
import type { KernelMemory } from "../kernel-modules/memory.js";
import type { Activation, Parameter } from "./engine.js";
import type { Layout } from "./wasm-layout.js";

/** Operations of the kernels, in the order of `Code` in kernels/threads.ts. */
export const codes = [
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
const regionBytes = 64;

/** Addresses of a parameter's arrays. */
export interface ParameterPlace {
  readonly layout: Layout;
  readonly value: number;
  /** allocated at the first call, as frozen parameters need none */
  first(): number;
  second(): number;
  gradient(): number;
}

/** The part of the engine that regions use. */
export interface RegionPlaces {
  readonly memory: KernelMemory;
  readonly keepGradients: boolean;
  parameter(parameter: Parameter): ParameterPlace;
}

export interface RecordedOperation {
  readonly code: Code;
  readonly pointer: number;
  readonly isRows: boolean;
  /** for matrix products, else null */
  readonly weight: Parameter | null;
}

interface Task extends RecordedOperation {
  readonly tasks: number;
}
type Region = { readonly rows: RecordedOperation[] } | { readonly tasks: Task[] };

const single = new Float32Array(1);
const singleBits = new Int32Array(single.buffer);
/** The bits of a float as a word of an operation record. */
export function bits(x: number): number {
  single[0] = x;
  return singleBits[0]!;
}

/** Regions that are being recorded. */
export class Regions {
  readonly #places: RegionPlaces;
  readonly #regions: Region[] = [];
  #rows: RecordedOperation[] = [];
  #tasks: Task[] = [];
  readonly #before: Task[] = [];
  /** activations that tasks of the open regions read */
  readonly #awaited = new Set<number>();
  /** parameters with a recorded gradient */
  readonly #settled = new Set<number>();
  /** addresses of the words that switch Adam on, see `target` */
  readonly #updateWords: number[] = [];
  #scratchBytes = 0;

  constructor(places: RegionPlaces) {
    this.#places = places;
  }

  /** scratch memory that each thread needs */
  get scratchBytes(): number {
    return this.#scratchBytes;
  }

  /**
   * Writes the plan's record.
   * @param updates - whether Adam runs
   * @param isKept - whether gradients are computed
   */
  finish(updates: boolean, isKept: boolean): { pointer: number; operations: RecordedOperation[] } {
    this.#cut();
    const { memory } = this.#places;
    for (const word of this.#updateWords) memory.integers(word, 1)[0] = Number(updates);
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
      operations: regions.flatMap((region): readonly RecordedOperation[] =>
        "rows" in region ? region.rows : region.tasks,
      ),
    };
  }

  /**
   * The record of the region: next index, number of tasks (0: blocks of rows), operations. Tasks are numbered
   * over the whole region, large operations first.
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
    // operations with most tasks start first, so that small tasks balance the load at the end
    this.#regions.push({ rows: this.#rows }, { tasks: this.#tasks.sort((a, b) => b.tasks - a.tasks) });
    this.#rows = [];
    this.#tasks = [];
    this.#awaited.clear();
  }

  /** Called before an operation that writes an activation. */
  writes(activation: Activation): void {
    if (this.#awaited.has(activation.id)) this.#cut();
  }

  /** Checks that a parameter read by an operation over rows is not updated earlier in the program. */
  reads(parameter: Parameter): ParameterPlace {
    if (this.#settled.has(parameter.id) && this.#tasks.length === 0)
      throw new ScPoliError("usage", `${parameter.name} is used after its gradient in one program.`);
    return this.#places.parameter(parameter);
  }

  trains({ role, shape, trainableFrom }: Parameter): boolean {
    return (
      trainableFrom <
      (role === "embedding" || role === "one-hot" ? shape[0]! : role === "theta" ? shape[1]! : 1)
    );
  }

  /**
   * The record of the destination of a parameter's gradient (Target in kernels/adam.ts); null if the
   * parameter is frozen.
   */
  target(parameter: Parameter): number | null {
    if (!this.trains(parameter)) return null;
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

  needScratch(bytes: number): void {
    this.#scratchBytes = Math.max(this.#scratchBytes, bytes);
  }

  /** A task that runs before the first region. */
  first(task: Task): void {
    this.#before.push(task);
  }
  row(code: Code, words: readonly number[], weight: Parameter | null = null): void {
    this.#rows.push({ code, pointer: this.#write([codes.indexOf(code), ...words]), isRows: true, weight });
  }
  /** The task's first index is written when the region is complete. */
  task(code: Code, tasks: number, words: readonly number[], weight: Parameter | null = null): Task {
    return {
      code,
      tasks,
      pointer: this.#write([codes.indexOf(code), 0, tasks, ...words]),
      isRows: false,
      weight,
    };
  }
  later(task: Task, waitsFor: Activation | null): void {
    this.#tasks.push(task);
    if (waitsFor) this.#awaited.add(waitsFor.id);
  }
  #write(words: readonly number[]): number {
    const pointer = this.#places.memory.allocate(4 * words.length);
    this.#places.memory.integers(pointer, words.length).set(words);
    return pointer;
  }
}
