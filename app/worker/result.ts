// What the page draws of a mapping. Uses the library alone, so that the example is mapped by it when the
// page is built.
import type { AnnData, Mapping, ScPoli } from "scpoli";
import type { LevelResult, LocalFile, MappingResult, MapRequest, ModelInfo } from "../protocol.js";
import { asGroups, plainColumn } from "./columns.js";
import { placeCells } from "./positions.js";
import { sampleMaps } from "./sample-map.js";

export function modelInfo(
  model: ScPoli,
  name: string,
  files: readonly LocalFile[],
  origin: ModelInfo["origin"],
): ModelInfo {
  const { genes, history } = model.content;
  return {
    name,
    files,
    origin,
    summary: model.summary(),
    genes,
    history,
  };
}

/** @param modelFiles - the mapped model as files */
export async function resultOf(
  mapping: Mapping<ScPoli>,
  query: AnnData,
  modelName: string,
  modelFiles: readonly LocalFile[],
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
    model: modelInfo(mapping.model, modelName, modelFiles, "mapped here"),
  };
}

function levelResult(
  prediction: Mapping["predictions"][number],
  rows: readonly number[],
  names: readonly string[],
): LevelResult {
  const codeOf = new Map(rows.map((row, code) => [row, code]));
  const coded = (types: Int32Array): Int32Array => types.map((row) => codeOf.get(row)!);
  const { key, classifier, predicted, nearest, headLabels, uncertainty, novelty, distance, probability } =
    prediction;
  const isByDistance = prediction.uncertaintyBy === "distance";
  return {
    key,
    types: rows.map((row) => names[row]!),
    classifier,
    predicted: coded(predicted),
    nearest: coded(nearest),
    headLabels: headLabels && coded(headLabels),
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
