// The first encoder layer: out = log1p(x) W^T + b over the stored counts only (or another transformation of
// x). Weights are stored by gene, [G][H], H padded to a multiple of 8.
//
// Backward: dW[g, :] = sum over the cells that have gene g of log1p(x[b, g]) dout[b, :]. A task takes a tile
// of genes: it sorts the tile's stored counts by gene, sums each gene's row in registers over its cells in
// order, and passes the tile to Adam. Four vectors of a row are summed at a time: more would leave no
// registers for the loads, see linear.ts.

import { Target, take } from "./adam";
import { constant, log, log4, mad, splat } from "./math";
import { run, scratch } from "./run";

/** Total of a cell after normalisation; the same as normalizedTotal in src/numerics/log-normalized.ts. */
const normalizedTotal: f32 = 10000;

// @ts-ignore: decorator
@unmanaged
export class SparseForward {
  code: i32;
  weight: usize;
  bias: usize;
  /** bytes of a row of weights and of out */
  stride: usize;
  /** 0: counts, 1: log1p(counts), 2: log1p(10,000 counts / size factor) */
  transform: i32;
  out: usize;
  genes: i32;
  /** number of genes whose weights stay in the L2 cache for a block of rows */
  tileGenes: i32;
}

/**
 * out[b, :] for rows [first, last); gathers rows stored in the engine, and leaves the transformed counts in
 * `logCounts`.
 */
export function sparseForward(op: SparseForward, first: i32, last: i32): void {
  const stride = op.stride,
    indptr = run().indptr;
  for (let row = first; row < last; row++) gather(row);
  if (op.transform == 2) {
    for (let row = first; row < last; row++) {
      const at = indptr + ((<usize>row) << 2),
        scale = normalizedTotal / max<f32>(1, load<f32>(run().sizeFactors + ((<usize>row) << 2)));
      transform(true, scale, load<usize>(at) << 2, load<usize>(at, 4) << 2);
    }
  } else
    transform(
      op.transform == 1,
      1,
      load<usize>(indptr + ((<usize>first) << 2)) << 2,
      load<usize>(indptr + ((<usize>last) << 2)) << 2,
    );
  // scratch: next position of each row
  for (let row = first; row < last; row++) {
    memory.copy(op.out + <usize>row * stride, op.bias, stride);
    store<usize>(scratch + ((<usize>(row - first)) << 2), load<usize>(indptr + ((<usize>row) << 2)) << 2);
  }
  for (let gene = 0; gene < op.genes; gene += op.tileGenes)
    for (let row = first; row < last; row++) {
      const at = scratch + ((<usize>(row - first)) << 2),
        start = load<usize>(at);
      const end = firstFrom(gene + op.tileGenes, start, load<usize>(indptr + ((<usize>row) << 2), 4) << 2);
      store<usize>(at, end);
      addRows(op.weight, stride, start, end, op.out + <usize>row * stride);
    }
}

/** Copies a stored row, if it is one, into the minibatch. */
function gather(row: i32): void {
  const source = load<i32>(run().sources + ((<usize>row) << 2));
  if (source < 0) return;
  const start = load<i32>(run().indptr + ((<usize>row) << 2)),
    count = load<i32>(run().indptr + ((<usize>row) << 2), 4) - start;
  const fromIndices = run().keptIndices + ((<usize>source) << 1),
    fromCounts = run().keptCounts + <usize>source;
  const indices = run().indices + ((<usize>start) << 2),
    counts = run().counts + ((<usize>start) << 2);
  let i = 0;
  for (; i + 8 <= count; i += 8) {
    const at = (<usize>i) << 2,
      genes = v128.load(fromIndices + ((<usize>i) << 1)),
      values = i16x8.extend_low_i8x16_u(v128.load64_zero(fromCounts + <usize>i));
    v128.store(indices + at, i32x4.extend_low_i16x8_u(genes));
    v128.store(indices + at, i32x4.extend_high_i16x8_u(genes), 16);
    v128.store(counts + at, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(values)));
    v128.store(counts + at, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(values)), 16);
  }
  // the next row belongs to another thread: no store beyond the end
  for (; i < count; i++) {
    store<i32>(indices + ((<usize>i) << 2), <i32>load<u16>(fromIndices + ((<usize>i) << 1)));
    store<f32>(counts + ((<usize>i) << 2), <f32>load<u8>(fromCounts + <usize>i));
  }
}

/** First position in [start, end) of `indices` (in bytes) with a gene >= `gene`. */
function firstFrom(gene: i32, start: usize, end: usize): usize {
  const indices = run().indices;
  while (start < end) {
    const middle = (start + ((end - start) >> 1)) & ~3;
    if (load<i32>(indices + middle) < gene) start = middle + 4;
    else end = middle;
  }
  return start;
}

/** out += the rows of weights of the stored counts from `start` to `end`, times their values. */
function addRows(weight: usize, stride: usize, start: usize, end: usize, out: usize): void {
  const indices = run().indices,
    values = run().logCounts;
  let column: usize = 0;
  for (; column + 64 <= stride; column += 64) {
    const base = weight + column,
      o = out + column;
    let a0 = v128.load(o),
      a1 = v128.load(o, 16),
      a2 = v128.load(o, 32),
      a3 = v128.load(o, 48);
    for (let i = start; i < end; i += 4) {
      const w = base + load<usize>(indices + i) * stride,
        x = v128.load_splat<f32>(values + i);
      a0 = mad(x, v128.load(w), a0);
      a1 = mad(x, v128.load(w, 16), a1);
      a2 = mad(x, v128.load(w, 32), a2);
      a3 = mad(x, v128.load(w, 48), a3);
    }
    v128.store(o, a0);
    v128.store(o, a1, 16);
    v128.store(o, a2, 32);
    v128.store(o, a3, 48);
  }
  if (column < stride) {
    const base = weight + column,
      o = out + column;
    let a0 = v128.load(o),
      a1 = v128.load(o, 16);
    for (let i = start; i < end; i += 4) {
      const w = base + load<usize>(indices + i) * stride,
        x = v128.load_splat<f32>(values + i);
      a0 = mad(x, v128.load(w), a0);
      a1 = mad(x, v128.load(w, 16), a1);
    }
    v128.store(o, a0);
    v128.store(o, a1, 16);
  }
}

/**
 * Fills `logCounts` from byte `start` to byte `end` with log1p(scale x). 1 + x is exact for counts below
 * 2^24.
 */
function transform(log1p: bool, scale: f32, start: usize, end: usize): void {
  const counts = run().counts,
    values = run().logCounts;
  if (!log1p) {
    memory.copy(values + start, counts + start, end - start);
    return;
  }
  const one = constant(7),
    root = constant(9),
    mantissa = constant(10),
    c8 = constant(11),
    c7 = constant(12),
    c6 = constant(13),
    c5 = constant(14);
  const c4 = constant(15),
    c3 = constant(16),
    c2 = constant(17),
    ln2 = constant(18);
  const factor = splat(scale);
  let i = start;
  for (; i + 16 <= end; i += 16)
    v128.store(
      values + i,
      log(
        f32x4.add(f32x4.mul(v128.load(counts + i), factor), one),
        one,
        root,
        mantissa,
        c8,
        c7,
        c6,
        c5,
        c4,
        c3,
        c2,
        ln2,
      ),
    );
  // the next rows belong to another thread: no store beyond the end
  for (; i < end; i += 4)
    store<f32>(
      values + i,
      f32x4.extract_lane(log4(f32x4.add(f32x4.mul(v128.load_splat<f32>(counts + i), factor), one)), 0),
    );
}

// @ts-ignore: decorator
@unmanaged
export class SortTiles {
  code: i32;
  tiles: i32;
  /** genes of a tile = 2^tileShift */
  tileShift: i32;
  /** (tiles + 1, rows) start of each tile of genes in the stored counts of each row */
  starts: usize;
  startsStride: usize;
  dout: usize;
  /** bytes of a row of dout */
  stride: usize;
  /** dout in panels of 16 columns, [H / 16][rows][16] */
  panels: usize;
  panelBytes: usize;
}

/**
 * Prepares `sparseUpdate`: for each row the starts of the tiles of genes (ascending within a row), and dout
 * in panels.
 */
export function sortTiles(op: SortTiles, first: i32, last: i32): void {
  const indices = run().indices,
    starts = op.starts,
    stride = op.startsStride,
    shift = op.tileShift;
  for (let row = first; row < last; row++) {
    const start = load<i32>(run().indptr + ((<usize>row) << 2)),
      end = load<i32>(run().indptr + ((<usize>row) << 2), 4);
    const to = starts + ((<usize>row) << 2),
      toEnd = to + <usize>op.tiles * stride;
    for (let at = to; at <= toEnd; at += stride) store<i32>(at, 0);
    // the end of each tile with counts, then of those without
    for (let i = start; i < end; i++)
      store<i32>(to + <usize>((load<i32>(indices + ((<usize>i) << 2)) >> shift) + 1) * stride, i + 1);
    let reached = start;
    for (let at = to; at <= toEnd; at += stride) {
      reached = max(reached, load<i32>(at));
      store<i32>(at, reached);
    }
    const d = op.dout + <usize>row * op.stride;
    let panel = op.panels + ((<usize>row) << 6);
    for (let column: usize = 0; column < op.stride; column += 64, panel += op.panelBytes) {
      v128.store(panel, v128.load(d + column));
      v128.store(panel, v128.load(d + column, 16), 16);
      if (column + 64 > op.stride) break;
      v128.store(panel, v128.load(d + column, 32), 32);
      v128.store(panel, v128.load(d + column, 48), 48);
    }
  }
}

// @ts-ignore: decorator
@unmanaged
export class SparseUpdate {
  code: i32;
  firstTask: i32;
  tasks: i32;
  genes: i32;
  tileShift: i32;
  starts: usize;
  startsStride: usize;
  panels: usize;
  panelBytes: usize;
  /** bytes of a row of weights */
  stride: usize;
  weight: usize;
}

/** dW[g, :] for a tile of genes. */
export function sparseUpdate(op: SparseUpdate, task: i32): void {
  const firstGene = task << op.tileShift,
    genes = min(1 << op.tileShift, op.genes - firstGene);
  const stride = op.stride;
  // scratch: ends of the genes, gradient of the tile, pairs
  const ends = scratch,
    gradient = ends + ((<usize>genes) << 2),
    pairs = gradient + <usize>genes * stride;
  sortByGene(op, task, firstGene, genes, pairs);
  let panel = op.panels;
  for (let column: usize = 0; column < stride; column += 64, panel += op.panelBytes) {
    const isHalf = column + 64 > stride;
    let pair = pairs,
      to = gradient + column;
    for (let at = ends; at < gradient; at += 4, to += stride) {
      let a0 = splat(0),
        a1 = a0,
        a2 = a0,
        a3 = a0;
      for (const end = load<usize>(at); pair < end; pair += 8) {
        const d = panel + load<usize>(pair),
          x = v128.load_splat<f32>(pair, 4);
        a0 = mad(x, v128.load(d), a0);
        a1 = mad(x, v128.load(d, 16), a1);
        a2 = mad(x, v128.load(d, 32), a2);
        a3 = mad(x, v128.load(d, 48), a3);
      }
      v128.store(to, a0);
      v128.store(to, a1, 16);
      if (isHalf) continue;
      v128.store(to, a2, 32);
      v128.store(to, a3, 48);
    }
  }
  take(changetype<Target>(op.weight), <usize>firstGene * stride, gradient, <usize>genes * stride);
}

/**
 * Writes pairs (byte offset of the row in a panel, value) sorted by gene to `pairs`, and the end of each
 * gene's pairs to the start of scratch memory.
 */
function sortByGene(op: SparseUpdate, task: i32, firstGene: i32, genes: i32, pairs: usize): void {
  const indices = run().indices,
    values = run().logCounts,
    rows = run().rows;
  const ends = scratch - ((<usize>firstGene) << 2);
  const starts = op.starts + <usize>task * op.startsStride,
    stops = starts + op.startsStride;
  memory.fill(scratch, 0, (<usize>genes) << 2);
  for (let b: usize = 0; b < (<usize>rows) << 2; b += 4) {
    const stop = load<usize>(stops + b) << 2;
    for (let i = load<usize>(starts + b) << 2; i < stop; i += 4) {
      const to = ends + (load<usize>(indices + i) << 2);
      store<i32>(to, load<i32>(to) + 1);
    }
  }
  let next = pairs;
  for (let to = scratch; to < scratch + ((<usize>genes) << 2); to += 4) {
    const count = load<usize>(to);
    store<usize>(to, next);
    next += count << 3;
  }
  for (let b: usize = 0; b < (<usize>rows) << 2; b += 4) {
    const stop = load<usize>(stops + b) << 2;
    for (let i = load<usize>(starts + b) << 2; i < stop; i += 4) {
      const to = ends + (load<usize>(indices + i) << 2),
        pair = load<usize>(to);
      store<usize>(pair, b << 4);
      store<f32>(pair, load<f32>(values + i), 4);
      store<usize>(to, pair + 8);
    }
  }
}

// @ts-ignore: decorator
@unmanaged
export class BiasUpdate {
  code: i32;
  firstTask: i32;
  tasks: i32;
  dout: usize;
  stride: usize;
  bias: usize;
}

/** db = sum of dout over the cells. */
export function biasUpdate(op: BiasUpdate): void {
  for (let column: usize = 0; column < op.stride; column += 16) {
    let sum = splat(0),
      d = op.dout + column;
    for (let b = 0; b < run().rows; b++, d += op.stride) sum = f32x4.add(sum, v128.load(d));
    v128.store(scratch + column, sum);
  }
  take(changetype<Target>(op.bias), 0, scratch, op.stride);
}
