// Exposes internal constants and functions of the kernels, for tests and the host.

import { cosTurns4, exp4, log1p4, log4 } from "./math";
import { blockRows, smallBlockRows } from "./run";

export function largestBlockRows(): i32 {
  return blockRows;
}
export function leastBlockRows(): i32 {
  return smallBlockRows;
}
export function expAt(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}
export function logAt(x: f32): f32 {
  return f32x4.extract_lane(log4(f32x4.splat(x)), 0);
}
export function log1pAt(x: f32): f32 {
  return f32x4.extract_lane(log1p4(f32x4.splat(x)), 0);
}
export function cosTurnsAt(x: f32): f32 {
  return f32x4.extract_lane(cosTurns4(f32x4.splat(x)), 0);
}
