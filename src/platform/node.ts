// Files, processors and the HDF5 library under Node. The rest of the library imports this as "#platform";
// only src/platform/ touches node:*.
//
// Every error is a ScPoliError: kind "file" for failed reads, "output" for failed writes.
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
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
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

/** Number of threads that run at once on this machine. */
export function processorCount(): number {
  return availableParallelism();
}

/** Memory of this machine, or the part of it available to this process, in bytes. */
export function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/** The path of a file of this package, from its path inside the package. */
export function packageFile(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

/**
 * The path of a file of the demo's cells and models. A checkout has them in data/. An installed package has
 * them once, in the folder of its page.
 */
export function dataFile(name: string): string {
  const inCheckout = packageFile(`data/${name}`);
  return existsSync(inCheckout) ? inCheckout : packageFile(`dist/app/data/${name}`);
}

/** Kind and size of the file or folder at a path; null if there is none. */
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
 * Resolves the symbolic links of a path, also if the target does not exist yet.
 * @throws ScPoliError "output" if the links form a cycle
 */
function targetOf(path: string): string {
  let target = resolve(path);
  for (let links = 0; links < mostLinks; links++) {
    try {
      target = resolve(realpathSync(dirname(target)), readlinkSync(target));
    } catch {
      return target; // not a link; other problems are reported when it is written
    }
  }
  const error = Object.assign(new Error("too many links"), { code: "ELOOP" });
  throw describeFileError("output", path, dirname(resolve(path)), "cannot be written", error);
}
/** The limit of Linux. */
const mostLinks = 40;

/** Whether a path is a symbolic link whose target does not exist. */
export async function isBrokenLink(path: string): Promise<boolean> {
  const link = await fs.lstat(path).catch(() => null);
  return link !== null && link.isSymbolicLink() && (await fileStatus(path)) === null;
}

/** Time of the last modification, in milliseconds since 1970. */
export async function modifiedAt(path: string): Promise<number> {
  try {
    return (await fs.stat(path)).mtimeMs;
  } catch (error) {
    throw fileError("file", path, "cannot be read", error);
  }
}

/** Whether two paths refer to the same file, also through links. */
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

/** SHA-256 of the concatenated pieces, in hexadecimal. */
export async function sha256(pieces: Iterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}

/** Reads a UTF-8 text file. */
export async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readFile(path));
}

/** Lines of a text file, which may be gzipped. */
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

/** Bytes [position, position + length); fewer if the file ends before. */
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
 * Writes a whole file atomically: to a temporary file, synced to disk, then renamed. A reader sees the old or
 * the new content.
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
 * Copies a file over an existing one; if the file system supports it, both share their blocks until one is
 * changed. In one call, as copying in pieces would compete with other work of this thread.
 */
export async function copyFile(from: string, to: string): Promise<void> {
  try {
    await fs.copyFile(from, to, constants.COPYFILE_FICLONE);
    await fs.chmod(to, 0o666 & ~process.umask()); // otherwise the copy of a read-only file is read-only
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

/**
 * Path of a file relative to the folder of another file, with forward slashes; null if the file is outside
 * of that folder.
 */
export function pathBeside(file: string, path: string): string | null {
  const within = relative(dirname(resolve(file)), resolve(path));
  const isOutside = within === "" || within.split(sep)[0] === ".." || isAbsolute(within);
  return isOutside ? null : within.split(sep).join("/");
}

/** Writes a file of an unfinished folder atomically; creates missing parent folders. */
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

/** Appends bytes to a file; creates it if needed. */
export async function appendToFile(path: string, content: Uint8Array): Promise<void> {
  try {
    await fs.appendFile(path, content);
  } catch (error) {
    throw fileError("output", path, "cannot be written", error);
  }
}

/** Truncates a file. */
export async function truncateFile(path: string, bytes: number): Promise<void> {
  try {
    await fs.truncate(path, bytes);
  } catch (error) {
    throw fileError("output", path, "cannot be written", error);
  }
}

/** Copies a folder with its content; if the file system supports it, both share their blocks. */
export async function copyFolder(from: string, to: string): Promise<void> {
  try {
    await fs.cp(from, to, { recursive: true, mode: constants.COPYFILE_FICLONE, dereference: true });
  } catch (error) {
    throw fileError("output", to, `cannot be written (copy of ${from})`, error);
  }
}

/** Creates a folder and its missing parents; an existing folder is left as it is. */
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

/** Removes a file, or a folder with its content; does nothing if there is none. */
export async function removeFile(path: string): Promise<void> {
  try {
    await fs.rm(path, { recursive: true, force: true });
  } catch (error) {
    throw fileError("output", path, "cannot be removed", error);
  }
}

/**
 * Unfinished files and folders, with their final paths. They are created synchronously and opened by calls
 * that do not create files: an operation still running in another thread when an interruption removes them
 * cannot recreate them.
 */
const temporaries = new Map<string, string>();
/** Temporaries removed by an interruption; a copy that was still queued could recreate them. */
const removedTemporaries = new Set<string>();

/**
 * Creates an empty temporary file in the folder of `path`, to be filled and then renamed to `path`. If `path`
 * is a symbolic link, its target is written and the link stays.
 * @throws ScPoliError "output" if the folder is missing or not writable, or `path` is not a regular file
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
 * A unique name in the folder of `path`, for a file or folder that will be renamed to `path`. Until then,
 * `removeTemporaries` removes it. Leftovers of killed processes are removed.
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
 * Removes unfinished files and folders of this name that were left by processes of this machine that have
 * ended. A folder that such a process was about to replace gets its name back.
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
    // no such folder: reported when it is written
  }
  for (const name of names) {
    const owner = Number(/^\d+/.exec(name.slice(start.length))?.[0]);
    if (!(owner > 0) || owner === process.pid || isRunning(owner)) continue;
    try {
      if (name.endsWith(".old") && !existsSync(path)) renameSync(join(folder, name), path);
      else rmSync(join(folder, name), { recursive: true, force: true });
    } catch {
      // without permission to remove it; harmless
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
 * Checks that `path` can be written.
 * @throws ScPoliError "output" if it cannot
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

/** Size of a file, or of all files in a folder, in bytes. */
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
 * Checks the disk space for a copy in the folder of `path`. File systems on which copies share their blocks
 * always have enough.
 * @param bytes - size of the copy
 * @throws ScPoliError "output" without enough space
 */
export async function checkSpace(path: string, bytes: number): Promise<void> {
  const disk = await fs.statfs(folderOf(path)).catch(() => null);
  if (!disk || sharing.has(disk.type)) return;
  const free = disk.bavail * disk.bsize;
  if (free >= bytes) return;
  throw new ScPoliError(
    "output",
    `${path} cannot be written: no space left on the disk of ${folderOf(path)} for ${megabytes(bytes)}, ` +
      `${megabytes(free)} are free. Free some, or write elsewhere.`,
    { path, bytes, free },
  );
}
/** File system types whose copies share blocks: Linux's numbers of Btrfs, XFS and bcachefs. */
const sharing: ReadonlySet<number> = new Set([0x9123683e, 0x58465342, 0xca451a4e]);

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Renames a temporary file (or folder, if none exists at `path`) to its final path. */
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
 * Renames a temporary folder to its final path, in place of an existing folder. Synchronous, so that an
 * interruption leaves either the old or the new folder.
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

/** Removes all temporary files and folders, synchronously: for the end of an interrupted process. */
export function removeTemporaries(): void {
  for (const temporary of temporaries.keys()) {
    rmSync(temporary, { recursive: true, force: true });
    removedTemporaries.add(temporary);
  }
  temporaries.clear();
}

/** The path to name in messages: for a temporary file or folder, its final path. */
function finalPath(path: string): string {
  for (const [temporary, final] of temporaries)
    if (path === temporary || path.startsWith(temporary + sep))
      return finalPath(final + path.slice(temporary.length));
  return path;
}

/** The error of a failed file operation. @param what - follows the path: "cannot be read" */
export function fileError(kind: ErrorKind, at: string, what: string, error: unknown): ScPoliError {
  const path = finalPath(at);
  return describeFileError(kind, path, folderOf(path), what, error);
}

/** The folder of a path, or of the target of a link. */
function folderOf(path: string): string {
  try {
    return dirname(targetOf(path));
  } catch {
    return dirname(resolve(path));
  }
}
