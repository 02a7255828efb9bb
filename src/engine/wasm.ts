// The wasm engine: parameters and activations in shared memory, kernels (kernels/*.ts) over all threads.
//
// The kernels have two builds, plain and with relaxed SIMD (fused multiply-add), which is used if
// WebAssembly.validate accepts it. Results do not depend on the number of threads; the builds differ in
// rounding.
import { processorCount, startThreads, type Threads } from "#platform";
import { ScPoliError } from "../contract/errors.js";
import type {
  Activation,
  Engine,
  EngineOptions,
  Floats,
  Losses,
  Minibatch,
  Operations,
  Parameter,
  ParameterOptions,
  Program,
  RunOptions,
} from "./engine.js";
import * as kernels from "./kernels.generated.js";
import { fromLayout, layoutOf, logitsStride, toLayout } from "./wasm-layout.js";
import { KernelMemory, padded } from "../kernel-modules/memory.js";
import type { ActivationPlace } from "./wasm-linear.js";
import { recordPlan, type Plan } from "./wasm-plan.js";
import type { ParameterPlace } from "./wasm-regions.js";
import { RunRecord } from "./wasm-run.js";

export type Build = "plain" | "relaxed";

export interface WasmOptions {
  /** default: number of processors */
  readonly threads?: number;
  /** default "auto": relaxed if the runtime supports it */
  readonly build?: Build | "auto";
}

/** Exports of kernels/index.ts. */
export interface Kernels {
  storeConstants(): void;
  execute(): void;
  runOperation(pointer: number, isRows: number): void;
  largestBlockRows(): number;
  leastBlockRows(): number;
  expAt(x: number): number;
  logAt(x: number): number;
  log1pAt(x: number): number;
  cosTurnsAt(x: number): number;
}

/** Number of iterations, of a few nanoseconds, that a thread spins at a barrier before it sleeps. */
const spins = 20000;

/** The builds that this runtime supports, the faster one last. */
export function wasmBuilds(): Build[] {
  return (["plain", "relaxed"] as const).filter((build) => WebAssembly.validate(bytes(build)));
}

/**
 * @throws ScPoliError "usage" for a build that this runtime does not support or fewer than one thread;
 *   "memory" if memory or threads cannot be allocated
 */
export async function createWasmEngine(
  options: EngineOptions,
  { threads = processorCount(), build = "auto" }: WasmOptions = {},
): Promise<WasmEngine> {
  if (!Number.isInteger(threads) || threads < 1)
    throw new ScPoliError("usage", `threads is ${threads}; expected a whole number from 1.`);
  const builds = wasmBuilds();
  const chosen = build === "auto" ? builds[builds.length - 1] : builds.find((name) => name === build);
  if (!chosen)
    throw new ScPoliError(
      "usage",
      `the ${build} build of the kernels does not run here ` +
        `(${builds.length > 0 ? builds.join(", ") : "no build"} does). Use the engine "reference", or a ` +
        "newer runtime.",
    );
  const module = await WebAssembly.compile(bytes(chosen));
  const memory = new KernelMemory();
  const instance = await WebAssembly.instantiate(module, { env: { memory: memory.memory } });
  const engine = new WasmEngine(options, memory, instance.exports as unknown as Kernels, chosen, threads);
  if (threads > 1) await engine.start(module);
  return engine;
}

function bytes(build: Build): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(kernels[build]), (character) => character.charCodeAt(0));
}

/** A program that exposes its plan, for benchmarks. */
export interface WasmProgram extends Program {
  readonly plan: Plan;
}

interface StoredParameter extends ParameterPlace {
  /** pointers of the arrays made so far */
  readonly made: { first?: number; second?: number; gradient?: number };
}

/** Use `createWasmEngine`. */
export class WasmEngine implements Engine {
  readonly name = "wasm";
  readonly minibatch: Minibatch;
  readonly #run: RunRecord;
  readonly #parameters: StoredParameter[] = [];
  readonly #activations: ActivationPlace[] = [];
  /** for the first and the second output layer */
  readonly #logits: ActivationPlace[] = [];
  #scratchBytes = 0;
  #threads: Threads | null = null;
  #isClosed = false;

  constructor(
    readonly options: EngineOptions,
    readonly memory: KernelMemory,
    readonly kernels: Kernels,
    readonly build: Build,
    readonly threads: number,
  ) {
    kernels.storeConstants();
    this.#run = new RunRecord(memory, options, kernels.leastBlockRows());
    this.#run.setThreads(threads, spins);
    this.minibatch = this.#run.minibatch;
  }

  /** Starts the other threads. */
  async start(module: WebAssembly.Module): Promise<void> {
    this.#threads = await startThreads(module, this.memory.memory, this.threads - 1, this.#run.failedAddress);
  }

  createParameter(options: ParameterOptions): Parameter {
    const layout = layoutOf(options.role, options.shape);
    const made: StoredParameter["made"] = {};
    const once = (name: keyof typeof made) => (): number =>
      (made[name] ??= this.memory.allocate(4 * layout.size));
    this.#parameters.push({
      layout,
      value: this.memory.allocate(4 * layout.size),
      first: once("first"),
      second: once("second"),
      gradient: once("gradient"),
      made,
    });
    return { ...options, id: this.#parameters.length - 1 };
  }

  createActivation(columns: number): Activation {
    const stride = 4 * padded(columns, 8);
    this.#activations.push({ pointer: this.memory.allocate(stride * this.#paddedRows), stride });
    return { id: this.#activations.length - 1, columns };
  }

  record(build: (operations: Operations) => void): WasmProgram {
    const plan = this.#plan(build);
    return { plan, run: (options = {}) => this.#execute(plan, options) };
  }

  #plan(build: (operations: Operations) => void): Plan {
    const { minibatchSize, genes, keepGradients = false } = this.options;
    const plan = recordPlan(
      {
        memory: this.memory,
        minibatchSize,
        genes,
        prototypes: this.options.prototypes[0],
        keepGradients,
        blockRows: this.kernels.largestBlockRows(),
        parameter: (parameter) => this.#parameters[parameter.id]!,
        activation: (activation) => this.#activations[activation.id]!,
        conditions: (key) => this.#run.conditionPointer(key),
        logits: (second = false) =>
          (this.#logits[Number(second)] ??= {
            pointer: this.memory.allocate((logitsStride(genes) * this.#paddedRows) / 4),
            stride: logitsStride(genes),
          }),
      },
      build,
    );
    if (plan.theta) this.#run.useTheta(plan.theta);
    if (plan.scratchBytes > this.#scratchBytes) {
      this.#scratchBytes = plan.scratchBytes;
      this.#run.setScratch(
        Array.from({ length: this.threads }, () => this.memory.allocate(plan.scratchBytes)),
      );
    }
    return plan;
  }

  /** Fills the run record for a plan, as before a run: for benchmarks. */
  prepare(plan: Plan, options: RunOptions): void {
    for (const { key, rows } of plan.lookUps)
      this.#run.checkCodes(this.minibatch.conditions[key]!, rows, `condition (key ${key})`);
    this.#run.prepare(plan, options);
  }

  read(parameter: Parameter): Floats {
    return this.#published(parameter, this.#place(parameter).value);
  }
  write(parameter: Parameter, values: ArrayLike<number>): void {
    this.#store(parameter, this.#place(parameter).value, values);
  }
  readMoments(parameter: Parameter): { first: Floats; second: Floats } {
    const { first, second } = this.#place(parameter).made;
    return { first: this.#published(parameter, first), second: this.#published(parameter, second) };
  }
  writeMoments(parameter: Parameter, first: ArrayLike<number>, second: ArrayLike<number>): void {
    const place = this.#place(parameter);
    this.#store(parameter, place.first(), first);
    this.#store(parameter, place.second(), second);
  }
  readGradient(parameter: Parameter): Floats {
    return this.#published(parameter, this.#place(parameter).made.gradient);
  }

  readActivation(
    activation: Activation,
    into: Floats = new Float32Array(this.minibatch.rows * activation.columns),
  ): Floats {
    const { columns } = activation;
    this.#eachRow(activation, this.minibatch.rows, (row, b) => into.set(row, b * columns));
    return into;
  }
  writeActivation(activation: Activation, values: ArrayLike<number>): void {
    const { columns } = activation;
    this.#eachRow(activation, values.length / columns, (row, b) => {
      for (let i = 0; i < columns; i++) row[i] = values[b * columns + i]!;
    });
  }
  readReconstruction(): Floats {
    return this.#run.perCell("reconstruction").slice();
  }
  writePrototypes(values: ArrayLike<number>): void {
    const [K, D] = this.options.prototypes;
    if (values.length !== K * D)
      throw new ScPoliError("model", `prototypes have ${values.length} values; expected ${K * D}.`);
    this.#run.writePrototypes(values);
  }

  keepCounts(indices: Uint16Array, counts: Uint8Array): void {
    this.#run.keepCounts(indices, counts);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#run.stop();
    await this.#threads?.ended();
  }

  /** Rows that kernels may write: whole tiles of matrices. */
  get #paddedRows(): number {
    return padded(this.options.minibatchSize, this.kernels.largestBlockRows());
  }

  #execute(plan: Plan, options: RunOptions): Losses {
    if (this.#isClosed) throw new ScPoliError("usage", "the engine is closed.");
    this.prepare(plan, options);
    try {
      this.kernels.execute();
    } catch (error) {
      this.#run.fail();
      throw new ScPoliError(
        "memory",
        `a kernel failed: ${error instanceof Error ? error.message : String(error)}.`,
        {},
        { cause: error },
      );
    }
    if (this.#run.failed)
      throw new ScPoliError("memory", "a thread of the engine failed; the engine cannot be used any more.");
    const { rows } = this.minibatch;
    return {
      reconstruction: plan.has.reconstruction ? this.#run.sum("reconstruction") / rows : 0,
      kl: plan.has.kl ? this.#run.sum("kl") / rows : 0,
      prototype: plan.has.prototype && options.prototypeWeight ? this.#run.sum("prototypeLoss") : 0,
      crossEntropy: plan.has.crossEntropy && options.crossEntropyWeight ? this.#run.sum("crossEntropy") : 0,
    };
  }

  #place(parameter: Parameter): StoredParameter {
    return this.#parameters[parameter.id]!;
  }
  /** @param pointer - undefined for an array that was never allocated: zeros */
  #published(parameter: Parameter, pointer: number | undefined): Floats {
    const { layout } = this.#place(parameter);
    return pointer === undefined
      ? new Float32Array(layout.rows * layout.columns)
      : fromLayout(layout, this.memory.floats(pointer, layout.size));
  }
  #store(parameter: Parameter, pointer: number, values: ArrayLike<number>): void {
    const { layout } = this.#place(parameter);
    const size = layout.rows * layout.columns;
    if (values.length !== size)
      throw new ScPoliError("model", `${parameter.name} has ${values.length} values; expected ${size}.`, {
        name: parameter.name,
      });
    toLayout(layout, values, this.memory.floats(pointer, layout.size));
  }
  #eachRow({ id, columns }: Activation, rows: number, visit: (row: Float32Array, b: number) => void): void {
    const { pointer, stride } = this.#activations[id]!;
    const stored = this.memory.floats(pointer, (rows * stride) / 4);
    for (let b = 0; b < rows; b++) visit(stored.subarray((b * stride) / 4, (b * stride) / 4 + columns), b);
  }
}
