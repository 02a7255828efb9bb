// The cells of the types that were added to the model, as a table for the command line.
import { csvOf } from "./csv.js";
import { runJob } from "./jobs.js";
import { work, type DataFile } from "./state.js";

export const addedTypesColumn = "added_type";

/** Name of the query's file without its ending. */
export const stemOf = (query: DataFile): string => query.info.name.replace(/(\.(h5ad|h5|zarr|zip))+$/, "");

/** @param stem - see `stemOf` */
export const addedTypesFile = (stem: string): string => `${stem}-added-types.csv`;

/** A row per cell and type: a cell may be in several. */
export async function saveAddedTypes(): Promise<{ readonly file: Blob; readonly name: string }> {
  const { query, addedTypes } = work.value;
  const names = await runJob(({ jobs }) => jobs.readCellNames(query!.files));
  const rows = addedTypes.flatMap(({ name, rows }) => Array.from(rows, (row) => [names[row]!, name]));
  return {
    file: new Blob([csvOf(["cell", addedTypesColumn], rows)], { type: "text/csv" }),
    name: addedTypesFile(stemOf(query!)),
  };
}
