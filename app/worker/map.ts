// Mapping a query onto a model, naming a cell type in it, and what the page draws of either.
import type { AnnData, MapOptions, Mapping, ScPoli } from "scpoli";
import type { LevelResult, Listener, LocalFile, MappingResult, MapRequest } from "../protocol.js";
import { openData, openModel, packModel } from "./disk.js";
import { asGroups, modelInfo, plainColumn } from "./open.js";
import { placeCells } from "./positions.js";
import { sampleMaps } from "./samples.js";
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
    const mapping = await model.map(query, { ...request, ...told(listener), signal: stop.signal });
    return await resultOf(mapping, query, name, request);
  } finally {
    query.close();
  }
}

export interface Naming {
  readonly name: string;
  readonly level: string | undefined;
  /** unlabelled prototypes, or else cells of the query */
  readonly clusters?: readonly number[];
  readonly rows?: Uint32Array;
}

/** Makes chosen cells a cell type of the mapped model, and labels the query anew with it. */
export async function nameCellType(
  queryFiles: readonly LocalFile[],
  mappedModel: readonly LocalFile[],
  modelName: string,
  { name, level, clusters, rows }: Naming,
  request: MapRequest,
  listener: Listener,
): Promise<MappingResult> {
  stop = new AbortController();
  const model = await openModel(mappedModel);
  const query = await openData(queryFiles);
  try {
    const { conditionKeys, conditionValues, threshold, classifier, force } = request;
    const settings = { conditionKeys, conditionValues, force, ...told(listener), signal: stop.signal };
    const grown = await model.label({
      name,
      level,
      ...settings,
      ...(clusters ? { clusters } : { cells: query, rows: rows! }),
    });
    const mapping = await grown.embed(query, { ...settings, threshold, classifier });
    return await resultOf(mapping, query, modelName, request);
  } finally {
    query.close();
  }
}

function told(listener: Listener): Required<Pick<MapOptions, "onProgress" | "onNote">> {
  return {
    onProgress: throttled((progress) => listener.progress(progress)),
    onNote: (note) => listener.note(note),
  };
}

async function resultOf(
  mapping: Mapping<ScPoli>,
  query: AnnData,
  modelName: string,
  { conditionKeys = {}, conditionValues = {} }: MapRequest,
): Promise<MappingResult> {
  const { conditionKeys: keys, levels, cellTypes, clusters } = mapping.model.content;
  const conditions = [];
  for (const key of keys) {
    const given = conditionValues[key];
    if (given !== undefined) {
      conditions.push({ key, codes: new Int32Array(query.nObs), names: [given] });
      continue;
    }
    const { codes, names } = asGroups(plainColumn(await query.obs.column(conditionKeys[key] ?? key)));
    conditions.push({ key, codes, names });
  }
  const summary = mapping.summary();
  return {
    cells: mapping.report.cells,
    summary,
    ...placeCells(mapping),
    samples: await sampleMaps(mapping.model),
    levels: mapping.predictions.map((prediction, level) =>
      levelResult(prediction, levels[level]!.types, cellTypes),
    ),
    clusters: mapping.clusters && {
      codes: mapping.clusters,
      numbers: clusters,
    },
    conditions,
    verdict: mapping.verdict,
    additions: mapping.additions(),
    model: modelInfo(mapping.model, modelName, await packModel(mapping.model, modelName), "mapped here"),
  };
}

function levelResult(
  prediction: Mapping["predictions"][number],
  rows: readonly number[],
  names: readonly string[],
): LevelResult {
  const codeOf = new Map(rows.map((row, code) => [row, code]));
  const coded = (types: Int32Array): Int32Array => types.map((row) => codeOf.get(row)!);
  const { key, classifier, predicted, nearest, uncertainty, novelty, distance, probability } = prediction;
  const isByDistance = prediction.uncertaintyBy === "distance";
  return {
    key,
    types: rows.map((row) => names[row]!),
    classifier,
    predicted: coded(predicted),
    nearest: coded(nearest),
    uncertainty,
    novelty,
    flagged: isByDistance
      ? { by: "uncertainty", values: uncertainty }
      : novelty && { by: "novelty", values: novelty },
    notFlagged: prediction.notFlagged,
    distance,
    probability,
    unknown: prediction.unknown,
    threshold: prediction.threshold,
  };
}
