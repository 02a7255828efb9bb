// The model folder, or one zip file of it: `model.safetensors` holds all tensors, `model.json` everything
// else. Both appear under their final names together or not at all. Nothing read from them is trusted: types,
// lengths, ranges and shapes are validated, and the files are checked against each other.
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
import type { ModelJson, StoredModel } from "../model/stored-model.js";
import { ScPoliError } from "../contract/errors.js";
import { cardName, openModelFiles, type ModelFiles, jsonName, tensorsName } from "./model-files.js";
import { readSafetensors, writeSafetensors, type Tensor } from "./safetensors.js";
import { copyAnew, Checker } from "./checker.js";
import { checkTensors } from "./model-tensor-checks.js";
import { checkJson, otherNovelty, hadOtherNovelty } from "./model-json-checks.js";

/** Whether the name of a model is that of a zip file. */
function isZipName(path: string): boolean {
  return /\.zip$/i.test(path);
}

/**
 * Writes a model under a temporary name, then renames it: a folder, or a zip file of the same files if the
 * name ends in .zip.
 *
 * @param options.force - replace an existing model of this name; files or folders with other content are
 * never replaced
 * @param options.card - its model card (model-card.ts)
 * @throws ScPoliError "model" if the model itself is broken (NaN weights), "refused" if a model exists there,
 * "output" if something else is there or it cannot be written
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
 * Writes a folder of files under a temporary name, then renames it, replacing an existing folder.
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
 * Validates a model in memory: it must be complete and finite, as in a model folder.
 * @param where - its name for error messages @param advice - what to do if it is invalid
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

/** JSON with one line per top-level entry, so that long lists stay readable. */
function jsonText(json: ModelJson): string {
  return `{\n${Object.entries(json)
    .map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`)
    .join(",\n")}\n}\n`;
}

/** Content of a folder that may be replaced. */
export interface FolderContent {
  /** name for error messages: "a model of scpoli" */
  readonly what: string;
  /** required and optional file names */
  readonly files: readonly string[];
  readonly others?: readonly string[];
  /** whether the files are what their names suggest */
  readonly isOurs: (folder: string) => Promise<boolean>;
}

const ownModel: FolderContent = {
  what: "a model of scpoli",
  files: [jsonName, tensorsName],
  others: [cardName],
  isOurs,
};

/** Checks that a model may be saved at a path, before a long training. @throws as `saveModel` */
export async function checkModelFolder(
  folder: string,
  force: boolean,
  { what, files, others = [], isOurs: check }: FolderContent = ownModel,
): Promise<void> {
  const status = await fileStatus(folder);
  if (!status) return;
  if (status.kind === "file") return checkModelFile(folder, force, files === ownModel.files);
  if (status.kind !== "folder")
    throw new ScPoliError(
      "output",
      `${folder} is ${status.kind}; a model is a folder. Choose another name.`,
      {
        path: folder,
      },
    );
  const names = await listFolder(folder);
  if (names.length === 0) return;
  const foreign = names.filter((name) => !files.includes(name) && !others.includes(name));
  if (foreign.length > 0 || !files.every((name) => names.includes(name)) || !(await check(folder)))
    throw new ScPoliError(
      "output",
      `${folder} holds something other than ${what}` +
        (foreign.length > 0 ? ` ('${foreign[0]}')` : "") +
        ", so it is not replaced. Choose another name.",
      { path: folder },
    );
  refuseTaken(folder, force);
}

/** The same for a file, which may be a zip file of a model. */
async function checkModelFile(path: string, force: boolean, mayBeZip: boolean): Promise<void> {
  const isZip = mayBeZip && isZipName(path);
  if (!isZip || !(await isOurZip(path)))
    throw new ScPoliError(
      "output",
      `${path} is a file${isZip ? " that holds no model of scpoli" : "; a model is a folder"}. Choose ` +
        "another name.",
      { path },
    );
  refuseTaken(path, force);
}

function refuseTaken(path: string, force: boolean): void {
  if (!force)
    throw new ScPoliError(
      "refused",
      `${path} already holds a model. Choose another name, or use --force to replace it.`,
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
 * Loads and validates a model: a folder, or a zip or tar file of one.
 * @throws ScPoliError "file" if there is nothing of this name; "model" if it is not a model, is damaged, or
 * was made by a newer version
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

/** The error for a file that is neither an archive nor a PyTorch file. */
export function noModelFile(path: string): ScPoliError {
  return new ScPoliError(
    "model",
    `${path} is a file; a model is a folder with ${jsonName} and ${tensorsName}, as \`scpoli train\` ` +
      "writes it, or a zip or tar file of one.",
    { path },
  );
}

function checkSource({ path, names }: ModelFiles): void {
  const missing = [jsonName, tensorsName].filter((name) => !names.includes(name));
  if (missing.length === 0) return;
  if (missing.length === 1)
    throw new ScPoliError("model", `${path} is incomplete: ${missing[0]} is missing. ${copyAnew}`, {
      path,
    });
  throw new ScPoliError(
    "model",
    `${path} is not a model folder: ${jsonName} and ${tensorsName} are missing. Give the folder that ` +
      `\`scpoli train\` wrote, or one of scArches.`,
    { path },
  );
}
