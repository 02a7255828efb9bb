/**
 * Files in the browser: how a page passes files to the library and gets files back. This module is the entry
 * point "scpoli/browser"; all other functions are in "scpoli".
 *
 * The library runs in a dedicated module worker. Paths refer to a virtual file system in memory, which only
 * this worker sees:
 * - Files chosen by the user are registered under a path and read from disk in blocks; they are never copied
 *   and may have any size.
 * - Outputs of the library (model folders, .h5ad files, tables) are stored under the path given; `file` and
 *   `zip` return them for saving. A copy of a user's file shares its unchanged parts with the original: it
 *   takes no memory, but the original must not change until the copy has been saved.
 * - All entries are lost when the worker ends; the results of `file` and `zip` remain valid.
 *
 * The library starts its own threads: readers of large files, and threads of the kernels if the page is
 * cross-origin isolated.
 *
 * @example
 * // worker.js
 * import { AnnData, ScPoli } from "scpoli";
 * import { file, register, registerModel } from "scpoli/browser";
 *
 * self.onmessage = async ({ data: { query, model } }) => {
 *   register(query, "query.h5ad"); // a File
 *   const folder = await registerModel(model); // Files of a model folder, or its zip as one File
 *   const mapping = await (await ScPoli.load(folder)).map(await AnnData.open("query.h5ad"), { output:
 *   "mapped.h5ad" });
 *   self.postMessage({ summary: mapping.summary(), mapped: file("mapped.h5ad") });
 * };
 *
 * @module scpoli/browser
 */
import { Zip, ZipDeflate, ZipPassThrough } from "fflate";
import { unzip, type ZipEntry } from "unzipit";
import { ScPoliError } from "../contract/errors.js";
import { readBlob, StoredFile } from "./stored-file.js";
import { filesBelow, find, namesOf, placeOf, VirtualFolder } from "./virtual-folder.js";

/**
 * Registers a file under a path, in place of an earlier file.
 * @param content - a File or any other Blob; read on demand
 * @throws ScPoliError "usage" if the path is that of a folder, or below a file
 */
export function register(content: Blob, path: string): void {
  const place = placeOf(path, true);
  if (!place || place.folder.entries.get(place.name) instanceof VirtualFolder)
    throw new ScPoliError(
      "usage",
      `${path} cannot be the path of a file: it is a folder, or one of its parent folders is a file.`,
      { path },
    );
  place.folder.entries.set(place.name, new StoredFile(content));
}

/**
 * Unpacks a zip file under a path. Uncompressed entries are not copied.
 * @throws ScPoliError "file" if it is not a zip file, or damaged
 */
export async function registerZip(content: Blob, path: string): Promise<void> {
  try {
    const { entries } = await unzip(content);
    for (const entry of Object.values(entries))
      if (!entry.isDirectory) register(await unpacked(entry), `${path}/${entry.name}`);
  } catch (error) {
    if (error instanceof ScPoliError) throw error;
    throw new ScPoliError(
      "file",
      `${path} cannot be opened: it is not a zip file, or damaged. Copy or download it again.`,
      { path },
      { cause: error },
    );
  }
}

function unpacked(entry: ZipEntry): Promise<Blob> {
  if (entry.encrypted)
    throw new ScPoliError("file", `${entry.name} of the zip file is encrypted. Unpack it first.`, {
      name: entry.name,
    });
  return entry.blob();
}

/**
 * Registers a model: the files of its folder (from <input webkitdirectory>, or with paths as names,
 * "model/model.json"), a zip or tar file of the folder, or a model.pt.
 * @returns the path of the folder or file with the model, for `ScPoli.load`
 * @throws ScPoliError "file" for a damaged zip file, "model" if there is no model
 */
export async function registerModel(files: readonly File[]): Promise<string> {
  const paths = files.map(({ webkitRelativePath, name }) => webkitRelativePath || name);
  const path =
    files.length > 1 || paths[0]?.includes("/") ? namesOf(paths[0]!)[0]! : (paths[0] ?? "the model");
  if (find(path) instanceof VirtualFolder) forget(path);
  if (files.length === 1 && /\.zip$/i.test(path)) await registerZip(files[0]!, path);
  else files.forEach((content, i) => register(content, paths[i]!));
  if (files.length === 1 && /\.(tar|tar\.gz|tgz|pt)$/i.test(path)) return path;
  const folder = modelFolder(path);
  if (folder === null)
    throw new ScPoliError(
      "model",
      `${path} holds no model: it contains neither model.json (scpoli) nor attr.pkl or model.pt (scArches).`,
      { path },
    );
  return folder;
}

/** The folder with a model at or below a path; null if there is none. */
function modelFolder(path: string): string | null {
  const entry = find(path);
  const names = entry ? [...filesBelow(entry)].map(([inside]) => inside) : [];
  const modelFile = names
    .filter((name) => /(^|\/)(model\.json|attr\.pkl|model\.pt)$/.test(name))
    .sort((a, b) => a.split("/").length - b.split("/").length)[0];
  return modelFile === undefined ? null : `${path}/${modelFile}`.replace(/\/[^/]*$/, "");
}

/**
 * Downloads a file from the origin of the page and registers it.
 * @throws ScPoliError "usage" for a URL of another origin, which is never requested; "file" if the download
 *   fails; "interrupted" by the signal
 */
export async function registerUrl(address: string | URL, path: string, signal?: AbortSignal): Promise<void> {
  const url = new URL(address, location.href);
  if (url.origin !== location.origin)
    throw new ScPoliError(
      "usage",
      `${url.href} has another origin than this page (${location.origin}), which sends no requests to ` +
        "other origins. Download the file and open it from your disk.",
      { url: url.href },
    );
  const response = await fetch(url, { signal }).catch((error: unknown) => {
    throw new ScPoliError(
      signal?.aborted ? "interrupted" : "file",
      `${url.href} cannot be downloaded: ${error instanceof Error ? error.message : String(error)}.`,
      { url: url.href },
      { cause: error },
    );
  });
  if (!response.ok)
    throw new ScPoliError(
      "file",
      `${url.href} cannot be downloaded: the server answered ${response.status} ${response.statusText}.`,
      { url: url.href },
    );
  register(await response.blob(), path);
}

/**
 * A snapshot of a file, for saving. Parts shared with a user's file are read when it is saved.
 * @throws ScPoliError "file" if there is none
 */
export function file(path: string): File {
  const entry = find(path);
  if (entry instanceof StoredFile)
    return new File([entry.blob()], namesOf(path).at(-1)!, { lastModified: 0 });
  throw new ScPoliError("file", `${path}: ${entry ? "it is a folder" : "there is no such file"}.`, { path });
}

/**
 * A folder as a zip file, for saving. The same files give the same bytes.
 * @throws ScPoliError "file" if there is no such folder
 */
export function zip(path: string): Blob {
  const entry = find(path);
  if (!(entry instanceof VirtualFolder))
    throw new ScPoliError("file", `${path}: ${entry ? "it is a file" : "there is no such folder"}.`, {
      path,
    });
  const parts: Blob[] = [];
  const archive = new Zip((error, bytes) => {
    if (error) throw error;
    parts.push(new Blob([bytes]));
  });
  for (const [name, stored] of [...filesBelow(entry)].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const packed = /\.(json|csv|txt|html|svg)$/.test(name) ? new ZipDeflate(name) : new ZipPassThrough(name);
    packed.mtime = zipTime;
    archive.add(packed);
    const content = stored.blob();
    for (let at = 0; at < content.size; at += zipPiece)
      packed.push(readBlob(content.slice(at, at + zipPiece)));
    packed.push(new Uint8Array(0), true);
  }
  archive.end();
  return new Blob(parts, { type: "application/zip" });
}

/** Modification time of all entries: the earliest that the zip format can store. */
const zipTime = new Date(1980, 0, 1);
const zipPiece = 8 << 20;

/** Paths of all files at or below a path, sorted. */
export function files(path: string): string[] {
  const entry = find(path);
  return entry
    ? [...filesBelow(entry)].map(([inside]) => (inside === "" ? path : `${path}/${inside}`)).sort()
    : [];
}

/** Removes a file, or a folder with its content. The user's file on disk is not touched. */
export function forget(path: string): void {
  const place = placeOf(path);
  place?.folder.entries.delete(place.name);
}
