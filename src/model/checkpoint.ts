// The model folder, or one zip file of it: `model.safetensors` with every tensor, `model.json` with everything
// else. Both appear under their final name at once or not at all, and nothing that is read from them is
// trusted: types, lengths, ranges and shapes are checked, and each file against the other.
import {
  fileStatus,
  listFolder,
  makeFolder,
  readText,
  removeTemporary,
  replaceFolder,
  temporaryName,
  writeFile,
} from "#platform";
import { writeZip } from "../archives/zip.js";
import type { LevelCalibration } from "./classify.js";
import {
  prototypeLosses,
  type AtacCounts,
  type ConditionEncoding,
  type Defaults,
  type ModelOptions,
  type PrototypeLoss,
  type ReconLoss,
} from "../config.js";
import { ScPoliError } from "../errors.js";
import type { SampleMetadata } from "../data/sample-metadata.js";
import { headRows, type HeadJson, type HeadLevel, type HeadTraining, type NoveltyJson } from "./head.js";
import { cardName, openModelFiles, type ModelFiles } from "./model-files.js";
import { modelOptions, parameterShapes } from "./parameters.js";
import { readSafetensors, writeSafetensors, type Tensor } from "./safetensors.js";

/** Version of the folder's layout that this package writes, and the newest that it reads. */
export const formatVersion = 7;

/**
 * `model.json`. Arrays "per key" and "per level" are in the order of `condition_keys` and `cell_type_keys`.
 */
export interface ModelJson {
  readonly format_version: number;
  readonly scpoli_version: string;
  readonly model: {
    readonly hidden_layer_sizes: readonly number[];
    readonly latent_dim: number;
    /** missing in models of before one-hot encoding: "embedding" */
    readonly condition_encoding?: ConditionEncoding;
    readonly embedding_dims: readonly number[];
    readonly inject_condition: readonly ("encoder" | "decoder")[];
    readonly recon_loss: ReconLoss;
    readonly dropout: number;
  };
  /** what the counts of a Poisson model were taken as; a query's are taken likewise. Missing: as they are */
  readonly atac_counts?: AtacCounts;
  /** types of the features that it is made of, or "all". Missing: gene expression alone */
  readonly feature_types?: readonly string[];
  /** (G) */
  readonly genes: readonly string[];
  readonly condition_keys: readonly string[];
  /** per key: names of the conditions, in the order of the embedding's rows */
  readonly conditions: readonly (readonly string[])[];
  /** per key: how many of them belong to the reference (they come first) */
  readonly reference_conditions: readonly number[];
  /** per column of theta: code of the condition of each key */
  readonly combinations: readonly (readonly number[])[];
  readonly cell_type_keys: readonly string[];
  /** (K) names of the prototypes */
  readonly cell_types: readonly string[];
  /** per level: rows of `cell_types`, ascending */
  readonly levels: readonly (readonly number[])[];
  /**
   * What drew cells to the prototypes; a labelled query is mapped with the same. Missing in models without
   * labels, of other programs, and of before there was a choice: the distance, with weight 1
   */
  readonly prototype_loss?: {
    readonly loss: PrototypeLoss;
    readonly eta: number;
    readonly eta_cross_entropy: number;
    readonly type_balance: number;
  };
  /** (K) cells that each prototype is the mean of; 0 where that is not known (imported models) */
  readonly prototype_counts: readonly number[];
  /**
   * (U) of each unlabelled prototype its number, which it keeps for good, and the cells that it is the mean
   * of. Since format 2.
   */
  readonly unlabeled_prototypes: readonly { readonly cluster: number; readonly cells: number }[];
  /** per level */
  readonly calibration: readonly LevelCalibration[];
  /** per key what is known of its conditions beside their names; missing where nothing is */
  readonly sample_metadata?: readonly SampleMetadata[];
  /**
   * null: cells are labelled by their nearest prototype (a model without labels, or made by another program)
   */
  readonly head: HeadJson | null;
  /**
   * null: the model carries none (`landmarks: false`, models of format 2 and 1, and of other programs). Since
   * format 3.
   */
  readonly landmarks: LandmarksJson | null;
  readonly provenance: Readonly<Record<string, unknown>>;
}

/** Of the landmarks (landmarks.ts), beside their tensors. */
export interface LandmarksJson {
  /** L */
  readonly cells: number;
  /** cells of the reference that they were chosen from */
  readonly of: number;
  /** 5 %, 50 % and 95 % quantile of the size factors of all cells of the reference */
  readonly size_factors: readonly [number, number, number];
  /**
   * distance in the latent space within which 95 % of the landmarks have their 15th nearest other landmark
   */
  readonly neighbor_distance: number;
}

export interface StoredTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}
/** A model folder in memory. */
export interface StoredModel {
  readonly json: ModelJson;
  /**
   * parameters by scArches' names, `prototypes` (K, D) and `prototype_covariances` (K, D, D); where there are
   * any, `unlabeled_prototypes` (U, D) and `unlabeled_prototype_covariances` (U, D, D); with a head or
   * landmarks, theirs
   */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Model options as `model.json` has them. */
export function storedOptions(options: ModelOptions): ModelJson["model"] {
  return {
    hidden_layer_sizes: options.hiddenLayerSizes,
    latent_dim: options.latentDim,
    condition_encoding: options.conditionEncoding,
    embedding_dims: options.embeddingDims,
    inject_condition: options.injectCondition,
    recon_loss: options.reconLoss,
    dropout: options.dropout,
  };
}

/** Model options from `model.json`. */
export function optionsOf(model: ModelJson["model"]): ModelOptions {
  return {
    hiddenLayerSizes: model.hidden_layer_sizes,
    latentDim: model.latent_dim,
    conditionEncoding: model.condition_encoding ?? "embedding",
    embeddingDims: model.embedding_dims,
    injectCondition: model.inject_condition,
    reconLoss: model.recon_loss,
    dropout: model.dropout,
  };
}

/** What drew cells to prototypes, and with which weights; 0 where a term has no part. */
type PrototypeLossOptions = Pick<Defaults, "prototypeLoss" | "eta" | "etaCrossEntropy" | "typeBalance">;

/** The prototype loss as `model.json` has it. */
export function storedPrototypeLoss(options: PrototypeLossOptions): ModelJson["prototype_loss"] {
  return {
    loss: options.prototypeLoss,
    eta: options.eta,
    eta_cross_entropy: options.etaCrossEntropy,
    type_balance: options.typeBalance,
  };
}

/** The prototype loss from `model.json`. */
export function prototypeLossOf({ prototype_loss: stored }: ModelJson): PrototypeLossOptions {
  return stored
    ? {
        prototypeLoss: stored.loss,
        eta: stored.eta,
        etaCrossEntropy: stored.eta_cross_entropy,
        typeBalance: stored.type_balance,
      }
    : { prototypeLoss: "distance", eta: 1, etaCrossEntropy: 0, typeBalance: 0 };
}

const jsonName = "model.json";
const tensorsName = "model.safetensors";

/** Whether a model of this name is one zip file, and not a folder. */
export function isZipName(path: string): boolean {
  return /\.zip$/i.test(path);
}

/**
 * Writes a model beside its final name, then renames it: a folder, or, where the name ends in .zip, a zip file
 * of the same files.
 *
 * @param options.force - replace the model of this name; a file or folder that holds anything else is never
 * touched
 * @param options.card - its model card (card.ts)
 * @throws ScPoliError "model" where the model itself is broken (NaN weights), "refused" where a model is
 * there already, "output" where something else is there or nothing can be written
 */
export async function saveModel(
  folder: string,
  stored: StoredModel,
  options: { readonly force?: boolean; readonly card?: string } = {},
): Promise<void> {
  const { json, tensors } = checkStored(
    stored,
    "The model to be saved",
    "Training has failed; lower the learning rate or look for extreme counts.",
  );
  await checkModelFolder(folder, options.force ?? false);
  const files = {
    [tensorsName]: writeSafetensors(tensors),
    [jsonName]: jsonText(json),
    ...(options.card !== undefined && { [cardName]: options.card }),
  };
  if (isZipName(folder)) await writeFile(folder, writeZip(files));
  else await writeFolder(folder, files);
}

/**
 * Writes a folder of files beside its final name, then renames it; a folder of that name goes.
 * @throws ScPoliError "output"
 */
export async function writeFolder(
  folder: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<void> {
  const temporary = temporaryName(folder);
  try {
    await makeFolder(temporary);
    for (const [name, content] of Object.entries(files)) await writeFile(`${temporary}/${name}`, content);
    replaceFolder(temporary, folder);
  } catch (error) {
    await removeTemporary(temporary);
    throw error;
  }
}

/**
 * Whether a model in memory is whole: what a model folder must hold, all of it finite.
 * @param where - what it is, for error texts @param advice - what to do where it is not whole
 * @throws ScPoliError "model"
 */
export function checkStored(
  stored: StoredModel,
  where: string,
  advice: string,
): { readonly json: ModelJson; readonly tensors: ReadonlyMap<string, Tensor> } {
  const check = new Checker(where, advice);
  const json = checkJson(stored.json, check);
  const tensors = new Map(
    [...stored.tensors].map(([name, tensor]): [string, Tensor] => [name, { dtype: "F32", ...tensor }]),
  );
  checkTensors(json, tensors, check);
  return { json, tensors };
}

/** One line per entry: long lists stay readable. */
function jsonText(json: ModelJson): string {
  return `{\n${Object.entries(json)
    .map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`)
    .join(",\n")}\n}\n`;
}

/** What a folder holds that may be replaced. */
export interface FolderContent {
  /** for error texts: "a model of scpoli" */
  readonly what: string;
  /** files that it has, and those that it may have */
  readonly files: readonly string[];
  readonly others?: readonly string[];
  /** whether the files are what their names say */
  readonly isOurs: (folder: string) => Promise<boolean>;
}

const ownModel: FolderContent = {
  what: "a model of scpoli",
  files: [jsonName, tensorsName],
  others: [cardName],
  isOurs,
};

/** Whether a model may be saved there; for a look before a long training. @throws as `saveModel` */
export async function checkModelFolder(
  folder: string,
  force: boolean,
  { what, files, others = [], isOurs: check }: FolderContent = ownModel,
): Promise<void> {
  const status = await fileStatus(folder);
  if (!status) return;
  if (status.kind === "file") return checkModelFile(folder, force, files === ownModel.files);
  if (status.kind !== "folder")
    throw new ScPoliError("output", `${folder} is ${status.kind}; a model is a folder. Give another name.`, {
      path: folder,
    });
  const names = await listFolder(folder);
  if (names.length === 0) return;
  const foreign = names.filter((name) => !files.includes(name) && !others.includes(name));
  if (foreign.length > 0 || !files.every((name) => names.includes(name)) || !(await check(folder)))
    throw new ScPoliError(
      "output",
      `${folder} holds something else than ${what}${foreign.length > 0 ? ` ('${foreign[0]}')` : ""} and is left as it is. Give another name.`,
      { path: folder },
    );
  refuseTaken(folder, force);
}

/** The same for a file, which may be a model's zip file. */
async function checkModelFile(path: string, force: boolean, mayBeZip: boolean): Promise<void> {
  const isZip = mayBeZip && isZipName(path);
  if (!isZip || !(await isOurZip(path)))
    throw new ScPoliError(
      "output",
      `${path} is a file${isZip ? " that holds no model of scpoli" : "; a model is a folder"}. Give another name.`,
      { path },
    );
  refuseTaken(path, force);
}

function refuseTaken(path: string, force: boolean): void {
  if (!force)
    throw new ScPoliError(
      "refused",
      `${path} holds a model already. Give another name; --force replaces it.`,
      {
        path,
      },
    );
}

async function isOurZip(path: string): Promise<boolean> {
  try {
    return (await openModelFiles(path))?.names.includes(jsonName) ?? false;
  } catch {
    return false;
  }
}

async function isOurs(folder: string): Promise<boolean> {
  try {
    const json: unknown = JSON.parse(await readText(`${folder}/${jsonName}`));
    return typeof json === "object" && json !== null && "scpoli_version" in json;
  } catch {
    return false;
  }
}

/**
 * Reads and checks a model: a folder, or a zip or tar file of one.
 * @throws ScPoliError "file" where there is nothing of this name; "model" where it is no model, damaged, or
 * made by a newer version
 */
export async function loadModel(source: string | ModelFiles): Promise<StoredModel> {
  const files = typeof source === "string" ? await openModelFiles(source) : source;
  if (!files) throw noModelFile(source as string);
  checkSource(files);
  const jsonPath = files.describe(jsonName);
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(await files.read(jsonName)));
  } catch (error) {
    if (error instanceof ScPoliError) throw error;
    throw new ScPoliError(
      "model",
      `${jsonPath} is damaged: it is not JSON (${(error as Error).message}). ${copyAnew}`,
      { path: jsonPath },
      { cause: error },
    );
  }
  const json = checkJson(parsed, new Checker(jsonPath, copyAnew));
  const tensorsPath = files.describe(tensorsName);
  const tensors = readSafetensors(await files.read(tensorsName), tensorsPath);
  if (hadOtherNovelty(parsed as ModelJson))
    for (const name of [...tensors.keys()]) if (otherNovelty.test(name)) tensors.delete(name);
  checkTensors(json, tensors, new Checker(tensorsPath, copyAnew));
  return {
    json,
    tensors: new Map(
      [...tensors].map(([name, { shape, data }]) => [name, { shape, data: data as Float32Array }]),
    ),
  };
}

/** The error for a file that is neither an archive nor a file of PyTorch. */
export function noModelFile(path: string): ScPoliError {
  return new ScPoliError(
    "model",
    `${path} is a file; a model is a folder with ${jsonName} and ${tensorsName}, as \`scpoli train\` writes it, or a zip or tar file of one.`,
    { path },
  );
}

function checkSource({ path, names }: ModelFiles): void {
  const missing = [jsonName, tensorsName].filter((name) => !names.includes(name));
  if (missing.length === 0) return;
  if (missing.length === 1)
    throw new ScPoliError("model", `${path} is not complete: ${missing[0]} is missing. ${copyAnew}`, {
      path,
    });
  throw new ScPoliError(
    "model",
    `${path} is no model folder: ${jsonName} and ${tensorsName} are missing. Give the folder that \`scpoli train\` has written, or one of scArches.`,
    { path },
  );
}

const copyAnew = "Copy the model anew, or train again.";

/**
 * Takes apart what JSON.parse gave, entry by entry; every complaint names the entry and ends in an advice.
 */
class Checker {
  constructor(
    readonly where: string,
    private readonly advice: string,
  ) {}

  fail(what: string): never {
    throw new ScPoliError("model", `${this.where} is damaged: ${what}. ${this.advice}`, { path: this.where });
  }
  object(value: unknown, name: string): Readonly<Record<string, unknown>> {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      this.fail(`${name} is ${shown(value)}, expected an object`);
    return value as Record<string, unknown>;
  }
  list<T>(
    value: unknown,
    name: string,
    item: (value: unknown, name: string, at: number) => T,
    length?: number,
  ): T[] {
    if (!Array.isArray(value)) this.fail(`${name} is ${shown(value)}, expected a list`);
    if (length !== undefined && value.length !== length)
      this.fail(`${name} has ${value.length} entries, expected ${length}`);
    return value.map((entry, i) => item(entry, `${name}[${i}]`, i));
  }
  text(value: unknown, name: string): string {
    if (typeof value !== "string" || value === "") this.fail(`${name} is ${shown(value)}, expected a text`);
    return value;
  }
  number(value: unknown, name: string, least: number, most = Number.MAX_VALUE): number {
    if (typeof value !== "number" || !(value >= least && value <= most))
      this.fail(`${name} is ${shown(value)}, expected a number in [${least}, ${most}]`);
    return value;
  }
  whole(value: unknown, name: string, least: number, most = Number.MAX_SAFE_INTEGER): number {
    if (!Number.isSafeInteger(this.number(value, name, least, most)))
      this.fail(`${name} is ${shown(value)}, expected a whole number`);
    return value as number;
  }
  /** texts, none of them twice */
  names(value: unknown, name: string, least: number): string[] {
    const names = this.list(value, name, (entry, entryName) => this.text(entry, entryName));
    if (names.length < least) this.fail(`${name} is empty`);
    const seen = new Set<string>();
    for (const entry of names) {
      if (seen.has(entry)) this.fail(`${name} has '${entry}' twice`);
      seen.add(entry);
    }
    return names;
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

function checkJson(parsed: unknown, check: Checker): ModelJson {
  const { where } = check;
  const entries = check.object(parsed, "the content");
  if (!Number.isSafeInteger(entries.format_version))
    throw new ScPoliError("model", `${where} is not of scpoli: it has no format_version.`, { path: where });
  const format = check.whole(entries.format_version, "format_version", 1);
  if (format > formatVersion)
    throw new ScPoliError(
      "model",
      `${where} was made by a newer scpoli (${shown(entries.scpoli_version)}): its format is ${format}, this version reads up to ${formatVersion}. Update scpoli: npm install scpoli@latest.`,
      { path: where, format_version: format },
    );
  const genes = check.names(entries.genes, "genes", 1);
  const keys = check.names(entries.condition_keys, "condition_keys", 1);
  const conditions = check.list(
    entries.conditions,
    "conditions",
    (value, name) => check.names(value, name, 1),
    keys.length,
  );
  const combinations = check.list(entries.combinations, "combinations", (value, name) => {
    const codes = check.list(value, name, (code, codeName) => check.whole(code, codeName, 0), keys.length);
    codes.forEach((code, key) => check.whole(code, `${name}[${key}]`, 0, conditions[key]!.length - 1));
    return codes;
  });
  if (combinations.length === 0) check.fail("combinations is empty");
  if (new Set(combinations.map(String)).size < combinations.length) check.fail("combinations has one twice");
  return {
    format_version: formatVersion,
    scpoli_version: check.text(entries.scpoli_version, "scpoli_version"),
    model: checkModel(check, entries.model, genes.length, keys.length),
    ...checkAtacCounts(check, entries.atac_counts),
    ...(entries.feature_types !== undefined && {
      feature_types: check.names(entries.feature_types, "feature_types", 1),
    }),
    genes,
    condition_keys: keys,
    conditions,
    reference_conditions: check
      .list(
        entries.reference_conditions,
        "reference_conditions",
        (value, name) => check.whole(value, name, 1),
        keys.length,
      )
      .map((n, key) => check.whole(n, `reference_conditions[${key}]`, 1, conditions[key]!.length)),
    combinations,
    ...checkCellTypes(check, entries),
    ...checkPrototypeLoss(check, entries.prototype_loss),
    unlabeled_prototypes: checkUnlabeled(check, entries.unlabeled_prototypes ?? []),
    ...(entries.sample_metadata === undefined
      ? {}
      : {
          sample_metadata: check.list(
            entries.sample_metadata,
            "sample_metadata",
            (value, name) => checkMetadata(check, value, name),
            keys.length,
          ),
        }),
    head: checkHead(check, entries, format),
    landmarks: checkLandmarks(check, entries.landmarks ?? null),
    provenance: check.object(entries.provenance, "provenance"),
  };
}

function checkPrototypeLoss(check: Checker, value: unknown): Pick<ModelJson, "prototype_loss"> {
  if (value === undefined) return {};
  const entries = check.object(value, "prototype_loss");
  const loss = check.text(entries.loss, "prototype_loss.loss") as PrototypeLoss;
  if (!prototypeLosses.includes(loss))
    check.fail(`prototype_loss.loss is "${loss}"; expected ${prototypeLosses.join(", ")}`);
  const weight = (name: string): number => check.number(entries[name], `prototype_loss.${name}`, 0);
  return {
    prototype_loss: {
      loss,
      eta: weight("eta"),
      eta_cross_entropy: weight("eta_cross_entropy"),
      type_balance: weight("type_balance"),
    },
  };
}

function checkMetadata(check: Checker, value: unknown, name: string): SampleMetadata {
  const table = check.object(value, name);
  const columns = check.names(table.columns, `${name}.columns`, 0);
  const cell = (entry: unknown, entryName: string): string | number | boolean | null => {
    if (entry !== null && typeof entry !== "string" && typeof entry !== "boolean")
      return check.number(entry, entryName, -Number.MAX_VALUE);
    return entry;
  };
  const samples = Object.entries(check.object(table.samples, `${name}.samples`));
  const levels = Object.entries(check.object(table.levels ?? {}, `${name}.levels`)).map(
    ([column, own]) => [column, check.names(own, `${name}.levels.${column}`, 1)] as const,
  );
  return {
    ...(levels.length > 0 && { levels: Object.fromEntries(levels) }),
    columns,
    samples: Object.fromEntries(
      samples.map(([sample, cells]) => [
        sample,
        check.list(cells, `${name}.samples.${sample}`, cell, columns.length),
      ]),
    ),
  };
}

function checkModel(check: Checker, value: unknown, genes: number, keys: number): ModelJson["model"] {
  const entries = check.object(value, "model");
  const wholes = (name: string): number[] =>
    check.list(entries[name], `model.${name}`, (entry, entryName) => check.whole(entry, entryName, 1));
  const given: ModelOptions = {
    hiddenLayerSizes: wholes("hidden_layer_sizes"),
    latentDim: check.whole(entries.latent_dim, "model.latent_dim", 1),
    conditionEncoding: check.text(
      entries.condition_encoding ?? "embedding",
      "model.condition_encoding",
    ) as ConditionEncoding,
    embeddingDims: wholes("embedding_dims"),
    injectCondition: check.names(
      entries.inject_condition,
      "model.inject_condition",
      1,
    ) as ModelOptions["injectCondition"],
    reconLoss: check.text(entries.recon_loss, "model.recon_loss") as ReconLoss,
    dropout: check.number(entries.dropout, "model.dropout", 0, 1),
  };
  if (given.hiddenLayerSizes.length === 0) check.fail("model.hidden_layer_sizes is empty");
  try {
    modelOptions(given, genes, keys);
  } catch (error) {
    check.fail(`in model, ${(error as Error).message.replace(/\.$/, "")}`);
  }
  return storedOptions(given);
}

function checkAtacCounts(check: Checker, value: unknown): Pick<ModelJson, "atac_counts"> {
  if (value === undefined) return {};
  if (value !== "reads" && value !== "fragments")
    check.fail(`atac_counts is ${shown(value)}, expected "reads" or "fragments"`);
  return { atac_counts: value };
}

function checkCellTypes(
  check: Checker,
  entries: Readonly<Record<string, unknown>>,
): Pick<ModelJson, "cell_type_keys" | "cell_types" | "levels" | "prototype_counts" | "calibration"> {
  const keys = check.names(entries.cell_type_keys, "cell_type_keys", 0);
  const types = check.names(entries.cell_types, "cell_types", keys.length > 0 ? 1 : 0);
  const levels = check.list(
    entries.levels,
    "levels",
    (value, name) => {
      const rows = check.list(value, name, (row, rowName) => check.whole(row, rowName, 0, types.length - 1));
      if (rows.length === 0 || rows.some((row, i) => i > 0 && row <= rows[i - 1]!))
        check.fail(`${name} is ${shown(rows)}, expected ascending rows of cell_types`);
      return rows;
    },
    keys.length,
  );
  const used = new Set(levels.flat());
  const unused = types.find((_, row) => !used.has(row));
  if (unused !== undefined) check.fail(`cell type '${unused}' is in no level`);
  return {
    cell_type_keys: keys,
    cell_types: types,
    levels,
    prototype_counts: check.list(
      entries.prototype_counts,
      "prototype_counts",
      (value, name) => check.whole(value, name, 0),
      types.length,
    ),
    calibration: check.list(
      entries.calibration,
      "calibration",
      (value, name) => {
        const level = check.object(value, name);
        return {
          distance_scale: check.number(level.distance_scale, `${name}.distance_scale`, Number.MIN_VALUE),
          probability_scale: check.number(
            level.probability_scale,
            `${name}.probability_scale`,
            Number.MIN_VALUE,
          ),
          threshold: check.number(level.threshold, `${name}.threshold`, 0, 1),
          cells: check.whole(level.cells, `${name}.cells`, 0),
        };
      },
      keys.length,
    ),
  };
}

function checkUnlabeled(check: Checker, value: unknown): ModelJson["unlabeled_prototypes"] {
  const prototypes = check.list(value, "unlabeled_prototypes", (entry, name) => {
    const { cluster, cells } = check.object(entry, name);
    return {
      cluster: check.whole(cluster, `${name}.cluster`, 0),
      cells: check.whole(cells, `${name}.cells`, 0),
    };
  });
  if (prototypes.some(({ cluster }, i) => i > 0 && cluster <= prototypes[i - 1]!.cluster))
    check.fail("unlabeled_prototypes is not in ascending order");
  return prototypes;
}

/** First version whose models know of unknown cells what novelty.ts knows now. */
const noveltyVersion = 7;
/** Why novelty is not calibrated in earlier ones. */
export const earlierVersion = "the model is of an earlier version";
/** What earlier ones know of them is left out. */
const otherNovelty = /^(novelty\.|head\.(means|axes)$)/;

function hadOtherNovelty({
  format_version: format,
  head,
}: Pick<ModelJson, "format_version" | "head">): boolean {
  return format < noveltyVersion && head !== null && head !== undefined;
}

/** Models of early versions have none. */
function checkHead(
  check: Checker,
  entries: Readonly<Record<string, unknown>>,
  format: number,
): HeadJson | null {
  const value = entries.head ?? null;
  if (value === null) return null;
  const known = entries.levels as number[][];
  const head = check.object(value, "head");
  const levels = check.list(head.levels, "head.levels", (entry, name, position) => {
    const level = check.object(entry, name);
    const types = check.list(level.types, `${name}.types`, (row, rowName) => check.whole(row, rowName, 0));
    const own = known[position] ?? [];
    if (types.length === 0 || types.some((row, i) => !own.includes(row) || (i > 0 && row <= types[i - 1]!)))
      check.fail(`${name}.types is ${shown(types)}, expected ascending rows of its level`);
    return {
      types,
      temperature: check.number(level.temperature, `${name}.temperature`, Number.MIN_VALUE),
      ...checkCalibrated(check, level, name, format),
    };
  });
  if (levels.length === 0) check.fail("head.levels is empty");
  return { levels, ...checkHeadTraining(check, head.training) };
}

function checkCalibrated(
  check: Checker,
  level: Readonly<Record<string, unknown>>,
  name: string,
  format: number,
): Pick<HeadLevel, "novelty" | "not_calibrated"> {
  if (format < noveltyVersion) return { not_calibrated: earlierVersion };
  if (level.novelty !== undefined) return { novelty: checkNovelty(check, level.novelty, `${name}.novelty`) };
  return level.not_calibrated === undefined
    ? {}
    : { not_calibrated: check.text(level.not_calibrated, `${name}.not_calibrated`) };
}

function checkHeadTraining(check: Checker, value: unknown): { readonly training?: HeadTraining } {
  if (value === undefined) return {};
  const entries = check.object(value, "head.training");
  return {
    training: {
      inverse_penalty: check.number(
        entries.inverse_penalty,
        "head.training.inverse_penalty",
        Number.MIN_VALUE,
      ),
      type_exponent: check.number(entries.type_exponent, "head.training.type_exponent", 0, 1),
    },
  };
}

function checkNovelty(check: Checker, value: unknown, name: string): NoveltyJson {
  const entries = check.object(value, name);
  const sizes = check.list(entries.neighborhoods, `${name}.neighborhoods`, (entry, entryName) =>
    check.whole(entry, entryName, 0),
  );
  if (sizes[0] !== 0 || sizes.some((size, i) => i > 0 && size <= sizes[i - 1]!))
    check.fail(`${name}.neighborhoods is ${shown(sizes)}, expected ascending numbers from 0 on`);
  return { neighborhoods: sizes, units: check.whole(entries.units, `${name}.units`, 2) };
}

function checkLandmarks(check: Checker, value: unknown): LandmarksJson | null {
  if (value === null) return null;
  const entries = check.object(value, "landmarks");
  const cells = check.whole(entries.cells, "landmarks.cells", 1);
  const sizeFactors = check.list(
    entries.size_factors,
    "landmarks.size_factors",
    (entry, name) => check.number(entry, name, 0),
    3,
  );
  return {
    cells,
    of: check.whole(entries.of, "landmarks.of", cells),
    size_factors: [sizeFactors[0]!, sizeFactors[1]!, sizeFactors[2]!],
    neighbor_distance: check.number(entries.neighbor_distance, "landmarks.neighbor_distance", 0),
  };
}

/** Whether the tensors are those that the JSON calls for: names, shapes, all values finite. */
function checkTensors(json: ModelJson, tensors: ReadonlyMap<string, Tensor>, check: Checker): void {
  const { model, genes, conditions, combinations, cell_types: types } = json;
  const [K, U, D] = [types.length, json.unlabeled_prototypes.length, model.latent_dim];
  const sizes = {
    genes: genes.length,
    conditions: conditions.map((names) => names.length),
    combinations: combinations.length,
  };
  const expected = new Map<string, readonly number[]>(
    parameterShapes(optionsOf(model), sizes).map(({ name, shape }) => [name, shape]),
  );
  expected.set("prototypes", [K, D]).set("prototype_covariances", [K, D, D]);
  if (U > 0) expected.set("unlabeled_prototypes", [U, D]).set("unlabeled_prototype_covariances", [U, D, D]);
  const R = json.head ? headRows(json.head) : 0;
  if (R > 0) expected.set("head.weight", [R, genes.length]).set("head.bias", [R]);
  const L = json.landmarks?.cells ?? 0;
  if (L > 0)
    expected
      .set("landmarks.latent", [L, D])
      .set("landmarks.umap", [L, 2])
      .set("landmarks.labels", [L, json.levels.length])
      .set("landmarks.conditions", [L, conditions.length]);
  json.head?.levels.forEach(({ types: { length }, novelty }, level) => {
    if (!novelty) return;
    const width = 3 + 3 * novelty.neighborhoods.length;
    const rows = (name: string): number => tensors.get(`novelty.${level}.${name}`)?.shape[0] ?? 0;
    expected
      .set(`novelty.${level}.profiles`, [length, genes.length])
      .set(`novelty.${level}.displacements`, [rows("displacements"), genes.length])
      .set(`novelty.${level}.variances`, [2, genes.length]);
    for (const name of ["company", "alone"]) {
      if (rows(name) === 0) check.fail(`tensor 'novelty.${level}.${name}' is missing or empty`);
      expected.set(`novelty.${level}.${name}`, [rows(name), width]);
    }
  });
  for (const name of tensors.keys())
    if (!expected.has(name)) check.fail(`it has a tensor '${name}' that the model does not`);
  for (const [name, shape] of expected) {
    const tensor = tensors.get(name) ?? check.fail(`tensor '${name}' is missing`);
    if (tensor.dtype !== "F32") check.fail(`tensor '${name}' has type ${tensor.dtype}, expected F32`);
    if (String(tensor.shape) !== String(shape))
      check.fail(
        `tensor '${name}' has shape [${tensor.shape.join(", ")}], ${jsonName} calls for [${shape.join(", ")}]`,
      );
    const bad = tensor.data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) check.fail(`tensor '${name}' has ${tensor.data[bad]} at position ${bad}`);
  }
  json.head?.levels.forEach(({ types: { length }, novelty }, level) => {
    const width = 3 + 3 * (novelty?.neighborhoods.length ?? 0);
    for (const name of ["company", "alone"])
      tensors.get(`novelty.${level}.${name}`)?.data.forEach((value, at) => {
        const isCode = at % width === 1 || at % width === 2;
        if (isCode && (!Number.isInteger(value) || value < 0 || value >= length))
          check.fail(`tensor 'novelty.${level}.${name}' has the cell type ${value} at position ${at}`);
      });
  });
  checkCodes(check, tensors.get("landmarks.labels"), json.levels.length, () => types.length);
  checkCodes(check, tensors.get("landmarks.conditions"), conditions.length, (key) => conditions[key]!.length);
}

/** Whether codes of landmarks, whole numbers as float32, are of rows that there are; -1: none. */
function checkCodes(
  check: Checker,
  tensor: Tensor | undefined,
  columns: number,
  rows: (column: number) => number,
): void {
  tensor?.data.forEach((code, at) => {
    if (!Number.isInteger(code) || code < -1 || code >= rows(at % columns))
      check.fail(`the landmarks have the code ${code} at position ${at}`);
  });
}
