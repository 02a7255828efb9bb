// Reads files: the contents of an AnnData file, a summary of a model, columns, genes and embeddings.
import { inspect, readExpression, type Note } from "scpoli";
import { transfer } from "comlink";
import type {
  CellColumn,
  Coverage,
  DataInfo,
  GeneName,
  Listener,
  LocalFile,
  ModelInfo,
  SampleMeans,
} from "../protocol.js";
import { meansBySample } from "../means.js";
import { asGroups, plainColumn } from "./columns.js";
import { openData, openModel, topName } from "./disk.js";
import { JobError } from "./errors.js";
import { modelInfo } from "./result.js";

export async function inspectFiles(files: readonly LocalFile[]): Promise<DataInfo> {
  const data = await openData(files);
  try {
    const notes: Note[] = data.notes.map((message) => ({ level: "info", message }));
    const inspection = await inspect(data, (note) => void notes.push(note));
    return {
      name: topName(files),
      bytes: files.reduce((sum, { file }) => sum + file.size, 0),
      format: data.format,
      inspection,
      notes,
      embeddings: data.obsmKeys,
    };
  } finally {
    data.close();
  }
}

export async function loadModelFiles(
  files: readonly LocalFile[],
): Promise<{ readonly model: ModelInfo; readonly notes: readonly Note[] }> {
  const notes: Note[] = [];
  const model = await openModel(files, (note) => void notes.push(note));
  const isPython = files.some(({ path }) => /(attr\.pkl|\.pt)$/.test(path));
  return {
    model: modelInfo(
      model,
      topName(files).replace(/\.(zip|tar|tar\.gz|tgz|pt)$/, ""),
      files,
      isPython ? "scarches" : "scpoli",
    ),
    notes,
  };
}

export async function readCoverage(
  dataFiles: readonly LocalFile[],
  modelFiles: readonly LocalFile[],
): Promise<Coverage> {
  const model = await openModel(modelFiles);
  const data = await openData(dataFiles);
  try {
    const { found, model: genes, matched, missing } = await model.coverage(data);
    return { found, model: genes, matched, missing: missing.slice(0, 200) };
  } finally {
    data.close();
  }
}

export async function readColumn(files: readonly LocalFile[], name: string): Promise<CellColumn> {
  const data = await openData(files);
  try {
    return plainColumn(await data.obs.column(name));
  } finally {
    data.close();
  }
}

export async function readCellNames(files: readonly LocalFile[]): Promise<readonly string[]> {
  const data = await openData(files);
  try {
    return await data.obs.index();
  } finally {
    data.close();
  }
}

/** (N, 2) first two columns of an entry of obsm. */
export async function readEmbedding(files: readonly LocalFile[], name: string): Promise<Float32Array> {
  const data = await openData(files);
  try {
    const { values, rows, columns } = await data.obsm(name);
    if (columns < 2) throw new JobError("format", `obsm['${name}'] has one column; a map needs two.`);
    const positions = Float32Array.from({ length: 2 * rows }, (_, i) =>
      Number(values[(i >> 1) * columns + (i & 1)]),
    );
    return transfer(positions, [positions.buffer]);
  } finally {
    data.close();
  }
}

/** Names of the genes, and their symbols where a column of var has them. */
export async function readGeneNames(files: readonly LocalFile[]): Promise<readonly GeneName[]> {
  const data = await openData(files);
  try {
    const names = await data.var.index();
    const column = ["feature_name", "gene_symbols", "gene_symbol", "gene_name", "gene_names"].find((name) =>
      data.var.columnNames.includes(name),
    );
    const symbols = column === undefined ? null : plainColumn(await data.var.column(column));
    return names.map((name, gene) => ({
      name,
      symbol: symbols?.kind === "groups" ? (symbols.names[symbols.codes[gene]!] ?? name) : name,
    }));
  } finally {
    data.close();
  }
}

/** Expression of genes in all cells, in one pass through the file. */
export async function readGenes(
  files: readonly LocalFile[],
  genes: readonly string[],
  listener: Listener,
): Promise<Float32Array[]> {
  const data = await openData(files);
  try {
    const values = await readExpression(data, genes, {
      onProgress: (done, total) => listener.progress({ stage: "reading", done, total }),
    });
    return transfer(
      values,
      values.map(({ buffer }) => buffer),
    );
  } finally {
    data.close();
  }
}

/** Mean expression of a gene in the samples of columns of obs. */
export async function readGeneMeans(
  files: readonly LocalFile[],
  gene: string,
  keys: readonly string[],
  listener: Listener,
): Promise<SampleMeans> {
  const [values] = await readGenes(files, [gene], listener);
  const data = await openData(files);
  try {
    const means = keys.map(async (key) => {
      const { codes, names } = asGroups(plainColumn(await data.obs.column(key)));
      return [
        key,
        Array.from(
          meansBySample(values!, codes, names.length),
          (mean, sample) => [names[sample]!, mean] as const,
        ).filter(([, mean]) => Number.isFinite(mean)),
      ] as const;
    });
    return Object.fromEntries(await Promise.all(means));
  } finally {
    data.close();
  }
}
