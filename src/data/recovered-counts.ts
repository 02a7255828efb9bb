// Counts recovered from normalised values, where that is exact: each value of a cell is what a whole number
// gives, in every cell that is read.
import type { AnnData } from "../anndata/anndata.js";
import type { DataFrame } from "../anndata/dataframe.js";
import type { Matrix, NumericArray } from "../anndata/matrix.js";
import { ScPoliError } from "../contract/errors.js";
import { derived } from "./derived-counts.js";
import type { Look } from "./place-look.js";

/** How counts were normalised. */
export interface Recovery {
  /** total of every cell after normalisation */
  readonly total: number;
  /**
   * whether the total must be met by the values that are there: of the usual 10,000 genes may have been left
   * out since, another total is known by being met
   */
  readonly isMet: boolean;
  /** base of the logarithm that was taken of 1 + x; null where none was */
  readonly base: number | null;
}

/** What scanpy normalises a cell to in its tutorials. */
const usualTotal = 1e4;
/** The smallest value of a cell is that of a count of 1, or, of few cells, of one of the next. */
const smallestCounts = 8;
/** Relative error of a value in float32, after log1p and back. */
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
 * Counts of one cell from log1p(count / total x 10,000), where that is exact: each value is what the count
 * gives, and the total a whole number that is not less than the counts together (genes may have been left out
 * since).
 * @returns null where they are not
 */
export function recoverRow(
  values: NumericArray,
  { total: target, isMet, base }: Recovery = { total: usualTotal, isMet: false, base: Math.E },
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

/** Cells of each of the blocks that decide whether counts can be recovered. */
const lookedAt = 16;

/**
 * How the values of a place can be undone; null where that is not proven. Other totals than 10,000 are known
 * by being that of every cell, and logarithms of them by uns["log1p"].
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
  const tries: Recovery[] = [{ total: usualTotal, isMet: false, base }];
  // uns["log1p"] speaks of X; raw.X is X from before, most often with the same logarithm
  const logged = base === Math.E ? look.totalOfLogarithms : await totalOfLogarithms(matrix, base);
  if (log !== null && !name.startsWith("layers/") && logged !== null)
    tries.push({ total: logged, isMet: true, base });
  if (look.total !== null) tries.push({ total: look.total, isMet: true, base: null });
  for (const recovery of tries) if (await isRecoverable(matrix, recovery)) return recovery;
  return null;
}

/** Base of the logarithm that uns["log1p"] tells of; null where there is no word of one. */
async function logarithmOf(data: AnnData): Promise<number | null> {
  if (!data.unsKeys.includes("log1p")) return null;
  const value = await data.uns("log1p").catch(() => undefined);
  const base = value && typeof value === "object" && "base" in value ? value["base"] : undefined;
  return typeof base === "number" && base > 1 ? base : Math.E;
}

/** The total of exp(x) - 1 in the first cells, where they have one. */
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

/** Whether the first, middle and last cells are what whole numbers give. */
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
 * A matrix of normalised values as one of counts, recovered cell by cell.
 * @param obs - names the cells in errors
 * @returns a matrix whose `read` throws ScPoliError "counts" at the first cell where they are not exact
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
          `${matrix.place} holds no ${describeNormalisation(recovery)} in cell '${cell}' (row ${start + row}): its counts cannot be recovered exactly.`,
          { row: start + row, cell },
        );
      }
      values.set(counts, from);
    }
    return { ...block, values };
  });
}
