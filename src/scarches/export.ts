// A model of ours as a folder that scArches 0.6.1 loads: `scPoli.load(folder, adata)`,
// `scPoli.load_query_data(adata, folder)`. Source: `_get_init_params_from_dict` and `_load_params` of
// scArches, which tell what the folder must hold.
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
  /** Replace a model of scArches in a folder of this name. */
  readonly force?: boolean;
  /** Sentences a user should read. */
  readonly onNote?: (note: Note) => void;
}

const pythonModel: FolderContent = {
  what: "a model of scArches",
  files: [attributesName, parametersName],
  others: [genesName],
  isOurs: () => Promise.resolve(true),
};

/** Whether a model may be exported there. @throws as `exportScArches` */
export function checkExportFolder(folder: string, force: boolean): Promise<void> {
  return checkModelFolder(folder, force, pythonModel);
}

/**
 * Writes a folder that scArches loads.
 * @throws ScPoliError "model" where scArches cannot have such a model, "refused" where a model is there
 * already, unless `force`, "output" where something else is there
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
      `The gene '${name}' cannot be exported: scArches reads ${genesName} in a way that takes no comma, # or space at the end of a name.`,
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
        "scArches' poisson likelihood knows no depth and takes the counts as they are: the exported model embeds fragment counts as here, but learns new conditions in another way.",
    });
  onNote?.({
    level: "info",
    message:
      "scArches labels by the nearest prototype, and from a sampled position unless it is told otherwise (get_latent with mean=True); scales of uncertainty and thresholds have no place in its folder.",
  });
}

/**
 * Combinations under their joined names, and the column of theta of each. Two combinations of one name are
 * one to scArches.
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
        `Two combinations of conditions are both called '${name}' once scArches has joined their names by "_", and the model tells them apart. It cannot be exported.`,
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
 * The parameters as scArches has them. One-hot conditions become embeddings of as many dimensions as there
 * are conditions, each a unit vector: the same function.
 */
function pythonParameters(
  { json, tensors }: StoredModel,
  columns: readonly number[],
): Map<string, StoredTensor> {
  const own = new Map(
    [...tensors].filter(
      ([name]) =>
        !/^((unlabeled_)?prototype|head\.|novelty\.|landmarks\.)/.test(name) &&
        !/\.cond_L\.\d+\.weight$/.test(name),
    ),
  );
  const theta = own.get("theta");
  if (theta) own.set("theta", withColumns(theta, columns));
  if (json.model.condition_encoding !== "one-hot") return own;
  const sizes = json.conditions.map((names) => names.length);
  sizes.forEach((C, key) =>
    own.set(`embeddings.${key}.weight`, {
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
    own.set(`${layer}.cond_L.weight`, {
      shape: [H, rows.length],
      data: Float32Array.from(
        { length: H * rows.length },
        (_, i) => rows[i % rows.length]![Math.floor(i / rows.length)]!,
      ),
    });
  }
  return own;
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
    ["labeled_indices_", null], // all cells that are given
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
    ["share_metadata_", false], // true would replace obs_metadata_ by that of the cells that are given
    ["unknown_ct_names_", null],
    ["unlabeled_prototype_training_", false],
    ["use_bn_", false],
    ["use_ln_", true],
    ["use_mmd_", false],
  ]);
}

/** `torch.tensor` of lists in lists. */
function tensor({ shape, data }: StoredTensor): Writable {
  const part = (axis: number, start: number, length: number): Writable => {
    if (axis === shape.length) return new PyFloat(data[start]!);
    const step = length / shape[axis]!;
    return Array.from({ length: shape[axis]! }, (_, i) => part(axis + 1, start + i * step, step));
  };
  return new PyCall("torch.tensor", [part(0, 0, data.length)]);
}

/**
 * A row per combination of conditions, as `obs.groupby("conditions_combined").first()` has it; pandas of any
 * version takes it.
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
