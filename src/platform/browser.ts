// Files, processors and the HDF5 library in a browser's worker: what node.ts is under Node. Files are those
// of browser-files.ts, which tells how a page uses them.
//
// Every error is a ScPoliError: kind "file" where something cannot be read, "output" where it cannot be
// written.
import { ScPoliError, type ErrorKind } from "../contract/errors.js";
import type { DirectFile } from "./direct-file.js";
import { describeFileError, noFile, type FileStatus } from "./file-errors.js";
import { readBlob, StoredFile } from "./stored-file.js";
import { canShareMemory } from "./threads-browser.js";
import { filesBelow, find, folderAt, namesOf, placeOf, VirtualFolder, type Place } from "./virtual-folder.js";

export type { Hdf5, LoadedHdf5 } from "./hdf5.js";
export { countReads } from "./hdf5.js";
export { abandonHdf5, loadHdf5 } from "./hdf5-browser.js";
export type { DirectFile } from "./direct-file.js";
export { noFile, type FileStatus } from "./file-errors.js";
export type { RequestWorker } from "./request-worker.js";
export type { Producer } from "./producer.js";
export {
  answerRequests,
  produceItems,
  startRequestWorker,
  startProducer,
} from "./background-threads-browser.js";
export type { Threads } from "./threads.js";
export { canShareMemory, startThreads } from "./threads-browser.js";

/** Files that are read without HDF5: none, HDF5 reads all bytes here. */
export function openDirect(_path: string): DirectFile | null {
  return null;
}

/** How many threads run at once on this machine; one where they cannot share memory. */
export function processorCount(): number {
  return canShareMemory() ? navigator.hardwareConcurrency : 1;
}

/**
 * Bytes of memory of this machine, as far as the browser tells: Chromium rounds, up to 8 GB, others say
 * nothing and are taken to have 4 GB.
 */
export function machineMemory(): number {
  return ((navigator as { readonly deviceMemory?: number }).deviceMemory ?? 4) * 2 ** 30;
}

/** What lies at a path, null where there is nothing. */
export async function fileStatus(path: string): Promise<FileStatus | null> {
  const entry = find(path);
  if (entry instanceof StoredFile) return { kind: "file", bytes: entry.bytes };
  return entry ? { kind: "folder", bytes: 0 } : null;
}

/** Whether a symbolic link leads to nothing: there are none here. */
export async function isBrokenLink(_path: string): Promise<boolean> {
  return false;
}

/** When a file was written last: not known of files in memory. */
export async function modifiedAt(_path: string): Promise<number> {
  return 0;
}

/** Whether two paths lead to one file. */
export async function isSameFile(first: string, second: string): Promise<boolean> {
  return joinPath(first) === joinPath(second);
}

/**
 * SHA-256 of bytes, one piece after the other, as hexadecimal text.
 * @throws ScPoliError "usage" where the page is in no secure context: browsers compute it in these only
 */
export async function sha256(pieces: Iterable<Uint8Array>): Promise<string> {
  if (!("subtle" in crypto))
    throw new ScPoliError("usage", "Checkpoints need a page that is served by https or from localhost.");
  const whole = new Uint8Array(await new Blob([...pieces].map((piece) => piece.slice())).arrayBuffer());
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function readFile(path: string): Promise<Uint8Array> {
  return reading(path, (file) => {
    const content = new Uint8Array(file.bytes);
    file.read(0, content);
    return content;
  });
}

/** UTF-8 text. */
export async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readFile(path));
}

/** Lines of a text file, of a gzipped one too. */
export async function* readLines(path: string): AsyncGenerator<string> {
  const isGzip = (await readBytes(path, 0, 2)).join() === "31,139";
  const blob = await reading(path, (file) => file.blob());
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const bytes of isGzip ? unpacked(blob) : pieces(blob)) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
    }
  } catch (error) {
    throw fileError("file", path, "cannot be read", error);
  }
  if (rest !== "") yield rest;
}

const pieceBytes = 1 << 20;

async function* pieces(blob: Blob): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < blob.size; at += pieceBytes) yield readBlob(blob.slice(at, at + pieceBytes));
}

async function* unpacked(blob: Blob): AsyncGenerator<Uint8Array> {
  const reader = blob.stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}

/** Bytes [position, position + length), fewer where the file ends before. */
export async function readBytes(path: string, position: number, length: number): Promise<Uint8Array> {
  return reading(path, (file) => {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, file.bytes - position)));
    file.read(position, bytes);
    return bytes;
  });
}

/** Overwrites bytes inside a file. */
export async function patchFile(
  path: string,
  edits: readonly { readonly position: number; readonly bytes: Uint8Array }[],
): Promise<void> {
  return writing(path, "cannot be written", () => {
    const file = existing(path);
    for (const { position, bytes } of edits) file.write(position, bytes);
  });
}

/** Writes a whole file. A reader sees the old file or the new one, never a half. */
export async function writeFile(path: string, content: Uint8Array | string): Promise<void> {
  return writing(path, "cannot be written", () =>
    put(path, new StoredFile(new Blob([content as Uint8Array<ArrayBuffer>])), false),
  );
}

/** Copies a file onto one that is there already. Both share their content until one is changed. */
export async function copyFile(from: string, to: string): Promise<void> {
  return writing(to, `cannot be written (copy of ${from})`, () =>
    put(to, new StoredFile(existing(from).blob()), false),
  );
}

/** A path inside a folder; empty parts are left out. */
export function joinPath(...parts: string[]): string {
  const path = parts.filter((part) => part !== "").join("/");
  return (path.startsWith("/") ? "/" : "") + namesOf(path).join("/");
}

/** Writes a file of an unfinished folder; the folders above it are made. */
export async function writePart(path: string, content: Uint8Array | string): Promise<void> {
  return writing(path, "cannot be written", () =>
    put(path, new StoredFile(new Blob([content as Uint8Array<ArrayBuffer>])), true),
  );
}

/** Adds bytes at the end of a file, which is made where there is none. */
export async function appendToFile(path: string, content: Uint8Array): Promise<void> {
  return writing(path, "cannot be written", () => {
    if (!find(path)) put(path, new StoredFile(), false);
    const file = existing(path);
    file.write(file.bytes, content);
  });
}

/** Cuts a file off. */
export async function truncateFile(path: string, bytes: number): Promise<void> {
  return writing(path, "cannot be written", () => existing(path).truncate(bytes));
}

/** Copies a folder with everything in it. Both share their content. */
export async function copyFolder(from: string, to: string): Promise<void> {
  return writing(to, `cannot be written (copy of ${from})`, () => {
    const entry = find(from);
    if (!entry) throw new PathError("ENOENT");
    for (const [inside, file] of filesBelow(entry))
      put(joinPath(to, inside), new StoredFile(file.blob()), true);
  });
}

/** Makes a folder and those above it; one that is there already is left as it is. */
export async function makeFolder(path: string): Promise<void> {
  return writing(path, "cannot be made", () => {
    if (!folderAt(namesOf(path), true)) throw new PathError("ENOTDIR");
  });
}

/** Names in a folder, sorted. */
export async function listFolder(path: string): Promise<string[]> {
  const entry = find(path);
  if (entry instanceof VirtualFolder) return [...entry.entries.keys()].sort();
  throw fileError("file", path, "cannot be read", new PathError(entry ? "ENOTDIR" : "ENOENT"));
}

/** Removes a file, or a folder with what is in it; nothing happens where there is none. */
export async function removeFile(path: string): Promise<void> {
  const place = placeOf(path);
  place?.folder.entries.delete(place.name);
}

/** Unfinished files and folders, and the name that each will get. */
const temporaries = new Map<string, string>();

/**
 * Makes an empty file beside `path`, to be filled and then renamed to it.
 * @throws ScPoliError "output" where the folder is missing, or `path` is a folder
 */
export async function createTemporary(path: string): Promise<string> {
  if (find(path) instanceof VirtualFolder) throw noFile(path, "folder");
  const temporary = temporaryName(path);
  await writing(path, "cannot be written", () => put(temporary, new StoredFile(), false));
  return temporary;
}

/** Writers of files so far: each has a temporary name of its own. */
let writers = 0;

/**
 * A name beside `path` that no other writer has, for a file or a folder that will be renamed to it. Removed
 * by `removeTemporaries` until it is.
 */
export function temporaryName(path: string): string {
  const names = namesOf(path);
  const name = names.pop() ?? "";
  const temporary = joinPath(...names, `.${name}.${writers++}.tmp`);
  temporaries.set(temporary, path);
  return temporary;
}

/**
 * Whether something can be made beside `path` and renamed to it.
 * @throws ScPoliError "output" where it cannot
 */
export async function tryToWrite(path: string): Promise<void> {
  await writing(path, "cannot be written", () => {
    if (!placeOf(path)) throw new PathError("ENOENT");
  });
}

/** Bytes of a file, or of all files in a folder. */
export async function bytesOf(path: string): Promise<number> {
  const entry = find(path);
  return entry ? [...filesBelow(entry)].reduce((bytes, [, file]) => bytes + file.bytes, 0) : 0;
}

/** A copy takes no space here: it shares its content with the original. */
export async function checkSpace(_path: string, _bytes: number): Promise<void> {}

/** Gives a temporary file (or folder, where there is none of that name) its final name. */
export async function commitTemporary(temporary: string, path: string): Promise<void> {
  replaceFolder(temporary, path);
}

/** Gives a temporary folder its final name; a folder of that name goes. */
export function replaceFolder(temporary: string, path: string): void {
  const [from, to] = [placeOf(temporary), placeOf(path)];
  const entry = from?.folder.entries.get(from.name);
  if (!from || !to || !entry) throw fileError("output", path, "cannot be written", new PathError("ENOENT"));
  from.folder.entries.delete(from.name);
  to.folder.entries.set(to.name, entry);
  temporaries.delete(temporary);
}

export async function removeTemporary(temporary: string): Promise<void> {
  temporaries.delete(temporary);
  await removeFile(temporary);
}

/** Removes everything unfinished, at once. */
export function removeTemporaries(): void {
  for (const temporary of [...temporaries.keys()]) void removeTemporary(temporary);
}

/** A failed file operation in words. `what` follows the path: "cannot be read". */
export function fileError(kind: ErrorKind, at: string, what: string, error: unknown): ScPoliError {
  const path = finalPath(at);
  return describeFileError(kind, path, namesOf(path).slice(0, -1).join("/") || "/", what, error);
}

/** The path that a user knows: that of an unfinished file or folder is the name it will get. */
function finalPath(path: string): string {
  for (const [temporary, final] of temporaries)
    if (path === temporary || path.startsWith(`${temporary}/`))
      return finalPath(final + path.slice(temporary.length));
  return path;
}

/** What a system tells in such a case. */
class PathError extends Error {
  constructor(readonly code: "ENOENT" | "ENOTDIR" | "EISDIR") {
    super(code);
  }
}

function existing(path: string): StoredFile {
  const entry = find(path);
  if (entry instanceof StoredFile) return entry;
  throw new PathError(entry ? "EISDIR" : "ENOENT");
}

/** @param make - makes folders that are missing */
function put(path: string, file: StoredFile, make: boolean): void {
  const place: Place | null = placeOf(path, make);
  if (!place) throw new PathError("ENOENT");
  if (place.folder.entries.get(place.name) instanceof VirtualFolder) throw new PathError("EISDIR");
  place.folder.entries.set(place.name, file);
}

async function reading<T>(path: string, work: (file: StoredFile) => T): Promise<T> {
  try {
    return work(existing(path));
  } catch (error) {
    throw fileError("file", path, "cannot be read", error);
  }
}

async function writing(path: string, what: string, work: () => void): Promise<void> {
  try {
    work();
  } catch (error) {
    throw fileError("output", path, what, error);
  }
}
