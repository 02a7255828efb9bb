// Names of the browser's virtual file system: folders of folders and files, in memory. What is in a file is
// stored-file.ts.
import { StoredFile } from "./stored-file.js";

export class VirtualFolder {
  readonly entries = new Map<string, Entry>();
}

export type Entry = StoredFile | VirtualFolder;

/** All paths begin here. */
const top = new VirtualFolder();

/** The names on the way to a path: "/a/./b/../c.h5ad" is a, c.h5ad. */
export function namesOf(path: string): string[] {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return names;
}

/** What lies at a path, undefined where there is nothing. */
export function find(path: string): Entry | undefined {
  let entry: Entry | undefined = top;
  for (const name of namesOf(path))
    entry = entry instanceof VirtualFolder ? entry.entries.get(name) : undefined;
  return entry;
}

/** Where a path's last name is or would be. */
export interface Place {
  readonly folder: VirtualFolder;
  readonly name: string;
}

/**
 * @param make - makes folders that are missing
 * @returns null where there is no such folder, or a file in its place
 */
export function placeOf(path: string, make = false): Place | null {
  const names = namesOf(path);
  const name = names.pop();
  if (name === undefined) return null;
  const folder = folderAt(names, make);
  return folder && { folder, name };
}

/** @param make - makes it where it is missing */
export function folderAt(names: readonly string[], make: boolean): VirtualFolder | null {
  let folder = top;
  for (const name of names) {
    let entry = folder.entries.get(name);
    if (!entry && make) folder.entries.set(name, (entry = new VirtualFolder()));
    if (!(entry instanceof VirtualFolder)) return null;
    folder = entry;
  }
  return folder;
}

/** All files below an entry, with their paths from there ("" is the entry itself). */
export function* filesBelow(entry: Entry, path = ""): Generator<readonly [path: string, file: StoredFile]> {
  if (!(entry instanceof VirtualFolder)) return yield [path, entry];
  for (const [name, child] of entry.entries) yield* filesBelow(child, path === "" ? name : `${path}/${name}`);
}

/** All files as they are now, for another thread. */
export function snapshot(): ReadonlyMap<string, Blob> {
  return new Map([...filesBelow(top)].map(([path, file]) => [path, file.blob()]));
}

/** The files of the thread that started this one. */
export function install(files: ReadonlyMap<string, Blob>): void {
  for (const [path, content] of files) {
    const place = placeOf(path, true);
    place?.folder.entries.set(place.name, new StoredFile(content));
  }
}
