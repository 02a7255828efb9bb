// The latent representation: z = mean + noise sqrt(v), v = exp(logVar) + 1e-4, and its divergence from N(0,
// 1),
//   KL = 1/2 sum over d of (v + mean^2 - 1 - ln v).
// Backward, with a = alpha / B: dmean = dz + a mean; as dv / dlogVar = exp(logVar) = e,
//   dlogVar = e / 2 (dz noise / sqrt(v) + a (1 - 1 / v)).
// Padded columns stay zero.

import { cosTurns4, exp4, lanesBefore, log4, mad, splat, sum4 } from "./math";
import { random24 } from "./random";
import { run } from "./run";

const varianceEps: f32 = 1e-4;

// @ts-ignore: decorator
@unmanaged
export class SampleNoise {
  code: i32;
  noise: usize;
  stride: usize;
  columns: i32;
}

/**
 * Standard normals by Box and Muller: sqrt(-2 ln u1) cos(2 pi u2), u1 in (0, 1], u2 in [0, 1), 24 bits each.
 */
export function sampleNoise(op: SampleNoise, first: i32, last: i32): void {
  const unit = splat(1.0 / 16777216.0);
  for (let row = first; row < last; row++)
    for (let k = 0; k < op.columns; k += 4) {
      const u1 = f32x4.mul(
        f32x4.convert_i32x4_s(i32x4.add(random24(run().seed, 0x4e01, row, k), i32x4.splat(1))),
        unit,
      );
      const u2 = f32x4.mul(f32x4.convert_i32x4_s(random24(run().seed, 0x4e02, row, k)), unit);
      const radius = f32x4.sqrt(f32x4.mul(splat(-2), f32x4.pmin(log4(u1), splat(0))));
      const normal = v128.and(f32x4.mul(radius, cosTurns4(u2)), lanesBefore(k, op.columns));
      v128.store(op.noise + <usize>row * op.stride + ((<usize>k) << 2), normal);
    }
}

// @ts-ignore: decorator
@unmanaged
export class Reparameterize {
  code: i32;
  mean: usize;
  logVar: usize;
  noise: usize;
  /** bytes of a row, the same for all */
  stride: usize;
  columns: i32;
  /** forward: z; backward: dz */
  z: usize;
  /** backward only */
  dmean: usize;
  dlogVar: usize;
}

export function reparameterizeForward(op: Reparameterize, first: i32, last: i32): void {
  for (let row = first; row < last; row++) {
    let kl = splat(0);
    for (let k = 0; k < op.columns; k += 4) {
      const at = <usize>row * op.stride + ((<usize>k) << 2);
      const mean = v128.load(op.mean + at);
      const v = f32x4.add(exp4(v128.load(op.logVar + at)), splat(varianceEps));
      v128.store(op.z + at, mad(v128.load(op.noise + at), f32x4.sqrt(v), mean));
      const term = f32x4.sub(mad(mean, mean, f32x4.sub(v, splat(1))), log4(v));
      kl = f32x4.add(kl, v128.and(term, lanesBefore(k, op.columns)));
    }
    store<f64>(run().kl + ((<usize>row) << 3), 0.5 * <f64>sum4(kl));
  }
}

export function reparameterizeBackward(op: Reparameterize, first: i32, last: i32): void {
  const weight = splat(run().klWeight * run().share);
  for (let row = first; row < last; row++)
    for (let k = 0; k < op.columns; k += 4) {
      const at = <usize>row * op.stride + ((<usize>k) << 2);
      const dz = v128.load(op.z + at),
        e = exp4(v128.load(op.logVar + at));
      const v = f32x4.add(e, splat(varianceEps));
      v128.store(op.dmean + at, mad(weight, v128.load(op.mean + at), dz));
      const fromNoise = f32x4.div(f32x4.mul(dz, v128.load(op.noise + at)), f32x4.sqrt(v));
      const fromKl = f32x4.mul(weight, f32x4.div(f32x4.sub(v, splat(1)), v));
      const dlogVar = f32x4.mul(f32x4.mul(e, splat(0.5)), f32x4.add(fromNoise, fromKl));
      v128.store(op.dlogVar + at, v128.and(dlogVar, lanesBefore(k, op.columns)));
    }
}
