// Recovers counts from normalised values if that is exact: every value of every cell read must be the one
// that a whole number gives.
import type { AnnData } from "../anndata/anndata.js";
import type { DataFrame } from "../anndata/dataframe.js";
import type { Matrix, NumericArray } from "../anndata/matrix.js";
import { ScPoliError } from "../contract/errors.js";
import { normalizedTotal } from "../numerics/log-normalized.js";
import { derived } from "./derived-counts.js";
import type { Look } from "./place-look.js";

/** A normalisation of counts. */
export interface Recovery {
  /** total of every cell after normalisation */
  readonly total: number;
  /**
   * whether the stored values must add up to the total. For the usual 10,000, genes may have been dropped
   * later; other totals are recognised only by being met
   */
  readonly isMet: boolean;
  /** base of the logarithm applied to 1 + x; null for none */
  readonly base: number | null;
}

/** The smallest value of a cell is assumed to be a count of 1 or, rarely, one of the next counts. */
const smallestCounts = 8;
/** Relative error of a float32 value after log1p and its inverse. */
const tolerance = 1e-6;
/** Relative error of a total. */
const totalTolerance = 1e-4;

/** "log1p of counts per 10,000" */
export function describeNormalisation({ total, isMet, base }: Recovery): string {
  const counts = isMet
    ? `counts normalised to a total of ${Number(total.toPrecision(6))} per cell`
    : "counts per 10,000";
  if (base === null) return counts;
  return base === Math.E ? `log1p of ${counts}` : `logarithms (base ${base}) of 1 + ${counts}`;
}

/**
 * Recovers the counts of one cell from log1p(count / total x 10,000), if exact: each value must match its
 * count, and the total must be a whole number not below the sum of counts (genes may have been dropped
 * later).
 * @returns null if they are not exact
 */
export function recoverRow(
  values: NumericArray,
  { total: target, isMet, base }: Recovery = { total: normalizedTotal, isMet: false, base: Math.E },
): Float32Array | null {
  if (values.length === 0) return new Float32Array(0);
  const scale = base === null ? 1 : Math.log(base);
  const shares = Float64Array.from(values, (value) => (base === null ? value : Math.expm1(value * scale)));
  let [least, sum] = [Infinity, 0];
  for (const share of shares) {
    if (!(share > 0 && share < Infinity)) return null;
    if (share < least) least = share;
    sum += share;
  }
  if (isMet && Math.abs(sum - target) > totalTolerance * target) return null;
  const counts = new Float32Array(shares.length);
  for (let smallest = 1; smallest <= smallestCounts; smallest++) {
    const unit = least / smallest;
    const total = Math.round(target / unit);
    if (Math.abs(target / unit - total) > Math.max(1e-3, 4 * tolerance * total)) continue;
    let together = 0;
    const fits = shares.every((share, i) => {
      const count = Math.round((share * total) / target);
      counts[i] = count;
      together += count;
      const exact = (count * target) / total;
      const value = base === null ? exact : Math.log1p(exact) / scale;
      return count > 0 && Math.abs(value - values[i]!) <= tolerance * Math.max(1, values[i]!);
    });
    if (fits && (isMet ? together === total : together <= total)) return counts;
  }
  return null;
}

/** Cells in each of the blocks that decide whether counts can be recovered. */
const lookedAt = 16;

/**
 * The normalisation to invert; null if it is not proven. Totals other than 10,000 are recognised if every
 * cell has them, and the logarithm by uns["log1p"].
 * @param name - "X", "raw.X", "layers/NAME"
 */
export async function findRecovery(
  data: AnnData,
  matrix: Matrix,
  name: string,
  look: Look,
): Promise<Recovery | null> {
  const log = await logarithmOf(data);
  const base = log ?? Math.E;
  const tries: Recovery[] = [{ total: normalizedTotal, isMet: false, base }];
  // uns["log1p"] describes X; raw.X is an earlier X, usually with the same logarithm
  const logged = base === Math.E ? look.totalOfLogarithms : await totalOfLogarithms(matrix, base);
  if (log !== null && !name.startsWith("layers/") && logged !== null)
    tries.push({ total: logged, isMet: true, base });
  if (look.total !== null) tries.push({ total: look.total, isMet: true, base: null });
  for (const recovery of tries) if (await isRecoverable(matrix, recovery)) return recovery;
  return null;
}

/** Base of the logarithm recorded in uns["log1p"]; null if none is recorded. */
async function logarithmOf(data: AnnData): Promise<number | null> {
  if (!data.unsKeys.includes("log1p")) return null;
  const value = await data.uns("log1p").catch(() => undefined);
  const base = value && typeof value === "object" && "base" in value ? value["base"] : undefined;
  return typeof base === "number" && base > 1 ? base : Math.E;
}

/** The common total of exp(x) - 1 in the first cells; null if they differ. */
async function totalOfLogarithms(matrix: Matrix, base: number): Promise<number | null> {
  const { rows, indptr, values } = await matrix.read(0, Math.min(lookedAt, matrix.rows));
  const totals: number[] = [];
  for (let row = 0; row < rows; row++) {
    let total = 0;
    for (let k = indptr[row]!; k < indptr[row + 1]!; k++) total += Math.expm1(values[k]! * Math.log(base));
    if (total > 0) totals.push(total);
  }
  const mean = totals.reduce((sum, total) => sum + total, 0) / totals.length;
  return totals.length > 1 && totals.every((total) => Math.abs(total - mean) <= totalTolerance * mean)
    ? mean
    : null;
}

/** Whether the values of the first, middle and last cells match whole numbers. */
async function isRecoverable(matrix: Matrix, recovery: Recovery): Promise<boolean> {
  const rows = Math.min(lookedAt, matrix.rows);
  const last = matrix.rows - rows;
  let stored = 0;
  for (const start of new Set([0, Math.floor(last / 2), last])) {
    const { indptr, values } = await matrix.read(start, start + rows);
    stored += indptr[rows]!;
    for (let row = 0; row < rows; row++)
      if (recoverRow(values.subarray(indptr[row], indptr[row + 1]), recovery) === null) return false;
  }
  return stored > 0;
}

/**
 * A matrix of counts recovered from normalised values, cell by cell.
 * @param obs - gives cell names for error messages
 * @returns a matrix whose `read` throws ScPoliError "counts" at the first cell whose counts are not exact
 */
export function recoverCounts(matrix: Matrix, obs: DataFrame, recovery: Recovery): Matrix {
  return derived(matrix, matrix.columns, async (block, start) => {
    const values = new Float32Array(block.indptr[block.rows]!);
    for (let row = 0; row < block.rows; row++) {
      const [from, to] = [block.indptr[row]!, block.indptr[row + 1]!];
      const counts = recoverRow(block.values.subarray(from, to), recovery);
      if (counts === null) {
        const cell = (await obs.index())[start + row];
        throw new ScPoliError(
          "counts",
          `${matrix.place} does not hold ${describeNormalisation(recovery)} in cell '${cell}' ` +
            `(row ${start + row}): its counts cannot be recovered exactly.`,
          { row: start + row, cell },
        );
      }
      values.set(counts, from);
    }
    return { ...block, values };
  });
}
