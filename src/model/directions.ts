// The directions in which cells vary most, by subspace iteration on their sparse rows; what whole conditions
// have is taken off in the algebra, and nothing is written out.
import { SparseProducts, type SparseCells } from "../engine/profiles.js";
import type { Random } from "../random.js";

/** Cells whose directions are found. */
export interface VaryingCells {
  /** (n) */
  readonly rows: SparseCells;
  readonly genes: number;
  /** (n) */
  readonly conditions: Int32Array;
  /** (G) of each condition, taken off its cells */
  readonly offsets: ReadonlyMap<number, Float64Array>;
  /** (n) what a cell counts; default: 1 */
  readonly weights?: Float64Array;
}

/**
 * The P directions (G, P), orthonormal, and the places (n, P) of the cells along them, conditions taken off.
 * Which of the directions is which is left open: distances do not depend on it.
 */
export function mainDirections(
  { rows, genes, conditions, offsets, weights }: VaryingCells,
  P: number,
  rounds: number,
  random: Random,
): { readonly basis: Float64Array; readonly coordinates: Float64Array } {
  const n = conditions.length;
  let basis = orthonormal(
    Float64Array.from({ length: genes * P }, () => random.normal()),
    genes,
    P,
  );
  const products = new SparseProducts(rows, genes, P);
  const project = (): Float64Array => {
    const projected = products.along(basis);
    const shift = new Map([...offsets].map(([condition, offset]) => [condition, rowTimes(offset, basis, P)]));
    for (let i = 0; i < n; i++)
      for (let p = 0; p < P; p++) projected[i * P + p]! -= shift.get(conditions[i]!)![p]!;
    return projected;
  };
  for (let round = 0; round < rounds; round++) {
    const projected = project();
    if (weights) for (let i = 0; i < n * P; i++) projected[i]! *= weights[Math.floor(i / P)]!;
    const sums = new Map([...offsets.keys()].map((condition) => [condition, new Float64Array(P)]));
    for (let i = 0; i < n; i++) {
      const own = projected.subarray(i * P, (i + 1) * P);
      const sum = sums.get(conditions[i]!)!;
      for (let p = 0; p < P; p++) sum[p]! += own[p]!;
    }
    const next = products.back(projected);
    for (const [condition, sum] of sums) {
      const offset = offsets.get(condition)!;
      for (let gene = 0, to = 0; gene < genes; gene++)
        for (let p = 0; p < P; p++, to++) next[to]! -= offset[gene]! * sum[p]!;
    }
    basis = orthonormal(next, genes, P);
  }
  return { basis, coordinates: project() };
}

/** Product of a row (G) with a table (G, P). */
export function rowTimes(row: Float64Array, table: Float64Array, P: number): Float64Array {
  const product = new Float64Array(P);
  for (let gene = 0, at = 0; gene < row.length; gene++)
    for (let p = 0; p < P; p++, at++) product[p]! += row[gene]! * table[at]!;
  return product;
}

/**
 * Gram and Schmidt, each column twice, so that rounding leaves nothing; a column that is nothing but the
 * others becomes zeros.
 */
export function orthonormal(columns: Float64Array, rows: number, P: number): Float64Array {
  // by columns, each one piece of memory
  const own = Array.from({ length: P }, () => new Float64Array(rows));
  for (let row = 0, at = 0; row < rows; row++) for (let p = 0; p < P; p++, at++) own[p]![row] = columns[at]!;
  own.forEach((column, p) => {
    const before = Math.sqrt(dot(column, column));
    for (let twice = 0; twice < 2; twice++)
      for (let other = 0; other < p; other++) subtract(column, dot(column, own[other]!), own[other]!);
    const length = Math.sqrt(dot(column, column));
    for (let i = 0; i < rows; i++) column[i] = length > 1e-9 * before ? column[i]! / length : 0;
  });
  const result = new Float64Array(rows * P);
  for (let row = 0, at = 0; row < rows; row++) for (let p = 0; p < P; p++, at++) result[at] = own[p]![row]!;
  return result;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function subtract(column: Float64Array, share: number, other: Float64Array): void {
  for (let i = 0; i < column.length; i++) column[i]! -= share * other[i]!;
}
