// Selects the genes of a model: all, the most variable ones, a list of names, or a boolean column of var.
// Variable genes as in scanpy 1.11 (highly_variable_genes, flavor "seurat", batch_key, n_top_genes) after
// normalize_total(target_sum=1e4) and log1p. That flavour undoes the logarithm, so sums and sums of squares
// of the normalised counts per condition and gene suffice: one pass over the file. Source:
// scanpy/preprocessing/_highly_variable_genes.py; Satija et al. 2015.
import type { DataFrame } from "../anndata/dataframe.js";
import type { Note, TrainOptions } from "../contract/options.js";
import { selectAccessiblePeaks } from "./accessible-peaks.js";
import type { CountsPlace } from "./count-places.js";
import { type ReadCountsOptions, streamCounts } from "./counts.js";
import { ScPoliError } from "../contract/errors.js";
import { normalizedTotal } from "../numerics/log-normalized.js";
import { byCodePoint } from "./labels.js";

export interface SelectGenesOptions extends ReadCountsOptions {
  /** rows of the file to use, ascending. Default: all */
  readonly keep?: Int32Array;
  /**
   * Maximum bytes of the sums, default 256 MiB. The sums of a condition are kept from its first to its last
   * cell. One pass is enough if the cells of each condition are contiguous or all sums fit; otherwise the
   * remaining conditions take further passes.
   */
  readonly sumBytes?: number;
}

const bins = 20;

/**
 * Selects the most variable genes. With conditions, genes are ranked by the number of conditions in which
 * they are among the top n, then by their mean normalised dispersion.
 *
 * @param conditions - code of each kept cell, or null to use all cells together
 * @param n - number of genes, at least 1; all genes if there are fewer
 * @returns ascending columns of the file
 * @throws ScPoliError "counts", "interrupted" as `streamCounts`
 */
export async function selectVariableGenes(
  place: CountsPlace,
  conditions: Int32Array | null,
  n: number,
  options: SelectGenesOptions = {},
): Promise<Int32Array> {
  const ranking = await rankGenes(place, conditions, n, options);
  return bestGenes(ranking, n, await place.var.index());
}

/**
 * Ranks the genes within the conditions of some cells; `addRanking` merges rankings of other conditions.
 * @param conditions - as `selectVariableGenes`; cells of code -1 are ignored
 * @param n - number of genes to select
 */
export async function rankGenes(
  place: CountsPlace,
  conditions: Int32Array | null,
  n: number,
  options: SelectGenesOptions = {},
): Promise<GeneRanking> {
  const genes = place.matrix.columns;
  const codes = codesOfRows(place.matrix.rows, conditions, options.keep);
  const ranking = new Ranking(genes);
  const most = Math.max(1, Math.floor((options.sumBytes ?? 256 * 2 ** 20) / (16 * genes)));
  const sums = new ConditionSums(codes, genes, most, (moments) =>
    ranking.add(moments, n, conditions !== null),
  );
  for (let pass = 0; !sums.isComplete; pass++)
    await sums.add(place, {
      ...options,
      onProgress: (done, rows) => options.onProgress?.(pass * rows + done, (pass + 1) * rows),
    });
  return ranking;
}

/** Ranking of the genes of a list over conditions. */
export interface GeneRanking {
  /** (G) number of conditions in which the gene is among the top n */
  readonly times: Float64Array;
  /** (G) sum of normalised dispersions; `known`: number of conditions that have one */
  readonly sum: Float64Array;
  readonly known: Float64Array;
}

/** Adds the ranking of other conditions. @param from - (G) position of each gene in `other` */
export function addRanking(total: GeneRanking, other: GeneRanking, from: ArrayLike<number>): void {
  for (const part of ["times", "sum", "known"] as const)
    total[part].forEach((value, gene) => (total[part][gene] = value + other[part][from[gene]!]!));
}

/** A ranking over no conditions. @param genes - G */
export function emptyRanking(genes: number): GeneRanking {
  return new Ranking(genes);
}

/** The top n genes, ascending. Ties are broken by name; genes without a dispersion come last. */
export function bestGenes(
  { times, sum, known }: GeneRanking,
  n: number,
  names: readonly string[],
): Int32Array {
  const mean = sum.map((total, gene) => (known[gene]! > 0 ? total / known[gene]! : -Infinity));
  const order = Int32Array.from(names.keys());
  order.sort(
    (a, b) => times[b]! - times[a]! || compare(mean[b]!, mean[a]!) || byCodePoint(names[a]!, names[b]!),
  );
  return order.slice(0, n).sort();
}

/** Condition code of each row of the file, -1 for ignored rows. */
function codesOfRows(rows: number, conditions: Int32Array | null, keep: Int32Array | undefined): Int32Array {
  if (!keep) return conditions ?? new Int32Array(rows);
  const codes = new Int32Array(rows).fill(-1);
  keep.forEach((row, cell) => (codes[row] = conditions ? conditions[cell]! : 0));
  return codes;
}

/** Sums over the cells of one condition. */
interface Moments {
  cells: number;
  /** (G) of normalised counts */
  readonly sum: Float64Array;
  /** (G) of their squares */
  readonly squares: Float64Array;
}

/** Sums the conditions, and finishes each after its last cell. */
class ConditionSums {
  readonly #open = new Map<number, Moments>();
  /** arrays of finished conditions, for reuse */
  readonly #spare: Moments[] = [];
  /** remaining cells of each condition; 0 when finished */
  readonly #cells: Int32Array;

  constructor(
    private readonly codes: Int32Array,
    private readonly genes: number,
    private readonly most: number,
    private readonly finish: (moments: Moments) => void,
  ) {
    this.#cells = new Int32Array(codes.reduce((largest, code) => Math.max(largest, code + 1), 0));
    for (const code of codes) if (code >= 0) this.#cells[code]!++;
  }

  get isComplete(): boolean {
    return this.#cells.every((cells) => cells === 0);
  }

  /** One pass over the file. */
  async add(place: CountsPlace, options: ReadCountsOptions): Promise<void> {
    const { codes, genes } = this;
    const identity = Int32Array.from({ length: genes }, (_, gene) => gene);
    const isLater = new Uint8Array(this.#cells.length);
    for await (const { start, rows, indptr, indices, counts, sizeFactors } of streamCounts(
      place,
      identity,
      genes,
      undefined,
      options,
    )) {
      for (let row = 0; row < rows; row++) {
        const code = codes[start + row]!;
        if (code < 0 || this.#cells[code] === 0 || isLater[code]) continue;
        const moments = this.#open.get(code) ?? this.#begin(code);
        if (!moments) {
          isLater[code] = 1;
          continue;
        }
        const { sum, squares } = moments;
        const scale = normalizedTotal / sizeFactors[row]!;
        for (let k = indptr[row]!; k < indptr[row + 1]!; k++) {
          const value = counts[k]! * scale;
          sum[indices[k]!]! += value;
          squares[indices[k]!]! += value * value;
        }
        if (++moments.cells === this.#cells[code]) this.#end(code, moments);
      }
    }
  }

  /** null if there is no room */
  #begin(code: number): Moments | null {
    if (this.#open.size >= this.most) return null;
    const moments = this.#spare.pop() ?? {
      cells: 0,
      sum: new Float64Array(this.genes),
      squares: new Float64Array(this.genes),
    };
    this.#open.set(code, moments);
    return moments;
  }

  #end(code: number, moments: Moments): void {
    this.finish(moments);
    this.#cells[code] = 0;
    this.#open.delete(code);
    moments.cells = 0;
    moments.sum.fill(0);
    moments.squares.fill(0);
    this.#spare.push(moments);
  }
}

/** Accumulates the ranking, one condition at a time. */
class Ranking implements GeneRanking {
  readonly times: Float64Array;
  readonly sum: Float64Array;
  readonly known: Float64Array;

  constructor(private readonly genes: number) {
    this.times = new Float64Array(genes);
    this.sum = new Float64Array(genes);
    this.known = new Float64Array(genes);
  }

  /**
   * @param onlyExpressed - genes without counts are left out of the bins and get dispersion 0, as in scanpy
   * with a batch key
   */
  add(moments: Moments, n: number, onlyExpressed: boolean): void {
    const used = Int32Array.from({ length: this.genes }, (_, gene) => gene).filter(
      (gene) => !onlyExpressed || moments.sum[gene]! > 0,
    );
    if (onlyExpressed)
      for (let gene = 0; gene < this.genes; gene++) if (!(moments.sum[gene]! > 0)) this.known[gene]!++;
    const dispersions = normalizedDispersions(moments, used);
    const sorted = dispersions.filter((value) => !Number.isNaN(value)).sort();
    const cutoff = sorted[Math.max(0, sorted.length - n)];
    used.forEach((gene, i) => {
      const dispersion = dispersions[i]!;
      if (Number.isNaN(dispersion)) return;
      this.known[gene]!++;
      this.sum[gene]! += dispersion;
      if (dispersion >= cutoff!) this.times[gene]!++;
    });
  }
}

function compare(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Normalised dispersion of each gene: log(variance / mean), standardised within 20 bins of log1p(mean); NaN
 * without variance.
 */
function normalizedDispersions({ cells, sum, squares }: Moments, used: Int32Array): Float64Array {
  const logMean = new Float64Array(used.length);
  const dispersion = new Float64Array(used.length);
  used.forEach((gene, i) => {
    const mean = sum[gene]! / cells;
    const variance = (squares[gene]! / cells - mean * mean) * (cells > 1 ? cells / (cells - 1) : 1);
    const ratio = variance / (mean || 1e-12);
    dispersion[i] = ratio > 0 ? Math.log(ratio) : NaN;
    logMean[i] = Math.log1p(mean || 1e-12);
  });
  const bin = cut(logMean);
  const size = new Float64Array(bins);
  const center = new Float64Array(bins);
  const spread = new Float64Array(bins);
  const each = (visit: (b: number, value: number) => void): void =>
    dispersion.forEach((value, i) => void (Number.isNaN(value) || visit(bin[i]!, value)));
  each((b) => void size[b]!++);
  each((b, value) => void (center[b]! += value / size[b]!));
  each((b, value) => void (spread[b]! += (value - center[b]!) ** 2));
  for (let b = 0; b < bins; b++) {
    spread[b] = Math.sqrt(spread[b]! / (size[b]! - 1));
    if (size[b] === 1)
      [spread[b], center[b]] = [center[b]!, 0]; // a single gene in a bin gets 1
    // all equal: the remaining differences are rounding errors
    else if (spread[b]! < 1e-12 * Math.abs(center[b]!)) spread[b] = NaN;
  }
  return dispersion.map((value, i) => (value - center[bin[i]!]!) / spread[bin[i]!]!);
}

/** Bin of each value: equal widths between minimum and maximum, closed on the right, as in pandas.cut. */
function cut(values: Float64Array): Int32Array {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  if (least === most)
    [least, most] = [least - 0.001 * (Math.abs(least) || 1), most + 0.001 * (Math.abs(most) || 1)];
  const step = (most - least) / bins;
  const edges = Float64Array.from({ length: bins + 1 }, (_, i) => (i === bins ? most : least + i * step));
  return Int32Array.from(values, (value) => {
    let b = Math.max(0, Math.min(bins - 1, Math.floor((value - least) / step)));
    while (b > 0 && value <= edges[b]!) b--;
    while (b < bins - 1 && value > edges[b + 1]!) b++;
    return b;
  });
}

export interface ResolveGenesOptions extends SelectGenesOptions {
  /** interpret a number of genes as a number of scATAC peaks */
  readonly isAtac?: boolean;
  /** var of X if the counts have a different one (raw): used for columns that the latter lacks */
  readonly otherVar?: DataFrame;
  /** continue if names of a list are not in the file */
  readonly force?: boolean;
  readonly note?: (note: Note) => void;
}

/**
 * Columns of the genes to train a model on, ascending. Gene names must be unique.
 *
 * @param genes - number of variable genes (most accessible peaks if `isAtac`), list of names, or name of a
 * boolean var column; undefined: all genes
 * @param conditions - as `selectVariableGenes`
 * @throws ScPoliError "usage" for a number below 1; "key" for a column that is missing or not boolean, or a
 * list without any gene of the file; "refused" for a list with names that are not in the file, unless `force`
 */
export async function resolveGenes(
  genes: TrainOptions["genes"],
  place: CountsPlace,
  conditions: Int32Array | null,
  options: ResolveGenesOptions = {},
): Promise<Int32Array> {
  const names = await place.var.index();
  if (genes === undefined) return Int32Array.from(names.keys());
  if (typeof genes === "number") {
    if (!Number.isInteger(genes) || genes < 1)
      throw new ScPoliError(
        "usage",
        `The number of genes is ${genes}; expected a whole number of at least 1.`,
        { genes },
      );
    if (genes >= names.length) {
      if (genes > names.length)
        options.note?.({
          level: "info",
          message:
            `All ${names.length} genes of ${place.name} are used: there are fewer than the ${genes} ` +
            "requested.",
        });
      return Int32Array.from(names.keys());
    }
    return options.isAtac
      ? selectAccessiblePeaks(place, options.keep, genes, options)
      : selectVariableGenes(place, conditions, genes, options);
  }
  return "varColumn" in genes
    ? columnsMarked(genes.varColumn, place, options)
    : columnsNamed(genes, names, place.name, options);
}

async function columnsMarked(
  key: string,
  place: CountsPlace,
  { otherVar, note }: Pick<ResolveGenesOptions, "otherVar" | "note">,
): Promise<Int32Array> {
  const isElsewhere = otherVar?.columnNames.includes(key) && !place.var.columnNames.includes(key);
  const frame = isElsewhere ? otherVar! : place.var;
  const rows = await rowsMarked(key, frame);
  if (!isElsewhere) return rows;
  const names = await frame.index();
  const marked = new Set(Array.from(rows, (row) => names[row]!));
  const genes = await place.var.index();
  const columns = Int32Array.from(genes.keys()).filter((gene) => marked.has(genes[gene]!));
  note?.({
    level: "info",
    message:
      `var['${key}'] belongs to X; ${columns.length} of its ${marked.size} genes are in ${place.name} by ` +
      "name, and are used.",
  });
  if (columns.length === 0)
    throw new ScPoliError("key", `No gene that var['${key}'] marks is in ${place.name} under its name.`, {
      key,
    });
  return columns;
}

/** Rows of a table where a column is true. */
async function rowsMarked(key: string, frame: DataFrame): Promise<Int32Array> {
  const column = await frame.column(key);
  const values: readonly unknown[] =
    column.kind === "categorical"
      ? Array.from(column.codes, (code) => column.categories[code])
      : Array.from(column.values as ArrayLike<unknown>);
  const isTrue = (value: unknown): boolean =>
    value === true || value === 1 || value === "True" || value === "true";
  const isFalse = (value: unknown): boolean =>
    value === false || value === 0 || value === "False" || value === "false";
  const other = values.find((value) => !isTrue(value) && !isFalse(value));
  if (other !== undefined || values.some((value) => value === undefined))
    throw new ScPoliError(
      "key",
      `var['${key}'] is not a boolean column: it contains ${JSON.stringify(other ?? null)}. ` +
        "Name a column of True and False, such as highly_variable.",
      { key },
    );
  const columns = Int32Array.from(values.keys()).filter((i) => isTrue(values[i]));
  if (columns.length === 0)
    throw new ScPoliError("key", `var['${key}'] is False for all ${values.length} genes.`, { key });
  return columns;
}

function columnsNamed(
  wanted: readonly string[],
  names: readonly string[],
  place: string,
  { force, note }: ResolveGenesOptions,
): Int32Array {
  const set = new Set(wanted);
  const columns = Int32Array.from(names.keys()).filter((column) => set.has(names[column]!));
  for (const column of columns) set.delete(names[column]!);
  if (set.size === 0 && columns.length > 0) return columns;
  const missing = [...set];
  const shown =
    missing
      .slice(0, 5)
      .map((name) => `'${name}'`)
      .join(", ") + (missing.length > 5 ? `, ...` : "");
  const details = { missing: missing.length, place };
  if (columns.length === 0) {
    const examples = names
      .slice(0, 3)
      .map((name) => `'${name}'`)
      .join(", ");
    throw new ScPoliError(
      "key",
      `No gene of the list (${wanted.length === 0 ? "it is empty" : shown}) is in ${place}, ` +
        `whose genes look like ${examples}.`,
      details,
    );
  }
  const message =
    `${missing.length} gene${missing.length === 1 ? "" : "s"} of the list ` +
    `${missing.length === 1 ? "is" : "are"} not in ${place}: ${shown}.`;
  if (!force)
    throw new ScPoliError(
      "refused",
      `${message} Remove them from the list, or use --force to continue without them.`,
      details,
    );
  note?.({ level: "warning", message: `${message} The model uses the other ${columns.length}.` });
  return columns;
}
