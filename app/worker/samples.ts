// The view of samples: the library's analysis of the condition embeddings, in the form that the page draws.
import type { SampleAnalysis } from "scpoli";
import type { Listener, LocalFile, SampleAnalysisResult } from "../protocol.js";
import { openData, openModel } from "./disk.js";
import { sampleMap } from "./sample-map.js";

export interface SampleRequest {
  readonly modelFiles: readonly LocalFile[];
  /** cells of some of the samples, for metadata and genes */
  readonly dataFiles: readonly LocalFile[];
  /** obs column of each condition key in that file */
  readonly conditionKeys: Readonly<Record<string, string>>;
  /** the sample that all of its cells are of, by condition key that has no column */
  readonly conditionValues: Readonly<Record<string, string>>;
  /** covariates to classify samples by */
  readonly classify: readonly string[];
}

/** Maximum number of genes of a component, in either direction. */
const mostGenes = 40;

export async function analyseSamples(
  { modelFiles, dataFiles, conditionKeys, conditionValues, classify }: SampleRequest,
  listener: Listener,
): Promise<SampleAnalysisResult[]> {
  const model = await openModel(modelFiles);
  const data = dataFiles.length > 0 ? await openData(dataFiles) : undefined;
  try {
    const analyses = await model.samples({
      data,
      conditionKeys,
      conditionValues,
      classify,
      onNote: (note) => listener.note(note),
      onProgress: (progress) => listener.progress(progress),
    });
    return analyses.map((analysis) => ({
      map: sampleMap(analysis),
      covariates: analysis.covariates,
      associations: analysis.associations,
      guidance: analysis.guidance,
      classifications: analysis.classifications,
      geneCounts: analysis.genes?.counts ?? [],
      genes: topGenes(analysis),
    }));
  } finally {
    data?.close();
  }
}

function topGenes({ genes, components }: SampleAnalysis): SampleAnalysisResult["genes"] {
  return Array.from({ length: components.scores.columns }, (_, k) => k + 1).flatMap((component) => {
    const ofComponent = (genes?.correlations ?? []).filter((row) => row.component === component);
    const ranked = [...ofComponent].sort((a, b) => a.p - b.p || Math.abs(b.r) - Math.abs(a.r));
    return ranked.slice(0, mostGenes);
  });
}
