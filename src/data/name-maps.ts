// Translates the names of a file to those of a model: genes across species or identifiers, cell types across
// vocabularies. Reports what was renamed and what was not. Source: De Donno et al. 2023, Methods
// ("Cross-species", "Label harmonization"): the paper requires one-to-one orthologs and harmonised labels.
import type { Column, DataFrame } from "../anndata/dataframe.js";
import type { NameMap, Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { factorize, type CellSelection, type Factor } from "./labels.js";
import { plainName } from "./same-names.js";

/** Effect of a map on the names of a file. */
export interface NameMapReport {
  /** names of the file that were renamed */
  readonly renamed: number;
  /** names of the file that are not in the map, kept unchanged */
  readonly kept: readonly string[];
  /** names of the map that are not in the file */
  readonly absent: readonly string[];
}

/**
 * Renames the genes of a file by a map.
 *
 * @param genes - var of the matrix that holds the counts
 * @returns the same table with a new index, and what was renamed
 * @throws ScPoliError "format" if a name has two new names, two genes would get one name, or no gene of the
 * file is in the map
 */
export async function renameGenes(
  genes: DataFrame,
  map: NameMap,
  note: (note: Note) => void,
): Promise<{ readonly genes: DataFrame; readonly report: NameMapReport }> {
  const names = await genes.index();
  const newNames = asTable(
    map.filter(([, newName]) => newName !== ""),
    "gene map",
  );
  const report = reportOf(newNames, names);
  checkUse(report, newNames, names, { map: "gene map", what: "gene" });
  const renamed = names.map((name) => newNames.get(name) ?? name);
  checkOneToOne(names, renamed, newNames);
  note({ level: "info", message: `Gene map: ${summary(report, "gene")}` });
  return {
    genes: {
      length: genes.length,
      columnNames: genes.columnNames,
      index: async () => renamed,
      column: (name) => genes.column(name),
    },
    report,
  };
}

/**
 * Renames the values of some columns of obs by a map. Several names may get the same new name; an empty name,
 * or "unknown" and the like, means no label.
 * @throws ScPoliError "format" if a name has two new names, or no value of these columns is in the map; "key"
 * if there is no such column
 */
export async function renameLabels(
  obs: DataFrame,
  keys: readonly string[],
  map: NameMap,
  note: (note: Note) => void,
  selection: CellSelection = {},
): Promise<{ readonly obs: DataFrame; readonly report: NameMapReport }> {
  const newNames = asTable(
    map.map(([name, newName]) => [plainName(name), newName]),
    "label map",
  );
  const names = new Set<string>();
  for (const key of keys) for (const name of namesOf(await obs.column(key), selection).names) names.add(name);
  const report = reportOf(newNames, [...names]);
  checkUse(report, newNames, [...names], { map: "label map", what: "cell type" });
  note({
    level: report.kept.length > 0 ? "warning" : "info",
    message: `Label map: ${summary(report, "cell type")}`,
  });
  const column: DataFrame["column"] = async (key) => {
    const original = await obs.column(key);
    if (!keys.includes(key)) return original;
    const { codes, names: before } = namesOf(original);
    return {
      kind: "categorical",
      length: codes.length,
      codes,
      categories: before.map((name) => newNames.get(name) ?? name),
      ordered: false,
    };
  };
  return {
    obs: { length: obs.length, columnNames: obs.columnNames, index: () => obs.index(), column },
    report,
  };
}

/** Names of a column, including spellings of missing values ("NA"), which a map may rename. */
function namesOf(column: Column, selection: CellSelection = {}): Pick<Factor, "codes" | "names"> {
  return factorize(column, { ...selection, keepMissingTexts: true });
}

function asTable(map: NameMap, what: string): Map<string, string> {
  const table = new Map<string, string>();
  const several = new Map<string, Set<string>>();
  for (const [name, newName] of map) {
    const before = table.get(name);
    if (before !== undefined && before !== newName)
      several.set(name, (several.get(name) ?? new Set([before])).add(newName));
    table.set(name, newName);
  }
  if (several.size === 0) return table;
  const shown = [...several].map(
    ([name, newNames]) => `'${name}' (${[...newNames].map((newName) => `'${newName}'`).join(", ")})`,
  );
  throw new ScPoliError(
    "format",
    `The ${what} gives ${several.size} name${several.size === 1 ? "" : "s"} more than one new name: ` +
      `${firsts(shown)}. Keep one line for each.`,
    { names: [...several.keys()] },
  );
}

function reportOf(newNames: ReadonlyMap<string, string>, names: readonly string[]): NameMapReport {
  const fileNames = new Set(names);
  const kept = names.filter((name) => !newNames.has(name));
  return {
    renamed: names.length - kept.length,
    kept,
    absent: [...newNames.keys()].filter((name) => !fileNames.has(name)),
  };
}

function checkUse(
  { renamed }: NameMapReport,
  newNames: ReadonlyMap<string, string>,
  names: readonly string[],
  { map, what }: { readonly map: string; readonly what: string },
): void {
  if (renamed > 0) return;
  const targets = new Set(newNames.values());
  const swapped = names.filter((name) => targets.has(name)).length;
  const advice =
    swapped > 0
      ? `${swapped} of them are in the second column: the columns seem to be swapped.`
      : "Its first column must hold the names as the file has them.";
  throw new ScPoliError(
    "format",
    `None of the ${newNames.size} names of the ${map} is a ${what} of the file. The map's look like ` +
      `${firsts(quoted([...newNames.keys()]), 3)}, the file's like ${firsts(quoted(names), 3)}. ${advice}`,
    { names: newNames.size, swapped },
  );
}

/**
 * @throws ScPoliError "format" if two genes of the file, at least one of them renamed, would have the same
 * name
 */
function checkOneToOne(
  names: readonly string[],
  renamed: readonly string[],
  newNames: ReadonlyMap<string, string>,
): void {
  const sources = new Map<string, string[]>();
  renamed.forEach((newName, column) =>
    sources.set(newName, [...(sources.get(newName) ?? []), names[column]!]),
  );
  const clashes = [...sources].filter(
    ([, oldNames]) => oldNames.length > 1 && oldNames.some((name) => newNames.has(name)),
  );
  if (clashes.length === 0) return;
  const quote = (name: string): string => (newNames.has(name) ? `'${name}'` : `'${name}' (not in the map)`);
  const shown = clashes.map(([newName, oldNames]) => `${oldNames.map(quote).join(" and ")} to '${newName}'`);
  throw new ScPoliError(
    "format",
    `The gene map is not one-to-one on this file: it maps ${firsts(shown)}. Keep one-to-one pairs only ` +
      "(for orthologs, high-confidence ones), one gene for each name.",
    { genes: clashes.map(([newName]) => newName) },
  );
}

function summary({ renamed, kept, absent }: NameMapReport, what: string): string {
  const parts = [`${renamed} ${what}${renamed === 1 ? "" : "s"} of the file renamed`];
  parts.push(
    kept.length > 0
      ? `${kept.length} not in the map and unchanged: ${firsts(quoted(kept))}`
      : "none left out",
  );
  if (absent.length > 0) parts.push(`${absent.length} of the map not in the file: ${firsts(quoted(absent))}`);
  return `${parts.join("; ")}.`;
}

function quoted(names: readonly string[]): string[] {
  return names.map((name) => `'${name}'`);
}
function firsts(texts: readonly string[], most = 5): string {
  return texts.length > most
    ? `${texts.slice(0, most).join(", ")} and ${texts.length - most} more`
    : texts.join(", ");
}
