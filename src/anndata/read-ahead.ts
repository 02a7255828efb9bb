// A large matrix of a file is read ahead by a thread of its own: compressed chunks are inflated while the
// caller computes. The next block is read by whoever is free first, the thread or the caller; that changes
// who reads a block, never what is in it or when it is handed out.
import { canShareMemory, startProducer, type Producer } from "#platform";
import { blocks, rowsPerBlock, type Matrix, type MatrixDescription, type SparseRows } from "./matrix.js";

/** A matrix by its file and its place there: "X", "raw.X", "layers/NAME". */
export interface MatrixPlace {
  readonly path: string;
  readonly name: string;
  readonly matrix: Matrix;
}

/** What the thread is asked for. */
export interface ReadTask {
  readonly path: string;
  readonly name: string;
  /** the same matrix, where it can be read by this alone */
  readonly described: MatrixDescription | null;
  readonly rowsPerBlock: number;
  /** number of the next block that nobody reads yet */
  readonly next: Int32Array<SharedArrayBuffer>;
}

/** A block by its number; its arrays may be longer than what they hold, so that they can be filled again. */
export interface GivenBlock extends SparseRows {
  readonly number: number;
  /** stored values */
  readonly length: number;
}

/**
 * All rows of a matrix in order, a block at a time; a block holds until the next one is asked for. To be read
 * once, and closed.
 */
export interface BlockReader {
  blocks(): AsyncGenerator<{ readonly start: number; readonly block: SparseRows }>;
  close(): Promise<void>;
}

/** Stored values from which a thread is worth its start. */
export const worthAThread = 16_000_000;

/**
 * Whether a thread may read the matrix by its place in the file, and shares the work with the caller. By
 * columns, it would turn the whole matrix round once more.
 */
export function isReadByThread(matrix: Matrix, least: number): boolean {
  return canShareMemory() && matrix.stored >= least && matrix.format !== "csc" && !matrix.isDerived;
}

/**
 * Starts to read: a large matrix from now on, a small one when its blocks are asked for.
 * @param rows - per block
 * @param least - stored values of a large matrix
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
  producer.catch(() => undefined); // told when blocks are asked for
  return {
    blocks: () => blocksOfBoth(matrix, rows, next, producer),
    close: () =>
      producer.then(
        (started) => started.close(),
        () => undefined,
      ),
  };
}

/** What cannot be described is opened by its name, and has errors of its own. */
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
  const own = new Map<number, SparseRows>();
  for (let wanted = 0; wanted < count; wanted++) {
    const start = wanted * rows;
    for (;;) {
      const taken = given.get(wanted) ?? null;
      const mine = own.get(wanted);
      if (taken) {
        yield { start, block: contentOf(taken) };
        given.delete(wanted);
        producer.recycle(taken);
        break;
      }
      if (mine) {
        yield { start, block: mine };
        own.delete(wanted);
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
      own.set(number, { ...block, indices: block.indices.slice(), values: block.values.slice() });
    }
  }
}

/** Number of a block that is now the caller's to read; beyond the last where all are taken. */
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
