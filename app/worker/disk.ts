// The worker's file system, as the jobs use it: files of the user are registered and read in place, outputs
// are taken out as File objects.
import { AnnData, ScPoli } from "scpoli";
import { file, register, registerModel, zip } from "scpoli/browser";
import type { Note } from "scpoli";
import type { LocalFile } from "../protocol.js";

let outputs = 0;

/** The name under which a user knows what was dropped: the file, or the folder. */
export function topName(files: readonly LocalFile[]): string {
  return files[0]!.path.split("/")[0]!;
}

/** Opens an AnnData file, or a folder that is one. */
export async function openData(files: readonly LocalFile[]): Promise<AnnData> {
  for (const { path, file: content } of files) register(content, path);
  return AnnData.open(topName(files));
}

/** Loads a model from its folder, a zip or tar file of it, or what scArches has written. */
export async function openModel(files: readonly LocalFile[], onNote?: (note: Note) => void): Promise<ScPoli> {
  const folder = await registerModel(
    files.map(({ path, file: content }) => new File([content], path, { type: content.type })),
  );
  return ScPoli.load(folder, { onNote });
}

/** A path for an output that nothing else has. */
export function outputPath(name: string): string {
  return `${outputs++}-${name}`;
}

/** A file that the library has written, for the page. */
export function takeFile(path: string): File {
  return file(path);
}

/** A model as one zip file, for the page. */
export async function packModel(model: ScPoli, name: string): Promise<readonly LocalFile[]> {
  const folder = outputPath(name);
  await model.save(folder);
  const packed = zip(folder);
  return [{ path: `${name}.zip`, file: new File([packed], `${name}.zip`, { type: "application/zip" }) }];
}
