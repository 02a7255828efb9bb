// Softmax of grouped logits, four rows at a time, with its gradient.

import { constant, exp2, log2e, max4, splat, sum4 } from "./math";
import { run } from "./run";

/**
 * Scratch memory: see `pinned` and `shareOf`; for four rows, size factor / sum of the exponentials, and sums
 * of q.
 */
let pins: usize = 0;
export let shares: usize = 0,
  scales: usize = 0,
  qSums: usize = 0;
/** Scratch memory of `placePins`. */
export const pinBytes: usize = 144;
export function placePins(at: usize): void {
  pins = at;
  shares = at + 80;
  scales = at + 96;
  qSums = at + 112;
}

/** 1 / sum of the exponentials of row i of the group; after the likelihood: sum of q times that, over B. */
// @ts-ignore: decorator
@inline
export function shareOf(i: i32): f32 {
  return load<f32>(shares + ((<usize>i) << 2));
}

/** dlogits = (q - softmax sum(q)) / B in place of the exponentials; 0 in the padding. */
export function gradient(group: usize, q: usize, genes: i32, bytes: usize): void {
  const share = pinned(4, run().share);
  const m0 = pinned(0, shareOf(0)),
    m1 = pinned(1, shareOf(1)),
    m2 = pinned(2, shareOf(2)),
    m3 = pinned(3, shareOf(3));
  for (const end = group + (bytes << 2); group < end; group += 64) {
    v128.store(group, f32x4.sub(f32x4.mul(v128.load(q), share), f32x4.mul(v128.load(group), m0)));
    v128.store(group, f32x4.sub(f32x4.mul(v128.load(q, 16), share), f32x4.mul(v128.load(group, 16), m1)), 16);
    v128.store(group, f32x4.sub(f32x4.mul(v128.load(q, 32), share), f32x4.mul(v128.load(group, 32), m2)), 32);
    v128.store(group, f32x4.sub(f32x4.mul(v128.load(q, 48), share), f32x4.mul(v128.load(group, 48), m3)), 48);
    q += 64;
  }
  pad(group - (bytes << 2), genes, bytes, 0);
}

/** Writes the columns after the last gene in all rows of a group. */
export function pad(group: usize, genes: i32, bytes: usize, value: f32): void {
  for (let g = genes; g < <i32>(bytes >> 2); g++)
    for (let i: usize = 0; i < 4; i++)
      store<f32>(group + ((<usize>(g >> 2)) << 6) + (i << 4) + ((<usize>(g & 3)) << 2), value);
}

/** Softmax of row i of a group, row-major. */
export function probabilities(group: usize, i: i32, out: usize, bytes: usize): void {
  let e = group + ((<usize>i) << 4);
  for (let g: usize = 0; g < bytes; g += 16, e += 64)
    v128.store(out + g, f32x4.mul(v128.load(e), splat(shareOf(i))));
}

/** exp(logits - largest) of four rows in place, 0 in the padding; the shares are one over their sums. */
export function exponentials(group: usize, genes: i32, bytes: usize): void {
  pad(group, genes, bytes, -1e30);
  const end = group + (bytes << 2);
  let m0 = splat(-1e30),
    m1 = m0,
    m2 = m0,
    m3 = m0;
  for (let p = group; p < end; p += 64) {
    m0 = f32x4.pmax(m0, v128.load(p));
    m1 = f32x4.pmax(m1, v128.load(p, 16));
    m2 = f32x4.pmax(m2, v128.load(p, 32));
    m3 = f32x4.pmax(m3, v128.load(p, 48));
  }
  m0 = pinned(0, max4(m0) * log2e);
  m1 = pinned(1, max4(m1) * log2e);
  m2 = pinned(2, max4(m2) * log2e);
  m3 = pinned(3, max4(m3) * log2e);
  const floor = constant(0),
    magic = constant(1),
    c5 = constant(2),
    c4 = constant(3),
    c3 = constant(4),
    c2 = constant(5),
    c1 = constant(6);
  const one = constant(7),
    base = constant(8);
  let t0: f64 = 0,
    t1: f64 = 0,
    t2: f64 = 0,
    t3: f64 = 0;
  for (let p = group; p < end;) {
    let s0 = splat(0),
      s1 = s0,
      s2 = s0,
      s3 = s0;
    for (const stop = min(p + 4096, end); p < stop; p += 64) {
      const e0 = exp2(f32x4.sub(f32x4.mul(v128.load(p), base), m0), floor, magic, c5, c4, c3, c2, c1, one);
      const e1 = exp2(
        f32x4.sub(f32x4.mul(v128.load(p, 16), base), m1),
        floor,
        magic,
        c5,
        c4,
        c3,
        c2,
        c1,
        one,
      );
      const e2 = exp2(
        f32x4.sub(f32x4.mul(v128.load(p, 32), base), m2),
        floor,
        magic,
        c5,
        c4,
        c3,
        c2,
        c1,
        one,
      );
      const e3 = exp2(
        f32x4.sub(f32x4.mul(v128.load(p, 48), base), m3),
        floor,
        magic,
        c5,
        c4,
        c3,
        c2,
        c1,
        one,
      );
      v128.store(p, e0);
      v128.store(p, e1, 16);
      v128.store(p, e2, 32);
      v128.store(p, e3, 48);
      s0 = f32x4.add(s0, e0);
      s1 = f32x4.add(s1, e1);
      s2 = f32x4.add(s2, e2);
      s3 = f32x4.add(s3, e3);
    }
    t0 += <f64>sum4(s0);
    t1 += <f64>sum4(s1);
    t2 += <f64>sum4(s2);
    t3 += <f64>sum4(s3);
  }
  store<f32>(shares, <f32>(1 / t0));
  store<f32>(shares, <f32>(1 / t1), 4);
  store<f32>(shares, <f32>(1 / t2), 8);
  store<f32>(shares, <f32>(1 / t3), 12);
}

/** x in all four lanes, computed before the following loop: see `constant`. `place` is one of five. */
// @ts-ignore: decorator
@inline
export function pinned(place: usize, x: f32): v128 {
  const at = pins + (place << 4);
  v128.store(at, splat(x));
  return v128.load(at);
}
