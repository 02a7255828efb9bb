// Metadata of samples: columns of obs that are constant within each condition of a key. A sample is a
// condition of the sample key.
import type { Column, DataFrame } from "../anndata/dataframe.js";
import type { Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { isMissing } from "./missing-values.js";
import type { Conditions } from "./labels.js";

/** A metadata value of a sample; null if unknown. */
export type MetadataValue = string | number | boolean | null;

/** A table with one row per sample (condition); null for unknown values. */
export interface SampleMetadata {
  /** Names of the columns */
  readonly columns: readonly string[];
  /** values by sample name, in column order */
  readonly samples: Readonly<Record<string, readonly MetadataValue[]>>;
  /** for columns with ordered values: all values from low to high. Absent in older models. */
  readonly levels?: Readonly<Record<string, readonly string[]>>;
}

/**
 * The columns of obs that are constant within every condition of a key; one table per key. Cells without a
 * value are ignored. Empty columns and columns that only repeat the condition's name are left out.
 * @param keep - rows of the file to which the conditions' codes refer. Default: all
 * @param always - for each key, columns to keep even if they only repeat the names: those of the model that
 * the query's conditions join
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
  const tables = conditions.map(() => ({
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
      tables[k]!.columns.push(name);
      tables[k]!.values.push(values);
      if (column.kind === "categorical" && column.ordered) tables[k]!.levels[name] = column.categories;
    });
  }
  return tables.map(({ columns, values, levels }, k) => ({
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
    onNote?.({ level: "warning", message: `${error.message} It is left out of the samples' metadata.` });
    return null;
  }
}

/** One value per condition; null if two cells of a condition differ. */
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

/** Merges two tables of samples; if both have a value, the second one wins. */
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
