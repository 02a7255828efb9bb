// Reads obs columns as codes: conditions of a key, cell types of one or more annotation levels, and the cells
// to exclude. Cell type names share one table across levels, as do their prototypes: a name used at two
// levels is one prototype.
import type { Column, DataFrame } from "../anndata/dataframe.js";
import type { Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { isMissing, isUnlabeled, writtenAs, type MissingCells } from "./missing-values.js";
import { plainName, shownPairs, similarAmong } from "./same-names.js";

/** A column as codes into the names that occur in it. */
export interface Factor {
  /** code per cell, -1 where missing */
  readonly codes: Int32Array;
  /** in sorted order (by code point, as Python sorts) */
  readonly names: readonly string[];
  /** spellings of missing values, with their number of cells */
  readonly missing: MissingCells;
}

/** Conditions of one key. Every cell has one. */
export interface Conditions extends Omit<Factor, "missing"> {
  readonly key: string;
}

/** Cell types of all annotation levels. */
export interface Labels {
  readonly keys: readonly string[];
  /** (N, levels) row-major: row of `names`, -1 if unlabelled */
  readonly codes: Int32Array;
  /** (K) names of all levels in one table, sorted */
  readonly names: readonly string[];
  /** for each level, the rows of `names` that occur there, ascending */
  readonly levels: readonly { readonly key: string; readonly types: Int32Array }[];
}

export interface CellSelection {
  /** rows of the file to use, ascending; results are for these cells. Default: all */
  readonly keep?: Int32Array;
}

export interface FactorizeOptions extends CellSelection {
  /** treat spellings of missing values ("None", "NA") as names. Default false */
  readonly keepMissingTexts?: boolean;
}

/**
 * Encodes a column of any kind. Numbers and booleans become strings (3 and 3.0 give "3", 0.5 gives "0.5",
 * true gives "True"), and numeric strings are unified ("3.0" is "3"). Categories that do not occur are
 * dropped; spellings of missing values are missing.
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

/** Codes in order of first use (or of the categories), and the string of each. */
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

/** Order of Python's `sorted`: by code point, which differs from JavaScript's order beyond U+FFFF. */
export function byCodePoint(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let i = 0;
  while (i < length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  if (i === length) return a.length - b.length;
  if (i > 0 && (a.charCodeAt(i) & 0xfc00) === 0xdc00) i--;
  return a.codePointAt(i)! - b.codePointAt(i)!;
}

export interface ConditionsOptions extends CellSelection {
  /** what to do about cells without a condition. Default: fill the column, or exclude the cells */
  readonly advice?: string;
  readonly note?: (note: Note) => void;
}

/**
 * Conditions of a key. Their names are those that occur, sorted.
 *
 * @param key - column of obs, of any kind
 * @throws ScPoliError "key" if there is no such column, or a cell has no condition
 */
export async function readConditions(
  obs: DataFrame,
  key: string,
  options: ConditionsOptions = {},
): Promise<Conditions> {
  const { keep, advice = `fill the column, or exclude these cells: --exclude ${key}=NA` } = options;
  const { codes, names, missing } = factorize(await conditionColumn(obs, key), { keep });
  if (names.includes("none"))
    options.note?.({
      level: "info",
      message:
        `obs['${key}'] has a condition 'none', which is used as a name (no treatment), not as a missing ` +
        "value.",
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
    `obs['${key}'] has no value for ${rows.length} of ${codes.length} cells: ` +
      `${shown}${rows.length > 3 ? ", ..." : ""}. ` +
      `The values there (${writtenAs(missing)}) mean missing. Every cell needs a condition: ${advice}.`,
    { key, missing: rows.length, row: rows[0] },
  );
}

/** The column of a condition. If it is missing, the error suggests --condition-value. */
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
  /** accept a column without any label (default: false, an error) */
  readonly mayBeEmpty?: boolean;
  /** receives notes on unlabelled cells and on similar names */
  readonly note?: (note: Note) => void;
  /** throws if the labels of a key cannot be cell types */
  readonly check?: (key: string, factor: Factor) => Promise<void>;
}

/**
 * Cell types of one or more annotation levels.
 *
 * @param keys - columns of obs, one per level; none gives an empty table
 * @param unlabeled - names that mean "no label", in addition to the usual ones
 * @throws ScPoliError "key" if there is no such column, or no cell has a label at a level
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
    noteLabels(key, factor, note);
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
  if (kept.length === 0 && !(mayBeEmpty && codes.length > 0)) {
    const spellings = [...without.keys()].some(Boolean) ? writtenAs(without) : "missing values";
    const content =
      without.size > 0 ? `only ${spellings}` : codes.length > 0 ? "it is empty" : "there are no cells";
    throw new ScPoliError(
      "key",
      `obs['${key}'] has no label for any of ${codes.length} cells: ${content}. ` +
        "Name a column with cell types, or train without cell type keys.",
      { key },
    );
  }
  const recode = names.map((name) => kept.indexOf(name));
  return { codes: codes.map((code) => (code < 0 ? -1 : recode[code]!)), names: kept, missing: without };
}

function noteLabels(key: string, { codes, names, missing }: Factor, note: (note: Note) => void): void {
  const without = [...missing.values()].reduce((sum, cells) => sum + cells, 0);
  if (without > 0)
    note({
      level: "info",
      message:
        `obs['${key}']: ${without} cell${without === 1 ? "" : "s"} without a label ` +
        `(${writtenAs(missing)}), of ${codes.length}.`,
    });
  const pairs = similarAmong(names);
  if (pairs.length > 0)
    note({
      level: "warning",
      message:
        `obs['${key}'] has cell types that differ only in case or spaces and are treated as different: ` +
        `${shownPairs(pairs)}. If they are the same, merge them with --label-map.`,
    });
}

/**
 * Rows that remain after excluding cells by values of obs columns.
 *
 * @param exclude - excluded values by column, as `factorize` writes them
 * @returns ascending rows; undefined if nothing is excluded
 * @throws ScPoliError "key" if there is no such column or value, or no cell remains
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
    throw new ScPoliError(
      "key",
      `Excluding ${shownChoice(entries)} leaves none of the ${obs.length} cells.`,
      {},
    );
  return kept;
}

/**
 * Rows that have one of the given values in each of the given columns; all rows if none is given.
 * @throws ScPoliError "key" if there is no such column or value, or no such cell
 */
export async function selectedCells(
  obs: DataFrame,
  select: Readonly<Record<string, readonly string[]>> = {},
): Promise<Int32Array> {
  const entries = Object.entries(select);
  const isIn = new Uint8Array(obs.length).fill(1);
  for (const [key, values] of entries)
    (await cellsWith(obs, key, values)).forEach((has, cell) => (isIn[cell] &&= has));
  const selected = Int32Array.from(isIn.keys()).filter((cell) => isIn[cell]);
  if (selected.length === 0)
    throw new ScPoliError("key", `None of the ${obs.length} cells has ${shownChoice(entries)}.`, {});
  return selected;
}

/**
 * (N) 1 if a column has one of the values; a spelling of a missing value ("NA") selects cells without a
 * value.
 */
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
