// The cells of a reference as its file holds them, before their counts are read: conditions, labels, metadata
// of the samples, and which columns are the model's genes.
import { uniqueNames, type AnnData } from "../anndata/anndata.js";
import type { DataFrame } from "../anndata/dataframe.js";
import { ScPoliError } from "../contract/errors.js";
import { defaults, type AtacCounts, type Note, type TrainOptions } from "../contract/options.js";
import { noteCellxgene } from "../data/cellxgene.js";
import { Combinations } from "../data/combinations.js";
import { withConditionValues } from "../data/condition-values.js";
import { countsFrom, type CountsPlace } from "../data/count-places.js";
import { sumDuplicates } from "../data/derived-counts.js";
import { checkGroups, noGroups } from "../data/key-columns.js";
import { keptCells, readConditions, readLabels, type Conditions, type Labels } from "../data/labels.js";
import type { Dataset } from "../data/minibatches.js";
import { renameGenes, renameLabels, type NameMapReport } from "../data/name-maps.js";
import { metadataOfConditions, type SampleMetadata } from "../data/sample-metadata.js";
import { findValues } from "../data/values.js";
import { resolveGenes } from "../data/variable-genes.js";

/** The reference's cells without counts, which are still in the file. */
export interface ReferenceData {
  readonly cells: Omit<Dataset, "counts">;
  readonly genes: readonly string[];
  readonly place: CountsPlace;
  readonly atacCounts?: AtacCounts;
  /** (columns of the file) model gene of each column, -1 drops it */
  readonly map: Int32Array;
  /** rows of the file that are cells of the reference; undefined: all */
  readonly keep: Int32Array | undefined;
  readonly conditions: readonly Conditions[];
  readonly combinations: readonly (readonly number[])[];
  readonly labels: Labels;
  /** whether labels that do not form groups (e.g. a value per cell) were accepted by `force` */
  readonly isForced: boolean;
  /** per key metadata of the conditions from obs; null if there is none or it should not be stored */
  readonly metadata: readonly SampleMetadata[] | null;
  /** effects of the name maps, for the provenance */
  readonly nameMaps: { readonly gene_map?: NameMapReport; readonly label_map?: NameMapReport };
}

type NoteTo = (note: Note) => void;

/** @throws ScPoliError; see `ScPoli.train` */
export async function readReference(data: AnnData, options: TrainOptions): Promise<ReferenceData> {
  const note = options.onNote ?? (() => {});
  for (const message of data.notes) note({ level: "info", message });
  const obs = await withConditionValues(data.obs, options.conditionValues, options);
  const keep = await keptCells(obs, options.exclude);
  const conditions = await readAllConditions(obs, keep, options, note);
  const metadata =
    options.sampleMetadata === false ? null : await metadataOfConditions(obs, conditions, { keep });
  noteMetadata(metadata ?? [], options.conditionKeys, note);
  const { labels, isForced, labelMap } = await readAllLabels(obs, keep, options, note);
  await noteCellxgene(data, note);
  const { place, atacCounts, geneMap } = await findReferenceValues(data, options, note);
  const table = new Combinations();
  const combinations = table.columns(conditions.map(({ codes }) => codes));
  const names = uniqueNames(await place.var.index(), "var", data.path);
  const columns = await resolveGenes(options.genes, place, combinations, {
    keep,
    isAtac: atacCounts !== undefined,
    otherVar: data.var,
    signal: options.signal,
    onProgress: (done, total) => options.onProgress?.({ stage: "variable genes", done, total }),
    force: options.force,
    note,
  });
  const map = new Int32Array(place.matrix.columns).fill(-1);
  columns.forEach((column, gene) => (map[column] = gene));
  note({
    level: "info",
    message:
      `${countsFrom(place)}: ${combinations.length} cells, ${columns.length} of ${place.matrix.columns} ` +
      "genes.",
  });
  return {
    cells: {
      conditions: conditions.map(({ codes }) => codes),
      combinations,
      labels: labels.codes,
      levels: labels.keys.length,
    },
    genes: Array.from(columns, (column) => names[column]!),
    place,
    atacCounts,
    map,
    keep,
    conditions,
    combinations: table.codes,
    labels,
    isForced,
    metadata: metadata?.some(({ columns: stored }) => stored.length > 0) ? metadata : null,
    nameMaps: { ...(geneMap && { gene_map: geneMap }), ...(labelMap && { label_map: labelMap }) },
  };
}

async function readAllConditions(
  obs: DataFrame,
  keep: Int32Array | undefined,
  options: TrainOptions,
  note: NoteTo,
): Promise<Conditions[]> {
  const conditions: Conditions[] = [];
  for (const key of options.conditionKeys) {
    const condition = await readConditions(obs, key, { keep, note });
    await checkGroups(obs, key, condition, "condition", options);
    if (condition.names.length === 1)
      note({
        level: "info",
        message:
          `obs['${key}'] has only one value, '${condition.names[0]}': there are no differences between ` +
          "conditions to integrate.",
      });
    conditions.push(condition);
  }
  return conditions;
}

async function readAllLabels(
  obs: DataFrame,
  keep: Int32Array | undefined,
  options: TrainOptions,
  note: NoteTo,
): Promise<Pick<ReferenceData, "labels" | "isForced"> & { readonly labelMap?: NameMapReport }> {
  const keys = options.cellTypeKeys ?? [];
  const harmonised = options.labelMap && (await renameLabels(obs, keys, options.labelMap, note, { keep }));
  let isForced = false;
  const labels = await readLabels(harmonised?.obs ?? obs, keys, options.unlabeled, {
    keep,
    note,
    check: async (key, factor) => {
      await checkGroups(obs, key, factor, "cell type", options);
      const reason = noGroups(key, factor);
      if (reason === null) return;
      isForced = true;
      note({
        level: "warning",
        message:
          `obs['${key}'] has ${reason}. No classifier is trained for such labels; cells get the label of ` +
          "the nearest prototype.",
      });
    },
  });
  return { labels, isForced, labelMap: harmonised?.report };
}

/** Where the values are, under the names that the options give to the genes. */
async function findReferenceValues(
  data: AnnData,
  options: TrainOptions,
  note: NoteTo,
): Promise<Pick<ReferenceData, "place" | "atacCounts"> & { readonly geneMap?: NameMapReport }> {
  const { reconLoss = defaults.reconLoss } = options;
  if (reconLoss === "mse" && typeof options.genes === "number")
    throw new ScPoliError(
      "usage",
      "genes is a number, but variable genes are selected from raw counts, which mse does not use; give " +
        "a list of names or a column of var.",
    );
  const { place: original, atacCounts } = await findValues(data, { ...options, reconLoss }, note);
  const renamed = options.geneMap && (await renameGenes(original.var, options.geneMap, note));
  const named = renamed ? { ...original, var: renamed.genes } : original;
  const place =
    options.duplicateGenes === "sum" ? await sumDuplicateGenes(named, await named.var.index(), note) : named;
  return { place, atacCounts, geneMap: renamed?.report };
}

function noteMetadata(
  tables: readonly SampleMetadata[],
  keys: readonly string[],
  note: (note: Note) => void,
): void {
  tables.forEach(({ columns }, k) => {
    if (columns.length > 0)
      note({
        level: "info",
        message:
          `Metadata of each ${keys[k]} stored in the model, constant in its cells: ` +
          `${columns.slice(0, 8).join(", ")}${columns.length > 8 ? ` and ${columns.length - 8} more` : ""} ` +
          "(--no-sample-metadata leaves them out).",
      });
  });
}

async function sumDuplicateGenes(
  place: CountsPlace,
  names: readonly string[],
  note: (note: Note) => void,
): Promise<CountsPlace> {
  const sum = await sumDuplicates(place, names);
  if (sum.summed > 0)
    note({ level: "info", message: `${sum.summed} columns were added to another column of the same gene.` });
  return sum.place;
}
