// Samples cells so that rare cell types are represented.
import { typesOf, type Dataset } from "./minibatches.js";

/**
 * Samples cells so that each type of each level has at least `share` cells, if it has as many; the rest
 * follow in order.
 * @param order - cells to choose from, in random order @param most - maximum number of cells
 * @returns ascending
 */
export function sampleRareFirst(
  { labels, levels }: Pick<Dataset, "labels" | "levels">,
  order: Int32Array,
  most: number,
  share: number,
): Int32Array {
  const cellsOfType = new Map<number, number>();
  const [chosen, others]: [number[], number[]] = [[], []];
  for (const cell of order) {
    const types = typesOf(labels, levels, cell);
    const isRare = types.some((label) => (cellsOfType.get(label) ?? 0) < share);
    (isRare && chosen.length < most ? chosen : others).push(cell);
    if (isRare) types.forEach((label) => cellsOfType.set(label, (cellsOfType.get(label) ?? 0) + 1));
  }
  return Int32Array.from([...chosen, ...others.slice(0, most - chosen.length)]).sort();
}
