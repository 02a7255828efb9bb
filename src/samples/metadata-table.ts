// Metadata of samples from a text file: a heading, then a row per sample, separated by commas, tabs or
// semicolons.
import { fileStatus, readText } from "#platform";
import Papa from "papaparse";
import { nearestNames } from "../contract/nearest-names.js";
import type { Note } from "../contract/options.js";
import { isMissing } from "../data/missing-values.js";
import type { MetadataValue, SampleMetadata } from "../data/sample-metadata.js";
import { ScPoliError } from "../contract/errors.js";

/**
 * Reads the table; its rows are found by the column of the key's name, else by the first column.
 * Columns whose known values are all numbers are numbers, those of true and false are booleans. Several rows
 * of a sample are one: a column on which they do not agree is left out.
 * @param samples - names that rows may have
 * @param note - told what is left out
 * @throws ScPoliError "file" where it is missing, has no row, no row of a sample, or a line of another length
 */
export async function readMetadataTable(
  path: string,
  key: string,
  samples: readonly string[],
  note: (note: Note) => void,
): Promise<SampleMetadata> {
  const { heading, rows } = await readTable(path);
  const at = Math.max(0, heading.indexOf(key));
  const named = rows.map((fields) => fields[at]!);
  if (!named.some((name) => samples.includes(name))) {
    const near = nearestNames(named[0]!, samples);
    throw new ScPoliError(
      "file",
      `${path} knows none of the samples: its column '${heading[at]}' has ${named
        .slice(0, 3)
        .map((name) => `'${name}'`)
        .join(
          ", ",
        )}, the model's '${key}' are like ${(near.length > 0 ? near : samples.slice(0, 3)).map((name) => `'${name}'`).join(", ")}.`,
      { path },
    );
  }
  const found = [...new Set(named)].filter((name) => samples.includes(name));
  const columns: string[] = [];
  const values: MetadataValue[][] = [];
  const left: string[] = [];
  heading.forEach((name, column) => {
    if (column === at || name === "") return;
    const cells = typed(rows.map((fields) => fields[column]!));
    const own = found.map((sample) => [
      ...new Set(cells.filter((cell, row) => named[row] === sample && cell !== null)),
    ]);
    if (own.some((different) => different.length > 1)) left.push(name);
    else {
      columns.push(name);
      values.push(own.map(([value = null]) => value));
    }
  });
  if (left.length > 0)
    note({
      level: "info",
      message: `${path} has several rows of a ${key}, which do not agree on ${left.map((name) => `'${name}'`).join(", ")}: left out for ${key}.`,
    });
  return {
    columns,
    samples: Object.fromEntries(found.map((name, row) => [name, values.map((column) => column[row]!)])),
  };
}

async function readTable(
  path: string,
): Promise<{ heading: readonly string[]; rows: readonly (readonly string[])[] }> {
  const status = await fileStatus(path);
  if (status === null || status.kind === "folder")
    throw new ScPoliError(
      "file",
      `There is no file ${path}. A table with a heading and a row per sample was expected (csv or tsv).`,
      { path },
    );
  const { data, errors } = Papa.parse<string[]>((await readText(path)).replace(/^\uFEFF/, ""), {
    skipEmptyLines: "greedy",
  });
  const broken = errors.find(({ type }) => type !== "Delimiter");
  if (broken)
    throw new ScPoliError(
      "file",
      `${path}, line ${(broken.row ?? 0) + 1}: ${broken.message}. A table with a heading and a row per sample was expected.`,
      { path },
    );
  const [heading = [], ...rows] = data.map((fields) => fields.map((field) => field.trim()));
  if (rows.length === 0)
    throw new ScPoliError("file", `${path} has no rows. A heading and a row per sample were expected.`, {
      path,
    });
  rows.forEach((fields, at) => {
    if (fields.length !== heading.length)
      throw new ScPoliError(
        "file",
        `${path}, line ${at + 2}: ${fields.length} fields, the heading has ${heading.length}.`,
        { path, line: at + 2 },
      );
  });
  const repeated = heading.find((name, at) => name !== "" && heading.indexOf(name) < at);
  if (repeated !== undefined)
    throw new ScPoliError("file", `${path} has two columns '${repeated}'. Give each a name of its own.`, {
      path,
    });
  return { heading, rows };
}

/** A column of texts as what they say. */
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
