// What cells of each type express on average, and how far a neighbourhood of a query is from all of them. A cell says little of its genes, a mean of twenty says which of them
// are where they are in no known type: what separates a new type from a known one need not lie along what separates the known ones.
import { shiftsOf } from "./shifts.js";

/** Log-normalised cells, sparse. */
export interface NormalizedRows {
  /** (rows + 1) */
  readonly indptr: Int32Array;
  readonly indices: Int32Array;
  readonly values: Float32Array;
}

/** Log-normalised expression of the types of a level. */
export interface TypeProfiles {
  /** (K, G) mean of each type; of a type without cells, zeros */
  readonly means: Float32Array;
  /** (2, G) variance of a type's mean between conditions, and of cells within a type, means over the types */
  readonly variances: Float32Array;
}

/** Neighbours whose mean a cell's neighbourhood has. */
export const profileNeighbors = 20;
const genesAtOnce = 256;
/** Added to every gene's variance: genes that hardly any cell has say little. */
const leastVariance = 1e-3;

/**
 * Logarithm of the mean squared distance of each cell's neighbourhood from the nearest type's profile, genes in units of the standard deviation that such a mean has between conditions.
 * What a condition has more, whatever the type, is taken off.
 * @param neighbors - (n, k) of each cell @param conditions, position - (n) condition and predicted type of each cell @param known - (K) cells of each type
 */
export function profileDistances(
  { indptr, indices, values }: NormalizedRows, neighbors: { readonly k: number; readonly indices: Int32Array }, conditions: Int32Array, position: Int32Array, { means, variances }: TypeProfiles, known: Int32Array,
): Float32Array {
  const n = position.length;
  const G = variances.length / 2;
  const { k } = neighbors;
  const add = (cell: number, into: Float64Array, offset: number): void => {
    for (let at = indptr[cell]!, end = indptr[cell + 1]!; at < end; at++) into[offset + indices[at]!]! += values[at]!;
  };
  const shifts = shiftsOf({ conditions, position, F: G, add }, means, known);
  const weight = Float64Array.from({ length: G }, (_, gene) => 1 / (G * (variances[gene]! + variances[G + gene]! / (k + 1) + leastVariance)));
  const sum = new Float64Array(G);
  return Float32Array.from({ length: n }, (_, i) => {
    sum.fill(0);
    add(i, sum, 0);
    const cells = new Map([[conditions[i]!, 1]]);
    for (const j of neighbors.indices.subarray(i * k, (i + 1) * k)) {
      add(j, sum, 0);
      cells.set(conditions[j]!, (cells.get(conditions[j]!) ?? 0) + 1);
    }
    for (const [condition, count] of cells) {
      const shift = shifts.get(condition)!;
      for (let gene = 0; gene < G; gene++) sum[gene]! -= count * shift[gene]!;
    }
    for (let gene = 0; gene < G; gene++) sum[gene]! /= k + 1;
    let least = Infinity;
    for (const type of [position[i]!, ...known.keys()]) {
      if (known[type] === 0) continue;
      let distance = 0;
      // most types are too far by the first few hundred genes
      for (let from = 0; from < G && distance < least; from += genesAtOnce)
        for (let gene = from, at = type * G + from, end = Math.min(G, from + genesAtOnce); gene < end; gene++, at++) {
          const difference = sum[gene]! - means[at]!;
          distance += difference * difference * weight[gene]!;
        }
      least = Math.min(least, distance);
    }
    return Math.log(least + Number.MIN_VALUE);
  });
}
