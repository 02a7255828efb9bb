// The reference engine: every operation in float64, unfused and written like the formulas. Slow, but easy to
// read, and the expected values of tests. Operations are in reference-layers.ts, reference-likelihoods.ts and
// reference-prototypes.ts. Source: De Donno et al. 2023, Methods; losses and network of scArches 0.6.1.
import { ScPoliError } from "../contract/errors.js";
import {
  movesUsedOnly,
  type Activation,
  type Engine,
  type EngineOptions,
  type Floats,
  type Losses,
  type Minibatch,
  type Operations,
  type Parameter,
  type ParameterOptions,
  type Program,
  type RunOptions,
} from "./engine.js";
import { layerOperations } from "./reference-layers.js";
import { likelihoodOperations } from "./reference-likelihoods.js";
import { prototypeOperations } from "./reference-prototypes.js";
import type { Recording, Run } from "./reference-recording.js";

const adam = { beta1: 0.9, beta2: 0.999, eps: 0.01 };

/** A parameter's arrays, row-major in the published shape. */
interface Stored {
  readonly value: Float64Array;
  readonly gradient: Float64Array;
  readonly first: Float64Array;
  readonly second: Float64Array;
}

export class ReferenceEngine implements Engine {
  readonly name = "reference";
  readonly minibatch: Minibatch;
  readonly #parameters: Parameter[] = [];
  readonly #stored: Stored[] = [];
  readonly #activations: Float64Array[] = [];
  readonly #reconstruction: Float64Array;
  readonly #prototypes: Float64Array;

  constructor(readonly options: EngineOptions) {
    const { minibatchSize, minibatchCapacity, conditionKeys, levels, prototypes } = options;
    this.minibatch = {
      rows: 0,
      indptr: new Int32Array(minibatchSize + 1),
      indices: new Int32Array(minibatchCapacity),
      counts: new Float32Array(minibatchCapacity),
      sizeFactors: new Float32Array(minibatchSize),
      conditions: Array.from({ length: conditionKeys }, () => new Int32Array(minibatchSize)),
      combinations: new Int32Array(minibatchSize),
      labels: new Int32Array(minibatchSize * levels).fill(-1),
    };
    this.#reconstruction = new Float64Array(minibatchSize);
    this.#prototypes = new Float64Array(prototypes[0] * prototypes[1]);
  }

  createParameter(options: ParameterOptions): Parameter {
    const size = options.shape.reduce((product, n) => product * n, 1);
    const parameter = { ...options, id: this.#parameters.length };
    this.#parameters.push(parameter);
    this.#stored.push({
      value: new Float64Array(size),
      gradient: new Float64Array(size),
      first: new Float64Array(size),
      second: new Float64Array(size),
    });
    return parameter;
  }

  createActivation(columns: number): Activation {
    this.#activations.push(new Float64Array(this.options.minibatchSize * columns));
    return { id: this.#activations.length - 1, columns };
  }

  record(build: (operations: Operations) => void): Program {
    const steps: ((run: Run) => void)[] = [];
    build(this.#recorder(steps));
    return {
      run: ({
        step = 1,
        learningRate = 0,
        klWeight = 1,
        prototypeWeight = 0,
        crossEntropyWeight = 0,
        seed = 0,
      }: RunOptions = {}): Losses => {
        const run: Run = {
          step,
          learningRate,
          klWeight,
          prototypeWeight,
          crossEntropyWeight,
          seed,
          reconstruction: 0,
          kl: 0,
          prototype: 0,
          crossEntropy: 0,
        };
        for (const { gradient } of this.#stored) gradient.fill(0);
        for (const execute of steps) execute(run);
        const { reconstruction, kl, prototype, crossEntropy } = run;
        return { reconstruction, kl, prototype, crossEntropy };
      },
    };
  }

  read(parameter: Parameter): Floats {
    return this.#stored[parameter.id]!.value.slice();
  }
  write(parameter: Parameter, values: ArrayLike<number>): void {
    this.#stored[parameter.id]!.value.set(
      sized(values, this.#stored[parameter.id]!.value.length, parameter.name),
    );
  }
  readMoments(parameter: Parameter): { first: Floats; second: Floats } {
    const { first, second } = this.#stored[parameter.id]!;
    return { first: first.slice(), second: second.slice() };
  }
  writeMoments(parameter: Parameter, first: ArrayLike<number>, second: ArrayLike<number>): void {
    this.#stored[parameter.id]!.first.set(first);
    this.#stored[parameter.id]!.second.set(second);
  }
  readGradient(parameter: Parameter): Floats {
    return this.#stored[parameter.id]!.gradient.slice();
  }
  readActivation(activation: Activation, into?: Floats): Floats {
    const values = this.#activations[activation.id]!.subarray(0, this.minibatch.rows * activation.columns);
    if (!into) return values.slice();
    into.set(values);
    return into;
  }
  writeActivation(activation: Activation, values: ArrayLike<number>): void {
    this.#activations[activation.id]!.set(values);
  }
  readReconstruction(): Floats {
    return this.#reconstruction.slice(0, this.minibatch.rows);
  }
  writePrototypes(values: ArrayLike<number>): void {
    this.#prototypes.set(sized(values, this.#prototypes.length, "prototypes"));
  }
  async close(): Promise<void> {}

  #recorder(steps: ((run: Run) => void)[]): Operations {
    const recording: Recording = {
      options: this.options,
      cells: this.minibatch,
      reconstruction: this.#reconstruction,
      prototypes: this.#prototypes,
      touched: new Set(),
      add: (execute) => void steps.push(execute),
      value: (parameter) => this.#stored[parameter.id]!.value,
      gradient: (parameter) => this.#stored[parameter.id]!.gradient,
      array: (activation) => this.#activations[activation.id]!,
    };
    return {
      ...layerOperations(recording),
      ...likelihoodOperations(recording),
      ...prototypeOperations(recording),
      update: () =>
        recording.add(({ step, learningRate }) =>
          recording.touched.forEach((parameter) => this.#adam(parameter, step, learningRate)),
        ),
    };
  }

  #adam(parameter: Parameter, step: number, learningRate: number): void {
    const { value, gradient, first, second } = this.#stored[parameter.id]!;
    const { beta1, beta2, eps } = adam;
    const used = movesUsedOnly(parameter, this.options.minibatchSize)
      ? new Set(this.minibatch.combinations.subarray(0, this.minibatch.rows))
      : null;
    for (let i = 0; i < value.length; i++) {
      const condition = conditionOf(parameter, i);
      if (condition < parameter.trainableFrom || (used && !used.has(condition))) continue;
      const g = gradient[i]! + parameter.weightDecay * value[i]!;
      first[i] = beta1 * first[i]! + (1 - beta1) * g;
      second[i] = beta2 * second[i]! + (1 - beta2) * g * g;
      const scale = Math.sqrt(second[i]!) / Math.sqrt(1 - beta2 ** step) + eps;
      value[i]! -= ((learningRate / (1 - beta1 ** step)) * first[i]!) / scale;
    }
  }
}

/**
 * The condition of element i of an embedding (C, E), one-hot weight (C, H) or theta (G, C); 0 for other
 * parameters.
 */
function conditionOf({ role, shape }: Parameter, i: number): number {
  return role === "embedding" || role === "one-hot"
    ? Math.floor(i / shape[1]!)
    : role === "theta"
      ? i % shape[1]!
      : 0;
}

function sized(values: ArrayLike<number>, length: number, name: string): ArrayLike<number> {
  if (values.length !== length)
    throw new ScPoliError("model", `${name} has ${values.length} values; expected ${length}.`, { name });
  return values;
}
