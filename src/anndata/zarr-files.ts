// Access to the files of a Zarr store, in a folder or a zip file.
import { fileStatus, isBrokenLink, listFolder, readBytes, readFile, type FileStatus } from "#platform";
import ZipFileStore from "@zarrita/storage/zip";
import { ScPoliError } from "../contract/errors.js";

export type ByteRange =
  { readonly offset: number; readonly length: number } | { readonly suffixLength: number };

export interface ZarrFiles {
  /** Names of files and folders in a folder, sorted. */
  list(folder: string): Promise<readonly string[]>;
  /** A whole file, in a buffer that holds nothing else; undefined if there is none. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Part of a file; shorter if the file ends before. */
  getRange(key: string, range: ByteRange): Promise<Uint8Array | undefined>;
}

/** @throws ScPoliError "file" */
export async function openZarrFiles(path: string): Promise<ZarrFiles> {
  return (await fileStatus(path))?.kind === "folder" ? new FolderFiles(path) : openZip(path);
}

class FolderFiles implements ZarrFiles {
  constructor(private readonly path: string) {}

  async list(folder: string): Promise<readonly string[]> {
    return listFolder(this.at(folder));
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const status = await this.statusOf(key);
    return status?.kind === "file" ? alone(await readFile(this.at(key))) : undefined;
  }

  async getRange(key: string, range: ByteRange): Promise<Uint8Array | undefined> {
    const status = await this.statusOf(key);
    if (status?.kind !== "file") return undefined;
    const { start, end } = clip(range, status.bytes);
    return end > start ? alone(await readBytes(this.at(key), start, end - start)) : new Uint8Array(0);
  }

  /**
   * Status of a key. A missing chunk means zeros, so a broken link must not pass as missing.
   * @throws ScPoliError "file" for a broken link
   */
  private async statusOf(key: string): Promise<FileStatus | null> {
    const path = this.at(key);
    const status = await fileStatus(path);
    if (status === null && (await isBrokenLink(path)))
      throw new ScPoliError("file", `${path} is a broken link. Copy the complete store.`, {
        path,
      });
    return status;
  }

  private at(key: string): string {
    return key === "" ? this.path : `${this.path}/${key}`;
  }
}

async function openZip(path: string): Promise<ZarrFiles> {
  const bytes = (await fileStatus(path))?.bytes ?? 0;
  let entries: Readonly<Record<string, { readonly size: number; readonly isDirectory: boolean }>> = {};
  const store = new ZipFileStore(
    {
      getLength: async () => bytes,
      read: async (offset: number, length: number) =>
        alone(await readBytes(path, offset, Math.max(0, Math.min(length, bytes - offset)))),
    },
    { transformEntries: (all) => (entries = all) && all },
  );
  try {
    await store.has("/");
  } catch (error) {
    throw damagedZip(path, "it is not a zip file, or it is damaged", error);
  }
  // a store may be in a subfolder of the zip file
  const names = Object.keys(entries);
  const roots = names
    .map((name) => /^(?:([^/]+)\/)?(?:zarr\.json|\.zgroup)$/.exec(name))
    .filter((match) => match !== null)
    .map((match) => match[1] ?? "");
  const root = roots.includes("") ? "" : (roots[0] ?? "");
  const at = (key: string): string => (root === "" ? key : `${root}/${key}`);
  const folders = new Map<string, Set<string>>();
  for (const name of names) {
    const parts = (root === "" ? name : name.slice(root.length + 1)).split("/").filter((part) => part !== "");
    for (let depth = 0; depth < parts.length; depth++) {
      const folder = parts.slice(0, depth).join("/");
      folders.set(folder, (folders.get(folder) ?? new Set()).add(parts[depth]!));
    }
  }
  const exists = (key: string): boolean => Object.hasOwn(entries, at(key)) && !entries[at(key)]!.isDirectory;
  const unpack = async (
    key: string,
    read: () => Promise<Uint8Array | undefined>,
  ): Promise<Uint8Array | undefined> => {
    try {
      return await read();
    } catch (error) {
      throw damagedZip(path, `${at(key)} in it is damaged`, error);
    }
  };
  return {
    list: async (folder) => [...(folders.get(folder) ?? [])].sort(),
    get: async (key) => (exists(key) ? unpack(key, () => store.get(`/${at(key)}`)) : undefined),
    getRange: async (key, range) => {
      if (!exists(key)) return undefined;
      const { start, end } = clip(range, entries[at(key)]!.size);
      return unpack(key, () => store.getRange(`/${at(key)}`, { offset: start, length: end - start }));
    },
  };
}

function damagedZip(path: string, problem: string, cause: unknown): ScPoliError {
  return new ScPoliError(
    "file",
    `${path} cannot be opened: ${problem}. Copy or download it again.`,
    { path },
    { cause },
  );
}

/** Clips a range to a file of the given size. */
function clip(range: ByteRange, bytes: number): { start: number; end: number } {
  const within = (position: number): number => Math.max(0, Math.min(bytes, position));
  if ("suffixLength" in range) return { start: within(bytes - range.suffixLength), end: bytes };
  const start = within(range.offset);
  return { start, end: within(start + Math.max(0, range.length)) };
}

/**
 * Copies bytes into a buffer that holds nothing else: zarrita decodes strings from the start of the buffer.
 */
function alone(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength
    ? new Uint8Array(bytes.buffer)
    : Uint8Array.from(bytes);
}
