/**
 * scPoli: single-cell references, query mapping and label transfer.
 *
 * @example
 * import { AnnData, ScPoli } from "scpoli";
 *
 * const reference = await AnnData.open("reference.h5ad");
 * const model = await ScPoli.train(reference, { conditionKeys: ["donor"], cellTypeKeys: ["cell_type"] });
 * await model.save("model");
 *
 * const query = await AnnData.open("query.h5ad");
 * const mapping = await model.map(query, { output: "query_labelled.h5ad" });
 * console.log(mapping.summary());
 *
 * @module scpoli
 */
export { AnnData } from "./anndata/anndata.js";
export type { Column, DataFrame } from "./anndata/dataframe.js";
export type { DenseMatrix, Matrix, SparseRows } from "./anndata/matrix.js";
export { NewTable, StructuredArray, type NewUns } from "./anndata/elements.js";
export { writeCopy, writeH5ad, type Additions, type NewAnnData } from "./anndata/write.js";
export type { LevelPrediction } from "./labels/classify.js";
export {
  compareSamples,
  type AbundanceComparison,
  type CompareOptions,
  type Comparison,
  type GeneComparison,
  type TypeComparison,
} from "./comparison/compare.js";
export {
  comparisonGeneSets,
  comparisonTables,
  writeComparison,
  writeComparisonTables,
  type WriteComparisonOptions,
} from "./comparison/comparison-file.js";
export type { Unit } from "./comparison/pseudobulk.js";
export type { Conversion } from "./api/collection.js";
export { convert } from "./api/convert.js";
export type {
  ConvertOptions,
  EmbedOptions,
  EpochLosses,
  MapOptions,
  NameMap,
  Note,
  Preset,
  Progress,
  PrototypeLoss,
  RunSettings,
  Threshold,
  TrainOptions,
} from "./contract/options.js";
export { ScPoliError, exitCodes, type ErrorKind } from "./contract/errors.js";
export { readExpression, type ExpressionOptions } from "./api/expression.js";
export { cellQuality, type CellQuality } from "./api/quality.js";
export {
  evaluate,
  type EmbeddingScores,
  type EvaluateOptions,
  type Evaluation,
} from "./evaluation/evaluate.js";
export type { LabelTransfer } from "./evaluation/label-transfer.js";
export type { Metric, MetricName, Metrics, Scores } from "./evaluation/metrics.js";
export { inspect, type Inspection } from "./api/inspect.js";
export { findMarkers, type Markers, type MarkersOptions } from "./markers/markers.js";
export { markerGeneSets, type MarkerGeneSetOptions } from "./markers/marker-gene-sets.js";
export {
  markerTable,
  rankGenesGroups,
  writeMarkers,
  type MarkerTableOptions,
  type WriteMarkersOptions,
} from "./markers/markers-file.js";
export type { DecodeOptions, DecodingSummary } from "./mapping/decoded-expression.js";
export type { LabelOptions } from "./mapping/labelling.js";
export type { Mapping, MappingSummary } from "./mapping/mapping.js";
export {
  judgeMapping,
  verdictWords,
  withUnknownShare,
  type Light,
  type LightWords,
  type Verdict,
  type VerdictMeasures,
  type VerdictReason,
} from "./mapping/verdict.js";
export { makeReport, type ReportOptions } from "./report/report.js";
export type { Association } from "./samples/associations.js";
export type { GeneAnalysis, QualityCorrelation, SampleAnalysis, SamplesOptions } from "./samples/analysis.js";
export type {
  Classification,
  ClassificationOptions,
  ClassifierScore,
  SamplePrediction,
} from "./samples/classification.js";
export type { Covariate, CovariateKinds } from "./samples/covariates.js";
export type { SampleDistances } from "./samples/distances.js";
export type { SampleExpression } from "./samples/expression.js";
export type { GeneCorrelation, GeneCounts, OverRepresentation } from "./samples/genes.js";
export type { Explained, Guidance } from "./samples/guidance.js";
export { writeSamples, writeTables } from "./samples/sample-file.js";
export { samplePlots, writePlots } from "./samples/sample-plots.js";
export { projectedCovariance, type SampleUncertainty } from "./samples/sample-uncertainty.js";
export type { SampleTable } from "./samples/sample-table.js";
export type { MetadataValue, SampleMetadata } from "./data/sample-metadata.js";
export { readGeneSets } from "./data/gene-set-file.js";
export { enrichGeneSets, type GeneSet, type GeneSetEnrichment } from "./statistics/gene-sets.js";
export type { Components } from "./numerics/principal-components.js";
export type { Plot, PlotTable } from "./plots/svg.js";
export type { ExportOptions } from "./scarches/export.js";
export type { ImportOptions } from "./scarches/import.js";
export type { AnnotationLevel, LandmarkCells, ModelContent } from "./api/model-content.js";
export { ScPoli, type ModelSummary } from "./api/scpoli.js";
export type { Rows } from "./anndata/tables.js";
export type { GeneCoverage } from "./mapping/query.js";
export type { ConditionTreatment } from "./mapping/surgery.js";
export { version } from "./contract/version.js";
