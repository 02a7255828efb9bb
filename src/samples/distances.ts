// Distances between samples in their embedding: matrix, nearest neighbours, and an order that places similar
// samples next to each other.
import type { DenseMatrix } from "../anndata/matrix.js";

/** Distances between samples, and an order in which similar ones are neighbours. */
export interface SampleDistances {
  /** (S, S) Euclidean */
  readonly distances: DenseMatrix;
  /** (S, k) rows of the nearest other samples, the nearest first */
  readonly neighbors: readonly Int32Array[];
  /** (S) rows in the order of the leaves of a tree (average linkage) */
  readonly order: Int32Array;
}

/** @param embedding - (S, E) @param k - number of neighbours, default 5; all others if there are fewer */
export function sampleDistances(embedding: DenseMatrix, k = 5): SampleDistances {
  const { rows: S } = embedding;
  const distances = euclidean(embedding, embedding);
  const neighbors = Array.from({ length: S }, (_, row) =>
    nearest(
      distances,
      row,
      Int32Array.from({ length: S }, (_, other) => other).filter((other) => other !== row),
      k,
    ),
  );
  return { distances, neighbors, order: leafOrder(distances) };
}

/** (A, B) distances from rows to rows. */
export function euclidean(a: DenseMatrix, b: DenseMatrix): DenseMatrix & { readonly values: Float64Array } {
  const values = new Float64Array(a.rows * b.rows);
  for (let i = 0; i < a.rows; i++) {
    for (let j = 0; j < b.rows; j++) {
      let sum = 0;
      for (let column = 0; column < a.columns; column++)
        sum += (a.values[i * a.columns + column]! - b.values[j * b.columns + column]!) ** 2;
      values[i * b.rows + j] = Math.sqrt(sum);
    }
  }
  return { rows: a.rows, columns: b.rows, values };
}

/** The k nearest columns of a row, nearest first; ties in column order. */
export function nearest(
  { columns, values }: DenseMatrix,
  row: number,
  among: Int32Array,
  k: number,
): Int32Array {
  return among
    .slice()
    .sort((a, b) => values[row * columns + a]! - values[row * columns + b]! || a - b)
    .subarray(0, k);
}

/**
 * Rows in the order of the leaves of an average-linkage tree; the branch with the first row comes first. The
 * nearest-neighbour chain algorithm takes quadratic time (an available package takes cubic time, minutes for
 * 2,000 rows). Source: Muellner 2011, "Modern hierarchical, agglomerative clustering algorithms" (NN-chain).
 */
function leafOrder({ rows: S, values }: DenseMatrix): Int32Array {
  const between = Float64Array.from(values);
  const leaves = Array.from({ length: S }, (_, row): number[] => [row]);
  const active = new Set(leaves.keys());
  const chain: number[] = [];
  while (active.size > 1) {
    if (chain.length === 0) chain.push(active.values().next().value!);
    const [last, before] = [chain.at(-1)!, chain.at(-2)];
    let closest = before ?? -1;
    for (const other of active)
      if (other !== last && (closest < 0 || between[last * S + other]! < between[last * S + closest]!))
        closest = other;
    if (closest !== before) {
      chain.push(closest);
      continue;
    }
    chain.length -= 2;
    const [kept, gone] = leaves[last]![0]! < leaves[closest]![0]! ? [last, closest] : [closest, last];
    const [size, more] = [leaves[kept]!.length, leaves[gone]!.length];
    active.delete(gone);
    for (const other of active)
      if (other !== kept)
        between[kept * S + other] = between[other * S + kept] =
          (size * between[kept * S + other]! + more * between[gone * S + other]!) / (size + more);
    leaves[kept] = [...leaves[kept]!, ...leaves[gone]!];
  }
  return Int32Array.from(active.size === 1 ? leaves[active.values().next().value!]! : []);
}
