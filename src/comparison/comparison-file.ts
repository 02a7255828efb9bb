// Writes a comparison of samples as tables: CSV files, and data frames in uns of a copy of the file.
import { joinPath, makeFolder, writeFile } from "#platform";
import type { AnnData } from "../anndata/anndata.js";
import { NewTable, type NewUns } from "../anndata/elements.js";
import { writeCopy } from "../anndata/write.js";
import type { Note } from "../contract/options.js";
import { enrichGeneSets, type GeneSet } from "../statistics/gene-sets.js";
import { csvOf, frameOf, type Rows } from "../anndata/tables.js";
import { version } from "../contract/version.js";
import type { Comparison } from "./compare.js";

/**
 * `genes`: a row per type and gene, by ascending P within a type; `types`: compared types, and reasons why
 * others were not compared; `abundance`: a row per type; `samples`: the samples with their groups. Empty
 * tables are left out.
 */
export function comparisonTables(comparison: Comparison): Readonly<Record<string, Rows>> {
  const { types, abundance, units, first, second } = comparison;
  const tables: Record<string, Rows> = {
    genes: types.flatMap(({ type, genes }) =>
      genes.map((row) => ({
        type,
        gene: row.gene,
        symbol: row.symbol,
        log2_fold_change: row.log2FoldChange,
        error: row.error,
        average_expression: row.averageExpression,
        t: row.t,
        p: row.p,
        p_adjusted: row.adjustedP,
      })),
    ),
    types: types.map((row) => ({
      type: row.type,
      first_samples: row.samples[0],
      second_samples: row.samples[1],
      first_cells: row.cells[0],
      second_cells: row.cells[1],
      genes: row.genes.length,
      significant: row.genes.filter(({ adjustedP }) => adjustedP < significant).length,
      residual_df: row.residualDf,
      prior_df: row.priorDf,
      not_compared_because: row.reason ?? "",
    })),
    abundance: abundance.map((row) => ({
      type: row.type,
      first_share: row.shares[0],
      second_share: row.shares[1],
      log2_ratio: row.log2Ratio,
      error: row.error,
      t: row.t,
      p: row.p,
      p_adjusted: row.adjustedP,
    })),
    samples: units.map(({ sample, group }) => ({ sample, group: group === 1 ? first : second })),
  };
  return Object.fromEntries(Object.entries(tables).filter(([, rows]) => rows.length > 0));
}

/** Corrected P below which a gene is differentially expressed. */
const significant = 0.05;

/**
 * Gene sets among the genes that are higher, and those that are lower, in the first group, per cell type: a
 * row per type, direction and set with a gene among them, the smallest P first. Background: the genes tested.
 */
export async function comparisonGeneSets({ types }: Comparison, sets: readonly GeneSet[]): Promise<Rows> {
  const rows: Rows[number][] = [];
  for (const { type, genes } of types)
    for (const [direction, sign] of [
      ["up", 1],
      ["down", -1],
    ] as const) {
      const chosen = genes.filter(
        (row) => row.adjustedP < significant && Math.sign(row.log2FoldChange) === sign,
      );
      const enriched = await enrichGeneSets(
        chosen.map(({ symbol }) => symbol),
        genes.map(({ symbol }) => symbol),
        sets,
      );
      rows.push(...enriched.filter(({ overlap }) => overlap > 0).map((row) => ({ type, direction, ...row })));
    }
  return rows;
}

/** Options of writing a comparison into a copy of the file. */
export interface WriteComparisonOptions {
  /** entry of uns. Default "scpoli_compare" */
  readonly keyAdded?: string;
  /** replaces an entry of that name */
  readonly force?: boolean;
  /** Called with notes for the user. */
  readonly onNote?: (note: Note) => void;
}

/**
 * Writes a copy of the file with the tables, and `params`, in uns.
 * @throws ScPoliError "refused" if uns already has such an entry, unless `force`; "output"
 */
export async function writeComparison(
  data: AnnData,
  output: string,
  comparison: Comparison,
  { keyAdded = "scpoli_compare", force, onNote }: WriteComparisonOptions = {},
): Promise<void> {
  const { column, first, second, sampleKey, within, covariates, isPaired, place } = comparison;
  const tables = Object.entries(comparisonTables(comparison)).map(([name, rows]): [string, NewUns] => {
    const { index, columns = {} } = frameOf(rows);
    return [name, new NewTable(index, columns)];
  });
  const params: NewUns = {
    version,
    method: "limma-voom on sums of counts per sample and type",
    column,
    first,
    second,
    sample_key: sampleKey,
    within: within ?? "",
    covariates,
    is_paired: isPaired,
    counts: place,
  };
  await writeCopy(
    data,
    output,
    { uns: { [keyAdded]: { params, ...Object.fromEntries(tables) } } },
    { force, onWarning: (message) => onNote?.({ level: "warning", message }) },
  );
}

/**
 * Writes every table as CSV into a folder.
 * @param geneSets - result of `comparisonGeneSets`, also written
 * @returns the paths
 */
export async function writeComparisonTables(
  folder: string,
  comparison: Comparison,
  geneSets: Rows = [],
): Promise<string[]> {
  await makeFolder(folder);
  const paths: string[] = [];
  const tables = {
    ...comparisonTables(comparison),
    ...(geneSets.length > 0 && { gene_sets: geneSets }),
  };
  for (const [name, rows] of Object.entries(tables)) {
    const path = joinPath(folder, `${name}.csv`);
    await writeFile(path, csvOf(rows));
    paths.push(path);
  }
  return paths;
}
