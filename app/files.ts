// Files: dropped, picked and downloaded.
import type { LocalFile } from "./protocol.js";

/** All dropped files, those in folders included. */
export async function droppedFiles(transfer: DataTransfer): Promise<LocalFile[]> {
  const entries = [...transfer.items]
    .map((item) => item.webkitGetAsEntry())
    .filter((entry) => entry !== null);
  if (entries.length === 0) return [...transfer.files].map((file) => ({ path: file.name, file }));
  const files: LocalFile[] = [];
  for (const entry of entries) await collect(entry, "", files);
  return files;
}

async function collect(entry: FileSystemEntry, folder: string, files: LocalFile[]): Promise<void> {
  const path = `${folder}${entry.name}`;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    files.push({ path, file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // a reader returns at most a hundred entries
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return;
    for (const child of some) await collect(child, `${path}/`, files);
  }
}

/** Lets the user pick files, or a folder. @returns nothing where the picker was closed */
export function pickFiles({
  folder = false,
  accept = "",
}: { readonly folder?: boolean; readonly accept?: string } = {}): Promise<LocalFile[]> {
  return new Promise((resolve) => {
    const input = document.createElement("input");
    input.type = "file";
    input.accept = accept;
    input.webkitdirectory = folder;
    input.addEventListener("change", () =>
      resolve([...(input.files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }))),
    );
    input.addEventListener("cancel", () => resolve([]));
    input.click();
  });
}

/** Downloads a file. */
export function download(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** What was dropped, by its names: a model, a saved session, or cells. */
export function kindOf(files: readonly LocalFile[]): "model" | "session" | "cells" {
  if (files.some(({ path }) => /(^|\/)(model\.json|attr\.pkl|[^/]*\.pt)$/.test(path))) return "model";
  if (files.length === 1 && /\.scpoli$/.test(files[0]!.path)) return "session";
  const isArchive = /\.(zip|tar|tar\.gz|tgz)$/i;
  if (files.length === 1 && isArchive.test(files[0]!.path) && !/\.zarr\.zip$/.test(files[0]!.path))
    return "model";
  return "cells";
}
