// The samples of a model as the page draws them.
import { projectedCovariance, type SampleAnalysis, type ScPoli } from "scpoli";
import type { SampleMap } from "../protocol.js";

/** Where the samples of a model lie; nothing where its conditions are one-hot. */
export async function sampleMaps(model: ScPoli): Promise<SampleMap[]> {
  return model.content.conditionEncoding === "one-hot" ? [] : (await model.samples()).map(sampleMap);
}

export function sampleMap({
  samples: { key, names, isReference },
  components: { scores, loadings, varianceRatio },
  uncertainty,
}: SampleAnalysis): SampleMap {
  return {
    key,
    names,
    isReference,
    scores: Float32Array.from(scores.values),
    dimensions: scores.columns,
    variance: Array.from(varianceRatio),
    spreads: uncertainty?.map(
      (sample) => sample && Float32Array.from(projectedCovariance(sample, loadings).values),
    ),
  };
}
