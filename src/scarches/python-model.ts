// Reads the files of a Python model: attributes, parameters and gene names, from a folder of scArches
// (attr.pkl, model_params.pt, var_names.csv) or from the single file model.pt of scvi-tools and ArchMap. All
// are read as data. Models of other kinds are rejected by name.
import { AnnData } from "../anndata/anndata.js";
import { noModelFile } from "../storage/model-folder.js";
import { ScPoliError } from "../contract/errors.js";
import { openModelFiles, type ModelFiles } from "../storage/model-files.js";
import { readPickle, type PyDict, type PyValue } from "./python/pickle.js";
import { readTorchFile, torchTensor, type TorchTensor } from "./python/torch.js";
import { Attributes } from "./attributes.js";

export const attributesName = "attr.pkl";
export const parametersName = "model_params.pt";
export const genesName = "var_names.csv";
const singleName = "model.pt";

/** The parts of a Python model. */
export interface PythonModel {
  /** path as given by the user */
  readonly path: string;
  readonly attributes: Attributes;
  readonly parameters: ReadonlyMap<string, TorchTensor>;
  /** the file with the parameters */
  readonly parametersPath: string;
  /** null if the model has no gene names */
  readonly genes: readonly string[] | null;
}

/** Whether files were written by scArches or scvi-tools, and not by this package. */
export function isPythonModel({ names }: ModelFiles): boolean {
  return (
    !names.includes("model.json") &&
    [attributesName, parametersName, singleName].some((name) => names.includes(name))
  );
}

/** @throws ScPoliError as `importScArches` */
export async function readPythonModel(source: string | ModelFiles): Promise<PythonModel> {
  const files = typeof source === "string" ? await openModelFiles(source) : source;
  if (!files) throw noModelFile(source as string);
  const { path, names } = files;
  if (names.includes(attributesName) && names.includes(parametersName)) return readFolder(files);
  if (names.includes(singleName)) return readSingle(files);
  throw new ScPoliError(
    "model",
    `${path} is not a model of scArches: expected ${attributesName} and ${parametersName}, or ` +
      `${singleName}; found ${names.length === 0 ? "nothing" : names.slice(0, 5).join(", ")}.`,
    { path },
  );
}

async function readFolder(files: ModelFiles): Promise<PythonModel> {
  const path = files.describe(attributesName);
  const parametersPath = files.describe(parametersName);
  const { value } = readPickle(await files.read(attributesName), path);
  if (!(value instanceof Map)) damaged(path, "it holds no dict");
  const { value: state, storages } = readTorchFile(await files.read(parametersName), parametersPath);
  const attributes = new Attributes(path, value as PyDict);
  checkKind(attributes, state instanceof Map ? (state as PyDict) : new Map());
  if (!(state instanceof Map)) damaged(parametersPath, "it holds no dict of tensors");
  return {
    path: files.path,
    attributes,
    parameters: tensorsOf(state as PyDict, storages, parametersPath),
    parametersPath,
    genes: await genesOfFolder(files),
  };
}

/** `{"model_state_dict": tensors, "var_names": names, "attr_dict": attributes}` */
async function readSingle(files: ModelFiles): Promise<PythonModel> {
  const path = files.describe(singleName);
  const { value, storages } = readTorchFile(await files.read(singleName), path);
  if (!(value instanceof Map)) damaged(path, "it holds no dict");
  const parts = value as PyDict;
  const state = parts.get("model_state_dict") ?? parts.get("state_dict");
  const entries = parts.get("attr_dict");
  if (!(state instanceof Map) || !(entries instanceof Map)) {
    if (parts.has("encoder.FC.L0.expr_L.weight"))
      throw new ScPoliError(
        "model",
        `${path} holds only the parameters of a scPoli model. Its attributes (${attributesName}) are ` +
          "needed, too: save the whole model with scArches (model.save).",
        { path },
      );
    checkKind(new Attributes(path, new Map()), state instanceof Map ? (state as PyDict) : parts);
    damaged(path, "it has no model_state_dict and attr_dict");
  }
  const attributes = new Attributes(path, entries as PyDict, storages);
  checkKind(attributes, state as PyDict);
  const topLevel = new Attributes(path, parts);
  return {
    path: files.path,
    attributes,
    parameters: tensorsOf(state as PyDict, storages, path),
    parametersPath: path,
    genes: topLevel.has("var_names") ? topLevel.names("var_names") : await genesOfFolder(files),
  };
}

export function damaged(path: string, what: string): never {
  throw new ScPoliError("model", `${path} is damaged, or not a scPoli model: ${what}.`, { path });
}

/**
 * Checks that attributes and parameters belong to a scPoli model of scArches.
 * @throws ScPoliError "model" that names the actual kind of model, and what to do
 */
function checkKind(attributes: Attributes, state: PyDict): void {
  const { where } = attributes;
  if (
    attributes.has("inject_condition_") &&
    ["prototypes_labeled_", "landmarks_labeled_"].some((name) => attributes.has(name))
  )
    return;
  const kind = scviKind(attributes, state);
  if (kind)
    throw new ScPoliError(
      "model",
      `${where} is ${kind}, which works differently. Only scPoli models saved by scArches can be imported. ` +
        retrainingAdvice(attributes),
      { path: where, model: kind },
    );
  const names = attributes.keys().slice(0, 6);
  const listed = `${names.join(", ") || "none"}${names.length === 6 ? ", ..." : ""}`;
  throw new ScPoliError(
    "model",
    `${where} is not a scPoli model: it has no prototypes_labeled_ (its attributes: ${listed}). scArches ` +
      "also has trVAE, expiMap and others, which cannot be imported.",
    { path: where },
  );
}

/** Models of scvi-tools by the names of their classes. */
const scviNames: Readonly<Record<string, string | undefined>> = {
  SCVI: "a scVI model of scvi-tools",
  SCANVI: "a scANVI model of scvi-tools",
  SCPOLI: "a scPoli model of scvi-tools, not of scArches",
  TOTALVI: "a totalVI model of scvi-tools",
  PEAKVI: "a PeakVI model of scvi-tools",
  MRVI: "a MrVI model of scvi-tools",
};

/** The kind of a scvi-tools model; null for other models. */
function scviKind(attributes: Attributes, state: PyDict): string | null {
  const name = registryOf(attributes)?.get("model_name");
  if (typeof name === "string")
    return scviNames[name.toUpperCase()] ?? `a ${name.slice(0, 40)} model of scvi-tools`;
  const has = (start: string): boolean =>
    [...state.keys()].some((key) => typeof key === "string" && key.startsWith(start));
  if (has("z_encoder.encoder.fc_layers."))
    return has("classifier.") || has("encoder_z2_z1.") ? scviNames["SCANVI"]! : scviNames["SCVI"]!;
  // where scVI, scANVI and others store their set-up, in old and new versions
  return ["scvi_setup_dict_", "registry_", "init_params_"].some((entry) => attributes.has(entry))
    ? "a model of scvi-tools (scVI, scANVI or the like)"
    : null;
}

function registryOf(attributes: Attributes): PyDict | null {
  const registry = attributes.value("registry_");
  return registry instanceof Map ? (registry as PyDict) : null;
}

/** Advice to train a reference on the same cells, with the columns that the model was set up with. */
function retrainingAdvice(attributes: Attributes): string {
  const setup: PyValue | undefined = registryOf(attributes)?.get("setup_args");
  const column = (name: string): string | null => {
    const value = setup instanceof Map ? (setup as PyDict).get(name) : null;
    return typeof value === "string" && value !== "" && value.length < 80 ? value : null;
  };
  return (
    "Train a scPoli reference on the cells that it was trained on: scpoli train CELLS.h5ad --condition-key " +
    `${column("batch_key") ?? "BATCH"} --cell-type-key ${column("labels_key") ?? "LABELS"} -o MODEL`
  );
}

function tensorsOf(
  state: PyDict,
  storages: ReadonlyMap<string, Uint8Array>,
  path: string,
): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>();
  for (const [name, entry] of state) {
    const text = String(name);
    // the name before version 0.5.4, which had a single condition key
    tensors.set(
      text === "embedding.weight" ? "embeddings.0.weight" : text,
      torchTensor(entry, storages) ??
        damaged(path, `tensor '${text}' cannot be read, or refers to data outside the file`),
    );
  }
  return tensors;
}

async function genesOfFolder(files: ModelFiles): Promise<readonly string[] | null> {
  if (files.names.includes(genesName)) {
    const lines = textOf(await files.read(genesName)).split(/\r?\n/);
    return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
  }
  // an AnnData file can be opened in a folder, but not inside an archive
  if (files.kind !== "folder" || !files.names.includes("adata.h5ad")) return null;
  const data = await AnnData.open(files.describe("adata.h5ad"));
  try {
    return await data.var.index();
  } finally {
    data.close();
  }
}

/** numpy writes text files in Latin-1, others in UTF-8. */
function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("latin1").decode(bytes);
  }
}
