// Files that follow the CELLxGENE schema (versions 3 to 7): their conventions for conditions, cell types and
// gene names. Source: chanzuckerberg/single-cell-curation, schema 7.1.0: obs, uns["batch_condition"],
// var["feature_name"].
import type { AnnData } from "../anndata/anndata.js";
import type { UnsValue } from "../anndata/reader.js";
import type { Note } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";

/** Suggestions for a file that follows the schema. */
export interface Cellxgene {
  /** uns["schema_version"] */
  readonly version: string;
  readonly title: string | null;
  /** columns of uns["batch_condition"] that are in obs, then donor_id */
  readonly conditions: readonly string[];
  /** "cell_type" if obs has it in addition to the ontology terms */
  readonly cellType: string | null;
  /** column of var with the gene symbols */
  readonly symbols: string | null;
}

/** Null if the file does not follow the schema. */
export async function readCellxgene(data: AnnData): Promise<Cellxgene | null> {
  const has = (name: string): boolean => data.obs.columnNames.includes(name);
  const version = await text(data, "schema_version");
  // without a version, the file is recognised by the columns of the schema
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

/** Reports that the file follows the schema, and the naming of its genes. */
export async function noteCellxgene(data: AnnData, note: (note: Note) => void): Promise<void> {
  const schema = await readCellxgene(data);
  if (schema === null) return;
  const symbols = schema.symbols === null ? "" : `, their symbols in var["${schema.symbols}"]`;
  note({
    level: "info",
    message:
      `The file follows the CELLxGENE schema (${schema.version}): ` +
      `genes are named by Ensembl id${symbols}.`,
  });
}

async function text(data: AnnData, key: string): Promise<string | null> {
  if (!data.unsKeys.includes(key)) return null;
  const value = await tryUns(data, key);
  const [first] = Array.isArray(value) ? value : [value];
  return typeof first === "string" ? first : null;
}

/** One entry of uns; an unreadable entry counts as missing. */
async function tryUns(data: AnnData, key: string): Promise<UnsValue | undefined> {
  try {
    return await data.uns(key);
  } catch (error) {
    if (error instanceof ScPoliError) return undefined;
    throw error;
  }
}
