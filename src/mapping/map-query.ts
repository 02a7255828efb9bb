// Maps a file onto a model: learns the conditions that the model does not know, then embeds the cells.
// Source: De Donno et al. 2023, Methods ("Reference mapping", "Label transfer").
import type { AnnData } from "../anndata/anndata.js";
import { defaults, type MapOptions } from "../contract/options.js";
import { writtenOut } from "../data/count-source.js";
import { checkGroups } from "../data/key-columns.js";
import type { Conditions } from "../data/labels.js";
import { openCounts } from "../data/memory.js";
import { fillMinibatch, noteSplit, type Dataset } from "../data/minibatches.js";
import { joinMetadata, metadataOfConditions } from "../data/sample-metadata.js";
import type { Engine } from "../engine/engine.js";
import { rowsOf } from "../graph/neighbors.js";
import { HeadScorer } from "../labels/head.js";
import { Network } from "../model/network.js";
import { prototypeLossOf, type StoredModel } from "../model/stored-model.js";
import { addQueryTypes, addUnlabeledPrototypes, storedPrototypes } from "../prototypes/growth.js";
import { clusteringOf, unlabeledCells } from "../prototypes/unlabeled.js";
import { createRunEngine, planRun, type Run } from "../training/run.js";
import { Trainer } from "../training/trainer.js";
import { bytesPerCell, combined, encodeFile, mappingReport, type QueryResult } from "./embed-query.js";
import { emptyScores, Encoder, type CellPositions } from "./embedding.js";
import type { MappingReport } from "./mapping.js";
import { withQuery, type Query } from "./query.js";
import { readQueryLabels, type QueryLabels } from "./query-labels.js";
import { networkOptions } from "./stored-network.js";
import {
  extendModel,
  graft,
  nearestTheta,
  startFromNearest,
  type ConditionTreatment,
  type Extension,
} from "./surgery.js";

/** Learns the query's new conditions, then embeds. See `ScPoli.map`. */
export function mapQuery(stored: StoredModel, data: AnnData, options: MapOptions): Promise<QueryResult> {
  clusteringOf(options); // options are checked before the file is read
  return withQuery(stored, data, options, async (query) => {
    for (const [k, conditions] of query.conditions.entries())
      if (conditions.names.some((name) => !stored.json.conditions[k]!.includes(name)))
        await checkGroups(data.obs, conditions.key, conditions, "condition", options);
    const labels = await readQueryLabels(stored.json, data, options, "map", (note) => options.onNote?.(note));
    const mapped = await mapCells(stored, query, labels, options);
    const annotated =
      options.sampleMetadata === false
        ? mapped.stored
        : await withMetadata(mapped.stored, data, query.conditions, mapped.report.conditions);
    const grown = labels ? addQueryTypes(annotated, labels.newTypes, labels, mapped.latent) : annotated;
    return { ...mapped, stored: withClusters(grown, mapped, labels, options) };
  });
}

/** The model with unlabelled prototypes of the query's cells without a label, if they are asked for. */
function withClusters(
  stored: StoredModel,
  { latent, report: { cells } }: QueryResult,
  labels: QueryLabels | null,
  options: MapOptions,
): StoredModel {
  const clustering = clusteringOf(options);
  if (!clustering) return stored;
  const unlabeled = unlabeledCells({
    labels: labels?.codes ?? new Int32Array(0),
    levels: labels?.levels.length ?? 0,
    combinations: new Int32Array(cells),
  });
  return addUnlabeledPrototypes(
    stored,
    rowsOf(latent, unlabeled, stored.json.model.latent_dim),
    clustering,
    options.seed ?? 0,
    options.onNote,
  );
}

/** The model with sample metadata of the query's new conditions. */
async function withMetadata(
  stored: StoredModel,
  data: AnnData,
  conditions: readonly Conditions[],
  treatments: readonly ConditionTreatment[],
): Promise<StoredModel> {
  const { json } = stored;
  if (!treatments.some(({ kind }) => kind === "new")) return stored;
  const newMetadata = (
    await metadataOfConditions(data.obs, conditions, {
      always: json.sample_metadata?.map(({ columns }) => columns),
    })
  ).map((table, k) => {
    const added = treatments.filter(({ key, kind }) => key === json.condition_keys[k] && kind === "new");
    return {
      ...table,
      columns: added.length > 0 ? table.columns : [],
      samples: Object.fromEntries(
        added.map(({ condition, row }) => [json.conditions[k]![row]!, table.samples[condition]!]),
      ),
    };
  });
  const joined = newMetadata.map((table, k) =>
    joinMetadata(json.sample_metadata?.[k] ?? { columns: [], samples: {} }, table),
  );
  return joined.some(({ columns }) => columns.length > 0)
    ? { ...stored, json: { ...json, sample_metadata: joined } }
    : stored;
}

/** Learns the query's new conditions if there are any, and embeds its cells. */
async function mapCells(
  stored: StoredModel,
  query: Query,
  labels: QueryLabels | null,
  options: MapOptions,
): Promise<QueryResult> {
  const extension = extendModel(stored, query.conditions, options.knownConditions);
  noteKnownConditions(extension.treatments, options);
  const isNew =
    extension.treatments.some(({ kind }) => kind === "new") ||
    extension.json.combinations.length > extension.frozen.combinations;
  if (isNew)
    return learn(
      stored,
      query,
      extension,
      await openDataset(stored, query, extension, labels, options),
      labels,
      options,
    );
  const encoder = await Encoder.create(stored, query.place.matrix.rows, options);
  const positions = await encodeFile(stored, query, extension.conditions, encoder, options).finally(() =>
    encoder.close(),
  );
  return {
    stored,
    ...positions,
    conditions: combined(extension.conditions),
    labels,
    report: mappingReport("map", stored, query, extension.treatments, 0, labels),
  };
}

function noteKnownConditions(treatments: readonly ConditionTreatment[], { onNote }: MapOptions): void {
  const known = treatments
    .filter(({ kind }) => kind === "known")
    .map(({ key, condition }) => `${key}=${condition}`);
  if (known.length > 0)
    onNote?.({
      level: "info",
      message:
        "Conditions known to the model keep their embeddings (--known-conditions new learns new ones): " +
        `${known.slice(0, 5).join(", ")}${known.length > 5 ? ` and ${known.length - 5} more` : ""}.`,
    });
}

/** The query's cells with their counts, in memory or streamed. */
async function openDataset(
  stored: StoredModel,
  { place, reader, alignment }: Query,
  { tensors, conditions, combinations }: Extension,
  labels: QueryLabels | null,
  options: MapOptions,
): Promise<Dataset> {
  const counts = await openCounts(
    place,
    {
      reader,
      map: alignment.map,
      genes: stored.json.genes.length,
      parameters: [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0),
      minibatch: options.minibatch ?? defaults.minibatch,
      perCell: bytesPerCell(stored),
    },
    options,
  );
  return {
    counts,
    conditions,
    combinations,
    labels: labels?.codes ?? new Int32Array(0),
    levels: labels?.levels.length ?? 0,
  };
}

async function learn(
  stored: StoredModel,
  query: Query,
  extension: Extension,
  dataset: Dataset,
  labels: QueryLabels | null,
  options: MapOptions,
): Promise<QueryResult> {
  const run = planMapping(stored, extension, dataset, labels, options);
  const engine = await createRunEngine(run, dataset, options);
  try {
    const { model, sizes, optimization } = run;
    const network = new Network(engine, model, sizes, { weightDecay: 0, frozen: extension.frozen });
    network.write(
      new Map([...network.parameters.keys()].map((name) => [name, extension.tensors.get(name)!.data])),
    );
    const treatments = await startFromNearest(network, dataset, extension, optimization.seed);
    const trainer = new Trainer(network, dataset, {
      stage: "mapping",
      plan: optimization,
      prototypeCount: run.prototypeCount,
      levels: run.levels,
      unlabeled: run.unlabeled,
      knownPrototypes: labels ? storedPrototypes(stored) : undefined,
      onProgress: options.onProgress,
      signal: options.signal,
    });
    const trains = options.training ?? true;
    if (trains) noteSplit(trainer.split, optimization.trainFrac, (note) => options.onNote?.(note));
    const epochs = trains ? (await trainer.run()).history.length : 0;
    const values = network.read();
    const theta = trains ? null : nearestTheta(extension, treatments);
    const tensors = graft(extension, theta ? values.set("theta", theta) : values);
    const latent = await trainer.encode(Int32Array.from(dataset.combinations.keys()));
    const scored = await scoreCells(engine, stored, dataset);
    const report = mappingReport("map", stored, query, treatments, epochs, labels);
    const json = withProvenance(extension, report, trains ? run : null);
    return {
      stored: { json, tensors },
      latent,
      ...scored,
      sizeFactors: dataset.counts.sizeFactors,
      conditions: combined(extension.conditions),
      labels,
      report,
    };
  } finally {
    await engine.close();
  }
}

function planMapping(
  { json }: StoredModel,
  extension: Extension,
  dataset: Dataset,
  labels: QueryLabels | null,
  options: MapOptions,
): Run {
  return planRun(options, dataset, {
    stage: "mapping",
    ...networkOptions(extension),
    levels: labels?.levels ?? [],
    types: labels ? json.cell_types.length + labels.newTypes.length : 0,
    dropout: 0,
    trained: prototypeLossOf(json),
  });
}

/** @param run - null: no training */
function withProvenance({ json }: Extension, report: MappingReport, run: Run | null): StoredModel["json"] {
  const before = (json.provenance["queries"] as unknown[] | undefined) ?? [];
  const optimization = run && { ...run.optimization };
  return { ...json, provenance: { ...json.provenance, queries: [...before, { ...report, optimization }] } };
}

/** Scores of the head for all cells of a data set, in one pass over the counts. */
async function scoreCells(
  engine: Engine,
  stored: StoredModel,
  dataset: Dataset,
): Promise<Pick<CellPositions, "scores" | "compared">> {
  const scores = emptyScores(stored, dataset.counts.cells);
  const scorer = HeadScorer.of(engine, stored, dataset.counts.cells);
  if (!scorer) return { scores, compared: null };
  const cells = Int32Array.from({ length: dataset.counts.cells }, (_, cell) => cell);
  const size = engine.minibatch.indptr.length - 1;
  const program = engine.record((operations) => scorer.compute(operations));
  const pass = dataset.counts.pass(cells);
  try {
    for (let start = 0; start < cells.length; start += size) {
      const chunk = cells.subarray(start, start + size);
      await pass.reach(chunk);
      fillMinibatch(writtenOut(engine.minibatch), dataset, chunk, pass);
      engine.minibatch.rows = chunk.length;
      program.run();
      scorer.take(start, scores.subarray(start * scorer.rows));
    }
    return { scores, compared: scorer.compared() };
  } finally {
    await pass.end();
  }
}
