// Sample metadata from a text file: a header, then a row per sample, separated by commas, tabs or
// semicolons.
import { nearestNames } from "../contract/nearest-names.js";
import type { Note } from "../contract/options.js";
import { readHeadedTable } from "../data/headed-table.js";
import { isMissing } from "../data/missing-values.js";
import type { MetadataValue, SampleMetadata } from "../data/sample-metadata.js";
import { ScPoliError } from "../contract/errors.js";

/**
 * Reads the table; rows are matched by the column with the key's name, else by the first column.
 * Columns whose known values are all numbers become numbers, those of true and false booleans. Several rows
 * of a sample are merged; columns on which they disagree are left out.
 * @param samples - names of the samples
 * @param note - called with what is left out
 * @throws ScPoliError "file" if it is missing, has no rows, no row of a sample, or a line of another length
 */
export async function readMetadataTable(
  path: string,
  key: string,
  samples: readonly string[],
  note: (note: Note) => void,
): Promise<SampleMetadata> {
  const { heading, rows } = await readHeadedTable(path, "sample");
  const at = Math.max(0, heading.indexOf(key));
  const named = rows.map((fields) => fields[at]!);
  if (!named.some((name) => samples.includes(name))) {
    const similar = nearestNames(named[0]!, samples);
    const quoted = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(", ");
    throw new ScPoliError(
      "file",
      `${path} has none of the samples: its column '${heading[at]}' has ${quoted(named.slice(0, 3))}, ` +
        "but the " +
        `model's '${key}' are like ${quoted(similar.length > 0 ? similar : samples.slice(0, 3))}.`,
      { path },
    );
  }
  const knownSamples = [...new Set(named)].filter((name) => samples.includes(name));
  const columns: string[] = [];
  const values: MetadataValue[][] = [];
  const left: string[] = [];
  heading.forEach((name, column) => {
    if (column === at || name === "") return;
    const cells = typed(rows.map((fields) => fields[column]!));
    const valuesOfSamples = knownSamples.map((sample) => [
      ...new Set(cells.filter((cell, row) => named[row] === sample && cell !== null)),
    ]);
    if (valuesOfSamples.some((different) => different.length > 1)) left.push(name);
    else {
      columns.push(name);
      values.push(valuesOfSamples.map(([value = null]) => value));
    }
  });
  if (left.length > 0)
    note({
      level: "info",
      message:
        `${path} has several rows of a ${key}, which disagree on ` +
        `${left.map((name) => `'${name}'`).join(", ")}: left out for ${key}.`,
    });
  return {
    columns,
    samples: Object.fromEntries(
      knownSamples.map((name, row) => [name, values.map((column) => column[row]!)]),
    ),
  };
}

/** Converts a column of texts to its type. */
function typed(texts: readonly string[]): MetadataValue[] {
  const known = texts.map((text) => (isMissing(text) ? null : text));
  const every = (isSo: (text: string) => boolean): boolean =>
    known.every((text) => text === null || isSo(text));
  if (every((text) => Number.isFinite(Number(text))))
    return known.map((text) => (text === null ? null : Number(text)));
  if (every((text) => /^(true|false)$/i.test(text)))
    return known.map((text) => (text === null ? null : /^true$/i.test(text)));
  return known;
}
