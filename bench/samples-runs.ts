// The runs of bench:samples: training runs and their results, each kept as a small JSON file so that an
// interrupted bench can resume.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  AnnData,
  readExpression,
  ScPoli,
  writeCopy,
  type MetadataValue,
  type SampleAnalysis,
  type SampleMetadata,
  type SamplesOptions,
  type TrainOptions,
} from "../dist/index.js";
import { Random } from "../dist/numerics/random.js";
import { labels, writeRows } from "./rows.ts";

const root = new URL("..", import.meta.url).pathname;
export const shared = join(root, "../shared");
const python = process.env["SCPOLI_REFERENCE_PYTHON"] ?? join(root, ".venv-reference/bin/python");

/**
 * `--epochs N` is for a trial; by default `train` chooses the number. Results with other numbers are kept
 * separately.
 */
const at = process.argv.indexOf("--epochs");
export const epochs = at >= 0 ? Number(process.argv[at + 1]) : undefined;
const cache = join(root, ".cache/samples", epochs === undefined ? "whole" : `epochs-${epochs}`);
mkdirSync(cache, { recursive: true });

/** A result that is computed once. */
async function cached<T>(name: string, compute: () => Promise<T>): Promise<T> {
  const path = join(cache, `${name}.json`);
  if (!existsSync(path)) {
    const started = performance.now();
    writeFileSync(path, JSON.stringify(await compute()));
    process.stderr.write(`${name}: ${((performance.now() - started) / 1000).toFixed(0)} s\n`);
  }
  return JSON.parse(readFileSync(path, "utf8")) as T;
}

export const file = (name: string): string => join(shared, "data", `${name}.h5ad`);

/** Runs `use` with an open file. */
async function opened<T>(path: string, use: (data: AnnData) => Promise<T>): Promise<T> {
  const data = await AnnData.open(path);
  try {
    return await use(data);
  } finally {
    data.close();
  }
}

/** A model of a file, trained once. */
export async function trained(name: string, path: string, options: TrainOptions): Promise<ScPoli> {
  const folder = join(cache, `${name}.model`);
  if (!existsSync(folder)) {
    const started = performance.now();
    const model = await opened(path, (data) =>
      ScPoli.train(data, {
        genes: 2000,
        landmarks: false,
        ...(epochs === undefined ? {} : { epochs }),
        ...options,
      }),
    );
    await model.save(folder, { force: true });
    process.stderr.write(`${name}: trained in ${((performance.now() - started) / 1000).toFixed(0)} s\n`);
  }
  return ScPoli.load(folder);
}

/** The values of an analysis for the tables of the document. */
export interface Numbers {
  readonly samples: number;
  readonly varianceRatio: readonly number[];
  readonly explained: SampleAnalysis["guidance"]["covariates"];
  readonly associations: SampleAnalysis["associations"];
  readonly reason: string;
  readonly classifications: SampleAnalysis["classifications"];
  readonly geneCounts: NonNullable<SampleAnalysis["genes"]>["counts"];
  readonly topGenes: readonly (readonly string[])[];
}

export function numbers({
  samples,
  components,
  guidance,
  associations,
  classifications,
  genes,
}: SampleAnalysis): Numbers {
  const top = (component: number): string[] =>
    (genes?.correlations ?? [])
      .filter((row) => row.component === component && row.is_correlated)
      .slice(0, 10)
      .map(({ symbol, r }) => `${symbol} (${r.toFixed(2)})`);
  return {
    samples: samples.names.length,
    varianceRatio: Array.from(components.varianceRatio),
    explained: guidance.covariates,
    associations,
    reason: guidance.reason,
    classifications,
    geneCounts: genes?.counts ?? [],
    topGenes: [1, 2, 3].map(top),
  };
}

export async function analysed(
  model: ScPoli,
  path: string | null,
  options: SamplesOptions = {},
): Promise<SampleAnalysis[]> {
  return path === null ? model.samples(options) : opened(path, (data) => model.samples({ ...options, data }));
}

/** A copy of a file with one more column, the same for all cells. */
export async function withDummy(name: string): Promise<string> {
  const path = join(cache, `${name}-dummy.h5ad`);
  if (!existsSync(path))
    await opened(file(name), (data) =>
      writeCopy(data, path, {
        obs: { dummy: { kind: "string", values: new Array<string>(data.nObs).fill("all") } },
      }),
    );
  return path;
}

/** A random part of a file's cells. @param share - 0..1 */
export async function partOf(name: string, share: number, seed: number): Promise<string> {
  if (share === 1) return file(name);
  const path = join(cache, `${name}-${share}-${seed}.h5ad`);
  if (!existsSync(path))
    await opened(file(name), async (data) =>
      writeRows(
        data,
        new Random(seed, "part")
          .shuffle(Int32Array.from({ length: data.nObs }, (_, cell) => cell))
          .slice(0, Math.round(share * data.nObs))
          .sort(),
        path,
      ),
    );
  return path;
}

/** Integration scores of the shared scorer, independent of the model's condition. */
export async function integration(
  name: string,
  model: ScPoli,
  path: string,
  condition: string,
  label: string,
): Promise<Record<string, number>> {
  return cached(`${name}-score`, async () => {
    const embedded = join(cache, `${name}-embedded.h5ad`);
    await opened(path, (data) => model.embed(data, { output: embedded, force: true }));
    const env = { ...process.env, PYTHONPATH: join(shared, "python"), PYTHONWARNINGS: "ignore" };
    const text = execFileSync(
      python,
      ["-W", "ignore", join(shared, "python/score.py"), embedded, "--batch", condition, "--label", label],
      { encoding: "utf8", env, stdio: ["ignore", "pipe", "ignore"] },
    );
    return JSON.parse(text.trim().split("\n").at(-1)!) as Record<string, number>;
  });
}

/**
 * Results for samples whose cell types and condition were hidden during integration with the others.
 */
export interface HeldOut {
  readonly cells: number;
  readonly right: number;
  /** by classifier, in the order of the held-out samples */
  readonly predicted: Readonly<Record<string, readonly string[]>>;
  readonly truth: readonly string[];
}

/**
 * Trains on all samples of kang16 with the cell types of some removed, and predicts these and the condition
 * of those samples.
 */
export async function heldOut(fold: number, hidden: readonly string[], label: string): Promise<HeldOut> {
  return cached(`held-out-${fold}`, async () => {
    const path = join(cache, `held-out-${fold}.h5ad`);
    const [samples, types, conditions] = await opened(
      file("kang16"),
      async (data) =>
        [await labels(data, "sample"), await labels(data, label), await labels(data, "condition")] as const,
    );
    const knownTypes = types.map((type, cell) => (hidden.includes(samples[cell]!) ? "Unknown" : type));
    await opened(file("kang16"), (data) =>
      writeCopy(data, path, { obs: { known_type: { kind: "string", values: knownTypes } } }, { force: true }),
    );
    const model = await trained(`held-out-${fold}`, path, {
      conditionKeys: ["sample"],
      cellTypeKeys: ["known_type"],
      seed: fold,
    });
    const {
      predictions: [level],
    } = await opened(path, (data) => model.embed(data));
    const hiddenCells = samples.flatMap((sample, cell) => (hidden.includes(sample) ? [cell] : []));
    const right = hiddenCells.filter(
      (cell) => model.stored.json.cell_types[level!.predicted[cell]!] === types[cell],
    ).length;
    const conditionOf = new Map(samples.map((sample, cell) => [sample, conditions[cell]!]));
    return {
      cells: hiddenCells.length,
      right,
      predicted: await predictTreatment(model, conditionOf, hidden),
      truth: hidden.map((sample) => conditions[samples.indexOf(sample)]!),
    };
  });
}

/** By classifier, the predicted conditions of hidden samples, learned from the other samples. */
async function predictTreatment(
  model: ScPoli,
  conditionOf: ReadonlyMap<string, string>,
  hidden: readonly string[],
): Promise<HeldOut["predicted"]> {
  const known: SampleMetadata = {
    columns: ["treatment"],
    samples: Object.fromEntries(
      [...conditionOf].map(([sample, condition]): [string, MetadataValue[]] => [
        sample,
        [hidden.includes(sample) ? null : condition],
      ]),
    ),
  };
  const [analysis] = await model.samples({
    metadata: { sample: known },
    covariates: ["treatment"],
    predict: ["treatment"],
  });
  const rows = analysis!.predictions[0]!.samples;
  return Object.fromEntries(
    ["knn", "linear"].map((kind) => [
      kind,
      hidden.map((sample) => rows.find((row) => row.sample === sample && row.classifier === kind)!.predicted),
    ]),
  );
}

/**
 * Cells of a query in the order of their uncertainty: whether the label is right; cells of a type that the
 * reference lacks are never right.
 */
export interface Ranked {
  readonly method: string;
  /** 1 right, 0 wrong, most certain first */
  readonly right: readonly number[];
}

/** A file divided into a reference and a query. */
export interface QuerySplit {
  readonly name: string;
  /** name of the file */
  readonly source: string;
  /** columns of the conditions and of the cell types */
  readonly key: string;
  readonly label: string;
  /** conditions of the query */
  readonly query: readonly string[];
  /** cell types that the reference lacks */
  readonly leftOut: readonly string[];
}

/**
 * Maps a query and labels it by the nearest prototype, by the head, and by the 15 nearest reference cells in
 * the same latent space (weighted by 1 / distance, as scArches' and HLCA's kNN).
 */
export async function uncertaintyOrder(split: QuerySplit): Promise<Ranked[]> {
  const { name, key, label } = split;
  return cached(`threshold-${name}`, async () => {
    const paths = await writeSplit(split);
    const model = await trained(`threshold-${name}`, paths.reference, {
      conditionKeys: [key],
      cellTypeKeys: [label],
    });
    const [reference, referenceTypes] = await opened(
      paths.reference,
      async (data) => [await model.embed(data), await labels(data, label)] as const,
    );
    return opened(paths.query, async (data) => {
      const truth = await labels(data, label);
      const byClassifiers: Ranked[] = [];
      for (const classifier of ["prototype", "head"] as const)
        byClassifiers.push(await rankByClassifier(model, data, truth, classifier));
      const { latent } = await model.map(data, epochs === undefined ? {} : { epochs });
      const D = model.stored.json.model.latent_dim;
      const { names, shares } = nearestCells(reference.latent, referenceTypes, latent, D);
      const uncertainty = shares.map((share) => 1 - share);
      return [...byClassifiers, ranked("kNN of 15, share", truth, names, uncertainty)];
    });
  });
}

/** Writes the reference, without the query and the types left out, and the query. @returns the paths */
async function writeSplit({
  name,
  source,
  key,
  label,
  query,
  leftOut,
}: QuerySplit): Promise<{ readonly reference: string; readonly query: string }> {
  const paths = {
    reference: join(cache, `${name}-reference.h5ad`),
    query: join(cache, `${name}-query.h5ad`),
  };
  await opened(file(source), async (data) => {
    const [conditions, types] = [await labels(data, key), await labels(data, label)];
    const rows = (isIn: (cell: number) => boolean): Int32Array =>
      Int32Array.from(conditions.keys()).filter(isIn);
    await writeRows(
      data,
      rows((cell) => !query.includes(conditions[cell]!) && !leftOut.includes(types[cell]!)),
      paths.reference,
    );
    await writeRows(
      data,
      rows((cell) => query.includes(conditions[cell]!)),
      paths.query,
    );
  });
  return paths;
}

async function rankByClassifier(
  model: ScPoli,
  data: AnnData,
  truth: readonly string[],
  classifier: "head" | "prototype",
): Promise<Ranked> {
  const {
    predictions: [level],
    model: mapped,
  } = await model.map(data, { classifier, ...(epochs === undefined ? {} : { epochs }) });
  const predicted = Array.from(level!.predicted, (type) => mapped.stored.json.cell_types[type]!);
  return classifier === "head"
    ? ranked(
        "head, probability",
        truth,
        predicted,
        level!.probability.map((p) => 1 - p),
      )
    : ranked("nearest prototype, distance", truth, predicted, level!.uncertainty);
}

function ranked(
  method: string,
  truth: readonly string[],
  predicted: readonly string[],
  uncertainty: ArrayLike<number>,
): Ranked {
  return {
    method,
    right: Array.from(truth.keys())
      .sort((a, b) => uncertainty[a]! - uncertainty[b]! || a - b)
      .map((cell) => (predicted[cell] === truth[cell] ? 1 : 0)),
  };
}

function nearestCells(
  reference: Float32Array,
  types: readonly string[],
  query: Float32Array,
  D: number,
): { names: string[]; shares: Float64Array } {
  const names: string[] = [];
  const shares = new Float64Array(query.length / D);
  for (let cell = 0; cell < shares.length; cell++) {
    const neighbors = types
      .map((type, row): [number, string] => {
        let sum = 0;
        for (let d = 0; d < D; d++) sum += (reference[row * D + d]! - query[cell * D + d]!) ** 2;
        return [Math.sqrt(sum), type];
      })
      .sort((a, b) => a[0] - b[0])
      .slice(0, 15);
    const votes = new Map<string, number>();
    for (const [distance, type] of neighbors) votes.set(type, (votes.get(type) ?? 0) + 1 / (distance + 1e-9));
    const [best, most] = [...votes].sort((a, b) => b[1] - a[1])[0]!;
    names.push(best);
    shares[cell] = most / [...votes.values()].reduce((sum, vote) => sum + vote, 0);
  }
  return { names, shares };
}

/** UMAP and expression of a gene, for a sample of the cells. */
export async function cellView(
  name: string,
  path: string,
  model: ScPoli,
  gene: string,
  most: number,
): Promise<{ x: number[]; y: number[]; value: number[] }> {
  return cached(name, () =>
    opened(path, async (data) => {
      const { umap } = await model.embed(data);
      if (!umap) throw new Error("the model carries no landmarks");
      const [expression] = await readExpression(data, [gene]);
      const cells = new Random(0, "cells shown")
        .shuffle(Int32Array.from({ length: data.nObs }, (_, cell) => cell))
        .slice(0, most);
      const of = (value: (cell: number) => number): number[] =>
        Array.from(cells, (cell) => Number(value(cell).toFixed(3)));
      return {
        x: of((cell) => umap[2 * cell]!),
        y: of((cell) => umap[2 * cell + 1]!),
        value: of((cell) => expression![cell]!),
      };
    }),
  );
}

/** Agreement of two embeddings of the same samples: correlation of their distances, over all pairs. */
export function distanceCorrelation(a: SampleAnalysis, b: SampleAnalysis): number {
  const pairs = ({ distances: { distances } }: SampleAnalysis): number[] =>
    Array.from(distances.values).filter((_, i) => Math.floor(i / distances.columns) < i % distances.columns);
  const [x, y] = [pairs(a), pairs(b)];
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(x), mean(y)];
  const product = x.reduce((sum, value, i) => sum + (value - mx) * (y[i]! - my), 0);
  return (
    product /
    Math.sqrt(
      x.reduce((sum, value) => sum + (value - mx) ** 2, 0) *
        y.reduce((sum, value) => sum + (value - my) ** 2, 0),
    )
  );
}
