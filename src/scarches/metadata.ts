// Sample metadata of a Python model: a data frame with a row per condition (or combination of conditions),
// split by condition key.
import type { SampleMetadata } from "../data/sample-metadata.js";
import type { Note } from "../contract/options.js";
import type { Cell } from "./python/numpy.js";
import { pandasFrame, type PandasFrame } from "./python/pandas.js";
import type { PyValue } from "./python/pickle.js";
import { nameOf } from "./attributes.js";
import { splitCombinations } from "./combinations.js";

/**
 * @param keys - condition keys, with the names of their conditions
 * @returns metadata per key; null if there are none for any sample
 */
export function sampleMetadata(
  value: PyValue | undefined,
  keys: readonly { readonly key: string; readonly conditions: readonly string[] }[],
  where: string,
  note: (note: Note) => void,
): SampleMetadata[] | null {
  // the values that scArches writes without metadata
  if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return null;
  const frame = pandasFrame(value);
  const rows = frame && conditionsOfRows(frame, keys, where);
  if (!frame || !rows) {
    note({
      level: "warning",
      message:
        "The sample metadata of the model cannot be read (an unknown kind of data frame) and are left out.",
    });
    return null;
  }
  if (frame.unreadable.length > 0)
    note({
      level: "warning",
      message:
        "Columns of the sample metadata that cannot be read are left out: " +
        `${frame.unreadable.map((name) => `'${name}'`).join(", ")}.`,
    });
  const metadata = keys.map((_, k) => metadataOfKey(frame, rows[k]!));
  return metadata.some(({ columns }) => columns.length > 0) ? metadata : null;
}

/**
 * Per key the condition of each row: from the index, from the column named like the key, or from the joined
 * names. Null if they cannot be determined.
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

/** Values on which all rows of a condition agree; columns without any are left out. */
function metadataOfKey(frame: PandasFrame, conditions: readonly string[]): SampleMetadata {
  const samples = [...new Set(conditions)];
  const rowOf = new Map(samples.map((name, row) => [name, row]));
  const columns: string[] = [];
  const values: Cell[][] = samples.map(() => []);
  for (const [name, cells] of frame.columns) {
    if (name === "conditions_combined") continue;
    const agreed: (Cell | undefined)[] = samples.map(() => undefined);
    cells.forEach((value, i) => {
      const cell = typeof value === "number" && !Number.isFinite(value) ? null : value;
      const row = rowOf.get(conditions[i]!)!;
      agreed[row] = agreed[row] === undefined || agreed[row] === cell ? cell : null;
    });
    if (agreed.every((cell) => cell === null)) continue;
    columns.push(name);
    agreed.forEach((cell, row) => values[row]!.push(cell ?? null));
  }
  return { columns, samples: Object.fromEntries(samples.map((name, row) => [name, values[row]!])) };
}
