// Samples of cells in which rare cell types keep their share.
import { typesOf, type Dataset } from "./minibatches.js";

/**
 * Cells in which each type of each level has `share` cells where it has as many; the rest as they come.
 * @param order - cells to choose from, in random order @param most - cells at most
 * @returns ascending
 */
export function sampleRareFirst(
  { labels, levels }: Pick<Dataset, "labels" | "levels">,
  order: Int32Array,
  most: number,
  share: number,
): Int32Array {
  const taken = new Map<number, number>();
  const [chosen, others]: [number[], number[]] = [[], []];
  for (const cell of order) {
    const own = typesOf(labels, levels, cell);
    const isRare = own.some((label) => (taken.get(label) ?? 0) < share);
    (isRare && chosen.length < most ? chosen : others).push(cell);
    if (isRare) own.forEach((label) => taken.set(label, (taken.get(label) ?? 0) + 1));
  }
  return Int32Array.from([...chosen, ...others.slice(0, most - chosen.length)]).sort();
}
