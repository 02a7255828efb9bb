// The scorer of bench:peers for all methods: label transfer and integration of any result, by the project's
// evaluate.
import { join } from "node:path";
import { AnnData, evaluate, writeH5ad, type DenseMatrix } from "../../dist/index.js";
import { labels } from "../rows.ts";
import type { Method } from "./methods.ts";

export const labelFigures = ["accuracy", "macro_f1", "weighted_f1"] as const;
export const integrationFigures = [
  "paper_bio",
  "paper_batch",
  "paper_total",
  "kmeans_bio",
  "kmeans_batch",
  "kmeans_total",
] as const;
export type Figure = (typeof labelFigures)[number] | (typeof integrationFigures)[number];
export type Figures = Readonly<Partial<Record<Figure, number | null>>>;

/**
 * Scores of each method of a result. Labels: the query's cells of types that the reference has. Integration:
 * all cells, `paper` with Leiden's NMI and ARI and isolated-label F1, `kmeans` with k-means instead.
 * @param prepared - the folder of prepare.py
 * @param joined - path for a file with both truth and result
 * @throws Error if the cells of the result and the truth differ
 */
export async function scoreResult(
  prepared: string,
  result: string,
  methods: readonly Method[],
  joined: string,
): Promise<Figures[]> {
  const truth = await AnnData.open(join(prepared, "truth.h5ad"));
  const query = await AnnData.open(join(prepared, "query.h5ad"));
  const annotated = await AnnData.open(result);
  try {
    await writeJoined(truth, query.nObs, annotated, methods, joined);
    const knownTypes = [...new Set((await labels(truth, "cell_type")).slice(0, truth.nObs - query.nObs))];
    const data = await AnnData.open(joined);
    const scores: Figures[] = [];
    for (const method of methods) scores.push(await scoreMethod(data, method, knownTypes));
    data.close();
    return scores;
  } finally {
    [truth, query, annotated].forEach((file) => file.close());
  }
}

async function writeJoined(
  truth: AnnData,
  queryCells: number,
  annotated: AnnData,
  methods: readonly Method[],
  path: string,
): Promise<void> {
  const [cells, others] = [await truth.obs.index(), await annotated.obs.index()];
  const firstDifferent = cells.findIndex((cell, i) => cell !== others[i]);
  if (firstDifferent >= 0 || others.length !== cells.length)
    throw new Error(
      `${annotated.path}: cell ${firstDifferent} is ${others[firstDifferent]}, not ${cells[firstDifferent]}`,
    );
  const columns: Record<string, { kind: "string"; values: string[] }> = {};
  const text = async (name: string, from: AnnData): Promise<void> => {
    columns[name] = { kind: "string", values: await labels(from, name) };
  };
  for (const name of ["condition", "cell_type"]) await text(name, truth);
  for (const method of methods) await text(method.labels, annotated);
  columns["part"] = {
    kind: "string",
    values: cells.map((_, i) => (i < cells.length - queryCells ? "reference" : "query")),
  };
  const obsm: Record<string, DenseMatrix> = { X_before: await truth.obsm("X_before") };
  for (const { embedding } of methods) if (embedding) obsm[embedding] = await annotated.obsm(embedding);
  const [rows, none] = [cells.length, new Int32Array()];
  const noCounts = { rows, columns: 1, indptr: new Int32Array(rows + 1), indices: none, values: none };
  await writeH5ad(path, { X: noCounts, obs: { index: cells, columns }, var: { index: ["none"] }, obsm });
}

async function scoreMethod(
  data: AnnData,
  { labels: predictionKey, embedding }: Method,
  knownTypes: readonly string[],
): Promise<Figures> {
  const { embeddings, label_transfer: transfer } = await evaluate(data, {
    cellTypeKey: "cell_type",
    predictionKey,
    query: { part: ["query"] },
    knownTypes,
    threads: 1,
    ...(embedding && { conditionKey: "condition", embeddings: [embedding], before: "X_before" }),
  });
  const scores = embeddings[0]?.scores;
  const integration = (["paper", "kmeans"] as const).flatMap((kind) => {
    const score = scores?.[kind];
    return [
      [`${kind}_bio`, score?.biology],
      [`${kind}_batch`, score?.mixing],
      [`${kind}_total`, score?.overall],
    ];
  });
  return {
    ...Object.fromEntries(labelFigures.map((figure) => [figure, transfer![figure]])),
    ...Object.fromEntries(integration),
  };
}
