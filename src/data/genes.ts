// Aligns genes by name: finds the model gene of each column of a file, in any order, and checks that enough
// are present. Differs: scArches takes the columns of an in-memory query in file order, so a permuted query
// is silently mapped with the wrong genes.
import type { Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";

/** Shares of the model's genes below which to warn and to refuse. */
const coverageLimits = { warn: 0.8, refuse: 0.5 } as const;

/** Which model gene each column of a file holds. */
export interface GeneAlignment {
  /** (columns of the file) row in the model's gene list, -1 if the model does not have the gene */
  readonly map: Int32Array;
  /** number of the model's genes that the file has */
  readonly found: number;
  /** found / number of the model's genes, 0..1 */
  readonly share: number;
  /** the model's genes that the file lacks, in the model's order */
  readonly missing: readonly string[];
  /** first names of the model and the file, for error messages */
  readonly examples: { readonly model: readonly string[]; readonly file: readonly string[] };
}

/**
 * Aligns the columns of a file with the genes of a model by name.
 *
 * @param modelGenes - (G) unique names
 * @param fileGenes - names of the file's columns, null if not in the model; model genes must not occur twice
 * @param shown - names for error messages. Default: fileGenes
 * @throws ScPoliError "format" if the file has a gene of the model in more than one column
 */
export function alignGenes(
  modelGenes: readonly string[],
  fileGenes: readonly (string | null)[],
  shown = fileGenes,
): GeneAlignment {
  const rowOf = new Map<string, number>();
  modelGenes.forEach((name, row) => rowOf.set(name, row));
  const map = new Int32Array(fileGenes.length).fill(-1);
  const columnOf = new Int32Array(modelGenes.length).fill(-1);
  const repeated = new Set<string>();
  fileGenes.forEach((name, column) => {
    const row = name === null ? undefined : rowOf.get(name);
    if (row === undefined) return;
    if (columnOf[row] !== -1) repeated.add(name!);
    columnOf[row] = column;
    map[column] = row;
  });
  if (repeated.size > 0)
    throw new ScPoliError(
      "format",
      `${count(repeated.size, "gene")} of the model ${repeated.size === 1 ? "is" : "are"} in more than one ` +
        `column of the file: ${list([...repeated])}. ` +
        "Use --duplicate-genes sum to sum these columns. (Repeated names that are not in the model do no " +
        "harm.)",
      { genes: [...repeated] },
    );
  const missing = modelGenes.filter((_, row) => columnOf[row] === -1);
  const found = modelGenes.length - missing.length;
  return {
    map,
    found,
    share: modelGenes.length === 0 ? 0 : found / modelGenes.length,
    missing,
    examples: { model: modelGenes.slice(0, 3), file: shown.slice(0, 3).map(String) },
  };
}

/**
 * Reports how many of the model's genes a file has. Missing genes count as zero.
 *
 * @param options.force - continue below 50 %
 * @param note - receives the share: a warning below 80 %, else an info note if any gene is missing
 * @throws ScPoliError "format" if no gene is shared (even with `force`), "refused" below 50 %
 */
export function checkCoverage(
  alignment: GeneAlignment,
  options: { readonly force?: boolean },
  note: (note: Note) => void,
): void {
  const { found, share, missing, examples } = alignment;
  const total = found + missing.length;
  const details = { found, total, share };
  if (found === 0)
    throw new ScPoliError(
      "format",
      `None of the model's ${count(total, "gene")} is in the file. ` +
        `The model's names look like ${list(examples.model)}, the file's like ${list(examples.file)}. ` +
        "Give var the names that the model uses, in its index or in a column such as feature_name or " +
        "gene_ids (symbols or Ensembl ids, same species, same case), or a --gene-map.",
      details,
    );
  if (missing.length === 0) return;
  const message =
    `${found} of the model's ${total} genes (${percent(share)}) are in the file; the others count as ` +
    `zero: ${list(missing)}.`;
  if (share < coverageLimits.refuse && !options.force)
    throw new ScPoliError(
      "refused",
      `${message} Below ${percent(coverageLimits.refuse)} the result is not reliable; use --force to ` +
        "continue anyway.",
      details,
    );
  note({ level: share < coverageLimits.warn ? "warning" : "info", message });
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.01 ? 2 : 0)} %`;
}
function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}
/** The first names, quoted, and the number of further ones. */
function list(names: readonly string[], most = 5): string {
  const shown = names
    .slice(0, most)
    .map((name) => `'${name}'`)
    .join(", ");
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
