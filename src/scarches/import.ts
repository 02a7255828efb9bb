// Imports a model of the Python package scArches. It is read as data; nothing in it is executed.
// Source: scArches' scpoli_model.py and scpoli.py from 0.5.3 to 0.6.1, and pre-release versions with a single
// condition key and prototypes called "landmarks".
import { checkStored } from "../storage/model-folder.js";
import {
  formatVersion,
  storedOptions,
  type ModelJson,
  type StoredModel,
  type StoredTensor,
} from "../model/stored-model.js";
import type { ModelOptions, Note, ReconLoss } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { calibrationOfSpreads } from "../prototypes/growth.js";
import type { ModelFiles } from "../storage/model-files.js";
import { parameterShapes } from "../model/parameters.js";
import { version } from "../contract/version.js";
import type { Attributes } from "./attributes.js";
import { splitCombinations, withColumns } from "./combinations.js";
import { sampleMetadata } from "./metadata.js";
import { damaged, genesName, readPythonModel, type PythonModel } from "./python-model.js";

/** Options of `ScPoli.import`. */
export interface ImportOptions {
  /**
   * Names of the model's genes, in its order, for folders without them. Default: `var_names.csv` or
   * `adata.h5ad` of the folder, otherwise placeholders
   */
  readonly genes?: readonly string[];
  /** Called with notes for the user. */
  readonly onNote?: (note: Note) => void;
}

/**
 * Reads a scPoli model of scArches: its folder, a zip or tar file of the folder, or a single model.pt.
 * @throws ScPoliError "file" if the folder or a file is missing; "model" if it is damaged, another kind of
 *   model (scANVI, scVI), or has unsupported options
 */
export async function importScArches(
  source: string | ModelFiles,
  { genes, onNote }: ImportOptions = {},
): Promise<StoredModel> {
  const note: ImportNote = (level, message) => onNote?.({ level, message });
  const python = await readPythonModel(source);
  const { attributes, parameters, parametersPath } = python;
  const options = modelOf(attributes);
  const keys = conditionsOf(attributes);
  const weight =
    parameters.get("encoder.FC.L0.expr_L.weight") ??
    damaged(parametersPath, "tensor 'encoder.FC.L0.expr_L.weight' is missing");
  const geneNames = readGenes(python, weight.shape[1] ?? 0, genes, note);
  const { combinations, columns } = combinationsOf(attributes, keys);
  const sizes = {
    genes: geneNames.length,
    conditions: keys.map(({ conditions }) => conditions.length),
    combinations: combinations.length,
  };
  const tensors = importTensors(python, parameterShapes(options, sizes), columns);
  limitNorms(tensors, attributes, note);
  const { tensors: prototypes, ...types } = prototypesOf(attributes, options.latentDim, note);
  for (const [name, tensor] of Object.entries(prototypes)) tensors.set(name, tensor);
  const metadata = sampleMetadata(attributes.value("obs_metadata_"), keys, attributes.where, (message) =>
    onNote?.(message),
  );
  const unscaled: Omit<ModelJson, "calibration"> = {
    format_version: formatVersion,
    scpoli_version: version,
    model: storedOptions(options),
    genes: geneNames,
    condition_keys: keys.map(({ key }) => key),
    conditions: keys.map(({ conditions }) => conditions),
    reference_conditions: sizes.conditions,
    combinations,
    ...types,
    prototype_counts: types.cell_types.map(() => 0),
    head: null,
    landmarks: null,
    ...(metadata ? { sample_metadata: metadata } : {}),
    provenance: {
      imported_from: "scArches",
      ...(cellsOf(attributes) === null ? {} : { cells: cellsOf(attributes) }),
    },
  };
  const json: ModelJson = {
    ...unscaled,
    calibration: types.levels.map((rows) => calibrationOfSpreads({ json: unscaled, tensors }, rows)),
  };
  noteDifferences(json, note);
  const stored = { json, tensors };
  checkStored(stored, `The model in ${python.path}`, "Save it again with scArches.");
  return stored;
}

type ImportNote = (level: Note["level"], message: string) => void;

/**
 * The tensors of the network, checked, with the columns of theta in the order of the combinations.
 * @param columns - column of theta in the file, of each combination
 * @throws ScPoliError "model" if a tensor is missing, unknown or has another shape than expected
 */
function importTensors(
  { parameters, parametersPath }: PythonModel,
  expected: ReturnType<typeof parameterShapes>,
  columns: readonly number[],
): Map<string, StoredTensor> {
  const unexpected = [...parameters.keys()].find(
    (name) => !expected.some((parameter) => parameter.name === name),
  );
  if (unexpected !== undefined)
    damaged(parametersPath, `it has a tensor '${unexpected}' that a model with these options does not have`);
  const tensors = new Map<string, StoredTensor>();
  for (const { name, shape } of expected) {
    const stored = parameters.get(name) ?? damaged(parametersPath, `tensor '${name}' is missing`);
    const tensor =
      name === "theta" && stored.shape.length === 2 && stored.shape[1] === new Set(columns).size
        ? withColumns(stored, columns)
        : stored;
    if (String(tensor.shape) !== String(shape))
      damaged(
        parametersPath,
        `tensor '${name}' has shape [${tensor.shape.join(", ")}], but its attributes require ` +
          `[${shape.join(", ")}]`,
      );
    tensors.set(name, tensor);
  }
  return tensors;
}

/** Notes what an imported model lacks or expects. */
function noteDifferences({ levels, model }: ModelJson, note: ImportNote): void {
  if (levels.length > 0)
    note(
      "info",
      "The Python model stores no uncertainty scale and no threshold: they are derived from the " +
        "covariances of its prototypes. It has no head: cells get the type of the nearest prototype.",
    );
  if (model.recon_loss === "mse")
    note(
      "info",
      "The model has the mse likelihood: it expects normalised values in X (usually log1p of counts per " +
        "10,000), not raw counts.",
    );
  if (model.recon_loss === "reference-poisson")
    note(
      "info",
      "The model has scArches' poisson likelihood without size factors: it is kept as 'reference-poisson'.",
    );
}

/** Largest latent space (parameters.ts); checked before tables of its square are allocated. */
const largestLatent = 1024;

/** Likelihoods by scArches' names. */
const likelihoods: Readonly<Record<string, ReconLoss | undefined>> = {
  nb: "nb",
  zinb: "zinb",
  poisson: "reference-poisson",
  mse: "mse",
};

function modelOf(attributes: Attributes): ModelOptions {
  const unsupported = (what: string): never => {
    throw new ScPoliError("model", `${attributes.where}: the model has ${what}, which is not supported.`, {
      path: attributes.where,
    });
  };
  if (attributes.flag("use_bn_", false)) unsupported("batch normalisation (use_bn)");
  if (!attributes.flag("use_ln_", true)) unsupported("no layer normalisation (use_ln is False)");
  const loss = attributes.text("recon_loss_");
  const dims = attributes.named("embedding_dims_", "embedding_dim_");
  const inject = attributes.names("inject_condition_");
  const latentDim = attributes.number("latent_dim_");
  if (!(latentDim >= 1 && latentDim <= largestLatent))
    attributes.fail("latent_dim_", `a number from 1 to ${largestLatent}`);
  if (inject.length === 0 || inject.some((place) => place !== "encoder" && place !== "decoder"))
    attributes.fail("inject_condition_", "'encoder', 'decoder' or both");
  return {
    hiddenLayerSizes: attributes.numbers("hidden_layer_sizes_"),
    latentDim,
    conditionEncoding: "embedding",
    embeddingDims: dims === "embedding_dim_" ? [attributes.number(dims)] : attributes.numbers(dims),
    injectCondition: (["encoder", "decoder"] as const).filter((place) => inject.includes(place)),
    reconLoss: likelihoods[loss] ?? unsupported(`the likelihood '${loss}'`),
    dropout: attributes.number("dr_rate_"),
  };
}

interface ConditionKey {
  readonly key: string;
  readonly conditions: readonly string[];
}

function conditionsOf(attributes: Attributes): ConditionKey[] {
  if (attributes.has("condition_key_") && !attributes.has("condition_keys_"))
    return [{ key: attributes.text("condition_key_"), conditions: attributes.names("conditions_") }];
  const conditions = attributes.namesByName("conditions_");
  return attributes.names("condition_keys_").map((key) => ({
    key,
    conditions: conditions.get(key) ?? attributes.fail("conditions_", `an entry for '${key}'`),
  }));
}

/**
 * Combinations as tuples, with their columns of theta in the file. In files from before there were several
 * keys, the conditions are the combinations.
 */
function combinationsOf(
  attributes: Attributes,
  keys: readonly ConditionKey[],
): { readonly combinations: number[][]; readonly columns: number[] } {
  const joined = attributes.has("conditions_combined_")
    ? attributes.names("conditions_combined_")
    : keys.length === 1
      ? keys[0]!.conditions
      : attributes.names("conditions_combined_");
  const combinations: number[][] = [];
  const columns: number[] = [];
  const seen = new Set<string>();
  splitCombinations(
    joined,
    keys.map(({ conditions }) => conditions),
    attributes.where,
  ).forEach((tuples, column) => {
    for (const codes of tuples) {
      if (seen.has(String(codes))) continue;
      seen.add(String(codes));
      combinations.push(codes);
      columns.push(column);
    }
  });
  return { combinations, columns };
}

/** Scales embeddings by their maximum norm m in the Python model to norms of at most 1, and weights by m. */
function limitNorms(tensors: Map<string, StoredTensor>, attributes: Attributes, note: ImportNote): void {
  const maxNorm = attributes.has("embedding_max_norm_") ? attributes.value("embedding_max_norm_") : 1;
  if (maxNorm === 1) return;
  const limit = maxNorm === null ? largestNorm(tensors) : attributes.number("embedding_max_norm_");
  if (!(limit > 0)) attributes.fail("embedding_max_norm_", "a positive number or None");
  for (const [name, { shape, data }] of tensors) {
    if (name.startsWith("embeddings."))
      tensors.set(name, { shape, data: data.map((value) => value / limit) });
    else if (name.endsWith("cond_L.weight"))
      tensors.set(name, { shape, data: data.map((value) => value * limit) });
  }
  note(
    "info",
    maxNorm === null
      ? "The norms of the model's embeddings are not limited (embedding_max_norm None); those of new " +
          `conditions will be limited to the largest of them (${limit.toPrecision(3)}). Embeddings are ` +
          "stored in units of this norm."
      : `The norms of the model's embeddings are limited to ${limit}: they are stored in units of this ` +
          "norm, which changes no result.",
  );
}

function largestNorm(tensors: ReadonlyMap<string, StoredTensor>): number {
  let largest = 0;
  for (const [name, { shape, data }] of tensors) {
    const width = shape[1] ?? 1;
    if (name.startsWith("embeddings."))
      for (let row = 0; row < data.length; row += width)
        largest = Math.max(largest, Math.hypot(...data.subarray(row, row + width)));
  }
  return largest || 1;
}

type CellTypes = Pick<ModelJson, "cell_type_keys" | "cell_types" | "levels" | "unlabeled_prototypes"> & {
  readonly tensors: Readonly<Record<string, StoredTensor>>;
};

/** @param D - latent dimensions @throws ScPoliError "model" for means or covariances of other shapes */
function prototypesOf(attributes: Attributes, D: number, note: ImportNote): CellTypes {
  const attribute = attributes.named("prototypes_labeled_", "landmarks_labeled_");
  const means = attributes.tensor(attribute, "mean");
  const unlabeled = unlabeledPrototypesOf(attributes, D);
  const hasPrototypes = means && means.shape[0] !== 0;
  const keys = attributes.value("cell_type_keys_");
  if (!hasPrototypes && keys !== null && keys !== undefined)
    note(
      "warning",
      "The model has no prototypes (it was trained without them, or saved before training ended): it " +
        "can embed cells, but not label them.",
    );
  const labeled = hasPrototypes
    ? labeledPrototypesOf(attributes, attribute, means, D, note)
    : noPrototypes(D);
  return { ...unlabeled, ...labeled, tensors: { ...unlabeled.tensors, ...labeled.tensors } };
}

/** The Python model stores neither numbers of cells nor covariances of unlabeled prototypes. */
function unlabeledPrototypesOf(
  attributes: Attributes,
  D: number,
): Pick<CellTypes, "unlabeled_prototypes" | "tensors"> {
  const attribute = attributes.named("prototypes_unlabeled_", "landmarks_unlabeled_");
  const means = attributes.tensor(attribute, "mean");
  const [U] = means?.shape ?? [0];
  if (means && (means.shape.length !== 2 || (U! > 0 && means.shape[1] !== D)))
    attributes.fail(attribute, `means of shape [${U}, ${D}]`);
  return {
    unlabeled_prototypes: Array.from({ length: U! }, (_, cluster) => ({ cluster, cells: 0 })),
    tensors: U! > 0 ? { unlabeled_prototypes: means!, unlabeled_prototype_covariances: zeros(U!, D, D) } : {},
  };
}

function noPrototypes(D: number): Omit<CellTypes, "unlabeled_prototypes"> {
  return {
    cell_type_keys: [],
    cell_types: [],
    levels: [],
    tensors: { prototypes: zeros(0, D), prototype_covariances: zeros(0, D, D) },
  };
}

/** @param means - (K, D), of the attribute's prototypes */
function labeledPrototypesOf(
  attributes: Attributes,
  attribute: string,
  means: StoredTensor,
  D: number,
  note: ImportNote,
): Omit<CellTypes, "unlabeled_prototypes"> {
  const [K] = means.shape;
  const keys =
    typeof attributes.value("cell_type_keys_") === "string"
      ? [attributes.text("cell_type_keys_")]
      : attributes.names("cell_type_keys_");
  const all = [...attributes.namesByName("cell_types_")];
  if (means.shape.length !== 2 || means.shape[1] !== D || all.length < K!)
    attributes.fail(attribute, `means of shape [${all.length}, ${D}]`);
  if (all.length > K!)
    note(
      "warning",
      `Cell types without a prototype are left out: ${quoted(all.slice(K).map(([name]) => name))}.`,
    );
  const types = all.slice(0, K);
  const rows = keys.map((key) => types.flatMap(([, levels], row) => (levels.includes(key) ? [row] : [])));
  const empty = keys.filter((_, level) => rows[level]!.length === 0);
  if (empty.length > 0)
    note("warning", `Annotation levels without cell types are left out: ${quoted(empty)}.`);
  const covariances = attributes.tensor(attribute, "cov") ?? zeros(K!, D, D);
  if (String(covariances.shape) !== String([K, D, D]))
    attributes.fail(attribute, `covariances of shape [${K}, ${D}, ${D}]`);
  return {
    cell_type_keys: keys.filter((_, level) => rows[level]!.length > 0),
    cell_types: types.map(([name]) => name),
    levels: rows.filter((level) => level.length > 0),
    tensors: {
      prototypes: means,
      prototype_covariances: {
        shape: covariances.shape,
        // the covariances of a type with one cell are NaN
        data: covariances.data.map((value) => (Number.isNaN(value) ? 0 : value)),
      },
    },
  };
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(", ");
}

function zeros(...shape: readonly number[]): StoredTensor {
  return { shape, data: new Float32Array(shape.reduce((product, n) => product * n, 1)) };
}

/** Names of Python's `range`; pickles of protocol 2 and below use that of Python 2. */
const rangeNames = ["builtins.range", "builtins.xrange"];

/** Number of cells of the reference if the model states it: N of `range(0, N)` of labelled cells. */
function cellsOf(attributes: Attributes): number | null {
  const value = attributes.value("labeled_indices_");
  if (typeof value !== "object" || value === null || !("args" in value)) return null;
  const [start, stop, step] = value.args;
  return rangeNames.includes(value.name) &&
    start === 0 &&
    Number.isSafeInteger(stop) &&
    (stop as number) > 0 &&
    step === 1
    ? (stop as number)
    : null;
}

function readGenes(
  { path, genes: storedNames }: PythonModel,
  G: number,
  given: readonly string[] | undefined,
  note: ImportNote,
): string[] {
  const names = given ?? storedNames;
  if (names === null) {
    note(
      "warning",
      `${path} has no gene names (${genesName} is missing): the ${G} genes are called 'gene 1' and so on. ` +
        "To map cells, give the names in the model's order.",
    );
    return Array.from({ length: G }, (_, g) => `gene ${g + 1}`);
  }
  if (names.length !== G)
    throw new ScPoliError(
      "model",
      `The model in ${path} has ${G} genes, but ${names.length} gene names ` +
        `${given ? "were given" : "are stored with it"}. Give one name per gene, in the model's order.`,
      { genes: G, names: names.length },
    );
  return unique(names, note);
}

/** Makes names unique by numbers, like anndata's `make_index_unique`. */
function unique(names: readonly string[], note: ImportNote): string[] {
  const used = new Set(names);
  const next = new Map<string, number>();
  const renamed: string[] = [];
  const result = names.map((name) => {
    const first = next.get(name);
    if (first === undefined) {
      next.set(name, 1);
      return name;
    }
    let number = first;
    while (used.has(`${name}-${number}`)) number++;
    next.set(name, number + 1);
    used.add(`${name}-${number}`);
    renamed.push(`${name}-${number}`);
    return `${name}-${number}`;
  });
  if (renamed.length > 0) {
    const more = renamed.length > 5 ? ` and ${renamed.length - 5} more` : "";
    note("warning", `Duplicate genes of the model are renamed: ${renamed.slice(0, 5).join(", ")}${more}.`);
  }
  return result;
}
