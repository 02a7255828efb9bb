// The report: a model, a mapped file or both as one self-contained HTML file. The same input gives the same
// bytes.
import type { AnnData } from "../anndata/anndata.js";
import type { EmbedOptions, Note, RunSettings } from "../contract/options.js";
import type { StoredModel } from "../model/stored-model.js";
import { checkOptionNames, runSettingNames, type OptionNames } from "../contract/option-names.js";
import { escapeText } from "../plots/svg.js";
import type { SampleAnalysis } from "../samples/analysis.js";
import { version } from "../contract/version.js";
import { cellViewData, cellViewHtml } from "./cell-view.js";
import { queryCells, referenceCells, type QueryCells, type ReferenceCells } from "./cells.js";
import { geneHtml } from "./gene-section.js";
import { geneValues } from "./gene-values.js";
import { foldedTable, pageHtml, type Section } from "./html.js";
import { markersHtml } from "./marker-section.js";
import { metricsHtml } from "./metrics-section.js";
import { methodsHtml } from "./methods-text.js";
import { leadingGenes, samplesHtml } from "./sample-sections.js";
import {
  compositionHtml,
  factsHtml,
  labelTransferHtml,
  trainingHtml,
  clustersHtml,
  uncertaintyHtml,
  verdictHtml,
} from "./sections.js";

/** Options of `makeReport`. */
export interface ReportOptions {
  /** Title of the report. Default: the name of the file */
  readonly title?: string;
  /** the reference model, or the model with the query's conditions */
  readonly model?: { readonly stored: StoredModel } | null;
  /** a file written by `map` or `embed` */
  readonly mapped?: AnnData | null;
  /** the file that the model was trained on: needed to colour the reference's cells and samples by genes */
  readonly reference?: AnnData | null;
  /** options to read its counts and genes. Default: those of `ScPoli.embed` */
  readonly referenceOptions?: EmbedOptions;
  /** results of `ScPoli.samples` */
  readonly samples?: readonly SampleAnalysis[];
  /**
   * genes to colour cells and samples by. Default: the two that correlate most with the first components of
   * the samples; with too few samples, the two that vary most between them
   */
  readonly genes?: readonly string[];
  /** results of `evaluate` */
  readonly metrics?: unknown;
  /**
   * column of given labels in the mapped file, by annotation level. Default: the column named as the level
   */
  readonly cellTypeKeys?: Readonly<Record<string, string>>;
  /** called with notes, such as why a section is missing */
  readonly onNote?: (note: Note) => void;
  /** stops the work, which then throws ScPoliError "interrupted" */
  readonly signal?: AbortSignal;
}

const optionNames: OptionNames<ReportOptions & RunSettings> = {
  ...runSettingNames,
  title: true,
  model: true,
  mapped: true,
  reference: true,
  referenceOptions: true,
  samples: true,
  genes: true,
  metrics: true,
  cellTypeKeys: true,
};

/**
 * @returns HTML
 * @throws ScPoliError "format" if the file is not a mapped one or the metrics are not those of `evaluate`;
 *   "key" for a gene that none of the files has
 */
export async function makeReport(options: ReportOptions): Promise<string> {
  checkOptionNames("makeReport", options, optionNames);
  const { model, mapped = null, reference: trainedOn = null, samples = [], onNote } = options;
  const stored = model?.stored ?? null;
  const reference = stored && referenceCells(stored);
  const query = mapped ? await queryCells(mapped, options.cellTypeKeys) : null;
  const genes = await geneValues(options.genes ?? leadingGenes(samples, 2), {
    ...options,
    stored,
    mapped,
    query,
    reference: trainedOn,
    samples,
  });
  if (query && !query.umap)
    onNote?.({
      level: "warning",
      message:
        "The file has no coordinates in a reference's UMAP (obsm['X_umap_scpoli']): it was mapped with a " +
        "model that carries no landmarks. The report shows no cells.",
    });
  const view = cellViewData(reference, query, genes);
  const sections: Section[] = [
    {
      id: "summary",
      title: "Summary",
      content: factsHtml(facts(stored, query)) + (query?.verdict ? verdictHtml(query.verdict) : ""),
    },
    { id: "cells-view", title: "Cells", content: view ? cellViewHtml(view, query) : "" },
    { id: "genes", title: "Genes", content: geneHtml(genes, samples, reference, query) },
    { id: "labels", title: "Label transfer", content: query ? labelTransferHtml(query.levels) : "" },
    {
      id: "uncertainty",
      title: "Uncertainty and novelty",
      content: uncertaintyHtml(query, reference) + clustersHtml(query?.clusters ?? []),
    },
    {
      id: "markers",
      title: "Marker genes of unknown clusters",
      content: mapped && query ? await markersHtml(mapped, query.clusters, options) : "",
    },
    { id: "composition", title: "Composition", content: compositionHtml(reference, query) },
    { id: "samples", title: "Samples", content: samplesHtml(samples) },
    { id: "metrics", title: "Metrics", content: metricsHtml(options.metrics) },
    { id: "training", title: "Training", content: stored ? trainingHtml(stored.json.provenance) : "" },
    { id: "options", title: "Options and versions", content: optionsHtml(stored, query) },
    { id: "methods", title: "Text for Methods", content: methodsHtml(stored, query, samples.length > 0) },
  ];
  const title = options.title ?? (query ? "Query mapped onto a reference" : "Reference model");
  return pageHtml(
    title,
    lead(reference, query),
    sections.filter(({ content }) => content !== ""),
    `Made by scpoli ${version}. This file is self-contained and loads nothing from the network.`,
  );
}

function lead(reference: ReferenceCells | null, query: QueryCells | null): string {
  const parts = [
    ...(query ? [`${query.cells.toLocaleString("en-US")} cells of a query`] : []),
    ...(reference
      ? [`${reference.cells.toLocaleString("en-US")} reference cells carried by the model (landmarks)`]
      : []),
  ];
  return `scPoli${parts.length > 0 ? `: ${parts.join(", ")}` : ""}.`;
}

function facts(stored: StoredModel | null, query: QueryCells | null): [string, string][] {
  const whole = (value: number): string => value.toLocaleString("en-US");
  const rows: [string, string][] = [];
  if (query) {
    rows.push(["query cells", whole(query.cells)]);
    for (const { key, names } of query.conditions) rows.push([`query, ${key}`, whole(names.length)]);
    const { gene_coverage: coverage, genes_found: matchedGenes } = query.facts;
    if (typeof coverage === "number") {
      const matched = typeof matchedGenes === "number" ? ` (${whole(matchedGenes)})` : "";
      rows.push(["genes of the model found", `${(100 * coverage).toFixed(1)} %${matched}`]);
    }
    for (const { key, unknown } of query.levels)
      rows.push([
        `unknown, ${key}`,
        `${((100 * unknown.reduce((sum, flag) => sum + flag, 0)) / Math.max(1, query.cells)).toFixed(1)} %`,
      ]);
  }
  if (stored) {
    const { json } = stored;
    if (typeof json.provenance["cells"] === "number")
      rows.push(["reference cells", whole(json.provenance["cells"])]);
    rows.push(["genes", whole(json.genes.length)]);
    json.condition_keys.forEach((key, k) =>
      rows.push([`reference, ${key}`, whole(json.reference_conditions[k]!)]),
    );
    json.cell_type_keys.forEach((key, level) =>
      rows.push([`cell types, ${key}`, whole(json.levels[level]!.length)]),
    );
  }
  return rows;
}

function optionsHtml(stored: StoredModel | null, query: QueryCells | null): string {
  const tables: string[] = [];
  if (stored) {
    const { json } = stored;
    const { history: _, ...provenance } = json.provenance;
    tables.push(
      foldedTable("Model: options, versions and history", {
        columns: ["entry", "value"],
        rows: flat({
          format_version: json.format_version,
          scpoli_version: json.scpoli_version,
          model: json.model,
          calibration: json.calibration,
          provenance,
        }).map(([name, value]) => [name, String(value)]),
      }),
    );
  }
  if (query) {
    const { verdict: _, provenance: __, ...mappingFacts } = query.facts;
    tables.push(
      foldedTable("Mapping: options, versions and conditions", {
        columns: ["entry", "value"],
        rows: flat(mappingFacts).map(([name, value]) => [name, String(value)]),
      }),
    );
  }
  return `<p>scpoli ${escapeText(version)}.</p>${tables.join("")}`;
}

/** Nested entries as pairs of path and value; a list is one value. */
function flat(value: unknown, path = ""): [string, string | number][] {
  if (typeof value === "number") return [[path, value]];
  if (ArrayBuffer.isView(value))
    return [[path, Array.from(value as unknown as ArrayLike<number>).join(", ")]];
  if (Array.isArray(value) && value.every((entry) => typeof entry !== "object" || entry === null))
    return [[path, value.map(String).join(", ")]];
  if (typeof value !== "object" || value === null) return [[path, String(value)]];
  return Object.entries(value).flatMap(([key, entry]) => flat(entry, path === "" ? key : `${path}.${key}`));
}
