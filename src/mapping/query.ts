// Matches a file to a model before its cells are mapped: where its counts are, which of its genes are the
// model's, and which conditions its cells have.
import type { AnnData } from "../anndata/anndata.js";
import type { Matrix } from "../anndata/matrix.js";
import { readAhead, type BlockReader } from "../anndata/read-ahead.js";
import { ScPoliError } from "../contract/errors.js";
import type { EmbedOptions, Note } from "../contract/options.js";
import { noteCellxgene } from "../data/cellxgene.js";
import { checkValueKeys, readQueryConditions } from "../data/condition-values.js";
import { countsFrom, firstPlace, takenPlace, type CountsPlace } from "../data/count-places.js";
import { sumDuplicates } from "../data/derived-counts.js";
import { peaks } from "../data/feature-types.js";
import { matchGeneNames } from "../data/gene-names.js";
import { alignGenes, checkCoverage, type GeneAlignment } from "../data/genes.js";
import type { Conditions } from "../data/labels.js";
import { renameGenes, type NameMapReport } from "../data/name-maps.js";
import { findValues } from "../data/values.js";
import type { StoredModel } from "../model/stored-model.js";

/** Counts and conditions of a file, matched to the model. */
export interface Query {
  readonly place: CountsPlace;
  /** reads `place` */
  readonly reader: BlockReader;
  readonly alignment: GeneAlignment;
  readonly conditions: readonly Conditions[];
  /** genes of the model by where their names were found */
  readonly matched: Readonly<Record<string, number>>;
  readonly geneMap?: NameMapReport;
}

/** Matches a file to the model and runs `use`, while the file is read ahead. */
export async function withQuery<T>(
  { json }: StoredModel,
  data: AnnData,
  options: EmbedOptions,
  use: (query: Query) => Promise<T>,
): Promise<T> {
  const renamed = Object.keys(options.conditionKeys ?? {}).filter(
    (key) => !json.condition_keys.includes(key),
  );
  if (renamed.length > 0)
    throw new ScPoliError(
      "key",
      `The model has no condition key '${renamed[0]}'; ` +
        `its keys are ${json.condition_keys.map((key) => `'${key}'`).join(", ")}.`,
      { key: renamed[0] },
    );
  checkValueKeys(options.conditionValues, json.condition_keys);
  // start reading the most likely place while the rest of the file is examined
  const first = firstPlace(data, options.layer);
  const early = first && readAhead(first);
  try {
    return await withPlace(
      json,
      data,
      options,
      first && early && { matrix: first.matrix, reader: early },
      use,
    );
  } finally {
    await early?.close();
  }
}

/** @param early - a reader that was already started, and its matrix */
async function withPlace<T>(
  json: StoredModel["json"],
  data: AnnData,
  options: EmbedOptions,
  early: { readonly matrix: Matrix; readonly reader: BlockReader } | null,
  use: (query: Query) => Promise<T>,
): Promise<T> {
  const note = (message: Note): void => options.onNote?.(message);
  for (const message of data.notes) note({ level: "info", message });
  const conditions = await readQueryConditions(data.obs, json.condition_keys, json.conditions, options, note);
  await noteCellxgene(data, note);
  const { place: original } = await findValues(
    data,
    {
      ...options,
      reconLoss: json.model.recon_loss,
      trainedOn: json.atac_counts,
      modelTypes: json.feature_types,
    },
    note,
  );
  const renaming = options.geneMap && (await renameGenes(original.var, options.geneMap, note));
  const renamed = renaming ? { ...original, var: renaming.genes } : original;
  const { names, matched } = await matchGeneNames(json.genes, renamed.var, note);
  const { place, names: columns } =
    options.duplicateGenes === "sum" ? await sumDuplicates(renamed, names) : { place: renamed, names };
  const reader = early?.matrix === place.matrix ? early.reader : readAhead(place);
  try {
    note({
      level: "info",
      message: `${countsFrom(place)}.`,
    });
    if (columns.length < names.length)
      note({
        level: "info",
        message: `${names.length - columns.length} columns were added to another column of the same gene.`,
      });
    const alignment = alignGenes(json.genes, columns, await place.var.index());
    checkCoverage(alignment, options, note);
    return await use({ place, reader, alignment, matched, conditions, geneMap: renaming?.report });
  } finally {
    await reader.close();
  }
}

/** @throws ScPoliError "key" for a condition that the model does not know */
export function checkConditionsKnown(
  { json }: Pick<StoredModel, "json">,
  { conditions }: Pick<Query, "conditions">,
): void {
  for (const [k, { key, names }] of conditions.entries()) {
    const unknown = names.filter((name) => !json.conditions[k]!.includes(name));
    if (unknown.length > 0)
      throw new ScPoliError(
        "key",
        `The model does not know ${unknown.length} of the ${names.length} values of '${key}': ${unknown
          .slice(0, 3)
          .map((name) => `'${name}'`)
          .join(", ")}${unknown.length > 3 ? ", ..." : ""}. ` +
          "Use `scpoli map`, which learns new conditions.",
        { key, unknown },
      );
  }
}

/** Overlap of a file's genes with a model's. */
export interface GeneCoverage {
  /** Number of genes of the model */
  readonly model: number;
  /** Genes of the model that the file has */
  readonly found: number;
  /** found / model, 0..1 */
  readonly share: number;
  /** genes of the model by where their names were found: `name`, `var["feature_name"]`, ... */
  readonly matched: Readonly<Record<string, number>>;
  /** in the model's order */
  readonly missing: readonly string[];
}

/** See `ScPoli.coverage`. */
export async function geneCoverage({ json }: StoredModel, data: AnnData): Promise<GeneCoverage> {
  const modelGenes = json.genes;
  const place = await takenPlace(data, {
    featureTypes: json.feature_types,
    preferredType: json.model.recon_loss === "poisson" ? peaks : undefined,
    roundCounts: true,
  });
  const genes = place?.var ?? data.var;
  const { names, matched } = await matchGeneNames(modelGenes, genes, () => undefined);
  const fileGenes = new Set(names);
  const missing = modelGenes.filter((name) => !fileGenes.has(name));
  const matchedGenes = modelGenes.length - missing.length;
  return {
    model: modelGenes.length,
    found: matchedGenes,
    share: matchedGenes / Math.max(1, modelGenes.length),
    matched,
    missing,
  };
}
