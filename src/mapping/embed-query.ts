// Embeds the cells of a file whose conditions the model knows.
import type { AnnData } from "../anndata/anndata.js";
import type { EmbedOptions } from "../contract/options.js";
import { Combinations } from "../data/combinations.js";
import { streamCounts } from "../data/counts.js";
import { resultBytes, tellNeed } from "../data/memory.js";
import { headRows } from "../labels/head.js";
import type { StoredModel } from "../model/stored-model.js";
import { encodedRows, Encoder, type CellPositions } from "./embedding.js";
import type { MappingReport } from "./mapping.js";
import { checkConditionsKnown, withQuery, type Query } from "./query.js";
import { readQueryLabels, type QueryLabels } from "./query-labels.js";
import type { ConditionTreatment } from "./surgery.js";

/** Positions of the query's cells, the model (after mapping, with the query's conditions), and a report. */
export interface QueryResult extends CellPositions {
  /** (N) code of each cell's combination of conditions */
  readonly conditions: Int32Array;
  readonly stored: StoredModel;
  /** labels of the file, if any */
  readonly labels: QueryLabels | null;
  readonly report: MappingReport;
}

/**
 * Embeds the cells of a file; see `ScPoli.embed`.
 * @throws ScPoliError "key" for a condition that the model does not know
 */
export async function embedCells(
  stored: StoredModel,
  data: AnnData,
  options: EmbedOptions,
): Promise<QueryResult> {
  // start the engine's threads while names are read
  const starting = Encoder.create(stored, data.nObs, options);
  starting.catch(() => undefined); // errors are thrown when it is awaited
  try {
    return await withQuery(stored, data, options, async (query) => {
      const labels = await readQueryLabels(stored.json, data, options, "embed", (note) =>
        options.onNote?.(note),
      );
      return embedQuery(stored, query, labels, await starting, options);
    });
  } finally {
    await starting.then(
      (encoder) => encoder.close(),
      () => undefined,
    );
  }
}

async function embedQuery(
  stored: StoredModel,
  query: Query,
  labels: QueryLabels | null,
  encoder: Encoder,
  options: EmbedOptions,
): Promise<QueryResult> {
  const treatments: ConditionTreatment[] = [];
  checkConditionsKnown(stored, query);
  const rows = query.conditions.map(({ key, codes, names }, k) => {
    const known = stored.json.conditions[k]!;
    const cells = new Int32Array(names.length);
    for (const code of codes) cells[code]!++;
    const rowOf = names.map((name) => known.indexOf(name));
    names.forEach((condition, code) =>
      treatments.push({ key, condition, row: rowOf[code]!, kind: "known", cells: cells[code]! }),
    );
    return codes.map((code) => rowOf[code]!);
  });
  const positions = await encodeFile(stored, query, rows, encoder, options);
  return {
    stored,
    ...positions,
    conditions: combined(rows),
    labels,
    report: mappingReport("embed", stored, query, treatments, 0, labels),
  };
}

/**
 * Encodes all cells of the query in one pass over the file.
 * @param conditions - per key (N) rows of the model
 */
export async function encodeFile(
  stored: StoredModel,
  { place, reader, alignment }: Query,
  conditions: readonly Int32Array[],
  encoder: Encoder,
  options: EmbedOptions,
): Promise<CellPositions> {
  const parameters = [...stored.tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  tellNeed(
    place,
    {
      genes: stored.json.genes.length,
      parameters,
      minibatch: encodedRows(stored.json.genes.length),
      perCell: bytesPerCell(stored),
    },
    options,
  );
  const started = performance.now();
  const onProgress = (done: number, total: number): void =>
    options.onProgress?.({
      stage: "embedding",
      done,
      total,
      cellsPerSecond: (1000 * done) / (performance.now() - started),
    });
  for await (const block of streamCounts(place, alignment.map, stored.json.genes.length, undefined, {
    reader,
    signal: options.signal,
    onProgress,
  }))
    encoder.encodeBlock(block, conditions);
  return encoder.positions();
}

/** (N) code of each cell's combination of conditions. @param conditions - per key (N) */
export function combined(conditions: readonly Int32Array[]): Int32Array {
  return new Combinations().columns(conditions);
}

/** Memory per query cell besides its position. */
export function bytesPerCell({ json }: StoredModel): number {
  return resultBytes(json.head ? headRows(json.head) : 0, json.levels.length);
}

export function mappingReport(
  verb: "map" | "embed",
  { json }: StoredModel,
  { place, alignment, matched, geneMap }: Query,
  conditions: readonly ConditionTreatment[],
  epochs: number,
  labels: QueryLabels | null,
): MappingReport {
  const genes = { model: json.genes.length, found: alignment.found, share: alignment.share, matched };
  return {
    verb,
    cells: place.matrix.rows,
    counts: place.name,
    genes,
    ...(geneMap && { gene_map: geneMap }),
    conditions,
    ...(labels && { labels: labels.report }),
    ...(labels?.labelMap && { label_map: labels.labelMap }),
    epochs,
  };
}
