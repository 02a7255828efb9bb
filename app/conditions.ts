// Where the conditions of a file come from: columns of obs, or, in a file of one sample, a name that the user
// gives it.
import type { DataFile } from "./state.js";

/** What the library is told of the conditions of a query. */
export interface QueryConditions {
  /** obs column of each condition key that has one */
  readonly conditionKeys: Readonly<Record<string, string>>;
  /** the condition of all cells, by key */
  readonly conditionValues: Readonly<Record<string, string>>;
}

/** @param keys - condition keys of the model */
export function queryConditions(
  { conditionColumns, sampleName = "" }: Pick<DataFile, "conditionColumns" | "sampleName">,
  keys: readonly string[],
): QueryConditions {
  const isGiven = (key: string): boolean => !conditionColumns[key];
  const columns = keys.filter((key) => !isGiven(key)).map((key) => [key, conditionColumns[key]!] as const);
  const values = sampleName.trim() === "" ? [] : keys.filter(isGiven).map((key) => [key, sampleName.trim()]);
  return { conditionKeys: Object.fromEntries(columns), conditionValues: Object.fromEntries(values) };
}

/** Key that a reference of one sample without a column gets. */
const sampleKey = "sample";

/** What the library is told of the conditions of a reference. */
export function referenceConditions({
  conditionKeys,
  sampleName = "",
}: Pick<DataFile, "conditionKeys" | "sampleName">): {
  readonly conditionKeys: readonly string[];
  readonly conditionValues?: Readonly<Record<string, string>>;
} {
  return conditionKeys.length > 0 || sampleName.trim() === ""
    ? { conditionKeys }
    : { conditionKeys: [sampleKey], conditionValues: { [sampleKey]: sampleName.trim() } };
}

/** A name for the sample of a file without columns: that of the file. */
export function proposedSample(name: string, columns: number): string {
  return columns === 0 ? name.replace(/\.(h5ad|h5|zarr|zip)$/g, "") : "";
}
