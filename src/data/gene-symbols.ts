// Gene symbols, whatever the index of var holds: gene sets and gene families use symbols.
import type { DataFrame } from "../anndata/dataframe.js";

/** Columns of var that commonly hold symbols (CELLxGENE, scanpy, 10x). */
const symbolColumns = ["feature_name", "gene_symbols", "gene_symbol", "gene_names", "gene_name", "symbol"];

/** (G) symbols: the index of var, or a column of symbols if most names are Ensembl ids. */
export async function geneSymbols(genes: DataFrame): Promise<readonly string[]> {
  const names = await genes.index();
  const ids = names.filter((name) => /^ENS[A-Z]*G\d{11}/.test(name)).length;
  const key = symbolColumns.find((name) => genes.columnNames.includes(name));
  if (ids <= names.length / 2 || key === undefined) return names;
  const column = await genes.column(key);
  if (column.kind === "string") return column.values.map((symbol, row) => symbol ?? names[row]!);
  if (column.kind === "categorical")
    return names.map((name, row) => column.categories[column.codes[row]!] ?? name);
  return names;
}
