// Reference mapping by surgery: each new condition of the query gets an embedding row (or rows of the one-hot
// weights), and each new combination of conditions a column of theta. Only these are trained; the rest of the
// model is frozen. Source: De Donno et al. 2023, Methods ("Reference mapping"). Differs: new rows start from
// the reference condition that explains the query best, not at random; rows and columns of the reference get
// neither gradients nor weight decay (docs/explanation/differences.md).
import type { ModelJson, StoredModel, StoredTensor } from "../model/stored-model.js";
import { Combinations } from "../data/combinations.js";
import type { MapOptions } from "../contract/options.js";
import type { Parameter } from "../engine/engine.js";
import type { Conditions } from "../data/labels.js";
import { fillMinibatch, type Dataset } from "../data/minibatches.js";
import type { Network } from "../model/network.js";
import { conditionKeyOf } from "../model/parameters.js";
import { Random } from "../numerics/random.js";

/** How a condition of the query enters the model. */
export interface ConditionTreatment {
  /** Condition key */
  readonly key: string;
  /** name in the query */
  readonly condition: string;
  /** row of the extended embedding table */
  readonly row: number;
  /** "known": uses the model's frozen row; "new": gets a new row */
  readonly kind: "known" | "new";
  /** for new rows: the reference condition that explains the cells best; its row is the initial value */
  readonly nearest?: string;
  /** Cells of the condition */
  readonly cells: number;
}

/** The model extended for a query, and the codes of the query's cells in it. */
export interface Extension {
  readonly json: ModelJson;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly treatments: readonly ConditionTreatment[];
  /** per key (N) rows */
  readonly conditions: readonly Int32Array[];
  /** (N) columns of theta */
  readonly combinations: Int32Array;
  /** number of rows per key, and of combinations, before the extension */
  readonly frozen: { readonly conditions: readonly number[]; readonly combinations: number };
}

/**
 * Extends a model by the conditions of a query. New rows and columns of theta are initialised with the mean
 * of the reference's.
 * @param query - one per condition key of the model, in its order
 */
export function extendModel(
  { json, tensors }: StoredModel,
  query: readonly Conditions[],
  known: MapOptions["knownConditions"] = "reuse",
): Extension {
  const frozen = {
    conditions: json.conditions.map((names) => names.length),
    combinations: json.combinations.length,
  };
  const names = json.conditions.map((existing) => [...existing]);
  const treatments: ConditionTreatment[] = [];
  const conditions = query.map(({ key, codes, names: queryNames }, k) => {
    const cells = new Int32Array(queryNames.length);
    for (const code of codes) cells[code]!++;
    const rows = queryNames.map((condition, code) => {
      const existing = names[k]!.indexOf(condition);
      const row =
        existing >= 0 && known === "reuse" ? existing : names[k]!.push(unusedName(condition, names[k]!)) - 1;
      treatments.push({
        key,
        condition,
        row,
        kind: row < frozen.conditions[k]! ? "known" : "new",
        cells: cells[code]!,
      });
      return row;
    });
    return codes.map((code) => rows[code]!);
  });
  const table = new Combinations(json.combinations);
  const combinations = table.columns(conditions);
  const extended = new Map(tensors);
  for (const [name, tensor] of tensors) {
    const k = conditionKeyOf(name);
    if (k !== null) extended.set(name, appendRows(tensor, names[k]!.length, json.reference_conditions[k]!));
    else if (name === "theta") extended.set(name, appendColumns(tensor, table.codes.length));
  }
  return {
    json: { ...json, conditions: names, combinations: table.codes },
    tensors: extended,
    treatments,
    conditions,
    combinations,
    frozen,
  };
}

/** The condition's name, with a number appended if it is in use. */
function unusedName(condition: string, used: readonly string[]): string {
  let name = condition;
  for (let i = 2; used.includes(name); i++) name = `${condition} (${i})`;
  return name;
}

/**
 * Tables with a row per condition of a key: its embedding, or the one-hot weights of the first layers.
 */
function tablesOf(network: Network, key: number): readonly Parameter[] {
  return [...network.parameters.values()].filter(({ name }) => conditionKeyOf(name) === key);
}

/** (C, E) -> (rows, E); new rows are the mean of the first `reference`. */
function appendRows({ shape, data }: StoredTensor, rows: number, reference: number): StoredTensor {
  const [C, E] = [shape[0]!, shape[1]!];
  const result = new Float32Array(rows * E);
  result.set(data);
  for (let e = 0; e < E; e++) {
    let sum = 0;
    for (let c = 0; c < reference; c++) sum += data[c * E + e]!;
    for (let row = C; row < rows; row++) result[row * E + e] = sum / reference;
  }
  return { shape: [rows, E], data: result };
}

/** (G, C) -> (G, columns); new columns are the mean of the others. */
function appendColumns({ shape, data }: StoredTensor, columns: number): StoredTensor {
  const [G, C] = [shape[0]!, shape[1]!];
  const result = new Float32Array(G * columns);
  for (let g = 0; g < G; g++) {
    let sum = 0;
    for (let c = 0; c < C; c++) sum += result[g * columns + c] = data[g * C + c]!;
    result.fill(sum / C, g * columns + C, (g + 1) * columns);
  }
  return { shape: [G, columns], data: result };
}

/**
 * Number of cells per query condition on which candidates are evaluated: fewer if there are many candidates.
 */
export function evaluationCells(candidates: number): number {
  return Math.max(16, Math.min(256, Math.floor(4096 / candidates)));
}

/** Number of conditions whose evaluation counts are in memory at once. */
const conditionsAtOnce = 64;

/**
 * Initialises each new condition with the row of the reference condition under which its cells are most
 * likely. The engine must hold the extended tensors; its embedding tables are updated.
 * @returns the treatments with `nearest`
 */
export async function startFromNearest(
  network: Network,
  dataset: Dataset,
  extension: Extension,
  seed: number,
): Promise<ConditionTreatment[]> {
  const { engine } = network;
  const program = network.likelihood();
  const table = new Combinations(extension.json.combinations);
  const random = new Random(seed, "judges");
  const result: ConditionTreatment[] = [...extension.treatments];
  for (const [k, key] of extension.json.condition_keys.entries()) {
    const tables = tablesOf(network, k).map((parameter) => ({
      parameter,
      rows: engine.read(parameter),
      width: parameter.shape[1]!,
    }));
    const candidates = extension.json.reference_conditions[k]!;
    const most = Math.min(evaluationCells(candidates), engine.minibatch.sizeFactors.length);
    const open = result.flatMap((treatment, at) => {
      if (treatment.key !== key || treatment.kind === "known") return [];
      return [
        {
          treatment,
          at,
          cells: random.shuffle(cellsOf(extension.conditions[k]!, treatment.row)).subarray(0, most).sort(),
        },
      ];
    });
    for (let first = 0; first < open.length; first += conditionsAtOnce) {
      const part = open.slice(first, first + conditionsAtOnce);
      const held = await dataset.counts.hold(Int32Array.from(part.flatMap(({ cells }) => Array.from(cells))));
      for (const { treatment, at, cells } of part) {
        fillMinibatch(engine.minibatch, dataset, cells, held);
        let nearest = 0;
        let least = Infinity;
        for (let candidate = 0; candidate < candidates; candidate++) {
          engine.minibatch.conditions[k]!.fill(candidate, 0, cells.length);
          cells.forEach((cell, b) => {
            const codes = extension.conditions.map((column, other) =>
              other === k ? candidate : column[cell]!,
            );
            const known = table.find(codes);
            engine.minibatch.combinations[b] = known >= 0 ? known : extension.combinations[cell]!;
          });
          const { reconstruction } = program.run();
          if (reconstruction < least) [least, nearest] = [reconstruction, candidate];
        }
        for (const { rows, width } of tables)
          rows.copyWithin(treatment.row * width, nearest * width, (nearest + 1) * width);
        result[at] = { ...treatment, nearest: extension.json.conditions[k]![nearest]! };
      }
    }
    for (const { parameter, rows } of tables) engine.write(parameter, rows);
  }
  return result;
}

function cellsOf(rows: Int32Array, row: number): Int32Array {
  const cells: number[] = [];
  rows.forEach((cellRow, cell) => cellRow === row && cells.push(cell));
  return Int32Array.from(cells);
}

/**
 * Joins the reference's unchanged tensors with the trained rows and columns of the query.
 * @param values - parameters read from the engine
 */
export function graft(
  extension: Extension,
  values: ReadonlyMap<string, Float32Array>,
): Map<string, StoredTensor> {
  const { tensors, frozen } = extension;
  const result = new Map(tensors);
  for (const [name, { shape, data }] of tensors) {
    const k = conditionKeyOf(name);
    if (k !== null) {
      const grown = values.get(name)!.slice();
      grown.set(data.subarray(0, frozen.conditions[k]! * shape[1]!));
      result.set(name, { shape, data: grown });
    } else if (name === "theta")
      result.set(name, {
        shape,
        data: values.get(name)!.map((value, i) => (i % shape[1]! < frozen.combinations ? data[i]! : value)),
      });
  }
  return result;
}

/**
 * Theta (G, C) of a mapping without training: each new combination gets the column of the combination of its
 * nearest reference conditions, if the reference has it.
 * @returns null for a likelihood without theta
 */
export function nearestTheta(
  extension: Extension,
  treatments: readonly ConditionTreatment[],
): Float32Array | null {
  const { json, tensors, frozen } = extension;
  const columns = tensors.get("theta");
  if (!columns) return null;
  const table = new Combinations(json.combinations.slice(0, frozen.combinations));
  const nearestRow = json.condition_keys.map((key, k) => {
    const added = treatments.filter((treatment) => treatment.key === key && treatment.nearest !== undefined);
    return new Map(added.map(({ row, nearest }) => [row, json.conditions[k]!.indexOf(nearest!)]));
  });
  const { shape, data } = columns;
  const [G, C] = [shape[0]!, shape[1]!];
  const theta = data.slice();
  for (let column = frozen.combinations; column < C; column++) {
    const source = table.find(json.combinations[column]!.map((row, k) => nearestRow[k]!.get(row) ?? row));
    if (source >= 0) for (let g = 0; g < G; g++) theta[g * C + column] = data[g * C + source]!;
  }
  return theta;
}
