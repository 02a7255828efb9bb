// Files, processors and the HDF5 library under Node. The rest of the library imports this as "#platform";
// only src/platform/ touches node:*.
//
// Every error is a ScPoliError: kind "file" where something cannot be read, "output" where it cannot be
// written.
import {
  constants,
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
  type Stats,
} from "node:fs";
import { createHash, randomUUID } from "node:crypto";
import * as fs from "node:fs/promises";
import { availableParallelism, hostname, totalmem } from "node:os";
import { basename, dirname, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { createGunzip } from "node:zlib";
import { ScPoliError, type ErrorKind } from "../contract/errors.js";
import { describeFileError, errorCode, noFile, type FileStatus } from "./file-errors.js";

export type { Hdf5, LoadedHdf5 } from "./hdf5.js";
export { countReads } from "./hdf5.js";
export { abandonHdf5, loadHdf5 } from "./hdf5-node.js";
export type { DirectFile } from "./direct-file.js";
export { openDirect } from "./direct-file-node.js";
export { noFile, type FileStatus } from "./file-errors.js";
export { httpGet, type HttpAnswer } from "./http-node.js";
export { cacheFolder, sha256OfFile } from "./digest-node.js";
export type { RequestWorker } from "./request-worker.js";
export type { Producer } from "./producer.js";
export {
  answerRequests,
  produceItems,
  startRequestWorker,
  startProducer,
} from "./background-threads-node.js";
export { openInBrowser, serveFolder, type ServedFolder } from "./server-node.js";
export type { Threads } from "./threads.js";
export { canShareMemory, startThreads } from "./threads-node.js";

/** How many threads run at once on this machine. */
export function processorCount(): number {
  return availableParallelism();
}

/** Bytes of memory of this machine, or of the part of it that this process may use. */
export function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/** A file that comes with this package, by its path inside it. */
export function packageFile(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

/** What lies at a path, null where there is nothing. */
export async function fileStatus(path: string): Promise<FileStatus | null> {
  try {
    return statusOf(await fs.stat(path));
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return null;
    throw fileError("file", path, "cannot be read", error);
  }
}

function statusOf(status: Stats): FileStatus {
  if (status.isFile()) return { kind: "file", bytes: status.size };
  if (status.isDirectory()) return { kind: "folder", bytes: 0 };
  return { kind: status.isFIFO() ? "a pipe" : status.isSocket() ? "a socket" : "a device", bytes: 0 };
}

/**
 * Where a path leads: the end of its symbolic links, also where nothing is there yet.
 * @throws ScPoliError "output" where they have no end
 */
function targetOf(path: string): string {
  let target = resolve(path);
  for (let links = 0; links < mostLinks; links++) {
    try {
      target = resolve(realpathSync(dirname(target)), readlinkSync(target));
    } catch {
      return target; // no link; whoever writes there says what else is wrong
    }
  }
  const error = Object.assign(new Error("too many links"), { code: "ELOOP" });
  throw describeFileError("output", path, dirname(resolve(path)), "cannot be written", error);
}
/** As many as Linux follows. */
const mostLinks = 40;

/** Whether a symbolic link leads to nothing. */
export async function isBrokenLink(path: string): Promise<boolean> {
  const link = await fs.lstat(path).catch(() => null);
  return link !== null && link.isSymbolicLink() && (await fileStatus(path)) === null;
}

/** When a file was written last, in milliseconds since 1970. */
export async function modifiedAt(path: string): Promise<number> {
  try {
    return (await fs.stat(path)).mtimeMs;
  } catch (error) {
    throw fileError("file", path, "cannot be read", error);
  }
}

/** Whether two paths lead to one file, also through links. */
export async function isSameFile(first: string, second: string): Promise<boolean> {
  if (resolve(first) === resolve(second)) return true;
  const status = (path: string) => fs.stat(path, { bigint: true }).catch(() => null);
  const [a, b] = await Promise.all([status(first), status(second)]);
  return a !== null && b !== null && a.dev === b.dev && a.ino === b.ino;
}

export async function readFile(path: string): Promise<Uint8Array> {
  try {
    return await fs.readFile(path);
  } catch (error) {
    throw fileError("file", path, "cannot be read", error);
  }
}

/** SHA-256 of bytes, one piece after the other, as hexadecimal text. */
export async function sha256(pieces: Iterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}

/** UTF-8 text. */
export async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readFile(path));
}

/** Lines of a text file, of a gzipped one too. */
export async function* readLines(path: string): AsyncGenerator<string> {
  try {
    const isGzip = (await readBytes(path, 0, 2)).join() === "31,139";
    const file = createReadStream(path, { highWaterMark: 1 << 20 });
    const unpacked = isGzip ? file.pipe(createGunzip()) : file;
    file.on("error", (error) => unpacked.destroy(error));
    const decoder = new TextDecoder();
    let rest = "";
    for await (const bytes of unpacked) {
      const lines = (rest + decoder.decode(bytes as Uint8Array, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
    }
    if (rest !== "") yield rest;
  } catch (error) {
    throw fileError("file", path, "cannot be read", error);
  }
}

/** Bytes [position, position + length), fewer where the file ends before. */
export async function readBytes(path: string, position: number, length: number): Promise<Uint8Array> {
  try {
    const file = await fs.open(path, "r");
    try {
      const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, position);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError("file", path, "cannot be read", error);
  }
}

/** Overwrites bytes inside a file. */
export async function patchFile(
  path: string,
  edits: readonly { readonly position: number; readonly bytes: Uint8Array }[],
): Promise<void> {
  try {
    const file = await fs.open(path, "r+");
    try {
      for (const { position, bytes } of edits) await file.write(bytes, 0, bytes.length, position);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError("output", path, "cannot be written", error);
  }
}

/**
 * Writes a whole file: beside its final name, to the disk, then renamed. A reader sees the old file or the
 * new one, never a half.
 */
export async function writeFile(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = await createTemporary(path);
  try {
    const file = await fs.open(temporary, "r+");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await removeTemporary(temporary);
    throw fileError("output", path, "cannot be written", error);
  }
  await commitTemporary(temporary, path);
}

/**
 * Copies a file onto one that is there already; where the file system can, both share their blocks until one
 * is changed. In one go and not in pieces, which would wait for whatever else this thread does.
 */
export async function copyFile(from: string, to: string): Promise<void> {
  try {
    await fs.copyFile(from, to, constants.COPYFILE_FICLONE);
    await fs.chmod(to, 0o666 & ~process.umask()); // a read-only source makes a read-only copy otherwise
  } catch (error) {
    throw fileError("output", to, `cannot be written (copy of ${from})`, error);
  } finally {
    if (removedTemporaries.has(to)) rmSync(to, { force: true });
  }
}

/** A path inside a folder; empty parts are left out. */
export function joinPath(...parts: string[]): string {
  return join(...parts);
}

/** Writes a file of an unfinished folder, whole or not at all; the folders above it are made. */
export async function writePart(path: string, content: Uint8Array | string): Promise<void> {
  const part = `${path}.part`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    await fs.writeFile(part, content);
    await fs.rename(part, path);
  } catch (error) {
    throw fileError("output", path, "cannot be written", error);
  }
}

/** Adds bytes at the end of a file, which is made where there is none. */
export async function appendToFile(path: string, content: Uint8Array): Promise<void> {
  try {
    await fs.appendFile(path, content);
  } catch (error) {
    throw fileError("output", path, "cannot be written", error);
  }
}

/** Cuts a file off. */
export async function truncateFile(path: string, bytes: number): Promise<void> {
  try {
    await fs.truncate(path, bytes);
  } catch (error) {
    throw fileError("output", path, "cannot be written", error);
  }
}

/** Copies a folder with everything in it; where the file system can, both share their blocks. */
export async function copyFolder(from: string, to: string): Promise<void> {
  try {
    await fs.cp(from, to, { recursive: true, mode: constants.COPYFILE_FICLONE, dereference: true });
  } catch (error) {
    throw fileError("output", to, `cannot be written (copy of ${from})`, error);
  }
}

/** Makes a folder and those above it; one that is there already is left as it is. */
export async function makeFolder(path: string): Promise<void> {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw fileError("output", path, "cannot be made", error);
  }
}

/** Names in a folder, sorted. */
export async function listFolder(path: string): Promise<string[]> {
  try {
    return (await fs.readdir(path)).sort();
  } catch (error) {
    throw fileError("file", path, "cannot be read", error);
  }
}

/** Removes a file, or a folder with what is in it; nothing happens where there is none. */
export async function removeFile(path: string): Promise<void> {
  try {
    await fs.rm(path, { recursive: true, force: true });
  } catch (error) {
    throw fileError("output", path, "cannot be removed", error);
  }
}

/**
 * Unfinished files and folders, and the name that each will get. They are created synchronously and opened by
 * calls that do not create: an operation that is still under way in another thread when an interruption
 * removes them cannot bring them back.
 */
const temporaries = new Map<string, string>();
/** Those that an interruption removed; a copy that was still waiting for a thread would make them anew. */
const removedTemporaries = new Set<string>();

/**
 * Makes an empty file beside `path`, to be filled and then renamed to it. Of a symbolic link it is the target
 * that is written, the link stays.
 * @throws ScPoliError "output" where the folder is missing or not writable, or `path` is anything else than a
 * file
 */
export async function createTemporary(path: string): Promise<string> {
  const status = await fileStatus(path).catch(() => null);
  if (status && status.kind !== "file") throw noFile(path, status.kind);
  const temporary = temporaryName(path);
  try {
    writeFileSync(temporary, "");
  } catch (error) {
    throw fileError("output", path, "cannot be written", error);
  }
  return temporary;
}

/**
 * A name beside `path` that no other writer has, for a file or a folder that will be renamed to it. Removed
 * by `removeTemporaries` until it is. What killed processes have left of it goes.
 */
export function temporaryName(path: string): string {
  const target = targetOf(path);
  removeAbandoned(target);
  const writer = `${process.pid}-${randomUUID().slice(0, 8)}@${hostname()}`;
  const temporary = join(dirname(target), `.${basename(target)}.${writer}.tmp`);
  temporaries.set(temporary, path);
  return temporary;
}

/**
 * Removes unfinished files and folders of this name whose processes ran on this machine and are gone. A
 * folder that one of them was about to replace gets its name back.
 */
function removeAbandoned(path: string): void {
  const folder = dirname(resolve(path));
  const ending = `@${hostname()}.tmp`;
  const start = `.${basename(path)}.`;
  let names: string[] = [];
  try {
    names = readdirSync(folder).filter(
      (name) => name.startsWith(start) && name.replace(/\.old$/, "").endsWith(ending),
    );
  } catch {
    // no such folder: whoever writes there will say so
  }
  for (const name of names) {
    const owner = Number(/^\d+/.exec(name.slice(start.length))?.[0]);
    if (!(owner > 0) || owner === process.pid || isRunning(owner)) continue;
    try {
      if (name.endsWith(".old") && !existsSync(path)) renameSync(join(folder, name), path);
      else rmSync(join(folder, name), { recursive: true, force: true });
    } catch {
      // someone else's, or not ours to remove: it does no harm
    }
  }
}

function isRunning(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== "ESRCH";
  }
}

/**
 * Whether something can be made beside `path` and renamed to it.
 * @throws ScPoliError "output" where it cannot
 */
export async function tryToWrite(path: string): Promise<void> {
  const temporary = temporaryName(path);
  try {
    writeFileSync(temporary, "");
  } catch (error) {
    throw fileError("output", path, "cannot be written", error);
  } finally {
    await removeTemporary(temporary);
  }
}

/** Bytes of a file, or of all files in a folder. */
export async function bytesOf(path: string): Promise<number> {
  try {
    const status = await fs.stat(path);
    if (!status.isDirectory()) return status.size;
    let bytes = 0;
    for (const name of await fs.readdir(path, { recursive: true })) {
      const entry = await fs.stat(join(path, name));
      if (entry.isFile()) bytes += entry.size;
    }
    return bytes;
  } catch (error) {
    throw fileError("file", path, "cannot be read", error);
  }
}

/**
 * Whether there is room for a copy of so many bytes beside `path`. File systems on which a copy shares its
 * blocks with the original have it always.
 * @throws ScPoliError "output" where there is none
 */
export async function checkSpace(path: string, bytes: number): Promise<void> {
  const found = await fs.statfs(folderOf(path)).catch(() => null);
  if (!found || sharing.has(found.type)) return;
  const free = found.bavail * found.bsize;
  if (free >= bytes) return;
  throw new ScPoliError(
    "output",
    `${path} cannot be written: no space left on the disk of ${folderOf(path)} for ${megabytes(bytes)}, ${megabytes(free)} are free. Free some, or write elsewhere.`,
    { path, bytes, free },
  );
}
/** Linux's numbers of Btrfs, XFS and bcachefs. */
const sharing: ReadonlySet<number> = new Set([0x9123683e, 0x58465342, 0xca451a4e]);

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Gives a temporary file (or folder, where there is none of that name) its final name. */
export async function commitTemporary(temporary: string, path: string): Promise<void> {
  try {
    await fs.rename(temporary, targetOf(path));
    temporaries.delete(temporary);
  } catch (error) {
    await removeTemporary(temporary);
    throw fileError("output", path, "cannot be written", error);
  }
}

/**
 * Gives a temporary folder its final name; a folder of that name goes. No other code of this process runs in
 * between, so that an interruption leaves the old one or the new one.
 */
export function replaceFolder(temporary: string, path: string): void {
  const old = `${temporary}.old`;
  try {
    const target = targetOf(path);
    if (existsSync(target)) renameSync(target, old);
    try {
      renameSync(temporary, target);
    } catch (error) {
      if (existsSync(old)) renameSync(old, target);
      throw error;
    }
    temporaries.delete(temporary);
    rmSync(old, { recursive: true, force: true });
  } catch (error) {
    throw fileError("output", path, "cannot be written", error);
  }
}

export async function removeTemporary(temporary: string): Promise<void> {
  temporaries.delete(temporary);
  await fs.rm(temporary, { recursive: true, force: true }).catch(() => undefined);
}

/** Removes everything unfinished, at once: for the end of an interrupted process. */
export function removeTemporaries(): void {
  for (const temporary of temporaries.keys()) {
    rmSync(temporary, { recursive: true, force: true });
    removedTemporaries.add(temporary);
  }
  temporaries.clear();
}

/** The path that a user knows: that of an unfinished file or folder is the name it will get. */
function finalPath(path: string): string {
  for (const [temporary, final] of temporaries)
    if (path === temporary || path.startsWith(temporary + sep))
      return finalPath(final + path.slice(temporary.length));
  return path;
}

/** A failed file operation in words. `what` follows the path: "cannot be read". */
export function fileError(kind: ErrorKind, at: string, what: string, error: unknown): ScPoliError {
  const path = finalPath(at);
  return describeFileError(kind, path, folderOf(path), what, error);
}

/** The folder that a path, or what it links to, lies in. */
function folderOf(path: string): string {
  try {
    return dirname(targetOf(path));
  } catch {
    return dirname(resolve(path));
  }
}
