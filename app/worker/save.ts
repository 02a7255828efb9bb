// Outputs from the query with its results: the file itself, a report, metrics.
import { AnnData, evaluate, makeReport, writeCopy, type Additions, type Evaluation } from "scpoli";
import { zip } from "scpoli/browser";
import type { Listener, LocalFile } from "../protocol.js";
import { openData, openModel, outputPath, packModel, takeFile } from "./disk.js";

/**
 * The query's file with everything in it kept, and the results added: .h5ad, or of a Zarr store a zip file of
 * one.
 * @param stem - name without an ending
 */
export async function saveAnnotated(
  queryFiles: readonly LocalFile[],
  additions: Additions,
  stem: string,
): Promise<File> {
  const path = await annotated(queryFiles, additions, stem);
  return path.endsWith(".zarr")
    ? new File([zip(path)], `${stem}.zarr.zip`)
    : new File([takeFile(path)], `${stem}.h5ad`);
}

/** One HTML file with the figures, the numbers and a text for Methods. */
export async function writeReport(
  queryFiles: readonly LocalFile[],
  additions: Additions,
  modelFiles: readonly LocalFile[],
  conditionKeys: Readonly<Record<string, string>>,
  listener: Listener,
): Promise<File> {
  const model = await openModel(modelFiles);
  const mapped = await AnnData.open(await annotated(queryFiles, additions, "mapped"));
  try {
    const samples =
      model.content.conditionEncoding === "one-hot"
        ? []
        : await model.samples({ data: mapped, conditionKeys });
    return new File(
      [await makeReport({ model, mapped, samples, onNote: (note) => listener.note(note) })],
      "report.html",
      { type: "text/html" },
    );
  } finally {
    mapped.close();
  }
}

export interface MetricsRequest {
  /** obs columns of the query: its own labels, and the conditions that are to be mixed */
  readonly cellTypeKey: string;
  readonly conditionKey?: string;
  /** annotation level whose predictions are compared with them */
  readonly level?: string;
}

/** How good integration and labels are, where the query brings labels of its own. */
export async function scoreMapping(
  queryFiles: readonly LocalFile[],
  additions: Additions,
  { cellTypeKey, conditionKey, level }: MetricsRequest,
  listener: Listener,
): Promise<Evaluation> {
  const mapped = await AnnData.open(await annotated(queryFiles, additions, "mapped"));
  try {
    return await evaluate(mapped, {
      cellTypeKey,
      conditionKey,
      ...(level !== undefined && { predictionKey: `${level}_pred` }),
      onProgress: (progress) => listener.progress(progress),
      onNote: (note) => listener.note(note),
    });
  } finally {
    mapped.close();
  }
}

/** @returns the path of the copy in this worker's file system */
export async function annotated(
  queryFiles: readonly LocalFile[],
  additions: Additions,
  stem: string,
): Promise<string> {
  const query = await openData(queryFiles);
  try {
    const output = outputPath(`${stem}.${query.format === "zarr" ? "zarr" : "h5ad"}`);
    await writeCopy(query, output, additions, { force: true });
    return output;
  } finally {
    query.close();
  }
}

/** A model that came as a folder, as one zip file. */
export async function repackModel(files: readonly LocalFile[], name: string): Promise<readonly LocalFile[]> {
  return packModel(await openModel(files), name);
}
