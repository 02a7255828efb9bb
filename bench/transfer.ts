// The data sets of the benches on label transfer: which conditions are the query, and a reference and a query
// as files.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AnnData } from "../dist/index.js";
import { Random } from "../dist/numerics/random.js";
import { labels, writeRows } from "./rows.ts";

export interface Configuration {
  readonly name: string;
  readonly file: string;
  readonly condition: string;
  readonly label: string;
  readonly query: readonly string[];
  /** cell types left out of the reference: unknown in the query */
  readonly leftOut?: readonly string[];
  /** conditions in neither of them */
  readonly excluded?: readonly string[];
  /** conditions of the reference. Default: all that are neither in the query nor excluded */
  readonly reference?: readonly string[];
  /** number of reference cells, drawn at random. Default: all */
  readonly referenceCells?: number;
}

const kangQuery = ["patient_101", "patient_107", "patient_1039"].flatMap((patient) => [
  `${patient}_ctrl`,
  `${patient}_stim`,
]);
export const configurations: readonly Configuration[] = [
  { name: "panc8", file: "panc8", condition: "batch", label: "cell_type", query: ["celseq", "celseq2"] },
  { name: "pbmc3", file: "pbmc3", condition: "donor", label: "cell_type", query: ["5p"] },
  { name: "pbmc3-broad", file: "pbmc3", condition: "donor", label: "cell_type_broad", query: ["5p"] },
  { name: "kang16", file: "kang16", condition: "sample", label: "cell_type", query: kangQuery },
  {
    name: "onek1k",
    file: "onek1k",
    condition: "batch",
    label: "cell_type",
    query: ["pool57", "pool20", "pool53", "pool2", "pool14"],
  },
  {
    name: "panc8-no-beta",
    file: "panc8",
    condition: "batch",
    label: "cell_type",
    query: ["celseq", "celseq2"],
    leftOut: ["beta"],
  },
  {
    name: "pbmc3-no-nk",
    file: "pbmc3",
    condition: "donor",
    label: "cell_type",
    query: ["5p"],
    leftOut: ["NK"],
  },
];
export const seeds = [0, 1, 2];
/** At most so many variable genes of the reference are used. */
export const mostGenes = 2000;

const root = new URL("..", import.meta.url).pathname;
export const sharedData = join(root, "../shared/data");

/** A reference and its query, with the query's true cell types. */
export interface Transfer {
  readonly reference: AnnData;
  readonly query: AnnData;
  /** (query cells) */
  readonly truth: readonly string[];
  /** cell types of the reference */
  readonly known: ReadonlySet<string>;
  close(): void;
}

/**
 * Writes both into a folder and opens them.
 * @param seed - of the draw of reference cells, if not all are used
 */
export async function openTransfer(
  { file, condition, label, query, leftOut = [], excluded = [], ...reduced }: Configuration,
  folder: string,
  name: string,
  seed = 0,
): Promise<Transfer> {
  mkdirSync(folder, { recursive: true });
  const source = await AnnData.open(join(sharedData, `${file}.h5ad`));
  const [conditions, types] = [await labels(source, condition), await labels(source, label)];
  const rows = Int32Array.from(conditions.keys());
  const isQuery = (row: number): boolean => query.includes(conditions[row]!);
  const isReference = (row: number): boolean =>
    !isQuery(row) &&
    !excluded.includes(conditions[row]!) &&
    !leftOut.includes(types[row]!) &&
    (reduced.reference?.includes(conditions[row]!) ?? true);
  const ofReference = drawRows(rows.filter(isReference), reduced.referenceCells, seed);
  const ofQuery = rows.filter(isQuery);
  const [reference, queryData] = await Promise.all(
    [[ofReference, "reference"] as const, [ofQuery, "query"] as const].map(async ([partRows, part]) => {
      const path = join(folder, `${name}-${part}.h5ad`);
      await writeRows(source, partRows, path);
      return AnnData.open(path);
    }),
  );
  source.close();
  return {
    reference: reference!,
    query: queryData!,
    truth: Array.from(ofQuery, (row) => types[row]!),
    known: new Set(Array.from(ofReference, (row) => types[row]!)),
    close: () => [reference!, queryData!].forEach((data) => data.close()),
  };
}

/** A random sample of rows, in their order; all rows without a number of cells. */
function drawRows(rows: Int32Array, cells: number | undefined, seed: number): Int32Array {
  const sample = new Random(seed, "reference cells").sample(rows.length, cells ?? rows.length);
  return sample.map((i) => rows[i]!);
}

/** A result that is computed once and kept as JSON. */
export async function cached<T>(folder: string, name: string, compute: () => Promise<T>): Promise<T> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name.replaceAll(/[^\w.-]+/g, "_")}.json`);
  if (!existsSync(path)) writeFileSync(path, JSON.stringify(await compute()));
  return JSON.parse(readFileSync(path, "utf8"));
}

export function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
