// The network of a stored model on an engine, ready to encode and decode: nothing in it is trained.
import type { ModelOptions, RunSettings } from "../contract/options.js";
import { createEngine } from "../engine/create.js";
import type { Engine } from "../engine/engine.js";
import { Network } from "../model/network.js";
import type { ModelSizes } from "../model/parameters.js";
import { optionsOf, type StoredModel } from "../model/stored-model.js";

/** Network options and sizes of a stored model. */
export function networkOptions({ json }: Pick<StoredModel, "json">): {
  readonly model: ModelOptions;
  readonly sizes: ModelSizes;
} {
  return {
    model: optionsOf(json.model),
    sizes: {
      genes: json.genes.length,
      conditions: json.conditions.map((names) => names.length),
      combinations: json.combinations.length,
    },
  };
}

/**
 * @param capacity - maximum number of cells at once, and of their stored counts for a number of genes
 * @returns the engine too, which the caller closes
 */
export async function storedNetwork(
  model: StoredModel,
  capacity: { readonly rows: number; readonly stored: (genes: number) => number },
  settings: RunSettings,
): Promise<{ readonly engine: Engine; readonly network: Network }> {
  const { model: options, sizes } = networkOptions(model);
  const engine = await createEngine(
    {
      minibatchSize: capacity.rows,
      minibatchCapacity: capacity.stored(sizes.genes),
      genes: sizes.genes,
      conditionKeys: sizes.conditions.length,
      levels: 0,
      prototypes: [0, options.latentDim],
    },
    settings,
  );
  const network = new Network(engine, options, sizes, {
    weightDecay: 0,
    frozen: { conditions: sizes.conditions, combinations: sizes.combinations },
  });
  network.write(new Map([...network.parameters.keys()].map((name) => [name, model.tensors.get(name)!.data])));
  return { engine, network };
}
