// Dense layers, also the decoder's output layer: out = x W^T + b.
//
// Weights (N, K) are stored in tiles of 8 outputs, [N / 8][K][8], K padded to a multiple of 4; 64 unused
// bytes follow each tile, so that adjacent tiles do not map to the same cache sets. Activations
// are row-major, rows padded to a multiple of 8 columns with zeros. Logits, which only this file and
// negative-binomial.ts read, are "grouped": [B / 4][G / 4][4 rows][4 genes]. All three products keep a tile
// of 32 sums in registers, with six loads and eight products per iteration: compilers move the loads of an
// iteration before its arithmetic, so a longer iteration would run out of registers. Factors that multiply a
// whole vector are stored four times beforehand ("spread"), as a broadcasting load costs an extra
// instruction.

import { Target, take } from "./adam";
import { mad, splat, sums4 } from "./math";
import { run, scratch } from "./run";

// @ts-ignore: decorator
@unmanaged
export class LinearForward {
  code: i32;
  x: usize;
  xStride: usize;
  weight: usize;
  tileBytes: usize;
  /** 0: none */
  bias: usize;
  /** K, a multiple of 4 */
  inputs: i32;
  /** N / 8 */
  tiles: i32;
  /** 1: add to the values in `out` */
  adds: i32;
  /** 1: out is grouped, and `adds` 0 */
  isGrouped: i32;
  /** 0: this block's rows only, at the start of scratch memory; grouped */
  out: usize;
  /** bytes of a row, or of a group of 4 rows */
  outStride: usize;
  /** start of free scratch memory */
  work: usize;
}

/** Address of row 0 of grouped rows, which may be stored for one block only. */
// @ts-ignore: decorator
@inline
export function groupBase(base: usize, stride: usize, first: i32): usize {
  return base ? base : scratch - <usize>(first >> 2) * stride;
}

/**
 * out[b, n] = bias[n] + sum over k of x[b, k] W[n, k] for rows [first, last); rows up to a multiple of 4 are
 * overwritten too.
 */
export function linearForward(op: LinearForward, first: i32, last: i32): void {
  const tiles = op.tiles,
    bias = op.bias,
    adds = op.adds,
    isGrouped = op.isGrouped,
    outStride = op.outStride;
  const groupBytes = (<usize>op.inputs) << 6,
    panels = scratch + op.work;
  for (let row = first, to = panels; row < last; row += 4, to += groupBytes)
    spreadRows(op.x + <usize>row * op.xStride, op.xStride, op.inputs, to);
  const outBase = isGrouped ? groupBase(op.out, outStride, first) : op.out;
  for (let t = 0; t < tiles; t++) {
    const tile = op.weight + <usize>t * op.tileBytes;
    const b0 = bias ? v128.load(bias + ((<usize>t) << 5)) : splat(0),
      b1 = bias ? v128.load(bias + ((<usize>t) << 5), 16) : splat(0);
    let x = panels;
    for (let row = first; row < last; row += 4) {
      let a00 = b0,
        a01 = b1,
        a10 = b0,
        a11 = b1,
        a20 = b0,
        a21 = b1,
        a30 = b0,
        a31 = b1;
      let w = tile;
      for (const end = x + groupBytes; x < end; x += 64) {
        const w0 = v128.load(w),
          w1 = v128.load(w, 16);
        const x0 = v128.load(x),
          x1 = v128.load(x, 16),
          x2 = v128.load(x, 32),
          x3 = v128.load(x, 48);
        a00 = mad(x0, w0, a00);
        a01 = mad(x0, w1, a01);
        a10 = mad(x1, w0, a10);
        a11 = mad(x1, w1, a11);
        a20 = mad(x2, w0, a20);
        a21 = mad(x2, w1, a21);
        a30 = mad(x3, w0, a30);
        a31 = mad(x3, w1, a31);
        w += 32;
      }
      if (isGrouped) {
        const o = outBase + <usize>(row >> 2) * outStride + ((<usize>t) << 7);
        v128.store(o, a00);
        v128.store(o, a10, 16);
        v128.store(o, a20, 32);
        v128.store(o, a30, 48);
        v128.store(o, a01, 64);
        v128.store(o, a11, 80);
        v128.store(o, a21, 96);
        v128.store(o, a31, 112);
      } else {
        const o = outBase + <usize>row * outStride + ((<usize>t) << 5);
        put(o, a00, adds);
        put(o + 16, a01, adds);
        put(o + outStride, a10, adds);
        put(o + outStride + 16, a11, adds);
        put(o + 2 * outStride, a20, adds);
        put(o + 2 * outStride + 16, a21, adds);
        put(o + 3 * outStride, a30, adds);
        put(o + 3 * outStride + 16, a31, adds);
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function put(at: usize, sums: v128, adds: i32): void {
  v128.store(at, adds ? f32x4.add(sums, v128.load(at)) : sums);
}

/** Four rows as [K][4 rows], spread. */
function spreadRows(x: usize, stride: usize, inputs: i32, to: usize): void {
  for (const end = x + ((<usize>inputs) << 2); x < end; x += 4, to += 64) {
    v128.store(to, v128.load_splat<f32>(x));
    v128.store(to, v128.load_splat<f32>(x + stride), 16);
    v128.store(to, v128.load_splat<f32>(x + 2 * stride), 32);
    v128.store(to, v128.load_splat<f32>(x + 3 * stride), 48);
  }
}

// @ts-ignore: decorator
@unmanaged
export class LinearInput {
  code: i32;
  /** as `out` of LinearForward */
  dout: usize;
  doutStride: usize;
  isGrouped: i32;
  weight: usize;
  tileBytes: usize;
  inputs: i32;
  tiles: i32;
  /** 1: add to the values in `dx` */
  adds: i32;
  dx: usize;
  dxStride: usize;
  work: usize;
}

/**
 * Number of tiles summed in registers at a time: four columns of their weights, and their dout of a block of
 * rows, stay in the L1 cache.
 */
const inputTiles = 32;

/**
 * dx[b, k] = sum over n of dout[b, n] W[n, k] for rows [first, last); rows up to a multiple of 4 are
 * overwritten too.
 */
export function linearInput(op: LinearInput, first: i32, last: i32): void {
  const tiles = op.tiles,
    tileBytes = op.tileBytes,
    dxStride = op.dxStride;
  let dout = groupBase(op.dout, op.doutStride, first) + <usize>(first >> 2) * op.doutStride,
    doutStride = op.doutStride;
  if (!op.isGrouped) {
    doutStride = (<usize>tiles) << 7;
    dout = scratch + op.work;
    for (let row = first, to = dout; row < last; row += 4, to += doutStride)
      groupRows(op.dout + <usize>row * op.doutStride, op.doutStride, tiles, to);
  }
  const end = (last + 3) & ~3;
  let adds = op.adds;
  for (let t = 0; t < tiles; t += inputTiles, adds = 1) {
    const bytes = (<usize>min(inputTiles, tiles - t)) << 7;
    for (let k: usize = 0; k < <usize>op.inputs; k += 4) {
      const column = op.weight + <usize>t * tileBytes + (k << 5);
      let dx = op.dx + <usize>first * dxStride + (k << 2);
      for (let row = first; row < end; row += 2, dx += 2 * dxStride) {
        const from =
          dout + ((<usize>t) << 7) + <usize>((row - first) >> 2) * doutStride + ((<usize>(row & 2)) << 4);
        let a00 = splat(0),
          a01 = a00,
          a02 = a00,
          a03 = a00,
          a10 = a00,
          a11 = a00,
          a12 = a00,
          a13 = a00;
        for (let half: usize = 0; half < 2; half++) {
          let w = column + (half << 4),
            d = from + (half << 6);
          for (const dEnd = d + bytes; d < dEnd; d += 128) {
            const w0 = v128.load(w),
              w1 = v128.load(w, 32),
              w2 = v128.load(w, 64),
              w3 = v128.load(w, 96);
            const d0 = v128.load(d),
              d1 = v128.load(d, 16);
            a00 = mad(d0, w0, a00);
            a01 = mad(d0, w1, a01);
            a02 = mad(d0, w2, a02);
            a03 = mad(d0, w3, a03);
            a10 = mad(d1, w0, a10);
            a11 = mad(d1, w1, a11);
            a12 = mad(d1, w2, a12);
            a13 = mad(d1, w3, a13);
            w += tileBytes;
          }
        }
        put(dx, sums4(a00, a01, a02, a03), adds);
        put(dx + dxStride, sums4(a10, a11, a12, a13), adds);
      }
    }
  }
}

/** Four rows as a group. */
function groupRows(from: usize, stride: usize, tiles: i32, to: usize): void {
  for (let half = 0; half < 2 * tiles; half++, from += 16, to += 64) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from + stride), 16);
    v128.store(to, v128.load(from + 2 * stride), 32);
    v128.store(to, v128.load(from + 3 * stride), 48);
  }
}

// @ts-ignore: decorator
@unmanaged
export class Pack {
  code: i32;
  x: usize;
  xStride: usize;
  inputs: i32;
  panels: usize;
  panelBytes: usize;
}

/**
 * Panels of 4 columns, [K / 4][B][4], spread, so that the weight gradient reads contiguous memory.
 */
export function pack(op: Pack, first: i32, last: i32): void {
  const inputs = op.inputs,
    panelBytes = op.panelBytes;
  for (let row = first; row < last; row++) {
    let x = op.x + <usize>row * op.xStride,
      to = op.panels + ((<usize>row) << 6);
    for (const end = x + ((<usize>inputs) << 2); x < end; x += 16, to += panelBytes) {
      v128.store(to, v128.load_splat<f32>(x));
      v128.store(to, v128.load_splat<f32>(x, 4), 16);
      v128.store(to, v128.load_splat<f32>(x, 8), 32);
      v128.store(to, v128.load_splat<f32>(x, 12), 48);
    }
  }
}

// @ts-ignore: decorator
@unmanaged
export class LinearUpdate {
  code: i32;
  firstTask: i32;
  tasks: i32;
  panels: usize;
  panelBytes: usize;
  dout: usize;
  doutStride: usize;
  isGrouped: i32;
  tileBytes: usize;
  inputs: i32;
  tiles: i32;
  /** tiles of a task */
  taskTiles: i32;
  /** 0: frozen (a bias may train alone) */
  weight: usize;
  bias: usize;
}

/**
 * dW[n, k] = sum over b of dout[b, n] x[b, k] for the tiles of a task, then Adam. db[n] = sum of dout[b, n].
 * Sums run over b in order.
 */
export function linearUpdate(op: LinearUpdate, task: i32): void {
  const firstTile = task * op.taskTiles,
    tiles = min(op.taskTiles, op.tiles - firstTile);
  const bytes = (<usize>run().rows) << 5,
    gradientBytes = (<usize>op.inputs) << 5,
    panelBytes = op.panelBytes;
  // scratch: bias gradient, dout of each tile, gradient of each tile
  const biases = scratch,
    columns = biases + ((<usize>tiles) << 5),
    gradients = columns + <usize>tiles * bytes;
  for (let t = 0; t < tiles; t++)
    copyTile(op, firstTile + t, columns + <usize>t * bytes, biases + ((<usize>t) << 5));
  if (op.bias) take(changetype<Target>(op.bias), (<usize>firstTile) << 5, biases, (<usize>tiles) << 5);
  if (!op.weight) return;
  let panel = op.panels;
  for (let at: usize = 0; at < gradientBytes; at += 128, panel += panelBytes) {
    let d = columns,
      to = gradients + at;
    for (let t = 0; t < tiles; t++, to += gradientBytes) {
      let a00 = splat(0),
        a01 = a00,
        a10 = a00,
        a11 = a00,
        a20 = a00,
        a21 = a00,
        a30 = a00,
        a31 = a00;
      let x = panel;
      for (const end = d + bytes; d < end; d += 32) {
        const d0 = v128.load(d),
          d1 = v128.load(d, 16);
        const x0 = v128.load(x),
          x1 = v128.load(x, 16),
          x2 = v128.load(x, 32),
          x3 = v128.load(x, 48);
        a00 = mad(x0, d0, a00);
        a01 = mad(x0, d1, a01);
        a10 = mad(x1, d0, a10);
        a11 = mad(x1, d1, a11);
        a20 = mad(x2, d0, a20);
        a21 = mad(x2, d1, a21);
        a30 = mad(x3, d0, a30);
        a31 = mad(x3, d1, a31);
        x += 64;
      }
      v128.store(to, a00);
      v128.store(to, a01, 16);
      v128.store(to, a10, 32);
      v128.store(to, a11, 48);
      v128.store(to, a20, 64);
      v128.store(to, a21, 80);
      v128.store(to, a30, 96);
      v128.store(to, a31, 112);
    }
  }
  for (let t = 0; t < tiles; t++)
    take(
      changetype<Target>(op.weight),
      <usize>(firstTile + t) * op.tileBytes,
      gradients + <usize>t * gradientBytes,
      gradientBytes,
    );
}

/** Copies the 8 columns of dout of a tile to contiguous memory, and computes their sums. */
function copyTile(op: LinearUpdate, tile: i32, to: usize, sums: usize): void {
  const rows = run().rows,
    isGrouped = op.isGrouped,
    stride = op.doutStride;
  // strides from a row to the next, and from its first four columns to the others
  const step: usize = isGrouped ? 16 : stride,
    other: usize = isGrouped ? 64 : 16;
  let group = op.dout + ((<usize>tile) << (isGrouped ? 7 : 5));
  let s0 = splat(0),
    s1 = s0;
  for (let row = 0; row < rows;) {
    let from = group;
    for (const end = min(row + 4, rows); row < end; row++) {
      const v0 = v128.load(from),
        v1 = v128.load(from + other);
      v128.store(to, v0);
      v128.store(to, v1, 16);
      s0 = f32x4.add(s0, v0);
      s1 = f32x4.add(s1, v1);
      from += step;
      to += 32;
    }
    group = isGrouped ? group + stride : from;
  }
  v128.store(sums, s0);
  v128.store(sums, s1, 16);
}
