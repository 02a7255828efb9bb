// Exports a model as a folder that scArches 0.6.1 loads: `scPoli.load(folder, adata)`,
// `scPoli.load_query_data(adata, folder)`. Source: `_get_init_params_from_dict` and `_load_params` of
// scArches, which define the content of the folder.
import { checkModelFolder, checkStored, writeFolder, type FolderContent } from "../storage/model-folder.js";
import { type ModelJson, type StoredModel, type StoredTensor } from "../model/stored-model.js";
import type { Note, ReconLoss } from "../contract/options.js";
import { ScPoliError } from "../contract/errors.js";
import { oneHotName } from "../model/parameters.js";
import { PyCall, PyFloat, writePickle, type Writable } from "./python/pickle-writer.js";
import { writeTorchFile } from "./python/torch.js";
import { joinedName, withColumns } from "./combinations.js";
import { attributesName, genesName, parametersName } from "./python-model.js";

/** Options of `ScPoli.export`. */
export interface ExportOptions {
  /** Replace an existing scArches model in the folder. Default false */
  readonly force?: boolean;
  /** Called with notes for the user. */
  readonly onNote?: (note: Note) => void;
}

const pythonModel: FolderContent = {
  what: "a model of scArches",
  files: [attributesName, parametersName],
  others: [genesName],
  isOurs: () => Promise.resolve(true),
};

/** Checks that a model may be exported to a folder. @throws as `exportScArches` */
export function checkExportFolder(folder: string, force: boolean): Promise<void> {
  return checkModelFolder(folder, force, pythonModel);
}

/**
 * Writes a folder that scArches loads.
 * @throws ScPoliError "model" if scArches cannot represent the model; "refused" if the folder has a model,
 *   unless `force`; "output" if it has other files
 */
export async function exportScArches(
  folder: string,
  stored: StoredModel,
  { force = false, onNote }: ExportOptions = {},
): Promise<void> {
  checkStored(stored, "The model", "It cannot be exported.");
  const { json, tensors } = stored;
  const name = json.genes.find((gene) => /[,#\r\n]|^\s|\s$/.test(gene));
  if (name !== undefined)
    throw new ScPoliError(
      "model",
      `The gene '${name}' cannot be exported: in ${genesName}, scArches reads no names with a comma, a # ` +
        "or spaces at the start or end.",
      { gene: name },
    );
  await checkExportFolder(folder, force);
  const { names, columns } = combinationNames(json, tensors.get("theta"));
  const files = {
    [attributesName]: writePickle(attributes(stored, names), 4),
    [parametersName]: writeTorchFile(pythonParameters(stored, columns), parametersName.replace(/\.pt$/, "")),
    [genesName]: json.genes.map((gene) => `${gene}\n`).join(""),
  };
  await writeFolder(folder, files);
  if (json.model.recon_loss === "poisson")
    onNote?.({
      level: "warning",
      message:
        "scArches' poisson likelihood has no size factors: the exported model gives the same embedding of " +
        "fragment counts as here, but learns new conditions differently.",
    });
  onNote?.({
    level: "info",
    message:
      "scArches labels by the nearest prototype, and from a sampled latent representation (use get_latent " +
      "with mean=True for the mean). Its format does not store uncertainty scales and thresholds.",
  });
}

/**
 * Joined names of the combinations, and their columns of theta. To scArches, equal names are one combination.
 */
function combinationNames(
  { combinations, conditions }: ModelJson,
  theta: StoredTensor | undefined,
): { readonly names: readonly string[]; readonly columns: readonly number[] } {
  const columnOf = new Map<string, number>();
  combinations.forEach((codes, column) => {
    const name = joinedName(codes, conditions);
    const other = columnOf.get(name);
    if (other === undefined) columnOf.set(name, column);
    else if (theta && !isSameColumn(theta, other, column))
      throw new ScPoliError(
        "model",
        `Two combinations of conditions are both called '${name}' when scArches joins their names by "_", ` +
          "but they have different parameters. The model cannot be exported.",
        { combination: name },
      );
  });
  return { names: [...columnOf.keys()], columns: [...columnOf.values()] };
}

function isSameColumn({ shape, data }: StoredTensor, a: number, b: number): boolean {
  const C = shape[1]!;
  for (let row = 0; row < data.length; row += C) if (data[row + a] !== data[row + b]) return false;
  return true;
}

/** scArches' names of the likelihoods. */
const likelihoods: Readonly<Record<ReconLoss, string>> = {
  nb: "nb",
  zinb: "zinb",
  poisson: "poisson",
  "reference-poisson": "poisson",
  mse: "mse",
};

/**
 * The parameters under the names of scArches. One-hot conditions become embeddings with one dimension per
 * condition, each a unit vector, which gives the same function.
 */
function pythonParameters(
  { json, tensors }: StoredModel,
  columns: readonly number[],
): Map<string, StoredTensor> {
  const parameters = new Map(
    [...tensors].filter(
      ([name]) =>
        !/^((unlabeled_)?prototype|head\.|novelty\.|landmarks\.)/.test(name) &&
        !/\.cond_L\.\d+\.weight$/.test(name),
    ),
  );
  const theta = parameters.get("theta");
  if (theta) parameters.set("theta", withColumns(theta, columns));
  if (json.model.condition_encoding !== "one-hot") return parameters;
  const sizes = json.conditions.map((names) => names.length);
  sizes.forEach((C, key) =>
    parameters.set(`embeddings.${key}.weight`, {
      shape: [C, C],
      data: Float32Array.from({ length: C * C }, (_, i) => (i % (C + 1) === 0 ? 1 : 0)),
    }),
  );
  for (const layer of ["encoder.FC.L0", "decoder.FirstL.L0"]) {
    const weights = sizes.map((_, key) => tensors.get(oneHotName(layer, key)));
    const H = weights[0]?.shape[1];
    if (H === undefined) continue;
    const rows = weights.flatMap((weight, key) =>
      Array.from({ length: sizes[key]! }, (_, c) => weight!.data.subarray(c * H, (c + 1) * H)),
    );
    parameters.set(`${layer}.cond_L.weight`, {
      shape: [H, rows.length],
      data: Float32Array.from(
        { length: H * rows.length },
        (_, i) => rows[i % rows.length]![Math.floor(i / rows.length)]!,
      ),
    });
  }
  return parameters;
}

function attributes({ json, tensors }: StoredModel, combinations: readonly string[]): Writable {
  const { model } = json;
  const levelsOf = (row: number): string[] =>
    json.cell_type_keys.filter((_, level) => json.levels[level]!.includes(row));
  const isLabelled = json.cell_types.length > 0;
  return new Map<string, Writable>([
    ["beta_", 1],
    ["cell_type_keys_", isLabelled ? json.cell_type_keys : null],
    ["cell_types_", new Map(json.cell_types.map((name, row): [string, Writable] => [name, levelsOf(row)]))],
    ["condition_keys_", json.condition_keys],
    [
      "conditions_",
      new Map(json.condition_keys.map((key, k): [string, Writable] => [key, json.conditions[k]!])),
    ],
    ["conditions_combined_", combinations],
    ["dr_rate_", new PyFloat(model.dropout)],
    [
      "embedding_dims_",
      model.condition_encoding === "one-hot"
        ? json.conditions.map((names) => names.length)
        : model.embedding_dims,
    ],
    ["embedding_max_norm_", new PyFloat(1)],
    ["hidden_layer_sizes_", model.hidden_layer_sizes],
    ["inject_condition_", model.inject_condition],
    ["input_dim_", json.genes.length],
    ["is_trained_", true],
    ["labeled_indices_", null], // all cells
    ["latent_dim_", model.latent_dim],
    ["mmd_boundary_", null],
    ["mmd_on_", "z"],
    ["obs_metadata_", metadataFrame(json)],
    ["prototype_training_", isLabelled],
    [
      "prototypes_labeled_",
      new Map([
        ["mean", isLabelled ? tensor(tensors.get("prototypes")!) : null],
        ["cov", isLabelled ? tensor(tensors.get("prototype_covariances")!) : null],
      ]),
    ],
    [
      "prototypes_unlabeled_",
      new Map([
        ["mean", json.unlabeled_prototypes.length > 0 ? tensor(tensors.get("unlabeled_prototypes")!) : null],
      ]),
    ],
    ["recon_loss_", likelihoods[model.recon_loss]],
    ["share_metadata_", false], // true would replace obs_metadata_ by the metadata of the loaded cells
    ["unknown_ct_names_", null],
    ["unlabeled_prototype_training_", false],
    ["use_bn_", false],
    ["use_ln_", true],
    ["use_mmd_", false],
  ]);
}

/** A call of `torch.tensor` with nested lists. */
function tensor({ shape, data }: StoredTensor): Writable {
  const part = (axis: number, start: number, length: number): Writable => {
    if (axis === shape.length) return new PyFloat(data[start]!);
    const step = length / shape[axis]!;
    return Array.from({ length: shape[axis]! }, (_, i) => part(axis + 1, start + i * step, step));
  };
  return new PyCall("torch.tensor", [part(0, 0, data.length)]);
}

/**
 * A data frame with one row per combination of conditions, as from
 * `obs.groupby("conditions_combined").first()`. Every version of pandas reads it.
 */
function metadataFrame({
  condition_keys: keys,
  conditions,
  combinations,
  sample_metadata: metadata = [],
}: ModelJson): Writable {
  const rows = combinations.map((codes) => codes.map((code, k) => conditions[k]![code]!));
  const columns = new Map<string, Writable[]>(keys.map((key, k) => [key, rows.map((row) => row[k]!)]));
  metadata.forEach((table, k) =>
    table.columns.forEach((column, c) => {
      if (!columns.has(column))
        columns.set(
          column,
          rows.map((row) => table.samples[row[k]!]?.[c] ?? null),
        );
    }),
  );
  const index = new PyCall("pandas.core.indexes.base.Index", [
    combinations.map((codes) => joinedName(codes, conditions)),
    null,
    false,
    "conditions_combined",
  ]);
  return new PyCall("pandas.core.frame.DataFrame", [columns, index]);
}
