// Files for the user: the query with results in it. Models are zip files already when they reach the page.
import { writeCopy, type Additions } from "scpoli";
import type { LocalFile } from "../protocol.js";
import { openData, openModel, outputPath, packModel, takeFile } from "./disk.js";

/** The query's file with everything in it kept, and the results added. */
export async function saveAnnotated(queryFiles: readonly LocalFile[], additions: Additions, name: string): Promise<File> {
  const query = await openData(queryFiles);
  try {
    const output = outputPath(name);
    await writeCopy(query, output, additions, { force: true });
    return new File([takeFile(output)], name);
  } finally {
    query.close();
  }
}

/** A model that came as a folder, as one zip file. */
export async function repackModel(files: readonly LocalFile[], name: string): Promise<readonly LocalFile[]> {
  return packModel(await openModel(files), name);
}
