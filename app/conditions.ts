// Conditions of a file: columns of obs, or a name that the user gives to the only sample of a file.
import type { DataInfo, LocalFile, ModelInfo } from "./protocol.js";
import type { DataFile } from "./state.js";

/** A file that was just opened, with the likeliest columns chosen. */
export function newDataFile(files: readonly LocalFile[], info: DataInfo, model: ModelInfo | null): DataFile {
  const { condition_candidates: conditions, cell_type_candidates: types, columns } = info.inspection;
  return {
    files,
    info,
    conditionKeys: conditions.slice(0, 1).map(({ name }) => name),
    cellTypeKeys: types.slice(0, 1).map(({ name }) => name),
    conditionColumns: model ? proposedColumns(model, info) : {},
    sampleName: proposedSample(info.name, columns.length),
    coverage: null,
  };
}

/** For each condition key of the model the column of that name, else the likeliest. */
export function proposedColumns({ summary }: ModelInfo, { inspection }: DataInfo): Record<string, string> {
  const names = inspection.columns.map(({ name }) => name);
  const candidates = inspection.condition_candidates.map(({ name }) => name);
  return Object.fromEntries(
    Object.keys(summary.conditions).map((key, k) => [
      key,
      names.includes(key) ? key : (candidates[k] ?? candidates[0] ?? ""),
    ]),
  );
}

/** Conditions of a query as the library takes them. */
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

/** Conditions of a reference as the library takes them. */
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
function proposedSample(name: string, columns: number): string {
  return columns === 0 ? name.replace(/\.(h5ad|h5|zarr|zip)$/g, "") : "";
}
