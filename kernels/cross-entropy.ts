// Cross-entropy over the prototypes of an annotation level: minus the log probability of a cell's type under
// softmax(-|z - c_k|^2 / 2).
//
// A cell adds share * (ln(sum over k of exp(l_k)) - l_label) for each of its labels, l_k = -|z - c_k|^2 / 2.
// With q the softmax, sum over k of (q_k - [k = label]) = 0, so z cancels in the gradient:
//   dz += weight share (sum over k of q_k c_k - c_label).
// The prototypes of a level are stored in groups of four, one vector per dimension.

import { exp4, lanesBefore, log4, mad, max4, splat, sum4 } from "./math";
import { prototype } from "./prototype";
import { run, scratch } from "./run";

// @ts-ignore: decorator
@unmanaged
export class CrossEntropy {
  code: i32;
  z: usize;
  stride: usize;
  columns: i32;
  /** offset in the scratch memory of one float per prototype of a level */
  work: usize;
  /** backward only */
  dz: usize;
}

/** The prototypes of a level; the last group is filled with zeros. */
// @ts-ignore: decorator
@unmanaged
class Level {
  prototypes: usize;
  /** 0: the level is not part of the loss */
  count: i32;
}
const levelBytes: usize = 8;

/** Results of the last call of `weigh`, for one cell and level. */
let largestLogit: f32 = 0;
let total: f32 = 0;

export function crossEntropyForward(op: CrossEntropy, first: i32, last: i32): void {
  if (run().crossEntropyWeight == 0) return;
  for (let row = first; row < last; row++) {
    let loss: f64 = 0;
    for (let level = 0; level < run().levels; level++) {
      const label = labelOf(row, level);
      if (label < 0 || levelAt(level).count == 0) continue;
      const z = op.z + <usize>row * op.stride;
      weigh(op, z, levelAt(level));
      const logit = logitOf(op, z, prototype(label));
      const levelLoss = f32x4.extract_lane(log4(splat(total)), 0) + (largestLogit - logit);
      loss += <f64>shareOf(row, level) * <f64>levelLoss;
    }
    store<f64>(run().crossEntropy + ((<usize>row) << 3), loss);
  }
}

export function crossEntropyBackward(op: CrossEntropy, first: i32, last: i32): void {
  if (run().crossEntropyWeight == 0) return;
  for (let row = first; row < last; row++)
    for (let level = 0; level < run().levels; level++) {
      const label = labelOf(row, level);
      if (label < 0 || levelAt(level).count == 0) continue;
      weigh(op, op.z + <usize>row * op.stride, levelAt(level));
      addGradient(
        op,
        op.dz + <usize>row * op.stride,
        levelAt(level),
        prototype(label),
        run().crossEntropyWeight * shareOf(row, level),
      );
    }
}

/** Writes exp(l_k - largest l) of the level's prototypes to the scratch memory, padded with zeros. */
function weigh(op: CrossEntropy, z: usize, level: Level): void {
  const work = scratch + op.work;
  const count = level.count;
  let at = level.prototypes;
  let largest = splat(-f32.MAX_VALUE);
  for (let k = 0; k < count; k += 4) {
    let sum = splat(0);
    for (let d: usize = 0; d < (<usize>op.columns) << 2; d += 4) {
      const difference = f32x4.sub(v128.load32_splat(z + d), v128.load(at));
      sum = mad(difference, difference, sum);
      at += 16;
    }
    const logit = v128.bitselect(f32x4.mul(sum, splat(-0.5)), splat(-f32.MAX_VALUE), lanesBefore(k, count));
    v128.store(work + ((<usize>k) << 2), logit);
    largest = f32x4.pmax(largest, logit);
  }
  largestLogit = max4(largest);
  largest = splat(largestLogit);
  let sum = splat(0);
  for (let k = 0; k < count; k += 4) {
    const place = work + ((<usize>k) << 2);
    const weight = v128.and(exp4(f32x4.sub(v128.load(place), largest)), lanesBefore(k, count));
    v128.store(place, weight);
    sum = f32x4.add(sum, weight);
  }
  total = sum4(sum);
}

/** dz += weight (mean of the prototypes, weighted by the results of `weigh`, - center) */
function addGradient(op: CrossEntropy, dz: usize, level: Level, center: usize, weight: f32): void {
  const work = scratch + op.work;
  const count = level.count;
  const dimensions = <usize>op.columns;
  const inverse: f32 = 1 / total;
  for (let d: usize = 0; d < dimensions; d++) {
    let at = level.prototypes + (d << 4);
    let sum = splat(0);
    for (let k = 0; k < count; k += 4) {
      sum = mad(v128.load(work + ((<usize>k) << 2)), v128.load(at), sum);
      at += dimensions << 4;
    }
    const place = dz + (d << 2);
    store<f32>(place, load<f32>(place) + weight * (sum4(sum) * inverse - load<f32>(center + (d << 2))));
  }
}

/** -|z - center|^2 / 2, bit-identical to `weigh`, so that the loss of a certain cell is 0. */
function logitOf(op: CrossEntropy, z: usize, center: usize): f32 {
  let sum = splat(0);
  for (let d: usize = 0; d < (<usize>op.columns) << 2; d += 4) {
    const difference = f32x4.sub(v128.load32_splat(z + d), v128.load32_splat(center + d));
    sum = mad(difference, difference, sum);
  }
  return -0.5 * f32x4.extract_lane(sum, 0);
}

// @ts-ignore: decorator
@inline
function labelOf(row: i32, level: i32): i32 {
  return load<i32>(run().labels + ((<usize>(row * run().levels + level)) << 2));
}
// @ts-ignore: decorator
@inline
function shareOf(row: i32, level: i32): f32 {
  return load<f32>(run().crossEntropyShares + ((<usize>(row * run().levels + level)) << 2));
}
// @ts-ignore: decorator
@inline
function levelAt(level: i32): Level {
  return changetype<Level>(run().levelPrototypes + <usize>level * levelBytes);
}
