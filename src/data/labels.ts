// What obs says about each cell, as codes: conditions of one key, cell types of one or more annotation
// levels, and which cells are left out. All names of cell types share one table over the levels, as their
// prototypes do: a name used at two levels is one prototype.
import type { Column, DataFrame } from "../anndata/dataframe.js";
import { ScPoliError } from "../errors.js";

/** A column as codes into the names that occur. */
export interface Factor {
  /** code per cell, -1 where missing */
  readonly codes: Int32Array;
  /** in sorted order (by code point, as Python sorts) */
  readonly names: readonly string[];
}

/** Conditions of one key. No cell lacks one. */
export interface Conditions extends Factor {
  readonly key: string;
}

/** Cell types of all annotation levels. */
export interface Labels {
  readonly keys: readonly string[];
  /** (N, levels) row-major: row of `names`, -1 where unlabelled */
  readonly codes: Int32Array;
  /** (K) the one table of all levels, sorted */
  readonly names: readonly string[];
  /** per level the rows of `names` that occur there, ascending */
  readonly levels: readonly { readonly key: string; readonly types: Int32Array }[];
}

export interface CellSelection {
  /** rows of the file that count, ascending; the answer has their number of cells. Default: all */
  readonly keep?: Int32Array;
}

const noLabel = new Set(["", "nan", "na", "unknown", "unlabeled", "unlabelled", "unassigned"]);
/** What writers of files make of a missing value; a condition of such a name is a missing one. */
const missingTexts = new Set(["", "nan"]);

/**
 * Whether a name in a cell type column means "no label": NaN, "", nan, na, unknown, unlabeled, unlabelled,
 * unassigned in any case.
 * @param more - further names of the user, taken exactly
 */
export function isUnlabeled(name: string | null, more: readonly string[] = []): boolean {
  return name === null || noLabel.has(name.trim().toLowerCase()) || more.includes(name);
}

/**
 * A column of any kind as codes; numbers and booleans become text (3 is "3", 0.5 is "0.5", true is "True").
 * Categories that do not occur are left out.
 */
export function factorize(column: Column, { keep }: CellSelection = {}): Factor {
  const { raw, texts } = rawCodes(column, keep);
  const used = new Uint8Array(texts.length);
  for (const code of raw) if (code >= 0) used[code] = 1;
  const names = [...new Set(texts.filter((_, code) => used[code]))].sort(byCodePoint);
  const rowOf = new Map(names.map((name, row) => [name, row]));
  const recode = texts.map((text) => rowOf.get(text) ?? -1);
  return { codes: raw.map((code) => (code < 0 ? -1 : recode[code]!)), names };
}

/** Codes in order of first use (or of the categories), and the text of each. */
function rawCodes(
  column: Column,
  keep: Int32Array | undefined,
): { raw: Int32Array; texts: readonly string[] } {
  const cells = keep?.length ?? column.length;
  const at = (cell: number): number => (keep ? keep[cell]! : cell);
  if (column.kind === "categorical")
    return {
      raw: Int32Array.from({ length: cells }, (_, cell) => column.codes[at(cell)]!),
      texts: column.categories,
    };
  const raw = new Int32Array(cells);
  const codeOf = new Map<string | number | boolean, number>();
  for (let cell = 0; cell < cells; cell++) {
    const value = column.values[at(cell)] ?? null;
    if (value === null || Number.isNaN(value)) raw[cell] = -1;
    else {
      let code = codeOf.get(value);
      if (code === undefined) codeOf.set(value, (code = codeOf.size));
      raw[cell] = code;
    }
  }
  return { raw, texts: [...codeOf.keys()].map(asText) };
}

function asText(value: string | number | boolean): string {
  if (typeof value === "boolean") return value ? "True" : "False";
  return String(value);
}

/** Order of Python's `sorted`: by code point, which differs from JavaScript's beyond U+FFFF. */
export function byCodePoint(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let i = 0;
  while (i < length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  if (i === length) return a.length - b.length;
  if (i > 0 && (a.charCodeAt(i) & 0xfc00) === 0xdc00) i--;
  return a.codePointAt(i)! - b.codePointAt(i)!;
}

/**
 * Conditions of a key; their names are those that occur, sorted.
 *
 * @param key - column of obs, of any kind
 * @throws ScPoliError "key" where there is no such column, or a cell has no condition
 */
export async function readConditions(
  obs: DataFrame,
  key: string,
  selection: CellSelection = {},
): Promise<Conditions> {
  const { codes, names } = factorize(await obs.column(key), selection);
  const isMissing = names.map((name) => missingTexts.has(name.trim().toLowerCase()));
  const missing: number[] = [];
  codes.forEach((code, cell) => {
    if (code < 0 || isMissing[code]) missing.push(selection.keep?.[cell] ?? cell);
  });
  if (missing.length > 0) {
    const index = await obs.index();
    const shown = missing
      .slice(0, 3)
      .map((row) => `row ${row} ('${index[row]}')`)
      .join(", ");
    throw new ScPoliError(
      "key",
      `obs['${key}'] has no value for ${missing.length} of ${codes.length} cells: ${shown}${missing.length > 3 ? ", ..." : ""}. ` +
        `Each cell needs its condition: fill the column, or leave these cells out of the file.`,
      { key, missing: missing.length, row: missing[0] },
    );
  }
  return { key, codes, names };
}

/**
 * Refuses conditions from which nothing can be learnt: every cell its own. One condition for all cells is
 * fine: it is the paper's dummy covariate.
 * @throws ScPoliError "refused" where each of several cells has a condition of its own, unless `force`
 */
export function checkConditions(
  { key, codes, names }: Conditions,
  options: { readonly force?: boolean } = {},
): void {
  if (codes.length < 2 || names.length < codes.length || options.force) return;
  throw new ScPoliError(
    "refused",
    `obs['${key}'] has a different value for each of the ${codes.length} cells, e.g. '${names[0]}' and '${names[1]}'. A condition is a group of cells that share technical or biological effects ` +
      `(a sample, a donor, a study); with one cell each, every difference between cells would be explained away. Name another column; --force goes on all the same.`,
    { key, conditions: names.length },
  );
}

/**
 * Cell types of one or more annotation levels.
 *
 * @param keys - columns of obs, one per level; none gives an empty table
 * @param unlabeled - names that mean "no label", besides the usual ones
 * @throws ScPoliError "key" where there is no such column, or no cell has a label at a level
 */
export async function readLabels(
  obs: DataFrame,
  keys: readonly string[],
  unlabeled: readonly string[] = [],
  selection: CellSelection = {},
): Promise<Labels> {
  const factors: Factor[] = [];
  for (const key of keys)
    factors.push(withoutUnlabeled(factorize(await obs.column(key), selection), key, unlabeled));
  const names = [...new Set(factors.flatMap((factor) => factor.names))].sort(byCodePoint);
  const rowOf = new Map(names.map((name, row) => [name, row]));
  const cells = selection.keep?.length ?? obs.length;
  const codes = new Int32Array(cells * keys.length);
  const levels = factors.map((factor, level) => {
    const types = Int32Array.from(factor.names, (name) => rowOf.get(name)!);
    for (let cell = 0; cell < cells; cell++)
      codes[cell * keys.length + level] = factor.codes[cell]! < 0 ? -1 : types[factor.codes[cell]!]!;
    return { key: keys[level]!, types };
  });
  return { keys, codes, names, levels };
}

function withoutUnlabeled({ codes, names }: Factor, key: string, more: readonly string[]): Factor {
  const kept = names.filter((name) => !isUnlabeled(name, more));
  if (kept.length === 0) {
    const found =
      names.length > 0
        ? `only ${names
            .slice(0, 3)
            .map((name) => `'${name}'`)
            .join(", ")}`
        : "only missing values";
    throw new ScPoliError(
      "key",
      `obs['${key}'] has no label for any of ${codes.length} cells: ${found}. Name a column with cell types, or train without cell type keys.`,
      { key },
    );
  }
  const recode = names.map((name) => kept.indexOf(name));
  return { codes: codes.map((code) => (code < 0 ? -1 : recode[code]!)), names: kept };
}

/**
 * Rows that stay when cells are left out by values of obs columns.
 *
 * @param exclude - values per column, as `factorize` writes them
 * @returns ascending rows; undefined where nothing is to be left out
 * @throws ScPoliError "key" where there is no such column or value, or no cell would stay
 */
export async function keptCells(
  obs: DataFrame,
  exclude: Readonly<Record<string, readonly string[]>> = {},
): Promise<Int32Array | undefined> {
  const entries = Object.entries(exclude);
  if (entries.length === 0) return undefined;
  const out = new Uint8Array(obs.length);
  for (const [key, values] of entries)
    (await cellsWith(obs, key, values)).forEach((has, cell) => (out[cell] ||= has));
  const kept = Int32Array.from(out.keys()).filter((cell) => !out[cell]);
  if (kept.length === 0)
    throw new ScPoliError("key", `Leaving out ${shownChoice(entries)} leaves no cell of ${obs.length}.`, {});
  return kept;
}

/**
 * Rows with one of the values given in each of the columns given; all rows where none is.
 * @throws ScPoliError "key" where there is no such column or value, or no such cell
 */
export async function selectedCells(
  obs: DataFrame,
  select: Readonly<Record<string, readonly string[]>> = {},
): Promise<Int32Array> {
  const entries = Object.entries(select);
  const isIn = new Uint8Array(obs.length).fill(1);
  for (const [key, values] of entries)
    (await cellsWith(obs, key, values)).forEach((has, cell) => (isIn[cell] &&= has));
  const own = Int32Array.from(isIn.keys()).filter((cell) => isIn[cell]);
  if (own.length === 0)
    throw new ScPoliError("key", `No cell of ${obs.length} has ${shownChoice(entries)}.`, {});
  return own;
}

/** (N) 1 where a column has one of the values. */
async function cellsWith(obs: DataFrame, key: string, values: readonly string[]): Promise<Uint8Array> {
  const { codes, names } = factorize(await obs.column(key));
  const absent = values.filter((value) => !names.includes(value));
  if (absent.length > 0)
    throw new ScPoliError(
      "key",
      `obs['${key}'] has no value ${absent.map((value) => `'${value}'`).join(", ")}; it has ${names
        .slice(0, 20)
        .map((name) => `'${name}'`)
        .join(", ")}${names.length > 20 ? ", ..." : ""}.`,
      { key, absent },
    );
  const isMeant = names.map((name) => values.includes(name));
  return Uint8Array.from(codes, (code) => (code >= 0 && isMeant[code] ? 1 : 0));
}

function shownChoice(entries: readonly (readonly [string, readonly string[]])[]): string {
  return entries.map(([key, values]) => `${key}=${values.join(",")}`).join(" ");
}
