// Recording of programs in the reference engine, and the data that operations work on.
import type { Activation, EngineOptions, Minibatch, Parameter, RunOptions } from "./engine.js";

/** A run of a program: its options and accumulated losses. */
export interface Run extends Required<RunOptions> {
  reconstruction: number;
  kl: number;
  prototype: number;
  crossEntropy: number;
}

/** Data of the operations. Arrays are row-major; parameters have the published shape. */
export interface Recording {
  readonly options: EngineOptions;
  readonly cells: Minibatch;
  /** (B) reconstruction loss of each cell */
  readonly reconstruction: Float64Array;
  /** (K, D) */
  readonly prototypes: Float64Array;
  /** parameters that receive a gradient */
  readonly touched: Set<Parameter>;
  /** Records a step. */
  readonly add: (execute: (run: Run) => void) => void;
  readonly value: (parameter: Parameter) => Float64Array;
  readonly gradient: (parameter: Parameter) => Float64Array;
  readonly array: (activation: Activation) => Float64Array;
}
