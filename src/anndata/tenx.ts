// Reads the output of 10x Genomics' CellRanger as AnnData: matrix.h5 of version 2 (one group per genome) and
// 3, and folders with matrix.mtx, features or genes, and barcodes. Cells are barcodes. Genes are symbols,
// made unique as in anndata, with gene_ids and feature_types as columns of var.
import { fileStatus, joinPath, readLines } from "#platform";
import { ScPoliError } from "../contract/errors.js";
import type { Column, DataFrame, StringColumn } from "./dataframe.js";
import { Hdf5File } from "./hdf5.js";
import { sparseMatrix, type Matrix, type SparseRows } from "./matrix.js";
import { missingKey } from "../contract/nearest-names.js";
import type { AnnDataReader } from "./reader.js";
import { openCsr } from "./stored-matrix.js";
import { readTextTable } from "./tsv-table.js";

/** The feature type whose names stay unchanged if other features have the same names. */
const firstType = "Gene Expression";

interface Features {
  readonly ids: readonly string[];
  readonly symbols: readonly string[];
  /** null if there are only genes */
  readonly types: readonly string[] | null;
}

/** Group of the CellRanger matrix in an HDF5 file; null if there is none. */
export function tenxGroup(file: Hdf5File): string | null {
  return (
    file
      .keys("/")
      .find(
        (name) => file.kind(`${name}/barcodes`) === "dataset" && file.kind(`${name}/indptr`) === "dataset",
      ) ?? null
  );
}

/** @param group - from `tenxGroup` */
export async function openTenxH5(file: Hdf5File, group: string): Promise<AnnDataReader> {
  const texts = async (name: string): Promise<string[]> => {
    if (file.kind(`${group}/${name}`) !== "dataset")
      throw new ScPoliError(
        "format",
        `${file.path} looks like a 10x Genomics matrix, but has no ${group}/${name}.`,
        { path: file.path },
      );
    return (await file.dataset(`${group}/${name}`).strings()).map((text) => text ?? "");
  };
  const genomes = file.keys("/").filter((name) => file.kind(`${name}/barcodes`) === "dataset");
  if (genomes.length > 1)
    throw new ScPoliError(
      "format",
      `${file.path} has matrices of ${genomes.length} genomes: ${genomes.join(", ")}. One was expected. ` +
        `Extract one in Python: scanpy.read_10x_h5(path, genome="${genomes[0]}").`,
      { path: file.path },
    );
  const isNew = file.kind(`${group}/features`) === "group";
  const features = isNew
    ? {
        ids: await texts("features/id"),
        symbols: await texts("features/name"),
        types: await texts("features/feature_type"),
      }
    : { ids: await texts("genes"), symbols: await texts("gene_names"), types: null };
  const barcodes = await texts("barcodes");
  return tenxReader(
    file.path,
    barcodes,
    features,
    openCsr(file, group, [barcodes.length, features.ids.length]),
    () => file.close(),
  );
}

/** Whether the file names of a folder are those of a 10x folder. */
export function isTenxFolder(names: readonly string[]): boolean {
  return names.includes("matrix.mtx") || names.includes("matrix.mtx.gz");
}

export async function openTenxFolder(path: string): Promise<AnnDataReader> {
  const find = async (...names: string[]): Promise<string> => {
    for (const name of names.flatMap((name) => [name, `${name}.gz`]))
      if ((await fileStatus(joinPath(path, name)))?.kind === "file") return joinPath(path, name);
    throw new ScPoliError(
      "file",
      `${path} has a matrix.mtx, but no ${names.join(" or ")} in the same folder.`,
      {
        path,
      },
    );
  };
  const column = (lines: readonly (readonly string[])[], at: number): string[] =>
    lines.map((fields) => fields[at] ?? fields[0]!);
  const featuresPath = await find("features.tsv", "genes.tsv");
  const barcodesPath = await find("barcodes.tsv");
  const matrixPath = await find("matrix.mtx");
  const size = await marketSize(matrixPath);
  const table = await readTextTable(featuresPath, size?.genes ?? null);
  const cells = await readTextTable(barcodesPath, size?.cells ?? null);
  const types = column(table.rows, 2);
  const hasTypes = table.rows.every((fields) => fields.length > 2) && new Set(types).size <= mostTypes;
  const features = {
    ids: column(table.rows, 0),
    symbols: column(table.rows, 1),
    types: hasTypes && types.length > 0 ? types : null,
  };
  const barcodes = column(cells.rows, 0);
  const rows = await readMatrixMarket(matrixPath, barcodes.length, table.rows.length);
  const reader = tenxReader(path, barcodes, features, sparseMatrix(rows, matrixPath), () => undefined);
  return { ...reader, notes: [...table.notes, ...cells.notes, ...(reader.notes ?? [])] };
}
/**
 * Most distinct feature types; CellRanger has fewer. A different column has about as many values as genes.
 */
const mostTypes = 20;

/**
 * The sizes in the header of a Matrix Market file; null if there are none, which `readMatrixMarket` reports.
 */
async function marketSize(path: string): Promise<{ readonly genes: number; readonly cells: number } | null> {
  for await (const line of readLines(path)) {
    if (line.startsWith("%") || line.trim() === "") continue;
    const [genes, cells] = line.trim().split(/\s+/).map(Number);
    return Number.isInteger(genes) && Number.isInteger(cells) ? { genes: genes!, cells: cells! } : null;
  }
  return null;
}

/** Reads a genes x cells file into memory as cells x genes. */
async function readMatrixMarket(path: string, cells: number, genes: number): Promise<SparseRows> {
  const damaged = (problem: string) => new ScPoliError("format", `${path} is damaged: ${problem}.`, { path });
  let [number, stored, at] = [0, -1, 0];
  let [rows, columns, values] = [new Int32Array(0), new Int32Array(0), new Float64Array(0)];
  for await (const line of readLines(path)) {
    number++;
    if (number === 1) {
      if (!/^%%MatrixMarket\s+matrix\s+coordinate\s+(integer|real)\s+general\s*$/i.test(line))
        throw damaged(
          `its first line is "${line.slice(0, 80)}"; "%%MatrixMarket matrix coordinate integer general" ` +
            "was expected",
        );
      continue;
    }
    if (line.startsWith("%") || line.trim() === "") continue;
    const fields = line.trim().split(/\s+/).map(Number);
    if (fields.length !== 3 || !fields.every(Number.isFinite))
      throw damaged(`line ${number} is "${line.slice(0, 80)}"; three numbers were expected`);
    const [gene, cell, value] = fields as [number, number, number];
    if (stored < 0) {
      if (gene !== genes || cell !== cells)
        throw damaged(`it is ${gene} x ${cell}, but there are ${genes} features and ${cells} barcodes`);
      if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** 31 || value > gene * cell)
        throw damaged(`it declares ${value} values`);
      stored = value;
      continue;
    }
    if (at === stored) throw damaged(`it has more than the ${stored} values it declares`);
    if (!(
      Number.isInteger(gene) &&
      gene >= 1 &&
      gene <= genes &&
      Number.isInteger(cell) &&
      cell >= 1 &&
      cell <= cells
    ))
      throw damaged(`line ${number} has a value at (${gene}, ${cell}) of a ${genes} x ${cells} matrix`);
    if (at === rows.length)
      [rows, columns, values] = [longer(rows, stored), longer(columns, stored), longer(values, stored)] as [
        typeof rows,
        typeof columns,
        typeof values,
      ];
    rows[at] = cell - 1;
    columns[at] = gene - 1;
    values[at++] = value;
  }
  if (stored < 0) throw damaged("its size line is missing");
  if (at < stored) throw damaged(`it declares ${stored} values, but has ${at}`);
  return sorted(cells, genes, rows.subarray(0, at), columns.subarray(0, at), values.subarray(0, at), damaged);
}

/** Grows with the values read; the declared size of a damaged file is not trusted. */
function longer<T extends Int32Array | Float64Array>(array: T, most: number): T {
  const grown = new (array.constructor as new (length: number) => T)(
    Math.min(most, Math.max(1 << 16, 2 * array.length)),
  );
  grown.set(array);
  return grown;
}

function sorted(
  rows: number,
  columns: number,
  rowOf: Int32Array,
  columnOf: Int32Array,
  values: Float64Array,
  damaged: (problem: string) => ScPoliError,
): SparseRows {
  const byColumn = order(columnOf, columns);
  const block = {
    rows,
    columns,
    indptr: new Int32Array(rows + 1),
    indices: new Int32Array(values.length),
    values: new Float64Array(values.length),
  };
  for (const row of rowOf) block.indptr[row + 1]!++;
  for (let row = 0; row < rows; row++) block.indptr[row + 1]! += block.indptr[row]!;
  const next = block.indptr.slice(0, rows);
  for (const k of byColumn) {
    const row = rowOf[k]!;
    const position = next[row]!++;
    if (position > block.indptr[row]! && block.indices[position - 1] === columnOf[k])
      throw damaged(`gene ${columnOf[k]! + 1} has two values in cell ${row + 1}`);
    block.indices[position] = columnOf[k]!;
    block.values[position] = values[k]!;
  }
  return block;
}

/** Stable order of positions by increasing key. */
function order(keys: Int32Array, count: number): Int32Array {
  const starts = new Int32Array(count + 1);
  for (const key of keys) starts[key + 1]!++;
  for (let key = 0; key < count; key++) starts[key + 1]! += starts[key]!;
  const positions = new Int32Array(keys.length);
  keys.forEach((key, k) => (positions[starts[key]!++] = k));
  return positions;
}

function tenxReader(
  path: string,
  barcodes: readonly string[],
  features: Features,
  matrix: Matrix,
  close: () => void,
): AnnDataReader {
  const { ids, symbols, types } = features;
  if (symbols.length !== ids.length || (types && types.length !== ids.length))
    throw new ScPoliError(
      "format",
      `${path} is damaged: it has ${ids.length} gene ids and ${symbols.length} names.`,
      { path },
    );
  const column = (values: readonly string[]): StringColumn => ({
    kind: "string",
    length: values.length,
    values,
  });
  const columns: Record<string, Column> = {
    gene_ids: column(ids),
    ...(types && { feature_types: column(types) }),
  };
  const none = (what: string) => (name: string) =>
    missingKey(`${path} has no ${what} "${name}".`, name, [], { path });
  return {
    path,
    format: "10x",
    obs: frame(`${path}: barcodes`, barcodes, {}),
    var: frame(`${path}: features`, uniqueSymbols(symbols, types), columns),
    layerNames: [],
    obsmNames: [],
    unsNames: [],
    openX: () => matrix,
    openRaw: () => null,
    close,
    openLayer: (name) => {
      throw none("layer")(name);
    },
    readObsm: async (name) => {
      throw none("obsm")(name);
    },
    readUns: async (name) => {
      throw none("uns")(name);
    },
  };
}

function frame(
  place: string,
  names: readonly string[],
  columns: Readonly<Record<string, Column>>,
): DataFrame {
  const columnNames = Object.keys(columns);
  return {
    length: names.length,
    columnNames,
    index: async () => names,
    column: async (name) => {
      if (!columnNames.includes(name))
        throw missingKey(`${place} has no column "${name}".`, name, columnNames);
      return columns[name]!;
    },
  };
}

/** Makes names unique, those of genes first, so that an antibody of the same name does not rename a gene. */
function uniqueSymbols(symbols: readonly string[], types: readonly string[] | null): string[] {
  const isFirst = (row: number): boolean => types === null || types[row] === firstType;
  const rows = [...symbols.keys()];
  const order = [...rows.filter(isFirst), ...rows.filter((row) => !isFirst(row))];
  const named = unique(order.map((row) => symbols[row]!));
  const names = symbols.slice();
  order.forEach((row, i) => (names[row] = named[i]!));
  return names;
}

/** As anndata's var_names_make_unique: "A", "A-1", "A-2". */
function unique(names: readonly string[]): string[] {
  const usedNames = new Set(names);
  const seen = new Map<string, number>();
  return names.map((name) => {
    const times = seen.get(name);
    if (times === undefined) {
      seen.set(name, 0);
      return name;
    }
    let next = times + 1;
    while (usedNames.has(`${name}-${next}`)) next++;
    seen.set(name, next);
    usedNames.add(`${name}-${next}`);
    return `${name}-${next}`;
  });
}
