// All pairs of points: for each row the mean distances for silhouettes, and its nearest columns. A separate
// module, see src/kernel-modules/pairs.ts.
//
// Columns are stored in tiles of four, [N / 4][D][4], sorted by cell type and within a type by condition, so
// that groups are ranges of columns. Four rows at a time are compared with chunks of columns that stay in the
// cache; squared distances are sums of squared differences in float32, sums of distances are float64. Threads
// take rows from a counter. Results do not depend on the thread: columns are processed in a fixed order,
// starting with the chunk of the row, so that most other columns are too far away to be among the nearest.

// @ts-ignore: decorator
@unmanaged
class Pairs {
  /** next block of four rows */
  next: i32;
  /** 1 after a trap in some thread */
  failed: i32;
  rows: i32;
  columns: i32;
  dimensions: i32;
  /** number of nearest columns, may be 0 */
  nearest: i32;
  types: i32;
  /** [N / 4][D][4], zeros after the last column */
  points: usize;
  /** (rows) column of each row */
  rowColumn: usize;
  /** (columns) type of each */
  columnType: usize;
  /** (types + 1) first column of each type */
  typeStart: usize;
  /** (types + 1) first run of each type: a run is the columns of one type and one condition */
  firstRun: usize;
  /** (runs + 1) first column of each run */
  runStart: usize;
  /**
   * (rows, 4) float64: mean distance to the same type, to the nearest other type, to the same condition
   * within the type, to the nearest other condition within the type
   */
  means: usize;
  /** (rows, nearest) columns and squared distances, ascending, without the row itself */
  nearestColumns: usize;
  squared: usize;
  /** per thread: start of its scratch memory */
  scratch: usize;
}

// @ts-ignore: decorator
@inline
function pairs(): Pairs {
  return changetype<Pairs>(1024);
}

const chunkColumns = 1024;
const blockRows = 4;

/** Bytes of scratch memory per thread. */
export function scratchBytes(types: i32, mostRuns: i32): i32 {
  return blockRows * (chunkColumns * 4 + (types + mostRuns) * 8 + 16) + blockRows * 16;
}

/** Entry point of another thread: processes blocks of rows until none are left. */
export function work(thread: i32): void {
  share(thread, i32.MAX_VALUE);
}

/** Processes at most `most` blocks of rows. @returns the next block over all threads */
export function share(thread: i32, most: i32): i32 {
  const p = pairs();
  const blocks = (p.rows + blockRows - 1) / blockRows;
  const scratch = load<usize>(p.scratch + ((<usize>thread) << 2));
  for (let i = 0; i < most; i++) {
    const block = atomic.add<i32>(1024, 1);
    if (block >= blocks) return blocks;
    rowsOf(p, block * blockRows, min(p.rows, (block + 1) * blockRows), scratch);
  }
  return min(blocks, atomic.load<i32>(1024));
}

function rowsOf(p: Pairs, first: i32, last: i32, scratch: usize): void {
  const buffer = scratch;
  const typeSums = scratch + blockRows * chunkColumns * 4;
  const lastRow = last - 1;
  // rows of a block may have different types: the buffers fit the type with most runs
  const sumsBytes = (<usize>sumsLength(p)) << 3;
  memory.fill(typeSums, 0, sumsBytes * blockRows);
  const heapSizes = typeSums + sumsBytes * blockRows;
  memory.fill(heapSizes, 0, blockRows * 4);
  const chunks = (p.columns + chunkColumns - 1) / chunkColumns;
  const startChunk = load<i32>(p.rowColumn + ((<usize>first) << 2)) / chunkColumns;
  for (let i = 0; i < chunks; i++) {
    const chunk = startChunk + i < chunks ? startChunk + i : startChunk + i - chunks;
    const start = chunk * chunkColumns,
      end = min(p.columns, start + chunkColumns);
    squaredDistances(p, first, lastRow, start, end, buffer);
    for (let row = first; row < last; row++) {
      const r = <usize>(row - first);
      const distances = buffer + r * chunkColumns * 4;
      if (p.nearest > 0) keepNearest(p, row, distances, start, end, heapSizes + (r << 2));
      addDistances(p, row, distances, start, end, typeSums + r * sumsBytes);
    }
  }
  for (let row = first; row < last; row++) {
    if (p.nearest > 0) sortNearest(p, row);
    writeMeans(p, row, typeSums + <usize>(row - first) * sumsBytes);
  }
}

/** Sums of a row: one per type, then one per run of its type. */
function sumsLength(p: Pairs): i32 {
  let most = 0;
  for (let type = 0; type < p.types; type++) {
    const at = p.firstRun + ((<usize>type) << 2);
    most = max(most, load<i32>(at, 4) - load<i32>(at));
  }
  return p.types + most;
}

/**
 * (4, chunkColumns) squared distances of four rows to the columns of a chunk; rows after the last repeat it.
 */
function squaredDistances(p: Pairs, first: i32, lastRow: i32, start: i32, end: i32, buffer: usize): void {
  const bytes = (<usize>p.dimensions) << 4;
  const a = pointOf(p, first),
    b = pointOf(p, min(lastRow, first + 1)),
    c = pointOf(p, min(lastRow, first + 2)),
    d = pointOf(p, min(lastRow, first + 3));
  let tile = p.points + <usize>(start >> 2) * bytes;
  for (let column = start; column < end; column += 4) {
    let sumA = f32x4.splat(0),
      sumB = f32x4.splat(0),
      sumC = f32x4.splat(0),
      sumD = f32x4.splat(0);
    for (let k: usize = 0; k < bytes; k += 16) {
      const x = v128.load(tile + k);
      const da = f32x4.sub(x, v128.load32_splat(a + k)),
        db = f32x4.sub(x, v128.load32_splat(b + k));
      sumA = f32x4.add(sumA, f32x4.mul(da, da));
      sumB = f32x4.add(sumB, f32x4.mul(db, db));
      const dc = f32x4.sub(x, v128.load32_splat(c + k)),
        dd = f32x4.sub(x, v128.load32_splat(d + k));
      sumC = f32x4.add(sumC, f32x4.mul(dc, dc));
      sumD = f32x4.add(sumD, f32x4.mul(dd, dd));
    }
    const at = buffer + ((<usize>(column - start)) << 2);
    v128.store(at, sumA);
    v128.store(at, sumB, chunkColumns * 4);
    v128.store(at, sumC, chunkColumns * 8);
    v128.store(at, sumD, chunkColumns * 12);
    tile += bytes;
  }
}

/** Offset of the first dimension of a row; dimensions are 16 bytes apart. */
// @ts-ignore: decorator
@inline
function pointOf(p: Pairs, row: i32): usize {
  const column = load<i32>(p.rowColumn + ((<usize>row) << 2));
  return p.points + ((<usize>(column >> 2) * <usize>p.dimensions) << 4) + ((<usize>(column & 3)) << 2);
}

/**
 * Sums the distances of a row to the columns [start, end) by type, and by run within the row's type.
 */
function addDistances(p: Pairs, row: i32, squared: usize, start: i32, end: i32, sums: usize): void {
  const rowType = load<i32>(p.columnType + ((<usize>load<i32>(p.rowColumn + ((<usize>row) << 2))) << 2));
  let column = start;
  for (let type = load<i32>(p.columnType + ((<usize>start) << 2)); column < end; type++) {
    const typeEnd = min(end, load<i32>(p.typeStart + ((<usize>type) << 2), 4));
    if (type != rowType) {
      addRange(sums + ((<usize>type) << 3), squared, column - start, typeEnd - start);
      column = typeEnd;
      continue;
    }
    const firstRun = load<i32>(p.firstRun + ((<usize>type) << 2));
    let run = runAt(p, column, firstRun, load<i32>(p.firstRun + ((<usize>type) << 2), 4));
    for (; column < typeEnd; run++) {
      const runEnd = min(typeEnd, load<i32>(p.runStart + ((<usize>run) << 2), 4));
      addRange(sums + ((<usize>(p.types + run - firstRun)) << 3), squared, column - start, runEnd - start);
      column = runEnd;
    }
  }
}

/** The run of a column, among [low, high). */
function runAt(p: Pairs, column: i32, low: i32, high: i32): i32 {
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (load<i32>(p.runStart + ((<usize>middle) << 2)) <= column) low = middle;
    else high = middle;
  }
  return low;
}

/** sum += the distances at positions [from, to) */
function addRange(sum: usize, squared: usize, from: i32, to: i32): void {
  let total: f64 = 0;
  let i = from;
  for (; i < to && (i & 3) != 0; i++) total += <f64>sqrt<f32>(load<f32>(squared + ((<usize>i) << 2)));
  let lanes = f32x4.splat(0);
  for (; i + 4 <= to; i += 4) lanes = f32x4.add(lanes, f32x4.sqrt(v128.load(squared + ((<usize>i) << 2))));
  total +=
    <f64>f32x4.extract_lane(lanes, 0) +
    <f64>f32x4.extract_lane(lanes, 1) +
    <f64>f32x4.extract_lane(lanes, 2) +
    <f64>f32x4.extract_lane(lanes, 3);
  for (; i < to; i++) total += <f64>sqrt<f32>(load<f32>(squared + ((<usize>i) << 2)));
  store<f64>(sum, load<f64>(sum) + total);
}

/** Means of a row from its sums; Infinity without other groups, 0 within a group of one. */
function writeMeans(p: Pairs, row: i32, sums: usize): void {
  const column = load<i32>(p.rowColumn + ((<usize>row) << 2));
  const type = load<i32>(p.columnType + ((<usize>column) << 2));
  const firstRun = load<i32>(p.firstRun + ((<usize>type) << 2)),
    lastRun = load<i32>(p.firstRun + ((<usize>type) << 2), 4);
  const ownRun = runAt(p, column, firstRun, lastRun);
  let typeSum: f64 = 0,
    runMean: f64 = 0,
    otherRun: f64 = Infinity,
    otherType: f64 = Infinity;
  for (let run = firstRun; run < lastRun; run++) {
    const sum = load<f64>(sums + ((<usize>(p.types + run - firstRun)) << 3));
    const cells =
      load<i32>(p.runStart + ((<usize>run) << 2), 4) - load<i32>(p.runStart + ((<usize>run) << 2));
    typeSum += sum;
    if (run == ownRun) runMean = cells > 1 ? sum / <f64>(cells - 1) : 0;
    else otherRun = min(otherRun, sum / <f64>cells);
  }
  for (let other = 0; other < p.types; other++) {
    const cells =
      load<i32>(p.typeStart + ((<usize>other) << 2), 4) - load<i32>(p.typeStart + ((<usize>other) << 2));
    if (other != type && cells > 0)
      otherType = min(otherType, load<f64>(sums + ((<usize>other) << 3)) / <f64>cells);
  }
  const cells =
    load<i32>(p.typeStart + ((<usize>type) << 2), 4) - load<i32>(p.typeStart + ((<usize>type) << 2));
  const at = p.means + ((<usize>row) << 5);
  store<f64>(at, cells > 1 ? typeSum / <f64>(cells - 1) : 0);
  store<f64>(at, otherType, 8);
  store<f64>(at, runMean, 16);
  store<f64>(at, otherRun, 24);
}

/** Maintains the nearest columns of a row in a heap with the farthest on top. */
function keepNearest(p: Pairs, row: i32, distances: usize, start: i32, end: i32, sizeAt: usize): void {
  const k = p.nearest;
  const heap = p.squared + ((<usize>row * k) << 2),
    columns = p.nearestColumns + ((<usize>row * k) << 2);
  const self = load<i32>(p.rowColumn + ((<usize>row) << 2));
  let size = load<i32>(sizeAt);
  let farthest: f32 = size < k ? Infinity : load<f32>(heap);
  let limit = f32x4.splat(farthest);
  for (let column = start; column < end; column += 4) {
    const nearLanes = i32x4.bitmask(f32x4.lt(v128.load(distances + ((<usize>(column - start)) << 2)), limit));
    if (nearLanes == 0) continue;
    for (let lane = 0; lane < 4; lane++) {
      const other = column + lane;
      if (((nearLanes >> lane) & 1) == 0 || other >= end || other == self) continue;
      const distance = load<f32>(distances + ((<usize>(other - start)) << 2));
      if (size < k) {
        siftUp(heap, columns, size++, distance, other);
        if (size < k) continue;
      } else if (distance < farthest) siftDown(heap, columns, 0, k, distance, other);
      farthest = load<f32>(heap);
      limit = f32x4.splat(farthest);
    }
  }
  store<i32>(sizeAt, size);
}

// @ts-ignore: decorator
@inline
function put(heap: usize, columns: usize, place: i32, distance: f32, column: i32): void {
  store<f32>(heap + ((<usize>place) << 2), distance);
  store<i32>(columns + ((<usize>place) << 2), column);
}

/** Order of the heap and of the result: by distance, then by column. */
// @ts-ignore: decorator
@inline
function isFarther(distance: f32, column: i32, otherDistance: f32, otherColumn: i32): bool {
  return distance > otherDistance || (distance == otherDistance && column > otherColumn);
}

function siftUp(heap: usize, columns: usize, place: i32, distance: f32, column: i32): void {
  while (place > 0) {
    const parent = (place - 1) >> 1;
    const above = load<f32>(heap + ((<usize>parent) << 2)),
      aboveColumn = load<i32>(columns + ((<usize>parent) << 2));
    if (!isFarther(distance, column, above, aboveColumn)) break;
    put(heap, columns, place, above, aboveColumn);
    place = parent;
  }
  put(heap, columns, place, distance, column);
}

function siftDown(heap: usize, columns: usize, place: i32, size: i32, distance: f32, column: i32): void {
  for (;;) {
    let child = 2 * place + 1;
    if (child >= size) break;
    if (
      child + 1 < size &&
      isFarther(
        load<f32>(heap + ((<usize>child) << 2), 4),
        load<i32>(columns + ((<usize>child) << 2), 4),
        load<f32>(heap + ((<usize>child) << 2)),
        load<i32>(columns + ((<usize>child) << 2)),
      )
    )
      child++;
    const below = load<f32>(heap + ((<usize>child) << 2)),
      belowColumn = load<i32>(columns + ((<usize>child) << 2));
    if (!isFarther(below, belowColumn, distance, column)) break;
    put(heap, columns, place, below, belowColumn);
    place = child;
  }
  put(heap, columns, place, distance, column);
}

/** Sorts the full heap of a row in ascending order. */
function sortNearest(p: Pairs, row: i32): void {
  const heap = p.squared + ((<usize>row * p.nearest) << 2),
    columns = p.nearestColumns + ((<usize>row * p.nearest) << 2);
  for (let size = p.nearest - 1; size > 0; size--) {
    const distance = load<f32>(heap + ((<usize>size) << 2)),
      column = load<i32>(columns + ((<usize>size) << 2));
    put(heap, columns, size, load<f32>(heap), load<i32>(columns));
    siftDown(heap, columns, 0, size, distance, column);
  }
}
