// Softmax and the Poisson likelihood, with the gradient of both, for one block of rows of logits (B, G).
//
// rate = size p, p = softmax(logits). As p sums to 1, the loss of a cell is size - sum over its stored counts
// of (x ln rate - ln x!), and
//   dlogit = rate - x - p sum(rate - x) = p sum(x) - x,
// which does not contain the size factor. Error: loss and gradient within 1e-5 of the largest entry
// (test/kernels.test.ts).

import { groupBase } from "./linear";
import { lanesBefore, log4, splat, stirling, sum4 } from "./math";
import { gather, inGroup, scatter } from "./gather";
import { exponentials, pad, pinBytes, pinned, placePins, probabilities, shareOf } from "./softmax";

import { run, scratch } from "./run";

// @ts-ignore: decorator
@unmanaged
export class Poisson {
  code: i32;
  /**
   * grouped logits; dlogits afterwards where `backward`. 0: this block's rows only, at the start of scratch
   * memory
   */
  logits: usize;
  /** bytes of a group of 4 rows */
  groupStride: usize;
  genes: i32;
  /** 0: the rate is the softmax itself */
  isScaled: i32;
  backward: i32;
  /** 0: none */
  probabilities: usize;
  probabilitiesStride: usize;
  /** start of free scratch memory */
  work: usize;
}

/** Up to this count, factorials are computed as products. */
const smallCount: f32 = 16;

export function poisson(op: Poisson, first: i32, last: i32): void {
  const bytes = (<usize>((op.genes + 7) & ~7)) << 2,
    totals = scratch + op.work + pinBytes;
  placePins(scratch + op.work);
  const base = groupBase(op.logits, op.groupStride, first);
  for (let row = first; row < last; row += 4) {
    const group = base + <usize>(row >> 2) * op.groupStride,
      rows = min(4, last - row);
    exponentials(group, op.genes, bytes);
    if (op.probabilities)
      for (let i = 0; i < rows; i++)
        probabilities(group, i, op.probabilities + <usize>(row + i) * op.probabilitiesStride, bytes);
    v128.store(totals, splat(0));
    for (let i = 0; i < rows; i++)
      store<f32>(totals + ((<usize>i) << 2), likelihood(row + i, group + ((<usize>i) << 4), op.isScaled));
    if (op.backward) gradient(row, rows, group, totals, op.genes, bytes);
  }
}

/** Stores the loss of a row. @returns the sum of its counts */
function likelihood(row: i32, e: usize, isScaled: i32): f32 {
  const start = load<usize>(run().indptr + ((<usize>row) << 2)) << 2,
    end = load<usize>(run().indptr + ((<usize>row) << 2), 4) << 2;
  const indices = run().indices,
    counts = run().counts;
  const one = splat(1),
    rate: f32 = isScaled ? load<f32>(run().sizeFactors + ((<usize>row) << 2)) : 1;
  // the exponentials are normal numbers; multiplied by the scale, they may be subnormal
  const logScale = log4(splat(rate * shareOf(row & 3)));
  let loss: f64 = 0,
    total: f64 = 0;
  for (let i = start; i < end; i += 16) {
    const inside = lanesBefore(0, (<i32>(end - i)) >> 2);
    const x = v128.and(v128.load(counts + i), inside);
    const logRate = f32x4.add(
      log4(gather(e, inGroup(v128.and(i32x4.shl(v128.load(indices + i), 2), inside)))),
      logScale,
    );
    let product = one;
    for (let k: f32 = 2; k <= smallCount; k++) {
      const active = f32x4.ge(x, splat(k));
      if (!v128.any_true(active)) break;
      product = f32x4.mul(product, v128.bitselect(splat(k), one, active));
    }
    let factorial = log4(product);
    const isLarge = f32x4.gt(x, splat(smallCount));
    if (v128.any_true(isLarge)) {
      const y = f32x4.add(x, one);
      const far = f32x4.add(
        f32x4.sub(f32x4.mul(f32x4.sub(y, splat(0.5)), log4(y)), y),
        f32x4.add(stirling(y), splat(0.918938533)),
      );
      factorial = v128.bitselect(far, factorial, isLarge);
    }
    loss += <f64>sum4(f32x4.sub(factorial, f32x4.mul(x, logRate)));
    total += <f64>sum4(x);
  }
  store<f64>(run().reconstruction + ((<usize>row) << 3), loss + <f64>rate);
  return <f32>total;
}

/** dlogits = (p sum(x) - x) / B, overwriting the exponentials; 0 in the padding. */
function gradient(row: i32, rows: i32, group: usize, totals: usize, genes: i32, bytes: usize): void {
  const share = run().share;
  const m0 = pinned(0, shareOf(0) * load<f32>(totals) * share),
    m1 = pinned(1, shareOf(1) * load<f32>(totals, 4) * share);
  const m2 = pinned(2, shareOf(2) * load<f32>(totals, 8) * share),
    m3 = pinned(3, shareOf(3) * load<f32>(totals, 12) * share);
  for (let p = group; p < group + (bytes << 2); p += 64) {
    v128.store(p, f32x4.mul(v128.load(p), m0));
    v128.store(p, f32x4.mul(v128.load(p, 16), m1), 16);
    v128.store(p, f32x4.mul(v128.load(p, 32), m2), 32);
    v128.store(p, f32x4.mul(v128.load(p, 48), m3), 48);
  }
  for (let i = 0; i < rows; i++) {
    const at = run().indptr + ((<usize>(row + i)) << 2);
    const start = load<usize>(at) << 2,
      end = load<usize>(at, 4) << 2;
    for (let k = start; k < end; k += 16) {
      const inside = lanesBefore(0, (<i32>(end - k)) >> 2);
      const x = v128.and(v128.load(run().counts + k), inside);
      const genesAt = inGroup(v128.and(i32x4.shl(v128.load(run().indices + k), 2), inside));
      scatter(group + ((<usize>i) << 4), genesAt, f32x4.mul(x, splat(-share)));
    }
  }
  pad(group, genes, bytes, 0);
}
