// Softmax and the negative binomial likelihood, with the gradient of both, for one block of rows of logits
// (B, G).
//
// mu = size softmax(logits), t = theta, eps = 1e-8. Loss of a count x:
//   t ln((t + mu + eps) / (t + eps)) + x ln((t + mu + eps) / (mu + eps)) - ln Gamma(x + t) + ln Gamma(t) + ln
//   Gamma(x + 1)
// For x = 0 only the first term remains, so it is computed for every gene (`dense`), and the stored counts
// add the rest (`stored`). Gradient: with s = t + mu + eps, q = mu dloss/dmu = t mu / s + x mu (1 / s - 1 /
// (mu + eps)), and dsoftmax:
//   dlogit = q - softmax sum(q)
//   dloss/dln t = t (ln(s / (t + eps)) + t / s - t / (t + eps) + x / s - digamma(x + t) + digamma(t))
// so no second exp or log is needed. Preconditions: counts are non-negative whole numbers; theta was prepared
// by `thetaRows`. Error: loss and gradient within 1e-5 of the largest entry for counts to 1e5 and
// theta from 1e-6 to 1e6 (test/kernels.test.ts).

import { groupBase } from "./linear";
import {
  constant,
  lanesBefore,
  log,
  log1p4,
  log4,
  mad,
  roundingOf,
  splat,
  sum4,
  stirling,
  digammaTail,
} from "./math";
import { run, scratch } from "./run";
import { gather, inGroup, scatter } from "./gather";
import { eps, segment } from "./theta";
import {
  exponentials,
  gradient,
  pinBytes,
  pinned,
  placePins,
  probabilities,
  qSums,
  scales,
  shareOf,
  shares,
} from "./softmax";

/** Up to this count and this theta, products are used instead of Stirling's series. */
const smallCount: f32 = 16;
const smallTheta: f32 = 1000;

// @ts-ignore: decorator
@unmanaged
export class NegativeBinomial {
  code: i32;
  /**
   * grouped logits; dlogits afterwards where `backward`. 0: this block's rows only, at the start of scratch
   * memory
   */
  logits: usize;
  /** bytes of a group of 4 rows */
  groupStride: usize;
  genes: i32;
  /** bytes of a row of theta and of the sums of its gradient */
  thetaStride: usize;
  backward: i32;
  /** 0: none */
  probabilities: usize;
  probabilitiesStride: usize;
  /** start of free scratch memory: a group of q, then the list of large counts */
  work: usize;
}

/** Sums over the genes of the current row or rows. */
let lossSum: f64 = 0,
  qSum: f64 = 0;

export function negativeBinomial(op: NegativeBinomial, first: i32, last: i32): void {
  const bytes = op.thetaStride,
    list = scratch + op.work + (bytes << 2) + pinBytes;
  const q = op.backward ? scratch + op.work : 0;
  placePins(list - pinBytes);
  const base = groupBase(op.logits, op.groupStride, first);
  for (let row = first; row < last; row += 4) {
    const group = base + <usize>(row >> 2) * op.groupStride,
      rows = min(4, last - row);
    exponentials(group, op.genes, bytes);
    if (op.probabilities)
      for (let i = 0; i < rows; i++)
        probabilities(group, i, op.probabilities + <usize>(row + i) * op.probabilitiesStride, bytes);
    if (q && rows == 4 && isOneCombination(row)) likelihoodOfFour(row, row == first, group, q, list, bytes);
    else
      for (let i = 0; i < rows; i++)
        likelihood(
          row + i,
          row + i == first,
          group + ((<usize>i) << 4),
          q ? q + ((<usize>i) << 4) : 0,
          list,
          bytes,
        );
    if (q) gradient(group, q, op.genes, bytes);
  }
}

function isOneCombination(row: i32): bool {
  const at = run().rowSlot + ((<usize>row) << 2);
  const slot = load<i32>(at);
  return load<i32>(at, 4) == slot && load<i32>(at, 8) == slot && load<i32>(at, 12) == slot;
}

/** Loss of a row, and q if its pointer is not 0. */
function likelihood(row: i32, isFirst: bool, e: usize, q: usize, list: usize, bytes: usize): void {
  const share = shareOf(row & 3),
    scale = load<f32>(run().sizeFactors + ((<usize>row) << 2)) * share;
  const slot = load<usize>(run().rowSlot + ((<usize>row) << 2));
  const theta = run().theta + slot * bytes,
    inverse = run().inverseTheta + slot * bytes;
  const sums = q ? segment(row, isFirst, bytes) : 0;
  startRow();
  if (sums) dense(e, theta, inverse, q, sums, bytes, scale, true, true);
  else if (q) dense(e, theta, inverse, q, 0, bytes, scale, true, false);
  else dense(e, theta, inverse, 0, 0, bytes, scale, false, false);
  stored(row, e, theta, q, sums, list, scale);
  finishRow(row);
}

export function startRow(): void {
  lossSum = 0;
  qSum = 0;
}
export function addToRow(loss: f64, q: f64): void {
  lossSum += loss;
  qSum += q;
}
/** Stores the loss; the row's share becomes the input of `gradient`. */
export function finishRow(row: i32): void {
  store<f64>(run().reconstruction + ((<usize>row) << 3), lossSum);
  store<f32>(shares + ((<usize>(row & 3)) << 2), <f32>qSum * shareOf(row & 3) * run().share);
}

/** The same for four rows of one combination, with q. The loss of `denseOfFour` is added to the first row. */
function likelihoodOfFour(row: i32, isFirst: bool, group: usize, q: usize, list: usize, bytes: usize): void {
  const slot = load<usize>(run().rowSlot + ((<usize>row) << 2));
  const theta = run().theta + slot * bytes,
    inverse = run().inverseTheta + slot * bytes;
  const sums = segment(row, isFirst, bytes);
  v128.store(scales, f32x4.mul(v128.load(run().sizeFactors + ((<usize>row) << 2)), v128.load(shares)));
  lossSum = 0;
  if (sums) denseOfFour(group, theta, inverse, q, sums, bytes, true);
  else denseOfFour(group, theta, inverse, q, 0, bytes, false);
  for (let i = 0; i < 4; i++) {
    const at = (<usize>i) << 4;
    qSum = load<f64>(qSums + ((<usize>i) << 3));
    stored(row + i, group + at, theta, q + at, sums, list, load<f32>(scales + ((<usize>i) << 2)));
    store<f64>(run().reconstruction + ((<usize>(row + i)) << 3), lossSum);
    store<f32>(shares + ((<usize>i) << 2), <f32>qSum * shareOf(i) * run().share);
    lossSum = 0;
  }
}

/**
 * The part of the loss that every gene has, as if x were 0. u = mu / (t + eps), r = 1 / (1 + u) = (t + eps) /
 * s, so t mu / s = t u r.
 */
// @ts-ignore: decorator
@inline
function dense(
  e: usize,
  theta: usize,
  inverse: usize,
  q: usize,
  sums: usize,
  bytes: usize,
  scale: f32,
  backward: bool,
  trains: bool,
): void {
  const toMu = pinned(0, scale);
  const one = constant(7),
    root = constant(9),
    mantissa = constant(10),
    c8 = constant(11),
    c7 = constant(12),
    c6 = constant(13),
    c5 = constant(14);
  const c4 = constant(15),
    c3 = constant(16),
    c2 = constant(17),
    ln2 = constant(18);
  for (let g: usize = 0; g < bytes;) {
    let loss = splat(0),
      total = splat(0);
    for (const stop = min(g + 1024, bytes); g < stop; g += 16) {
      const t = v128.load(theta + g),
        inv = v128.load(inverse + g);
      const u = f32x4.mul(f32x4.mul(v128.load(e + (g << 2)), toMu), inv);
      const u1 = f32x4.add(u, one);
      const r = f32x4.div(one, u1);
      const rounding = f32x4.mul(f32x4.sub(u, f32x4.sub(u1, one)), r);
      const l = f32x4.add(log(u1, one, root, mantissa, c8, c7, c6, c5, c4, c3, c2, ln2), rounding);
      loss = mad(t, l, loss);
      if (backward) {
        const product = f32x4.mul(t, f32x4.mul(u, r));
        total = f32x4.add(total, product);
        v128.store(q + (g << 2), product);
        if (trains)
          v128.store(sums + g, f32x4.add(v128.load(sums + g), f32x4.sub(l, f32x4.mul(product, inv))));
      }
    }
    lossSum += <f64>sum4(loss);
    if (backward) qSum += <f64>sum4(total);
  }
}

/**
 * `dense` with q for four rows of one combination: the sum of their four logarithms, which is all that
 * theta's gradient and the sum of the losses need, is one logarithm of a product.
 */
// @ts-ignore: decorator
@inline
function denseOfFour(
  e: usize,
  theta: usize,
  inverse: usize,
  q: usize,
  sums: usize,
  bytes: usize,
  trains: bool,
): void {
  const k0 = v128.load_splat<f32>(scales),
    k1 = v128.load_splat<f32>(scales, 4),
    k2 = v128.load_splat<f32>(scales, 8),
    k3 = v128.load_splat<f32>(scales, 12);
  const one = constant(7),
    root = constant(9),
    mantissa = constant(10),
    c8 = constant(11),
    c7 = constant(12),
    c6 = constant(13),
    c5 = constant(14);
  const c4 = constant(15),
    c3 = constant(16),
    c2 = constant(17),
    ln2 = constant(18),
    largest = pinned(4, 1e38);
  let total0: f64 = 0,
    total1: f64 = 0,
    total2: f64 = 0,
    total3: f64 = 0;
  for (let g: usize = 0; g < bytes;) {
    let loss = splat(0),
      s0 = loss,
      s1 = loss,
      s2 = loss,
      s3 = loss;
    for (const stop = min(g + 1024, bytes); g < stop; g += 16) {
      const t = v128.load(theta + g),
        inv = v128.load(inverse + g);
      const u0 = f32x4.mul(f32x4.mul(v128.load(e), k0), inv),
        u1 = f32x4.mul(f32x4.mul(v128.load(e, 16), k1), inv);
      const u2 = f32x4.mul(f32x4.mul(v128.load(e, 32), k2), inv),
        u3 = f32x4.mul(f32x4.mul(v128.load(e, 48), k3), inv);
      const v0 = f32x4.add(u0, one),
        v1 = f32x4.add(u1, one),
        v2 = f32x4.add(u2, one),
        v3 = f32x4.add(u3, one);
      const r0 = f32x4.div(one, v0),
        r1 = f32x4.div(one, v1),
        r2 = f32x4.div(one, v2),
        r3 = f32x4.div(one, v3);
      const w0 = f32x4.mul(u0, r0),
        w1 = f32x4.mul(u1, r1),
        w2 = f32x4.mul(u2, r2),
        w3 = f32x4.mul(u3, r3);
      const q0 = f32x4.mul(t, w0),
        q1 = f32x4.mul(t, w1),
        q2 = f32x4.mul(t, w2),
        q3 = f32x4.mul(t, w3);
      v128.store(q, q0);
      v128.store(q, q1, 16);
      v128.store(q, q2, 32);
      v128.store(q, q3, 48);
      s0 = f32x4.add(s0, q0);
      s1 = f32x4.add(s1, q1);
      s2 = f32x4.add(s2, q2);
      s3 = f32x4.add(s3, q3);
      const product = f32x4.mul(f32x4.mul(v0, v1), f32x4.mul(v2, v3));
      let l = log(product, one, root, mantissa, c8, c7, c6, c5, c4, c3, c2, ln2);
      if (v128.any_true(f32x4.gt(product, largest)))
        l = f32x4.add(f32x4.add(log4(v0), log4(v1)), f32x4.add(log4(v2), log4(v3)));
      const roundings = f32x4.add(
        f32x4.add(roundingOf(u0, v0, r0), roundingOf(u1, v1, r1)),
        f32x4.add(roundingOf(u2, v2, r2), roundingOf(u3, v3, r3)),
      );
      l = f32x4.add(l, roundings);
      loss = mad(t, l, loss);
      if (trains) {
        const ws = f32x4.add(f32x4.add(w0, w1), f32x4.add(w2, w3));
        v128.store(sums + g, f32x4.add(v128.load(sums + g), f32x4.sub(l, f32x4.mul(ws, f32x4.mul(t, inv)))));
      }
      e += 64;
      q += 64;
    }
    lossSum += <f64>sum4(loss);
    total0 += <f64>sum4(s0);
    total1 += <f64>sum4(s1);
    total2 += <f64>sum4(s2);
    total3 += <f64>sum4(s3);
  }
  store<f64>(qSums, total0);
  store<f64>(qSums, total1, 8);
  store<f64>(qSums, total2, 16);
  store<f64>(qSums, total3, 24);
}

/** Terms of the stored counts, four at a time; large counts are collected in `list` and processed last. */
export function stored(
  row: i32,
  e: usize,
  theta: usize,
  q: usize,
  sums: usize,
  list: usize,
  scale: f32,
): void {
  const start = load<usize>(run().indptr + ((<usize>row) << 2)) << 2,
    end = load<usize>(run().indptr + ((<usize>row) << 2), 4) << 2;
  const indices = run().indices,
    counts = run().counts;
  const zero = pinned(0, 0),
    one = constant(7),
    toMu = pinned(1, scale),
    tiny = pinned(2, eps),
    lanes = constant(24);
  const root = constant(9),
    mantissa = constant(10),
    c8 = constant(11),
    c7 = constant(12),
    c6 = constant(13),
    c5 = constant(14),
    c4 = constant(15);
  const c3 = constant(16),
    c2 = constant(17),
    ln2 = constant(18),
    largeCount = pinned(3, smallCount),
    largeTheta = pinned(4, smallTheta);
  let loss = splat(0),
    total = splat(0);
  let large = list;
  for (let i = start; i < end; i += 16) {
    const inside = i32x4.lt_s(lanes, i32x4.splat(<i32>(end - i)));
    let x = v128.and(v128.load(counts + i), inside);
    const genes = v128.and(i32x4.shl(v128.load(indices + i), 2), inside);
    const grouped = inGroup(genes);
    const t = gather(theta, genes);
    const mu = f32x4.mul(gather(e, grouped), toMu);
    const aside = v128.or(f32x4.gt(x, largeCount), v128.and(f32x4.gt(x, zero), f32x4.gt(t, largeTheta)));
    if (v128.any_true(aside)) {
      large = putAside(large, i, i32x4.bitmask(aside));
      x = v128.andnot(x, aside);
    }
    // Gamma(x + t) / (Gamma(t) Gamma(x + 1)) = product of (t + k) / (k + 1), k < x; its logarithmic
    // derivative is the sum of 1 / (t + k) = sum / product
    let product = one,
      sum = zero,
      k = zero,
      a = t;
    while (true) {
      const active = f32x4.gt(x, k);
      if (!v128.any_true(active)) break;
      k = f32x4.add(k, one);
      const c = f32x4.div(one, k);
      const factor = v128.bitselect(f32x4.mul(a, c), one, active);
      sum = mad(sum, factor, f32x4.mul(product, v128.and(c, active)));
      product = f32x4.mul(product, factor);
      a = f32x4.add(a, one);
    }
    const inverse = f32x4.div(one, f32x4.add(mu, tiny));
    const u = f32x4.mul(t, inverse),
      u1 = f32x4.add(u, one);
    const r = f32x4.div(one, u1);
    const rounding = f32x4.mul(f32x4.sub(u, f32x4.sub(u1, one)), r);
    const l = f32x4.add(log(u1, one, root, mantissa, c8, c7, c6, c5, c4, c3, c2, ln2), rounding);
    loss = f32x4.add(
      loss,
      f32x4.sub(f32x4.mul(x, l), log(product, one, root, mantissa, c8, c7, c6, c5, c4, c3, c2, ln2)),
    );
    if (q) {
      const dq = f32x4.mul(f32x4.mul(x, f32x4.mul(mu, inverse)), f32x4.sub(r, one));
      total = f32x4.add(total, dq);
      scatter(q, grouped, dq);
      if (sums) scatter(sums, genes, f32x4.sub(f32x4.mul(x, f32x4.mul(r, inverse)), f32x4.div(sum, product)));
    }
  }
  lossSum += <f64>sum4(loss);
  qSum += <f64>sum4(total);
  if (large != list) storedLarge(list, large, e, theta, q, sums, scale);
}

/** Appends the offsets of the set lanes. @returns the new end of the list */
function putAside(end: usize, place: usize, lanes: i32): usize {
  for (; lanes; lanes &= lanes - 1) {
    store<usize>(end, place + ((<usize>ctz(lanes)) << 2));
    end += 4;
  }
  return end;
}

/**
 * The same by Stirling's series, for large counts or large theta. ln Gamma(a) - ln Gamma(p) - ln Gamma(m), a
 * = x + t, p and m the larger and the smaller of x + 1 and t: the first two by their difference, so that
 * large terms do not cancel; m and t are shifted by 8 where they are below 8.
 */
function storedLarge(
  list: usize,
  listEnd: usize,
  e: usize,
  theta: usize,
  q: usize,
  sums: usize,
  scale: f32,
): void {
  const indices = run().indices,
    counts = run().counts;
  const one = splat(1),
    half = splat(0.5),
    eight = splat(8);
  let loss = splat(0),
    total = splat(0);
  // in the last, incomplete vector, the other lanes are no counts
  v128.store(listEnd, splat(0));
  for (let i = list; i < listEnd; i += 16) {
    const inside = lanesBefore(0, (<i32>(listEnd - i)) >> 2);
    const places = v128.load(i);
    const x = v128.and(gather(counts, places), inside);
    const genes = v128.and(i32x4.shl(gather(indices, places), 2), inside);
    const t = gather(theta, genes);
    const a = f32x4.add(x, t),
      x1 = f32x4.add(x, one);
    const p = f32x4.pmax(x1, t),
      m = f32x4.pmin(x1, t);

    let product = one,
      sum = splat(0);
    for (let k: f32 = 0; k < 8; k++) {
      const factor = f32x4.add(m, splat(k));
      sum = mad(sum, factor, product);
      product = f32x4.mul(product, factor);
    }
    const isSmall = f32x4.lt(m, eight);
    product = v128.bitselect(product, one, isSmall);
    const shifted = f32x4.add(m, v128.and(eight, isSmall));
    const logA = log4(f32x4.pmax(a, half));
    let gamma = mad(
      f32x4.sub(p, half),
      log1p4(f32x4.div(f32x4.sub(m, one), p)),
      f32x4.mul(f32x4.sub(m, one), f32x4.sub(logA, one)),
    );
    gamma = f32x4.add(gamma, f32x4.sub(stirling(a), stirling(p)));
    const ofShifted = mad(
      f32x4.sub(shifted, half),
      log4(shifted),
      f32x4.add(f32x4.sub(stirling(shifted), shifted), splat(0.918938533)),
    );
    gamma = f32x4.sub(gamma, f32x4.sub(ofShifted, log4(product)));

    const grouped = inGroup(genes);
    const mu = f32x4.mul(gather(e, grouped), splat(scale));
    const inverse = f32x4.div(one, f32x4.add(mu, splat(eps)));
    const u = f32x4.mul(t, inverse),
      u1 = f32x4.add(u, one);
    const r = f32x4.div(one, u1);
    const terms = f32x4.sub(f32x4.mul(x, f32x4.add(log4(u1), roundingOf(u, u1, r))), gamma);
    loss = f32x4.add(loss, v128.and(terms, inside));
    if (q) {
      const dq = f32x4.mul(f32x4.mul(x, f32x4.mul(mu, inverse)), f32x4.sub(r, one));
      total = f32x4.add(total, dq);
      scatter(q, grouped, dq);
      if (sums) {
        const isShifted = f32x4.lt(t, eight);
        const shift = v128.and(eight, isShifted);
        const far = f32x4.add(t, shift);
        let psi = f32x4.add(
          log1p4(f32x4.div(f32x4.sub(x, shift), far)),
          f32x4.sub(digammaTail(far), digammaTail(a)),
        );
        psi = f32x4.add(psi, v128.and(f32x4.div(sum, product), isShifted));
        scatter(sums, genes, v128.and(f32x4.sub(f32x4.mul(x, f32x4.mul(r, inverse)), psi), inside));
      }
    }
  }
  lossSum += <f64>sum4(loss);
  qSum += <f64>sum4(total);
}
