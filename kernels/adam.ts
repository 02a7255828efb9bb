// Adam, as in torch: m = 0.9 m + 0.1 g, v = 0.999 v + 0.001 g^2, w -= rate m / (sqrt(v) correction +
// eps), where g includes the weight decay.

import { constant, mad } from "./math";
import { Run, run } from "./run";

/** Destination of a parameter's gradient: value and moments in the same layout, and a copy for tests. */
// @ts-ignore: decorator
@unmanaged
export class Target {
  weight: usize;
  first: usize;
  second: usize;
  /** stores the gradient if not 0 */
  kept: usize;
  decay: f32;
  /** 0: the gradient is only stored */
  updates: i32;
}

/**
 * Applies the gradient of adjacent weights, `at` bytes into the arrays; `bytes` is a multiple of 16. Kernels
 * call it while the gradient is in the cache.
 */
export function take(target: Target, at: usize, gradient: usize, bytes: usize): void {
  if (target.kept) memory.copy(target.kept + at, gradient, bytes);
  if (!target.updates) return;
  const decay = v128.load_splat<f32>(changetype<usize>(target) + offsetof<Target>("decay"));
  const rate = v128.load_splat<f32>(changetype<usize>(run()) + offsetof<Run>("rate"));
  const correction = v128.load_splat<f32>(changetype<usize>(run()) + offsetof<Run>("correction"));
  const c0 = constant(19),
    c1 = constant(20),
    c2 = constant(21),
    c3 = constant(22),
    eps = constant(23);
  const weights = target.weight + at,
    firsts = target.first + at,
    seconds = target.second + at;
  for (let i: usize = 0; i < bytes; i += 16) {
    const w = v128.load(weights + i),
      first = v128.load(firsts + i),
      second = v128.load(seconds + i);
    const g = mad(w, decay, v128.load(gradient + i));
    const m = mad(first, c0, f32x4.mul(g, c1));
    const v = mad(second, c2, f32x4.mul(f32x4.mul(g, g), c3));
    v128.store(firsts + i, m);
    v128.store(seconds + i, v);
    v128.store(weights + i, f32x4.sub(w, f32x4.div(f32x4.mul(m, rate), mad(f32x4.sqrt(v), correction, eps))));
  }
}
