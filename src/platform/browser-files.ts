/**
 * What a page gives to the library and gets from it: files. This module is the package's entry
 * "scpoli/browser"; everything else is that of "scpoli".
 *
 * The library runs in a dedicated module worker. There, a path names an entry of a file system in memory, of
 * this worker alone:
 * - Files that the user has chosen are registered under a path and read where they lie, a block at a time;
 *   they are never copied and may be of any size.
 * - What the library writes (model folders, .h5ad files, tables) is there under the path it was given; `file`
 *   and `zip` hand it out for saving. A copy of a
 *   user's file shares all that has not been changed with it: it takes no memory, but needs the user's file
 *   to stay as it is until the copy has been saved.
 * - Everything is gone when the worker ends; what `file` and `zip` have handed out stays.
 *
 * Threads (readers of large files, and those of the kernels) are started by the library itself, the kernels'
 * only where the page is cross-origin isolated.
 *
 * @example
 * // worker.js
 * import { AnnData, ScPoli } from "scpoli";
 * import { file, register, registerModel } from "scpoli/browser";
 *
 * self.onmessage = async ({ data: { query, model } }) => {
 *   register(query, "query.h5ad"); // a File
 *   const folder = await registerModel(model); // Files of a model folder, or the one File of its zip
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
 * Gives a file its path. A file that was there goes.
 * @param content - a File or any other Blob; read when it is needed
 * @throws ScPoliError "usage" where the path is that of a folder, or below a file
 */
export function register(content: Blob, path: string): void {
  const place = placeOf(path, true);
  if (!place || place.folder.entries.get(place.name) instanceof VirtualFolder)
    throw new ScPoliError(
      "usage",
      `${path} cannot be the path of a file: a folder has it, or a file one of its folders.`,
      { path },
    );
  place.folder.entries.set(place.name, new StoredFile(content));
}

/**
 * Unpacks a zip file under a path. Entries that are not compressed stay where they are.
 * @throws ScPoliError "file" where it is no zip file or a damaged one
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
      `${path} cannot be opened: it is no zip file, or a damaged one. Copy or download it again.`,
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
 * Registers a model: the files of its folder (from <input webkitdirectory>, or named by their paths,
 * "model/model.json"), the one zip or tar file of it, or a model.pt.
 * @returns the path of the folder or file that holds the model, for `ScPoli.load`
 * @throws ScPoliError "file" for a damaged zip file, "model" where no model is there
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
      `${path} holds no model: neither model.json (ours), nor attr.pkl or model.pt (of scArches) is in it.`,
      { path },
    );
  return folder;
}

/** The folder at or below a path that holds a model, null where none does. */
function modelFolder(path: string): string | null {
  const entry = find(path);
  const names = entry ? [...filesBelow(entry)].map(([inside]) => inside) : [];
  const found = names
    .filter((name) => /(^|\/)(model\.json|attr\.pkl|model\.pt)$/.test(name))
    .sort((a, b) => a.split("/").length - b.split("/").length)[0];
  return found === undefined ? null : `${path}/${found}`.replace(/\/[^/]*$/, "");
}

/**
 * Fetches a file from the page's own origin, whole.
 * @throws ScPoliError "usage" for an address elsewhere: nothing is asked of another origin; "file" where it
 * cannot be had
 */
export async function registerUrl(address: string | URL, path: string, signal?: AbortSignal): Promise<void> {
  const url = new URL(address, location.href);
  if (url.origin !== location.origin)
    throw new ScPoliError(
      "usage",
      `${url.href} is of another origin than this page (${location.origin}), which asks nothing of others. Download the file and open it from your disk.`,
      { url: url.href },
    );
  const response = await fetch(url, { signal }).catch((error: unknown) => {
    throw new ScPoliError(
      signal?.aborted ? "interrupted" : "file",
      `${url.href} cannot be had: ${error instanceof Error ? error.message : String(error)}.`,
      { url: url.href },
      { cause: error },
    );
  });
  if (!response.ok)
    throw new ScPoliError(
      "file",
      `${url.href} cannot be had: the server answers ${response.status} ${response.statusText}.`,
      { url: url.href },
    );
  register(await response.blob(), path);
}

/**
 * A file as it is now, for saving; what it shares with a user's file is not read before.
 * @throws ScPoliError "file" where there is none
 */
export function file(path: string): File {
  const entry = find(path);
  if (entry instanceof StoredFile)
    return new File([entry.blob()], namesOf(path).at(-1)!, { lastModified: 0 });
  throw new ScPoliError("file", `${path}: ${entry ? "it is a folder" : "there is no such file"}.`, { path });
}

/**
 * A folder as one zip file, for saving; the same files, the same bytes.
 * @throws ScPoliError "file" where there is no folder
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

/** Zip files have a time for each entry: the first that they can tell, in any time zone. */
const zipTime = new Date(1980, 0, 1);
const zipPiece = 8 << 20;

/** Paths of all files at or below a path, sorted. */
export function files(path: string): string[] {
  const entry = find(path);
  return entry
    ? [...filesBelow(entry)].map(([inside]) => (inside === "" ? path : `${path}/${inside}`)).sort()
    : [];
}

/** Forgets a file, or a folder with what is in it. A user's file itself is left alone. */
export function forget(path: string): void {
  const place = placeOf(path);
  place?.folder.entries.delete(place.name);
}
