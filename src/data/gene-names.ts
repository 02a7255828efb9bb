// Matches the genes of a file to the names in a model: by symbol or Ensembl id, in the index or one of the
// usual columns of var, with or without a version suffix.
import type { DataFrame } from "../anndata/dataframe.js";
import type { Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";

/** Result of matching the file's genes to the model. */
export interface GeneNames {
  /** (columns of the file) the model's name, null if the model does not have the gene */
  readonly names: readonly (string | null)[];
  /** number of matched genes by the source of their names: `name`, `var["feature_name"]`, ... */
  readonly matched: Readonly<Record<string, number>>;
}

/** Columns of var that commonly hold gene names (CELLxGENE, scanpy, 10x, Seurat). */
const nameColumns = [
  "feature_name",
  "gene_symbols",
  "gene_symbol",
  "gene_names",
  "gene_name",
  "symbol",
  "feature_id",
  "gene_ids",
  "gene_id",
  "ensembl_id",
  "ensembl",
];

/** An Ensembl id without its version: ENSG00000141510 for ENSG00000141510.18. */
function withoutVersion(name: string): string {
  return /^ENS[A-Z]*\d{11}\.\d+$/.test(name) ? name.slice(0, name.indexOf(".")) : name;
}

/**
 * Gives the file's genes the names of the model. Sources of names are used in order of the number of model
 * genes they match. Matching is case-sensitive, because human and mouse symbols differ only in case.
 * @param modelGenes - (G) unique
 * @param note - receives a note on how the genes were matched, unless all match the index exactly
 */
export async function matchGeneNames(
  modelGenes: readonly string[],
  genes: DataFrame,
  note: (note: Note) => void,
): Promise<GeneNames> {
  const exact = new Set(modelGenes);
  const unversioned = unambiguous(modelGenes);
  const fileNames = await genes.index();
  const lookUps: { how: string; matches: (string | undefined)[]; count: number }[] = [];
  for (const [how, names] of await namesOfFile(fileNames, genes, note)) {
    const add = (what: string, matches: (string | undefined)[]): void =>
      void lookUps.push({
        how: what,
        matches,
        count: new Set(matches).size - (matches.includes(undefined) ? 1 : 0),
      });
    add(
      how,
      names.map((name) => (name !== null && exact.has(name) ? name : undefined)),
    );
    add(
      `${how} without version`,
      names.map((name) => (name === null ? undefined : unversioned.get(withoutVersion(name)))),
    );
  }
  lookUps.sort((a, b) => b.count - a.count); // stable: the index comes first among equals
  const names: (string | undefined)[] = fileNames.map(() => undefined);
  const known = new Set<string>();
  const matched: Record<string, number> = {};
  for (const { how, matches } of lookUps) {
    const before = known.size;
    const fresh = matches.map((name, column) =>
      name !== undefined && names[column] === undefined && !known.has(name) ? name : undefined,
    );
    fresh.forEach((name, column) => {
      if (name === undefined) return;
      names[column] = name;
      known.add(name);
    });
    if (known.size > before) matched[how] = known.size - before;
  }
  const ways = Object.entries(matched);
  if (ways.length > 1 || (ways.length === 1 && ways[0]![0] !== "name"))
    note({
      level: "info",
      message: `Genes of the model matched by ${ways.map(([how, count]) => `${how}: ${count}`).join(", ")}.`,
    });
  return { names: names.map((name) => name ?? null), matched };
}

async function namesOfFile(
  fileNames: readonly string[],
  genes: DataFrame,
  note: (note: Note) => void,
): Promise<[string, readonly (string | null)[]][]> {
  const sources: [string, readonly (string | null)[]][] = [["name", fileNames]];
  for (const key of nameColumns.filter((name) => genes.columnNames.includes(name))) {
    try {
      const column = await genes.column(key);
      if (column.kind === "string") sources.push([`var["${key}"]`, column.values]);
      if (column.kind === "categorical")
        sources.push([`var["${key}"]`, Array.from(column.codes, (code) => column.categories[code] ?? null)]);
    } catch (error) {
      if (!(error instanceof ScPoliError)) throw error;
      note({ level: "warning", message: `${error.message} Genes are matched without it.` });
    }
  }
  return sources;
}

/** The model's genes by their names without version; those that two of them share are left out. */
function unambiguous(modelGenes: readonly string[]): Map<string, string> {
  const table = new Map<string, string>();
  const shared = new Set<string>();
  for (const name of modelGenes) {
    const short = withoutVersion(name);
    if (table.has(short)) shared.add(short);
    table.set(short, name);
  }
  for (const name of shared) table.delete(name);
  return table;
}
