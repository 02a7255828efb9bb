// Maps the cells of a file onto a model: `embed` if all conditions are known, `map` to learn new ones first.
// Source: De Donno et al. 2023, Methods ("Reference mapping", "Label transfer").
import type { AnnData } from "../anndata/anndata.js";
import type { Matrix } from "../anndata/matrix.js";
import { readAhead, type BlockReader } from "../anndata/read-ahead.js";
import { noteCellxgene } from "../data/cellxgene.js";
import { prototypeLossOf, type StoredModel } from "../model/stored-model.js";
import { defaults, type EmbedOptions, type MapOptions, type Note } from "../contract/options.js";
import { Combinations } from "../data/combinations.js";
import { countsFrom, firstPlace, takenPlace, type CountsPlace } from "../data/count-places.js";
import { peaks } from "../data/feature-types.js";
import { streamCounts } from "../data/counts.js";
import { emptyScores, encodedRows, Encoder, networkOptions, type CellPositions } from "./embedding.js";
import { sumDuplicates } from "../data/derived-counts.js";
import { createEngine } from "../engine/create.js";
import type { Engine } from "../engine/engine.js";
import { ScPoliError } from "../contract/errors.js";
import { matchGeneNames } from "../data/gene-names.js";
import { addQueryTypes, addUnlabeledPrototypes, storedPrototypes } from "../prototypes/growth.js";
import { clusteringOf, unlabeledCells, unlabeledLossOf } from "../prototypes/unlabeled.js";
import { headRows, HeadScorer } from "../labels/head.js";
import { rowsOf } from "../graph/neighbors.js";
import { alignGenes, checkCoverage, type GeneAlignment } from "../data/genes.js";
import { joinMetadata, metadataOfConditions } from "../data/sample-metadata.js";
import { checkValueKeys, readQueryConditions } from "../data/condition-values.js";
import { checkGroups } from "../data/key-columns.js";
import type { Conditions } from "../data/labels.js";
import type { MappingReport } from "./mapping.js";
import { openCounts, resultBytes, tellNeed } from "../data/memory.js";
import { writtenOut } from "../data/count-source.js";
import { fillMinibatch, minibatchCapacity, noteSplit, type Dataset } from "../data/minibatches.js";
import { renameGenes, type NameMapReport } from "../data/name-maps.js";
import { Network } from "../model/network.js";
import { levelPrototypes } from "../prototypes/type-cross-entropy.js";
import { checkUnlabeledLoss, planOptimization } from "../training/optimization.js";
import { readQueryLabels, type QueryLabels } from "./query-labels.js";
import {
  extendModel,
  graft,
  nearestTheta,
  startFromNearest,
  type ConditionTreatment,
  type Extension,
} from "./surgery.js";
import { Trainer } from "../training/trainer.js";
import { findValues } from "../data/values.js";

/** Positions of the query's cells, the model (after mapping, with the query's conditions), and a report. */
export interface QueryResult extends CellPositions {
  /** (N) code of each cell's combination of conditions */
  readonly conditions: Int32Array;
  readonly stored: StoredModel;
  /** labels of the file, if any */
  readonly labels: QueryLabels | null;
  readonly report: MappingReport;
}

/** Counts and conditions of a file, matched to the model. */
export interface Query {
  readonly place: CountsPlace;
  /** reads `place` */
  readonly reader: BlockReader;
  readonly alignment: GeneAlignment;
  readonly conditions: readonly Conditions[];
  /** genes of the model by where their names were found */
  readonly matched: Readonly<Record<string, number>>;
  readonly geneMap?: NameMapReport;
}

/** Matches a file to the model and runs `use`, while the file is read ahead. */
export async function withQuery<T>(
  { json }: StoredModel,
  data: AnnData,
  options: EmbedOptions,
  use: (query: Query) => Promise<T>,
): Promise<T> {
  const renamed = Object.keys(options.conditionKeys ?? {}).filter(
    (key) => !json.condition_keys.includes(key),
  );
  if (renamed.length > 0)
    throw new ScPoliError(
      "key",
      `The model has no condition key '${renamed[0]}'; ` +
        `its keys are ${json.condition_keys.map((key) => `'${key}'`).join(", ")}.`,
      { key: renamed[0] },
    );
  checkValueKeys(options.conditionValues, json.condition_keys);
  // start reading the most likely place while the rest of the file is examined
  const first = firstPlace(data, options.layer);
  const early = first && readAhead(first);
  try {
    return await withPlace(
      json,
      data,
      options,
      first && early && { matrix: first.matrix, reader: early },
      use,
    );
  } finally {
    await early?.close();
  }
}

/** @param early - a reader that was already started, and its matrix */
async function withPlace<T>(
  json: StoredModel["json"],
  data: AnnData,
  options: EmbedOptions,
  early: { readonly matrix: Matrix; readonly reader: BlockReader } | null,
  use: (query: Query) => Promise<T>,
): Promise<T> {
  const note = (message: Note): void => options.onNote?.(message);
  for (const message of data.notes) note({ level: "info", message });
  const conditions = await readQueryConditions(data.obs, json.condition_keys, json.conditions, options, note);
  await noteCellxgene(data, note);
  const { place: original } = await findValues(
    data,
    {
      ...options,
      reconLoss: json.model.recon_loss,
      trainedOn: json.atac_counts,
      modelTypes: json.feature_types,
    },
    note,
  );
  const renaming = options.geneMap && (await renameGenes(original.var, options.geneMap, note));
  const renamed = renaming ? { ...original, var: renaming.genes } : original;
  const { names, matched } = await matchGeneNames(json.genes, renamed.var, note);
  const { place, names: columns } =
    options.duplicateGenes === "sum" ? await sumDuplicates(renamed, names) : { place: renamed, names };
  const reader = early?.matrix === place.matrix ? early.reader : readAhead(place);
  try {
    note({
      level: "info",
      message: `${countsFrom(place)}.`,
    });
    if (columns.length < names.length)
      note({
        level: "info",
        message: `${names.length - columns.length} columns were added to another column of the same gene.`,
      });
    const alignment = alignGenes(json.genes, columns, await place.var.index());
    checkCoverage(alignment, options, note);
    return await use({ place, reader, alignment, matched, conditions, geneMap: renaming?.report });
  } finally {
    await reader.close();
  }
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

/** @throws ScPoliError "key" for a condition that the model does not know */
export function checkConditionsKnown(
  { json }: Pick<StoredModel, "json">,
  { conditions }: Pick<Query, "conditions">,
): void {
  for (const [k, { key, names }] of conditions.entries()) {
    const unknown = names.filter((name) => !json.conditions[k]!.includes(name));
    if (unknown.length > 0)
      throw new ScPoliError(
        "key",
        `The model does not know ${unknown.length} of the ${names.length} values of '${key}': ${unknown
          .slice(0, 3)
          .map((name) => `'${name}'`)
          .join(", ")}${unknown.length > 3 ? ", ..." : ""}. ` +
          "Use `scpoli map`, which learns new conditions.",
        { key, unknown },
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
    report: report("embed", stored, query, treatments, 0, labels),
  };
}

/** Learns the query's new conditions, then embeds. See `ScPoli.map`. */
export function mapQuery(stored: StoredModel, data: AnnData, options: MapOptions): Promise<QueryResult> {
  const clustering = clusteringOf(options);
  return withQuery(stored, data, options, async (query) => {
    for (const [k, conditions] of query.conditions.entries())
      if (conditions.names.some((name) => !stored.json.conditions[k]!.includes(name)))
        await checkGroups(data.obs, conditions.key, conditions, "condition", options);
    const labels = await readQueryLabels(stored.json, data, options, "map", (note) => options.onNote?.(note));
    const {
      stored: mapped,
      latent,
      report: mappingReport,
      ...cells
    } = await learnQuery(stored, query, labels, options);
    const annotated =
      options.sampleMetadata === false
        ? mapped
        : await withMetadata(mapped, data, query.conditions, mappingReport.conditions);
    const grown = labels ? addQueryTypes(annotated, labels.newTypes, labels, latent) : annotated;
    const dataset = {
      labels: labels?.codes ?? new Int32Array(0),
      levels: labels ? stored.json.levels.length : 0,
      combinations: new Int32Array(mappingReport.cells),
    };
    const clustered = clustering
      ? addUnlabeledPrototypes(
          grown,
          rowsOf(latent, unlabeledCells(dataset), stored.json.model.latent_dim),
          clustering,
          options.seed ?? 0,
          options.onNote,
        )
      : grown;
    return { ...cells, stored: clustered, latent, labels, report: mappingReport };
  });
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

/** (N) code of each cell's combination of conditions. @param conditions - per key (N) */
function combined(conditions: readonly Int32Array[]): Int32Array {
  return new Combinations().columns(conditions);
}

async function learnQuery(
  stored: StoredModel,
  query: Query,
  labels: QueryLabels | null,
  options: MapOptions,
): Promise<QueryResult> {
  const extension = extendModel(stored, query.conditions, options.knownConditions);
  const known = extension.treatments
    .filter(({ kind }) => kind === "known")
    .map(({ key, condition }) => `${key}=${condition}`);
  if (known.length > 0)
    options.onNote?.({
      level: "info",
      message:
        "Conditions known to the model keep their embeddings (--known-conditions new learns new ones): " +
        `${known.slice(0, 5).join(", ")}${known.length > 5 ? ` and ${known.length - 5} more` : ""}.`,
    });
  const isNew =
    extension.treatments.some(({ kind }) => kind === "new") ||
    extension.json.combinations.length > extension.frozen.combinations;
  if (!isNew) {
    const encoder = await Encoder.create(stored, query.place.matrix.rows, options);
    const positions = await encodeFile(stored, query, extension.conditions, encoder, options).finally(() =>
      encoder.close(),
    );
    return {
      stored,
      ...positions,
      conditions: combined(extension.conditions),
      labels,
      report: report("map", stored, query, extension.treatments, 0, labels),
    };
  }
  const parameters = [...extension.tensors.values()].reduce(
    (sum, { data: values }) => sum + values.length,
    0,
  );
  const need = {
    reader: query.reader,
    map: query.alignment.map,
    genes: stored.json.genes.length,
    parameters,
    minibatch: options.minibatch ?? defaults.minibatch,
    perCell: bytesPerCell(stored),
  };
  const counts = await openCounts(query.place, need, options);
  const dataset: Dataset = {
    counts,
    conditions: extension.conditions,
    combinations: extension.combinations,
    labels: labels?.codes ?? new Int32Array(0),
    levels: labels?.levels.length ?? 0,
  };
  return learn(stored, query, extension, dataset, labels, options);
}

async function learn(
  stored: StoredModel,
  query: Query,
  extension: Extension,
  dataset: Dataset,
  labels: QueryLabels | null,
  options: MapOptions,
): Promise<QueryResult> {
  const { model, sizes } = networkOptions(extension);
  const seed = options.seed ?? 0;
  const cells = dataset.counts.cells;
  const K = labels ? stored.json.cell_types.length + labels.newTypes.length : 0;
  const unlabeled = unlabeledLossOf(options, clusteringOf(options), K, unlabeledCells(dataset));
  const rows = K + (unlabeled?.rows ?? 0);
  const plan = planOptimization(options, {
    stage: "mapping",
    cells,
    hasLabels: rows > 0,
    dropout: 0,
    seed,
    trained: prototypeLossOf(stored.json),
  });
  if (unlabeled) checkUnlabeledLoss(plan);
  const levels = labels?.levels ?? [];
  const engine = await createEngine(
    {
      minibatchSize: plan.minibatch,
      minibatchCapacity: minibatchCapacity(dataset.counts, plan.minibatch),
      genes: sizes.genes,
      conditionKeys: sizes.conditions.length,
      levels: dataset.levels + (unlabeled ? 1 : 0),
      prototypes: [rows, model.latentDim],
      unlabeled,
      levelPrototypes: levelPrototypes(levels, dataset.labels, dataset.levels, plan.typeBalance),
    },
    options,
  );
  try {
    const network = new Network(engine, model, sizes, { weightDecay: 0, frozen: extension.frozen });
    network.write(
      new Map([...network.parameters.keys()].map((name) => [name, extension.tensors.get(name)!.data])),
    );
    const treatments = await startFromNearest(network, dataset, extension, seed);
    const all = Int32Array.from({ length: cells }, (_, cell) => cell);
    const trains = options.training ?? true;
    const trainer = new Trainer(network, dataset, {
      stage: "mapping",
      plan,
      prototypeCount: rows,
      levels,
      unlabeled,
      knownPrototypes: labels ? storedPrototypes(stored) : undefined,
      onProgress: options.onProgress,
      signal: options.signal,
    });
    if (trains) noteSplit(trainer.split, plan.trainFrac, (note) => options.onNote?.(note));
    const epochs = trains ? (await trainer.run()).history.length : 0;
    const values = network.read();
    const theta = trains ? null : nearestTheta(extension, treatments);
    const tensors = graft(extension, theta ? values.set("theta", theta) : values);
    const latent = await trainer.encode(all);
    const scored = await scoreCells(engine, stored, dataset);
    const mapped = report("map", stored, query, treatments, epochs, labels);
    const provenance = {
      ...extension.json.provenance,
      queries: [
        ...((extension.json.provenance["queries"] as unknown[] | undefined) ?? []),
        { ...mapped, optimization: trains ? { ...plan } : null },
      ],
    };
    return {
      stored: { json: { ...extension.json, provenance }, tensors },
      latent,
      ...scored,
      sizeFactors: dataset.counts.sizeFactors,
      conditions: combined(extension.conditions),
      labels,
      report: mapped,
    };
  } finally {
    await engine.close();
  }
}

/** Memory per query cell besides its position. */
function bytesPerCell({ json }: StoredModel): number {
  return resultBytes(json.head ? headRows(json.head) : 0, json.levels.length);
}

async function encodeFile(
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

function report(
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

/** Overlap of a file's genes with a model's. */
export interface GeneCoverage {
  /** Number of genes of the model */
  readonly model: number;
  /** Genes of the model that the file has */
  readonly found: number;
  /** found / model, 0..1 */
  readonly share: number;
  /** genes of the model by where their names were found: `name`, `var["feature_name"]`, ... */
  readonly matched: Readonly<Record<string, number>>;
  /** in the model's order */
  readonly missing: readonly string[];
}

/** See `ScPoli.coverage`. */
export async function geneCoverage({ json }: StoredModel, data: AnnData): Promise<GeneCoverage> {
  const modelGenes = json.genes;
  const place = await takenPlace(data, {
    featureTypes: json.feature_types,
    preferredType: json.model.recon_loss === "poisson" ? peaks : undefined,
    roundCounts: true,
  });
  const genes = place?.var ?? data.var;
  const { names, matched } = await matchGeneNames(modelGenes, genes, () => undefined);
  const fileGenes = new Set(names);
  const missing = modelGenes.filter((name) => !fileGenes.has(name));
  const matchedGenes = modelGenes.length - missing.length;
  return {
    model: modelGenes.length,
    found: matchedGenes,
    share: matchedGenes / Math.max(1, modelGenes.length),
    matched,
    missing,
  };
}
