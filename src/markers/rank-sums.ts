// Rank sums of groups of cells from the nonzero entries of one gene. Zeros are one tie, whose rank follows
// from their number.
// Source: Wilcoxon 1945; Mann and Whitney 1947; ties as in Lehmann, "Nonparametrics", section 1.4.
import type { SortedEntries } from "./gene-columns.js";

/** Groups against all other cells. */
export interface RankSums {
  /** (K) sum of the ranks of each group's cells among all cells, from 1; tied cells share their mean rank */
  readonly sums: Float64Array;
  /** sum over ties of t cells of t^3 - t */
  readonly ties: number;
}

/** Calls `visit` for each run of equal values [from, to); zeros are an empty run at their position. */
function eachRun(
  { length, keys, lowKeys, negative }: SortedEntries,
  zeros: number,
  visit: (from: number, to: number, isZero: boolean) => void,
): void {
  let from = 0;
  if (zeros > 0 && negative === 0) visit(0, 0, true);
  while (from < length) {
    const key = keys[from]!;
    let to = from + 1;
    if (lowKeys) while (to < length && keys[to] === key && lowKeys[to] === lowKeys[from]) to++;
    else while (to < length && keys[to] === key) to++;
    visit(from, to, false);
    from = to;
    if (zeros > 0 && from === negative) visit(from, from, true);
  }
}

/**
 * @param entries - of one gene
 * @param sizes - (groups) number of cells of every group, including those without entries; every cell is in a
 * group
 */
export function rankSums(entries: SortedEntries, sizes: Int32Array): RankSums {
  const { groups, length } = entries;
  const cells = sizes.reduce((sum, size) => sum + size, 0);
  const zeros = cells - length;
  const sums = new Float64Array(sizes.length);
  const withoutEntry = sizes.slice();
  for (let i = 0; i < length; i++) withoutEntry[groups[i]!]!--;
  let ties = 0;
  let below = 0;
  eachRun(entries, zeros, (from, to, isZero) => {
    const tied = isZero ? zeros : to - from;
    const rank = below + (tied + 1) / 2;
    if (isZero) for (let group = 0; group < sums.length; group++) sums[group]! += rank * withoutEntry[group]!;
    else for (let i = from; i < to; i++) sums[groups[i]!]! += rank;
    if (tied > 1) ties += tied ** 3 - tied;
    below += tied;
  });
  return { sums, ties };
}

/** Each group against the reference group only. */
export interface PairedRanks {
  /**
   * (K) pairs of a cell of the group and one of the reference in which the first is greater; half for a tie
   */
  readonly wins: Float64Array;
  /** (K) as in `RankSums`, among the cells of the two groups */
  readonly ties: Float64Array;
}

/** @param sizes - (groups) as for `rankSums` @param reference - the reference group */
export function pairedRanks(entries: SortedEntries, sizes: Int32Array, reference: number): PairedRanks {
  const { groups, length } = entries;
  const groupCount = sizes.length;
  const wins = new Float64Array(groupCount);
  const ties = new Float64Array(groupCount);
  const withoutEntry = sizes.slice();
  for (let i = 0; i < length; i++) withoutEntry[groups[i]!]!--;
  const cells = sizes.reduce((sum, size) => sum + size, 0);
  const inRun = new Int32Array(groupCount);
  const cubed = (t: number): number => t ** 3 - t;
  let below = 0;
  let commonTies = 0;
  eachRun(entries, cells - length, (from, to, isZero) => {
    const counts = isZero ? withoutEntry : inRun;
    if (!isZero) for (let i = from; i < to; i++) inRun[groups[i]!]!++;
    const referenceTied = counts[reference]!;
    const visit = (group: number): void => {
      const tied = counts[group]!;
      if (tied === 0) return;
      wins[group]! += tied * (below + referenceTied / 2);
      ties[group]! += cubed(tied + referenceTied) - cubed(referenceTied);
      inRun[group] = 0;
    };
    if (isZero || to - from > groupCount) for (let group = 0; group < groupCount; group++) visit(group);
    else for (let i = from; i < to; i++) if (counts[groups[i]!]! > 0) visit(groups[i]!);
    commonTies += cubed(referenceTied);
    below += referenceTied;
  });
  return { wins, ties: ties.map((groupTies) => groupTies + commonTies) };
}
