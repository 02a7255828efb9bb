// What obs says about each cell, as codes: conditions of one key, cell types of one or more annotation
// levels, and which cells are left out. All names of cell types share one table over the levels, as their
// prototypes do: a name used at two levels is one prototype.
import type { Column, DataFrame } from "../anndata/dataframe.js";
import type { Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { isMissing, isUnlabeled, writtenAs, type MissingCells } from "./missing-values.js";
import { plainName, shownPairs, similarAmong } from "./same-names.js";

/** A column as codes into the names that occur. */
export interface Factor {
  /** code per cell, -1 where missing */
  readonly codes: Int32Array;
  /** in sorted order (by code point, as Python sorts) */
  readonly names: readonly string[];
  /** how missing values are written, and in how many cells */
  readonly missing: MissingCells;
}

/** Conditions of one key. No cell lacks one. */
export interface Conditions extends Omit<Factor, "missing"> {
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

export interface FactorizeOptions extends CellSelection {
  /** texts that stand for a missing value ("None", "NA") are names like others. Default false */
  readonly keepMissingTexts?: boolean;
}

/**
 * A column of any kind as codes; numbers and booleans become text (3 and 3.0 are "3", 0.5 is "0.5", true is
 * "True"), and numbers that are text are the same ("3.0" is "3"). Categories that do not occur are left out;
 * texts that stand for a missing value are missing.
 */
export function factorize(column: Column, options: FactorizeOptions = {}): Factor {
  const { raw, texts } = rawCodes(column, options.keep);
  const cellsOf = new Int32Array(texts.length);
  const missing = new Map<string | null, number>();
  let empty = 0;
  for (const code of raw) {
    if (code >= 0) cellsOf[code]!++;
    else empty++;
  }
  if (empty > 0) missing.set(null, empty);
  const plain = texts.map((text, code): string | null => {
    if (cellsOf[code] === 0) return null;
    if (options.keepMissingTexts || !isMissing(text)) return plainName(text);
    missing.set(text, (missing.get(text) ?? 0) + cellsOf[code]!);
    return null;
  });
  const names = [...new Set(plain.filter((name) => name !== null))].sort(byCodePoint);
  const rowOf = new Map(names.map((name, row) => [name, row]));
  const recode = plain.map((name) => (name === null ? -1 : rowOf.get(name)!));
  return { codes: raw.map((code) => (code < 0 ? -1 : recode[code]!)), names, missing };
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

export interface ConditionsOptions extends CellSelection {
  /** what to do where cells have no condition. Default: to fill the column, or leave them out */
  readonly advice?: string;
  readonly note?: (note: Note) => void;
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
  options: ConditionsOptions = {},
): Promise<Conditions> {
  const { keep, advice = `fill the column, or leave these cells out: --exclude ${key}=NA` } = options;
  const { codes, names, missing } = factorize(await conditionColumn(obs, key), { keep });
  if (names.includes("none"))
    options.note?.({
      level: "info",
      message: `obs['${key}'] has a condition 'none', which is taken as a name (no treatment), not as a missing value.`,
    });
  if (missing.size === 0) return { key, codes, names };
  const rows: number[] = [];
  codes.forEach((code, cell) => {
    if (code < 0) rows.push(keep?.[cell] ?? cell);
  });
  const index = await obs.index();
  const shown = rows
    .slice(0, 3)
    .map((row) => `row ${row} ('${index[row]}')`)
    .join(", ");
  throw new ScPoliError(
    "key",
    `obs['${key}'] has no value for ${rows.length} of ${codes.length} cells: ${shown}${rows.length > 3 ? ", ..." : ""}. ` +
      `What is written there (${writtenAs(missing)}) stands for a missing value. Each cell needs its condition: ${advice}.`,
    { key, missing: rows.length, row: rows[0] },
  );
}

/** The column of a condition; where it is not there, a file of one sample can do without. */
async function conditionColumn(obs: DataFrame, key: string): Promise<Column> {
  try {
    return await obs.column(key);
  } catch (error) {
    if (!(error instanceof ScPoliError) || error.kind !== "key") throw error;
    throw new ScPoliError(
      "key",
      `${error.message} If all cells are of one sample, name it: --condition-value NAME.`,
      error.details,
      { cause: error },
    );
  }
}

export interface LabelsOptions extends CellSelection {
  /** whether a column without a single label is one all the same (default: false, an error) */
  readonly mayBeEmpty?: boolean;
  /** told which cells have no label, and which names look the same */
  readonly note?: (note: Note) => void;
  /** throws where the labels of a key cannot be cell types */
  readonly check?: (key: string, factor: Factor) => Promise<void>;
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
  { keep, mayBeEmpty = false, note = () => undefined, check = async () => undefined }: LabelsOptions = {},
): Promise<Labels> {
  const factors: Factor[] = [];
  for (const key of keys) {
    const factor = withoutUnlabeled(factorize(await obs.column(key), { keep }), key, unlabeled, mayBeEmpty);
    if (factor.names.length > 0) await check(key, factor);
    tellLabels(key, factor, note);
    factors.push(factor);
  }
  const names = [...new Set(factors.flatMap((factor) => factor.names))].sort(byCodePoint);
  const rowOf = new Map(names.map((name, row) => [name, row]));
  const cells = keep?.length ?? obs.length;
  const codes = new Int32Array(cells * keys.length);
  const levels = factors.map((factor, level) => {
    const types = Int32Array.from(factor.names, (name) => rowOf.get(name)!);
    for (let cell = 0; cell < cells; cell++)
      codes[cell * keys.length + level] = factor.codes[cell]! < 0 ? -1 : types[factor.codes[cell]!]!;
    return { key: keys[level]!, types };
  });
  return { keys, codes, names, levels };
}

function withoutUnlabeled(
  { codes, names, missing }: Factor,
  key: string,
  more: readonly string[],
  mayBeEmpty: boolean,
): Factor {
  const kept = names.filter((name) => !isUnlabeled(name, more));
  const cellsOf = new Int32Array(names.length);
  for (const code of codes) if (code >= 0) cellsOf[code]!++;
  const without = new Map(missing);
  names.forEach((name, row) => isUnlabeled(name, more) && without.set(name, cellsOf[row]!));
  if (kept.length === 0 && !(mayBeEmpty && codes.length > 0))
    throw new ScPoliError(
      "key",
      `obs['${key}'] has no label for any of ${codes.length} cells: ${without.size > 0 ? `only ${[...without.keys()].some(Boolean) ? writtenAs(without) : "missing values"}` : "it is empty"}. Name a column with cell types, or train without cell type keys.`,
      { key },
    );
  const recode = names.map((name) => kept.indexOf(name));
  return { codes: codes.map((code) => (code < 0 ? -1 : recode[code]!)), names: kept, missing: without };
}

function tellLabels(key: string, { codes, names, missing }: Factor, note: (note: Note) => void): void {
  const without = [...missing.values()].reduce((sum, cells) => sum + cells, 0);
  if (without > 0)
    note({
      level: "info",
      message: `obs['${key}']: ${without} cell${without === 1 ? "" : "s"} without a label (${writtenAs(missing)}), of ${codes.length}.`,
    });
  const pairs = similarAmong(names);
  if (pairs.length > 0)
    note({
      level: "warning",
      message: `obs['${key}'] has cell types that differ in case or blanks alone, and count as different ones: ${shownPairs(pairs)}. Where they are the same, --label-map makes one of them.`,
    });
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

/** (N) 1 where a column has one of the values; a text such as "NA" asks for cells without one. */
async function cellsWith(obs: DataFrame, key: string, values: readonly string[]): Promise<Uint8Array> {
  const { codes, names } = factorize(await obs.column(key));
  const asked = values.map(plainName);
  const hasMissing = asked.some((value) => isMissing(value) && !names.includes(value));
  const absent = asked.filter((value) => !names.includes(value) && !isMissing(value));
  if (absent.length > 0)
    throw new ScPoliError(
      "key",
      `obs['${key}'] has no value ${absent.map((value) => `'${value}'`).join(", ")}; it has ${names
        .slice(0, 20)
        .map((name) => `'${name}'`)
        .join(", ")}${names.length > 20 ? ", ..." : ""}.`,
      { key, absent },
    );
  const isMeant = names.map((name) => asked.includes(name));
  return Uint8Array.from(codes, (code) => ((code < 0 ? hasMissing : isMeant[code]) ? 1 : 0));
}

function shownChoice(entries: readonly (readonly [string, readonly string[]])[]): string {
  return entries.map(([key, values]) => `${key}=${values.join(",")}`).join(" ");
}
