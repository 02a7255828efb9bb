// Sums from which the profiles of types (novelty/profiles.ts) are computed. Profiles without some of the
// conditions need no further pass over the cells.
import type { SparseCells } from "../kernel-modules/sparse-cells.js";
import type { TypeProfiles } from "./profiles.js";

/** Conditions whose displacement is kept: those with the most cells. */
const mostDisplacements = 16;
/** Minimum number of cells of a type in a condition for an estimate of its variance. */
const leastCells = 5;
/** Number of cells at which a condition has half weight in a type's mean; weight of a zero displacement. */
const [halvingCells, noDisplacement] = [10, 0.5];

export class ProfileSums {
  /** (groups, K, G) sums, and (groups, G) sums of squares */
  readonly #sums: Float32Array;
  readonly #squares: Float32Array;
  /** (groups, K) */
  readonly #cells: Int32Array;

  /**
   * @param groups - number of groups of cells: of one condition each, or several that are left out together
   * @param conditions - number of groups of one condition each; they come first
   */
  constructor(
    private readonly groups: number,
    private readonly conditions: number,
    private readonly K: number,
    private readonly genes: number,
  ) {
    this.#sums = new Float32Array(groups * K * genes);
    this.#squares = new Float32Array(groups * genes);
    this.#cells = new Int32Array(groups * K);
  }

  /**
   * @param types - (rows) position of each cell's type, -1 for none
   * @param groups - (rows)
   */
  add({ indptr, indices, values }: SparseCells, types: Int32Array, groups: Int32Array): void {
    const { K, genes } = this;
    types.forEach((type, row) => {
      if (type < 0) return;
      const place = groups[row]! * K + type;
      this.#cells[place]!++;
      for (let at = indptr[row]!, end = indptr[row + 1]!; at < end; at++) {
        const [gene, value] = [indices[at]!, values[at]!];
        this.#sums[place * genes + gene]! += value;
        this.#squares[groups[row]! * genes + gene]! += value * value;
      }
    });
  }

  /** @param isIn - whether each group is included */
  profiles(isIn: (group: number) => boolean): TypeProfiles {
    const { K, genes } = this;
    const groups = Array.from({ length: this.groups }, (_, group) => group).filter(isIn);
    const means = new Float32Array(K * genes);
    for (let type = 0; type < K; type++) {
      const weight = (group: number): number => halved(this.#cells[group * K + type]!);
      const all = groups.reduce((sum, group) => sum + weight(group), 0);
      for (const group of groups)
        this.#eachMean(group, type, (mean, gene) => {
          means[type * genes + gene]! += (weight(group) / all) * mean;
        });
    }
    const within = this.#within(groups);
    const variances = new Float32Array(2 * genes);
    variances.set(this.#between(groups, within));
    variances.set(within, genes);
    return { means, displacements: this.#displacements(groups, means), variances };
  }

  /** Visits the mean of each type's cells in each group that has some. */
  #eachMean(group: number, type: number, visit: (mean: number, gene: number) => void): void {
    const n = this.#cells[group * this.K + type]!;
    const from = (group * this.K + type) * this.genes;
    if (n > 0) for (let gene = 0; gene < this.genes; gene++) visit(this.#sums[from + gene]! / n, gene);
  }

  /** Variance of cells around the mean of their type in their group. */
  #within(groups: readonly number[]): Float64Array {
    const variance = new Float64Array(this.genes);
    let free = 0;
    for (const group of groups) {
      for (let gene = 0; gene < this.genes; gene++)
        variance[gene]! += this.#squares[group * this.genes + gene]!;
      for (let type = 0; type < this.K; type++) {
        const n = this.#cells[group * this.K + type]!;
        if (n > 0) free += n - 1;
        this.#eachMean(group, type, (mean, gene) => (variance[gene]! -= n * mean * mean));
      }
    }
    return variance.map((sum) => Math.max(0, sum / Math.max(1, free)));
  }

  /** Variance of a type's mean between conditions, minus the part due to its cells; mean over types. */
  #between(groups: readonly number[], within: Float64Array): Float64Array {
    const { K, genes } = this;
    const between = new Float64Array(genes);
    let types = 0;
    for (let type = 0; type < K; type++) {
      const groupsWithType = groups.filter(
        (group) => group < this.conditions && this.#cells[group * K + type]! >= leastCells,
      );
      if (groupsWithType.length < 2) continue;
      types++;
      const [sum, squares] = [new Float64Array(genes), new Float64Array(genes)];
      for (const group of groupsWithType)
        this.#eachMean(group, type, (mean, gene) => {
          sum[gene]! += mean;
          squares[gene]! += mean * mean;
        });
      const ofCells =
        groupsWithType.reduce((all, group) => all + 1 / this.#cells[group * K + type]!, 0) /
        groupsWithType.length;
      for (let gene = 0; gene < genes; gene++)
        between[gene]! +=
          (squares[gene]! - sum[gene]! ** 2 / groupsWithType.length) / (groupsWithType.length - 1) -
          within[gene]! * ofCells;
    }
    return between.map((sum) => Math.max(0, sum / Math.max(1, types)));
  }

  /** Displacement of the largest conditions: their excess expression, common to all types. */
  #displacements(groups: readonly number[], means: Float32Array): Float32Array {
    const { K, genes } = this;
    const size = (group: number): number =>
      this.#cells.subarray(group * K, (group + 1) * K).reduce((sum, n) => sum + n, 0);
    const largest = groups
      .filter((group) => group < this.conditions && size(group) > 0)
      .sort((a, b) => size(b) - size(a) || a - b)
      .slice(0, mostDisplacements);
    const displacements = new Float32Array(largest.length * genes);
    largest.forEach((group, c) => {
      let all = noDisplacement;
      for (let type = 0; type < K; type++) all += halved(this.#cells[group * K + type]!);
      for (let type = 0; type < K; type++)
        this.#eachMean(group, type, (mean, gene) => {
          displacements[c * genes + gene]! +=
            (halved(this.#cells[group * K + type]!) / all) * (mean - means[type * genes + gene]!);
        });
    });
    return displacements;
  }
}

function halved(cells: number): number {
  return cells / (cells + halvingCells);
}
