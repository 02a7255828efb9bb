// The zero-inflated negative binomial, for one block of rows of logits and of the logits d of excess zeros,
// both (B, G).
//
// zero = t ln((t + mu + eps) / (t + eps)) is the negative binomial's loss at x = 0
// (negative-binomial.ts). With a = -d - zero:
//   x = 0: loss = softplus(-d) - softplus(a); its gradient is that of nb times sigmoid(a), and dd =
//   sigmoid(a) - sigmoid(-d)
//   x > 0: loss = softplus(d) + nb,           its gradient is that of nb,                  and dd =
//   sigmoid(d)
// The first case is computed for every gene (`dense`). For stored counts, d is set to -1e30 before, which
// makes it a zero of nb; `stored` of nb adds the rest, and the terms of d are added separately. Error: as for
// nb (test/kernels.test.ts).

import { groupBase } from "./linear";
import { constant, exp2, lanesBefore, log, log2e, log4, mad, splat, sum4 } from "./math";
import { gather, inGroup, scatter } from "./gather";
import { exponentials, gradient, pad, pinBytes, pinned, placePins, probabilities, shareOf } from "./softmax";
import { segment } from "./theta";
import { addToRow, finishRow, startRow, stored } from "./negative-binomial";
import { run, scratch } from "./run";

// @ts-ignore: decorator
@unmanaged
export class ZeroInflated {
  code: i32;
  /**
   * grouped logits; dlogits afterwards where `backward`. 0: this block's rows only, at the start of scratch
   * memory
   */
  logits: usize;
  /** grouped d; its gradient afterwards where `backward` */
  dropout: usize;
  /** bytes of a group of 4 rows, of both */
  groupStride: usize;
  genes: i32;
  /** bytes of a row of theta and of the sums of its gradient */
  thetaStride: usize;
  backward: i32;
  /** 0: none */
  probabilities: usize;
  probabilitiesStride: usize;
  /**
   * start of free scratch memory: a group of q, pins, the list of large counts, sigmoid(d) of the stored
   * counts, two pieces of genes
   */
  work: usize;
}

/** Number of genes that `dense` processes at a time, in bytes. */
const piece = 1024;
/** Scratch memory of `dense`: two pieces. */
let zeros: usize = 0;

export function zeroInflated(op: ZeroInflated, first: i32, last: i32): void {
  const bytes = op.thetaStride,
    list = scratch + op.work + (bytes << 2) + pinBytes,
    sigmoids = list + bytes + 64;
  zeros = sigmoids + bytes + 64;
  const q = op.backward ? scratch + op.work : 0;
  placePins(list - pinBytes);
  const base = groupBase(op.logits, op.groupStride, first);
  for (let row = first; row < last; row += 4) {
    const group = base + <usize>(row >> 2) * op.groupStride,
      dropout = op.dropout + <usize>(row >> 2) * op.groupStride;
    const rows = min(4, last - row);
    exponentials(group, op.genes, bytes);
    if (op.probabilities)
      for (let i = 0; i < rows; i++)
        probabilities(group, i, op.probabilities + <usize>(row + i) * op.probabilitiesStride, bytes);
    for (let i = 0; i < rows; i++) {
      const at = (<usize>i) << 4;
      likelihood(row + i, row + i == first, group + at, dropout + at, q ? q + at : 0, list, sigmoids, bytes);
    }
    if (!q) continue;
    gradient(group, q, op.genes, bytes);
    pad(dropout, op.genes, bytes, 0);
  }
}

/** Loss of a row; also q and the gradient of d if `q` is not 0. */
function likelihood(
  row: i32,
  isFirst: bool,
  e: usize,
  d: usize,
  q: usize,
  list: usize,
  sigmoids: usize,
  bytes: usize,
): void {
  const scale = load<f32>(run().sizeFactors + ((<usize>row) << 2)) * shareOf(row & 3);
  const slot = load<usize>(run().rowSlot + ((<usize>row) << 2));
  const theta = run().theta + slot * bytes,
    inverse = run().inverseTheta + slot * bytes;
  const sums = q ? segment(row, isFirst, bytes) : 0;
  startRow();
  takeStored(row, d, sigmoids);
  if (sums) dense(e, d, theta, inverse, q, sums, bytes, scale, true, true);
  else if (q) dense(e, d, theta, inverse, q, 0, bytes, scale, true, false);
  else dense(e, d, theta, inverse, 0, 0, bytes, scale, false, false);
  stored(row, e, theta, q, sums, list, scale);
  if (q) giveStored(row, d, sigmoids);
  finishRow(row);
}

/** d of the stored counts: sums its loss, stores sigmoid(d) / B, and sets d to -1e30. */
function takeStored(row: i32, d: usize, sigmoids: usize): void {
  const start = load<usize>(run().indptr + ((<usize>row) << 2)) << 2,
    end = load<usize>(run().indptr + ((<usize>row) << 2), 4) << 2;
  const indices = run().indices,
    counts = run().counts;
  let loss = splat(0);
  for (let i = start; i < end; i += 16, sigmoids += 16) {
    const inside = lanesBefore(0, (<i32>(end - i)) >> 2);
    // a stored 0 is not a count
    const isCount = v128.and(f32x4.gt(v128.load(counts + i), splat(0)), inside);
    const places = inGroup(v128.and(i32x4.shl(v128.load(indices + i), 2), inside));
    const logit = gather(d, places);
    const E = exponential(f32x4.neg(f32x4.abs(logit))),
      E1 = f32x4.add(E, splat(1));
    const inverse = f32x4.div(splat(1), E1);
    const sigmoid = v128.bitselect(f32x4.mul(E, inverse), inverse, f32x4.lt(logit, splat(0)));
    loss = f32x4.add(loss, v128.and(f32x4.add(f32x4.pmax(logit, splat(0)), log4(E1)), isCount));
    v128.store(sigmoids, v128.and(f32x4.mul(sigmoid, splat(run().share)), isCount));
    put(d, places, isCount);
  }
  addToRow(<f64>sum4(loss), 0);
}

function put(d: usize, places: v128, lanes: v128): void {
  const set = i32x4.bitmask(lanes);
  if (set & 1) store<f32>(d + <usize>i32x4.extract_lane(places, 0), -1e30);
  if (set & 2) store<f32>(d + <usize>i32x4.extract_lane(places, 1), -1e30);
  if (set & 4) store<f32>(d + <usize>i32x4.extract_lane(places, 2), -1e30);
  if (set & 8) store<f32>(d + <usize>i32x4.extract_lane(places, 3), -1e30);
}

/** sigmoid(d) of the stored counts, which `dense` has left at 0. */
function giveStored(row: i32, d: usize, sigmoids: usize): void {
  const start = load<usize>(run().indptr + ((<usize>row) << 2)) << 2,
    end = load<usize>(run().indptr + ((<usize>row) << 2), 4) << 2;
  for (let i = start; i < end; i += 16, sigmoids += 16) {
    const inside = lanesBefore(0, (<i32>(end - i)) >> 2);
    scatter(d, inGroup(v128.and(i32x4.shl(v128.load(run().indices + i), 2), inside)), v128.load(sigmoids));
  }
}

/**
 * Lower bound of exponents: smaller terms are negligible against 1, and products stay normal numbers, as
 * subnormal ones are slow.
 */
const leastExponent: f32 = -100;

/** e^x for x <= 0, cut at 2^-100. */
// @ts-ignore: decorator
@inline
function exponential(x: v128): v128 {
  const y = f32x4.mul(x, splat(log2e));
  return exp2(
    y,
    splat(leastExponent),
    constant(1),
    constant(2),
    constant(3),
    constant(4),
    constant(5),
    constant(6),
    constant(7),
  );
}

/**
 * The terms of every gene for x = 0; u and r as in `dense` of nb. With E = e^-|d| and A = e^-|a|, both at
 * most 1:
 *   loss = (a > 0 ? zero : max(-d, 0)) + ln((1 + E) / (1 + A)),
 * with one logarithm of a product for all genes of a lane. In two loops, so that the constants of each fit in
 * registers; `zeros` and `slopes` are results of the first for the second.
 */
// @ts-ignore: decorator
@inline
function dense(
  e: usize,
  d: usize,
  theta: usize,
  inverse: usize,
  q: usize,
  sums: usize,
  bytes: usize,
  scale: f32,
  backward: bool,
  trains: bool,
): void {
  const toMu = pinned(0, scale),
    share = pinned(1, run().share),
    none = pinned(2, 0),
    minusLog2e = pinned(3, -log2e),
    floor = pinned(4, leastExponent);
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
  const magic = constant(1),
    x5 = constant(2),
    x4 = constant(3),
    x3 = constant(4),
    x2 = constant(5),
    x1 = constant(6);
  for (let from: usize = 0; from < bytes; from += piece) {
    const stop = min(from + piece, bytes);
    for (let g = from, at = zeros; g < stop; g += 16, at += 16) {
      const t = v128.load(theta + g),
        inv = v128.load(inverse + g);
      const u = f32x4.mul(f32x4.mul(v128.load(e + (g << 2)), toMu), inv);
      const u1 = f32x4.add(u, one);
      const r = f32x4.div(one, u1);
      const rounding = f32x4.mul(f32x4.sub(u, f32x4.sub(u1, one)), r);
      const l = f32x4.add(log(u1, one, root, mantissa, c8, c7, c6, c5, c4, c3, c2, ln2), rounding);
      v128.store(at, f32x4.mul(t, l));
      if (backward) {
        const product = f32x4.mul(t, f32x4.mul(u, r));
        v128.store(q + (g << 2), product);
        if (trains) v128.store(at, f32x4.sub(l, f32x4.mul(product, inv)), piece);
      }
    }
    let loss = none,
      total = none,
      ratios = one;
    for (let g = from, at = zeros; g < stop; g += 16, at += 16) {
      const zero = v128.load(at),
        logit = v128.load(d + (g << 2)),
        a = f32x4.neg(f32x4.add(logit, zero));
      const E = exp2(f32x4.mul(f32x4.abs(logit), minusLog2e), floor, magic, x5, x4, x3, x2, x1, one);
      const A = exp2(f32x4.mul(f32x4.abs(a), minusLog2e), floor, magic, x5, x4, x3, x2, x1, one);
      const E1 = f32x4.add(E, one),
        A1 = f32x4.add(A, one);
      const s = f32x4.div(one, f32x4.mul(E1, A1));
      const ofA = f32x4.mul(s, E1),
        isPositive = f32x4.gt(a, none);
      ratios = f32x4.mul(ratios, f32x4.mul(E1, ofA));
      loss = f32x4.add(loss, v128.bitselect(zero, f32x4.pmax(f32x4.neg(logit), none), isPositive));
      if (backward) {
        // probability that a zero here is nb's, and the probability of a zero without nb
        const ofNb = v128.bitselect(ofA, f32x4.mul(A, ofA), isPositive);
        const ofE = f32x4.mul(s, A1);
        const other = v128.bitselect(ofE, f32x4.mul(E, ofE), f32x4.lt(logit, none));
        v128.store(d + (g << 2), f32x4.mul(f32x4.sub(ofNb, other), share));
        const mine = f32x4.mul(v128.load(q + (g << 2)), ofNb);
        total = f32x4.add(total, mine);
        v128.store(q + (g << 2), mine);
        if (trains) v128.store(sums + g, mad(v128.load(at, piece), ofNb, v128.load(sums + g)));
      }
    }
    addToRow(<f64>sum4(f32x4.add(loss, log4(ratios))), backward ? <f64>sum4(total) : 0);
  }
}
