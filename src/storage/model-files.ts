// The files of a model, wherever they lie: in a folder, in a zip or tar file of one, or in the one file of
// PyTorch that scvi-tools and ArchMap write. Nothing is unpacked to the disk.
import { fileStatus, listFolder, readBytes, readFile } from "#platform";
import { GzipReader, TarReader } from "../archives/tar.js";
import { listZip, readZipEntry, type ZipEntry } from "../archives/zip.js";
import { ScPoliError } from "../contract/errors.js";

/** The model card (model-card.ts), which may lie beside a model. */
export const cardName = "card.md";
/** Names of files that a model is made of: ours, of scArches, of scvi-tools. */
const namesOfModels =
  /^(model\.json|model\.safetensors|attr\.pkl|model_params\.pt|var_names\.csv|model\.pt|card\.md)$/;
/** Where one of these is, a model is. */
const marks = /^(model\.json|attr\.pkl|model_params\.pt|model\.pt)$/;

export interface ModelFiles {
  /** what a user knows it as */
  readonly path: string;
  readonly kind: "folder" | "archive" | "torch file";
  /** in its folder, sorted */
  readonly names: readonly string[];
  /** A file as error texts name it. */
  describe(name: string): string;
  /** @throws ScPoliError "file" where it cannot be read, "model" where the archive is damaged */
  read(name: string): Promise<Uint8Array>;
}

/**
 * @returns null where the path is of a file that is no archive and no file of PyTorch
 * @throws ScPoliError "file" where there is nothing; "model" where an archive is damaged, or holds no model or
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
  // a file of PyTorch before 1.6 begins with a pickle of a magic number
  if (startsWith(start, 0x80, 0x02, 0x8a, 0x0a) || /\.pt$/i.test(path)) return torchFile(path);
  return null;
}

/** What is wrong with an archive, as an error that names it. */
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

/** Whether a model lies at a path: by names alone, nothing of it is read. */
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
  // what torch.save writes is a zip file, too
  if ([...entries.keys()].some((name) => /^[^/]+\/data\.pkl$/.test(name))) return torchFile(path);
  return archiveFiles(path, [...entries.keys()], (name) =>
    readZipEntry(read, entries.get(name) as ZipEntry, mostBytes(bytes)),
  );
}

/** Bytes of a tar file that are read at once. */
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

/** Most bytes of the files of a model in an archive: weights hardly shrink. */
function mostBytes(archive: number): number {
  return Math.max(256 << 20, 100 * archive);
}

function baseName(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}
function folderOf(name: string): string {
  return name.slice(0, name.lastIndexOf("/") + 1);
}

/** The one model in an archive: the folder nearest to its top that has the files of one. */
function archiveFiles(
  path: string,
  all: readonly string[],
  read: (name: string) => Promise<Uint8Array>,
): ModelFiles {
  // macOS adds files of its own kind
  const names = all.filter((name) => !/(^|\/)(__MACOSX\/|\._)/.test(name));
  const depth = (folder: string): number => folder.split("/").filter((part) => part !== "." && part).length;
  const folders = [...new Set(names.filter((name) => marks.test(baseName(name))).map(folderOf))].sort(
    (a, b) => depth(a) - depth(b),
  );
  const [folder, other] = folders;
  if (folder === undefined)
    throw new ScPoliError(
      "model",
      `${path} holds no model: neither model.json (ours), nor attr.pkl or model.pt (of scArches) is in it.`,
      { path, models: 0 },
    );
  if (other !== undefined && depth(other) === depth(folder))
    throw new ScPoliError(
      "model",
      `${path} holds several models: ${folders.map((name) => `'${name.replace(/\/$/, "")}'`).join(", ")}. Unpack it and give the folder of one.`,
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
