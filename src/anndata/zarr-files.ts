// Where the files of a Zarr store lie: in a folder, or in a zip file.
import { fileStatus, isBrokenLink, listFolder, readBytes, readFile, type FileStatus } from "#platform";
import ZipFileStore from "@zarrita/storage/zip";
import { ScPoliError } from "../contract/errors.js";

export type ByteRange =
  { readonly offset: number; readonly length: number } | { readonly suffixLength: number };

export interface ZarrFiles {
  /** Names of files and folders in a folder, sorted. */
  list(folder: string): Promise<readonly string[]>;
  /** A whole file, undefined where there is none; its buffer holds nothing else. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Part of a file, shorter where the file is. */
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
   * What lies at a key. A chunk that is missing is one of zeros: a link to nothing must not be taken for one.
   * @throws ScPoliError "file" for such a link
   */
  private async statusOf(key: string): Promise<FileStatus | null> {
    const path = this.at(key);
    const status = await fileStatus(path);
    if (status === null && (await isBrokenLink(path)))
      throw new ScPoliError("file", `${path} is a link to what is not there. Copy the store as a whole.`, {
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
    throw damagedZip(path, "it is no zip file, or a damaged one", error);
  }
  // a store may lie in a folder of its own inside the zip file
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

function damagedZip(path: string, found: string, cause: unknown): ScPoliError {
  return new ScPoliError(
    "file",
    `${path} cannot be opened: ${found}. Copy or download it again.`,
    { path },
    { cause },
  );
}

/** A range inside a file of so many bytes, whatever was asked for. */
function clip(range: ByteRange, bytes: number): { start: number; end: number } {
  const within = (position: number): number => Math.max(0, Math.min(bytes, position));
  if ("suffixLength" in range) return { start: within(bytes - range.suffixLength), end: bytes };
  const start = within(range.offset);
  return { start, end: within(start + Math.max(0, range.length)) };
}

/** Bytes as the whole of a buffer: zarrita reads texts from the start of the buffer. */
function alone(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength
    ? new Uint8Array(bytes.buffer)
    : Uint8Array.from(bytes);
}
