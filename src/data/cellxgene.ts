// Files of the CELLxGENE schema (versions 3 to 7): what its conventions say about conditions, cell types and
// gene names. Source: chanzuckerberg/single-cell-curation, schema 7.1.0: obs, uns["batch_condition"],
// var["feature_name"].
import type { AnnData } from "../anndata/anndata.js";
import type { UnsValue } from "../anndata/reader.js";
import type { Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";

/** What a file of the schema proposes. */
export interface Cellxgene {
  /** uns["schema_version"] */
  readonly version: string;
  readonly title: string | null;
  /** columns of uns["batch_condition"] that are in obs, then donor_id */
  readonly conditions: readonly string[];
  /** "cell_type" where obs has it, besides the ontology terms */
  readonly cellType: string | null;
  /** column of var with the gene symbols */
  readonly symbols: string | null;
}

/** null where the file is none of the schema's. */
export async function readCellxgene(data: AnnData): Promise<Cellxgene | null> {
  const has = (name: string): boolean => data.obs.columnNames.includes(name);
  const version = await text(data, "schema_version");
  // the schema's own columns stand for the version where it has been lost
  if (
    version === null &&
    !(has("cell_type_ontology_term_id") && has("assay_ontology_term_id") && has("donor_id"))
  )
    return null;
  const batch = data.unsKeys.includes("batch_condition") ? await tryUns(data, "batch_condition") : undefined;
  const named = (Array.isArray(batch) ? batch : [batch]).filter(
    (name): name is string => typeof name === "string" && has(name),
  );
  return {
    version: version ?? "unknown",
    title: await text(data, "title"),
    conditions: [...new Set([...named, ...(has("donor_id") ? ["donor_id"] : [])])],
    cellType: has("cell_type") ? "cell_type" : null,
    symbols: data.var.columnNames.includes("feature_name") ? "feature_name" : null,
  };
}

/** Tells a user of a run that the file follows the schema, and what is made of it. */
export async function noteCellxgene(data: AnnData, note: (note: Note) => void): Promise<void> {
  const found = await readCellxgene(data);
  if (found === null) return;
  const symbols = found.symbols === null ? "" : `, their symbols in var["${found.symbols}"]`;
  note({
    level: "info",
    message: `A file of the CELLxGENE schema (${found.version}): genes are named by Ensembl id${symbols}.`,
  });
}

async function text(data: AnnData, key: string): Promise<string | null> {
  if (!data.unsKeys.includes(key)) return null;
  const value = await tryUns(data, key);
  const [first] = Array.isArray(value) ? value : [value];
  return typeof first === "string" ? first : null;
}

/** One entry that cannot be read is one that is not there. */
async function tryUns(data: AnnData, key: string): Promise<UnsValue | undefined> {
  try {
    return await data.uns(key);
  } catch (error) {
    if (error instanceof ScPoliError) return undefined;
    throw error;
  }
}
