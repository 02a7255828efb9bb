// Graph connectivity: the share of each cell type's cells in the largest component of the type's neighbour
// graph, averaged over types. Source: Luecken et al. 2022; graph_connectivity of scib-metrics 0.5.10, whose
// components are strongly connected ones of the directed graph.
import { countCodes } from "./cells.js";
import type { Neighbors } from "../graph/neighbors.js";
import { mean } from "../numerics/descriptive.js";

/** @param types - (N) types of all cells @param names - number of types; those without cells are ignored */
export function graphConnectivity(neighbors: Neighbors, types: Int32Array, names: number): number {
  const components = strongComponents(neighbors, types);
  const sizes = new Map<number, number>();
  for (const component of components) sizes.set(component, (sizes.get(component) ?? 0) + 1);
  const largest = new Int32Array(names);
  components.forEach(
    (component, cell) => (largest[types[cell]!] = Math.max(largest[types[cell]!]!, sizes.get(component)!)),
  );
  const cells = countCodes(types, names);
  return mean(
    Array.from(cells.keys())
      .filter((type) => cells[type]! > 0)
      .map((type) => largest[type]! / cells[type]!),
  );
}

/**
 * Strongly connected components of the graph with edges within types only. Source: Tarjan 1972, without
 * recursion, since the depth can reach the number of cells.
 */
function strongComponents({ k, indices }: Neighbors, types: Int32Array): Int32Array {
  const N = types.length;
  const component = new Int32Array(N).fill(-1);
  /** order of discovery; -1: not yet */
  const discoveryOrder = new Int32Array(N).fill(-1);
  /** earliest cell known to be reachable that is still open */
  const earliest = new Int32Array(N);
  const nextEdge = new Int32Array(N);
  const path = new Int32Array(N);
  const open = new Int32Array(N);
  let [discovered, components, openCells] = [0, 0, 0];
  for (let start = 0; start < N; start++) {
    if (discoveryOrder[start]! >= 0) continue;
    let depth = 0;
    path[0] = start;
    discoveryOrder[start] = earliest[start] = discovered++;
    open[openCells++] = start;
    while (depth >= 0) {
      const cell = path[depth]!;
      if (nextEdge[cell]! < k) {
        const other = indices[cell * k + nextEdge[cell]!++]!;
        if (types[other] !== types[cell]) continue;
        if (discoveryOrder[other]! < 0) {
          discoveryOrder[other] = earliest[other] = discovered++;
          open[openCells++] = other;
          path[++depth] = other;
        } else if (component[other]! < 0) earliest[cell] = Math.min(earliest[cell]!, discoveryOrder[other]!);
        continue;
      }
      if (earliest[cell] === discoveryOrder[cell]) {
        let last = -1;
        do component[(last = open[--openCells]!)] = components;
        while (last !== cell);
        components++;
      }
      if (--depth >= 0) earliest[path[depth]!] = Math.min(earliest[path[depth]!]!, earliest[cell]!);
    }
  }
  return component;
}
