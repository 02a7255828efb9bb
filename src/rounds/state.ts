// The shared state of a training in rounds: weights and prototypes after a round, the loss history, and the
// state of early stopping.
import type { EpochLosses } from "../contract/options.js";
import type { StoredTensor } from "../model/stored-model.js";
import { initialValues, parameterShapes } from "../model/parameters.js";
import type { Tensor } from "../storage/safetensors.js";
import { startEarlyStopping } from "../training/optimization.js";
import { type EarlyStoppingState } from "../storage/training-checkpoint.js";
import { floats, type PackedFile } from "./packed-file.js";
import { planSizes, type RoundsPlan } from "./plan.js";
import { planShapes } from "./shard.js";
import { ScPoliError } from "../contract/errors.js";

/** A merged shard. */
interface MergedShard {
  readonly shard: string;
  /** SHA-256 of its result */
  readonly result: string;
}

export interface StateJson {
  /** SHA-256 of the plan */
  readonly plan: string;
  /** number of rounds so far */
  readonly round: number;
  /** shards of the last round, sorted by name; then those left out of it */
  readonly merged: readonly MergedShard[];
  readonly left_out: readonly string[];
  /** number of passes over all cells so far */
  readonly passes: number;
  readonly early: EarlyStoppingState;
  /** mean within-type variance of the latent space, per dimension; 1 before fine-tuning */
  readonly variance: number;
  /** whether early stopping has ended the training */
  readonly stopped: boolean;
  /** losses of each round: of its training, and of the validation cells with its initial weights */
  readonly history: readonly EpochLosses[];
}

export interface RoundsState {
  readonly json: StateJson;
  /** parameters of the plan, by name */
  readonly parameters: ReadonlyMap<string, StoredTensor>;
  /** momentum of the outer step; empty for the mean */
  readonly momentum: ReadonlyMap<string, StoredTensor>;
  /** (K, D) means of the cell types; null before fine-tuning and without labels */
  readonly prototypes: Float32Array | null;
}

/** The state before the first round. */
export function firstState(plan: RoundsPlan, planDigest: string): RoundsState {
  const shapes = parameterShapes(plan.model, planSizes(plan));
  return {
    json: {
      plan: planDigest,
      round: 0,
      merged: [],
      left_out: [],
      passes: 0,
      early: startEarlyStopping(),
      variance: 1,
      stopped: false,
      history: [],
    },
    parameters: new Map(
      shapes.map((shape) => [
        shape.name,
        { shape: shape.shape, data: initialValues(shape, shapes, plan.optimization.seed) },
      ]),
    ),
    momentum: new Map(),
    prototypes: null,
  };
}

export function stateTensors(
  { parameters, momentum, prototypes }: RoundsState,
  plan: RoundsPlan,
): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  for (const [name, { shape, data }] of parameters) tensors.set(`parameter/${name}`, floats(shape, data));
  for (const [name, { shape, data }] of momentum) tensors.set(`momentum/${name}`, floats(shape, data));
  if (prototypes)
    tensors.set("prototypes", floats([plan.cell_types.length, plan.model.latentDim], prototypes));
  return tensors;
}

/** @throws ScPoliError "refused" if the state belongs to another plan, "model" if it is damaged */
export function stateOf(
  file: PackedFile<StateJson>,
  plan: RoundsPlan,
  planDigest: string,
  path: string,
): RoundsState {
  if (file.json.plan !== planDigest)
    throw new ScPoliError(
      "refused",
      `${path} belongs to another plan. Remove the folder of the run and start again from \`scpoli ` +
        `rounds init\`.`,
      { path },
    );
  const group = (prefix: string): Map<string, StoredTensor> =>
    new Map(
      [...file.tensors]
        .filter(([name]) => name.startsWith(`${prefix}/`))
        .map(([name, { shape, data }]) => [
          name.slice(prefix.length + 1),
          { shape, data: data as Float32Array },
        ]),
    );
  const parameters = group("parameter");
  for (const [name, shape] of planShapes(plan))
    if (String(parameters.get(name)?.shape) !== String(shape))
      throw new ScPoliError(
        "model",
        `${path} is damaged: '${name}' does not have the shape of the plan. Remove it and run the merge ` +
          "of its round again.",
        { path, name },
      );
  return {
    json: file.json,
    parameters,
    momentum: group("momentum"),
    prototypes: (file.tensors.get("prototypes")?.data as Float32Array | undefined) ?? null,
  };
}
