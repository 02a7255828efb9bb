// Samples a matrix: its values in a few cells at the beginning, middle and end. Distinguishes raw counts from
// values that resemble them (ranks, 0 and 1, rounded normalised values) and from other values.
import { rowsPerBlock, type Matrix, type SparseRows } from "../anndata/matrix.js";

type Problem = "NaN" | "infinite" | "negative" | "fractional";
const problems: readonly Problem[] = ["NaN", "infinite", "negative", "fractional"];

/** Why a value is not a count; null if it is one. */
export function problemOf(value: number): Problem | null {
  if (Number.isNaN(value)) return "NaN";
  if (value < 0) return value === -Infinity ? "infinite" : "negative";
  if (value === Infinity) return "infinite";
  return Number.isInteger(value) ? null : "fractional";
}

/** Largest relative error of a count after floating-point arithmetic. */
const nearlyWhole = 1e-6;
/** Largest absolute error of such a count. */
const mostRounding = 0.01;

/** Whether a value is a whole number up to rounding errors. */
function isNearlyWhole(value: number): boolean {
  const whole = Math.round(value);
  return Math.abs(value - whole) <= Math.min(mostRounding, nearlyWhole * Math.max(1, Math.abs(whole)));
}

/** Describes a value that is not a count: "a fractional value, 1.386". */
export function describeProblem(value: number): string {
  const problem = problemOf(value);
  if (problem === "NaN") return "NaN (a missing value)";
  return `${problem === "infinite" ? "an" : "a"} ${problem} value, ${Number(value.toPrecision(4))}`;
}

/** What whole numbers may be instead of raw counts. */
export type Suspicion = "binary" | "ranks" | "constant totals";

/** Result of sampling a matrix. */
export interface Look {
  /** values that are not zero */
  readonly values: number;
  readonly most: number;
  /** first value of each kind that is not a count */
  readonly examples: ReadonlyMap<
    Problem,
    { readonly value: number; readonly row: number; readonly column: number }
  >;
  /** whether all values are whole numbers up to rounding errors, and some are not exact */
  readonly isNearlyWhole: boolean;
  /** mean total of a cell */
  readonly depth: number;
  /** the total of every cell if it is the same in all; `totalOfLogarithms`: that of exp(x) - 1 */
  readonly total: number | null;
  readonly totalOfLogarithms: number | null;
  /** why whole numbers do not look like raw counts */
  readonly suspicion: Suspicion | null;
}

/** Cells per sampled block, and the maximum number of their values. */
const lookCells = 256;
const lookValues = 200_000;
/** Cells per block whose values are compared with each other. */
const comparedCells = 8;
/** Minimum number of values for statements about their distribution. */
const leastValues = 100;
const leastCells = 20;

/** The rows that a sample reads. */
export function lookedAt(matrix: Matrix): { readonly starts: readonly number[]; readonly rows: number } {
  const rows = Math.min(lookCells, rowsPerBlock(matrix, lookValues));
  const last = matrix.rows - rows;
  return { starts: [...new Set([0, Math.floor(last / 2), last])], rows };
}

/** @param matrix - with at least one row and one column */
export async function lookAt(matrix: Matrix): Promise<Look> {
  const { starts, rows } = lookedAt(matrix);
  const seen = new Sight();
  for (const start of starts) seen.add(await matrix.read(start, start + rows), start);
  return seen.look();
}

/** Relative spread of totals of cells normalised to one total. */
const sameTotal = 1e-4;
/** The same after rounding the values. */
const sameRounded = 0.02;
/** Smallest plausible normalisation total. */
const leastTotal = 500;

class Sight {
  #values = 0;
  #most = 0;
  #ones = 0;
  #nearly = 0;
  readonly #examples = new Map<Problem, { value: number; row: number; column: number }>();
  readonly #totals: number[] = [];
  readonly #logarithms: number[] = [];
  /** number of cells whose values are compared, and of those with all values different */
  #compared = 0;
  #different = 0;

  add({ rows, indptr, indices, values }: SparseRows, start: number): void {
    for (let row = 0; row < rows; row++) {
      const [from, to] = [indptr[row]!, indptr[row + 1]!];
      let total = 0;
      let isWhole = true;
      for (let k = from; k < to; k++) {
        const value = values[k]!;
        total += value;
        if (value > this.#most) this.#most = value;
        if (value === 1) this.#ones++;
        const problem = problemOf(value);
        if (problem === null) continue;
        isWhole = false;
        if (problem === "fractional" && isNearlyWhole(value)) this.#nearly++;
        else if (!this.#examples.has(problem))
          this.#examples.set(problem, { value, row: start + row, column: indices[k]! });
      }
      this.#values += to - from;
      if (to > from) this.#totals.push(total);
      if (isWhole) this.#compare(row < comparedCells ? values.subarray(from, to) : []);
      else {
        let powers = 0;
        for (let k = from; k < to; k++) powers += Math.expm1(values[k]!);
        this.#logarithms.push(powers);
      }
    }
  }

  #compare(values: Iterable<number> & ArrayLike<number>): void {
    if (values.length < leastCells) return;
    this.#compared++;
    if (new Set(values).size > 0.9 * values.length) this.#different++;
  }

  look(): Look {
    const examples = new Map(
      problems.flatMap((problem) => {
        const example = this.#examples.get(problem);
        return example ? [[problem, example] as const] : [];
      }),
    );
    const totals = this.#totals;
    return {
      values: this.#values,
      most: this.#most,
      examples,
      isNearlyWhole: this.#nearly > 0 && examples.size === 0,
      depth: totals.reduce((sum, total) => sum + total, 0) / Math.max(1, totals.length),
      total: commonTotal(totals, sameTotal),
      totalOfLogarithms:
        this.#logarithms.length === totals.length ? commonTotal(this.#logarithms, sameTotal) : null,
      suspicion: examples.size > 0 ? null : this.#suspicion(),
    };
  }

  #suspicion(): Suspicion | null {
    if (this.#values < leastValues || this.#totals.length < leastCells) return null;
    if (this.#ones === this.#values) return "binary";
    if (this.#compared > 0 && this.#different > 0.9 * this.#compared) return "ranks";
    const total = commonTotal(this.#totals, sameRounded);
    return total === null || total < leastTotal ? null : "constant totals";
  }
}

/** The mean of totals that are equal up to a relative error; null if they differ. */
function commonTotal(totals: readonly number[], error: number): number | null {
  if (totals.length < 2) return null;
  const mean = totals.reduce((sum, total) => sum + total, 0) / totals.length;
  return mean > 0 && totals.every((total) => Math.abs(total - mean) <= error * mean) ? mean : null;
}
