// Squared error of max(0, logits) against the values, with its gradient, for one block of rows of logits (B,
// G).
//
// With out = max(0, logit): loss = sum of out^2 over all genes, plus x^2 - 2 x out at the stored values;
// dlogit = 2 (out - x) where out > 0.

import { groupBase } from "./linear";
import { lanesBefore, mad, splat, sum4 } from "./math";
import { gather, inGroup, scatter } from "./gather";
import { run } from "./run";

// @ts-ignore: decorator
@unmanaged
export class SquaredError {
  code: i32;
  /**
   * grouped logits; dlogits afterwards where `backward`. 0: this block's rows only, at the start of scratch
   * memory
   */
  logits: usize;
  /** bytes of a group of 4 rows */
  groupStride: usize;
  genes: i32;
  backward: i32;
  /** 0: none */
  decoded: usize;
  decodedStride: usize;
}

export function squaredError(op: SquaredError, first: i32, last: i32): void {
  const bytes = (<usize>((op.genes + 7) & ~7)) << 2;
  const base = groupBase(op.logits, op.groupStride, first);
  for (let row = first; row < last; row++) {
    const logits = base + <usize>(row >> 2) * op.groupStride + ((<usize>(row & 3)) << 4);
    let loss = stored(row, logits, false);
    const decoded = op.decoded ? op.decoded + <usize>row * op.decodedStride : 0;
    const twice = splat(2 * run().share);
    for (let g: usize = 0; g < bytes;) {
      let sum = splat(0);
      for (const stop = min(g + 1024, bytes); g < stop; g += 16) {
        const out = f32x4.pmax(v128.load(logits + (g << 2)), splat(0));
        sum = mad(out, out, sum);
        if (decoded) v128.store(decoded + g, out);
        if (op.backward) v128.store(logits + (g << 2), f32x4.mul(out, twice));
      }
      loss += <f64>sum4(sum);
    }
    if (op.backward) stored(row, logits, true);
    store<f64>(run().reconstruction + ((<usize>row) << 3), loss);
  }
}

/** Terms of the stored values: added to the loss, which is returned, or to the gradient. */
function stored(row: i32, logits: usize, backward: bool): f64 {
  const start = load<usize>(run().indptr + ((<usize>row) << 2)) << 2,
    end = load<usize>(run().indptr + ((<usize>row) << 2), 4) << 2;
  let loss: f64 = 0;
  for (let i = start; i < end; i += 16) {
    const inside = lanesBefore(0, (<i32>(end - i)) >> 2);
    const x = v128.and(v128.load(run().counts + i), inside);
    const places = inGroup(v128.and(i32x4.shl(v128.load(run().indices + i), 2), inside));
    const out = gather(logits, places),
      isOn = f32x4.gt(out, splat(0));
    const twice = v128.and(f32x4.add(x, x), isOn);
    if (backward) scatter(logits, places, f32x4.mul(twice, splat(-run().share)));
    else loss += <f64>sum4(f32x4.sub(f32x4.mul(x, x), f32x4.mul(twice, out)));
  }
  return loss;
}
