// Matrices of a store (CSR, CSC and dense), read in blocks of rows.
//
// Blocks are read in few long ranges and whole compressed chunks. The part of a chunk that belongs to the
// next block is kept, so that sequential reading inflates every chunk once.
import { ScPoliError } from "../contract/errors.js";
import {
  sparseMatrix,
  type DenseMatrix,
  type Matrix,
  type MatrixDescription,
  type NumericArray,
  type SparseRows,
} from "./matrix.js";
import type { NumberArray, Store, StoredArray } from "./store.js";

/** Values read together in a pass over a whole matrix. */
const valuesPerPiece = 1 << 22;

/** rows and columns */
export type Shape = readonly [number, number];

/**
 * Opens the matrix at a path inside the file; null if there is none.
 * @param expected - its shape if the file does not state it
 * @throws ScPoliError "format" if something else is there
 */
export function openMatrix(file: Store, path: string, expected: Shape): Matrix | null {
  const kind = file.kind(path);
  if (kind === null) return null;
  if (kind === "dataset") {
    const dataset = file.dataset(path);
    return dataset.shape === null ? null : new DenseFileMatrix(dataset);
  }
  const encoding = sparseEncoding(file, path, expected);
  if (encoding === "csr_matrix" || encoding === "csr")
    return new CsrFileMatrix(openSparse(file, path, 0, expected));
  if (encoding === "csc_matrix" || encoding === "csc")
    return new CscFileMatrix(openSparse(file, path, 1, expected));
  throw new ScPoliError(
    "format",
    `${file.place(path)} is not a dense, CSR or CSC matrix (encoding: ${encoding ?? "none"}).`,
    { path: file.path, key: path },
  );
}

/**
 * The declared encoding of a group, or the one inferred from its arrays. A square matrix without encoding is
 * read as CSR.
 */
export function sparseEncoding(file: Store, path: string, [rows, columns]: Shape): string | undefined {
  const encoding = file.text(path, "encoding-type") ?? file.text(path, "h5sparse_format");
  if (
    encoding !== undefined ||
    !["data", "indices", "indptr"].every((name) => file.kind(`${path}/${name}`) === "dataset")
  )
    return encoding;
  const { length } = file.dataset(`${path}/indptr`);
  return length === rows + 1 ? "csr_matrix" : length === columns + 1 ? "csc_matrix" : undefined;
}

/** Opens a CSR matrix whose group declares neither encoding nor shape. */
export function openCsr(file: Store, path: string, shape: Shape): Matrix {
  return new CsrFileMatrix(openSparse(file, path, 0, shape));
}

/** Reads a whole dense matrix; a vector becomes one column. */
export async function readDense(file: Store, path: string): Promise<DenseMatrix> {
  if (file.kind(path) !== "dataset") {
    const encoding = file.text(path, "encoding-type") ?? "none";
    throw new ScPoliError("format", `${file.place(path)} is not a dense matrix (encoding: ${encoding}).`, {
      path: file.path,
      key: path,
    });
  }
  const dataset = file.dataset(path);
  if (dataset.shape === null) throw dataset.error("format", "it is empty (null)");
  return { rows: dataset.length, columns: dataset.width, values: await dataset.numbers() };
}

/**
 * Reads rows of a dataset in whole chunks into one reused buffer: allocating memory would cost more than the
 * reading.
 */
class RowReader {
  private start = 0;
  private end = 0;
  private buffer: NumericArray;

  constructor(
    private readonly dataset: NumberArray,
    private readonly create = (length: number): NumericArray => dataset.array(length),
  ) {
    this.buffer = create(0);
  }

  /** Values of rows [start, end): a read-only view of the buffer, valid until the next read. */
  async read(start: number, end: number): Promise<NumericArray> {
    const { dataset } = this;
    const { width, length, rowsPerChunk } = dataset;
    if (start < this.start || end > this.end) {
      const buffered = start >= this.start ? Math.max(0, this.end - start) : 0;
      // If chunks are so large that the window would fill the memory, some are inflated more than once
      // instead.
      const step = rowsPerChunk * width > 8 * valuesPerPiece ? 1 : rowsPerChunk;
      const from = buffered > 0 ? start : Math.floor(start / step) * step;
      const to = Math.min(length, Math.ceil(end / step) * step);
      this.keep((start - this.start) * width, buffered * width, (to - from) * width);
      await dataset.readInto(this.buffer, buffered * width, from + buffered, to);
      this.start = from;
      this.end = to;
    }
    return this.buffer.subarray((start - this.start) * width, (end - this.start) * width);
  }

  /** Moves `buffered` values to the front of a buffer that can hold `length`. */
  private keep(position: number, buffered: number, length: number): void {
    if (length <= this.buffer.length) {
      this.buffer.copyWithin(0, position, position + buffered);
      return;
    }
    const longer = this.create(Math.ceil(1.25 * length));
    longer.set(this.buffer.subarray(position, position + buffered));
    this.buffer = longer;
  }
}

class DenseFileMatrix implements Matrix {
  readonly format = "dense";
  private readonly reader: RowReader;
  private indices = new Int32Array(0);
  private values: NumericArray;

  constructor(private readonly dataset: StoredArray) {
    if (dataset.shape?.length !== 2 && dataset.shape?.length !== 1) {
      // a single gene is stored as a vector
      throw dataset.error(
        "format",
        `a matrix was expected, but it has ${dataset.shape?.length ?? 0} dimensions`,
      );
    }
    this.reader = new RowReader(dataset);
    this.values = dataset.array(0);
  }

  get rows() {
    return this.dataset.length;
  }
  get columns() {
    return this.dataset.width;
  }
  get dtype() {
    return this.dataset.dtype;
  }
  get place() {
    return this.dataset.place;
  }
  get stored() {
    return this.rows * this.columns;
  }

  async read(start: number, end: number): Promise<SparseRows> {
    const { columns } = this;
    const indptr = new Int32Array(end - start + 1);
    const step = Math.max(1, Math.floor(valuesPerPiece / Math.max(1, columns)));
    let stored = 0;
    for (let first = start; first < end; first += step) {
      const last = Math.min(end, first + step);
      const dense = await this.reader.read(first, last);
      for (let row = first; row < last; row++) {
        this.reserve(stored + columns);
        stored = pack(dense, (row - first) * columns, columns, this.indices, this.values, stored);
        indptr[row - start + 1] = stored;
      }
    }
    return {
      rows: end - start,
      columns,
      indptr,
      indices: this.indices.subarray(0, stored),
      values: this.values.subarray(0, stored),
    };
  }

  private reserve(length: number): void {
    if (length <= this.indices.length) return;
    const { indices, values } = this;
    this.indices = new Int32Array(2 * length);
    this.values = this.dataset.array(2 * length);
    this.indices.set(indices);
    this.values.set(values);
  }
}

/** Appends the non-zero values of one dense row. @returns the new length */
function pack(
  dense: NumericArray,
  from: number,
  columns: number,
  indices: Int32Array,
  values: NumericArray,
  at: number,
): number {
  for (let column = 0; column < columns; column++) {
    const value = dense[from + column]!;
    if (value === 0) continue;
    indices[at] = column;
    values[at++] = value;
  }
  return at;
}

/** The three arrays of a compressed sparse matrix, with lengths checked. */
export interface SparseParts {
  readonly place: string;
  readonly rows: number;
  readonly columns: number;
  readonly data: NumberArray;
  readonly indices: NumberArray;
  readonly indptr: NumberArray;
  error(problem: string): ScPoliError;
}

/** @param major - the dimension of `indptr`: 0 rows (CSR), 1 columns (CSC) */
function openSparse(file: Store, path: string, major: 0 | 1, expected: Shape): SparseParts {
  const place = file.place(path);
  const error = (problem: string) => damagedMatrix(place, file.path, path, problem);
  const shape = file.attribute(path, "shape") ?? file.attribute(path, "h5sparse_shape") ?? expected;
  if (
    !Array.isArray(shape) ||
    shape.length !== 2 ||
    !shape.every((length) => Number.isSafeInteger(length) && length >= 0)
  )
    throw error(`its shape is ${String(shape)}`);
  for (const name of ["data", "indices", "indptr"]) {
    if (file.kind(`${path}/${name}`) !== "dataset") throw error(`it has no "${name}"`);
  }
  const [data, indices, indptr] = ["data", "indices", "indptr"].map((name) =>
    file.dataset(`${path}/${name}`),
  ) as [StoredArray, StoredArray, StoredArray];
  const [rows, columns] = shape.map(Number) as [number, number];
  const pointers = (major === 0 ? rows : columns) + 1;
  if ([data, indices, indptr].some(({ width }) => width !== 1))
    throw error("one of its arrays has more than one dimension");
  if (indptr.length !== pointers)
    throw error(`"indptr" has ${indptr.length} entries; ${pointers} were expected`);
  if (data.length !== indices.length)
    throw error(`"data" has ${data.length} entries and "indices" ${indices.length}`);
  return { place, rows, columns, data, indices, indptr, error };
}

export function damagedMatrix(place: string, path: string, key: string, problem: string): ScPoliError {
  return new ScPoliError("format", `${place} is damaged: ${problem}.`, { path, key });
}

/** `indptr` as float64, which represents every 64-bit position that a file can have. */
async function readPointers({ indptr, data, error }: SparseParts): Promise<Float64Array> {
  const pointers = new Float64Array(indptr.length);
  await indptr.readInto(pointers, 0, 0, indptr.length);
  if (pointers[0] !== 0) throw error(`"indptr" starts with ${pointers[0]}; 0 was expected`);
  for (let i = 1; i < pointers.length; i++) {
    if (!(pointers[i]! >= pointers[i - 1]!))
      throw error(`"indptr" decreases from ${pointers[i - 1]} to ${pointers[i]} at entry ${i}`);
  }
  const last = pointers[pointers.length - 1]!;
  if (last > data.length) throw error(`"indptr" ends at ${last}, but there are only ${data.length} values`);
  return pointers;
}

/** What sparse matrices in files have in common: shape and type are those of their parts. */
abstract class SparseFileMatrix {
  constructor(protected readonly parts: SparseParts) {}

  get rows() {
    return this.parts.rows;
  }
  get columns() {
    return this.parts.columns;
  }
  get dtype() {
    return this.parts.data.dtype;
  }
  get place() {
    return this.parts.place;
  }
  get stored() {
    return this.parts.data.length;
  }
}

export class CsrFileMatrix extends SparseFileMatrix implements Matrix {
  readonly format = "csr";
  private pointers: Float64Array | null = null;
  private readonly indices: RowReader;
  private readonly values: RowReader;

  constructor(parts: SparseParts) {
    super(parts);
    this.indices = new RowReader(parts.indices, (length) => new Int32Array(length));
    this.values = new RowReader(parts.data);
  }

  async read(start: number, end: number): Promise<SparseRows> {
    const pointers = (this.pointers ??= await readPointers(this.parts));
    const from = pointers[start]!;
    const indptr = new Int32Array(end - start + 1);
    for (let row = 0; row < indptr.length; row++) indptr[row] = pointers[start + row]! - from;
    const indices = (await this.indices.read(from, pointers[end]!)) as Int32Array;
    const values = await this.values.read(from, pointers[end]!);
    const block = { rows: end - start, columns: this.columns, indptr, indices, values };
    return isTidy(block) ? block : this.tidy(block, start);
  }

  async describe(): Promise<MatrixDescription | null> {
    const { place, rows, columns, data, indices, indptr } = this.parts;
    const [values, columnIndices, pointers] = await Promise.all(
      [data, indices, indptr].map((array) => array.describe?.() ?? null),
    );
    return values && columnIndices && pointers
      ? { place, rows, columns, data: values, indices: columnIndices, indptr: pointers }
      : null;
  }

  /** Sorts each row by column and removes zeros. */
  private tidy({ rows, columns, indptr, indices, values }: SparseRows, start: number): SparseRows {
    const tidy = {
      rows,
      columns,
      indptr: new Int32Array(rows + 1),
      indices: new Int32Array(indices.length),
      values: values.slice(),
    };
    let k = 0;
    for (let row = 0; row < rows; row++) {
      const first = indptr[row]!;
      const length = indptr[row + 1]! - first;
      // column and position packed into one number, so that one typed-array sort orders both
      const order = new Float64Array(length);
      for (let i = 0; i < length; i++) order[i] = indices[first + i]! * length + i;
      order.sort();
      let previous = -1;
      for (const key of order) {
        const column = Math.floor(key / length);
        const value = values[first + (key - column * length)]!;
        if (column < 0 || column >= columns)
          throw this.parts.error(`row ${start + row} has a value in column ${column} of ${columns}`);
        if (column === previous)
          throw this.parts.error(
            `row ${start + row} has two values in column ${column}. Call sum_duplicates() on it in Python`,
          );
        previous = column;
        if (value === 0) continue;
        tidy.indices[k] = column;
        tidy.values[k++] = value;
      }
      tidy.indptr[row + 1] = k;
    }
    return { ...tidy, indices: tidy.indices.subarray(0, k), values: tidy.values.subarray(0, k) };
  }
}

/** Whether columns increase within each row and are in range, and no value is zero. */
function isTidy({ rows, columns, indptr, indices, values }: SparseRows): boolean {
  for (let row = 0; row < rows; row++) {
    if (!isTidyRow(indices, values, indptr[row]!, indptr[row + 1]!, columns)) return false;
  }
  return true;
}

function isTidyRow(
  indices: Int32Array,
  values: NumericArray,
  start: number,
  end: number,
  columns: number,
): boolean {
  let previous = -1;
  for (let k = start; k < end; k++) {
    const column = indices[k]!;
    if (column <= previous || values[k] === 0) return false;
    previous = column;
  }
  return previous < columns;
}

/** A CSC matrix. Its values are in column order, so the first read transposes the whole matrix in memory. */
class CscFileMatrix extends SparseFileMatrix implements Matrix {
  readonly format = "csc";
  private byRow: Promise<Matrix> | null = null;

  async read(start: number, end: number): Promise<SparseRows> {
    this.byRow ??= transpose(this.parts).then((rows) => sparseMatrix(rows, this.place));
    return (await this.byRow).read(start, end);
  }
}

/** Converts a CSC matrix to rows: one pass counts the values of each row, a second places them. */
async function transpose(parts: SparseParts): Promise<SparseRows> {
  const { rows, columns, data, indices, error } = parts;
  const pointers = await readPointers(parts);
  const stored = pointers[columns]!;
  if (stored >= 2 ** 31) {
    throw new ScPoliError(
      "memory",
      `${parts.place} is stored by columns (CSC) and too large to be converted. Save it by rows (CSR) ` +
        "from Python: adata.X = adata.X.tocsr().",
    );
  }
  const rowReader = new RowReader(indices, (length) => new Int32Array(length));
  const indptr = new Int32Array(rows + 1);
  for (let start = 0; start < stored; start += valuesPerPiece) {
    for (const row of await rowReader.read(start, Math.min(stored, start + valuesPerPiece))) {
      if (row < 0 || row >= rows) throw error(`a value is in row ${row} of ${rows}`);
      indptr[row + 1]!++;
    }
  }
  for (let row = 0; row < rows; row++) indptr[row + 1]! += indptr[row]!;

  const valueReader = new RowReader(data);
  const next = indptr.slice(0, rows);
  const block = { rows, columns, indptr, indices: new Int32Array(stored), values: data.array(stored) };
  for (let start = 0, column = 0; start < stored; start += valuesPerPiece) {
    const end = Math.min(stored, start + valuesPerPiece);
    const at = await rowReader.read(start, end);
    const values = await valueReader.read(start, end);
    for (let k = start; k < end; k++) {
      while (k >= pointers[column + 1]!) column++;
      const row = at[k - start]!;
      const position = next[row]!++;
      if (position > indptr[row]! && block.indices[position - 1] === column)
        throw error(`column ${column} has two values in row ${row}. Call sum_duplicates() on it in Python`);
      block.indices[position] = column;
      block.values[position] = values[k - start]!;
    }
  }
  return block;
}
