// A shard during training: its cells, coded by the shard's conditions. A job holds only the table rows of
// these conditions.
import type { AnnData } from "../anndata/anndata.js";
import type { RunSettings } from "../contract/options.js";
import { alignGenes } from "../data/genes.js";
import { openCounts } from "../data/memory.js";
import type { Dataset } from "../data/minibatches.js";
import { ScPoliError } from "../contract/errors.js";
import { conditionKeyOf, parameterShapes, type ModelSizes } from "../model/parameters.js";
import type { StoredTensor } from "../model/stored-model.js";
import { planSizes, type PlannedShard, type RoundsPlan } from "./plan.js";
import { findShardCounts, readShardCells, type ShardCells } from "./survey.js";

export interface OpenShard {
  readonly planned: PlannedShard;
  /** conditions and combinations in the shard's codes, labels in rows of the plan */
  readonly dataset: Dataset;
  /** the plan's rows of the shard's conditions, ascending, for each key: translates the shard's codes */
  readonly conditions: readonly (readonly number[])[];
  /** the plan's columns of the shard's combinations, ascending */
  readonly combinations: readonly number[];
  /** sizes of the network of a job */
  readonly sizes: ModelSizes;
}

/** @throws ScPoliError "usage" if the plan has no such shard */
export function plannedShard(plan: RoundsPlan, name: string): PlannedShard {
  const shard = plan.shards.find((candidate) => candidate.name === name);
  if (shard) return shard;
  throw new ScPoliError(
    "usage",
    `The run has no shard '${name}'; ` +
      `its shards are ${plan.shards.map((shard) => `'${shard.name}'`).join(", ")}.`,
    { shard: name },
  );
}

/** The part of the plan's conditions that a shard has. */
function conditionsOf(
  plan: RoundsPlan,
  { combinations }: PlannedShard,
): Pick<OpenShard, "conditions" | "sizes"> {
  const conditions = plan.conditions.map((_, key) =>
    [...new Set(combinations.map((column) => plan.combinations[column]![key]!))].sort((a, b) => a - b),
  );
  return {
    conditions,
    sizes: {
      genes: plan.genes.length,
      conditions: conditions.map((rows) => rows.length),
      combinations: combinations.length,
    },
  };
}

/** @throws ScPoliError "refused" if the file is not the one that was surveyed */
export async function openShard(
  plan: RoundsPlan,
  name: string,
  data: AnnData,
  settings: RunSettings,
): Promise<OpenShard> {
  const planned = plannedShard(plan, name);
  const { conditions, sizes } = conditionsOf(plan, planned);
  const cells = await readShardCells(data, plan.reading);
  const changed: Changed = (difference) =>
    new ScPoliError(
      "refused",
      `${data.path} is not the file surveyed as shard '${name}': ${difference}. Give the file that was ` +
        "surveyed, or survey all shards and plan again.",
      { path: data.path, shard: name },
    );
  if (data.nObs !== planned.cells) throw changed(`it has ${data.nObs} cells, not ${planned.cells}`);
  const codes = conditionCodes(plan, conditions, cells, changed);
  const combinations = combinationCodes(plan, planned, conditions, codes, changed);
  const labels = labelRows(plan, cells, changed);
  const { place } = await findShardCounts(data, plan.reading, (note) => settings.onNote?.(note));
  const { map } = alignGenes(plan.genes, await place.var.index());
  const parameters = parameterShapes(plan.model, sizes).reduce(
    (sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1),
    0,
  );
  const counts = await openCounts(
    place,
    { map, genes: sizes.genes, parameters, minibatch: plan.optimization.minibatch },
    { ...settings, stream: plan.stream },
  );
  return {
    planned,
    dataset: { counts, conditions: codes, combinations, labels, levels: cells.levels.length },
    conditions,
    combinations: planned.combinations,
    sizes,
  };
}

/** The error for a file that differs from the one surveyed. */
type Changed = (difference: string) => ScPoliError;

/** (N) per key, each cell's condition in the shard's codes. @throws ScPoliError "refused" */
function conditionCodes(
  plan: RoundsPlan,
  conditions: OpenShard["conditions"],
  cells: ShardCells,
  changed: Changed,
): Int32Array[] {
  const rowOf = plan.conditions.map((names) => new Map(names.map((condition, row) => [condition, row])));
  return cells.conditions.map(({ codes, names }, key) => {
    const recode = names.map((condition) => conditions[key]!.indexOf(rowOf[key]!.get(condition) ?? -1));
    const absent = names.find((_, code) => recode[code]! < 0);
    if (absent !== undefined)
      throw changed(`obs['${plan.reading.condition_keys[key]}'] has '${absent}' in it`);
    return codes.map((code) => recode[code]!);
  });
}

/** (N) each cell's combination in the shard's codes. @throws ScPoliError "refused" */
function combinationCodes(
  plan: RoundsPlan,
  planned: PlannedShard,
  conditions: OpenShard["conditions"],
  codes: readonly Int32Array[],
  changed: Changed,
): Int32Array {
  const codeOf = new Map(
    planned.combinations.map((column, code) => [
      plan.combinations[column]!.map((row, key) => conditions[key]!.indexOf(row)).join(),
      code,
    ]),
  );
  return Int32Array.from({ length: planned.cells }, (_, cell) => {
    const code = codeOf.get(codes.map((codesOfKey) => codesOfKey[cell]).join());
    if (code === undefined) throw changed("it has a combination of conditions that was not there");
    return code;
  });
}

/** (N, levels) each cell's type as a row of the plan, -1 for none. @throws ScPoliError "refused" */
function labelRows(plan: RoundsPlan, cells: ShardCells, changed: Changed): Int32Array {
  const rowOf = new Map(plan.cell_types.map((type, row) => [type, row]));
  const levels = cells.levels.length;
  const labels = new Int32Array(cells.combinations.length * levels);
  cells.levels.forEach(({ codes, names }, level) => {
    const rows = names.map((type) => rowOf.get(type) ?? -1);
    const absent = names.find((_, code) => rows[code]! < 0);
    if (absent !== undefined)
      throw changed(`obs['${plan.reading.cell_type_keys[level]}'] has '${absent}' in it`);
    codes.forEach((code, cell) => (labels[cell * levels + level] = code < 0 ? -1 : rows[code]!));
  });
  return labels;
}

/** The part of a tensor that belongs to a shard's conditions; null if it is shared. */
export function partOf(
  name: string,
  { conditions, combinations }: Pick<OpenShard, "conditions" | "combinations">,
): { readonly axis: "rows" | "columns"; readonly at: readonly number[] } | null {
  if (name === "theta") return { axis: "columns", at: combinations };
  const key = conditionKeyOf(name);
  return key === null ? null : { axis: "rows", at: conditions[key]! };
}

/** Values of a tensor of the plan in a shard's network. */
export function sliced(
  name: string,
  { shape, data }: StoredTensor,
  shard: Pick<OpenShard, "conditions" | "combinations">,
): Float32Array {
  const part = partOf(name, shard);
  if (!part) return data;
  const [R, C] = [shape[0]!, shape[1]!];
  if (part.axis === "rows") {
    const rows = new Float32Array(part.at.length * C);
    part.at.forEach((row, at) => rows.set(data.subarray(row * C, (row + 1) * C), at * C));
    return rows;
  }
  const width = part.at.length;
  const columns = new Float32Array(R * width);
  for (let row = 0; row < R; row++)
    for (let at = 0; at < width; at++) columns[row * width + at] = data[row * C + part.at[at]!]!;
  return columns;
}

/** A shard's parts of the plan, without its file. */
export function shardParts(
  plan: RoundsPlan,
  name: string,
): Pick<OpenShard, "planned" | "conditions" | "combinations" | "sizes"> {
  const planned = plannedShard(plan, name);
  return { planned, combinations: planned.combinations, ...conditionsOf(plan, planned) };
}

/** Shapes of the plan's parameters by name. */
export function planShapes(plan: RoundsPlan): ReadonlyMap<string, readonly number[]> {
  return new Map(parameterShapes(plan.model, planSizes(plan)).map(({ name, shape }) => [name, shape]));
}
