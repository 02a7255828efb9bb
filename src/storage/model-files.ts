// Access to the files of a model in a folder, in a zip or tar file, or in the single PyTorch file of
// scvi-tools and ArchMap. Nothing is unpacked to disk.
import { fileStatus, listFolder, readBytes, readFile } from "#platform";
import { GzipReader, TarReader } from "../archives/tar.js";
import { listZip, readZipEntry, type ZipEntry } from "../archives/zip.js";
import { ScPoliError } from "../contract/errors.js";

/** The model card (model-card.ts), optional. */
export const cardName = "card.md";
/** File names of a model: ours, those of scArches and of scvi-tools. */
const namesOfModels =
  /^(model\.json|model\.safetensors|attr\.pkl|model_params\.pt|var_names\.csv|model\.pt|card\.md)$/;
/** Files that identify a model. */
const marks = /^(model\.json|attr\.pkl|model_params\.pt|model\.pt)$/;

export interface ModelFiles {
  /** path as the user knows it */
  readonly path: string;
  readonly kind: "folder" | "archive" | "torch file";
  /** file names in its folder, sorted */
  readonly names: readonly string[];
  /** Name of a file for error messages. */
  describe(name: string): string;
  /** @throws ScPoliError "file" if it cannot be read, "model" if the archive is damaged */
  read(name: string): Promise<Uint8Array>;
}

/**
 * Opens the files of a model.
 * @returns null if the file is neither an archive nor a PyTorch file
 * @throws ScPoliError "file" if nothing is there; "model" if an archive is damaged, or holds no model or
 * several
 */
export async function openModelFiles(path: string): Promise<ModelFiles | null> {
  const status = await fileStatus(path);
  if (!status) throw new ScPoliError("file", `There is no model ${path}.`, { path });
  if (status.kind === "folder") return folderFiles(path);
  if (status.kind !== "file")
    throw new ScPoliError("model", `${path} is ${status.kind}; a model is a folder or a file.`, { path });
  const start = await readBytes(path, 0, 512);
  try {
    if (startsWith(start, 0x50, 0x4b)) return await zipFiles(path, status.bytes);
    if (startsWith(start, 0x1f, 0x8b) || isTar(start)) return await tarFiles(path, status.bytes, start);
  } catch (error) {
    throw unpackingError(path, error);
  }
  for (const [kind, ...magic] of otherArchives)
    if (startsWith(start, ...magic))
      throw new ScPoliError(
        "model",
        `${path} is compressed with ${kind}, which is not read. Unpack it first.`,
        {
          path,
        },
      );
  // PyTorch files before version 1.6 begin with a pickled magic number
  if (startsWith(start, 0x80, 0x02, 0x8a, 0x0a) || /\.pt$/i.test(path)) return torchFile(path);
  return null;
}

/** The error for an archive that cannot be unpacked. */
function unpackingError(path: string, error: unknown): ScPoliError {
  if (error instanceof ScPoliError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new ScPoliError(
    "model",
    `${path} cannot be unpacked: ${reason}. Copy or download it again.`,
    { path, ...(error instanceof RangeError && { models: 0 }) },
    { cause: error },
  );
}

/** Whether there is a model at a path, judging by file names alone. */
export async function isModel(path: string): Promise<boolean> {
  const status = await fileStatus(path);
  if (!status) return false;
  if (status.kind === "folder") return (await listFolder(path)).some((name) => marks.test(name));
  if (!/\.(zip|tar|tar\.gz|tgz|pt)$/i.test(path) || /\.zarr\.zip$/i.test(path)) return false;
  try {
    return (await openModelFiles(path)) !== null;
  } catch (error) {
    // a zip file may also be a Zarr store
    return !/\.zip$/i.test(path) || !(error instanceof ScPoliError && error.details["models"] === 0);
  }
}

function startsWith(bytes: Uint8Array, ...magic: readonly number[]): boolean {
  return magic.every((byte, i) => bytes[i] === byte);
}
const otherArchives: readonly (readonly [string, ...number[]])[] = [
  ["bzip2", 0x42, 0x5a, 0x68],
  ["xz", 0xfd, 0x37, 0x7a, 0x58],
  ["zstd", 0x28, 0xb5, 0x2f, 0xfd],
  ["7-Zip", 0x37, 0x7a, 0xbc, 0xaf],
  ["RAR", 0x52, 0x61, 0x72, 0x21],
];
function isTar(start: Uint8Array): boolean {
  return new TextDecoder().decode(start.subarray(257, 262)) === "ustar";
}

async function folderFiles(path: string): Promise<ModelFiles> {
  return {
    path,
    kind: "folder",
    names: await listFolder(path),
    describe: (name) => `${path}/${name}`,
    read: (name) => readFile(`${path}/${name}`),
  };
}

function torchFile(path: string): ModelFiles {
  return {
    path,
    kind: "torch file",
    names: ["model.pt"],
    describe: () => path,
    read: () => readFile(path),
  };
}

async function zipFiles(path: string, bytes: number): Promise<ModelFiles> {
  const read = (position: number, length: number): Promise<Uint8Array> => readBytes(path, position, length);
  const entries = new Map((await listZip(read, bytes)).map((entry) => [entry.name, entry]));
  // torch.save also writes zip files
  if ([...entries.keys()].some((name) => /^[^/]+\/data\.pkl$/.test(name))) return torchFile(path);
  return archiveFiles(path, [...entries.keys()], (name) =>
    readZipEntry(read, entries.get(name) as ZipEntry, mostBytes(bytes)),
  );
}

/** Bytes of a tar file read at once. */
const piece = 1 << 20;

async function tarFiles(path: string, bytes: number, start: Uint8Array): Promise<ModelFiles> {
  const tar = new TarReader((name) => namesOfModels.test(baseName(name)), mostBytes(bytes));
  const isGzip = !isTar(start);
  const gzip = new GzipReader((unpacked) => tar.push(unpacked));
  for (let at = 0; at < bytes; at += piece) {
    const content = await readBytes(path, at, piece);
    if (isGzip) gzip.push(content, at + piece >= bytes);
    else tar.push(content);
  }
  const { names, files } = tar.end();
  return archiveFiles(path, names, (name) => Promise.resolve(files.get(name)!));
}

/** Limit on the bytes of a model's files in an archive: weights hardly compress. */
function mostBytes(archive: number): number {
  return Math.max(256 << 20, 100 * archive);
}

function baseName(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}
function folderOf(name: string): string {
  return name.slice(0, name.lastIndexOf("/") + 1);
}

/** The model in an archive: the topmost folder that has the files of one. */
function archiveFiles(
  path: string,
  all: readonly string[],
  read: (name: string) => Promise<Uint8Array>,
): ModelFiles {
  // macOS adds metadata files
  const names = all.filter((name) => !/(^|\/)(__MACOSX\/|\._)/.test(name));
  const depth = (folder: string): number => folder.split("/").filter((part) => part !== "." && part).length;
  const folders = [...new Set(names.filter((name) => marks.test(baseName(name))).map(folderOf))].sort(
    (a, b) => depth(a) - depth(b),
  );
  const [folder, other] = folders;
  if (folder === undefined)
    throw new ScPoliError(
      "model",
      `${path} holds no model: it contains neither model.json (scpoli) nor attr.pkl or model.pt (scArches).`,
      { path, models: 0 },
    );
  if (other !== undefined && depth(other) === depth(folder))
    throw new ScPoliError(
      "model",
      `${path} holds several models: ` +
        `${folders.map((name) => `'${name.replace(/\/$/, "")}'`).join(", ")}. ` +
        "Unpack it and give the folder of one.",
      { path, models: folders.length },
    );
  return {
    path,
    kind: "archive",
    names: names
      .filter((name) => folderOf(name) === folder)
      .map(baseName)
      .sort(),
    describe: (name) => `${path} (${folder}${name})`,
    read: async (name) => {
      try {
        return await read(`${folder}${name}`);
      } catch (error) {
        throw unpackingError(path, error);
      }
    },
  };
}

export const jsonName = "model.json";

export const tensorsName = "model.safetensors";
