// How a query's expression differs from the reference in all of its types: an offset that is subtracted
// before cells are compared with the known types.
import type { SparseCells } from "../kernel-modules/sparse-cells.js";
import type { TypeProfiles } from "./profiles.js";

/** Labels with at least this probability enter the query's offset. */
export const sureProbability = 0.8;
/** Pseudo-cells in the weight of a type, and pseudo-weight of a zero offset: both shrink the offset. */
const [offsetCells, noOffset] = [20, 1];

/** Cells of a query from which its offsets are estimated. */
export interface OffsetCells {
  /** (n) */
  readonly rows: SparseCells;
  /** (n) code of each cell's condition */
  readonly conditions: Int32Array;
  /** (n) position of the predicted type of each cell */
  readonly position: Int32Array;
  /** (n) 1 where the label is sure */
  readonly isSure: Uint8Array;
}

/** (n) 1 where the probability of the label is at least 0.8. */
export function sureLabels(probability: Float32Array): Uint8Array {
  return Uint8Array.from(probability, (p) => (p >= sureProbability ? 1 : 0));
}

/**
 * Offsets of a query's expression from the reference that its types share. The offset for cells predicted as
 * one type is estimated from the cells of the *other* types, so that a new type cannot hide itself; a query
 * of one type has no offset.
 */
export class QueryOffsets {
  /** each (G); the first is none */
  readonly table: Float64Array[];
  /** (K) whether the other types of the query carry enough weight to estimate the type's offset */
  readonly inCompany: readonly boolean[];
  /** per type, row of `table` with its offset in the whole query */
  readonly #ofQuery: readonly number[];
  /** per condition, the same; conditions with few cells have none and use that of the whole query */
  readonly #ofConditions = new Map<number, readonly number[]>();

  constructor(cells: OffsetCells, { means }: TypeProfiles, types: readonly number[], genes: number) {
    const { conditions } = cells;
    const K = means.length / genes;
    const members = new Map<number, number[]>();
    conditions.forEach((condition, i) => {
      const conditionCells = members.get(condition);
      if (conditionCells) conditionCells.push(i);
      else members.set(condition, [i]);
    });
    const all = Array.from(conditions.keys());
    const whole = differences(cells, all, means, types, genes);
    this.table = [new Float64Array(genes)];
    this.inCompany = whole.others.map(({ weight }) => weight >= noOffset);
    // only types that occur, and only with other types beside them
    const isThere = this.inCompany.map((yes, type) => yes && cells.position.includes(type));
    const added = ({ others }: typeof whole, from: (type: number) => Float64Array): number[] =>
      others.map((other, type) => (isThere[type] ? this.table.push(shrunk(other, from(type))) - 1 : 0));
    this.#ofQuery = added(whole, () => this.table[0]!);
    const room = Math.floor(offsetBytes / (8 * genes * K));
    const large = [...members]
      .filter(([, { length }]) => length >= leastOffsetCells && members.size > 1)
      .sort(([a, cellsA], [b, cellsB]) => cellsB.length - cellsA.length || a - b);
    for (const [condition, conditionCells] of large.slice(0, room)) {
      const differing = differences(cells, conditionCells, means, types, genes);
      this.#ofConditions.set(
        condition,
        added(differing, (type) => this.table[this.#ofQuery[type]!]!),
      );
    }
  }

  /**
   * Row of `table` to subtract from a cell of a condition, in the neighbourhood of a cell predicted as a
   * type.
   */
  of(condition: number, type: number): number {
    return (this.#ofConditions.get(condition) ?? this.#ofQuery)[type]!;
  }
}

/** Minimum number of cells of a condition with its own offsets; maximum bytes of all offsets together. */
const [leastOffsetCells, offsetBytes] = [20, 64 * 1024 * 1024];

/** Median over some types of how their cells differ from the reference, and the weight of these types. */
interface Difference {
  /** (G) */
  readonly median: Float64Array;
  readonly weight: number;
}

/**
 * Per type, how the sure cells of the other types differ from the reference: the weighted median over these
 * types of the difference in mean expression, gene by gene. Cells of a new type that are predicted as one of
 * several others, wrongly but surely, change a median little.
 */
function differences(
  { rows, position, isSure }: OffsetCells,
  cells: readonly number[],
  means: Float32Array,
  types: readonly number[],
  genes: number,
): { readonly others: readonly Difference[] } {
  const K = means.length / genes;
  const meanDifferences = new Float64Array(K * genes);
  const n = new Int32Array(K);
  for (const cell of cells) {
    if (isSure[cell] === 0) continue;
    const type = position[cell]!;
    n[type]!++;
    for (let at = rows.indptr[cell]!; at < rows.indptr[cell + 1]!; at++)
      meanDifferences[type * genes + rows.indices[at]!]! += rows.values[at]!;
  }
  const weights = Float64Array.from(n, (count, type) => (types.includes(type) ? offsetWeight(count) : 0));
  for (let type = 0; type < K; type++)
    for (let at = type * genes; at < (type + 1) * genes && n[type]! > 0; at++)
      meanDifferences[at] = meanDifferences[at]! / n[type]! - means[at]!;
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  const others = Array.from(weights, (weight) => ({ median: new Float64Array(genes), weight: all - weight }));
  const present = Array.from(weights.keys()).filter((type) => weights[type]! > 0);
  for (let gene = 0; gene < genes; gene++) {
    const valueOf = (type: number): number => meanDifferences[type * genes + gene]!;
    present.sort((a, b) => valueOf(a) - valueOf(b));
    others.forEach((other, type) => {
      other.median[gene] = medianWithout(type, present, valueOf, weights, other.weight);
    });
  }
  return { others };
}

/**
 * Weighted median of the values of all types but one; 0 where there are no others.
 * @param ascending - types, ascending by their values @param total - weight of the others
 */
function medianWithout(
  type: number,
  ascending: readonly number[],
  valueOf: (type: number) => number,
  weights: Float64Array,
  total: number,
): number {
  let [weightBelow, below] = [0, 0];
  for (const other of ascending) {
    if (other === type) continue;
    const value = valueOf(other);
    // exactly half of the weight lies below: the midpoint, as in the median of an even number of values
    if (Math.abs(weightBelow - total / 2) < 1e-12 * total) return (below + value) / 2;
    if (weightBelow + weights[other]! > total / 2) return value;
    weightBelow += weights[other]!;
    below = value;
  }
  return below;
}

/** Weight of a type's cells in an offset, 0..1. */
function offsetWeight(cells: number): number {
  return cells / (cells + offsetCells);
}

/** A difference, shrunk towards another offset. */
function shrunk({ median, weight }: Difference, other: Float64Array): Float64Array {
  return median.map((value, gene) => (weight * value + noOffset * other[gene]!) / (weight + noOffset));
}
