// Whether a file may be written: asked before any work, so that nothing is lost at its end, and by whatever
// writes, so that nothing is replaced that is not the same kind of thing.
import {
  fileStatus,
  joinPath,
  listFolder,
  makeFolder,
  noFile,
  readBytes,
  tryToWrite,
  writeFile,
} from "#platform";
import { ScPoliError } from "../contract/errors.js";
import { Hdf5File } from "./hdf5.js";

/** Files that are written, by their content. */
export type OutputKind = "h5ad" | "report" | "table" | "picture";

/** In a report's first lines: by it a report of ours is known. */
export const reportMark = '<meta name="generator" content="scpoli">';

interface Kind {
  readonly name: string;
  /** whether a file that is there already is of the kind */
  isThere(path: string): Promise<boolean>;
}

const kinds: Readonly<Record<OutputKind, Kind>> = {
  h5ad: { name: "an .h5ad file", isThere: isAnnData },
  report: {
    name: "a report of scpoli",
    isThere: async (path) => (await firstText(path)).includes(reportMark),
  },
  table: { name: "a table (CSV)", isThere: async (path) => /^[^\n]*[,\t]/.test(await firstText(path)) },
  picture: { name: "a picture (SVG)", isThere: async (path) => /^(<\?xml|<svg)/.test(await firstText(path)) },
};

/**
 * A file that is there is replaced only with `force`, and only where it is of the kind that is written, or
 * empty; of a symbolic link, that is said of what it leads to.
 * @throws ScPoliError "output" where `path` is anything else, or cannot be written, "refused" without `force`
 */
export async function checkOutputFile(path: string, kind: OutputKind, force: boolean): Promise<void> {
  if (/[\\/]$/.test(path)) throw noFile(path, "folder");
  const status = await fileStatus(path);
  if (status && status.kind !== "file") throw noFile(path, status.kind);
  if (status && status.bytes > 0) {
    const { name, isThere } = kinds[kind];
    if (!(await isThere(path)))
      throw new ScPoliError(
        "output",
        `${path} is there already and is not ${name}: it is left as it is. Give another name.`,
        { path },
      );
    if (!force)
      throw new ScPoliError(
        "refused",
        `${path} is there already. Give another name; --force (force: true) replaces it.`,
        { path },
      );
  }
  await tryToWrite(path);
}

/**
 * A folder that files of one kind are written into: it may be there already, but with none of the kind in it,
 * unless `force`.
 * @throws ScPoliError "output" where it is no folder or cannot be written, "refused" without `force`
 */
export async function checkOutputFolder(folder: string, ending: string, force: boolean): Promise<void> {
  const status = await fileStatus(folder);
  if (status === null) return tryToWrite(folder.replace(/(?<=.)[\\/]+$/, ""));
  if (status.kind !== "folder")
    throw new ScPoliError("output", `${folder} is there already and is no folder. Give another name.`, {
      path: folder,
    });
  const taken = (await listFolder(folder)).find((name) => name.endsWith(ending));
  if (taken !== undefined && !force)
    throw new ScPoliError(
      "refused",
      `${folder} holds ${ending} files already ('${taken}'). Give another folder; --force (force: true) replaces those of the same names.`,
      { path: folder },
    );
  await tryToWrite(joinPath(folder, `file${ending}`));
}

/**
 * Writes text files into a folder, all of them or none where one is refused.
 * @returns their paths
 * @throws ScPoliError as `checkOutputFolder` and `checkOutputFile`
 */
export async function writeTexts(
  folder: string,
  texts: ReadonlyMap<string, string>,
  { kind, ending, force }: { readonly kind: OutputKind; readonly ending: string; readonly force: boolean },
): Promise<string[]> {
  await checkOutputFolder(folder, ending, force);
  await makeFolder(folder);
  const files = [...texts].map(([name, text]) => ({ path: joinPath(folder, `${name}${ending}`), text }));
  for (const { path } of files) await checkOutputFile(path, kind, force);
  for (const { path, text } of files) await writeFile(path, text);
  return files.map(({ path }) => path);
}

async function isAnnData(path: string): Promise<boolean> {
  try {
    const file = await Hdf5File.open(path, "r");
    try {
      return file.kind("obs") !== null && file.kind("var") !== null && file.kind("mod") === null;
    } finally {
      file.close();
    }
  } catch (error) {
    if (error instanceof ScPoliError) return false;
    throw error;
  }
}

/** How a text begins; empty for what is none. */
async function firstText(path: string): Promise<string> {
  const bytes = await readBytes(path, 0, 2048);
  return bytes.includes(0) ? "" : new TextDecoder().decode(bytes);
}
