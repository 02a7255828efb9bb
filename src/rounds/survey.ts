// A survey of a shard: the statistics that the plan of a training in rounds needs, computed in one pass. The
// plan does not depend on the order of the surveys.
import { type AnnData, uniqueNames } from "../anndata/anndata.js";
import { checkWhole, defaults, type AtacCounts, type Note } from "../contract/options.js";
import { Combinations } from "../data/combinations.js";
import type { CountsPlace } from "../data/count-places.js";
import { sumDuplicates } from "../data/derived-counts.js";
import { checkGroups } from "../data/key-columns.js";
import { factorize, readConditions, type Conditions } from "../data/labels.js";
import { isUnlabeled } from "../data/missing-values.js";
import { metadataOfConditions, type SampleMetadata } from "../data/sample-metadata.js";
import { findValues } from "../data/values.js";
import { rankGenes, type GeneRanking } from "../data/variable-genes.js";
import { ScPoliError } from "../contract/errors.js";
import type { Tensor } from "../storage/safetensors.js";
import type { SurveyOptions } from "./options.js";
import { doubles } from "./packed-file.js";

/** How every shard reads its values. */
export interface Reading {
  readonly condition_keys: readonly string[];
  readonly cell_type_keys: readonly string[];
  /** names that mean "no label", in addition to the usual ones */
  readonly unlabeled: readonly string[];
  readonly recon_loss: string;
  readonly layer: string | null;
  readonly recover_counts: boolean;
  readonly round_counts: boolean;
  /** types of the modelled features; null: as `train` selects them */
  readonly feature_types: readonly string[] | null;
  readonly duplicate_genes: "refuse" | "sum";
  /** unit assumed for scATAC counts */
  readonly atac_counts: AtacCounts | null;
  /** number of variable genes to select; a list of names; null: all genes */
  readonly genes: number | readonly string[] | null;
  readonly federated: boolean;
  /** in federated runs, smaller counts of cells are withheld */
  readonly least_cells: number;
}

/** The JSON of a survey. */
export interface SurveyJson {
  readonly shard: string;
  readonly reading: Reading;
  readonly cells: number;
  /** number of stored counts over all genes */
  readonly stored: number;
  /** names of the file's genes, in file order */
  readonly genes: readonly string[];
  /** names (one per key) and number of cells of each combination of conditions */
  readonly combinations: readonly { readonly names: readonly string[]; readonly cells: number }[];
  /** number of cells of each cell type, per level; null if withheld */
  readonly levels: readonly Readonly<Record<string, number | null>>[];
  /** sample metadata from obs, per key */
  readonly metadata: readonly SampleMetadata[];
}

export interface Survey {
  readonly json: SurveyJson;
  /** ranking of the genes, if variable genes are to be selected */
  readonly ranking: GeneRanking | null;
}

/** Smallest count of cells that is reported between institutions. */
const defaultLeastCells = 10;

/** The cells of a shard, coded by its own names. */
export interface ShardCells {
  readonly conditions: readonly Conditions[];
  /** (N) code of each cell's combination */
  readonly combinations: Int32Array;
  /** code of each key, for each combination */
  readonly tuples: readonly (readonly number[])[];
  /** per level, the code of each cell (-1 for none) and the names */
  readonly levels: readonly { readonly codes: Int32Array; readonly names: readonly string[] }[];
}

/** @throws ScPoliError "key" for a column that does not exist, or a cell without a condition */
export async function readShardCells(
  data: AnnData,
  reading: Pick<Reading, "condition_keys" | "cell_type_keys" | "unlabeled">,
): Promise<ShardCells> {
  await data.uniqueNames("obs");
  const conditions: Conditions[] = [];
  for (const key of reading.condition_keys) conditions.push(await readConditions(data.obs, key));
  const table = new Combinations();
  const combinations = table.columns(conditions.map(({ codes }) => codes));
  const levels: { codes: Int32Array; names: readonly string[] }[] = [];
  for (const key of reading.cell_type_keys) {
    const { codes, names } = factorize(await data.obs.column(key));
    const kept = names.filter((name) => !isUnlabeled(name, reading.unlabeled));
    const recode = names.map((name) => kept.indexOf(name));
    levels.push({ codes: codes.map((code) => (code < 0 ? -1 : recode[code]!)), names: kept });
  }
  return { conditions, combinations, tuples: table.codes, levels };
}

/** The counts of a shard, for the survey and the rounds. */
export async function findShardCounts(
  data: AnnData,
  reading: Omit<
    Reading,
    "condition_keys" | "cell_type_keys" | "unlabeled" | "genes" | "federated" | "least_cells"
  >,
  note: (note: Note) => void,
): Promise<{ readonly place: CountsPlace; readonly atacCounts: AtacCounts | null }> {
  const { place, atacCounts = null } = await findValues(
    data,
    {
      reconLoss: reading.recon_loss as never,
      layer: reading.layer ?? undefined,
      recoverCounts: reading.recover_counts,
      roundCounts: reading.round_counts,
      featureTypes: reading.feature_types ?? undefined,
      atacCounts: reading.atac_counts ?? undefined,
    },
    note,
  );
  const whole =
    reading.duplicate_genes === "sum" ? (await sumDuplicates(place, await place.var.index())).place : place;
  return { place: whole, atacCounts };
}

/**
 * Surveys a shard.
 * @param shard - its name, used in file names and to order the shards when merging
 * @throws ScPoliError "usage" for an invalid name or number; "key", "counts" as `ScPoli.train`
 */
export async function surveyShard(data: AnnData, shard: string, options: SurveyOptions): Promise<Survey> {
  checkShardName(shard);
  const { genes = null, federated = false } = options;
  const leastCells = checkWhole("leastCells", options.leastCells ?? defaultLeastCells, 1);
  checkGeneChoice(options);
  const read = fileReading(options);
  const cells = await readShardCells(data, read);
  for (const factor of cells.conditions)
    await checkGroups(data.obs, factor.key, factor, "condition", options);
  const requestedUnit = options.atacCounts === "auto" ? null : (options.atacCounts ?? null);
  const { place, atacCounts } = await findShardCounts(
    data,
    { ...read, atac_counts: requestedUnit },
    options.onNote ?? (() => undefined),
  );
  const names = uniqueNames(await place.var.index(), "var", data.path);
  const sizes = countCodes(cells.combinations, cells.tuples.length);
  const isReported = (count: number): boolean => !federated || count >= leastCells;
  const reportedCodes = cells.combinations.map((code) => (isReported(sizes[code]!) ? code : -1));
  const ranking =
    typeof genes === "number"
      ? await rankGenes(place, reportedCodes, genes, {
          signal: options.signal,
          onProgress: (done, total) => options.onProgress?.({ stage: "variable genes", done, total }),
        })
      : null;
  const metadata =
    options.sampleMetadata === false || federated
      ? cells.conditions.map(() => ({ columns: [], samples: {} }))
      : await metadataOfConditions(data.obs, cells.conditions);
  return {
    json: {
      shard,
      reading: {
        ...read,
        feature_types: place.featureTypes ?? null,
        atac_counts: atacCounts,
        genes,
        federated,
        least_cells: leastCells,
      },
      cells: data.nObs,
      stored: place.matrix.format === "dense" ? data.nObs * names.length : place.matrix.stored,
      genes: names,
      combinations: cells.tuples.map((codes, combination) => ({
        names: codes.map((code, key) => cells.conditions[key]!.names[code]!),
        cells: sizes[combination]!,
      })),
      levels: cells.levels.map((level) => typeCounts(level, isReported)),
      metadata,
    },
    ranking,
  };
}

/** @throws ScPoliError "usage" for variable genes with a likelihood for which they cannot be chosen */
function checkGeneChoice({ genes, reconLoss }: SurveyOptions): void {
  if (typeof genes === "number" && reconLoss && !["nb", "zinb"].includes(reconLoss))
    throw new ScPoliError(
      "usage",
      "genes is a number, but in rounds variable genes are chosen for nb and zinb only, not for " +
        `${reconLoss}; use a list of names.`,
    );
}

/** How to read the file, by the options. */
function fileReading(
  options: SurveyOptions,
): Omit<Reading, "atac_counts" | "genes" | "federated" | "least_cells"> {
  return {
    condition_keys: options.conditionKeys,
    cell_type_keys: options.cellTypeKeys ?? [],
    unlabeled: options.unlabeled ?? [],
    recon_loss: options.reconLoss ?? defaults.reconLoss,
    layer: options.layer ?? null,
    recover_counts: options.recoverCounts ?? false,
    round_counts: options.roundCounts ?? false,
    feature_types: options.featureTypes ?? null,
    duplicate_genes: options.duplicateGenes ?? "refuse",
  };
}

/** Number of cells of each type of a level; null if the count must not be reported. */
function typeCounts(
  { codes, names }: ShardCells["levels"][number],
  isReported: (count: number) => boolean,
): Record<string, number | null> {
  const counts = countCodes(codes, names.length);
  return Object.fromEntries(
    names.map((type, code) => [type, isReported(counts[code]!) ? counts[code]! : null]),
  );
}

/** Shard names must be valid file names on every system. */
function checkShardName(shard: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(shard))
    throw new ScPoliError(
      "usage",
      `'${shard}' cannot name a shard; expected at most 64 letters, digits, dots, hyphens and ` +
        "underscores, a letter or digit first.",
      { shard },
    );
}

function countCodes(codes: Int32Array, n: number): Int32Array {
  const counts = new Int32Array(n);
  for (const code of codes) if (code >= 0) counts[code]!++;
  return counts;
}

/** The tensors of a survey file. */
export function surveyTensors({ ranking }: Survey): Map<string, Tensor> {
  if (!ranking) return new Map();
  const parts = ["times", "sum", "known"] as const;
  return new Map(parts.map((part) => [`ranking.${part}`, doubles([ranking[part].length], ranking[part])]));
}
