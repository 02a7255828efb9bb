// Files, processors and the HDF5 library in a browser's worker: the counterpart of node.ts. Files are those
// of the virtual file system (browser-files.ts).
//
// Every error is a ScPoliError: kind "file" for failed reads, "output" for failed writes.
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

/** Direct access without HDF5 is not available in browsers. */
export function openDirect(_path: string): DirectFile | null {
  return null;
}

/** Number of threads that run at once on this machine; 1 if they cannot share memory. */
export function processorCount(): number {
  return canShareMemory() ? navigator.hardwareConcurrency : 1;
}

/**
 * Memory of this machine in bytes, as reported by the browser: Chromium rounds it and caps it at 8 GB; for
 * others 4 GB is assumed.
 */
export function machineMemory(): number {
  return ((navigator as { readonly deviceMemory?: number }).deviceMemory ?? 4) * 2 ** 30;
}

/** Kind and size of the entry at a path; null if there is none. */
export async function fileStatus(path: string): Promise<FileStatus | null> {
  const entry = find(path);
  if (entry instanceof StoredFile) return { kind: "file", bytes: entry.bytes };
  return entry ? { kind: "folder", bytes: 0 } : null;
}

/** Whether a path is a broken symbolic link: never, as there are no links here. */
export async function isBrokenLink(_path: string): Promise<boolean> {
  return false;
}

/** Time of the last modification: not known for files in memory. */
export async function modifiedAt(_path: string): Promise<number> {
  return 0;
}

/** Whether two paths refer to the same file. */
export async function isSameFile(first: string, second: string): Promise<boolean> {
  return joinPath(first) === joinPath(second);
}

/**
 * SHA-256 of the concatenated pieces, in hexadecimal.
 * @throws ScPoliError "usage" outside a secure context, where browsers do not offer it
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

/** Reads a UTF-8 text file. */
export async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readFile(path));
}

/** Lines of a text file, which may be gzipped. */
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

/** Bytes [position, position + length); fewer if the file ends before. */
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

/** Writes a whole file atomically: a reader sees the old or the new content. */
export async function writeFile(path: string, content: Uint8Array | string): Promise<void> {
  return writing(path, "cannot be written", () =>
    put(path, new StoredFile(new Blob([content as Uint8Array<ArrayBuffer>])), false),
  );
}

/** Copies a file over an existing one. Both share their content until one is changed. */
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

/** Writes a file of an unfinished folder; creates missing parent folders. */
export async function writePart(path: string, content: Uint8Array | string): Promise<void> {
  return writing(path, "cannot be written", () =>
    put(path, new StoredFile(new Blob([content as Uint8Array<ArrayBuffer>])), true),
  );
}

/** Appends bytes to a file; creates it if needed. */
export async function appendToFile(path: string, content: Uint8Array): Promise<void> {
  return writing(path, "cannot be written", () => {
    if (!find(path)) put(path, new StoredFile(), false);
    const file = existing(path);
    file.write(file.bytes, content);
  });
}

/** Truncates a file. */
export async function truncateFile(path: string, bytes: number): Promise<void> {
  return writing(path, "cannot be written", () => existing(path).truncate(bytes));
}

/** Copies a folder with its content. Both share the content until one is changed. */
export async function copyFolder(from: string, to: string): Promise<void> {
  return writing(to, `cannot be written (copy of ${from})`, () => {
    const entry = find(from);
    if (!entry) throw new PathError("ENOENT");
    for (const [inside, file] of filesBelow(entry))
      put(joinPath(to, inside), new StoredFile(file.blob()), true);
  });
}

/** Creates a folder and its missing parents; an existing folder is left as it is. */
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

/** Removes a file, or a folder with its content; does nothing if there is none. */
export async function removeFile(path: string): Promise<void> {
  const place = placeOf(path);
  place?.folder.entries.delete(place.name);
}

/** Unfinished files and folders, with their final paths. */
const temporaries = new Map<string, string>();

/**
 * Creates an empty temporary file in the folder of `path`, to be filled and then renamed to `path`.
 * @throws ScPoliError "output" if the folder is missing, or `path` is a folder
 */
export async function createTemporary(path: string): Promise<string> {
  if (find(path) instanceof VirtualFolder) throw noFile(path, "folder");
  const temporary = temporaryName(path);
  await writing(path, "cannot be written", () => put(temporary, new StoredFile(), false));
  return temporary;
}

/** Number of writers so far; part of the temporary names, which makes them unique. */
let writers = 0;

/**
 * A unique name in the folder of `path`, for a file or folder that will be renamed to `path`. Until then,
 * `removeTemporaries` removes it.
 */
export function temporaryName(path: string): string {
  const names = namesOf(path);
  const name = names.pop() ?? "";
  const temporary = joinPath(...names, `.${name}.${writers++}.tmp`);
  temporaries.set(temporary, path);
  return temporary;
}

/**
 * Checks that `path` can be written.
 * @throws ScPoliError "output" if it cannot
 */
export async function tryToWrite(path: string): Promise<void> {
  await writing(path, "cannot be written", () => {
    if (!placeOf(path)) throw new PathError("ENOENT");
  });
}

/** Size of a file, or of all files in a folder, in bytes. */
export async function bytesOf(path: string): Promise<number> {
  const entry = find(path);
  return entry ? [...filesBelow(entry)].reduce((bytes, [, file]) => bytes + file.bytes, 0) : 0;
}

/** Nothing to check: a copy shares its content with the original and takes no space. */
export async function checkSpace(_path: string, _bytes: number): Promise<void> {}

/** Renames a temporary file (or folder, if none exists at `path`) to its final path. */
export async function commitTemporary(temporary: string, path: string): Promise<void> {
  replaceFolder(temporary, path);
}

/** Renames a temporary folder to its final path, in place of an existing folder. */
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

/** Removes all temporary files and folders. */
export function removeTemporaries(): void {
  for (const temporary of [...temporaries.keys()]) void removeTemporary(temporary);
}

/** The error of a failed file operation. @param what - follows the path: "cannot be read" */
export function fileError(kind: ErrorKind, at: string, what: string, error: unknown): ScPoliError {
  const path = finalPath(at);
  return describeFileError(kind, path, namesOf(path).slice(0, -1).join("/") || "/", what, error);
}

/** The path to name in messages: for a temporary file or folder, its final path. */
function finalPath(path: string): string {
  for (const [temporary, final] of temporaries)
    if (path === temporary || path.startsWith(`${temporary}/`))
      return finalPath(final + path.slice(temporary.length));
  return path;
}

/** An error with the code that an operating system would give. */
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

/** @param make - create missing folders */
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
