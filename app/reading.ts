// Columns, genes and embeddings of the query, read from its file when first used.
import { runJob } from "./jobs.js";
import { guarded, working } from "./job-status.js";
import type { CellColumn, LocalFile } from "./protocol.js";
import {
  changeView,
  columns,
  embeddings,
  expressions,
  referenceMeans,
  work,
  type ColourBy,
  type DataFile,
} from "./state.js";
import { JobError } from "./worker/errors.js";

/** Colours the cells; columns and genes are read from the file first. */
export async function colourBy(colour: ColourBy): Promise<void> {
  if (!(await readColumnOrGene(colour))) return;
  changeView("change the colours", { colourBy: colour, isolated: [] });
}

/** Reads what a colour or a filter needs. @returns whether it is there */
export async function readColumnOrGene(by: ColourBy): Promise<boolean> {
  if (by.kind === "gene") return readGenes([by.name]);
  if (by.kind !== "column" || columns.value.has(by.name)) return true;
  let isRead = false;
  await guarded(`${by.name} could not be read`, async () => {
    const column = await withFiles(work.value.query, (files) =>
      runJob<CellColumn>(({ jobs }) => jobs.readColumn(files, by.name)),
    );
    columns.value = new Map([...columns.value, [by.name, column]]);
    isRead = true;
  });
  return isRead;
}

/** Reads genes in one pass through the file. @returns whether all are there */
export async function readGenes(names: readonly string[]): Promise<boolean> {
  const missing = names.filter((name) => !expressions.value.has(name));
  if (missing.length === 0) return true;
  let isRead = false;
  await guarded("The genes could not be read", async () => {
    const values = await withFiles(work.value.query, (files) =>
      working(
        `Reading ${missing.length === 1 ? missing[0]! : `${missing.length} genes`}`,
        ({ jobs, listener }) => jobs.readGenes(files, missing, listener),
      ),
    );
    expressions.value = new Map([
      ...expressions.value,
      ...missing.map((name, i) => [name, values[i]!] as const),
    ]);
    for (const name of missing) await readReferenceMeans(name);
    isRead = true;
  });
  return isRead;
}

/** Reads an embedding of the query's file. @returns whether it is there */
export async function readEmbedding(name: string): Promise<boolean> {
  if (embeddings.value.has(name)) return true;
  let isRead = false;
  await guarded(`${name} could not be read`, async () => {
    const positions = await withFiles(work.value.query, (files) =>
      runJob(({ jobs }) => jobs.readEmbedding(files, name)),
    );
    embeddings.value = new Map([...embeddings.value, [name, positions]]);
    isRead = true;
  });
  return isRead;
}

/** The gene in the reference's samples too, where its cells are open and have it. */
async function readReferenceMeans(gene: string): Promise<void> {
  const { reference, result } = work.value;
  const keys =
    result?.conditions
      .map(({ key }) => key)
      .filter((key) => reference?.info.inspection.columns.some(({ name }) => name === key)) ?? [];
  if (!reference || keys.length === 0) return;
  try {
    const means = await working(`Reading ${gene} of the reference`, ({ jobs, listener }) =>
      jobs.readGeneMeans(reference.files, gene, keys, listener),
    );
    referenceMeans.value = new Map([...referenceMeans.value, [gene, means]]);
  } catch (error) {
    // the reference lacks the gene: its samples stay grey
    if (!(error instanceof JobError && error.kind === "key")) throw error;
  }
}

/** @throws JobError where the file is not open */
export async function withFiles<T>(
  query: DataFile | null,
  use: (files: readonly LocalFile[]) => Promise<T>,
): Promise<T> {
  if (!query || query.files.length === 0)
    throw new JobError(
      "file",
      `This needs the counts of your cells: choose ${query?.info.name ?? "their file"} again.`,
    );
  return use(query.files);
}
