// Condition embeddings: look-up of rows of a table (C, E), padded to a multiple of 4 columns. One-hot encoded
// conditions use the rows of a weight (C, H), which are added to the output of a first layer and never
// scaled.
//
// Before a run, used rows with norm above 1 are scaled to norm 1 in place (torch: max_norm), without a
// gradient. Backward: the gradient of a row is the sum of dout over its cells, in order; Adam updates all
// trainable rows, even those without cells.

import { Target, take } from "./adam";
import { run } from "./run";

// @ts-ignore: decorator
@unmanaged
export class Renormalize {
  code: i32;
  firstTask: i32;
  tasks: i32;
  table: usize;
  tableStride: usize;
  width: i32;
  conditions: usize;
  /** rows before this one are frozen */
  trainableFrom: i32;
}

export function renormalize(op: Renormalize): void {
  for (let b = 0; b < run().rows; b++) {
    const condition = load<i32>(op.conditions + ((<usize>b) << 2));
    if (condition < op.trainableFrom) continue;
    const row = op.table + <usize>condition * op.tableStride;
    let squares: f64 = 0;
    for (let e = 0; e < op.width; e++)
      squares += <f64>load<f32>(row + ((<usize>e) << 2)) * <f64>load<f32>(row + ((<usize>e) << 2));
    // due to rounding, the norm of a scaled row may still be slightly above 1
    if (squares <= 1.000001) continue;
    const scale = <f32>(1 / (sqrt(squares) + 1e-7));
    for (let e = 0; e < op.width; e++)
      store<f32>(row + ((<usize>e) << 2), load<f32>(row + ((<usize>e) << 2)) * scale);
  }
}

// @ts-ignore: decorator
@unmanaged
export class LookUp {
  code: i32;
  table: usize;
  tableStride: usize;
  width: i32;
  conditions: usize;
  /** columns of this table */
  out: usize;
  outStride: usize;
  /** 1: add to the values in `out` */
  adds: i32;
}

export function lookUp(op: LookUp, first: i32, last: i32): void {
  for (let row = first; row < last; row++) {
    const from = op.table + <usize>load<i32>(op.conditions + ((<usize>row) << 2)) * op.tableStride;
    const to = op.out + <usize>row * op.outStride;
    if (!op.adds) memory.copy(to, from, (<usize>op.width) << 2);
    else
      for (let e: usize = 0; e < (<usize>op.width) << 2; e += 4)
        store<f32>(to + e, load<f32>(to + e) + load<f32>(from + e));
  }
}

// @ts-ignore: decorator
@unmanaged
export class LookUpUpdate {
  code: i32;
  firstTask: i32;
  tasks: i32;
  tableStride: usize;
  width: i32;
  conditions: usize;
  dout: usize;
  doutStride: usize;
  /** C, and the first trainable row */
  conditionCount: i32;
  trainableFrom: i32;
  /** (C, padded E) */
  sums: usize;
  table: usize;
}

export function lookUpUpdate(op: LookUpUpdate): void {
  const stride = op.tableStride,
    from = <usize>op.trainableFrom * stride,
    end = <usize>op.conditionCount * stride;
  memory.fill(op.sums + from, 0, end - from);
  for (let b = 0; b < run().rows; b++) {
    const condition = load<i32>(op.conditions + ((<usize>b) << 2));
    if (condition < op.trainableFrom) continue;
    const sum = op.sums + <usize>condition * stride,
      d = op.dout + <usize>b * op.doutStride;
    for (let e: usize = 0; e < (<usize>op.width) << 2; e += 4)
      store<f32>(sum + e, load<f32>(sum + e) + load<f32>(d + e));
  }
  take(changetype<Target>(op.table), from, op.sums + from, end - from);
}
