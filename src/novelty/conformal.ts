// Conformal p-values of novelty scores against cells of the reference whose conditions were left out.
// Source: Vovk et al. 2005 (conformal prediction), Fisher 1925 (combining p-values by the sum of their logs).
import { quantile } from "../numerics/descriptive.js";

/** The parts of the novelty score, each larger for less known cells. */
export type NoveltyParts = readonly [span: number, distance: number, doubt: number];

/** A cell of the reference while its donor was left out. */
export interface LeftOutCell {
  /** donor (or condition) that was left out */
  readonly unit: number;
  /** positions of the true and of the predicted type in the level */
  readonly truth: number;
  readonly predicted: number;
  readonly parts: NoveltyParts;
}

/** Weight of all left-out cells in the p-values of one type, in cells of that type: shrinks rare types. */
const pooledCells = 50;
/** Number of cells at which a unit or type has half weight: few cells say little about a donor. */
const halvingCells = 10;
/** Minimum number of cells of a type in a unit for their median to be compared with those of clusters. */
const groupCells = 10;

/** Novelty of a cell against the left-out ones. */
export interface NoveltyScore {
  /** Fisher's sum: minus the sum of the logarithms of the parts' p-values */
  readonly score: number;
  /** conformal p-value of the score, in (0, 1] */
  readonly p: number;
}

/** Left-out cells of one situation. */
export class ConformalTable {
  readonly #parts: readonly UpperTails[];
  readonly #scores: UpperTails;
  /** ascending: the median score of each type in each unit */
  readonly #medians: Float64Array;

  /** @param types - K of the level */
  constructor(
    private readonly cells: readonly LeftOutCell[],
    types: number,
  ) {
    this.#parts = ([0, 1, 2] as const).map(
      (part) =>
        new UpperTails(
          cells,
          cells.map(({ parts }) => parts[part]),
          types,
        ),
    );
    const scores = cells.map(({ predicted, parts }) => this.#fisher(predicted, parts, true));
    this.#scores = new UpperTails(cells, scores, types);
    const groups = new Map<string, number[]>();
    cells.forEach(({ unit, truth }, i) => {
      const name = `${unit} ${truth}`;
      const group = groups.get(name);
      if (group) group.push(scores[i]!);
      else groups.set(name, [scores[i]!]);
    });
    this.#medians = Float64Array.from(
      [...groups.values()].filter(({ length }) => length >= groupCells),
      (group) => quantile(group, 0.5),
    ).sort();
  }

  /** left-out cells */
  get size(): number {
    return this.cells.length;
  }
  /** number of medians: types of each unit with enough cells */
  get groups(): number {
    return this.#medians.length;
  }

  /** @param predicted - position of the predicted type of the cell */
  score(predicted: number, parts: NoveltyParts): NoveltyScore {
    const score = this.#fisher(predicted, parts, false);
    return { score, p: this.#scores.p(predicted, score, false) };
  }

  /** p-value of the median score of a group of cells, against the types of left-out units. */
  groupP(median: number): number {
    const above = this.#medians.length - lowerBound(this.#medians, median);
    return (1 + above) / (1 + this.#medians.length);
  }

  #fisher(predicted: number, parts: NoveltyParts, isInTail: boolean): number {
    return parts.reduce(
      (sum, value, part) => sum - Math.log(this.#parts[part]!.p(predicted, value, isInTail)),
      0,
    );
  }
}

/** How many of the left-out cells have a value at least as large: of one predicted type, and of all. */
class UpperTails {
  readonly #all: WeightedTail;
  readonly #types: readonly WeightedTail[];

  constructor(cells: readonly LeftOutCell[], values: readonly number[], types: number) {
    const all = Array.from(cells.keys());
    this.#all = new WeightedTail(cells, values, all);
    this.#types = Array.from(
      { length: types },
      (_, type) =>
        new WeightedTail(
          cells,
          values,
          all.filter((i) => cells[i]!.predicted === type),
        ),
    );
  }

  /**
   * The p-value of a value: the tail of its type, shrunk towards the tail of all left-out cells.
   * @param isInTail - whether the value is that of a left-out cell, which the tail already contains
   */
  p(type: number, value: number, isInTail: boolean): number {
    const tail = this.#types[type]!;
    const n = tail.size;
    const added = isInTail ? 0 : 1;
    return (added + n * tail.share(value) + pooledCells * this.#all.share(value)) / (added + n + pooledCells);
  }
}

/** Values, weighted so that units count nearly equally. */
class WeightedTail {
  readonly #sorted: Float64Array;
  /** share of the weight from each value upwards */
  readonly #from: Float64Array;

  constructor(cells: readonly LeftOutCell[], values: readonly number[], rows: readonly number[]) {
    const inUnit = new Map<number, number>();
    for (const i of rows) inUnit.set(cells[i]!.unit, (inUnit.get(cells[i]!.unit) ?? 0) + 1);
    const order = [...rows].sort((a, b) => values[a]! - values[b]! || a - b);
    this.#sorted = Float64Array.from(order, (i) => values[i]!);
    this.#from = new Float64Array(order.length + 1);
    for (let rank = order.length - 1; rank >= 0; rank--)
      this.#from[rank] = this.#from[rank + 1]! + 1 / (inUnit.get(cells[order[rank]!]!.unit)! + halvingCells);
  }

  get size(): number {
    return this.#sorted.length;
  }

  /** Share of the weight that is at a value or above. */
  share(value: number): number {
    return this.size === 0 ? 0 : this.#from[lowerBound(this.#sorted, value)]! / this.#from[0]!;
  }
}

/** Index of the first of ascending values that is not below the given one. */
function lowerBound(ascending: Float64Array, value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
