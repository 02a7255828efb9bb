// What a Python model knows of its samples: a data frame with a row per condition (or combination of
// conditions), taken apart by condition key.
import type { SampleMetadata } from "../data/sample-metadata.js";
import type { Note } from "../contract/options.js";
import type { Cell } from "./python/numpy.js";
import { pandasFrame, type PandasFrame } from "./python/pandas.js";
import type { PyValue } from "./python/pickle.js";
import { nameOf } from "./attributes.js";
import { splitCombinations } from "./combinations.js";

/**
 * @param keys - condition keys, with the names of their conditions
 * @returns per key; null where nothing is known of any sample
 */
export function sampleMetadata(
  value: PyValue | undefined,
  keys: readonly { readonly key: string; readonly conditions: readonly string[] }[],
  where: string,
  note: (note: Note) => void,
): SampleMetadata[] | null {
  // the package's way to say "nothing"
  if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return null;
  const frame = pandasFrame(value);
  const rows = frame && conditionsOfRows(frame, keys, where);
  if (!frame || !rows) {
    note({
      level: "warning",
      message:
        "The sample metadata of the model cannot be read (a data frame of a kind that is not known) and are left out.",
    });
    return null;
  }
  if (frame.unreadable.length > 0)
    note({
      level: "warning",
      message: `Columns of the sample metadata that cannot be read are left out: ${frame.unreadable.map((name) => `'${name}'`).join(", ")}.`,
    });
  const found = keys.map((_, k) => ofKey(frame, rows[k]!));
  return found.some(({ columns }) => columns.length > 0) ? found : null;
}

/**
 * Per key the condition of each row: from the index, from a column of the key's name, or from the joined
 * names.
 */
function conditionsOfRows(
  frame: PandasFrame,
  keys: readonly { readonly key: string; readonly conditions: readonly string[] }[],
  where: string,
): readonly (readonly string[])[] | null {
  const texts = (cells: readonly Cell[]): string[] => cells.map((cell) => nameOf(cell)!);
  const given = keys.map(({ key }) => {
    const level = frame.indexNames.indexOf(key);
    return level >= 0 ? frame.index[level] : frame.columns.get(key);
  });
  if (given.every((cells) => cells !== undefined)) return given.map((cells) => texts(cells));
  if (frame.index.length > 1) return null;
  const names = texts(frame.index[0]!);
  if (keys.length === 1) return [names];
  const codes = splitCombinations(
    names,
    keys.map(({ conditions }) => conditions),
    where,
  );
  return keys.map(({ conditions }, k) => codes.map(([first]) => conditions[first![k]!]!));
}

/**
 * What the rows of a condition agree on; columns in which none does are left out, and so are those that
 * repeat the names.
 */
function ofKey(frame: PandasFrame, conditions: readonly string[]): SampleMetadata {
  const samples = [...new Set(conditions)];
  const rowOf = new Map(samples.map((name, row) => [name, row]));
  const columns: string[] = [];
  const values: Cell[][] = samples.map(() => []);
  for (const [name, cells] of frame.columns) {
    if (name === "conditions_combined") continue;
    const own: (Cell | undefined)[] = samples.map(() => undefined);
    cells.forEach((value, i) => {
      const cell = typeof value === "number" && !Number.isFinite(value) ? null : value;
      const row = rowOf.get(conditions[i]!)!;
      own[row] = own[row] === undefined || own[row] === cell ? cell : null;
    });
    if (own.every((cell) => cell === null)) continue;
    columns.push(name);
    own.forEach((cell, row) => values[row]!.push(cell ?? null));
  }
  return { columns, samples: Object.fromEntries(samples.map((name, row) => [name, values[row]!])) };
}
