// What a plan needs to know about a file: its size, and its conditions.
import { AnnData } from "../anndata/anndata.js";
import type { CountsOptions, Note, ReconLoss } from "../contract/options.js";
import { Combinations } from "../data/combinations.js";
import { readConditions, type Conditions } from "../data/labels.js";
import type { CountsPlace } from "../data/count-places.js";
import { findValues } from "../data/values.js";

export interface PlannedFile {
  readonly path: string;
  readonly cells: number;
  /** all genes of the file */
  readonly genes: number;
  /** stored counts of all genes */
  readonly stored: number;
  readonly format: "csr" | "csc" | "dense";
  readonly values: CountsPlace["values"];
  /** names of the conditions of each key, and of each combination; empty without condition keys */
  readonly conditions: readonly (readonly string[])[];
  readonly combinations: readonly (readonly string[])[];
}

export interface PlannedFileOptions extends CountsOptions {
  readonly conditionKeys?: readonly string[];
  /** whether a file without the column of a key counts as one condition; default: an error */
  readonly keysAreOptional?: boolean;
  readonly reconLoss: ReconLoss;
  readonly onNote: (note: Note) => void;
}

/** Reads the size of a file. @throws ScPoliError "key" for a missing column; "counts", "file" */
export async function readPlannedFile(path: string, options: PlannedFileOptions): Promise<PlannedFile> {
  const data = await AnnData.open(path);
  try {
    const conditions: Conditions[] = [];
    for (const key of options.conditionKeys ?? [])
      conditions.push(
        options.keysAreOptional && !data.obs.columnNames.includes(key)
          ? { key, codes: new Int32Array(data.nObs), names: [key] }
          : await readConditions(data.obs, key),
      );
    const table = new Combinations();
    if (conditions.length > 0) table.columns(conditions.map(({ codes }) => codes));
    const { place } = await findValues(data, options, options.onNote);
    const { rows, columns, stored, format } = place.matrix;
    return {
      path,
      cells: rows,
      genes: columns,
      stored,
      format,
      values: place.values,
      conditions: conditions.map(({ names }) => names),
      combinations: table.codes.map((codes) => codes.map((code, key) => conditions[key]!.names[code]!)),
    };
  } finally {
    data.close();
  }
}
