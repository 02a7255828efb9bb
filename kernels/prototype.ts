// Labelled prototypes: the mean Minkowski-p distance of the cells of each type to their prototype, summed
// over types.
//
// A cell adds share * ||z - c||_p for each of its labels, share = 1 / (cells with that label in the
// minibatch). With d = z - c, n = ||d||_p:
//   dz += eta share sign(d) (|d| / n)^(p - 1); 0 where n = 0.
// Powers are computed of |d| / max |d| to avoid overflow.

import { exp4, log4, max4, splat, sum4 } from "./math";
import { run } from "./run";

// @ts-ignore: decorator
@unmanaged
export class Prototype {
  code: i32;
  z: usize;
  stride: usize;
  columns: i32;
  p: f32;
  /** backward only */
  dz: usize;
}

export function prototypeForward(op: Prototype, first: i32, last: i32): void {
  if (run().prototypeWeight == 0) return;
  for (let row = first; row < last; row++) {
    let loss: f64 = 0;
    for (let level = 0; level < run().levels; level++) {
      const at = (<usize>(row * run().levels + level)) << 2;
      const label = load<i32>(run().labels + at);
      if (label >= 0)
        loss +=
          <f64>load<f32>(run().labelShares + at) *
          <f64>distance(op, op.z + <usize>row * op.stride, prototype(label));
    }
    store<f64>(run().prototypeLoss + ((<usize>row) << 3), loss);
  }
}

export function prototypeBackward(op: Prototype, first: i32, last: i32): void {
  if (run().prototypeWeight == 0) return;
  for (let row = first; row < last; row++)
    for (let level = 0; level < run().levels; level++) {
      const at = (<usize>(row * run().levels + level)) << 2;
      const label = load<i32>(run().labels + at);
      if (label < 0) continue;
      const z = op.z + <usize>row * op.stride,
        dz = op.dz + <usize>row * op.stride,
        center = prototype(label);
      const length = distance(op, z, center);
      if (length == 0) continue;
      const weight = splat(run().prototypeWeight * load<f32>(run().labelShares + at));
      for (let k: usize = 0; k < (<usize>op.columns) << 2; k += 16) {
        const d = f32x4.sub(v128.load(z + k), v128.load(center + k));
        const size = power(f32x4.div(f32x4.abs(d), splat(length)), op.p - 1);
        const signed = v128.or(size, v128.and(d, i32x4.splat(0x80000000)));
        const gradient = v128.and(signed, f32x4.ne(d, splat(0)));
        v128.store(dz + k, f32x4.add(v128.load(dz + k), f32x4.mul(weight, gradient)));
      }
    }
}

/** Offset of a label's prototype. */
// @ts-ignore: decorator
@inline
export function prototype(label: i32): usize {
  return run().prototypes + <usize>label * run().prototypeStride;
}

/** ||z - center||_p; both are padded with zeros. */
function distance(op: Prototype, z: usize, center: usize): f32 {
  let largest = splat(0);
  for (let k: usize = 0; k < (<usize>op.columns) << 2; k += 16)
    largest = f32x4.pmax(largest, f32x4.abs(f32x4.sub(v128.load(z + k), v128.load(center + k))));
  const most = max4(largest);
  if (most == 0) return 0;
  const inverse = splat(1 / most);
  let sum = splat(0);
  for (let k: usize = 0; k < (<usize>op.columns) << 2; k += 16) {
    const d = f32x4.sub(v128.load(z + k), v128.load(center + k));
    sum = f32x4.add(sum, v128.and(power(f32x4.mul(f32x4.abs(d), inverse), op.p), f32x4.ne(d, splat(0))));
  }
  return most * f32x4.extract_lane(power(splat(sum4(sum)), 1 / op.p), 0);
}

/** x^p for x > 0; anything for x = 0. */
function power(x: v128, p: f32): v128 {
  if (p == 2) return f32x4.mul(x, x);
  if (p == 1) return x;
  if (p == 0.5) return f32x4.sqrt(x);
  return exp4(f32x4.mul(splat(p), log4(x)));
}
