// Tables as text with a header, then a row per subject, separated by commas, tabs or semicolons.
import { fileStatus, readText } from "#platform";
import Papa from "papaparse";
import { ScPoliError } from "../contract/errors.js";

export interface HeadedTable {
  readonly heading: readonly string[];
  /** fields of each row, as many as the heading has */
  readonly rows: readonly (readonly string[])[];
}

/**
 * Reads a table; fields are trimmed.
 * @param subject - what a row is about, for error messages: "sample", "cell"
 * @throws ScPoliError "file" if it is missing, has no rows, a line of another length, or a repeated column
 */
export async function readHeadedTable(path: string, subject: string): Promise<HeadedTable> {
  const status = await fileStatus(path);
  if (status === null || status.kind === "folder")
    throw new ScPoliError(
      "file",
      `There is no file ${path}. Expected a table with a header and a row per ${subject} (csv or tsv).`,
      { path },
    );
  const { data, errors } = Papa.parse<string[]>((await readText(path)).replace(/^\uFEFF/, ""), {
    skipEmptyLines: "greedy",
  });
  const broken = errors.find(({ type }) => type !== "Delimiter");
  if (broken)
    throw new ScPoliError(
      "file",
      `${path}, line ${(broken.row ?? 0) + 1}: ${broken.message}. Expected a table with a header and a ` +
        `row per ${subject}.`,
      { path },
    );
  const [heading = [], ...rows] = data.map((fields) => fields.map((field) => field.trim()));
  if (rows.length === 0)
    throw new ScPoliError("file", `${path} has no rows. Expected a header and a row per ${subject}.`, {
      path,
    });
  rows.forEach((fields, at) => {
    if (fields.length !== heading.length)
      throw new ScPoliError(
        "file",
        `${path}, line ${at + 2}: ${fields.length} fields, but the header has ${heading.length}.`,
        { path, line: at + 2 },
      );
  });
  const repeated = heading.find((name, at) => name !== "" && heading.indexOf(name) < at);
  if (repeated !== undefined)
    throw new ScPoliError("file", `${path} has two columns '${repeated}'. Give each its own name.`, {
      path,
    });
  return { heading, rows };
}
