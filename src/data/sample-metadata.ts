// What obs says about whole conditions: columns that have one value within each condition of a key. A sample
// being a condition, this is the samples' metadata.
import type { Column, DataFrame } from "../anndata/dataframe.js";
import type { Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { isMissing } from "./missing-values.js";
import type { Conditions } from "./labels.js";

/** A value that is known of a sample; null where it is not. */
export type MetadataValue = string | number | boolean | null;

/** A table with a row per sample, a sample being a condition; null where a value is not known. */
export interface SampleMetadata {
  /** Names of the columns */
  readonly columns: readonly string[];
  /** by name of the sample, in the order of the columns */
  readonly samples: Readonly<Record<string, readonly MetadataValue[]>>;
  /** by column, where its values have an order: all of them from low to high. Missing in models of before. */
  readonly levels?: Readonly<Record<string, readonly string[]>>;
}

/**
 * The columns of obs that are constant within every condition of a key, one table per key. Cells without a
 * value do not count; a column that says no more than the condition's name is left out, and so is one that is
 * empty.
 * @param keep - rows of the file that the conditions' codes are of. Default: all
 * @param always - per key, columns that are kept although they say no more than the names: those of the model
 * that a query's conditions join
 */
export async function metadataOfConditions(
  obs: DataFrame,
  conditions: readonly Conditions[],
  {
    keep,
    always = [],
    onNote,
  }: {
    readonly keep?: Int32Array;
    readonly always?: readonly (readonly string[])[];
    readonly onNote?: (note: Note) => void;
  } = {},
): Promise<SampleMetadata[]> {
  const found = conditions.map(() => ({
    columns: [] as string[],
    values: [] as MetadataValue[][],
    levels: {} as Record<string, readonly string[]>,
  }));
  for (const name of obs.columnNames) {
    const column = await readable(obs, name, onNote);
    if (!column) continue;
    conditions.forEach(({ key, codes, names }, k) => {
      if (name === key) return;
      const values = constantValues(column, codes, names.length, keep);
      if (
        !values ||
        values.every((value) => value === null) ||
        (!always[k]?.includes(name) && values.every((value, i) => String(value) === names[i]))
      )
        return;
      found[k]!.columns.push(name);
      found[k]!.values.push(values);
      if (column.kind === "categorical" && column.ordered) found[k]!.levels[name] = column.categories;
    });
  }
  return found.map(({ columns, values, levels }, k) => ({
    columns,
    samples: Object.fromEntries(
      conditions[k]!.names.map((name, row) => [name, values.map((column) => column[row]!)]),
    ),
    ...(Object.keys(levels).length > 0 && { levels }),
  }));
}

async function readable(obs: DataFrame, name: string, onNote?: (note: Note) => void): Promise<Column | null> {
  try {
    return await obs.column(name);
  } catch (error) {
    if (!(error instanceof ScPoliError)) throw error;
    onNote?.({ level: "warning", message: `${error.message} The samples' metadata do without it.` });
    return null;
  }
}

/** One value per condition; null where two cells of a condition differ. */
function constantValues(
  column: Column,
  codes: Int32Array,
  conditions: number,
  keep?: Int32Array,
): MetadataValue[] | null {
  const values: MetadataValue[] = Array.from({ length: conditions }, () => null);
  const at = valueAt(column);
  for (let cell = 0; cell < codes.length; cell++) {
    const value = at(keep ? keep[cell]! : cell);
    if (value === null) continue;
    const condition = codes[cell]!;
    if (values[condition] === null) values[condition] = value;
    else if (values[condition] !== value) return null;
  }
  return values;
}

function valueAt(column: Column): (row: number) => MetadataValue {
  const text = (value: string | null | undefined): string | null =>
    value === null || value === undefined || isMissing(value) ? null : value;
  if (column.kind === "categorical") {
    const values = column.categories.map(text);
    return (row) => values[column.codes[row]!] ?? null;
  }
  if (column.kind === "string") return (row) => text(column.values[row]);
  if (column.kind === "number")
    return (row) => (Number.isFinite(column.values[row]) ? column.values[row]! : null);
  return (row) => column.values[row] ?? null;
}

/** Two tables of samples as one; where both know a value, the later one counts. */
export function joinMetadata(first: SampleMetadata, second: SampleMetadata): SampleMetadata {
  const columns = [...new Set([...first.columns, ...second.columns])];
  const value = (table: SampleMetadata, sample: string, column: string): MetadataValue => {
    const at = table.columns.indexOf(column);
    return at < 0 ? null : (table.samples[sample]?.[at] ?? null);
  };
  const names = [...new Set([...Object.keys(first.samples), ...Object.keys(second.samples)])];
  const levels = { ...first.levels, ...second.levels };
  return {
    columns,
    samples: Object.fromEntries(
      names.map((name) => [
        name,
        columns.map((column) => value(second, name, column) ?? value(first, name, column)),
      ]),
    ),
    ...(Object.keys(levels).length > 0 && { levels }),
  };
}
