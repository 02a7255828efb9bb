// What cells of each type express on average, and how much of a neighbourhood's expression no mixture of the
// types explains. A cell says little of its genes, a mean of twenty says which of them are where they are in
// no known type: what separates a new type from a known one need not lie along what separates the known ones.
import { Random } from "../random.js";
import { MeanSquares, SparseProducts, type SparseCells } from "../engine/profiles.js";
import { mainDirections, orthonormal, rowTimes } from "./directions.js";
import { nearestNeighbors, type Neighbors } from "./neighbors.js";
import { shiftsOf } from "./shifts.js";

/** Log-normalised expression of the types of a level. */
export interface TypeProfiles {
  /** (K, G) mean of each type; of a type without cells, zeros */
  readonly means: Float32Array;
  /** (2, G) variance of a type's mean between conditions, and of cells within a type, means over the types */
  readonly variances: Float32Array;
}

/** Directions that neighbours are found in, and rounds in which those are found. */
const [directions, rounds] = [10, 5];
/**
 * Cells of a condition whose mean is its own; conditions of fewer have that of all, which also bounds the
 * memory of thousands of them.
 */
const leastCells = 20;
/** Added to every gene's variance: genes that hardly any cell has say little. */
const leastVariance = 0.1;
/** Keeps logarithms finite. */
const tiny = 1e-9;

/**
 * The neighbours of each cell among the others by the directions in which these cells themselves vary most,
 * conditions taken off: what separates an unknown type from a known one need not be among what the
 * reference's cells vary in.
 * @param conditions - (n) @param neighbors - of each, at most
 */
export function ownNeighbors(
  rows: SparseCells,
  conditions: Int32Array,
  genes: number,
  neighbors: number,
): Neighbors {
  const n = conditions.length;
  const P = Math.max(0, Math.min(directions, genes, n - 1));
  if (P === 0) return { k: 0, indices: new Int32Array(0), distances: new Float64Array(0) };
  const { coordinates } = mainDirections(
    { rows, genes, conditions, offsets: conditionMeans(rows, conditions, genes) },
    P,
    rounds,
    new Random(0, "own directions"),
  );
  return nearestNeighbors(Float32Array.from(coordinates), P, neighbors);
}

/** Mean of each condition; of one with few cells, that of all. */
function conditionMeans(
  { indptr, indices, values }: SparseCells,
  conditions: Int32Array,
  genes: number,
): Map<number, Float64Array> {
  const n = conditions.length;
  const all = new Float64Array(genes);
  for (let at = 0; at < indptr[n]!; at++) all[indices[at]!]! += values[at]! / n;
  const cells = new Map<number, number>();
  for (const condition of conditions) cells.set(condition, (cells.get(condition) ?? 0) + 1);
  const means = new Map(
    [...cells].map(([condition, own]) => [condition, own < leastCells ? all : new Float64Array(genes)]),
  );
  conditions.forEach((condition, i) => {
    const own = cells.get(condition)!;
    if (own < leastCells) return;
    const mean = means.get(condition)!;
    for (let at = indptr[i]!; at < indptr[i + 1]!; at++) mean[indices[at]!]! += values[at]! / own;
  });
  return means;
}

/** Mean over each cell and its neighbours. @param values - (n) */
export function overNeighborhoods(values: Float32Array, { k, indices }: Neighbors): Float32Array {
  return values.map((own, i) => {
    let sum = own;
    for (let at = i * k; at < (i + 1) * k; at++) sum += values[indices[at]!]!;
    return sum / (k + 1);
  });
}

/**
 * Of the mean expression of each cell's neighbourhood, less the mean of the types and what its conditions
 * have more whatever the type: what is outside the span of the types' profiles against all of it,
 * log(outside^2) - log(all^2) / 2, genes in units of the standard deviation that such a mean has between
 * conditions. Between the share outside, which says nothing of how much that is, and its size, which is large
 * for whatever differs much. What is inside says which type it is, or that cells of several are neighbours.
 * @param conditions, position - (n) condition and predicted type of each cell
 * @param known - (K) cells of each type
 */
export function unexplainedProfiles(
  rows: SparseCells,
  near: Neighbors,
  conditions: Int32Array,
  position: Int32Array,
  { means: profiles, variances }: TypeProfiles,
  known: Int32Array,
): Float32Array {
  const n = position.length;
  const G = variances.length / 2;
  const { k } = near;
  const add = (cell: number, into: Float64Array, offset: number): void => {
    for (let at = rows.indptr[cell]!, end = rows.indptr[cell + 1]!; at < end; at++)
      into[offset + rows.indices[at]!]! += rows.values[at]!;
  };
  const shifts = shiftsOf({ conditions, position, F: G, add }, profiles, known);
  const scale = Float64Array.from(
    { length: G },
    (_, gene) => 1 / Math.sqrt(variances[gene]! + variances[G + gene]! / (k + 1) + leastVariance),
  );
  const types = [...known.keys()].filter((type) => known[type]! > 0);
  const centre = Float64Array.from(
    { length: G },
    (_, gene) => types.reduce((sum, type) => sum + profiles[type * G + gene]!, 0) / Math.max(1, types.length),
  );
  const T = types.length;
  const span = scaledSpan(types, profiles, centre, scale);
  const along = (row: Float64Array): Float64Array => rowTimes(row, span, T);
  // many conditions may share one shift
  const own = [...new Set(shifts.values())];
  const code = new Map([...shifts].map(([condition, shift]) => [condition, own.indexOf(shift)]));
  const means = new MeanSquares(rows, { shifts: own, centre, scale }, k + 1);
  // along the span: sums of what the cells, their shifts and the centre are, in place of sums over all genes
  const [ofCells, ofShifts, ofCentre] = [
    new SparseProducts(rows, G, T).along(span),
    own.map(along),
    along(centre),
  ];
  return Float32Array.from({ length: n }, (_, i) => {
    const members = Int32Array.of(i, ...near.indices.subarray(i * k, (i + 1) * k));
    const cells = new Map<number, number>();
    for (const j of members)
      cells.set(code.get(conditions[j]!)!, (cells.get(code.get(conditions[j]!)!) ?? 0) + 1);
    const all = means.square(members, Int32Array.from(cells.keys()), Int32Array.from(cells.values()));
    let inside = 0;
    for (let t = 0; t < T; t++) {
      let sum = 0;
      for (const j of members) sum += ofCells[j * T + t]!;
      for (const [shift, count] of cells) sum -= count * ofShifts[shift]![t]!;
      inside += (sum / members.length - ofCentre[t]!) ** 2;
    }
    return Math.log(Math.max(0, all - inside) + tiny) - Math.log(all + tiny) / 2;
  });
}

/**
 * Orthonormal directions that span the scaled profiles of T types, each gene times its scale: (G, T). What
 * they are of unscaled genes is the product with this.
 */
function scaledSpan(
  types: readonly number[],
  means: Float32Array,
  centre: Float64Array,
  scale: Float64Array,
): Float64Array {
  const [G, T] = [centre.length, types.length];
  const columns = new Float64Array(G * T);
  for (let gene = 0, at = 0; gene < G; gene++)
    for (let t = 0; t < T; t++, at++)
      columns[at] = (means[types[t]! * G + gene]! - centre[gene]!) * scale[gene]!;
  const span = orthonormal(columns, G, T);
  for (let gene = 0, at = 0; gene < G; gene++) for (let t = 0; t < T; t++, at++) span[at]! *= scale[gene]!;
  return span;
}
