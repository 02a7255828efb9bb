// Checks whether an output file may be written: before any work starts, so that no result is lost, and again
// before writing, so that only files of the same kind are replaced.
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

/** Kinds of output files, recognised by their content. */
export type OutputKind = "h5ad" | "report" | "table" | "picture";

/** In the first lines of every report; identifies our reports. */
export const reportMark = '<meta name="generator" content="scpoli">';

interface Kind {
  readonly name: string;
  /** whether the existing file at a path is of this kind */
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
 * Checks an output file. An existing file is replaced only with `force`, and only if it is of the same kind
 * or empty. A symbolic link is followed.
 * @throws ScPoliError "output" if `path` is anything else or cannot be written, "refused" without `force`
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
        `${path} already exists and is not ${name}, so it is not replaced. Choose another name.`,
        { path },
      );
    if (!force)
      throw new ScPoliError(
        "refused",
        `${path} already exists. Choose another name, or use --force (force: true) to replace it.`,
        { path },
      );
  }
  await tryToWrite(path);
}

/**
 * Checks an output folder for files of one kind. It may exist, but without files of this kind unless `force`
 * is set.
 * @throws ScPoliError "output" if it is not a folder or cannot be written, "refused" without `force`
 */
export async function checkOutputFolder(folder: string, ending: string, force: boolean): Promise<void> {
  const status = await fileStatus(folder);
  if (status === null) return tryToWrite(folder.replace(/(?<=.)[\\/]+$/, ""));
  if (status.kind !== "folder")
    throw new ScPoliError("output", `${folder} already exists and is not a folder. Choose another name.`, {
      path: folder,
    });
  const existing = (await listFolder(folder)).find((name) => name.endsWith(ending));
  if (existing !== undefined && !force)
    throw new ScPoliError(
      "refused",
      `${folder} already contains ${ending} files ('${existing}'). Choose another folder, or use --force ` +
        "(force: true) to replace files of the same names.",
      { path: folder },
    );
  await tryToWrite(joinPath(folder, `file${ending}`));
}

/**
 * Writes text files into a folder; none is written if one is refused.
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

/** First characters of a text file; empty for binary files. */
async function firstText(path: string): Promise<string> {
  const bytes = await readBytes(path, 0, 2048);
  return bytes.includes(0) ? "" : new TextDecoder().decode(bytes);
}
