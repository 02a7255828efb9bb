// Layer norm without affine, ReLU, dropout: y = (x - mean) rstd, rstd = 1 / sqrt(variance + 1e-5), out =
// max(y, 0) keep / (1 - rate).
//
// Backward: with dy = dout keep / (1 - rate) where out > 0, else 0,
//   dx = rstd (dy - mean(dy) - y mean(dy y)),
// as y depends on x through mean and variance, too. mean and rstd are recomputed; only x and out are stored.

import { lanesBefore, mad, splat, sum4 } from "./math";
import { random24 } from "./random";
import { run } from "./run";

// @ts-ignore: decorator
@unmanaged
export class Normalize {
  code: i32;
  x: usize;
  out: usize;
  /** bytes of a row of x, out, dout and dx */
  stride: usize;
  /** H */
  columns: i32;
  /** stream of the masks */
  stream: i32;
  /** units whose 24 random bits are below this are dropped; 0 drops none */
  threshold: i32;
  /** 1 / (1 - rate) */
  scale: f32;
  /** backward only; dx may be dout */
  dout: usize;
  dx: usize;
}

let mean: f32 = 0;
let rstd: f32 = 0;

function moments(x: usize, columns: i32): void {
  let sum = splat(0);
  for (let k = 0; k < columns; k += 4) sum = f32x4.add(sum, v128.load(x + ((<usize>k) << 2)));
  mean = sum4(sum) / <f32>columns;
  let squares = splat(0);
  for (let k = 0; k < columns; k += 4) {
    const d = v128.and(f32x4.sub(v128.load(x + ((<usize>k) << 2)), splat(mean)), lanesBefore(k, columns));
    squares = mad(d, d, squares);
  }
  rstd = 1 / sqrt<f32>(sum4(squares) / <f32>columns + 1e-5);
}

export function normalizeForward(op: Normalize, first: i32, last: i32): void {
  const columns = op.columns,
    threshold = op.threshold;
  for (let row = first; row < last; row++) {
    const x = op.x + <usize>row * op.stride,
      out = op.out + <usize>row * op.stride;
    moments(x, columns);
    for (let k = 0; k < columns; k += 4) {
      const at = (<usize>k) << 2;
      let y = f32x4.mul(f32x4.sub(v128.load(x + at), splat(mean)), splat(rstd));
      let keep = v128.and(f32x4.gt(y, splat(0)), lanesBefore(k, columns));
      if (threshold)
        keep = v128.and(keep, i32x4.ge_s(random24(run().seed, op.stream, row, k), i32x4.splat(threshold)));
      v128.store(out + at, v128.and(f32x4.mul(y, splat(op.scale)), keep));
    }
  }
}

export function normalizeBackward(op: Normalize, first: i32, last: i32): void {
  const columns = op.columns;
  const scale = splat(op.scale);
  for (let row = first; row < last; row++) {
    const offset = <usize>row * op.stride;
    const x = op.x + offset,
      out = op.out + offset,
      dout = op.dout + offset,
      dx = op.dx + offset;
    moments(x, columns);
    let sum = splat(0),
      product = splat(0);
    for (let k = 0; k < columns; k += 4) {
      const at = (<usize>k) << 2;
      const y = f32x4.mul(f32x4.sub(v128.load(x + at), splat(mean)), splat(rstd));
      const dy = v128.and(f32x4.mul(v128.load(dout + at), scale), f32x4.gt(v128.load(out + at), splat(0)));
      sum = f32x4.add(sum, dy);
      product = mad(dy, y, product);
    }
    const meanOfDy = splat(sum4(sum) / <f32>columns),
      meanOfProduct = splat(sum4(product) / <f32>columns);
    for (let k = 0; k < columns; k += 4) {
      const at = (<usize>k) << 2;
      const y = f32x4.mul(f32x4.sub(v128.load(x + at), splat(mean)), splat(rstd));
      const dy = v128.and(f32x4.mul(v128.load(dout + at), scale), f32x4.gt(v128.load(out + at), splat(0)));
      const d = f32x4.mul(f32x4.sub(f32x4.sub(dy, meanOfDy), f32x4.mul(y, meanOfProduct)), splat(rstd));
      v128.store(dx + at, v128.and(d, lanesBefore(k, columns)));
    }
  }
}
