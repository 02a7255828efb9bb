// Inverse dispersion theta: values for the likelihoods, and its gradient.

import { Target, take } from "./adam";
import { exp4, splat } from "./math";
import { run, scratch } from "./run";

/** Added to theta and mu, as in the published code. */
export const eps: f32 = 1e-8;

// @ts-ignore: decorator
@unmanaged
export class ThetaRows {
  code: i32;
  firstTask: i32;
  tasks: i32;
  /** (C, padded G) log theta */
  parameter: usize;
  stride: usize;
}

/** theta and 1 / (theta + eps) of one combination of the minibatch. */
export function thetaRows(op: ThetaRows, slot: i32): void {
  if (slot >= run().slots) return;
  const stride = op.stride;
  const from = op.parameter + <usize>load<i32>(run().slotCombination + ((<usize>slot) << 2)) * stride;
  const theta = run().theta + <usize>slot * stride,
    inverse = run().inverseTheta + <usize>slot * stride;
  for (let g: usize = 0; g < stride; g += 16) {
    const t = exp4(v128.load(from + g));
    v128.store(theta + g, t);
    v128.store(inverse + g, f32x4.div(splat(1), f32x4.add(t, splat(eps))));
  }
}

/**
 * Address of the sum of this cell's gradient of theta, zeroed for the first cell of a segment; 0 if its
 * combination is frozen.
 */
export function segment(row: i32, isFirst: bool, bytes: usize): usize {
  const at = run().rowSegment + ((<usize>row) << 2);
  const segment = load<i32>(at);
  if (segment < 0) return 0;
  const sums = run().segmentSums + <usize>segment * bytes;
  if (isFirst || load<i32>(at - 4) != segment) memory.fill(sums, 0, bytes);
  return sums;
}

// @ts-ignore: decorator
@unmanaged
export class ThetaUpdate {
  code: i32;
  firstTask: i32;
  tasks: i32;
  stride: usize;
  /** combinations before this one are frozen */
  trainableFrom: i32;
  /** 0: a task is a trainable combination; 1: a slot */
  usedOnly: i32;
  parameter: usize;
}

/**
 * dln theta of one combination: its segments in order, times theta, and Adam. A combination without cells has
 * gradient 0.
 */
export function thetaUpdate(op: ThetaUpdate, task: i32): void {
  if (op.usedOnly && task >= run().slots) return;
  const combination = op.usedOnly
    ? load<i32>(run().slotCombination + ((<usize>task) << 2))
    : op.trainableFrom + task;
  if (combination < op.trainableFrom) return;
  const stride = op.stride,
    at = <usize>combination * stride;
  const first = load<i32>(run().firstSegment + ((<usize>combination) << 2));
  const theta: usize =
    first < 0 ? 0 : run().theta + load<usize>(run().segmentSlot + ((<usize>first) << 2)) * stride;
  for (let g: usize = 0; g < stride; g += 16) {
    let sum = splat(0);
    for (let s = first; s >= 0; s = load<i32>(run().nextSegment + ((<usize>s) << 2)))
      sum = f32x4.add(sum, v128.load(run().segmentSums + <usize>s * stride + g));
    if (theta) sum = f32x4.mul(sum, f32x4.mul(v128.load(theta + g), splat(run().share)));
    v128.store(scratch + g, sum);
  }
  take(changetype<Target>(op.parameter), at, scratch, stride);
}
