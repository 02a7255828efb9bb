// Distances between all pairs of points, on all threads: mean distances to groups (for silhouettes) and exact
// nearest neighbours, in one pass. The kernel is kernels/pairs.ts; memory is bounded, as distances are not
// stored. 50,000 points of 10 dimensions have 2.5 billion distances, which takes a few seconds.
import { processorCount, startThreads, type Threads } from "#platform";
import { ScPoliError } from "../contract/errors.js";
import { pairs } from "./pairs.generated.js";
import { KernelMemory } from "./memory.js";

export interface PairsInput {
  /** (N, D) finite */
  readonly points: ArrayLike<number>;
  readonly D: number;
  /** (N) cell type of each point, from 0 */
  readonly types: Int32Array;
  /** (N) condition of each point, from 0 */
  readonly conditions: Int32Array;
  /** query points. Default: all points */
  readonly rows?: Int32Array;
  /** number of nearest other points per row, at most N - 1. Default 0 */
  readonly nearest?: number;
}

export interface PairsRun {
  /** default: number of processors; the result does not depend on it */
  readonly threads?: number;
  /** called with the fraction done, 0..1; throwing ends the work */
  readonly onProgress?: (share: number) => void;
}

/** Results per row. */
export interface PairsResult {
  /** (rows) mean distance to the other points of the same type; 0 if there are none */
  readonly ownType: Float64Array;
  /** (rows) mean distance to the nearest other type; Infinity if there is none */
  readonly otherType: Float64Array;
  /** (rows) the same for conditions, among points of the same type only */
  readonly ownCondition: Float64Array;
  readonly otherCondition: Float64Array;
  /** number of neighbours per row */
  readonly k: number;
  /** (rows, k) points, nearest first */
  readonly indices: Int32Array;
  /** (rows, k) Euclidean distances, ascending */
  readonly distances: Float64Array;
}

interface PairsKernel {
  scratchBytes(types: number, mostRuns: number): number;
  share(thread: number, most: number): number;
}

const recordAddress = 1024;
/** Order of the fields in kernels/pairs.ts. */
const fields = [
  "next",
  "failed",
  "rows",
  "columns",
  "dimensions",
  "nearest",
  "types",
  "points",
  "rowColumn",
  "columnType",
  "typeStart",
  "firstRun",
  "runStart",
  "means",
  "nearestColumns",
  "squared",
  "scratch",
] as const;
const failedAddress = recordAddress + 4;
/** Blocks of rows between two calls of `onProgress`. */
const blocksPerLook = 64;

/** Offsets of the groups after sorting. */
interface Groups {
  /** (N) point of each column: sorted by type, then condition */
  readonly order: Int32Array;
  readonly columnType: Int32Array;
  readonly typeStart: Int32Array;
  readonly firstRun: Int32Array;
  readonly runStart: Int32Array;
  readonly mostRuns: number;
}

/** @throws ScPoliError "memory" if memory or threads cannot be allocated */
export async function allPairs(
  input: PairsInput,
  { threads = processorCount(), onProgress }: PairsRun = {},
): Promise<PairsResult> {
  const N = input.types.length;
  const rows = input.rows ?? Int32Array.from({ length: N }, (_, i) => i);
  const k = Math.max(0, Math.min(input.nearest ?? 0, N - 1));
  const groups = group(input.types, input.conditions);
  const memory = new KernelMemory();
  const module = await WebAssembly.compile(
    Uint8Array.from(atob(pairs), (character) => character.charCodeAt(0)),
  );
  const kernel = (await WebAssembly.instantiate(module, { env: { memory: memory.memory } }))
    .exports as unknown as PairsKernel;
  const used = Math.max(1, Math.min(threads, Math.ceil(rows.length / 4)));
  const sorted = sortRows(rows, groups.order);
  const places = place(memory, kernel, input, groups, sorted, k, used);
  const others = used > 1 ? await startThreads(module, memory.memory, used - 1, failedAddress) : null;
  await shareOut(kernel, memory, others, rows.length, onProgress);
  return read(memory, places, groups.order, sorted, rows.length, k);
}

/** Counting sort by type, then condition. */
function group(types: Int32Array, conditions: Int32Array): Groups {
  const order = Int32Array.from({ length: types.length }, (_, i) => i).sort(
    (a, b) => types[a]! - types[b]! || conditions[a]! - conditions[b]! || a - b,
  );
  const count = types.reduce((most, type) => Math.max(most, type + 1), 0);
  const typeStart = new Int32Array(count + 1);
  const firstRun = new Int32Array(count + 1);
  const runStart: number[] = [];
  let mostRuns = 0;
  for (let type = 0, column = 0; type < count; type++) {
    typeStart[type] = column;
    firstRun[type] = runStart.length;
    for (; column < order.length && types[order[column]!] === type; column++)
      if (column === typeStart[type] || conditions[order[column]!] !== conditions[order[column - 1]!])
        runStart.push(column);
    mostRuns = Math.max(mostRuns, runStart.length - firstRun[type]!);
    typeStart[type + 1] = column;
    firstRun[type + 1] = runStart.length;
  }
  runStart.push(order.length);
  return {
    order,
    columnType: order.map((point) => types[point]!),
    typeStart,
    firstRun,
    runStart: Int32Array.from(runStart),
    mostRuns,
  };
}

/** Query rows in the order of their columns, so that the rows of a block are close to each other. */
interface SortedRows {
  /** (rows) column of each */
  readonly columns: Int32Array;
  /** (rows) index of the query row */
  readonly asked: Int32Array;
}

function sortRows(rows: Int32Array, order: Int32Array): SortedRows {
  const columnOf = new Int32Array(order.length);
  order.forEach((point, column) => (columnOf[point] = column));
  const asked = Int32Array.from({ length: rows.length }, (_, i) => i).sort(
    (a, b) => columnOf[rows[a]!]! - columnOf[rows[b]!]! || a - b,
  );
  return { columns: asked.map((row) => columnOf[rows[row]!]!), asked };
}

interface Places {
  readonly means: number;
  readonly nearestColumns: number;
  readonly squared: number;
}

/** Copies the input and its record into the kernel's memory. */
function place(
  memory: KernelMemory,
  kernel: PairsKernel,
  { points, D }: PairsInput,
  groups: Groups,
  { columns }: SortedRows,
  k: number,
  threads: number,
): Places {
  const { order, columnType, typeStart, firstRun, runStart, mostRuns } = groups;
  const integers = (values: Int32Array): number => {
    const pointer = memory.allocate(4 * values.length);
    memory.integers(pointer, values.length).set(values);
    return pointer;
  };
  const tiles = Math.ceil(order.length / 4);
  const tiled = memory.allocate(16 * D * tiles);
  const stored = memory.floats(tiled, 4 * D * tiles);
  order.forEach((point, column) => {
    for (let d = 0; d < D; d++) stored[((column >> 2) * D + d) * 4 + (column & 3)] = points[point * D + d]!;
  });
  const scratchBytes = kernel.scratchBytes(typeStart.length - 1, mostRuns);
  const record: Record<(typeof fields)[number], number> = {
    next: 0,
    failed: 0,
    rows: columns.length,
    columns: order.length,
    dimensions: D,
    nearest: k,
    types: typeStart.length - 1,
    points: tiled,
    rowColumn: integers(columns),
    columnType: integers(columnType),
    typeStart: integers(typeStart),
    firstRun: integers(firstRun),
    runStart: integers(runStart),
    means: memory.allocate(32 * columns.length),
    nearestColumns: memory.allocate(4 * k * columns.length),
    squared: memory.allocate(4 * k * columns.length),
    scratch: integers(Int32Array.from({ length: threads }, () => memory.allocate(scratchBytes))),
  };
  memory.integers(recordAddress, fields.length).set(fields.map((field) => record[field]));
  return record;
}

/** Processes rows concurrently with other threads until all are done. */
async function shareOut(
  kernel: PairsKernel,
  memory: KernelMemory,
  others: Threads | null,
  rows: number,
  onProgress: PairsRun["onProgress"],
): Promise<void> {
  const words = memory.integers(recordAddress, 2);
  const blocks = Math.ceil(rows / 4);
  try {
    for (let next = 0; next < blocks;) {
      next = kernel.share(0, blocksPerLook);
      if (!onProgress) continue;
      onProgress(next / blocks);
      // yields to the event loop, for signals and messages
      await new Promise((resolve) => setTimeout(resolve));
    }
  } catch (error) {
    Atomics.store(words, 0, blocks); // the others find nothing left
    throw error;
  } finally {
    await others?.ended();
  }
  if (Atomics.load(words, 1) !== 0)
    throw new ScPoliError("memory", "a thread failed while distances were computed.");
}

function read(
  memory: KernelMemory,
  { means, nearestColumns, squared }: Places,
  order: Int32Array,
  { asked }: SortedRows,
  rows: number,
  k: number,
): PairsResult {
  const result: PairsResult = {
    ownType: new Float64Array(rows),
    otherType: new Float64Array(rows),
    ownCondition: new Float64Array(rows),
    otherCondition: new Float64Array(rows),
    k,
    indices: new Int32Array(rows * k),
    distances: new Float64Array(rows * k),
  };
  const [foundMeans, columns, squares] = [
    memory.doubles(means, 4 * rows),
    memory.integers(nearestColumns, k * rows),
    memory.floats(squared, k * rows),
  ];
  asked.forEach((row, sorted) => {
    [result.ownType[row], result.otherType[row], result.ownCondition[row], result.otherCondition[row]] =
      foundMeans.subarray(4 * sorted, 4 * sorted + 4) as unknown as [number, number, number, number];
    for (let rank = 0; rank < k; rank++) {
      result.indices[row * k + rank] = order[columns[sorted * k + rank]!]!;
      result.distances[row * k + rank] = Math.sqrt(squares[sorted * k + rank]!);
    }
  });
  return result;
}
