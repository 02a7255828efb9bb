// The folder tree of the browser's virtual file system, in memory. File contents: stored-file.ts.
import { StoredFile } from "./stored-file.js";

export class VirtualFolder {
  readonly entries = new Map<string, Entry>();
}

export type Entry = StoredFile | VirtualFolder;

/** Root of all paths. */
const top = new VirtualFolder();

/** Path components, normalised: "/a/./b/../c.h5ad" gives a, c.h5ad. */
export function namesOf(path: string): string[] {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return names;
}

/** The entry at a path; undefined if there is none. */
export function find(path: string): Entry | undefined {
  let entry: Entry | undefined = top;
  for (const name of namesOf(path))
    entry = entry instanceof VirtualFolder ? entry.entries.get(name) : undefined;
  return entry;
}

/** Parent folder and name of a path. */
export interface Place {
  readonly folder: VirtualFolder;
  readonly name: string;
}

/**
 * @param make - create missing folders
 * @returns null if there is no such folder, or a file in its place
 */
export function placeOf(path: string, make = false): Place | null {
  const names = namesOf(path);
  const name = names.pop();
  if (name === undefined) return null;
  const folder = folderAt(names, make);
  return folder && { folder, name };
}

/** @param make - create missing folders */
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

/** All files below an entry, with relative paths ("" is the entry itself). */
export function* filesBelow(entry: Entry, path = ""): Generator<readonly [path: string, file: StoredFile]> {
  if (!(entry instanceof VirtualFolder)) return yield [path, entry];
  for (const [name, child] of entry.entries) yield* filesBelow(child, path === "" ? name : `${path}/${name}`);
}

/** All files in their current state, for another thread. */
export function snapshot(): ReadonlyMap<string, Blob> {
  return new Map([...filesBelow(top)].map(([path, file]) => [path, file.blob()]));
}

/** Installs the files of the thread that started this one. */
export function install(files: ReadonlyMap<string, Blob>): void {
  for (const [path, content] of files) {
    const place = placeOf(path, true);
    place?.folder.entries.set(place.name, new StoredFile(content));
  }
}
