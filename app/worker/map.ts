// Mapping a query onto a model, and naming a cell type in it.
import type { MapOptions } from "scpoli";
import type { AddedType, Listener, LocalFile, MappingResult, MapRequest } from "../protocol.js";
import { openData, openModel, packModel } from "./disk.js";
import { resultOf } from "./result.js";
import { throttled } from "./train.js";

let stop = new AbortController();

/** Stops the mapping that is under way; it then throws "interrupted". */
export function stopMapping(): void {
  stop.abort();
}

export async function mapQuery(
  queryFiles: readonly LocalFile[],
  modelFiles: readonly LocalFile[],
  name: string,
  request: MapRequest,
  listener: Listener,
): Promise<MappingResult> {
  stop = new AbortController();
  const model = await openModel(modelFiles);
  const query = await openData(queryFiles);
  try {
    const mapping = await model.map(query, { ...request, ...callbacks(listener), signal: stop.signal });
    return await resultOf(mapping, query, name, await packModel(mapping.model, name), request);
  } finally {
    query.close();
  }
}

/** Makes chosen cells a cell type of the mapped model, and labels the query again. */
export async function nameCellType(
  queryFiles: readonly LocalFile[],
  mappedModel: readonly LocalFile[],
  modelName: string,
  type: AddedType,
  request: MapRequest,
  listener: Listener,
): Promise<MappingResult> {
  stop = new AbortController();
  const model = await openModel(mappedModel);
  const query = await openData(queryFiles);
  try {
    const { threshold, classifier } = request;
    const settings = { ...readingOptions(request), ...callbacks(listener), signal: stop.signal };
    const grown = await model.label({ ...type, ...settings, cells: query });
    const mapping = await grown.embed(query, { ...settings, threshold, classifier });
    return await resultOf(mapping, query, modelName, await packModel(mapping.model, modelName), request);
  } finally {
    query.close();
  }
}

/** How the mapping read the query. */
function readingOptions({ conditionKeys, conditionValues, recoverCounts, roundCounts, force }: MapRequest) {
  return { conditionKeys, conditionValues, recoverCounts, roundCounts, force };
}

function callbacks(listener: Listener): Required<Pick<MapOptions, "onProgress" | "onNote">> {
  return {
    onProgress: throttled((progress) => listener.progress(progress)),
    onNote: (note) => listener.note(note),
  };
}
