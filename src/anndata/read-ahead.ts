// Reads a large matrix ahead in a worker thread: compressed chunks are inflated while the caller computes.
// Each block is read by whichever is free first, the worker or the caller. This affects only who reads a
// block, not its content or the order of blocks.
import { canShareMemory, startProducer, type Producer } from "#platform";
import { blocks, rowsPerBlock, type Matrix, type MatrixDescription, type SparseRows } from "./matrix.js";

/** A matrix identified by its file and its name there: "X", "raw.X", "layers/NAME". */
export interface MatrixPlace {
  readonly path: string;
  readonly name: string;
  readonly matrix: Matrix;
}

/** Task sent to the worker. */
export interface ReadTask {
  readonly path: string;
  readonly name: string;
  /** description of the matrix, if it can be read from that alone */
  readonly described: MatrixDescription | null;
  readonly rowsPerBlock: number;
  /** number of the next unclaimed block */
  readonly next: Int32Array<SharedArrayBuffer>;
}

/** A block with its number. Its arrays may be longer than their content, so that they can be reused. */
export interface GivenBlock extends SparseRows {
  readonly number: number;
  /** stored values */
  readonly length: number;
}

/**
 * All rows of a matrix in order, one block at a time. A block is valid until the next one is requested. Read
 * once, then close.
 */
export interface BlockReader {
  blocks(): AsyncGenerator<{ readonly start: number; readonly block: SparseRows }>;
  close(): Promise<void>;
}

/** Number of stored values above which starting a worker pays off. */
export const worthAThread = 16_000_000;

/**
 * Whether a worker may read the matrix from its file and share the work with the caller. Not for CSC
 * matrices, which the worker would have to transpose again.
 */
export function isReadByThread(matrix: Matrix, least: number): boolean {
  return canShareMemory() && matrix.stored >= least && matrix.format !== "csc" && !matrix.isDerived;
}

/**
 * Starts reading: at once for a large matrix, on demand for a small one.
 * @param rows - per block
 * @param least - number of stored values of a large matrix
 */
export function readAhead(
  { path, name, matrix }: MatrixPlace,
  rows = rowsPerBlock(matrix),
  least = worthAThread,
): BlockReader {
  if (!isReadByThread(matrix, least))
    return { blocks: () => blocks(matrix, rows), close: async () => undefined };
  const next = new Int32Array(new SharedArrayBuffer(4));
  const producer = describe(matrix).then((described) =>
    startProducer<ReadTask, GivenBlock>("read-ahead", { path, name, described, rowsPerBlock: rows, next }),
  );
  producer.catch(() => undefined); // reported when blocks are requested
  return {
    blocks: () => blocksOfBoth(matrix, rows, next, producer),
    close: () =>
      producer.then(
        (started) => started.close(),
        () => undefined,
      ),
  };
}

/** Describes the matrix. A matrix that cannot be described is opened by name, which reports its errors. */
async function describe(matrix: Matrix): Promise<MatrixDescription | null> {
  return (await matrix.describe?.().catch(() => null)) ?? null;
}

async function* blocksOfBoth(
  matrix: Matrix,
  rows: number,
  next: Int32Array<SharedArrayBuffer>,
  starting: Promise<Producer<GivenBlock>>,
): AsyncGenerator<{ start: number; block: SparseRows }> {
  const producer = await starting;
  const count = blockCount(matrix, rows);
  const given = new Map<number, GivenBlock>();
  const readByCaller = new Map<number, SparseRows>();
  for (let wanted = 0; wanted < count; wanted++) {
    const start = wanted * rows;
    for (;;) {
      const received = given.get(wanted) ?? null;
      const readHere = readByCaller.get(wanted);
      if (received) {
        yield { start, block: contentOf(received) };
        given.delete(wanted);
        producer.recycle(received);
        break;
      }
      if (readHere) {
        yield { start, block: readHere };
        readByCaller.delete(wanted);
        break;
      }
      const isLast = Atomics.load(next, 0) >= count;
      const arrived: GivenBlock | null = await producer.take(isLast);
      if (arrived) {
        given.set(arrived.number, arrived);
        continue;
      }
      const number = claimBlock(next);
      if (number >= count) continue;
      const block = await readBlock(matrix, rows, number);
      if (number === wanted) {
        yield { start, block };
        break;
      }
      readByCaller.set(number, { ...block, indices: block.indices.slice(), values: block.values.slice() });
    }
  }
}

/** Claims the next block for the caller; returns a number beyond the last if none is left. */
export function claimBlock(next: Int32Array<SharedArrayBuffer>): number {
  return Atomics.add(next, 0, 1);
}

export function blockCount(matrix: Matrix, rows: number): number {
  return Math.ceil(matrix.rows / rows);
}

export function readBlock(matrix: Matrix, rows: number, number: number): Promise<SparseRows> {
  return matrix.read(number * rows, Math.min(matrix.rows, (number + 1) * rows));
}

function contentOf({ rows, columns, indptr, indices, values, length }: GivenBlock): SparseRows {
  return {
    rows,
    columns,
    indptr: indptr.subarray(0, rows + 1),
    indices: indices.subarray(0, length),
    values: values.subarray(0, length),
  };
}
